//! Messages on terminals, as `wall` does.

use super::Message;
use hinomi_model::Language;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Most terminals written to.
const TERMINALS_MAX: usize = 256;

/// A terminal and whose it is.
pub(super) struct Terminal {
    pub(super) path: PathBuf,
    pub(super) uid: u32,
}

/// Finds the pseudo terminals in use.
pub(super) fn find(dir: &Path) -> Vec<Terminal> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut found: Vec<Terminal> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit())))
        .filter_map(|entry| {
            let metadata = std::fs::metadata(entry.path()).ok()?;
            metadata.file_type().is_char_device().then(|| Terminal { path: entry.path(), uid: metadata.uid() })
        })
        .take(TERMINALS_MAX)
        .collect();
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

impl Terminal {
    /// Writes a message; a terminal that takes nothing (stopped by its user) is not waited for.
    pub(super) fn write(&self, message: &Message, language: Language) -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK).open(&self.path)?;
        let title = printable(message.title.get(language));
        let body = printable(message.body.get(language));
        file.write_all(format!("\r\n\x07*** {title} ***\r\n{body}\r\n").as_bytes())
    }
}

/// Removes everything that could steer a terminal or turn text around: control characters and
/// invisible formatting characters. Line breaks become blanks.
pub fn printable(text: &str) -> String {
    text.chars()
        .filter_map(|letter| match letter {
            '\n' | '\r' | '\t' => Some(' '),
            letter if letter.is_control() => None,
            // zero-width and bidirectional formatting, line and paragraph separators, byte order mark
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => None,
            letter => Some(letter),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\u{9b}2Jc\u{202e}d\ne\u{7}請求書"), "a[31mb2Jcd e請求書");
    }
}

//! Detections as lines for a terminal.

use crate::Detection;
use crate::report::computer;
use std::io::{self, Write};

const TITLE_WIDTH: usize = 52;

/// Writes one detection; `colour` with the codes of ECMA-48.
///
/// # Errors
/// When writing fails.
pub fn line(out: &mut dyn Write, detection: &Detection, colour: bool) -> io::Result<()> {
    let time = detection.time.map_or_else(|| "-".to_owned(), |time| time.to_string().chars().take(19).collect());
    let (on, off) = match (colour, detection.level.as_str()) {
        (false, _) => ("", ""),
        (true, "critical" | "high") => ("\u{1b}[31m", "\u{1b}[0m"),
        (true, "medium") => ("\u{1b}[33m", "\u{1b}[0m"),
        (true, _) => ("\u{1b}[2m", "\u{1b}[0m"),
    };
    let record = detection.record_id.map(|id| format!(":{id}")).unwrap_or_default();
    writeln!(
        out,
        "{time:19}  {on}{:13}{off}  {}  {:16}  {}{record}",
        printable(&detection.level),
        padded(&printable(&detection.title), TITLE_WIDTH),
        printable(computer(detection)),
        printable(&detection.source),
    )
}

/// Fills or cuts to a width in columns; East Asian characters take two.
fn padded(text: &str, width: usize) -> String {
    let columns = |c: char| match c as u32 {
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 => 2,
        0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    };
    let (mut line, mut used) = (String::new(), 0);
    let whole: usize = text.chars().map(columns).sum();
    let room = if whole > width { width - 1 } else { width };
    for c in text.chars() {
        if used + columns(c) > room {
            break;
        }
        used += columns(c);
        line.push(c);
    }
    if whole > width {
        line.push('…');
        used += 1;
    }
    line.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
    line
}

/// Names come from attackers and must not drive a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stay_columns() {
        for text in [
            "short",
            "a title that is a good deal longer than fifty-two columns are",
            "Web ブラウザーがシェルを起動したことを示す長い長い長い長い題名です",
        ] {
            let cut = padded(text, TITLE_WIDTH);
            let wide = cut.chars().filter(|c| (0x3000..0xa000).contains(&(*c as u32))).count();
            assert_eq!(cut.chars().count() + wide, TITLE_WIDTH, "{cut}");
        }
        assert_eq!(printable("a\u{1b}[2J"), "a\u{fffd}[2J");
    }
}

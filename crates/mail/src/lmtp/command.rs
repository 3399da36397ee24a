//! The commands of LMTP.

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `LHLO name`
    Hello,
    /// `MAIL FROM:<address>`; the size the client announces.
    Mail {
        /// Sender, empty for bounces.
        from: String,
        /// `SIZE=`, when given.
        size: Option<u64>,
    },
    /// `RCPT TO:<address>`
    Recipient(String),
    /// `DATA`
    Data,
    /// `RSET`
    Reset,
    /// `NOOP`, `VRFY`
    Nothing,
    /// `QUIT`
    Quit,
}

/// Longest address, bytes: 64 + 1 + 255 (RFC 5321 4.5.3.1), quoted parts and tags may be longer.
const ADDRESS_BYTES_MAX: usize = 1_000;

/// Reads a command line without its end; `None` when it is none.
///
/// ```
/// use hinomi_mail::lmtp::{Command, parse};
/// assert_eq!(parse(b"rcpt to:<a@b.example> NOTIFY=NEVER"), Some(Command::Recipient("a@b.example".to_owned())));
/// assert_eq!(parse(b"MAIL FROM:<> SIZE=10"), Some(Command::Mail { from: String::new(), size: Some(10) }));
/// assert_eq!(parse(b"HELO x"), None);
/// ```
pub fn parse(line: &[u8]) -> Option<Command> {
    let text = std::str::from_utf8(line).ok()?.trim_end();
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word.to_ascii_uppercase().as_str() {
        "LHLO" if !rest.trim().is_empty() => Some(Command::Hello),
        "MAIL" => {
            let (from, parameters) = path(rest, "FROM:")?;
            let size = parameters.split(' ').find_map(|one| {
                let (name, value) = one.split_once('=')?;
                if name.eq_ignore_ascii_case("SIZE") { value.parse().ok() } else { None }
            });
            Some(Command::Mail { from, size })
        }
        "RCPT" => {
            let (to, _) = path(rest, "TO:")?;
            (!to.is_empty()).then_some(Command::Recipient(to))
        }
        "DATA" if rest.is_empty() => Some(Command::Data),
        "RSET" => Some(Command::Reset),
        "NOOP" | "VRFY" => Some(Command::Nothing),
        "QUIT" => Some(Command::Quit),
        _ => None,
    }
}

/// The address in angle brackets and what follows it.
fn path<'t>(text: &'t str, word: &str) -> Option<(String, &'t str)> {
    let text = text.trim_start();
    let head = text.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word))?;
    let rest = text[head.len()..].trim_start().strip_prefix('<')?;
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => {
                let address = &rest[..at];
                // a source route (RFC 5321 4.1.1.3) is dropped
                let address = if address.starts_with('@') { address.split_once(':')?.1 } else { address };
                let fits = address.len() <= ADDRESS_BYTES_MAX && !address.chars().any(char::is_control);
                return fits.then(|| (address.to_owned(), rest[at + 1..].trim()));
            }
            _ => {}
        }
    }
    None
}

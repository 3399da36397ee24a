//! Texts of commands, and folder names as people read them.

use super::ImapError;
use super::model::Query;
use base64::Engine;

/// Quotes a text for a command.
///
/// # Errors
/// For control characters and text beyond ASCII, which a quoted string cannot carry.
pub(super) fn quote(text: &str) -> Result<String, ImapError> {
    if !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) || text.len() > 4_096 {
        return Err(ImapError::BadText(text.chars().take(200).collect()));
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// True when a text can stand in a command as a quoted string.
pub(super) fn is_quotable(text: &str) -> bool {
    quote(text).is_ok()
}

/// Initial response of SASL PLAIN (RFC 4616); `act_for` may be empty.
pub(super) fn sasl_plain(act_for: &str, user: &str, password: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{act_for}\0{user}\0{password}"))
}

/// Initial response of XOAUTH2 (Google: "XOAUTH2 protocol", also used by Microsoft and Dovecot).
pub(super) fn sasl_xoauth2(user: &str, token: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("user={user}\x01auth=Bearer {token}\x01\x01"))
}

/// The SEARCH command for a query. Text beyond ASCII goes as a literal the server need not ask for,
/// so it wants LITERAL+ or LITERAL-.
///
/// # Errors
/// For text that cannot be sent.
pub(super) fn search_command(query: Query<'_>, literals: bool) -> Result<String, ImapError> {
    let (key, text) = match query {
        Query::Header(name, value) => (format!("HEADER {}", quote(name)?), value),
        Query::Body(text) => ("BODY".to_owned(), text),
    };
    if is_quotable(text) {
        return Ok(format!("UID SEARCH {key} {}", quote(text)?));
    }
    let sendable = text.len() <= 4_096 && !text.bytes().any(|byte| byte == 0);
    match (sendable, literals) {
        (true, true) => Ok(format!("UID SEARCH CHARSET UTF-8 {key} {{{}+}}\r\n{text}", text.len())),
        (true, false) => Err(ImapError::Unsupported("LITERAL+: searching for text beyond ASCII")),
        (false, _) => Err(ImapError::BadText(text.chars().take(200).collect())),
    }
}

/// Checks the flags of a list before they go into a command: system flags and keywords.
///
/// # Errors
/// When one of them is not a flag.
pub(super) fn flag_list(flags: &[String]) -> Result<String, ImapError> {
    let is_flag = |flag: &String| {
        let atom = flag.strip_prefix('\\').unwrap_or(flag);
        !atom.is_empty() && atom.bytes().all(|byte| byte > 0x20 && byte < 0x7f && !b"(){%*\"\\]".contains(&byte))
    };
    match flags.iter().find(|flag| !is_flag(flag)) {
        Some(flag) => Err(ImapError::BadText(flag.clone())),
        None => Ok(format!("({})", flags.join(" "))),
    }
}

/// Decodes a folder name from modified UTF-7 (RFC 3501 5.1.3), as people read it. What is not valid
/// stays as it is.
///
/// ```
/// assert_eq!(hinomi_mail::imap::folder_for_people("&MLQw33ux-/a&-b"), "ゴミ箱/a&b");
/// ```
pub fn folder_for_people(name: &str) -> String {
    let mut out = String::new();
    let mut rest = name;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('-').map(|end| at + end) else {
            rest = &rest[at..];
            out.push_str(rest);
            return out;
        };
        match &rest[at + 1..end] {
            "" => out.push('&'),
            coded => out.push_str(&decode_utf7(coded).unwrap_or_else(|| rest[at..=end].to_owned())),
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    out
}

fn decode_utf7(coded: &str) -> Option<String> {
    let bytes = base64::engine::general_purpose::STANDARD_NO_PAD.decode(coded.replace(',', "/")).ok()?;
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    String::from_utf16(&units).ok()
}

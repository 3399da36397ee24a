//! Who a mail file says it is from and for: for mails that come without an envelope.

use hinomi_model::Timestamp;
use mail_parser::{Address, MessageParser};

/// Most recipients read of one mail.
pub const RECIPIENTS_MAX: usize = 200;
/// Longest address (RFC 5321 §4.5.3.1: 64 + 1 + 255 octets).
const ADDRESS_BYTES_MAX: usize = 320;

/// What the headers of a mail say. All text is untrusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// First address of From, lower case; empty when there is none.
    pub from: String,
    /// Addresses of To and Cc, lower case, sorted, each once, at most [`RECIPIENTS_MAX`].
    pub recipients: Vec<String>,
    /// Date.
    pub date: Option<Timestamp>,
}

/// Reads the headers of a raw mail. What cannot be read is left empty.
pub fn addresses(raw: &[u8]) -> Addresses {
    let Some(message) = MessageParser::default().parse_headers(raw) else { return Addresses::default() };
    let mut recipients: Vec<String> = [message.to(), message.cc()].into_iter().flatten().flat_map(listed).collect();
    recipients.sort();
    recipients.dedup();
    recipients.truncate(RECIPIENTS_MAX);
    let date = message.date().filter(|date| date.is_valid());
    Addresses {
        from: message.from().and_then(|from| listed(from).into_iter().next()).unwrap_or_default(),
        recipients,
        date: date.and_then(|date| date.to_timestamp().checked_mul(1_000_000)).map(Timestamp::from_micros),
    }
}

fn listed(address: &Address<'_>) -> Vec<String> {
    let good = |text: &str| text.contains('@') && text.len() <= ADDRESS_BYTES_MAX && !text.contains(char::is_control);
    address.iter().filter_map(|one| one.address.as_deref()).filter(|text| good(text)).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_tell_who_and_when() {
        let mail = b"From: A <A@Example.org>\r\nTo: b@x.example, \"C\" <C@x.example>\r\nCc: b@x.example\r\n\
            Date: Fri, 20 Nov 2026 10:00:00 +0900\r\n\r\nhello";
        let found = addresses(mail);
        assert_eq!(found.from, "a@example.org");
        assert_eq!(found.recipients, ["b@x.example", "c@x.example"]);
        assert_eq!(found.date.expect("a date").to_string(), "2026-11-20T01:00:00.000000Z");
        assert_eq!(addresses(b"\xff\xfe"), Addresses::default());
        let many =
            format!("To: {}\r\n\r\n", (0..300).map(|n| format!("u{n}@x.example")).collect::<Vec<_>>().join(", "));
        assert_eq!(addresses(many.as_bytes()).recipients.len(), RECIPIENTS_MAX);
    }
}

//! The way of a mail from server to server, as its `Received` lines tell it (RFC 5321 4.4).
//!
//! Every server writes its line above the others, so the lines of our own servers stand on top. Where
//! the first other name stands, the sender may have written everything below.

use super::headers::Field;
use super::{by, from_address, is_named};
use mail_parser::DateTime;
use std::net::IpAddr;

/// Most lines told.
const HOPS_MAX: usize = 100;
/// Longest name kept, bytes.
const NAME_BYTES_MAX: usize = 256;

/// A server that took a mail in, in its own words (untrusted unless it says otherwise).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// What the sending side called itself; empty when the line does not say.
    pub from: String,
    /// The address the receiving server saw.
    pub address: Option<IpAddr>,
    /// What the receiving server calls itself.
    pub by: String,
    /// How it was handed over (`ESMTPS`, `LMTP`).
    pub with: String,
    /// When, seconds since 1970.
    pub at: Option<i64>,
    /// One of the servers we trust wrote the line, and so did everything above it.
    pub trusted: bool,
}

/// Reads the way of a mail, first server first. `trusted` names our own servers and filters.
pub fn hops(fields: &[Field], trusted: &[String]) -> Vec<Hop> {
    let mut ours = true;
    let lines = fields.iter().filter(|field| field.name == "received").take(HOPS_MAX);
    let mut hops: Vec<Hop> = lines
        .map(|field| {
            ours = ours && by(&field.value).is_some_and(|name| is_named(trusted, name));
            hop(&field.value, ours)
        })
        .collect();
    hops.reverse();
    hops
}

fn hop(value: &str, trusted: bool) -> Hop {
    let (clauses, date) = value.rsplit_once(';').unwrap_or((value, ""));
    let plain = without_comments(clauses);
    let after = |word: &str| {
        let mut words = plain.split_whitespace();
        words.find(|one| one.eq_ignore_ascii_case(word))?;
        words.next().map(|name| name[..name.floor_char_boundary(NAME_BYTES_MAX)].trim_end_matches(';').to_owned())
    };
    Hop {
        from: after("from").unwrap_or_default(),
        address: from_address(value),
        by: after("by").unwrap_or_default(),
        with: after("with").unwrap_or_default(),
        at: DateTime::parse_rfc822(date.trim()).filter(DateTime::is_valid).map(|date| date.to_timestamp()),
        trusted,
    }
}

/// The text outside of brackets, which hold what a server says besides (RFC 5322 3.2.2).
fn without_comments(text: &str) -> String {
    let mut depth = 0_usize;
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            letter if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::fields;
    use super::*;

    const MAIL: &str = "Received: from filter.example.jp (filter.example.jp [192.0.2.10])\r\n\tby mx.example.jp (Postfix) with LMTP id 1\r\n\tfor <a@example.jp>; Sun, 22 Nov 2026 09:00:05 +0900\r\n\
        Received: from evil.example (by mx.example.jp [203.0.113.9]) by filter.example.jp with ESMTPS; Sun, 22 Nov 2026 00:00:02 +0000\r\n\
        Subject: x\r\n\
        Received: from a (a [198.51.100.1]) by mx.example.jp with SMTP; not a date\r\n\r\nReceived: from body by body\r\n";

    fn names() -> Vec<String> {
        ["MX.example.jp", "filter.example.jp"].map(str::to_owned).to_vec()
    }

    #[test]
    fn the_way_is_told_from_its_beginning_and_trust_ends_at_the_first_stranger() {
        let told = hops(&fields(MAIL.as_bytes()), &names());
        let way: Vec<_> = told.iter().map(|hop| (hop.from.as_str(), hop.by.as_str(), hop.with.as_str())).collect();
        let first = ("a", "mx.example.jp", "SMTP");
        let through = ("evil.example", "filter.example.jp", "ESMTPS");
        assert_eq!(way, [first, through, ("filter.example.jp", "mx.example.jp", "LMTP")]);
        assert_eq!(told.iter().map(|hop| hop.at).collect::<Vec<_>>(), [None, Some(1_795_305_602), Some(1_795_305_605)]);
        let address = |text: &str| Some(text.parse::<IpAddr>().expect("address"));
        assert_eq!((told[0].address, told[2].address), (address("198.51.100.1"), address("192.0.2.10")));

        let one = hops(&fields(MAIL.as_bytes()), &["mx.example.jp".to_owned()]);
        assert_eq!(one.iter().map(|hop| hop.trusted).collect::<Vec<_>>(), [false, false, true], "below a stranger");
        assert!(hops(&fields(MAIL.as_bytes()), &[]).iter().all(|hop| !hop.trusted));
    }

    #[test]
    fn damaged_lines_are_told_as_far_as_they_go() {
        for line in ["", ";", "by", "from", "((((", "))) from a by b", "by \u{3000};;;", "from [ by ]; 99 Foo 0000"] {
            let told = hops(&fields(format!("Received: {line}\r\n\r\n").as_bytes()), &names());
            assert!(told.len() <= 1 && told.iter().all(|hop| !hop.trusted && hop.at.is_none()), "{line}: {told:?}");
        }
        let many = "Received: from a by b; Sun, 22 Nov 2026 00:00:02 +0000\r\n".repeat(500);
        assert_eq!(hops(&fields(many.as_bytes()), &names()).len(), HOPS_MAX);
    }
}

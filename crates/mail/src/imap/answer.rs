//! Reading answers: what a parsed line of the server means to us.

use super::ImapError;
use super::connection::Done;
use super::model::{CopyUid, Fetched, Listed, Selected};
use bytes::Bytes;
use imap_proto::rfc4315::UidSetMember;

use imap_proto::{
    AttributeValue, Capability, MailboxDatum, NameAttribute, Response, ResponseCode, Status, StatusAttribute,
};

/// What SELECT and EXAMINE tell, collected answer by answer.
#[derive(Default)]
pub(super) struct SelectedParts {
    uid_validity: Option<u32>,
    uid_next: u32,
    exists: u32,
}

impl SelectedParts {
    pub(super) fn take(&mut self, answer: &Response<'_>) {
        match answer {
            Response::Data { status: Status::Ok, outcome } => match &outcome.code {
                Some(ResponseCode::UidValidity(validity)) => self.uid_validity = Some(*validity),
                Some(ResponseCode::UidNext(next)) => self.uid_next = *next,
                _ => {}
            },
            Response::MailboxData(MailboxDatum::Exists(count)) => self.exists = *count,
            _ => {}
        }
    }

    pub(super) fn finish(&self) -> Result<Selected, ImapError> {
        let uid_validity = self.uid_validity.ok_or_else(|| ImapError::Malformed("no UIDVALIDITY".to_owned()))?;
        Ok(Selected { uid_validity, exists: self.exists, uid_next: self.uid_next })
    }
}

/// Reads an answer; none when it is not understood.
pub(super) fn parse(answer: &[u8]) -> Option<Response<'_>> {
    if glues_text_to_code(answer) {
        return None;
    }
    Response::parse(answer).ok().map(|(_, response)| response)
}

/// True for a status whose text follows its code without a space and begins with no ASCII character:
/// the parser would cut that character in two, and panic.
fn glues_text_to_code(answer: &[u8]) -> bool {
    let mut words = answer.splitn(3, |byte| *byte == b' ');
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_status =
        [&b"OK"[..], b"NO", b"BAD", b"BYE", b"PREAUTH"].iter().any(|word| second.eq_ignore_ascii_case(word));
    (first == b"+" || is_status) && answer.windows(2).any(|pair| pair[0] == b']' && !pair[1].is_ascii())
}

/// Returns what follows our tag.
pub(super) fn tagged<'a>(answer: &'a [u8], tag: &str) -> Option<&'a [u8]> {
    answer.strip_prefix(tag.as_bytes())?.strip_prefix(b" ")
}

pub(super) fn done(name: &'static str, answer: &[u8], rest: &[u8]) -> Result<Done, ImapError> {
    if rest.get(..2).is_some_and(|word| word.eq_ignore_ascii_case(b"OK")) {
        let code = match parse(answer) {
            Some(Response::Done { outcome, .. }) => outcome.code.map(ResponseCode::into_owned),
            _ => None,
        };
        return Ok(Done { code });
    }
    let text: String = String::from_utf8_lossy(rest).trim().chars().filter(|c| !c.is_control()).take(300).collect();
    Err(ImapError::Refused { command: name, text })
}

pub(super) fn capability_name(capability: &Capability<'_>) -> String {
    match capability {
        Capability::Imap4rev1 => "IMAP4REV1".to_owned(),
        Capability::Auth(name) => format!("AUTH={}", name.to_ascii_uppercase()),
        Capability::Atom(name) => name.to_ascii_uppercase(),
    }
}

/// Takes a LIST answer, or the STATUS that belongs to one (RFC 5819).
pub(super) fn listed(answer: &Response<'_>, folders: &mut Vec<Listed>) {
    match answer {
        Response::MailboxData(MailboxDatum::List(item)) => {
            let closed = |word: &NameAttribute<'_>| {
                let absent =
                    matches!(word, NameAttribute::Extension(name) if name.eq_ignore_ascii_case("\\NonExistent"));
                absent || matches!(word, NameAttribute::NoSelect)
            };
            if !item.name_attributes.iter().any(closed) {
                let special_use = item.name_attributes.iter().find_map(special_use);
                folders.push(Listed { name: item.name.to_string(), special_use, messages: None });
            }
        }
        Response::MailboxData(MailboxDatum::Status { mailbox, status }) => {
            let count = status.iter().find_map(|item| match item {
                StatusAttribute::Messages(count) => Some(*count),
                _ => None,
            });
            if let Some(folder) = folders.iter_mut().find(|folder| folder.name == *mailbox) {
                folder.messages = count;
            }
        }
        _ => {}
    }
}

fn special_use(word: &NameAttribute<'_>) -> Option<&'static str> {
    Some(match word {
        NameAttribute::All => "\\All",
        NameAttribute::Archive => "\\Archive",
        NameAttribute::Drafts => "\\Drafts",
        NameAttribute::Flagged => "\\Flagged",
        NameAttribute::Junk => "\\Junk",
        NameAttribute::Sent => "\\Sent",
        NameAttribute::Trash => "\\Trash",
        _ => return None,
    })
}

pub(super) fn is_fetch_of(answer: &Response<'_>, uid: u32) -> bool {
    let Response::Fetch(_, values) = answer else { return false };
    values.iter().any(|value| matches!(value, AttributeValue::Uid(found) if *found == uid))
}

pub(super) fn fetched(answer: &Response<'_>) -> Option<Fetched> {
    let Response::Fetch(_, values) = answer else { return None };
    let (mut uid, mut flags, mut date, mut raw) = (None, None, None, None);
    for value in values {
        match value {
            AttributeValue::Uid(value) => uid = Some(*value),
            AttributeValue::Flags(value) => flags = Some(value),
            AttributeValue::InternalDate(value) => date = Some(value.to_string()),
            AttributeValue::BodySection { section: None, index: None, data: Some(data) } => {
                raw = Some(Bytes::copy_from_slice(data));
            }
            _ => {}
        }
    }
    let mut flags: Vec<String> = flags?.iter().map(|flag| flag.to_string()).collect();
    flags.retain(|flag| !flag.eq_ignore_ascii_case("\\Recent"));
    flags.sort();
    Some(Fetched { uid: uid?, flags, internal_date: date?, raw: raw? })
}

pub(super) fn single(set: &[UidSetMember]) -> Option<u32> {
    match set {
        [UidSetMember::Uid(uid)] => Some(*uid),
        [UidSetMember::UidRange(range)] if range.start() == range.end() => Some(*range.start()),
        _ => None,
    }
}

pub(super) fn copy_uid(code: Option<&ResponseCode<'_>>) -> Option<CopyUid> {
    let Some(ResponseCode::CopyUid(validity, sources, targets)) = code else { return None };
    Some(CopyUid { uid_validity: *validity, source_uid: single(sources)?, target_uid: single(targets)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_would_make_the_parser_panic_is_not_understood() {
        for answer in [
            "* OK [ALERT]\u{e9} x\r\n",
            "h4 ok [APPENDUID 5 8]\u{fffd} ok\r\n",
            "+ [ALERT]\u{e9}\r\n",
            "* BYE [X]\u{e9}\r\n",
        ] {
            assert!(parse(answer.as_bytes()).is_none(), "{answer}");
        }
        assert!(parse(b"h4 OK [APPENDUID 5 8]\xeb ok\r\n").is_none(), "not even text");
        for answer in ["* OK [ALERT] \u{e9}\r\n", "* LIST () \"/\" \"[x]y\"\r\n", "h4 OK [APPENDUID 5 8] ok\r\n"] {
            assert!(parse(answer.as_bytes()).is_some(), "{answer}");
        }
    }
}

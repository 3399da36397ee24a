//! What the stub answers to each call.

use super::store::Mailbox;
use super::stub::{Content, Fault};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Changes per page when nothing is asked for (Microsoft, "message: delta").
const CHANGES_PER_PAGE: usize = 10;

/// A request, decoded.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub method: String,
    /// Segments of the path, decoded.
    pub path: Vec<String>,
    pub query: BTreeMap<String, String>,
    /// Asked for immutable ids.
    pub immutable: bool,
    /// Rows per page asked for by preference.
    pub rows: Option<usize>,
    pub body: Value,
    /// Path as it came.
    raw_path: String,
}

/// An answer.
pub(super) struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
    /// Instead of JSON.
    pub raw: Option<Vec<u8>>,
    /// Breaks off in the middle.
    pub truncated: bool,
}

impl Ask {
    pub fn parse(method: &str, target: &str, prefer: &str) -> Self {
        let preferences = || prefer.split(',').map(str::trim);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let decode = |text: &str| percent(text);
        let query = query.split('&').filter_map(|pair| pair.split_once('='));
        Ask {
            method: method.to_owned(),
            path: path.split('/').filter(|part| !part.is_empty()).map(decode).collect(),
            query: query.map(|(key, value)| (decode(key), decode(value))).collect(),
            immutable: preferences().any(|one| one == "IdType=\"ImmutableId\""),
            rows: preferences().find_map(|one| one.strip_prefix("odata.maxpagesize=")?.parse().ok()),
            body: Value::Null,
            raw_path: path.to_owned(),
        }
    }

    pub fn mailbox(&self) -> Option<String> {
        (self.path.first()? == "users").then(|| self.path.get(1).cloned()).flatten()
    }
}

fn percent(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let hex = (*first == b'%').then(|| more.get(..2)).flatten().and_then(|pair| std::str::from_utf8(pair).ok());
        match hex.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Answer {
    pub fn new(status: u16, body: Value) -> Self {
        let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
        Answer { status, headers, body, raw: None, truncated: false }
    }

    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Answer::new(status, json!({ "error": { "code": code, "message": message } }))
    }

    pub fn busy(status: u16, retry_after: Option<u64>) -> Self {
        let mut answer = Answer::error(status, "TooManyRequests", "Please try again later.");
        if let Some(seconds) = retry_after {
            answer.headers.insert("Retry-After".to_owned(), seconds.to_string());
        }
        answer
    }

    fn not_found() -> Self {
        Answer::error(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    }
}

/// Answers a request from the stub's content.
pub(super) fn to(content: &mut Content, base: &str, ask: &Ask) -> Answer {
    let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
    match (ask.method.as_str(), &path[..]) {
        ("GET", ["users"]) => {
            let users = content.users.clone();
            paged(content, base, ask, users)
        }
        ("GET", ["admin", "exchange", "tracing", "messageTraces"]) => {
            if content.fault(|fault| (*fault == Fault::NoTrace).then_some(())).is_some() {
                return Answer::error(404, "ResourceNotFound", "Resource not found for the segment 'tracing'.");
            }
            let filter = ask.query.get("$filter").cloned().unwrap_or_default();
            let found = content.traces.iter().filter(|trace| traced(trace, &filter)).cloned().collect();
            paged(content, base, ask, found)
        }
        (_, ["users", name, ..]) => match content.mailboxes.remove(*name) {
            None => Answer::error(404, "ErrorInvalidUser", "The requested user is invalid."),
            Some(mut mailbox) => {
                let answer = in_mailbox(content, &mut mailbox, base, ask, &path[2..]);
                content.mailboxes.insert((*name).to_owned(), mailbox);
                answer
            }
        },
        _ => Answer::error(404, "ResourceNotFound", "Resource not found for the segment."),
    }
}

fn in_mailbox(content: &mut Content, mailbox: &mut Mailbox, base: &str, ask: &Ask, path: &[&str]) -> Answer {
    match (ask.method.as_str(), path) {
        ("GET", ["messages"]) => {
            let hits = mailbox.mails.values().filter(|mail| !mailbox.is_hidden(&mail.folder));
            let hits = hits.filter(|mail| matches(mail, ask)).map(|mail| mail.json(ask.immutable)).collect();
            paged(content, base, ask, hits)
        }
        ("GET", ["messages", id]) => {
            mailbox.mail(id).map_or_else(Answer::not_found, |mail| Answer::new(200, mail.json(ask.immutable)))
        }
        ("GET", ["messages", id, "$value"]) => match mailbox.mail(id) {
            None => Answer::not_found(),
            Some(mail) => {
                let mut answer = Answer::new(200, Value::Null);
                answer.headers.insert("content-type".to_owned(), "text/plain".to_owned());
                answer.raw = Some(mail.raw.clone());
                answer
            }
        },
        ("POST", ["messages", id, "move"]) => relocate(content, mailbox, ask, id),
        ("DELETE", ["messages", id]) => remove(content, mailbox, id, "deleteditems"),
        ("POST", ["messages", id, "permanentDelete"]) => {
            if content.fault(|fault| (*fault == Fault::NoPermanentDelete).then_some(())).is_some() {
                return Answer::error(404, "BadRequest", "Resource not found for the segment 'permanentDelete'.");
            }
            remove(content, mailbox, id, "recoverableitemspurges")
        }
        ("GET", ["mailFolders"]) => {
            let top =
                mailbox.folders.values().filter(|folder| folder.parent.is_none() && !mailbox.is_hidden(&folder.id));
            let rows = top.map(|folder| mailbox.folder_json(folder)).collect();
            paged(content, base, ask, rows)
        }
        ("GET", ["mailFolders", id]) => match mailbox.folder(id) {
            None => Answer::not_found(),
            Some(folder) => Answer::new(200, mailbox.folder_json(folder)),
        },
        ("GET", ["mailFolders", id, "childFolders"]) => {
            let children = mailbox.folders.values().filter(|folder| folder.parent.as_deref() == Some(*id));
            let rows = children.map(|folder| mailbox.folder_json(folder)).collect();
            paged(content, base, ask, rows)
        }
        ("GET", ["mailFolders", id, "messages"]) => {
            let Some(folder) = mailbox.folder(id).map(|folder| folder.id.clone()) else { return Answer::not_found() };
            let hits = mailbox.mails.values().filter(|mail| mail.folder == folder && matches(mail, ask));
            let hits = hits.map(|mail| mail.json(ask.immutable)).collect();
            paged(content, base, ask, hits)
        }
        ("GET", ["mailFolders", id, "messages", "delta"]) => delta(content, mailbox, base, ask, id),
        _ => Answer::error(404, "ResourceNotFound", "Resource not found for the segment."),
    }
}

fn relocate(content: &mut Content, mailbox: &mut Mailbox, ask: &Ask, id: &str) -> Answer {
    let Some(mail) = mailbox.mail(id).cloned() else { return Answer::not_found() };
    let wanted = ask.body["destinationId"].as_str().unwrap_or_default();
    let Some(folder) = mailbox.folder(wanted).map(|folder| folder.id.clone()) else { return Answer::not_found() };
    if content.fault(|fault| (*fault == Fault::MoveLies).then_some(())).is_some() {
        return Answer::new(201, mail.json(ask.immutable));
    }
    let changes = content.fault(|fault| (*fault == Fault::IdChanges).then_some(())).is_some();
    match mailbox.relocate(id, &folder, !changes) {
        Some(moved) => Answer::new(201, moved.json(ask.immutable)),
        None => Answer::not_found(),
    }
}

fn remove(content: &mut Content, mailbox: &mut Mailbox, id: &str, to: &str) -> Answer {
    if mailbox.mail(id).is_none() {
        return Answer::not_found();
    }
    if content.fault(|fault| (*fault == Fault::RemovalLies).then_some(())).is_none() {
        let to = mailbox.folder(to).map(|folder| folder.id.clone()).unwrap_or_default();
        mailbox.relocate(id, &to, true);
    }
    Answer::new(204, Value::Null)
}

/// Changes of a folder after the number in the link's token.
fn delta(content: &mut Content, mailbox: &Mailbox, base: &str, ask: &Ask, folder: &str) -> Answer {
    let Some(folder) = mailbox.folder(folder).map(|folder| folder.id.clone()) else { return Answer::not_found() };
    let token = ask.query.get("$deltatoken").or(ask.query.get("$skiptoken"));
    if token.is_some() && content.fault(|fault| (*fault == Fault::DeltaExpired).then_some(())).is_some() {
        return Answer::error(410, "syncStateNotFound", "The sync state generation is not found; continuation=true");
    }
    let from: usize = token.and_then(|token| token.parse().ok()).unwrap_or_default();
    // 10 unless more are asked for, and never more than the service likes
    let size = content.page.min(ask.rows.unwrap_or(CHANGES_PER_PAGE));
    let page: Vec<_> = mailbox.changes.iter().skip(from).take(size).collect();
    let rows = page.iter().filter(|(changed, _, _)| *changed == folder).filter_map(|(_, id, came)| {
        let gone = json!({ "@removed": { "reason": "deleted" }, "id": id });
        match (came, mailbox.mails.get(id)) {
            (true, Some(mail)) if mail.folder == folder => Some(mail.json(ask.immutable)),
            (true, _) => None,
            (false, _) => Some(gone),
        }
    });
    let mut body =
        json!({ "@odata.context": format!("{base}/$metadata#Collection(message)"), "value": rows.collect::<Vec<_>>() });
    let end = from + page.len();
    let (name, key) = match end < mailbox.changes.len() {
        true => ("@odata.nextLink", "$skiptoken"),
        false => ("@odata.deltaLink", "$deltatoken"),
    };
    body[name] = link(content, format!("{base}{}?{key}={end}", ask.raw_path)).into();
    Answer::new(200, body)
}

/// One page of a list, with a link to the next.
fn paged(content: &mut Content, base: &str, ask: &Ask, rows: Vec<Value>) -> Answer {
    let from: usize = ask.query.get("$skiptoken").and_then(|token| token.parse().ok()).unwrap_or_default();
    let top = ask.query.get("$top").and_then(|top| top.parse().ok()).unwrap_or(usize::MAX);
    let size = content.page.min(top);
    let mut body = json!({ "value": rows.iter().skip(from).take(size).cloned().collect::<Vec<_>>() });
    if rows.len() > from + size {
        let mut query: Vec<String> = ask
            .query
            .iter()
            .filter(|(key, _)| *key != "$skiptoken")
            .map(|(key, value)| format!("{key}={}", value.replace(' ', "%20").replace('#', "%23").replace('&', "%26")))
            .collect();
        query.push(format!("$skiptoken={}", from + size));
        body["@odata.nextLink"] = link(content, format!("{base}{}?{}", ask.raw_path, query.join("&"))).into();
    }
    Answer::new(200, body)
}

fn link(content: &mut Content, right: String) -> String {
    let foreign = content.fault(|fault| match fault {
        Fault::ForeignLink(to) => Some(to.clone()),
        _ => None,
    });
    foreign.unwrap_or(right)
}

/// The filters and searches we send, and no others.
fn matches(mail: &super::StubMail, ask: &Ask) -> bool {
    let literal = |text: &str| text.trim_end_matches(')').trim_matches('\'').replace("''", "'");
    if let Some(search) = ask.query.get("$search") {
        let words = search.trim_matches('"').trim_start_matches("body:").to_lowercase();
        return String::from_utf8_lossy(&mail.raw).to_lowercase().contains(&words);
    }
    let Some(filter) = ask.query.get("$filter") else { return true };
    if let Some(id) = filter.strip_prefix("internetMessageId eq ") {
        return mail.message_id == literal(id);
    }
    if let Some(time) = filter.strip_prefix("lastModifiedDateTime ge ") {
        return mail.modified.as_str() >= time;
    }
    let named = filter.split_once("} Name ").and_then(|(_, rest)| rest.split_once("' and ep/value eq "));
    named.is_some_and(|(name, value)| mail.header(name) == Some(literal(value)))
}

fn traced(trace: &Value, filter: &str) -> bool {
    filter.split(" and ").all(|term| {
        let parts: Vec<&str> = term.splitn(3, ' ').collect();
        let [name, operator, value] = parts[..] else { return false };
        let own = trace[name].as_str().unwrap_or_default();
        let value = value.trim_matches('\'').replace("''", "'");
        match operator {
            "eq" => own == value,
            "ge" => own >= value.as_str(),
            "le" => own <= value.as_str(),
            _ => false,
        }
    })
}

//! The stub's mailboxes, in memory.

use hinomi_model::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Folders with names that are the same in every language, with what a person reads.
const WELL_KNOWN: [(&str, &str); 8] = [
    ("inbox", "受信トレイ"),
    ("junkemail", "迷惑メール"),
    ("deleteditems", "削除済みアイテム"),
    ("sentitems", "送信済みアイテム"),
    ("drafts", "下書き"),
    ("archive", "アーカイブ"),
    ("recoverableitemsdeletions", "Deletions"),
    ("recoverableitemspurges", "Purges"),
];

/// One mailbox.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    /// By folder id.
    pub folders: BTreeMap<String, StubFolder>,
    /// By immutable id.
    pub mails: BTreeMap<String, StubMail>,
    /// What happened, oldest first: folder, mail, and whether it came or went.
    pub changes: Vec<(String, String, bool)>,
}

/// A folder.
#[derive(Debug, Clone)]
pub(super) struct StubFolder {
    pub id: String,
    pub well_known: Option<&'static str>,
    pub name: String,
    pub parent: Option<String>,
}

/// A mail in a mailbox.
#[derive(Debug, Clone)]
pub struct StubMail {
    /// Immutable id.
    pub id: String,
    /// Id of those who do not ask for immutable ones; another after each move.
    pub plain_id: String,
    /// Folder id.
    pub folder: String,
    /// Message-ID with angle brackets.
    pub message_id: String,
    /// Every byte.
    pub raw: Vec<u8>,
    /// Read.
    pub is_read: bool,
    /// Flagged.
    pub flagged: bool,
    /// When it arrived, RFC 3339.
    pub received: String,
    /// When it was moved last, RFC 3339.
    pub modified: String,
}

impl Mailbox {
    pub fn new(name: &str) -> Self {
        let mut mailbox = Mailbox::default();
        for (well_known, shown) in WELL_KNOWN {
            let id = format!("F-{name}-{well_known}");
            let folder =
                StubFolder { id: id.clone(), well_known: Some(well_known), name: shown.to_owned(), parent: None };
            mailbox.folders.insert(id, folder);
        }
        mailbox
    }

    /// A folder by id or well-known name.
    pub fn folder(&self, name: &str) -> Option<&StubFolder> {
        let known = |folder: &&StubFolder| folder.well_known.is_some_and(|own| own.eq_ignore_ascii_case(name));
        self.folders.get(name).or_else(|| self.folders.values().find(known))
    }

    /// Folders of the hidden part: lists of a whole mailbox leave their mails out.
    pub fn is_hidden(&self, folder: &str) -> bool {
        let well_known = self.folders.get(folder).and_then(|folder| folder.well_known);
        well_known.is_some_and(|name| name.starts_with("recoverable"))
    }

    /// A mail by either of its ids.
    pub fn mail(&self, id: &str) -> Option<&StubMail> {
        self.mails.get(id).or_else(|| self.mails.values().find(|mail| mail.plain_id == id))
    }

    /// Puts a mail into another folder; its plain id changes.
    pub fn relocate(&mut self, id: &str, folder: &str, keep_immutable: bool) -> Option<StubMail> {
        let id = self.mail(id)?.id.clone();
        let mut mail = self.mails.remove(&id)?;
        self.changes.push((mail.folder.clone(), id.clone(), false));
        mail.folder = folder.to_owned();
        mail.modified = now();
        mail.plain_id = format!("{}-moved", mail.plain_id);
        if !keep_immutable {
            mail.id = format!("{}-new", mail.id);
        }
        self.changes.push((mail.folder.clone(), mail.id.clone(), true));
        self.mails.insert(mail.id.clone(), mail.clone());
        Some(mail)
    }

    pub fn folder_json(&self, folder: &StubFolder) -> Value {
        let inside = self.mails.values().filter(|mail| mail.folder == folder.id);
        let unread = inside.clone().filter(|mail| !mail.is_read).count();
        json!({
            "id": folder.id,
            "displayName": folder.name,
            "parentFolderId": folder.parent.clone().unwrap_or_else(|| "F-root".to_owned()),
            "childFolderCount": self.folders.values().filter(|child| child.parent.as_ref() == Some(&folder.id)).count(),
            "unreadItemCount": unread,
            "totalItemCount": inside.count(),
            "isHidden": false,
        })
    }
}

impl StubMail {
    /// The properties every answer of ours has.
    pub fn json(&self, immutable: bool) -> Value {
        json!({
            "@odata.etag": format!("W/\"{}\"", self.plain_id),
            "id": if immutable { &self.id } else { &self.plain_id },
            "parentFolderId": self.folder,
            "internetMessageId": self.message_id,
            "receivedDateTime": self.received,
            "lastModifiedDateTime": self.modified,
            "isRead": self.is_read,
            "isDraft": false,
            "flag": { "flagStatus": if self.flagged { "flagged" } else { "notFlagged" } },
        })
    }

    /// Header of this name in the mail as it is, without decoding.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.raw).into_owned();
        let head = text.split("\r\n\r\n").next()?;
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    }
}

/// The present time, RFC 3339.
fn now() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let at = Timestamp::from_micros(i64::try_from(now.as_micros()).unwrap_or_default()).to_string();
    format!("{}Z", &at[..19])
}

/// When the first mail arrives, unless told otherwise.
pub(super) fn begin() -> Timestamp {
    Timestamp::parse("2026-11-22T01:00:00Z").expect("a time")
}

/// Time of arrival of a stub's mails.
pub(super) fn received(begin: Timestamp, minutes: usize) -> String {
    let at = begin.plus_seconds(60 * minutes as i64).to_string();
    format!("{}Z", &at[..19])
}

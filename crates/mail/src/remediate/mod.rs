//! Finding, taking out and putting back copies of messages in mailboxes.
//!
//! Taking out: intent into the [`Journal`], the mail with flags, date and folder into the
//! [`Vault`] (durable), then `\Deleted` and `UID EXPUNGE`, then a look whether the UID is gone, then
//! the result into the journal. Putting back: intent, `APPEND` with flags and date, a look at what
//! is there byte by byte, result. A process killed anywhere resumes by running the same call again:
//! it looks at journal, vault and mailbox and neither loses nor doubles a mail.
//!
//! A mail is never taken out because of its Message-ID alone: sender chooses that. Body and
//! attachments must be those of the wanted message; others are reported, see [`Candidate`].

mod engine;
mod find;
mod identity;
mod remove;
mod restore;

pub use engine::{Access, Engine};
pub use identity::Identity;

use bytes::Bytes;
use futures::future::BoxFuture;
use hinomi_model::{DeliveryLocation, MessageCopyRef, ReceiptState, Text};
use serde::{Deserialize, Serialize};

/// Header with our own id that the gateway writes into mails it lets through.
pub const OWN_ID_HEADER: &str = "X-Hinomi-Message-Id";

/// A copy that is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Message and recipient.
    pub copy: MessageCopyRef,
    /// Mailbox of the recipient, as the mail server's login names it.
    pub mailbox: String,
    /// What makes a mail the wanted one.
    pub identity: Identity,
}

/// A mail in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// Mailbox.
    pub mailbox: String,
    /// Folder as the server names it.
    pub folder: String,
    /// Special use of the folder (`\Junk`, `\Trash` …), if any.
    pub special_use: Option<String>,
    /// Validity of the UID.
    pub uid_validity: u32,
    /// UID.
    pub uid: u32,
    /// Flags without `\Recent`, sorted.
    pub flags: Vec<String>,
    /// INTERNALDATE as the server writes it.
    pub internal_date: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the whole mail, lower-case hex.
    pub raw_sha256: String,
}

impl Located {
    /// Where this is, in the words of the hunting tables.
    pub fn location(&self) -> DeliveryLocation {
        location_of(self.special_use.as_deref())
    }
}

/// Where a folder of this special use is, in the words of the hunting tables.
pub fn location_of(special_use: Option<&str>) -> DeliveryLocation {
    match special_use {
        Some("\\Junk") => DeliveryLocation::JunkFolder,
        Some("\\Trash") => DeliveryLocation::DeletedItems,
        _ => DeliveryLocation::Inbox,
    }
}

/// A mail with the same Message-ID whose content is not that of the wanted message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Where it is.
    pub located: Located,
    /// What differs.
    pub difference: String,
}

/// What a look into a mailbox found for one copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The mailbox was read.
    Seen {
        /// Mails that are the wanted one.
        present: Vec<Located>,
        /// Mails that only claim to be.
        differing: Vec<Candidate>,
    },
    /// The mailbox could not be read, and why.
    Failed(String),
}

/// A mail as it was before it was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMail {
    /// Where it was, with flags and date.
    pub located: Located,
    /// Every byte of it.
    pub raw: Bytes,
}

/// Durable store of removed mails.
pub trait Vault: Send + Sync {
    /// Keeps a mail; durable when this returns. A key that is there already keeps its first mail:
    /// what a resumed removal sees has our own `\Deleted` on it.
    fn put<'a>(&'a self, key: &'a str, mail: &'a StoredMail) -> BoxFuture<'a, Result<(), String>>;

    /// Returns a kept mail.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<StoredMail>, String>>;
}

/// One mail of a removal or a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The mail before it was taken out.
    pub located: Located,
    /// Its key in the vault.
    pub vault_key: String,
    /// Restore: validity and next UID of the target folder just before the mail was put back. A
    /// restore that was interrupted looks for its mail from there on.
    #[serde(default)]
    pub target: Option<Target>,
    /// Restore: UID of the mail that was put back.
    #[serde(default)]
    pub restored_uid: Option<u32>,
}

/// Where a restored mail goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Folder.
    pub folder: String,
    /// Validity of its UIDs.
    pub uid_validity: u32,
    /// Next UID before the mail was put there.
    pub uid_next: u32,
}

/// What is about to be done to one copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its mails; a user may have filed several.
    pub steps: Vec<Step>,
}

/// What became of one copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The copy.
    pub copy: MessageCopyRef,
    /// State of its receipt.
    pub state: ReceiptState,
    /// What happened, for people.
    pub detail: Text,
    /// Mails that were taken out or put back, with the numbers that prove it.
    pub steps: Vec<Step>,
    /// Mails that were left alone because their content differs.
    pub differing: Vec<Candidate>,
}

impl Outcome {
    /// Proof for the receipt: a JSON object as text.
    pub fn proof(&self) -> String {
        let steps: Vec<serde_json::Value> = self
            .steps
            .iter()
            .map(|step| {
                serde_json::json!({
                    "mailbox": step.located.mailbox,
                    "folder": step.located.folder,
                    "uid_validity": step.located.uid_validity,
                    "uid": step.located.uid,
                    "sha256": step.located.raw_sha256,
                    "restored_uid_validity": step.target.as_ref().map(|target| target.uid_validity),
                    "restored_uid": step.restored_uid,
                })
            })
            .collect();
        let differing: Vec<serde_json::Value> = self
            .differing
            .iter()
            .map(|candidate| {
                serde_json::json!({
                    "folder": candidate.located.folder,
                    "uid": candidate.located.uid,
                    "difference": candidate.difference,
                })
            })
            .collect();
        serde_json::json!({ "mails": steps, "left_alone": differing }).to_string()
    }
}

/// What the journal knows about one copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// What was about to be done.
    pub intent: Intent,
    /// What became of it; none = interrupted.
    pub outcome: Option<Outcome>,
}

/// Journal of one action: durable when its methods return.
pub trait Journal: Send + Sync {
    /// Returns what is known about a copy.
    fn entry<'a>(&'a self, copy: &'a MessageCopyRef) -> BoxFuture<'a, Result<Option<Entry>, String>>;

    /// Writes down what is about to be done; replaces an earlier intent of the copy.
    fn intent<'a>(&'a self, copy: &'a MessageCopyRef, intent: &'a Intent) -> BoxFuture<'a, Result<(), String>>;

    /// Writes down what became of a copy.
    fn outcome<'a>(&'a self, outcome: &'a Outcome) -> BoxFuture<'a, Result<(), String>>;
}

/// Why work on one copy ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemediateError {
    #[error(transparent)]
    Imap(#[from] crate::imap::ImapError),
    #[error("journal: {0}")]
    Journal(String),
    #[error("vault: {0}")]
    Vault(String),
    #[error("{0}")]
    Proof(String),
}

impl RemediateError {
    /// True when trying again on a new connection may help.
    fn is_passing(&self) -> bool {
        match self {
            RemediateError::Imap(error) => error.is_passing(),
            RemediateError::Proof(_) => true,
            RemediateError::Journal(_) | RemediateError::Vault(_) => false,
        }
    }
}

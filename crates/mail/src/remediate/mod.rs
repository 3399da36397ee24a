//! Finding, treating and putting back copies of messages in mailboxes, whatever system holds them.
//!
//! Taking out: intent into the [`Journal`], the mail with flags, date and folder into the
//! [`Vault`] (durable), then the removal with its proof, then the result into the journal. Moving:
//! intent, move, the place the system proves. Putting back: intent, storing (or moving back), a look
//! at what is there byte by byte, result. A process killed anywhere resumes by running the same call
//! again: it looks at journal, vault and mailbox and neither loses nor doubles a mail.
//!
//! A mail is never touched because of its Message-ID alone: sender chooses that. Body and
//! attachments must be those of the wanted message; others are reported, see [`Candidate`].

mod backoff;
mod engine;
mod find;
mod identity;
mod probe;
mod restore;
mod treat;
mod words;

pub use engine::Engine;
pub(crate) use engine::chain;
pub use identity::Identity;
pub use probe::{Probe, ProbeStep};

use crate::connector::{ConnectorError, Mark, Place};
use bytes::Bytes;
use futures::future::BoxFuture;
use hinomi_model::{DeliveryLocation, MessageCopyRef, ReceiptState, Text};
use serde::{Deserialize, Serialize};

/// Header with our own id that the gateway writes into mails it lets through.
pub const OWN_ID_HEADER: &str = "X-Hinomi-Message-Id";

/// A copy that is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Message and recipient; the sender's own copy goes under the sender's address.
    pub copy: MessageCopyRef,
    /// Mailbox, as the mail system names it.
    pub mailbox: String,
    /// What makes a mail the wanted one.
    pub identity: Identity,
    /// Only in the sent items: the sender's own copy.
    pub sent_only: bool,
}

/// A mail in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// Mailbox.
    pub mailbox: String,
    /// Folder and id.
    pub place: Place,
    /// Flags without `\Recent`, sorted.
    pub flags: Vec<String>,
    /// When the system received it, as IMAP writes INTERNALDATE.
    pub internal_date: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the whole mail, lower-case hex.
    pub raw_sha256: String,
}

impl Located {
    /// Where this is, in the words of the hunting tables.
    pub fn location(&self) -> DeliveryLocation {
        self.place.folder.location()
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
    /// Keeps a mail and returns what is kept under the key, durable. A key that is there already
    /// keeps its first mail: what a resumed removal sees may have our own `\Deleted` on it.
    fn put<'a>(&'a self, key: &'a str, mail: &'a StoredMail) -> BoxFuture<'a, Result<StoredMail, String>>;

    /// Returns a kept mail.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<StoredMail>, String>>;
}

/// One mail that is treated or put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The mail before it was touched.
    pub located: Located,
    /// Its key in the vault; none = no copy is kept.
    pub vault_key: Option<String>,
    /// Where it was moved to.
    pub moved_to: Option<Place>,
    /// Putting back: how far its folder was filled just before. What was interrupted looks for its
    /// mail from there on.
    pub mark: Option<Mark>,
    /// Putting back: what is there now.
    pub restored: Option<Restored>,
}

/// A mail that was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// Where it is.
    pub place: Place,
    /// What the system did not keep: flags and date; empty = everything is as before.
    pub lost: Vec<Text>,
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
    /// Mails that were treated or put back, with the ids that prove it.
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
                let restored = step.restored.as_ref();
                serde_json::json!({
                    "mailbox": step.located.mailbox,
                    "folder": step.located.place.folder.id,
                    "id": step.located.place.id,
                    "sha256": step.located.raw_sha256,
                    "moved_to": step.moved_to.as_ref().map(place_json),
                    "restored": restored.map(|restored| place_json(&restored.place)),
                    "not_kept": restored.map(|restored| restored.lost.iter().map(|text| &text.en).collect::<Vec<_>>()),
                })
            })
            .collect();
        let differing: Vec<serde_json::Value> = self
            .differing
            .iter()
            .map(|candidate| {
                let mut json = place_json(&candidate.located.place);
                json["difference"] = candidate.difference.as_str().into();
                json
            })
            .collect();
        serde_json::json!({ "mails": steps, "left_alone": differing }).to_string()
    }
}

fn place_json(place: &Place) -> serde_json::Value {
    serde_json::json!({ "folder": place.folder.id, "id": place.id })
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
    Connector(#[from] ConnectorError),
    #[error("journal: {0}")]
    Journal(String),
    #[error("vault: {0}")]
    Vault(String),
    #[error("{0}")]
    Proof(String),
}

impl RemediateError {
    /// True when trying again on a newly opened mailbox may help.
    fn is_passing(&self) -> bool {
        match self {
            RemediateError::Connector(error) => error.is_passing(),
            RemediateError::Proof(_) => true,
            RemediateError::Journal(_) | RemediateError::Vault(_) => false,
        }
    }
}

//! What a mailbox system must be able to do, so that finding, removing and restoring is written once.
//!
//! A [`Connector`] reaches the mailboxes of one system; a [`Mailbox`] is one of them, opened. The
//! rest of the work (what makes a mail the wanted one, journal of intent, vault, receipts, retries)
//! lies in [`crate::remediate`] and is the same for every system.
//!
//! Rules every connector keeps:
//!
//! - **Proof, not OK.** A mailbox answers what it did from what the system showed (COPYUID, the new
//!   id, a look afterwards), never from a mere success code. Not being there is an answer
//!   (`None`, `false`), not an error.
//! - **An answer fits the question.** An id holds only inside the folder it was read from and while
//!   the system has not renumbered it; a renumbered folder is [`ConnectorError::Changed`].
//! - **Everything has an end.** Calls come back within the connector's own deadlines, whatever the
//!   system sends.

pub mod imap;
pub mod maildir;

use bytes::Bytes;
use futures::future::BoxFuture;
use hinomi_model::{DeliveryLocation, Text, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The mailboxes of one system.
pub trait Connector: Send + Sync + std::fmt::Debug {
    /// Opens a mailbox. May be lazy: then the first thing asked of the mailbox is what fails.
    ///
    /// # Errors
    /// When the system cannot be reached or refuses.
    fn open<'a>(&'a self, mailbox: &'a str) -> BoxFuture<'a, Result<Box<dyn Mailbox>, ConnectorError>>;

    /// Mailboxes worked on at the same time, at most. A connector that sends requests of several
    /// mailboxes together asks for more than it has connections.
    fn concurrency(&self) -> usize;
}

/// One opened mailbox. Its methods are called one after the other.
pub trait Mailbox: Send {
    /// What this system can do and what it lacks. Known after the first answer of the system.
    fn abilities(&self) -> Abilities;

    /// Reads the mails that may be the wanted one, from every folder of the mailbox, the hidden one
    /// included, without marking them read. The system's comparison may be wider (a part of the header, upper and lower case):
    /// who asks compares again.
    ///
    /// # Errors
    /// [`ConnectorError::Refused`] for more than `max` mails.
    fn candidates<'a>(&'a mut self, search: &'a Search, max: usize)
    -> BoxFuture<'a, Result<Vec<Mail>, ConnectorError>>;

    /// True when the mail is (still) at this place.
    fn is_at<'a>(&'a mut self, place: &'a Place) -> BoxFuture<'a, Result<bool, ConnectorError>>;

    /// Returns the folder of this role, made when it is missing and can be made.
    ///
    /// # Errors
    /// [`ConnectorError::Unable`] when the mailbox has none and cannot get one.
    fn folder<'a>(&'a mut self, role: FolderRole) -> BoxFuture<'a, Result<Folder, ConnectorError>>;

    /// Moves a mail; returns the place the system proved it has now, `None` when it was not there.
    fn relocate<'a>(
        &'a mut self,
        from: &'a Place,
        to: &'a Folder,
    ) -> BoxFuture<'a, Result<Option<Place>, ConnectorError>>;

    /// Removes one mail, and only that one, for good and looks whether it is gone. False when it was
    /// not there.
    fn destroy<'a>(&'a mut self, place: &'a Place) -> BoxFuture<'a, Result<bool, ConnectorError>>;

    /// Notes how far a folder is filled, making the folder when it is gone. What [`Mailbox::put`]
    /// adds lies behind the mark.
    fn mark<'a>(&'a mut self, folder: &'a Folder) -> BoxFuture<'a, Result<Mark, ConnectorError>>;

    /// Stores a mail in the marked folder and returns what the system kept of it, read back.
    fn put<'a>(&'a mut self, mark: &'a Mark, mail: &'a NewMail) -> BoxFuture<'a, Result<Mail, ConnectorError>>;

    /// Reads the mails that came into a folder since its mark: among them is the mail of a
    /// [`Mailbox::put`] whose answer was lost.
    ///
    /// # Errors
    /// [`ConnectorError::Refused`] for more than `max` mails.
    fn since<'a>(&'a mut self, mark: &'a Mark, max: usize) -> BoxFuture<'a, Result<Vec<Mail>, ConnectorError>>;

    /// Ends the work on this mailbox.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// Mailboxes that can be read whole, for the background crawl.
pub trait Whole: Send + Sync + std::fmt::Debug {
    /// Opens a mailbox for reading all of it.
    ///
    /// # Errors
    /// When the system cannot be reached or refuses.
    fn walk<'a>(&'a self, mailbox: &'a str) -> BoxFuture<'a, Result<Box<dyn Walk>, ConnectorError>>;
}

/// A mailbox opened for reading all of it. Its methods are called one after the other.
pub trait Walk: Send {
    /// Its folders that hold mail: no drafts, and none that only show mails of others.
    fn folders(&self) -> &[Folder];

    /// Tells what changed in a folder since an earlier answer's cursor; without one, all it holds. To be
    /// asked again while there is more. `None` when the system does not let us read the folder.
    fn changes<'a>(
        &'a mut self,
        folder: &'a str,
        since: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<Changes>, ConnectorError>>;

    /// Reads a mail of the folder asked about last, without marking it read; `None` when it is gone.
    fn fetch<'a>(&'a mut self, id: &'a str) -> BoxFuture<'a, Result<Option<Held>, ConnectorError>>;

    /// Ends the work on this mailbox.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// A system that knows its own mailboxes and who got which mail.
pub trait Tenant: Send + Sync + std::fmt::Debug {
    /// Lists the mailboxes with their addresses.
    ///
    /// # Errors
    /// When the system cannot be reached or refuses.
    fn owners(&self) -> BoxFuture<'_, Result<Vec<Owner>, ConnectorError>>;

    /// Tells to whom a mail went. `None` when the system does not offer that.
    ///
    /// # Errors
    /// When the system cannot be reached or refuses.
    fn recipients<'a>(&'a self, asked: &'a TraceAsked) -> BoxFuture<'a, Result<Option<Vec<Traced>>, ConnectorError>>;
}

/// A mailbox and the addresses mail reaches it at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// Mailbox as the system names it, lower case.
    pub mailbox: String,
    /// Addresses, lower case, the primary one first.
    pub addresses: Vec<String>,
}

/// Which mail is traced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceAsked {
    /// Message-ID without angle brackets, 1 to 900 bytes.
    pub message_id: String,
    /// Not before.
    pub from: Timestamp,
    /// Not after.
    pub to: Timestamp,
    /// Recipients told, at most.
    pub max: usize,
}

/// One recipient of a traced mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traced {
    /// Address, lower case.
    pub recipient: String,
    /// What became of it, in the system's words (`delivered`, `quarantined` …).
    pub status: String,
}

/// What changed in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// The earlier cursor means nothing any more (renumbered, forgotten): what was known of the folder
    /// is over, and this is its beginning.
    pub anew: bool,
    /// Mails that came, and perhaps some that were known, oldest first.
    pub new: Vec<Came>,
    /// Mails that left.
    pub gone: Gone,
    /// Where to go on once the mails of `new` are read: opaque, at most 16 KiB.
    pub cursor: String,
    /// There is more to be asked for now.
    pub more: bool,
}

/// A mail that came into a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Came {
    /// Id within the folder.
    pub id: String,
    /// Cursor that goes on after this one; none = only behind all of them.
    pub then: Option<String>,
}

/// Mails that left a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gone {
    /// These.
    These(Vec<String>),
    /// Whatever was known and is not among these.
    AllBut(Vec<String>),
}

/// A mail read with its mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// When the system received it, as IMAP writes INTERNALDATE.
    pub internal_date: String,
    /// Every byte of it.
    pub raw: Bytes,
}

/// What a system can do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Abilities {
    /// Stores mails with their flags and date, byte for byte: a mail can be taken into the vault and
    /// put back from there.
    pub puts: bool,
    /// Has a hidden folder for removed mails ([`FolderRole::Recoverable`]): a soft delete moves there.
    pub hides: bool,
    /// Things this system lacks and what that means, in words for people.
    pub missing: Vec<Text>,
}

/// What a message is looked for by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Search {
    /// Message-ID without angle brackets: printable ASCII, 1 to 900 bytes.
    MessageId(String),
    /// Value of the header [`crate::remediate::OWN_ID_HEADER`] the gateway writes: printable ASCII, 1 to 900 bytes.
    OwnId(String),
    /// Words of the body, as the system searches them: 1 to 900 bytes.
    Body(String),
}

/// What a folder is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderRole {
    /// Where mail arrives.
    Inbox,
    /// Junk.
    Junk,
    /// Deleted items.
    DeletedItems,
    /// Sent items.
    Sent,
    /// Drafts.
    Drafts,
    /// Archive.
    Archive,
    /// Removed mails the owner does not see (Exchange: recoverable items).
    Recoverable,
}

impl FolderRole {
    /// Where mails of such a folder are, in the words of the hunting tables.
    pub fn location(self) -> DeliveryLocation {
        match self {
            FolderRole::Junk => DeliveryLocation::JunkFolder,
            FolderRole::DeletedItems => DeliveryLocation::DeletedItems,
            FolderRole::Recoverable => DeliveryLocation::Quarantine,
            FolderRole::Inbox | FolderRole::Sent | FolderRole::Drafts | FolderRole::Archive => DeliveryLocation::Inbox,
        }
    }
}

/// A folder of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// Name or id the system knows it by.
    pub id: String,
    /// Name as people read it, with its parents.
    pub name: String,
    /// What it is for; none = a folder of the owner.
    pub role: Option<FolderRole>,
}

impl Folder {
    /// Where mails of this folder are, in the words of the hunting tables.
    pub fn location(&self) -> DeliveryLocation {
        self.role.map_or(DeliveryLocation::Inbox, FolderRole::location)
    }
}

/// What the system calls a mail.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MailId {
    /// IMAP: UID and validity of the folder's UIDs.
    Uid {
        /// Changes when the server renumbers.
        uid_validity: u32,
        /// UID.
        uid: u32,
    },
    /// Maildir: name of the file without flags, unique in its mailbox.
    File {
        /// The name.
        name: String,
    },
    /// An id that stays with the mail wherever it is moved in its mailbox (Microsoft Graph: immutable id).
    Immutable {
        /// The id.
        id: String,
    },
}

/// Where a mail is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Folder.
    pub folder: Folder,
    /// Id.
    pub id: MailId,
}

/// A mail as a mailbox holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Where it is.
    pub place: Place,
    /// Flags as IMAP names them (`\Seen`, `\Flagged`, `\Answered`, `\Draft`, keywords), without
    /// `\Recent`, sorted.
    pub flags: Vec<String>,
    /// When the system received it, as IMAP writes INTERNALDATE (`22-Nov-2026 02:27:03 +0000`).
    pub internal_date: String,
    /// Every byte of it.
    pub raw: Bytes,
}

/// A mail to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMail {
    /// As in [`Mail`].
    pub flags: Vec<String>,
    /// As in [`Mail`].
    pub internal_date: String,
    /// As in [`Mail`].
    pub raw: Bytes,
}

/// How far a folder was filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Folder.
    pub folder: Folder,
    /// IMAP: the next UID; others: whatever the connector needs to tell older mails from newer ones.
    pub next: MailId,
}

/// Why work on a mailbox failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// Not now: the same thing may work later on a newly opened mailbox.
    #[error("{attempt}")]
    Passing {
        /// What was attempted on what.
        attempt: String,
        /// How long the system asks to be left alone, if it says so.
        retry_after: Option<Duration>,
        /// Why.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The system refuses, and would again.
    #[error("{attempt}")]
    Refused {
        /// What was attempted on what, and what the system said.
        attempt: String,
        /// Why.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The system lacks what this needs.
    #[error("the mail system cannot do this: {}", .0.en)]
    Unable(Text),
    /// Something is not as it was when it was looked at last; looking again may help.
    #[error("{0}")]
    Changed(String),
}

impl ConnectorError {
    /// A refusal without a cause of its own.
    pub fn refused(attempt: impl Into<String>) -> Self {
        ConnectorError::Refused { attempt: attempt.into(), source: None }
    }

    /// True when trying again on a newly opened mailbox may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, ConnectorError::Passing { .. } | ConnectorError::Changed(_))
    }

    /// How long the system asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ConnectorError::Passing { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

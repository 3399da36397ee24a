//! What server and mail worker say to each other.
//!
//! Work on one opened mailbox is a session, numbered by the server. Questions of a session are asked
//! one after the other. Mails travel as a head with their size, followed by pieces of bytes.

use super::frame::FrameError;
use crate::connector::{Abilities, ConnectorError, Folder, FolderRole, Mail, Mark, NewMail, Place, Search, TraceAsked};
use bytes::Bytes;
use hinomi_model::Text;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Largest mail that travels, bytes: that of the connectors with some room.
pub const MAIL_BYTES_MAX: u64 = 192 << 20;
/// Mails in one answer, at most.
pub const MAILS_MAX: usize = 100_000;
/// Bytes of all mails of one answer. The IMAP connector itself stops at 256 MiB.
pub const ANSWER_BYTES_MAX: u64 = 512 << 20;
/// Longest text of an error, in characters.
const ERROR_CHARS_MAX: usize = 4_000;
/// Longest Message-ID that is traced, bytes.
const MESSAGE_ID_BYTES_MAX: usize = 900;
/// Longest name of a mailbox, bytes.
const MAILBOX_BYTES_MAX: usize = 1_000;

/// From the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case", deny_unknown_fields)]
pub enum ToWorker {
    /// Are you there?
    Ping,
    /// Open a mailbox as a new session.
    Open {
        /// Number of the session.
        session: u64,
        /// Mailbox.
        mailbox: String,
        /// To read it whole instead of looking for mails.
        whole: bool,
    },
    /// A question about the whole system, a session of its own.
    Query {
        /// Number of the session.
        session: u64,
        /// The question.
        query: Query,
    },
    /// A question of a session.
    Ask {
        /// The session.
        session: u64,
        /// The question.
        ask: Ask,
    },
    /// Bytes of the mail of the last question.
    Piece {
        /// The session.
        session: u64,
    },
    /// The session is over; end it well.
    Close {
        /// The session.
        session: u64,
    },
    /// Nobody waits for this session any more; drop it as it is.
    Drop {
        /// The session.
        session: u64,
    },
}

/// A question about the whole system: the methods of [`crate::connector::Tenant`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Query {
    /// See [`crate::connector::Tenant::owners`].
    Owners,
    /// See [`crate::connector::Tenant::recipients`].
    Recipients(TraceAsked),
}

/// A question about an opened mailbox: the methods of [`crate::connector::Mailbox`] and
/// [`crate::connector::Walk`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// See [`crate::connector::Mailbox::candidates`].
    Candidates {
        /// By what.
        search: Search,
        /// At most.
        max: usize,
    },
    /// See [`crate::connector::Mailbox::is_at`].
    IsAt(Place),
    /// See [`crate::connector::Mailbox::folder`].
    Folder(FolderRole),
    /// See [`crate::connector::Mailbox::relocate`].
    Relocate {
        /// From.
        from: Place,
        /// To.
        to: Folder,
    },
    /// See [`crate::connector::Mailbox::destroy`].
    Destroy(Place),
    /// See [`crate::connector::Mailbox::mark`].
    Mark(Folder),
    /// See [`crate::connector::Mailbox::put`]; the mail's bytes follow.
    Put {
        /// Where to.
        mark: Mark,
        /// As in [`NewMail`].
        flags: Vec<String>,
        /// As in [`NewMail`].
        internal_date: String,
        /// Bytes that follow.
        size: u64,
    },
    /// See [`crate::connector::Mailbox::since`].
    Since {
        /// From where on.
        mark: Mark,
        /// At most.
        max: usize,
    },
    /// See [`crate::connector::Walk::changes`].
    Changes {
        /// Folder.
        folder: String,
        /// Cursor.
        since: Option<String>,
    },
    /// See [`crate::connector::Walk::fetch`].
    Fetch(String),
}

/// From the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case", deny_unknown_fields)]
pub enum FromWorker {
    /// The secrets are open and the privileges gone: mailboxes may be opened. Said once, first.
    Ready,
    /// It cannot work, and why. Said instead.
    Failed {
        /// Why.
        reason: String,
    },
    /// To a ping.
    Pong,
    /// Something of a session.
    Told {
        /// The session.
        session: u64,
        /// What.
        tell: Tell,
    },
}

/// Answers, in the order of their questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Tell {
    /// The mailbox is open.
    Opened {
        /// Folders, when it is read whole.
        folders: Vec<Folder>,
    },
    /// What the system can, as far as it is known: before the mailbox is open, and before the answer by
    /// which more became known.
    Abilities(Abilities),
    /// A mail; its bytes follow. Several may, before the end.
    Mail(MailHead),
    /// Bytes of the mail.
    Piece,
    /// The mails before it were all.
    End,
    /// Yes or no.
    Flag(bool),
    /// A folder.
    Folder(Folder),
    /// Where a mail is now, if it was there.
    Place(Option<Place>),
    /// How far a folder is filled.
    Mark(Mark),
    /// Changes of a folder, as JSON in the bytes that follow; none = it may not be read.
    Changes {
        /// Bytes that follow.
        size: Option<u64>,
    },
    /// The answer to a query, as JSON in the bytes that follow; none = the system does not offer it.
    Listed {
        /// Bytes that follow.
        size: Option<u64>,
    },
    /// It did not work.
    Error(Failure),
}

/// Bytes of the changes of a folder and of the answer to a query, at most.
pub const CHANGES_BYTES_MAX: u64 = 256 << 20;

/// A mail without its bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailHead {
    /// Where it is.
    pub place: Place,
    /// Flags.
    pub flags: Vec<String>,
    /// When it came.
    pub internal_date: String,
    /// Bytes that follow.
    pub size: u64,
}

impl MailHead {
    /// The head of a mail.
    pub fn of(mail: &Mail) -> Self {
        let Mail { place, flags, internal_date, raw } = mail;
        let (place, flags, internal_date) = (place.clone(), flags.clone(), internal_date.clone());
        MailHead { place, flags, internal_date, size: raw.len() as u64 }
    }

    /// The mail, with its bytes.
    pub fn with(self, raw: Bytes) -> Mail {
        let MailHead { place, flags, internal_date, .. } = self;
        Mail { place, flags, internal_date, raw }
    }
}

/// A [`ConnectorError`] as it travels: its causes become text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Failure {
    /// See [`ConnectorError::Passing`].
    Passing {
        /// What was attempted.
        attempt: String,
        /// Milliseconds the system asks to be left alone.
        retry_after_ms: Option<u64>,
        /// Why.
        cause: Option<String>,
    },
    /// See [`ConnectorError::Refused`].
    Refused {
        /// What was attempted.
        attempt: String,
        /// Why.
        cause: Option<String>,
    },
    /// See [`ConnectorError::Unable`].
    Unable(Text),
    /// See [`ConnectorError::Changed`].
    Changed(String),
}

/// The causes of an error that travelled.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(String);

type Source = Option<Box<dyn std::error::Error + Send + Sync>>;

impl From<ConnectorError> for Failure {
    fn from(error: ConnectorError) -> Self {
        let cause = |source: &Source| source.as_ref().map(|source| shown(&chain(source.as_ref())));
        match &error {
            ConnectorError::Passing { attempt, retry_after, source } => Failure::Passing {
                attempt: shown(attempt),
                retry_after_ms: retry_after.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
                cause: cause(source),
            },
            ConnectorError::Refused { attempt, source } => {
                Failure::Refused { attempt: shown(attempt), cause: cause(source) }
            }
            ConnectorError::Unable(text) => Failure::Unable(Text::new(shown(&text.en), shown(&text.ja))),
            ConnectorError::Changed(text) => Failure::Changed(shown(text)),
        }
    }
}

impl From<Failure> for ConnectorError {
    fn from(failure: Failure) -> Self {
        let source = |cause: Option<String>| cause.map(|cause| Box::new(Cause(shown(&cause))) as _);
        match failure {
            Failure::Passing { attempt, retry_after_ms, cause } => ConnectorError::Passing {
                attempt: shown(&attempt),
                retry_after: retry_after_ms.map(Duration::from_millis),
                source: source(cause),
            },
            Failure::Refused { attempt, cause } => {
                ConnectorError::Refused { attempt: shown(&attempt), source: source(cause) }
            }
            Failure::Unable(text) => ConnectorError::Unable(Text::new(shown(&text.en), shown(&text.ja))),
            Failure::Changed(text) => ConnectorError::Changed(shown(&text)),
        }
    }
}

impl ToWorker {
    /// Reads the head of a frame of the server.
    ///
    /// # Errors
    /// When it is none, or beyond a limit.
    pub fn read(head: &[u8]) -> Result<Self, FrameError> {
        let said: ToWorker = read(head)?;
        match &said {
            ToWorker::Open { mailbox, .. } if mailbox.is_empty() || mailbox.len() > MAILBOX_BYTES_MAX => {
                Err(FrameError("the name of a mailbox is empty or too long".to_owned()))
            }
            ToWorker::Query { query: Query::Recipients(asked), .. }
                if asked.message_id.is_empty()
                    || asked.message_id.len() > MESSAGE_ID_BYTES_MAX
                    || asked.max > MAILS_MAX =>
            {
                Err(FrameError("a mail that is traced has no Message-ID, or a limit is too high".to_owned()))
            }
            ToWorker::Ask { ask: Ask::Put { size, .. }, .. } if *size > MAIL_BYTES_MAX => {
                Err(FrameError(format!("a mail of {size} bytes is not allowed")))
            }
            ToWorker::Ask { ask: Ask::Candidates { max, .. } | Ask::Since { max, .. }, .. } if *max > MAILS_MAX => {
                Err(FrameError(format!("{max} mails are too many")))
            }
            _ => Ok(said),
        }
    }
}

impl FromWorker {
    /// Reads the head of a frame of the worker.
    ///
    /// # Errors
    /// When it is none, or beyond a limit.
    pub fn read(head: &[u8]) -> Result<Self, FrameError> {
        let said: FromWorker = read(head)?;
        match &said {
            FromWorker::Told { tell: Tell::Mail(mail), .. } if mail.size > MAIL_BYTES_MAX => {
                Err(FrameError(format!("a mail of {} bytes is not allowed", mail.size)))
            }
            _ => Ok(said),
        }
    }
}

fn read<'h, T: Deserialize<'h>>(head: &'h [u8]) -> Result<T, FrameError> {
    serde_json::from_slice(head).map_err(|error| FrameError(format!("the head of a frame cannot be read: {error}")))
}

/// The head of a frame.
pub(super) fn written<T: Serialize>(said: &T) -> Vec<u8> {
    serde_json::to_vec(said).expect("what is said has text keys only")
}

/// As [`NewMail`], without its bytes.
pub(super) fn put_of(mark: &Mark, mail: &NewMail) -> Ask {
    let NewMail { flags, internal_date, raw } = mail;
    let (flags, internal_date) = (flags.clone(), internal_date.clone());
    Ask::Put { mark: mark.clone(), flags, internal_date, size: raw.len() as u64 }
}

fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(ERROR_CHARS_MAX).collect()
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    crate::remediate::chain(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_the_same_on_the_other_side() {
        let inner = crate::imap::ImapError::Login { user: "a*b".to_owned(), text: "no\u{7} way".to_owned() };
        let error = ConnectorError::Passing {
            attempt: "work over IMAP".to_owned(),
            retry_after: Some(Duration::from_millis(1_500)),
            source: Some(Box::new(inner)),
        };
        let before = chain(&error);
        let after = ConnectorError::from(Failure::from(error));
        assert_eq!(chain(&after), before.replace('\u{7}', " "));
        assert_eq!(after.retry_after(), Some(Duration::from_millis(1_500)));
        assert!(after.is_passing());
        let refused = ConnectorError::from(Failure::from(ConnectorError::refused("x".repeat(10_000))));
        assert!(!refused.is_passing() && refused.to_string().len() == ERROR_CHARS_MAX);
    }

    #[test]
    fn what_is_too_much_is_not_even_begun() {
        let mark = Mark {
            folder: Folder { id: "INBOX".to_owned(), name: "INBOX".to_owned(), role: None },
            next: crate::connector::MailId::File { name: "x".to_owned() },
        };
        let put = Ask::Put { mark, flags: Vec::new(), internal_date: String::new(), size: MAIL_BYTES_MAX + 1 };
        assert!(ToWorker::read(&written(&ToWorker::Ask { session: 1, ask: put })).is_err());
        let ask = Ask::Candidates { search: Search::Body("x".to_owned()), max: MAILS_MAX + 1 };
        assert!(ToWorker::read(&written(&ToWorker::Ask { session: 1, ask })).is_err());
        let open = ToWorker::Open { session: 1, mailbox: "x".repeat(MAILBOX_BYTES_MAX + 1), whole: false };
        assert!(ToWorker::read(&written(&open)).is_err());
        assert!(ToWorker::read(b"{\"say\":\"close\",\"session\":1,\"more\":1}").is_err());
        assert!(FromWorker::read(b"{\"say\":\"pong\"}").is_ok());
    }
}

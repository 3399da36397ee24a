//! A small IMAP client connection: what finding, removing and restoring mails needs, with limits
//! and deadlines on everything a server may send.
//!
//! Answers are framed here (lines, literals, sizes, nesting) before `imap-proto` sees them, so a
//! hostile server can neither grow memory nor recurse. Success of a change is never taken from `OK`
//! alone: [`Connection::remove`], [`Connection::append`] and [`Connection::move_to`] hand back what
//! the server shows it did. Commands that do not depend on each other's answers go out together.

mod answer;
mod command;
mod commands;
mod connection;
mod date;
pub mod frame;
mod model;
mod root;
mod tls;

pub use command::folder_for_people;
pub use connection::{Capabilities, Connection};
pub use date::{internal_date_of, internal_date_seconds};
pub use model::{CopyUid, Fetched, Hits, Listed, Login, Query, Secret, Selected};
pub use root::{Root, RootTemplate};
pub use tls::{Security, Trust};

use std::time::Duration;

/// Where and how to connect.
#[derive(Debug, Clone)]
pub struct Server {
    /// Host name or address; also the name the certificate must carry.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Protection of the connection.
    pub security: Security,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds on what a server may send and how long it may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connection, TLS and greeting.
    pub connect_timeout: Duration,
    /// One command without a mail in it.
    pub command_timeout: Duration,
    /// Reading or storing one mail.
    pub transfer_timeout: Duration,
    /// Text of one answer without its literals, bytes.
    pub line_bytes_max: usize,
    /// One literal (one mail), bytes.
    pub literal_bytes_max: usize,
    /// Untagged answers to one command.
    pub answers_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(60),
            transfer_timeout: Duration::from_secs(180),
            line_bytes_max: 1 << 20,
            literal_bytes_max: 96 << 20,
            answers_max: 200_000,
        }
    }
}

/// Response codes of RFC 5530 that mean "not now".
const PASSING_CODES: [&str; 3] = ["[UNAVAILABLE]", "[INUSE]", "[LIMIT]"];

/// Why an IMAP operation failed.
#[derive(Debug, thiserror::Error)]
pub enum ImapError {
    /// The server could not be reached.
    #[error("connect to IMAP server {server}")]
    Connect {
        /// `host:port`.
        server: String,
        /// Why.
        source: std::io::Error,
    },
    /// The protection of the connection failed.
    #[error("protect the connection to IMAP server {0}: {1}")]
    Tls(String, String),
    /// The connection broke.
    #[error("talk to IMAP server")]
    Io(#[from] std::io::Error),
    /// The server closed the connection.
    #[error("IMAP server closed the connection")]
    Closed,
    /// No answer in time.
    #[error("no answer of the IMAP server to {0} in time")]
    Timeout(&'static str),
    /// The server sent something that is not IMAP or beyond a limit.
    #[error("malformed answer of the IMAP server: {0}")]
    Malformed(String),
    /// The login was refused.
    #[error("IMAP login as {user} refused: {text}")]
    Login {
        /// Login name.
        user: String,
        /// What the server said.
        text: String,
    },
    /// The server answered NO or BAD.
    #[error("IMAP server refused {command}: {text}")]
    Refused {
        /// The command.
        command: &'static str,
        /// What the server said.
        text: String,
    },
    /// The server lacks a capability.
    #[error("IMAP server lacks {0}")]
    Unsupported(&'static str),
    /// A mail is there after its removal.
    #[error("UID {0} is still there after its removal")]
    StillThere(u32),
    /// A name or text cannot be sent.
    #[error("text cannot be sent to an IMAP server: {0:?}")]
    BadText(String),
}

impl ImapError {
    /// True when the same thing may work in a moment on a new connection.
    pub fn is_passing(&self) -> bool {
        match self {
            ImapError::Connect { .. } | ImapError::Io(_) | ImapError::Closed | ImapError::Timeout(_) => true,
            // RFC 5530: the server is busy or its back end is away
            ImapError::Login { text, .. } | ImapError::Refused { text, .. } => {
                let text = text.to_ascii_uppercase();
                PASSING_CODES.iter().any(|code| text.contains(code))
            }
            _ => false,
        }
    }
}

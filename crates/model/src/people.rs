//! Console users, roles, audit.

use crate::alert::words;
use crate::{Language, Timestamp, UserId};
use serde::{Deserialize, Serialize};

words! {
    /// What a person or token may do.
    Role {
        /// Read, no mail bodies.
        Viewer,
        /// Read and export the audit log.
        Auditor,
        /// Triage, approve and run actions, read mail with a logged reason.
        Responder,
        /// Settings, users, rules.
        Administrator,
    }
}

/// A console user without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// Id.
    pub id: UserId,
    /// Login name, lower case.
    pub name: String,
    /// Mail address for alert mails.
    pub mail: Option<String>,
    /// Role.
    pub role: Role,
    /// Language.
    pub language: Language,
    /// Time-based one-time passwords are set up.
    pub totp: bool,
    /// Names of registered passkeys.
    pub passkeys: Vec<String>,
    /// May not log in.
    pub disabled: bool,
    /// When made.
    pub created_at: Timestamp,
    /// Last login.
    pub last_login: Option<Timestamp>,
    /// Grows by one with every change (ETag).
    pub version: i64,
}

/// A record of the audit log; `hash` chains to the record before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditRecord {
    /// Position, from 1 without gaps.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// Who: a person, `token:<name>`, `investigation:<number>` or `system`.
    pub actor: String,
    /// What (`action.approve`, `user.create`).
    pub action: String,
    /// On what (an entity key, an id).
    pub target: String,
    /// More, as a JSON object in text (before, after, reason).
    pub detail: String,
    /// Address of the client, empty for the system.
    pub address: String,
    /// `ok` or the reason it failed.
    pub result: String,
    /// Hash of the record before, lower-case hex; 64 zeros for the first.
    pub previous_hash: String,
    /// SHA-256 over the fields above in order, each preceded by its length.
    pub hash: String,
}

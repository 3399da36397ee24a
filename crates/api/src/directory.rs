//! The directory: people with their accounts and mailboxes.

use hinomi_model::{DirectoryChange, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Filter of the directory.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct DirectoryQuery {
    /// Words of name, account, address, device or department.
    pub text: Option<String>,
    /// Directory they come from (`ldap`, `csv`).
    pub source: Option<String>,
    /// Cursor of the page before.
    pub cursor: Option<String>,
    /// Page size, at most 200.
    pub limit: Option<u32>,
}

/// A CSV file of people. It takes the place of everything its source said before.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DirectoryImport {
    /// The file as it is, base64; at most 64 MiB.
    pub file: String,
    /// Name of the source, lower-case letters, digits and `-`; `csv` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Only tell what would change.
    #[serde(default)]
    pub dry_run: bool,
}

/// How the last reading by LDAP went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DirectoryStatus {
    /// An LDAP server is configured.
    pub configured: bool,
    /// When it was read last.
    pub read_at: Option<Timestamp>,
    /// Why that failed; none when it did not.
    pub error: Option<String>,
    /// What that changed.
    pub change: Option<DirectoryChange>,
}

//! Connectors to mail systems.

use hinomi_model::Text;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Checks a connector with a probe mail that is stored, found, moved, removed, put back and deleted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestConnector {
    /// Mailbox the probe mail goes through; one of the user list.
    pub mailbox: String,
}

/// What a check of a connector showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectorTest {
    /// Name of the connector.
    pub name: String,
    /// True when every step worked.
    pub ok: bool,
    /// Steps, in order; the first that fails is the last.
    pub steps: Vec<ConnectorTestStep>,
    /// What the mail system lacks, and what that means.
    pub missing: Vec<Text>,
}

/// One step of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectorTestStep {
    /// What was tried.
    pub what: Text,
    /// Whether it worked.
    pub ok: bool,
    /// What came of it.
    pub detail: Text,
}

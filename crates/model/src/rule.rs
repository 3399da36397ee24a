//! Detection rules as administrators manage them.

use crate::alert::words;
use crate::{Severity, Text, Timestamp};
use serde::{Deserialize, Serialize};

words! {
    /// What comes of a rule that fires.
    RuleState {
        /// It is only counted.
        Draft,
        /// It makes alerts that are marked as tests: nobody is notified, nothing is investigated.
        Test,
        /// It makes alerts.
        Live,
        /// Nothing.
        Off,
    }
}

/// What was decided about a rule: one written here, or one that ships with Hinomi.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RuleEntry {
    /// Sigma's id, of the first rule when the text holds several.
    pub id: String,
    /// The rules as text; none = ships with Hinomi.
    pub yaml: Option<String>,
    /// What comes of it.
    pub state: RuleState,
    /// Counts on devices that have one of these tags; none = everywhere.
    pub device_tags: Vec<String>,
    /// Who decided it.
    pub changed_by: String,
    /// When.
    pub changed_at: Timestamp,
    /// Grows by one with every change (ETag).
    pub version: i64,
}

/// A rule with what was decided about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ManagedRule {
    /// Sigma's id.
    pub id: String,
    /// Title.
    pub title: Text,
    /// Severity of its alerts.
    pub severity: Severity,
    /// ATT&CK technique ids.
    pub techniques: Vec<String>,
    /// Who wrote it.
    pub author: String,
    /// Ships with Hinomi.
    pub ships: bool,
    /// What comes of it.
    pub state: RuleState,
    /// Counts on devices that have one of these tags; none = everywhere.
    pub device_tags: Vec<String>,
    /// How often it fired since its text or state changed; counted only when something was decided about it.
    pub hits: i64,
    /// When it last did.
    pub last_hit: Option<Timestamp>,
    /// Who decided last about it; none = nobody.
    pub changed_by: Option<String>,
    /// When.
    pub changed_at: Option<Timestamp>,
    /// Why it is not in force, if it cannot be loaded.
    pub problem: Option<String>,
    /// Version of the decision; 0 = nobody decided.
    pub version: i64,
}

//! Detection rules.

use hinomi_model::RuleState;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which rules to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct RuleQuery {
    /// States, separated by commas: draft, test, live, off.
    pub state: Option<String>,
    /// True: only rules that ship with Hinomi; false: only others.
    pub ships: Option<bool>,
    /// Text in id, title or author.
    pub text: Option<String>,
    /// Cursor of the page before.
    pub cursor: Option<String>,
    /// Page size, at most 200.
    pub limit: Option<u32>,
}

/// A rule to be added.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRule {
    /// The rule as Sigma writes it, at most 256 KiB; several documents (a correlation with its rules) are one
    /// entry under the id of the first.
    pub yaml: String,
    /// What comes of it; left out: draft.
    #[serde(default = "draft")]
    pub state: RuleState,
    /// Counts on devices that have one of these tags; none = everywhere. At most 20.
    #[serde(default)]
    pub device_tags: Vec<String>,
}

fn draft() -> RuleState {
    RuleState::Draft
}

/// Changes a rule. Fields left out stay.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateRule {
    /// Another text, with the same id; not for rules that ship.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub yaml: Option<String>,
    /// What comes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<RuleState>,
    /// Counts on devices that have one of these tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_tags: Option<Vec<String>>,
    /// Begin with this version instead of the one in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<i64>,
}

/// What a correlation rule keeps and what it dropped since its state began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CorrelationStatus {
    /// The rule.
    pub rule_id: String,
    /// About how much memory its state takes, bytes.
    pub bytes: u64,
    /// Events that came when their time span had long passed.
    pub late: u64,
    /// Events without a field of `group-by`.
    pub ungrouped: u64,
    /// Events without the value that counts.
    pub valueless: u64,
    /// Events that went because a group had more than are kept.
    pub crowded: u64,
    /// Events that went because the memory of the rule or of all was used up.
    pub memory: u64,
}

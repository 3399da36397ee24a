//! Automation: the policy, and what it would have done.

use hinomi_model::{Action, AutomationGroup, AutomationLevel, AutomationScope, GuardRails, Text, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Changes the automation policy. Fields left out stay; those given replace what was there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateAutomation {
    /// Time zone of the hours: `server`, a name (`Asia/Tokyo`) or an offset (`+09:00`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Device groups, at most 50; the first that fits counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<AutomationGroup>>,
    /// Devices of no group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<AutomationScope>,
    /// Mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<AutomationScope>,
    /// What is never acted on without a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guards: Option<GuardRails>,
    /// Kinds of actions two different persons must approve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub two_persons: Option<Vec<String>>,
    /// Hours a pending action waits until it expires, 1 to 2,160.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry_hours: Option<u32>,
    /// Hours before that at which approvers are told; 0 = they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice_hours: Option<u32>,
}

/// Asks what a policy would have done.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PreviewAutomation {
    /// The server's level in place of the present one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automation_level: Option<AutomationLevel>,
    /// Changes of the policy.
    pub change: UpdateAutomation,
    /// Days looked back, 1 to 90.
    pub days: u32,
}

impl Default for PreviewAutomation {
    fn default() -> Self {
        PreviewAutomation { automation_level: None, change: UpdateAutomation::default(), days: 30 }
    }
}

/// What would have become of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PreviewOutcome {
    /// It runs at once without a person.
    Ran,
    /// It waits, and a person answers in time (as one did).
    Answered,
    /// It waits for a person.
    Waited,
    /// Nobody answers, and it runs.
    RanUnanswered,
    /// Nobody answers, and it expires.
    Expired,
    /// Nobody answers, and others are told.
    Escalated,
}

/// One action of the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreviewItem {
    /// The action as it is.
    pub action: Action,
    /// What would have become of it.
    pub outcome: PreviewOutcome,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Text,
}

/// Counts of one kind of action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreviewCount {
    /// Kind (`quarantine_file`).
    pub kind: String,
    /// Run at once.
    pub ran: i64,
    /// Answered in time.
    pub answered: i64,
    /// Wait.
    pub waited: i64,
    /// Run since nobody answers.
    pub ran_unanswered: i64,
    /// Expire.
    pub expired: i64,
    /// Escalated.
    pub escalated: i64,
}

/// What a policy would have done with the actions proposed lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AutomationPreview {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Actions proposed in that time, a person's own orders and demos left out; at most 5,000 are looked at.
    pub actions: i64,
    /// There are more than were looked at.
    pub cut: bool,
    /// Counts by kind.
    pub counts: Vec<PreviewCount>,
    /// The actions, newest first, at most 500.
    pub items: Vec<PreviewItem>,
}

//! Looks back: what an indicator would have matched in events and mail that were there before it.

use crate::alert::words;
use crate::{
    ActionId, DeviceId, ImportId, IncidentId, IndicatorAction, IndicatorId, IndicatorKind, LookId, Text, Timestamp,
};
use serde::{Deserialize, Serialize};

words! {
    /// Work on a look back.
    LookState {
        /// Not begun.
        Waiting,
        /// Events and mail are compared.
        Running,
        /// Actions are ordered for what is there already.
        Remediating,
        /// Done.
        Done,
        /// Given up; the reason says why.
        Failed,
    }
}

/// A look back over the lake and the mailboxes for new indicators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IndicatorLook {
    /// Id.
    pub id: LookId,
    /// Who asked, or put the indicators in force.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// State.
    pub state: LookState,
    /// The indicators looked for; empty = those of the list.
    pub indicators: Vec<IndicatorId>,
    /// The list whose indicators are looked for.
    pub import_id: Option<ImportId>,
    /// Events at or after this time are compared …
    pub from: Timestamp,
    /// … and before this one: later ones were compared when they came.
    pub to: Timestamp,
    /// Days compared so far.
    pub days_done: i64,
    /// Days to compare.
    pub days: i64,
    /// Rows of the hunting tables compared so far.
    pub events: i64,
    /// Messages compared so far.
    pub messages: i64,
    /// Not everything was compared: there were too many events.
    pub truncated: bool,
    /// What is found is counted as hits: the first look of its indicators.
    pub counts: bool,
    /// Indicators that were seen, those seen most first, at most 200.
    pub found: Vec<LookFound>,
    /// How many indicators were seen.
    pub found_count: i64,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why it was given up.
    pub reason: Option<Text>,
}

/// An indicator that was seen before it was put in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LookFound {
    /// The indicator.
    pub id: IndicatorId,
    /// Its kind.
    pub kind: IndicatorKind,
    /// Its value.
    pub value: String,
    /// What it asks for.
    pub action: IndicatorAction,
    /// Rows and messages that name it.
    pub hits: i64,
    /// First time.
    pub first_seen: Timestamp,
    /// Last time.
    pub last_seen: Timestamp,
    /// Devices, at most 100.
    pub devices: Vec<DeviceId>,
    /// How many devices; more than 1,000 are not told apart.
    pub device_count: i64,
    /// Mailboxes, at most 100.
    pub mailboxes: Vec<String>,
    /// How many mailboxes; more than 5,000 are not told apart.
    pub mailbox_count: i64,
    /// Incidents of the alerts.
    pub incidents: Vec<IncidentId>,
    /// Actions ordered for what is there.
    pub actions: Vec<ActionId>,
    /// What could not be ordered and why.
    pub not_ordered: Vec<Text>,
}

//! Automated investigations.

use crate::alert::words;
use crate::{ActionId, AlertId, DeviceId, DeviceRef, Evidence, IncidentId, InvestigationId, Text, Timestamp};
use serde::{Deserialize, Serialize};

words! {
    /// State of an investigation.
    InvestigationState {
        /// Waits to start.
        Queued,
        /// Runs.
        Running,
        /// Actions wait for approval.
        PendingApproval,
        /// Waits for a device that is offline.
        PendingResource,
        /// Nothing bad found.
        Benign,
        /// Everything found was dealt with.
        SuccessfullyRemediated,
        /// Some of it was.
        PartiallyRemediated,
        /// A step could not finish; the rest is known.
        PartiallyInvestigated,
        /// A step failed and nothing more could be done.
        Failed,
        /// A person stopped it.
        TerminatedByUser,
        /// The system stopped it (limits, expiry).
        TerminatedBySystem,
    }
    /// State of a step.
    StepState {
        /// Not yet.
        Pending,
        /// Runs.
        Running,
        /// Done.
        Done,
        /// Failed, with a reason.
        Failed,
        /// Not needed, with a reason.
        Skipped,
    }
    /// What may run without a person.
    AutomationLevel {
        /// Malicious: actions run at once.
        Full,
        /// Files of the system's own folders wait for approval, and so does what concerns mail.
        SemiCore,
        /// Everything outside temporary and download folders waits for approval.
        SemiTemp,
        /// Every action waits for approval.
        SemiAll,
        /// No investigation runs.
        None,
    }
}

/// A step of a playbook within an investigation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// Name within the playbook (`find_twins`).
    pub name: String,
    /// What it does.
    pub title: Text,
    /// State.
    pub state: StepState,
    /// What it found, or why it failed or was skipped.
    pub result: Text,
    /// How often it was tried.
    pub attempts: u32,
    /// Devices it could not ask because they are away; it is run again when one is back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<DeviceId>,
    /// Start of the last try.
    pub started_at: Option<Timestamp>,
    /// End of the last try.
    pub ended_at: Option<Timestamp>,
}

/// A line of the investigation's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// Step it belongs to.
    pub step: String,
    /// State the line reports.
    pub state: StepState,
    /// What happened.
    pub text: Text,
    /// How long it took, microseconds, when it ended something.
    pub duration_us: Option<i64>,
}

/// An edge of the investigation graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GraphEdge {
    /// From entity.
    pub from: crate::EntityKey,
    /// To entity.
    pub to: crate::EntityKey,
    /// What connects them.
    pub label: Text,
}

/// The automatic work on an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Investigation {
    /// Id.
    pub id: InvestigationId,
    /// Short number.
    pub number: i64,
    /// Playbook (`malicious_file`).
    pub playbook: String,
    /// Title of the playbook.
    pub title: Text,
    /// State.
    pub state: InvestigationState,
    /// Why it is in this state, above all for failures.
    pub state_reason: Option<Text>,
    /// The alert that started it.
    pub alert_id: AlertId,
    /// Its incident.
    pub incident_id: IncidentId,
    /// The device, when there is one.
    pub device: Option<DeviceRef>,
    /// Automation level when it started.
    pub automation_level: AutomationLevel,
    /// A person started it: every action waits.
    #[serde(default)]
    pub by_hand: bool,
    /// Steps in order.
    pub steps: Vec<Step>,
    /// What was found.
    pub evidence: Vec<Evidence>,
    /// How it hangs together.
    pub edges: Vec<GraphEdge>,
    /// Actions proposed or run.
    pub actions: Vec<ActionId>,
    /// Log, oldest first, at most 1,000 lines.
    pub log: Vec<LogLine>,
    /// Start.
    pub started_at: Timestamp,
    /// End.
    pub ended_at: Option<Timestamp>,
    /// Grows by one with every change (ETag).
    pub version: i64,
}

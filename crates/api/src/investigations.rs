//! Automated investigations.

use hinomi_model::{
    ActionId, AlertId, AutomationLevel, DeviceRef, IncidentId, Investigation, InvestigationId, InvestigationState,
    Text, Timestamp, Verdict,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Filter of the investigations.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct InvestigationQuery {
    /// States, separated by commas.
    pub state: Option<String>,
    /// Incident.
    pub incident: Option<IncidentId>,
    /// Cursor of the page before.
    pub cursor: Option<String>,
    /// Page size, at most 200.
    pub limit: Option<u32>,
}

/// A row of an investigation list: without steps, evidence, graph and log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InvestigationSummary {
    /// Id.
    pub id: InvestigationId,
    /// Short number.
    pub number: i64,
    /// Playbook.
    pub playbook: String,
    /// Title of the playbook.
    pub title: Text,
    /// State.
    pub state: InvestigationState,
    /// Why it is in this state.
    pub state_reason: Option<Text>,
    /// The alert that started it.
    pub alert_id: AlertId,
    /// Its incident.
    pub incident_id: IncidentId,
    /// The device, when there is one.
    pub device: Option<DeviceRef>,
    /// Automation level when it started.
    pub automation_level: AutomationLevel,
    /// Entities found malicious.
    pub malicious: i64,
    /// Entities found suspicious.
    pub suspicious: i64,
    /// Entities looked at.
    pub entities: i64,
    /// Actions proposed or run.
    pub actions: Vec<ActionId>,
    /// Start.
    pub started_at: Timestamp,
    /// End.
    pub ended_at: Option<Timestamp>,
    /// Grows by one with every change (ETag).
    pub version: i64,
}

impl InvestigationSummary {
    /// Builds the row of an investigation.
    pub fn new(investigation: Investigation) -> Self {
        let count = |verdict| investigation.evidence.iter().filter(|one| one.verdict == verdict).count() as i64;
        InvestigationSummary {
            malicious: count(Verdict::Malicious),
            suspicious: count(Verdict::Suspicious),
            entities: investigation.evidence.len() as i64,
            id: investigation.id,
            number: investigation.number,
            playbook: investigation.playbook,
            title: investigation.title,
            state: investigation.state,
            state_reason: investigation.state_reason,
            alert_id: investigation.alert_id,
            incident_id: investigation.incident_id,
            device: investigation.device,
            automation_level: investigation.automation_level,
            actions: investigation.actions,
            started_at: investigation.started_at,
            ended_at: investigation.ended_at,
            version: investigation.version,
        }
    }
}

/// Runs an investigation again.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rerun {
    /// Name of the step to start from; left out: everything.
    pub from_step: Option<String>,
}

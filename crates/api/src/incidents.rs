//! Incidents.

use hinomi_model::{
    AlertId, Classification, CorrelationReason, Determination, DeviceId, DeviceRef, EntityKey, Incident, IncidentId,
    IncidentStatus, InvestigationState, ServiceSource, Severity, Text, Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Filter and order of the incident queue.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct IncidentQuery {
    /// Statuses, separated by commas (`active,inProgress`); left out: all but `redirected`, incidents
    /// that were merged into another.
    pub status: Option<String>,
    /// Severities, separated by commas.
    pub severity: Option<String>,
    /// Owner: a login name, `me` or `none`.
    pub assigned_to: Option<String>,
    /// Words of the title, a number (`INC-1042`), a tag, a device, user or mailbox.
    pub text: Option<String>,
    /// Device involved.
    pub device: Option<DeviceId>,
    /// `-last_activity` (default), `-severity` or `-number`; without the minus lowest or oldest first.
    pub sort: Option<String>,
    /// Cursor of the page before.
    pub cursor: Option<String>,
    /// Page size, at most 200.
    pub limit: Option<u32>,
}

/// What an incident counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IncidentCounts {
    /// Alerts.
    pub alert_count: i64,
    /// Alerts not resolved.
    pub active_alerts: i64,
    /// Actions that wait for approval.
    pub pending_actions: i64,
    /// Parts of the product that saw it.
    pub sources: Vec<ServiceSource>,
    /// State of the investigation that needs attention first; none when none ran.
    pub investigation_state: Option<InvestigationState>,
}

/// A row of the incident queue: the incident without its alerts, comments and activities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentSummary {
    /// Id.
    pub id: IncidentId,
    /// The short number people use (`INC-1042`).
    pub number: i64,
    /// Title.
    pub title: Text,
    /// Severity.
    pub severity: Severity,
    /// Status.
    pub status: IncidentStatus,
    /// Classification.
    pub classification: Classification,
    /// Determination.
    pub determination: Determination,
    /// Owner.
    pub assigned_to: Option<String>,
    /// Tags of people.
    pub tags: Vec<String>,
    /// Devices involved.
    pub devices: Vec<DeviceRef>,
    /// Accounts involved.
    pub users: Vec<String>,
    /// Mailboxes involved.
    pub mailboxes: Vec<String>,
    /// ATT&CK tactics reached.
    pub tactics: Vec<String>,
    /// ATT&CK techniques seen.
    pub techniques: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// First event.
    pub first_activity: Timestamp,
    /// Last event.
    pub last_activity: Timestamp,
    /// Grows by one with every change (ETag).
    pub version: i64,
    /// Alerts.
    pub alert_count: i64,
    /// Alerts not resolved.
    pub active_alerts: i64,
    /// Actions that wait for approval.
    pub pending_actions: i64,
    /// Parts of the product that saw it.
    pub sources: Vec<ServiceSource>,
    /// State of the investigation that needs attention first; none when none ran.
    pub investigation_state: Option<InvestigationState>,
}

impl IncidentSummary {
    /// Builds the row of an incident.
    pub fn new(incident: Incident, counts: IncidentCounts) -> Self {
        IncidentSummary {
            id: incident.id,
            number: incident.number,
            title: incident.title,
            severity: incident.severity,
            status: incident.status,
            classification: incident.classification,
            determination: incident.determination,
            assigned_to: incident.assigned_to,
            tags: incident.tags,
            devices: incident.devices,
            users: incident.users,
            mailboxes: incident.mailboxes,
            tactics: incident.tactics,
            techniques: incident.techniques,
            created_at: incident.created_at,
            updated_at: incident.updated_at,
            first_activity: incident.first_activity,
            last_activity: incident.last_activity,
            version: incident.version,
            alert_count: counts.alert_count,
            active_alerts: counts.active_alerts,
            pending_actions: counts.pending_actions,
            sources: counts.sources,
            investigation_state: counts.investigation_state,
        }
    }
}

/// An incident with what it counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentDetail {
    /// The incident.
    #[serde(flatten)]
    pub incident: Incident,
    /// What it counts.
    #[serde(flatten)]
    pub counts: IncidentCounts,
}

/// Changes an incident. Fields left out stay.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateIncident {
    /// Title, 1 to 300 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<IncidentStatus>,
    /// Classification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classification: Option<Classification>,
    /// Determination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub determination: Option<Determination>,
    /// Owner, a login name; null: nobody.
    #[serde(deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub assigned_to: Option<Option<String>>,
    /// Tags, all of them: at most 50 of 100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// A remark with the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Merges incidents.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeIncidents {
    /// Numbers of the incidents that are taken in, 1 to 5.
    pub incidents: Vec<i64>,
    /// A remark with it.
    #[serde(default)]
    pub comment: Option<String>,
}

/// Takes an incident out of the one it was merged into.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnmergeIncident {
    /// A remark with it.
    #[serde(default)]
    pub comment: Option<String>,
}

/// Moves alerts.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveAlerts {
    /// The alerts, 1 to 200.
    pub alerts: Vec<AlertId>,
    /// Number of the incident they go to; none: a new one.
    #[serde(default)]
    pub incident: Option<i64>,
    /// Why they belong there; left out: eventSequence.
    #[serde(default)]
    pub reason: Option<CorrelationReason>,
    /// A remark with it.
    #[serde(default)]
    pub comment: Option<String>,
}

/// A new remark.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewComment {
    /// Text, 1 to 30,000 characters.
    pub text: String,
}

/// The ATT&CK timeline of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentTimeline {
    /// One lane per tactic reached, in the order of ATT&CK.
    pub lanes: Vec<TimelineLane>,
    /// What happened, oldest first.
    pub markers: Vec<TimelineMarker>,
}

/// A lane of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TimelineLane {
    /// Tactic (`execution`).
    pub tactic: String,
    /// Its name.
    pub title: Text,
}

/// A marker of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimelineMarker {
    /// When.
    pub at: Timestamp,
    /// Lane.
    pub tactic: String,
    /// Technique id, when the rule names one.
    pub technique: Option<String>,
    /// The alert behind it.
    pub alert_id: AlertId,
    /// Title.
    pub title: Text,
    /// Severity.
    pub severity: Severity,
    /// The entity it happened on.
    pub entity: Option<EntityKey>,
}

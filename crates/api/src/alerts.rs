//! Alerts and their stories.

use hinomi_model::{
    Alert, AlertId, AlertLink, AlertStatus, Classification, DetectionSource, DetectionStatus, Determination, DeviceId,
    DeviceRef, EntityKey, IncidentId, InvestigationId, InvestigationState, MessageId, ProcessKey, ServiceSource,
    Severity, Text, Timestamp, Tuned,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Filter of the alerts.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct AlertQuery {
    /// Statuses, separated by commas.
    pub status: Option<String>,
    /// Severities, separated by commas.
    pub severity: Option<String>,
    /// `endpoint` or `mail`.
    pub source: Option<ServiceSource>,
    /// Owner: a login name, `me` or `none`.
    pub assigned_to: Option<String>,
    /// Device.
    pub device: Option<DeviceId>,
    /// Incident.
    pub incident: Option<IncidentId>,
    /// Words of the title, a technique, a user, a mailbox.
    pub text: Option<String>,
    /// Detection rule.
    pub rule: Option<String>,
    /// True: those that a tuning rule hides, instead of the others.
    pub hidden: Option<bool>,
    /// Cursor of the page before.
    pub cursor: Option<String>,
    /// Page size, at most 200.
    pub limit: Option<u32>,
}

/// A row of an alert list: the alert without firings, evidence, next steps and comments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertSummary {
    /// Id.
    pub id: AlertId,
    /// Its incident.
    pub incident_id: IncidentId,
    /// Title.
    pub title: Text,
    /// Severity.
    pub severity: Severity,
    /// Work status.
    pub status: AlertStatus,
    /// Classification.
    pub classification: Classification,
    /// Determination.
    pub determination: Determination,
    /// What became of it.
    pub detection_status: DetectionStatus,
    /// Why, above all for `failed`.
    pub detection_status_reason: Option<Text>,
    /// Part of the product.
    pub service_source: ServiceSource,
    /// What fired.
    pub detection_source: DetectionSource,
    /// ATT&CK tactic, the category.
    pub category: String,
    /// ATT&CK technique ids.
    pub techniques: Vec<String>,
    /// Rule id, or `indicator:<id>`.
    pub rule_id: String,
    /// What a tuning rule did to it.
    pub tuned: Option<Tuned>,
    /// Device, for endpoint alerts.
    pub device: Option<DeviceRef>,
    /// Account on the device.
    pub user: Option<String>,
    /// Recipients, for mail alerts.
    pub mailboxes: Vec<String>,
    /// The message, for mail alerts.
    pub message_id: Option<MessageId>,
    /// The process that did it.
    pub process: Option<ProcessKey>,
    /// The oldest ancestor of the process tree we ascribe to the attack.
    pub tree_root: Option<ProcessKey>,
    /// The automated investigation.
    pub investigation_id: Option<InvestigationId>,
    /// Owner.
    pub assigned_to: Option<String>,
    /// When the alert was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// First event.
    pub first_activity: Timestamp,
    /// Last event.
    pub last_activity: Timestamp,
    /// Grows by one with every change (ETag).
    pub version: i64,
    /// Why it belongs to its incident; only in lists of one incident.
    pub link: Option<AlertLink>,
}

impl AlertSummary {
    /// Builds the row of an alert.
    pub fn new(alert: Alert, link: Option<AlertLink>) -> Self {
        AlertSummary {
            id: alert.id,
            incident_id: alert.incident_id,
            title: alert.title,
            severity: alert.severity,
            status: alert.status,
            classification: alert.classification,
            determination: alert.determination,
            detection_status: alert.detection_status,
            detection_status_reason: alert.detection_status_reason,
            service_source: alert.service_source,
            detection_source: alert.detection_source,
            category: alert.category,
            techniques: alert.techniques,
            rule_id: alert.rule_id,
            tuned: alert.tuned,
            device: alert.device,
            user: alert.user,
            mailboxes: alert.mailboxes,
            message_id: alert.message_id,
            process: alert.process,
            tree_root: alert.tree_root,
            investigation_id: alert.investigation_id,
            assigned_to: alert.assigned_to,
            created_at: alert.created_at,
            updated_at: alert.updated_at,
            first_activity: alert.first_activity,
            last_activity: alert.last_activity,
            version: alert.version,
            link,
        }
    }
}

/// An alert with what its page shows beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertDetail {
    /// The alert.
    #[serde(flatten)]
    pub alert: Alert,
    /// Number of its incident.
    pub incident_number: Option<i64>,
    /// Why it belongs to its incident.
    pub link: Option<AlertLink>,
    /// Number of the automated investigation.
    pub investigation_number: Option<i64>,
    /// State of the automated investigation.
    pub investigation_state: Option<InvestigationState>,
}

/// Changes an alert. Fields left out stay.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateAlert {
    /// Severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Work status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<AlertStatus>,
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
    /// A remark with the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// The story of an alert: a process tree with what hangs on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertStory {
    /// Nodes, parents before children, siblings by time.
    pub nodes: Vec<StoryNode>,
    /// True when nodes were left out (limits).
    pub truncated: bool,
}

/// What a node of a story is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum StoryNodeKind {
    /// A process.
    Process,
    /// A file it made, changed or ran.
    File,
    /// A connection or name look-up.
    Network,
    /// A message.
    Mail,
    /// A person's account.
    User,
}

/// A node of a story. Names, command lines and facts are untrusted text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StoryNode {
    /// Key, unique in the story.
    pub key: String,
    /// Key of the node it hangs on.
    pub parent: Option<String>,
    /// What it is.
    pub kind: StoryNodeKind,
    /// The entity, for a link to its page.
    pub entity: Option<EntityKey>,
    /// How people read it.
    pub name: String,
    /// Command line of a process.
    pub command_line: Option<String>,
    /// When it began.
    pub at: Timestamp,
    /// When it ended, for processes.
    pub ended_at: Option<Timestamp>,
    /// Account.
    pub user: Option<String>,
    /// SHA-256 of the file or image.
    pub sha256: Option<String>,
    /// Highest severity of what fired here.
    pub severity: Option<Severity>,
    /// Technique of what fired here.
    pub technique: Option<String>,
    /// Title of what fired here.
    pub detection: Option<Text>,
    /// More facts, by name.
    pub facts: BTreeMap<String, String>,
    /// On how many devices the file was seen, or how many went to the place.
    pub prevalence: Option<i64>,
}

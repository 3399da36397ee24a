//! Incidents: stories of alerts.

use crate::alert::words;
use crate::{
    AlertLink, Classification, Comment, Determination, DeviceRef, IncidentId, InvestigationId, Severity, Text,
    Timestamp,
};
use serde::{Deserialize, Serialize};

words! {
    /// Work on an incident.
    IncidentStatus {
        /// Nobody works on it.
        Active,
        /// Somebody works on it.
        InProgress,
        /// An action waits for approval.
        AwaitingAction,
        /// Done.
        Resolved,
        /// Merged into another.
        Redirected,
    }
}

/// One line of an incident's activity log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Activity {
    /// When.
    pub at: Timestamp,
    /// Who: a person, `rule:<id>`, `investigation:<number>` or `system`.
    pub actor: String,
    /// What happened.
    pub text: Text,
}

/// What came with an incident that was merged into another, so that it can be taken out again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Merged {
    /// When.
    pub at: Timestamp,
    /// Who: a person, or `system`.
    pub by: String,
    /// Its alerts.
    pub alerts: Vec<AlertLink>,
    /// Tags the other one did not have.
    pub tags: Vec<String>,
    /// Its actions.
    pub actions: Vec<crate::ActionId>,
    /// Its investigations.
    pub investigations: Vec<InvestigationId>,
    /// Its status before.
    pub status: IncidentStatus,
}

/// A story of alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Incident {
    /// Id.
    pub id: IncidentId,
    /// The short number people use (`INC-1042`).
    pub number: i64,
    /// Title.
    pub title: Text,
    /// True when a person gave the title; it is then never regenerated.
    pub title_by_person: bool,
    /// Highest alert severity, or what a person set.
    pub severity: Severity,
    /// True when a person set the severity; it then no longer follows the alerts.
    #[serde(default)]
    pub severity_by_person: bool,
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
    /// Alerts in the order they joined, each with its reason.
    pub alerts: Vec<AlertLink>,
    /// Devices involved.
    pub devices: Vec<DeviceRef>,
    /// Accounts involved.
    pub users: Vec<String>,
    /// Mailboxes that hold or held a message of the story, or were addressed.
    pub mailboxes: Vec<String>,
    /// ATT&CK tactics reached.
    pub tactics: Vec<String>,
    /// ATT&CK techniques seen.
    pub techniques: Vec<String>,
    /// Automated investigations.
    pub investigations: Vec<InvestigationId>,
    /// Remarks.
    pub comments: Vec<Comment>,
    /// Everything that happened to the incident, oldest first, at most 1,000.
    pub activities: Vec<Activity>,
    /// The incident this one was merged into.
    pub redirected_to: Option<IncidentId>,
    /// What came with it into that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<Merged>,
    /// Incidents a person took it apart from: they are never merged with it by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<IncidentId>,
    /// Numbers of the incidents that were merged into it and are still part of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub took_in: Vec<i64>,
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
}

//! Demos.

use hinomi_model::{Demo, IncidentId, IncidentStatus, Severity, Text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Plays a scenario.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlayDemo {
    /// Name people see; left out: that of the built-in story.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Files of the scenario's folder, at most 100 and 16 MiB; none: the built-in story.
    pub files: Vec<DemoFile>,
}

/// One file of a scenario.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DemoFile {
    /// Path inside the folder: `scenario.toml`, `events/NAME.jsonl` or `mail/NAME.eml`.
    pub path: String,
    /// Content, base64.
    pub content: String,
}

/// A demo and what it came to so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DemoStatus {
    /// The demo.
    pub demo: Demo,
    /// All its events were analysed.
    pub analysed: bool,
    /// Its investigations that have not ended.
    pub investigating: i64,
    /// Its incidents, oldest first.
    pub incidents: Vec<DemoIncident>,
}

/// An incident of a demo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DemoIncident {
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
    /// Its page in the console.
    pub url: String,
}

//! Live events (`text/event-stream`).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The data of a live event. Its name is one of `incident.created`, `incident.updated`,
/// `alert.created`, `alert.updated`, `action.updated`, `investigation.progress`, `device.status`;
/// `reset` tells that events were missed and everything is to be read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamEvent {
    /// Id of what changed.
    pub id: String,
    /// Its new version.
    pub version: i64,
    /// Its short number, for incidents and investigations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
    /// How far it has come, for actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// Targets of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// All of them.
    pub targets: usize,
    /// Those whose end is known.
    pub settled: usize,
    /// Of these, failed.
    pub failed: usize,
}

//! Notifications: channels, what was sent, tries.

use hinomi_model::{Language, Notification};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A channel of notifications, as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotificationChannel {
    /// Name.
    pub name: String,
    /// `mail`, `slack`, `teams`, `webhook`, `syslog_cef` or `syslog_json`.
    pub kind: String,
    /// Where it leads: mail address, host, or syslog server. Never the whole address of a webhook, which is
    /// a secret; empty when its file cannot be read.
    pub place: String,
    /// Language.
    pub language: Language,
    /// False: names of devices, people and mailboxes are left out.
    pub names: bool,
    /// Rules that use it.
    pub rules: Vec<String>,
    /// The newest notification to it.
    pub last: Option<Notification>,
}

/// Every channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotificationChannels {
    /// Those of recipients first, then as the configuration names them.
    pub items: Vec<NotificationChannel>,
}

/// Filter of notifications.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct NotificationQuery {
    /// States, separated by commas (`failed,pending`).
    pub state: Option<String>,
    /// Channel.
    pub channel: Option<String>,
    /// Number of the incident.
    pub incident: Option<i64>,
    /// Cursor of the page before.
    pub cursor: Option<String>,
    /// Page size, at most 200.
    pub limit: Option<u32>,
}

/// What came of trying a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelTest {
    /// The other side took it.
    pub ok: bool,
    /// What it answered, or why it could not be asked (untrusted).
    pub answer: String,
}

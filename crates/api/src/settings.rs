//! Settings.

use hinomi_model::{AutomationLevel, Language};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What administrators set, and what the configuration file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    /// What investigations may do without a person, where a device says nothing else.
    pub automation_level: AutomationLevel,
    /// Language of the server (pages before login, mails without a recipient's language).
    pub language: Language,
    /// Grows by one with every change (ETag).
    pub version: i64,
    /// From the configuration file; changed there.
    pub server: ServerFacts,
}

/// What the configuration file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerFacts {
    /// Version of the server.
    pub version: String,
    /// Address of the console.
    pub public_url: String,
    /// Address sensors connect to.
    pub sensor_url: String,
    /// `sqlite` or `postgres`.
    pub store: String,
    /// Domains whose mail is ours.
    pub own_domains: Vec<String>,
    /// Mailboxes are connected.
    pub mailboxes: bool,
    /// Alert mails are sent.
    pub notify: bool,
}

/// Changes settings. Fields left out stay.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateSettings {
    /// What investigations may do without a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automation_level: Option<AutomationLevel>,
    /// Language of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
}

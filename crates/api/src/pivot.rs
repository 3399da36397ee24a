//! The pivot: from any value to every device, mailbox, person, alert and incident it leads to.

use crate::{AlertSummary, RecipientState};
use hinomi_model::{
    DeviceId, EntityKey, IncidentId, IncidentStatus, Indicator, InvolvedPerson, MailDirection, MailSource, MessageId,
    PivotReach, PivotRelation, PivotStep, PivotType, Severity, SightingStages, Text, Timestamp, Verdict,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What to pivot on.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PivotRequest {
    /// A hash (SHA-256, SHA-1, MD5), URL, domain, IP address, mail address, Message-ID, NetworkMessageId,
    /// account, or name or id of a device; also `hxxps://evil[.]example` and `kind:value`.
    pub value: String,
    /// What it is; found out when left out.
    #[serde(default, rename = "type")]
    #[param(rename = "type", inline)]
    pub pivot_type: Option<PivotType>,
}

/// Where a value leads. Each part says how much there is of it; `truncated` names those of which not
/// everything is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pivot {
    /// The value as it was understood.
    pub value: String,
    /// What it was taken for.
    #[serde(rename = "type")]
    pub pivot_type: PivotType,
    /// What else it could have been; ask with `type`.
    pub could_be: Vec<PivotType>,
    /// Its entity, for its page.
    pub entity: Option<EntityKey>,
    /// False: nobody has seen it.
    pub known: bool,
    /// First time anywhere.
    pub first_seen: Option<Timestamp>,
    /// Last time on a device, or the newest mail shown.
    pub last_seen: Option<Timestamp>,
    /// What we believe.
    pub verdict: Verdict,
    /// The indicator in force for it.
    pub indicator: Option<Indicator>,
    /// How far it came, in order of time; counts what is shown.
    pub reach: Vec<PivotReach>,
    /// What happened, oldest first, at most 500.
    pub steps: Vec<PivotStep>,
    /// Devices that had it, those that saw it first, at most 200.
    pub devices: PivotDevices,
    /// Messages that carried it, the newest 100, oldest first.
    pub messages: PivotMessages,
    /// People behind the accounts and mailboxes shown, from the directory.
    pub people: Vec<InvolvedPerson>,
    /// What belongs to it: archive and members, domain and URLs, files of a message; at most 50.
    pub related: Vec<PivotRelated>,
    /// Alerts that speak of it, newest first, at most 50.
    pub alerts: Vec<AlertSummary>,
    /// Their incidents.
    pub incidents: Vec<PivotIncident>,
    /// Parts of which not everything is shown: `steps`, `devices`, `messages`, `copies`, `people`, `related`, `alerts`.
    pub truncated: Vec<String>,
}

/// Devices of a pivot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PivotDevices {
    /// The devices.
    pub items: Vec<PivotDevice>,
    /// How many there are.
    pub total: i64,
    /// False: at least so many.
    pub exact: bool,
}

/// A device that had a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PivotDevice {
    /// Device.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// The value it had (a file of the message asked for).
    pub value: EntityKey,
    /// How it was called there: path, address (untrusted).
    pub called: String,
    /// First time.
    pub first_seen: Timestamp,
    /// Last time.
    pub last_seen: Timestamp,
    /// How often.
    pub count: i64,
    /// First account seen with it.
    pub account: Option<String>,
    /// What happened to it there.
    pub stages: SightingStages,
}

/// Messages of a pivot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PivotMessages {
    /// The messages.
    pub items: Vec<PivotMessage>,
    /// How many there are.
    pub total: i64,
    /// False: at least so many.
    pub exact: bool,
}

/// A message that carried a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PivotMessage {
    /// NetworkMessageId.
    pub id: MessageId,
    /// Message-ID header (untrusted).
    pub internet_message_id: String,
    /// Subject (untrusted).
    pub subject: String,
    /// Address of the From header.
    pub sender: String,
    /// When it was seen first.
    pub received_at: Timestamp,
    /// How it became known.
    pub source: MailSource,
    /// Which way it went.
    pub direction: MailDirection,
    /// Verdict.
    pub verdict: Verdict,
    /// The file asked for as the message carried it: its name, and of each archive around it from the
    /// outermost (untrusted); empty when no file was asked for.
    pub carried_as: Vec<String>,
    /// Its copies, at most 50.
    pub copies: Vec<RecipientState>,
    /// How many copies there are.
    pub copy_count: i64,
}

/// Something that belongs to the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PivotRelated {
    /// How it belongs.
    pub relation: PivotRelation,
    /// What it is.
    pub entity: EntityKey,
    /// Its name (untrusted).
    pub name: String,
    /// On how many devices it was seen, counted up to 5,000.
    pub devices: i64,
}

/// An incident of a pivot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PivotIncident {
    /// Id.
    pub id: IncidentId,
    /// Number.
    pub number: i64,
    /// Title.
    pub title: Text,
    /// Severity.
    pub severity: Severity,
    /// Status.
    pub status: IncidentStatus,
}

//! Files, sightings, messages, search: the pivots.

use crate::AlertSummary;
use hinomi_model::{
    EntityKey, EntityKind, Indicator, IndicatorKind, MessageCopy, MessageCopyRef, Sighting, Text, Timestamp, Verdict,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A file: which devices saw it, which messages carried it (also inside an archive).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FilePage {
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// Names it was seen under, most frequent first, at most 50 (untrusted).
    pub names: Vec<String>,
    /// First time anywhere.
    pub first_seen: Option<Timestamp>,
    /// Last time anywhere.
    pub last_seen: Option<Timestamp>,
    /// Devices that saw it, at most 500.
    pub devices: Vec<Sighting>,
    /// How many devices saw it, at most 10,000.
    pub device_count: i64,
    /// Message copies that carried it, at most 500.
    pub messages: Vec<MessageCopy>,
    /// How many message copies carried it, at most 10,000.
    pub message_count: i64,
    /// False: there are more; the counts are at least these.
    pub counts_exact: bool,
    /// The indicator in force for it.
    pub indicator: Option<Indicator>,
    /// What we believe.
    pub verdict: Verdict,
    /// Alerts it is evidence of, newest first, at most 100.
    pub alerts: Vec<AlertSummary>,
}

/// Which mailboxes hold a file now, asked live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FileMailboxes {
    /// When it was asked.
    pub checked_at: Timestamp,
    /// One per message copy that carried it.
    pub copies: Vec<MailboxCopy>,
}

/// Whether a mailbox holds a message copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailboxCopyState {
    /// It is there.
    Present,
    /// Hinomi took it out.
    Removed,
    /// It is not there.
    NotFound,
    /// The mailbox could not be asked.
    Failed,
}

/// A message copy in its mailbox now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MailboxCopy {
    /// The copy.
    pub copy: MessageCopyRef,
    /// Whether it is there.
    pub state: MailboxCopyState,
    /// Folder that holds it.
    pub folder: Option<String>,
    /// More, above all why asking failed.
    pub detail: String,
}

/// Which value, and which kind of entity had it.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SightingQuery {
    /// The value, `kind:value` (`file:9f86…`, `ip:203.0.113.5`, `domain:…`, `url:…`, `sender:…`, `message:…`).
    #[param(value_type = String)]
    pub observable: EntityKey,
    /// `device` or `messageCopy`.
    #[serde(default)]
    pub entity_kind: Option<EntityKind>,
    /// Cursor of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Page size, at most 200.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A search over everything.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// A hash, address, domain, URL, mail address, device name, incident number or words; 1 to 500 characters.
    pub q: String,
}

/// What a search hit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SearchHitKind {
    /// An incident; key: number.
    Incident,
    /// An alert; key: id.
    Alert,
    /// An investigation; key: id.
    Investigation,
    /// A device; key: id.
    Device,
    /// A file; key: SHA-256.
    File,
    /// A message; key: id.
    Message,
    /// Any other entity; key: entity key.
    Entity,
}

/// A search hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchHit {
    /// What it is.
    pub kind: SearchHitKind,
    /// What its page is called by.
    pub key: String,
    /// How people read it (untrusted).
    pub title: String,
    /// More (untrusted).
    pub detail: String,
}

/// Answer to a search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchAnswer {
    /// Best first, at most 50.
    pub hits: Vec<SearchHit>,
}

/// Filter of the messages.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct MessageQuery {
    /// Address of the sender (envelope or From).
    pub sender: Option<String>,
    /// Recipient.
    pub recipient: Option<String>,
    /// Words of the subject, addresses or attachment names.
    pub text: Option<String>,
    /// SHA-256 of an attachment, also inside an archive.
    pub sha256: Option<String>,
    /// A URL.
    pub url: Option<String>,
    /// Where it is now, words separated by commas.
    pub location: Option<String>,
    /// Message-ID header, without angle brackets.
    pub internet_message_id: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// Cursor of the page before.
    pub cursor: Option<String>,
    /// Page size, at most 200.
    pub limit: Option<u32>,
}

/// Which value a preview is about.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct IndicatorPreviewQuery {
    /// Kind: fileSha256, ip, domain, url or senderAddress.
    pub kind: IndicatorKind,
    /// The value itself; what lies below a domain is not looked at.
    pub value: String,
}

/// What an indicator would have matched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IndicatorPreview {
    /// How many days back was looked.
    pub days: i64,
    /// Devices that had to do with the value in that time.
    pub devices: i64,
    /// Mailboxes it came to in that time.
    pub mailboxes: i64,
    /// How often it was seen there.
    pub times: i64,
    /// False: there are more, the counts are at least these.
    pub exact: bool,
    /// First time it was seen at all.
    pub first_seen: Option<Timestamp>,
    /// Last time.
    pub last_seen: Option<Timestamp>,
    /// Alerts of that time that speak about it.
    pub alerts: i64,
    /// Names of some of the devices (untrusted).
    pub device_names: Vec<String>,
    /// Some of the mailboxes.
    pub mailbox_names: Vec<String>,
    /// Why it must not be blocked, if so.
    pub refused: Option<Text>,
    /// The indicator that is in force for this value.
    pub indicator: Option<Indicator>,
}

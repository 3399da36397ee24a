//! Indicators: values an administrator allows or blocks, on endpoints and in mail.

use crate::alert::words;
use crate::{EntityKey, ImportId, IndicatorId, Severity, Text, Timestamp};
use serde::{Deserialize, Serialize};

words! {
    /// What kind of value an indicator names.
    IndicatorKind {
        /// SHA-256 of a file, lower-case hex: sensor and gateway.
        FileSha256,
        /// SHA-1 of a file, lower-case hex: seen on endpoints.
        FileSha1,
        /// MD5 of a file, lower-case hex: seen on endpoints.
        FileMd5,
        /// Mail address that sends, lower case: gateway.
        SenderAddress,
        /// Domain that sends: gateway.
        SenderDomain,
        /// Normalised URL: gateway.
        Url,
        /// Domain and its subdomains in URLs: gateway.
        Domain,
        /// IP address.
        Ip,
        /// IP network, `192.0.2.0/24`.
        Cidr,
        /// SHA-256 of a signing certificate, lower-case hex: kept, not enforced (Linux signs no files).
        CertificateSha256,
        /// Subject of a mail, whole and in any case; `*` any text, `?` one character: gateway.
        SubjectPattern,
    }
    /// How a list of indicators is written.
    IndicatorFormat {
        /// Told from the content.
        Auto,
        /// A table, or one value a line.
        Csv,
        /// A STIX 2.1 bundle.
        Stix,
        /// A MISP event in JSON.
        Misp,
    }
    /// Where an indicator takes effect.
    IndicatorPlace {
        /// Sensors refuse to run the file.
        Sensor,
        /// The mail gateway stops or marks the mail.
        Gateway,
        /// What endpoints and mail tell is compared with it; an alert is raised.
        Alert,
    }
    /// What happens when the value is seen. Allow beats block and remediate beats block beats warn
    /// beats audit.
    IndicatorAction {
        /// Never stopped, never alerted.
        Allow,
        /// Alert only.
        Audit,
        /// Let through with a mark people and filters can see, and alerted.
        Warn,
        /// Stopped and alerted.
        Block,
        /// Stopped and alerted; what is already there is taken away.
        BlockAndRemediate,
    }
}

impl IndicatorAction {
    /// True when the value is stopped.
    pub fn blocks(self) -> bool {
        matches!(self, IndicatorAction::Block | IndicatorAction::BlockAndRemediate)
    }

    /// Which action decides when several speak about a value: the greatest.
    pub fn rank(self) -> u8 {
        match self {
            IndicatorAction::Audit => 1,
            IndicatorAction::Warn => 2,
            IndicatorAction::Block => 3,
            IndicatorAction::BlockAndRemediate => 4,
            IndicatorAction::Allow => 5,
        }
    }
}

/// Tags and domains of one scope.
pub const SCOPE_ENTRIES_MAX: usize = 50;

/// Where an indicator counts; empty = everywhere. One that names tags alone counts on devices alone,
/// one that names domains alone in mail alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IndicatorScope {
    /// Devices with one of these tags.
    #[serde(default)]
    pub device_tags: Vec<String>,
    /// Mail to recipients of these domains or domains below them, lower case.
    #[serde(default)]
    pub mail_domains: Vec<String>,
}

impl IndicatorScope {
    /// True when nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.device_tags.is_empty() && self.mail_domains.is_empty()
    }

    /// True on a device with these tags.
    pub fn has_device(&self, tags: &[String]) -> bool {
        self.is_everything() || self.device_tags.iter().any(|tag| tags.contains(tag))
    }

    /// True for a mail to recipients of these domains.
    pub fn has_mail(&self, domains: &[String]) -> bool {
        let below = |domain: &String, own: &String| {
            domain.strip_suffix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        self.is_everything() || self.mail_domains.iter().any(|own| domains.iter().any(|domain| below(domain, own)))
    }
}

/// What an administrator says about a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IndicatorSpec {
    /// Kind of value.
    pub kind: IndicatorKind,
    /// The value, normalised as its kind says.
    pub value: String,
    /// What happens.
    pub action: IndicatorAction,
    /// Severity of the alert when seen.
    pub severity: Severity,
    /// Why it is there (untrusted text of a person).
    pub note: String,
    /// End; none = never.
    pub expires_at: Option<Timestamp>,
    /// Where it counts.
    #[serde(default, skip_serializing_if = "IndicatorScope::is_everything")]
    pub scope: IndicatorScope,
}

/// An indicator in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Indicator {
    /// Id.
    pub id: IndicatorId,
    /// The value and what happens.
    pub spec: IndicatorSpec,
    /// Who added it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Incident it came from.
    pub incident_id: Option<crate::IncidentId>,
    /// List it came with.
    #[serde(default)]
    pub import_id: Option<ImportId>,
    /// First version of the sensors' block list that holds it; none = it is not for sensors.
    #[serde(default)]
    pub list_version: Option<u64>,
    /// How often it was seen since.
    pub hits: i64,
    /// When it was last seen.
    pub last_hit: Option<Timestamp>,
    /// Grows by one with every change (ETag).
    pub version: i64,
}

impl IndicatorSpec {
    /// Returns the entity an indicator speaks about.
    pub fn entity(&self) -> EntityKey {
        match self.kind {
            IndicatorKind::FileSha256 | IndicatorKind::FileSha1 | IndicatorKind::FileMd5 => {
                EntityKey::file(&self.value)
            }
            IndicatorKind::SenderAddress => EntityKey::sender(&self.value),
            IndicatorKind::SenderDomain | IndicatorKind::Domain => EntityKey::domain(&self.value),
            IndicatorKind::Url => EntityKey::url(&self.value),
            IndicatorKind::Ip | IndicatorKind::Cidr => EntityKey::ip(&self.value),
            IndicatorKind::CertificateSha256 => EntityKey::certificate(&self.value),
            IndicatorKind::SubjectPattern => EntityKey::subject(&self.value),
        }
    }
}

words! {
    /// Whether a device refuses what an indicator blocks.
    DeviceEnforcement {
        /// The device has acknowledged a list that holds it.
        InForce,
        /// The list is on its way, or the device is away.
        NotYet,
        /// The device cannot, or the list is full.
        Cannot,
    }
}

/// Which devices refuse what an indicator blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IndicatorReach {
    /// First version of the sensors' block list that holds it.
    pub list_version: Option<u64>,
    /// Devices that have it in force.
    pub in_force: i64,
    /// Devices that do not have it yet.
    pub not_yet: i64,
    /// Devices that cannot.
    pub cannot: i64,
    /// Devices its scope leaves out.
    pub out_of_scope: i64,
    /// Devices, those that do not have it first, at most 200.
    pub devices: Vec<DeviceReach>,
    /// What happens at each place.
    pub effects: Vec<IndicatorEffect>,
}

/// Whether one device refuses what an indicator blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceReach {
    /// The device.
    pub id: crate::DeviceId,
    /// Its name.
    pub name: String,
    /// Whether it does.
    pub state: DeviceEnforcement,
    /// It is connected.
    pub online: bool,
    /// Version of the block list it acknowledged.
    pub has: u64,
    /// Why it cannot.
    pub reason: Option<Text>,
}

/// A list of indicators that was taken in, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IndicatorImport {
    /// Id; the indicators it added carry it.
    pub id: ImportId,
    /// What the list is called.
    pub name: String,
    /// Who took it in.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Only looked at, nothing stored.
    pub dry_run: bool,
    /// How the file was read.
    pub format: IndicatorFormat,
    /// Values that are new.
    pub added: u64,
    /// Values that were known and are said anew.
    pub changed: u64,
    /// Values that stay as they are.
    pub unchanged: u64,
    /// Entries that were not taken.
    pub refused_count: u64,
    /// The first of them and why.
    pub refused: Vec<RefusedIndicator>,
    /// File hashes in force that sensors do not get: their block list is full.
    pub beyond_sensors: u64,
    /// When what it added was taken out again.
    pub removed_at: Option<Timestamp>,
}

/// An entry of a list that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefusedIndicator {
    /// Where it stands: `line 7`, the id of an object.
    pub place: String,
    /// What stands there, shortened (untrusted text).
    pub value: String,
    /// Why it was not taken.
    pub reason: Text,
}

/// Why and by what a value is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IndicatorWhy {
    /// The value asked about, as it is compared.
    pub value: String,
    /// What decides; none = nobody says anything about it.
    pub decided_by: Option<IndicatorId>,
    /// Every indicator that says something about the value, what decides first, ended ones last.
    pub considered: Vec<ConsideredIndicator>,
    /// In which order indicators decide.
    pub precedence: Text,
}

/// An indicator that says something about a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsideredIndicator {
    /// The indicator.
    pub id: IndicatorId,
    /// Its kind.
    pub kind: IndicatorKind,
    /// Its value.
    pub value: String,
    /// What it asks for.
    pub action: IndicatorAction,
    /// Why it decides, or why another one does.
    pub reason: Text,
    /// Where it takes effect.
    pub enforced_by: Vec<IndicatorPlace>,
    /// What happens at each place, also where it is not enforced.
    pub effects: Vec<IndicatorEffect>,
    /// Its end.
    pub expires_at: Option<Timestamp>,
    /// It has ended: it is only told.
    pub ended: bool,
    /// Where it counts.
    pub scope: IndicatorScope,
}

/// What an indicator does at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IndicatorEffect {
    /// The place.
    pub place: IndicatorPlace,
    /// It does something there.
    pub enforced: bool,
    /// What, or why nothing.
    pub text: Text,
}

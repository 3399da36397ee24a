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
        /// The mail gateway stops it.
        Gateway,
        /// What endpoints and mail tell is compared with it; an alert is raised.
        Alert,
    }
    /// What happens when the value is seen. Allow beats block beats audit.
    IndicatorAction {
        /// Never stopped, never alerted.
        Allow,
        /// Alert only.
        Audit,
        /// Stopped and alerted.
        Block,
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
        }
    }
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
    /// Every indicator that says something about the value, what decides first.
    pub considered: Vec<ConsideredIndicator>,
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
}

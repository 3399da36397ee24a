//! Indicators: values an administrator allows or blocks, on endpoints and in mail.

use crate::alert::words;
use crate::{EntityKey, IndicatorId, Severity, Timestamp};
use serde::{Deserialize, Serialize};

words! {
    /// What kind of value an indicator names.
    IndicatorKind {
        /// SHA-256 of a file, lower-case hex: sensor and gateway.
        FileSha256,
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
            IndicatorKind::FileSha256 => EntityKey::file(&self.value),
            IndicatorKind::SenderAddress => EntityKey::sender(&self.value),
            IndicatorKind::SenderDomain | IndicatorKind::Domain => EntityKey::domain(&self.value),
            IndicatorKind::Url => EntityKey::url(&self.value),
            IndicatorKind::Ip => EntityKey::ip(&self.value),
        }
    }
}

//! Errors: RFC 9457 problem documents.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request was not done (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:hinomi:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short English title of the code.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Stable code (`not_found`, `totp_required`, `version_conflict`, …).
    pub code: String,
    /// What is wrong, in Japanese.
    pub message_ja: String,
    /// What is wrong, in English.
    pub message_en: String,
    /// The field of the request that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The current state of the resource, with `version_conflict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub current: Option<serde_json::Value>,
    /// Id of the request, also in the server's log and the `x-request-id` header.
    pub request_id: String,
}

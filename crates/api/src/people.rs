//! Users, API tokens, enrolment tokens, audit.

use hinomi_model::{DeviceId, Language, Role, Timestamp, TokenId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A new user.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Login name: 1 to 64 of `a-z 0-9 . _ - @`.
    pub name: String,
    /// First password, at least 12 characters.
    pub password: String,
    /// Role.
    pub role: Role,
    /// Language.
    #[serde(default)]
    pub language: Option<Language>,
    /// Mail address for alert mails.
    #[serde(default)]
    pub mail: Option<String>,
}

/// Changes a user. Fields left out stay.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateUser {
    /// Role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Mail address; null removes it.
    #[serde(deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub mail: Option<Option<String>>,
    /// True: may not log in; ends every session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// New password; ends every session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// True: forget authenticator app and passkeys (a lost phone).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_second_factors: Option<bool>,
}

/// An API token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiToken {
    /// Id.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it ends; none: never.
    pub expires_at: Option<Timestamp>,
    /// Last use.
    pub last_used: Option<Timestamp>,
}

/// A new API token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiToken {
    /// What it is for, 1 to 100 characters.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Days until it ends, 1 to 365; 90 when left out.
    #[serde(default)]
    pub expires_in_days: Option<i64>,
}

/// A new API token, told once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedApiToken {
    /// The token without its secret.
    pub token: ApiToken,
    /// The secret (`hnm_…`) for `Authorization: Bearer`; never shown again.
    pub secret: String,
}

/// An enrolment token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentTokenInfo {
    /// Id.
    pub id: TokenId,
    /// What it is for.
    pub note: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The device that used it up.
    pub used_by: Option<DeviceId>,
}

/// A new enrolment token.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewEnrolmentToken {
    /// What it is for, at most 200 characters.
    pub note: String,
    /// Hours until it ends, 1 to 720; 24 when left out.
    pub expires_in_hours: Option<i64>,
}

/// A new enrolment token, told once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedEnrolmentToken {
    /// The token without its secret.
    pub token: EnrolmentTokenInfo,
    /// The line to give to `hinomi-sensor enrol`; never shown again.
    pub line: String,
}

/// Filter of the audit log.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Who.
    pub actor: Option<String>,
    /// What (`action.approve`).
    pub action: Option<String>,
    /// On what.
    pub target: Option<String>,
    /// Words anywhere in the record.
    pub text: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// Cursor of the page before.
    pub cursor: Option<String>,
    /// Page size, at most 200.
    pub limit: Option<u32>,
}

/// Result of walking the hash chain of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditVerification {
    /// True when every record chains to the one before.
    pub intact: bool,
    /// Records walked.
    pub records: i64,
    /// Position of the first record that does not fit.
    pub first_bad: Option<i64>,
    /// When it was walked.
    pub checked_at: Timestamp,
}

/// A page of a list without filter.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Cursor of the page before.
    pub cursor: Option<String>,
    /// Page size, at most 200.
    pub limit: Option<u32>,
}

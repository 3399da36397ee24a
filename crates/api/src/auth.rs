//! Login, sessions, second factors, step-up.

use crate::Permission;
use hinomi_model::{Language, SessionId, Timestamp, User};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What everybody may know of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Meta {
    /// Version of the server.
    pub version: String,
    /// True until the first administrator exists.
    pub setup_required: bool,
    /// Language of the server, for pages before login.
    pub language: Language,
}

/// Health for load balancers and monitoring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`; anything else comes as status 503.
    pub status: String,
}

/// Makes the first administrator.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupRequest {
    /// The one-time code the server printed at its first start.
    pub code: String,
    /// Login name.
    pub name: String,
    /// Password, at least 12 characters.
    pub password: String,
    /// Language of the administrator and of the server.
    pub language: Language,
}

/// Logs in by password, with the second factor when the account has one.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// Login name.
    pub name: String,
    /// Password.
    pub password: String,
    /// Code of the authenticator app; without it such accounts get 401 `totp_required`.
    #[serde(default)]
    pub totp: Option<String>,
}

/// Who is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The person.
    pub user: User,
    /// What the person may do.
    pub permissions: Vec<Permission>,
    /// Until when dangerous acts need no further proof.
    pub step_up_until: Option<Timestamp>,
    /// This session.
    pub session_id: SessionId,
}

/// Changes the own profile. Fields left out stay.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateMe {
    /// Language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Mail address; null removes it.
    #[serde(deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub mail: Option<Option<String>>,
    /// New password, at least 12 characters; ends every other session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Current password, needed with `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_password: Option<String>,
}

/// A login session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionInfo {
    /// Id.
    pub id: SessionId,
    /// Login.
    pub created_at: Timestamp,
    /// Last use.
    pub last_used: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// Address of the client.
    pub address: String,
    /// Program of the client, as it says.
    pub user_agent: String,
    /// True for the session that asks.
    pub current: bool,
}

/// The secret of a new authenticator app.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct TotpStart {
    /// Secret, base32, to type in.
    pub secret: String,
    /// The same as `otpauth://` URL, to show as a QR code.
    pub otpauth_url: String,
}

/// A code of the authenticator app.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TotpCode {
    /// Six digits.
    pub code: String,
}

/// Begins a passkey login.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyLoginStart {
    /// Login name.
    pub name: String,
}

/// What the browser needs for `navigator.credentials.create` or `.get`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PasskeyChallenge {
    /// Names the ceremony in the finishing request; valid once, for five minutes.
    pub ceremony: String,
    /// Options as in WebAuthn's JSON (`{"publicKey": {…}}`, binary as base64url).
    #[schema(value_type = Object)]
    pub options: serde_json::Value,
}

/// Ends the registration of a passkey.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyRegisterFinish {
    /// From the start.
    pub ceremony: String,
    /// How the person calls it.
    pub name: String,
    /// The new credential as in WebAuthn's `RegistrationResponseJSON`.
    #[schema(value_type = Object)]
    pub credential: serde_json::Value,
}

/// Ends a passkey login or step-up.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyFinish {
    /// From the start.
    pub ceremony: String,
    /// The assertion as in WebAuthn's `AuthenticationResponseJSON`.
    #[schema(value_type = Object)]
    pub credential: serde_json::Value,
}

/// The own password, typed again.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordProof {
    /// Password.
    pub password: String,
}

/// Dangerous acts are open for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepUp {
    /// Until when.
    pub step_up_until: Timestamp,
}

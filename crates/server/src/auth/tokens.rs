//! API tokens: `hnm_` and 256 random bits, kept as hash, with a role and an end.

use super::{Auth, Caller, Who, random_text, secret_hash};
use crate::http::Answer;
use axum::http::{HeaderMap, header};
use hinomi_model::{Role, Timestamp};
use hinomi_store::ApiTokenRow;

/// What every API token begins with, so that scanners recognise leaked ones.
pub const PREFIX: &str = "hnm_";
/// The last use is written at most this often, seconds.
const TOUCH_SECONDS: i64 = 60;

/// Builds a token; returns its row and the secret.
pub fn new_token(name: &str, role: Role, created_by: &str, now: Timestamp, days: i64) -> (ApiTokenRow, String) {
    let secret = format!("{PREFIX}{}", random_text());
    let row = ApiTokenRow {
        id: crate::ids::new(),
        secret_sha256: secret_hash(&secret),
        name: name.to_owned(),
        role,
        created_by: created_by.to_owned(),
        created_at: now,
        expires_at: Some(now.plus_seconds(days * 86_400)),
        last_used: None,
    };
    (row, secret)
}

/// Finds the token of an `Authorization: Bearer` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl Auth {
    /// Finds who a token belongs to.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn token_caller(&self, secret: &str, address: String) -> Answer<Option<Caller>> {
        if !secret.starts_with(PREFIX) {
            return Ok(None);
        }
        let now = self.ctx.now();
        let Some(row) = self.ctx.store.api_token_by_secret(&secret_hash(secret), now).await? else { return Ok(None) };
        let stale = row.last_used.is_none_or(|at| now.micros_since(at) > TOUCH_SECONDS * 1_000_000);
        if stale {
            self.ctx.store.touch_api_token(row.id, now).await?;
        }
        Ok(Some(Caller::new(Who::Token { name: row.name, role: row.role }, address)))
    }
}

/// Builds an enrolment token; returns its row and the line for the endpoint.
pub fn new_enrolment_token(
    sensor_url: &str,
    keys: &crate::keys::Keys,
    note: &str,
    created_by: &str,
    now: Timestamp,
    hours: i64,
) -> (hinomi_store::EnrolmentTokenRow, String) {
    use base64::Engine;
    let secret = random_text();
    let row = hinomi_store::EnrolmentTokenRow {
        id: crate::ids::new(),
        secret_sha256: secret_hash(&secret),
        note: note.to_owned(),
        created_by: created_by.to_owned(),
        created_at: now,
        expires_at: now.plus_seconds(hours * 3600),
        used_by: None,
    };
    let token = hinomi_wire::EnrolmentToken {
        url: sensor_url.to_owned(),
        authority: base64::engine::general_purpose::STANDARD.encode(&keys.authority_der),
        secret,
    };
    (row, token.encode())
}

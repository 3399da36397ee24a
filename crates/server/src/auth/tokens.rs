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
        let Some(row) = self.ctx.store.api_token_by_secret(&secret_hash(secret)).await? else { return Ok(None) };
        let now = self.ctx.now();
        if row.expires_at.is_some_and(|end| end <= now) {
            return Ok(None);
        }
        let stale = row.last_used.is_none_or(|at| now.micros_since(at) > TOUCH_SECONDS * 1_000_000);
        if stale {
            self.ctx.store.touch_api_token(row.id, now).await?;
        }
        Ok(Some(Caller::new(Who::Token { name: row.name, role: row.role }, address)))
    }
}

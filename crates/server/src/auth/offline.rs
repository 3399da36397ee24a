//! What whoever owns the data folder may do without logging in: a new setup code, tokens.

use super::{setup, tokens};
use crate::keys::Keys;
use hinomi_model::{Role, Timestamp};
use hinomi_store::{NewAudit, Store, StoreError};

/// Who the audit log names for acts on the server itself.
const ACTOR: &str = "local";

/// Makes a new one-time setup code.
///
/// # Errors
/// When the store fails.
pub async fn reset_code(store: &Store) -> Result<String, StoreError> {
    let now = now();
    let code = setup::new_code(store).await?;
    record(store, now, "setup_code.reset", "", "{}".to_owned()).await?;
    Ok(code)
}

/// Makes an API token; returns its secret.
///
/// # Errors
/// When the store fails.
pub async fn create_api_token(
    store: &Store,
    name: &str,
    role: Role,
    days: i64,
) -> Result<(hinomi_store::ApiTokenRow, String), StoreError> {
    let now = now();
    let (row, secret) = tokens::new_token(name, role, ACTOR, now, days);
    store.add_api_token(&row).await?;
    let detail = serde_json::json!({ "name": name, "role": role, "days": days });
    record(store, now, "token.create", &row.id.to_string(), detail.to_string()).await?;
    Ok((row, secret))
}

/// Makes an enrolment token; returns its line.
///
/// # Errors
/// When the store fails.
pub async fn create_enrolment_token(
    store: &Store,
    keys: &Keys,
    sensor_url: &str,
    note: &str,
    hours: i64,
) -> Result<(hinomi_store::EnrolmentTokenRow, String), StoreError> {
    let now = now();
    let (row, line) = tokens::new_enrolment_token(sensor_url, keys, note, ACTOR, now, hours);
    store.add_enrolment_token(&row).await?;
    let detail = serde_json::json!({ "note": note, "hours": hours });
    record(store, now, "enrolment_token.create", &row.id.to_string(), detail.to_string()).await?;
    Ok((row, line))
}

/// Records what was done to the sealed secrets of mail systems; `target` is the system's name, empty for
/// all of them. The detail never holds a secret.
///
/// # Errors
/// When the store fails.
pub async fn secret_changed(
    store: &Store,
    what: &str,
    target: &str,
    detail: &serde_json::Value,
) -> Result<(), StoreError> {
    record(store, now(), &format!("mail_secret.{what}"), target, detail.to_string()).await
}

fn now() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}

async fn record(store: &Store, at: Timestamp, action: &str, target: &str, detail: String) -> Result<(), StoreError> {
    let audit = NewAudit {
        at,
        actor: ACTOR.to_owned(),
        action: action.to_owned(),
        target: target.to_owned(),
        detail,
        address: String::new(),
        result: "ok".to_owned(),
    };
    store.audit(&audit).await?;
    Ok(())
}

//! The automation policy, and what it would have done.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{IfMatch, Json, Versioned};
use crate::auth::Caller;
use crate::automation;
use axum::extract::State;
use hinomi_api::{AutomationPreview, PreviewAutomation, UpdateAutomation};
use hinomi_model::AutomationPolicy;
use hinomi_store::StoreError;
use serde_json::json;

/// `GET /automation`
pub async fn get(State(http): State<Http>) -> Answer<Versioned<AutomationPolicy>> {
    let policy = http.ctx.store.automation().await?;
    Ok(Versioned(policy.version, policy))
}

/// `PATCH /automation`
pub async fn update(
    State(http): State<Http>,
    caller: Caller,
    version: IfMatch,
    Json(body): Json<UpdateAutomation>,
) -> Answer<Versioned<AutomationPolicy>> {
    let _turn = http.ctx.desk.turn().await;
    let mut tx = http.ctx.store.begin().await?;
    let before = tx.automation().await?;
    version.check(before.version, &before)?;
    caller.note("automation", json!({ "version": before.version, "change": body }));
    let mut policy = automation::apply(before.clone(), body);
    check(&policy)?;
    (policy.changed_by, policy.changed_at) = (caller.name(), Some(http.ctx.now()));
    let after = match tx.put_automation(&policy, before.version).await {
        Ok(after) => after,
        Err(StoreError::Conflict { .. }) => return Err(Fail::version_conflict(http.ctx.store.automation().await?)),
        Err(error) => return Err(error.into()),
    };
    automation::refresh(&http.ctx, &mut tx).await?;
    tx.commit().await?;
    Ok(Versioned(after.version, after))
}

/// `POST /automation/preview`
pub async fn preview(State(http): State<Http>, Json(body): Json<PreviewAutomation>) -> Answer<Json<AutomationPreview>> {
    if !(1..=automation::DAYS_MAX).contains(&body.days) {
        return Err(Fail::field("days", "1 to 90 days", "1〜90 日です"));
    }
    let policy = automation::apply(http.ctx.store.automation().await?, body.change);
    check(&policy)?;
    Ok(Json(automation::preview(&http.ctx, policy, body.automation_level, body.days).await?))
}

fn check(policy: &AutomationPolicy) -> Answer<()> {
    automation::check(policy).map_err(|(field, reason)| Fail::field(field, reason.en, reason.ja))
}

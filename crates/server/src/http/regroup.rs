//! Merging incidents, taking them apart, moving alerts.

use super::Http;
use super::fail::{Answer, Fail};
use super::incidents::{COMMENT_MAX, detail, find};
use super::request::{IfMatch, Json, Path, Versioned, length};
use crate::auth::Caller;
use crate::regroup::{self, RegroupError};
use axum::extract::State;
use hinomi_api::{IncidentDetail, MergeIncidents, MoveAlerts, UnmergeIncident};
use hinomi_model::CorrelationReason;
use serde_json::json;

/// Most incidents merged at once (reference: 5).
const MERGED_MAX: usize = 5;
/// Most alerts moved at once.
const MOVED_MAX: usize = 200;

/// `POST /incidents/{id}/merge`
pub async fn merge(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<String>,
    version: IfMatch,
    Json(body): Json<MergeIncidents>,
) -> Answer<Versioned<IncidentDetail>> {
    let target = find(&http, &id).await?;
    caller.note(format!("INC-{}", target.number), json!({ "incidents": body.incidents }));
    version.check(target.version, &target)?;
    remark(body.comment.as_deref())?;
    let mut numbers = body.incidents;
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.is_empty() || numbers.len() > MERGED_MAX {
        return Err(Fail::field("incidents", "1 to 5 incidents", "インシデントは 1〜5 件です"));
    }
    let mut sources = Vec::new();
    for number in numbers {
        let known = http.ctx.store.incident_by_number(number).await?;
        let known = known.ok_or_else(|| {
            Fail::field("incidents", format!("there is no INC-{number}"), format!("INC-{number} はありません"))
        })?;
        sources.push(known.id);
    }
    let comment = body.comment.as_deref();
    let merged = regroup::merge_into(&http.ctx, target.id, version.0, &sources, comment, &caller.name()).await;
    detail(&http, merged.map_err(fail)?).await
}

/// `POST /incidents/{id}/unmerge`
pub async fn unmerge(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<UnmergeIncident>,
) -> Answer<Versioned<IncidentDetail>> {
    let source = find(&http, &id).await?;
    caller.note(format!("INC-{}", source.number), serde_json::Value::Null);
    remark(body.comment.as_deref())?;
    let apart = regroup::take_apart(&http.ctx, source.id, body.comment.as_deref(), &caller.name()).await;
    detail(&http, apart.map_err(fail)?).await
}

/// `POST /alerts/move`
pub async fn move_alerts(
    State(http): State<Http>,
    caller: Caller,
    Json(body): Json<MoveAlerts>,
) -> Answer<Versioned<IncidentDetail>> {
    caller.note("", json!({ "alerts": body.alerts, "incident": body.incident }));
    remark(body.comment.as_deref())?;
    if body.alerts.is_empty() || body.alerts.len() > MOVED_MAX {
        return Err(Fail::field("alerts", "1 to 200 alerts", "アラートは 1〜200 件です"));
    }
    let to = match body.incident {
        None => None,
        Some(number) => {
            let known = http.ctx.store.incident_by_number(number).await?;
            let missing =
                || Fail::field("incident", format!("there is no INC-{number}"), format!("INC-{number} はありません"));
            Some(known.ok_or_else(missing)?.id)
        }
    };
    let reason = body.reason.unwrap_or(CorrelationReason::EventSequence);
    let comment = body.comment.as_deref();
    let moved = regroup::move_alerts(&http.ctx, &body.alerts, to, reason, comment, &caller.name()).await;
    detail(&http, moved.map_err(fail)?).await
}

fn remark(comment: Option<&str>) -> Answer<()> {
    comment.map_or(Ok(()), |comment| length("comment", comment, 0, COMMENT_MAX))
}

fn fail(error: RegroupError) -> Fail {
    match error {
        RegroupError::Store(error) => error.into(),
        RegroupError::Refused { code, text } => Fail::conflict(code, text.en, text.ja),
    }
}

//! Actions: the action centre.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Created, Json, MaybeJson, Path, Query, Versioned, length, list_of, page, words};
use crate::actions::{ActionError, Proposal};
use crate::auth::Caller;
use axum::extract::State;
use axum::http::HeaderMap;
use hinomi_api::{ActionQuery, ApproveActions, ApprovedAction, ApprovedActions, Decision, List, NewAction};
use hinomi_model::{Action, ActionId, ActionSpec, DeviceId, Text};
use hinomi_store::ActionFilter;
use serde_json::json;
use std::collections::BTreeSet;

/// Most characters of reasons and remarks.
const REMARK_MAX: usize = 2_000;
/// Most actions approved or declined at once.
const BULK_MAX: usize = 200;
/// Isolating another device within this time, seconds, counts as isolating several.
const ISOLATION_WINDOW_SECONDS: i64 = 600;

/// `GET /actions`
pub async fn list(State(http): State<Http>, Query(query): Query<ActionQuery>) -> Answer<Json<List<Action>>> {
    let filter = ActionFilter {
        state: words("state", query.state.as_deref())?,
        incident: query.incident,
        investigation: query.investigation,
        ..ActionFilter::default()
    };
    let listed = http.ctx.store.actions(&filter, &page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, |action| action)))
}

/// `GET /actions/{id}`
pub async fn get(State(http): State<Http>, Path(id): Path<ActionId>) -> Answer<Versioned<Action>> {
    let action = http.ctx.store.action(id).await?.ok_or_else(Fail::not_found)?;
    Ok(Versioned(action.version, action))
}

/// `POST /actions`
pub async fn create(
    State(http): State<Http>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<NewAction>,
) -> Answer<Created<Action>> {
    caller.note("", json!({ "kind": body.spec.kind(), "reason": body.reason, "propose_only": body.propose_only }));
    length("reason", body.reason.trim(), 1, REMARK_MAX)?;
    let key = idempotency_key(&headers)?.map(|key| format!("{}:{key}", caller.name()));
    if !body.propose_only {
        check_one(&http, &caller, &body.spec).await?;
    }
    if let Some(incident) = body.incident_id {
        http.ctx
            .store
            .incident(incident)
            .await?
            .ok_or_else(|| Fail::field("incident_id", "there is no such incident", "そのインシデントはありません"))?;
    }
    let name = caller.name();
    let (spec, signs) = match (body.related, body.spec.message_remedy()) {
        (true, Some((remedy, copies))) => {
            let mut copies = copies.to_vec();
            let extended = crate::related::extend(&http.ctx, &mut copies).await;
            let signs = extended.map_err(|error| Fail::internal(format!("{error:#}")))?;
            (ActionSpec::of_remedy(remedy, copies, body.spec.senders_copy()), signs)
        }
        _ => (body.spec, Vec::new()),
    };
    let proposal = Proposal {
        spec,
        reason: Text::same(body.reason.trim()),
        by: &name,
        incident: body.incident_id,
        investigation: None,
        idempotency_key: key,
        approve_now: (!body.propose_only).then_some((name.as_str(), None)),
        signs,
        grounds: None,
        again: None,
    };
    let action = crate::actions::propose(&http.ctx, proposal).await?;
    caller.note(action.id, json!({ "kind": action.spec.kind(), "reason": body.reason, "state": action.state }));
    Ok(Created(action))
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Answer<Option<String>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    length("Idempotency-Key", text, 1, 200)?;
    Ok(Some(text.to_owned()))
}

/// What cannot be undone needs the presence of the one who orders or approves it.
fn check_presence(http: &Http, caller: &Caller, spec: &ActionSpec) -> Answer<()> {
    match spec {
        ActionSpec::HardDeleteMessages { .. } => caller.require_step_up(http.ctx.now()),
        _ => Ok(()),
    }
}

/// Isolating several devices is dangerous and needs presence: several in one request, or another
/// one by the same person within minutes.
async fn check_isolation(http: &Http, caller: &Caller, mut devices: BTreeSet<DeviceId>) -> Answer<()> {
    let now = http.ctx.now();
    let recent = http.ctx.store.actions(&ActionFilter::default(), &page(None, Some(100))).await?.items;
    let name = caller.name();
    for action in recent.iter().filter(|action| action.decided_by.as_deref() == Some(name.as_str())) {
        let fresh = action.decided_at.is_some_and(|at| now.micros_since(at) < ISOLATION_WINDOW_SECONDS * 1_000_000);
        if let ActionSpec::IsolateDevice { device_id, .. } = &action.spec
            && fresh
        {
            devices.insert(*device_id);
        }
    }
    if devices.len() > 1 { caller.require_step_up(now) } else { Ok(()) }
}

/// What one order or approval needs of the one who gives it.
async fn check_one(http: &Http, caller: &Caller, spec: &ActionSpec) -> Answer<()> {
    if let ActionSpec::IsolateDevice { device_id, .. } = spec {
        check_isolation(http, caller, BTreeSet::from([*device_id])).await?;
    }
    check_presence(http, caller, spec)
}

/// `POST /actions/{id}/approve`
pub async fn approve(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<ActionId>,
    MaybeJson(body): MaybeJson<Decision>,
) -> Answer<Versioned<Action>> {
    let comment = remark(&caller, id, body)?;
    let action = http.ctx.store.action(id).await?.ok_or_else(Fail::not_found)?;
    check_one(&http, &caller, &action.spec).await?;
    let action = crate::actions::approve(&http.ctx, id, &caller.name(), comment).await?;
    Ok(Versioned(action.version, action))
}

/// `POST /actions/{id}/decline`
pub async fn decline(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<ActionId>,
    MaybeJson(body): MaybeJson<Decision>,
) -> Answer<Versioned<Action>> {
    let comment = remark(&caller, id, body)?;
    let action = crate::actions::decline(&http.ctx, id, &caller.name(), comment).await?;
    Ok(Versioned(action.version, action))
}

/// `POST /actions/{id}/cancel`
pub async fn cancel(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<ActionId>,
    MaybeJson(body): MaybeJson<Decision>,
) -> Answer<Versioned<Action>> {
    remark(&caller, id, body)?;
    let action = crate::actions::cancel(&http.ctx, id, &caller.name()).await?;
    Ok(Versioned(action.version, action))
}

/// `POST /actions/{id}/pause`
pub async fn pause(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<ActionId>,
    MaybeJson(body): MaybeJson<Decision>,
) -> Answer<Versioned<Action>> {
    remark(&caller, id, body)?;
    let action = crate::actions::pause(&http.ctx, id, &caller.name()).await?;
    Ok(Versioned(action.version, action))
}

/// `POST /actions/{id}/resume`
pub async fn resume(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<ActionId>,
    MaybeJson(body): MaybeJson<Decision>,
) -> Answer<Versioned<Action>> {
    remark(&caller, id, body)?;
    let action = crate::actions::resume(&http.ctx, id, &caller.name()).await?;
    Ok(Versioned(action.version, action))
}

/// `POST /actions/{id}/retry`
pub async fn retry(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<ActionId>,
    MaybeJson(body): MaybeJson<Decision>,
) -> Answer<Versioned<Action>> {
    remark(&caller, id, body)?;
    let action = http.ctx.store.action(id).await?.ok_or_else(Fail::not_found)?;
    check_presence(&http, &caller, &action.spec)?;
    let action = crate::actions::retry(&http.ctx, id, &caller.name()).await?;
    Ok(Versioned(action.version, action))
}

/// `POST /actions/{id}/disarm`
pub async fn disarm(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<ActionId>,
    MaybeJson(body): MaybeJson<Decision>,
) -> Answer<Versioned<Action>> {
    remark(&caller, id, body)?;
    let action = crate::actions::disarm(&http.ctx, id, &caller.name()).await?;
    Ok(Versioned(action.version, action))
}

/// `POST /actions/{id}/undo`
pub async fn undo(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<ActionId>,
    MaybeJson(body): MaybeJson<Decision>,
) -> Answer<Versioned<Action>> {
    remark(&caller, id, body)?;
    let action = crate::actions::undo(&http.ctx, id, &caller.name()).await?;
    Ok(Versioned(action.version, action))
}

fn remark(caller: &Caller, id: ActionId, body: Decision) -> Answer<Option<String>> {
    caller.note(id, json!({ "comment": body.comment }));
    length("comment", body.comment.as_deref().unwrap_or_default(), 0, REMARK_MAX)?;
    Ok(body.comment.filter(|text| !text.trim().is_empty()))
}

/// `POST /actions/{id}/again`
pub async fn again(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<ActionId>,
    MaybeJson(body): MaybeJson<Decision>,
) -> Answer<Versioned<Action>> {
    let comment = remark(&caller, id, body)?;
    let action = http.ctx.store.action(id).await?.ok_or_else(Fail::not_found)?;
    check_one(&http, &caller, &action.spec).await?;
    let action = crate::actions::again(&http.ctx, id, &caller.name(), comment).await?;
    Ok(Versioned(action.version, action))
}

/// `POST /actions/approve`
pub async fn approve_many(
    State(http): State<Http>,
    caller: Caller,
    Json(body): Json<ApproveActions>,
) -> Answer<Json<ApprovedActions>> {
    check_many(&caller, &body)?;
    let mut isolated = BTreeSet::new();
    for id in &body.ids {
        let Some(action) = http.ctx.store.action(*id).await? else { continue };
        check_presence(&http, &caller, &action.spec)?;
        if let ActionSpec::IsolateDevice { device_id, .. } = action.spec {
            isolated.insert(device_id);
        }
    }
    if !isolated.is_empty() {
        check_isolation(&http, &caller, isolated).await?;
    }
    let mut results = Vec::with_capacity(body.ids.len());
    for id in body.ids {
        let approved = crate::actions::approve(&http.ctx, id, &caller.name(), body.comment.clone()).await;
        results.push(result_of(id, approved));
    }
    Ok(Json(ApprovedActions { results }))
}

/// `POST /actions/decline`
pub async fn decline_many(
    State(http): State<Http>,
    caller: Caller,
    Json(body): Json<ApproveActions>,
) -> Answer<Json<ApprovedActions>> {
    check_many(&caller, &body)?;
    let mut results = Vec::with_capacity(body.ids.len());
    for id in body.ids {
        let declined = crate::actions::decline(&http.ctx, id, &caller.name(), body.comment.clone()).await;
        results.push(result_of(id, declined));
    }
    Ok(Json(ApprovedActions { results }))
}

fn check_many(caller: &Caller, body: &ApproveActions) -> Answer<()> {
    caller.note("", json!({ "ids": body.ids, "comment": body.comment }));
    length("comment", body.comment.as_deref().unwrap_or_default(), 0, REMARK_MAX)?;
    if body.ids.is_empty() || body.ids.len() > BULK_MAX {
        return Err(Fail::field("ids", "1 to 200 ids", "1〜200 件を指定してください"));
    }
    Ok(())
}

fn result_of(id: ActionId, done: Result<Action, ActionError>) -> ApprovedAction {
    match done {
        Ok(action) => ApprovedAction { id, action: Some(action), error: None },
        Err(error) => ApprovedAction { id, action: None, error: Some(Fail::from(error).problem("")) },
    }
}

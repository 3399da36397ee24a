//! Alerts and their stories.

use super::Http;
use super::fail::{Answer, Fail};
use super::incidents::{COMMENT_MAX, check_determination, owner};
use super::request::{Created, IfMatch, Json, Path, Query, Versioned, length, list_of, page, words};
use crate::auth::Caller;
use axum::extract::State;
use hinomi_api::{AlertDetail, AlertQuery, AlertStory, AlertSummary, List, NewComment, UpdateAlert};
use hinomi_model::{Alert, AlertId, Comment};
use hinomi_store::{AlertFilter, Hidden};

/// `GET /alerts`
pub async fn list(
    State(http): State<Http>,
    caller: Caller,
    Query(query): Query<AlertQuery>,
) -> Answer<Json<List<AlertSummary>>> {
    let filter = AlertFilter {
        status: words("status", query.status.as_deref())?,
        severity: words("severity", query.severity.as_deref())?,
        service_source: query.source,
        assigned_to: owner(query.assigned_to, &caller),
        device: query.device,
        incident: query.incident,
        text: query.text,
        rule_id: query.rule,
        hidden: if query.hidden == Some(true) { Hidden::Only } else { Hidden::Without },
        ..AlertFilter::default()
    };
    let listed = http.ctx.store.alerts(&filter, &page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, |alert| AlertSummary::new(alert, None))))
}

async fn detail(http: &Http, alert: Alert) -> Answer<Versioned<AlertDetail>> {
    let incident = http.ctx.store.incident(alert.incident_id).await?;
    let investigation = match alert.investigation_id {
        Some(id) => http.ctx.store.investigation(id).await?,
        None => None,
    };
    let link = incident.as_ref().and_then(|incident| incident.alerts.iter().find(|link| link.alert_id == alert.id));
    let answer = AlertDetail {
        incident_number: incident.as_ref().map(|incident| incident.number),
        link: link.cloned(),
        investigation_number: investigation.as_ref().map(|investigation| investigation.number),
        investigation_state: investigation.map(|investigation| investigation.state),
        alert,
    };
    Ok(Versioned(answer.alert.version, answer))
}

/// `GET /alerts/{id}`
pub async fn get(State(http): State<Http>, Path(id): Path<AlertId>) -> Answer<Versioned<AlertDetail>> {
    let alert = http.ctx.store.alert(id).await?.ok_or_else(Fail::not_found)?;
    detail(&http, alert).await
}

/// Checks that an owner is a user.
///
/// # Errors
/// 400.
pub async fn check_owner(http: &Http, owner: Option<&Option<String>>) -> Answer<()> {
    let Some(Some(name)) = owner else { return Ok(()) };
    match http.ctx.store.user_by_name(name).await? {
        Some(record) if !record.user.disabled => Ok(()),
        _ => Err(Fail::field("assigned_to", "there is no such user", "そのユーザーはいません")),
    }
}

/// `PATCH /alerts/{id}`
pub async fn update(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<AlertId>,
    version: IfMatch,
    Json(body): Json<UpdateAlert>,
) -> Answer<Versioned<AlertDetail>> {
    let alert = http.ctx.store.alert(id).await?.ok_or_else(Fail::not_found)?;
    caller.note(id, serde_json::to_value(&body).unwrap_or_default());
    version.check(alert.version, &alert)?;
    if let Some(comment) = &body.comment {
        length("comment", comment, 1, COMMENT_MAX)?;
    }
    check_determination(alert.classification, body.classification, body.determination)?;
    check_owner(&http, body.assigned_to.as_ref()).await?;
    let changed = crate::alerts::update(&http.ctx, id, version.0, &body, &caller.name()).await?;
    detail(&http, changed).await
}

/// `POST /alerts/{id}/comments`
pub async fn comment(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<AlertId>,
    Json(body): Json<NewComment>,
) -> Answer<Created<Comment>> {
    length("text", body.text.trim(), 1, COMMENT_MAX)?;
    let update = UpdateAlert { comment: Some(body.text), ..UpdateAlert::default() };
    let changed = crate::alerts::update(&http.ctx, id, None, &update, &caller.name()).await?;
    let comment = changed.comments.into_iter().next_back().ok_or_else(|| Fail::internal("the remark is not there"))?;
    Ok(Created(comment))
}

/// `GET /alerts/{id}/story`
pub async fn story(State(http): State<Http>, Path(id): Path<AlertId>) -> Answer<Json<AlertStory>> {
    let alert = http.ctx.store.alert(id).await?.ok_or_else(Fail::not_found)?;
    let tree = crate::alerts::story(&http.ctx, &alert).await.map_err(|error| Fail::internal(format!("{error:#}")))?;
    Ok(Json(AlertStory { nodes: tree.nodes.into_iter().map(node).collect(), truncated: tree.truncated }))
}

fn node(node: hinomi_cases::StoryNode) -> hinomi_api::StoryNode {
    use hinomi_api::StoryNodeKind;
    use hinomi_cases::StoryKind;
    hinomi_api::StoryNode {
        key: node.key,
        parent: node.parent,
        kind: match node.kind {
            StoryKind::Process => StoryNodeKind::Process,
            StoryKind::File => StoryNodeKind::File,
            StoryKind::Network => StoryNodeKind::Network,
            StoryKind::Mail => StoryNodeKind::Mail,
            StoryKind::User => StoryNodeKind::User,
        },
        entity: node.entity,
        name: node.name,
        command_line: Some(node.command_line).filter(|line| !line.is_empty()),
        at: node.at,
        ended_at: node.ended_at,
        user: Some(node.user).filter(|user| !user.is_empty()),
        sha256: node.sha256,
        severity: node.severity,
        technique: node.technique,
        detection: node.detection,
        facts: node.facts,
        prevalence: node.prevalence,
    }
}

//! Incidents.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Created, IfMatch, Json, Path, Query, Versioned, length, list_of, page, words};
use crate::auth::Caller;
use axum::extract::State;
use hinomi_api::{
    AlertSummary, IncidentCounts, IncidentDetail, IncidentQuery, IncidentSummary, IncidentTimeline,
    InvestigationSummary, List, NewComment, TimelineLane, TimelineMarker, UpdateIncident,
};
use hinomi_model::{
    Action, Classification, Comment, Determination, Evidence, Incident, IncidentStatus, InvolvedPerson, MessageCopy,
};
use hinomi_store::{IncidentFilter, IncidentSort};

/// Reads the owner of a filter: `me`, `none` or a name.
pub fn owner(text: Option<String>, caller: &Caller) -> Option<String> {
    match text.as_deref() {
        Some("me") => Some(caller.name()),
        Some("none") => Some(String::new()),
        _ => text,
    }
}

/// Reads an order; true = lowest or oldest first.
fn sort(text: Option<&str>) -> Answer<(IncidentSort, bool)> {
    let text = text.unwrap_or("-last_activity");
    let (name, ascending) = text.strip_prefix('-').map_or((text, true), |name| (name, false));
    let sort = match name {
        "last_activity" => IncidentSort::LastActivity,
        "severity" => IncidentSort::Severity,
        "number" => IncidentSort::Number,
        _ => {
            return Err(Fail::field(
                "sort",
                "sort is last_activity, severity or number, with a minus for highest or newest first",
                "sort は last_activity、severity、number のいずれかです（先頭に - を付けると降順）",
            ));
        }
    };
    Ok((sort, ascending))
}

/// Every status but that of incidents merged into others: whoever does not ask for those sees the
/// story once.
pub fn not_redirected() -> Vec<IncidentStatus> {
    IncidentStatus::ALL.iter().copied().filter(|status| *status != IncidentStatus::Redirected).collect()
}

/// `GET /incidents`
pub async fn list(
    State(http): State<Http>,
    caller: Caller,
    Query(query): Query<IncidentQuery>,
) -> Answer<Json<List<IncidentSummary>>> {
    let (sort, ascending) = sort(query.sort.as_deref())?;
    let status: Vec<IncidentStatus> = words("status", query.status.as_deref())?;
    let filter = IncidentFilter {
        status: if status.is_empty() { not_redirected() } else { status },
        severity: words("severity", query.severity.as_deref())?,
        assigned_to: owner(query.assigned_to, &caller),
        text: query.text,
        device: query.device,
        sort,
        ascending,
        ..IncidentFilter::default()
    };
    let listed = http.ctx.store.incidents(&filter, &page(query.cursor, query.limit)).await?;
    let ids: Vec<_> = listed.items.iter().map(|incident| incident.id).collect();
    let mut counts = http.ctx.store.incident_counts(&ids).await?;
    Ok(Json(list_of(listed, |incident| {
        let counts = counts.remove(&incident.id).map(api_counts).unwrap_or_default();
        IncidentSummary::new(incident, counts)
    })))
}

fn api_counts(counts: hinomi_store::IncidentCounts) -> IncidentCounts {
    IncidentCounts {
        alert_count: counts.alerts,
        active_alerts: counts.active_alerts,
        pending_actions: counts.pending_actions,
        sources: counts.sources,
        investigation_state: counts.investigation_state,
    }
}

/// Finds an incident by id or number (`1042`, `INC-1042`).
pub async fn find(http: &Http, id: &str) -> Answer<Incident> {
    let number = id.strip_prefix("INC-").unwrap_or(id).parse::<i64>();
    let found = match (number, id.parse()) {
        (Ok(number), _) => http.ctx.store.incident_by_number(number).await?,
        (_, Ok(id)) => http.ctx.store.incident(id).await?,
        _ => None,
    };
    found.ok_or_else(Fail::not_found)
}

/// An incident with what it counts.
///
/// # Errors
/// When the store cannot be read.
pub async fn detail(http: &Http, incident: Incident) -> Answer<Versioned<IncidentDetail>> {
    let mut counts = http.ctx.store.incident_counts(&[incident.id]).await?;
    let counts = counts.remove(&incident.id).map(api_counts).unwrap_or_default();
    Ok(Versioned(incident.version, IncidentDetail { incident, counts }))
}

/// `GET /incidents/{id}`
pub async fn get(State(http): State<Http>, Path(id): Path<String>) -> Answer<Versioned<IncidentDetail>> {
    let incident = find(&http, &id).await?;
    detail(&http, incident).await
}

/// `PATCH /incidents/{id}`
pub async fn update(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<String>,
    version: IfMatch,
    Json(body): Json<UpdateIncident>,
) -> Answer<Versioned<IncidentDetail>> {
    let incident = find(&http, &id).await?;
    caller.note(format!("INC-{}", incident.number), serde_json::to_value(&body).unwrap_or_default());
    version.check(incident.version, &incident)?;
    check_update(&body)?;
    check_determination(incident.classification, body.classification, body.determination)?;
    super::alerts::check_owner(&http, body.assigned_to.as_ref()).await?;
    let changed = crate::incidents::update(&http.ctx, incident.id, version.0, &body, &caller.name()).await?;
    detail(&http, changed).await
}

fn check_update(body: &UpdateIncident) -> Answer<()> {
    if let Some(title) = &body.title {
        length("title", title.trim(), 1, 300)?;
    }
    if let Some(comment) = &body.comment {
        length("comment", comment, 1, COMMENT_MAX)?;
    }
    if body.status == Some(IncidentStatus::Redirected) {
        return Err(Fail::field(
            "status",
            "redirected comes from merging only",
            "redirected は統合によってのみ設定されます",
        ));
    }
    tags(body.tags.as_deref())
}

/// Checks that a determination belongs to the classification it will stand under.
///
/// # Errors
/// 400.
pub fn check_determination(
    known: Classification,
    classification: Option<Classification>,
    determination: Option<Determination>,
) -> Answer<()> {
    let classification = classification.unwrap_or(known);
    match determination {
        Some(determination) if !classification.allows(determination) => Err(Fail::field(
            "determination",
            format!("{} is no determination of {}", determination.word(), classification.word()),
            format!("{} は {} の判断として使えません", determination.word(), classification.word()),
        )),
        _ => Ok(()),
    }
}

/// Most characters of a remark.
pub const COMMENT_MAX: usize = 30_000;

/// Checks tags of people.
///
/// # Errors
/// 400.
pub fn tags(tags: Option<&[String]>) -> Answer<()> {
    let tags = tags.unwrap_or_default();
    if tags.len() > 50 {
        return Err(Fail::field("tags", "at most 50 tags", "タグは最大 50 個です"));
    }
    tags.iter().try_for_each(|tag| length("tags", tag.trim(), 1, 100))
}

/// `POST /incidents/{id}/comments`
pub async fn comment(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<NewComment>,
) -> Answer<Created<Comment>> {
    length("text", body.text.trim(), 1, COMMENT_MAX)?;
    let incident = find(&http, &id).await?;
    caller.note(format!("INC-{}", incident.number), serde_json::Value::Null);
    let update = UpdateIncident { comment: Some(body.text), ..UpdateIncident::default() };
    let changed = crate::incidents::update(&http.ctx, incident.id, None, &update, &caller.name()).await?;
    let comment = changed.comments.into_iter().next_back().ok_or_else(|| Fail::internal("the remark is not there"))?;
    Ok(Created(comment))
}

/// `GET /incidents/{id}/alerts`
pub async fn alerts(State(http): State<Http>, Path(id): Path<String>) -> Answer<Json<List<AlertSummary>>> {
    let incident = find(&http, &id).await?;
    let alerts = http.ctx.store.alerts_of_incident(incident.id).await?;
    let link = |id| incident.alerts.iter().find(|link| link.alert_id == id).cloned();
    Ok(Json(List::whole(alerts.into_iter().map(|alert| AlertSummary::new(alert.clone(), link(alert.id))).collect())))
}

/// `GET /incidents/{id}/evidence`
pub async fn evidence(State(http): State<Http>, Path(id): Path<String>) -> Answer<Json<List<Evidence>>> {
    let incident = find(&http, &id).await?;
    Ok(Json(List::whole(crate::incidents::evidence(&http.ctx, &incident).await?)))
}

/// `GET /incidents/{id}/timeline`
pub async fn timeline(State(http): State<Http>, Path(id): Path<String>) -> Answer<Json<IncidentTimeline>> {
    let incident = find(&http, &id).await?;
    let alerts = http.ctx.store.alerts_of_incident(incident.id).await?;
    let timeline = hinomi_cases::timeline(&alerts);
    let lane = |lane: hinomi_cases::Lane| TimelineLane { tactic: lane.tactic, title: lane.title };
    let marker = |marker: hinomi_cases::Marker| TimelineMarker {
        at: marker.at,
        tactic: marker.tactic,
        technique: Some(marker.technique).filter(|technique| !technique.is_empty()),
        alert_id: marker.alert_id,
        title: marker.title,
        severity: marker.severity,
        entity: marker.entity,
    };
    Ok(Json(IncidentTimeline {
        lanes: timeline.lanes.into_iter().map(lane).collect(),
        markers: timeline.markers.into_iter().map(marker).collect(),
    }))
}

/// `GET /incidents/{id}/messages`
pub async fn messages(State(http): State<Http>, Path(id): Path<String>) -> Answer<Json<List<MessageCopy>>> {
    let incident = find(&http, &id).await?;
    Ok(Json(List::whole(crate::incidents::messages(&http.ctx, &incident).await?)))
}

/// `GET /incidents/{id}/people`
pub async fn people(State(http): State<Http>, Path(id): Path<String>) -> Answer<Json<List<InvolvedPerson>>> {
    let incident = find(&http, &id).await?;
    Ok(Json(List::whole(crate::facts::people(&http.ctx.store, &incident).await?)))
}

/// `GET /incidents/{id}/actions`
pub async fn actions(State(http): State<Http>, Path(id): Path<String>) -> Answer<Json<List<Action>>> {
    let incident = find(&http, &id).await?;
    let filter = hinomi_store::ActionFilter { incident: Some(incident.id), ..Default::default() };
    let listed = http.ctx.store.actions(&filter, &page(None, Some(200))).await?;
    Ok(Json(list_of(listed, |action| action)))
}

/// `GET /incidents/{id}/investigations`
pub async fn investigations(
    State(http): State<Http>,
    Path(id): Path<String>,
) -> Answer<Json<List<InvestigationSummary>>> {
    let incident = find(&http, &id).await?;
    let filter = hinomi_store::InvestigationFilter { incident: Some(incident.id), ..Default::default() };
    let listed = http.ctx.store.investigations(&filter, &page(None, Some(200))).await?;
    Ok(Json(list_of(listed, InvestigationSummary::new)))
}

//! Indicators; adding and removing single ones are actions, lists are taken in here.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Created, Json, Path, Query, Upload, length, list_of, page, words};
use crate::auth::Caller;
use crate::indicators::import::{self, Order};
use crate::indicators::look::{self, Sought};
use crate::indicators::{self, guard};
use axum::extract::State;
use hinomi_api::{IndicatorQuery, List, NewFeedRun, NewIndicatorImport, NewIndicatorLook, PageQuery, WhyQuery};
use hinomi_detect::indicator_list::{Defaults, read};
use hinomi_model::{
    FeedRun, FeedRunId, ImportId, Indicator, IndicatorFeed, IndicatorId, IndicatorImport, IndicatorLook,
    IndicatorReach, IndicatorWhy, LookId,
};
use hinomi_store::{IndicatorFilter, Replaces};
use serde_json::json;

/// `GET /indicators`
pub async fn list(State(http): State<Http>, Query(query): Query<IndicatorQuery>) -> Answer<Json<List<Indicator>>> {
    let filter = IndicatorFilter {
        kind: words("kind", query.kind.as_deref())?,
        action: words("action", query.action.as_deref())?,
        text: query.text,
        in_force_at: Some(http.ctx.now()),
    };
    let listed = http.ctx.store.indicators(&filter, &page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, |indicator| indicator)))
}

/// `GET /indicators/why`
pub async fn why(State(http): State<Http>, Query(query): Query<WhyQuery>) -> Answer<Json<IndicatorWhy>> {
    length("value", query.value.trim(), 1, 2_048)?;
    Ok(Json(indicators::why(&http.ctx, &query.value).await?))
}

/// `GET /indicators/imports`
pub async fn imports(State(http): State<Http>, Query(query): Query<PageQuery>) -> Answer<Json<List<IndicatorImport>>> {
    let listed = http.ctx.store.imports(&page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, |import| import)))
}

/// `POST /indicators/imports`
pub async fn import(
    State(http): State<Http>,
    caller: Caller,
    Upload(body): Upload<NewIndicatorImport>,
) -> Answer<Created<IndicatorImport>> {
    let name = body.name.trim().to_owned();
    length("name", &name, 1, 120)?;
    length("note", &body.note, 0, 500)?;
    if let Some(reason) = guard::scope(&body.scope) {
        return Err(Fail::field("scope", reason.en, reason.ja));
    }
    let defaults = Defaults {
        action: body.action,
        severity: body.severity,
        note: body.note,
        expires_at: body.expires_at,
        scope: body.scope,
    };
    let (text, format) = (body.text, body.format);
    // a million lines take seconds
    let list = tokio::task::spawn_blocking(move || read(&text, format, &defaults))
        .await
        .map_err(Fail::internal)?
        .map_err(|error| Fail::field("text", error.0.en, error.0.ja))?;
    let replaces = if body.replace { Replaces::Everything } else { Replaces::Nothing };
    let order = Order { name, by: caller.name(), replaces, dry_run: body.dry_run };
    let ctx = http.ctx.clone();
    // goes on when the client hangs up
    let taken = tokio::spawn(async move { import::take(&ctx, list, order).await });
    let import = taken.await.map_err(Fail::internal)?.map_err(|error| Fail::internal(format!("{error:#}")))?;
    caller.note(
        import.id,
        json!({
            "name": import.name, "dry_run": import.dry_run, "added": import.added, "changed": import.changed,
            "unchanged": import.unchanged, "refused": import.refused_count,
        }),
    );
    Ok(Created(import))
}

/// `DELETE /indicators/imports/{id}`
pub async fn remove_import(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<ImportId>,
) -> Answer<Json<IndicatorImport>> {
    let known = http.ctx.store.import(id).await?.ok_or_else(Fail::not_found)?;
    let (import, removed) =
        import::remove(&http.ctx, known).await.map_err(|error| Fail::internal(format!("{error:#}")))?;
    caller.note(import.id, json!({ "name": import.name, "removed": removed }));
    Ok(Json(import))
}

/// `GET /indicators/looks`
pub async fn looks(State(http): State<Http>, Query(query): Query<PageQuery>) -> Answer<Json<List<IndicatorLook>>> {
    let listed = http.ctx.store.looks(&page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, |look| look)))
}

/// `GET /indicators/looks/{id}`
pub async fn look(State(http): State<Http>, Path(id): Path<LookId>) -> Answer<Json<IndicatorLook>> {
    let (look, _) = http.ctx.store.look(id).await?.ok_or_else(Fail::not_found)?;
    Ok(Json(look))
}

/// `POST /indicators/looks`
pub async fn look_back(
    State(http): State<Http>,
    caller: Caller,
    Json(body): Json<NewIndicatorLook>,
) -> Answer<Created<IndicatorLook>> {
    let (count, most) = (body.indicators.len(), look::INDICATORS_MAX);
    if !(1..=most).contains(&count) {
        return Err(Fail::field("indicators", "1 to 200 indicators", "1〜200 件です"));
    }
    if !(1..=look::DAYS_MAX).contains(&body.days) {
        return Err(Fail::field("days", "1 to 365 days", "1〜365 日です"));
    }
    let mut tx = http.ctx.store.begin().await?;
    for id in &body.indicators {
        tx.indicator(*id).await?.ok_or_else(Fail::not_found)?;
    }
    let now = http.ctx.now();
    let look = look::order(&mut tx, Sought::Indicators(body.indicators), &caller.name(), body.days, false, now).await?;
    tx.commit().await?;
    http.ctx.jobs.notify_one();
    caller.note(look.id, json!({ "indicators": look.indicators, "days": look.days }));
    Ok(Created(look))
}

/// `GET /indicators/feeds`
pub async fn feeds(State(http): State<Http>) -> Answer<Json<List<IndicatorFeed>>> {
    let items = indicators::feeds::list(&http.ctx).await.map_err(|error| Fail::internal(format!("{error:#}")))?;
    let total = items.len() as i64;
    Ok(Json(List { items, next: None, total }))
}

/// `POST /indicators/feeds/{name}/runs`
pub async fn run_feed(
    State(http): State<Http>,
    caller: Caller,
    Path(name): Path<String>,
    Json(body): Json<NewFeedRun>,
) -> Answer<Created<FeedRun>> {
    let ordered = indicators::feeds::order(&http.ctx, &name, &caller.name(), body.dry_run).await;
    let run = ordered.map_err(|error| Fail::internal(format!("{error:#}")))?.ok_or_else(Fail::not_found)?;
    caller.note(run.id, json!({ "feed": run.feed, "dry_run": run.dry_run }));
    Ok(Created(run))
}

/// `GET /indicators/feeds/{name}/runs`
pub async fn feed_runs(
    State(http): State<Http>,
    Path(name): Path<String>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<List<FeedRun>>> {
    let listed = http.ctx.store.feed_runs(&name, &page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, |run| run)))
}

/// `GET /indicators/feed-runs/{id}`
pub async fn feed_run(State(http): State<Http>, Path(id): Path<FeedRunId>) -> Answer<Json<FeedRun>> {
    Ok(Json(http.ctx.store.feed_run(id).await?.ok_or_else(Fail::not_found)?))
}

/// `GET /indicators/{id}/devices`
pub async fn devices(State(http): State<Http>, Path(id): Path<IndicatorId>) -> Answer<Json<IndicatorReach>> {
    let indicator = http.ctx.store.indicator(id).await?.ok_or_else(Fail::not_found)?;
    let reach = indicators::reach::reach(&http.ctx, &indicator).await;
    Ok(Json(reach.map_err(|error| Fail::internal(format!("{error:#}")))?))
}

//! Indicators; adding and removing single ones are actions, lists are taken in here.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Created, Json, Path, Query, Upload, length, list_of, page, words};
use crate::auth::Caller;
use crate::indicators::import::{self, Order};
use axum::extract::State;
use hinomi_api::{IndicatorQuery, List, NewIndicatorImport, PageQuery, WhyQuery};
use hinomi_detect::indicator_list::{Defaults, read};
use hinomi_model::{ImportId, Indicator, IndicatorImport, IndicatorWhy};
use hinomi_store::IndicatorFilter;
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
    Ok(Json(http.ctx.indicators.get().why(&query.value, http.ctx.now())))
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
    let defaults =
        Defaults { action: body.action, severity: body.severity, note: body.note, expires_at: body.expires_at };
    let (text, format) = (body.text, body.format);
    // a million lines take seconds
    let list = tokio::task::spawn_blocking(move || read(&text, format, &defaults))
        .await
        .map_err(Fail::internal)?
        .map_err(|error| Fail::field("text", error.0.en, error.0.ja))?;
    let order = Order { name, by: caller.name(), replaces: body.replace, dry_run: body.dry_run };
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

//! Automated investigations.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Json, MaybeJson, Path, Query, Versioned, list_of, page, words};
use crate::auth::Caller;
use axum::extract::State;
use hinomi_api::{InvestigationQuery, InvestigationSummary, List, Rerun};
use hinomi_model::{Investigation, InvestigationId};
use hinomi_store::InvestigationFilter;
use serde_json::json;

/// `GET /investigations`
pub async fn list(
    State(http): State<Http>,
    Query(query): Query<InvestigationQuery>,
) -> Answer<Json<List<InvestigationSummary>>> {
    let filter = InvestigationFilter {
        state: words("state", query.state.as_deref())?,
        incident: query.incident,
        ..InvestigationFilter::default()
    };
    let listed = http.ctx.store.investigations(&filter, &page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, InvestigationSummary::new)))
}

async fn find(http: &Http, id: &str) -> Answer<Investigation> {
    let found = match (id.parse::<i64>(), id.parse::<InvestigationId>()) {
        (Ok(number), _) => http.ctx.store.investigation_by_number(number).await?,
        (_, Ok(id)) => http.ctx.store.investigation(id).await?,
        _ => None,
    };
    found.ok_or_else(Fail::not_found)
}

/// `GET /investigations/{id}`
pub async fn get(State(http): State<Http>, Path(id): Path<String>) -> Answer<Versioned<Investigation>> {
    let investigation = find(&http, &id).await?;
    Ok(Versioned(investigation.version, investigation))
}

/// `POST /investigations/{id}/rerun`
pub async fn rerun(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<String>,
    MaybeJson(body): MaybeJson<Rerun>,
) -> Answer<Versioned<Investigation>> {
    let investigation = find(&http, &id).await?;
    caller.note(format!("investigation:{}", investigation.number), json!({ "from_step": body.from_step }));
    let unknown = |name: &String| !investigation.steps.iter().any(|step| step.name == *name);
    if body.from_step.as_ref().is_some_and(unknown) {
        return Err(Fail::field("from_step", "there is no such step", "その手順はありません"));
    }
    let changed = crate::investigations::rerun(&http.ctx, investigation.id, body.from_step, &caller.name()).await?;
    Ok(Versioned(changed.version, changed))
}

/// `POST /investigations/{id}/cancel`
pub async fn cancel(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<Versioned<Investigation>> {
    let investigation = find(&http, &id).await?;
    caller.note(format!("investigation:{}", investigation.number), serde_json::Value::Null);
    let changed = crate::investigations::cancel(&http.ctx, investigation.id, &caller.name()).await?;
    Ok(Versioned(changed.version, changed))
}

//! Indicators; adding and removing them are actions.

use super::Http;
use super::fail::Answer;
use super::request::{Json, Query, list_of, page, words};
use axum::extract::State;
use hinomi_api::{IndicatorQuery, List};
use hinomi_model::Indicator;
use hinomi_store::IndicatorFilter;

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

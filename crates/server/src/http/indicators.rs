//! Indicators; adding and removing them are actions.

use super::Http;
use super::fail::Answer;
use super::request::{Json, Query, list_of, page};
use axum::extract::State;
use hinomi_api::{IndicatorQuery, List};
use hinomi_model::Indicator;
use hinomi_store::IndicatorFilter;

/// `GET /indicators`
pub async fn list(State(http): State<Http>, Query(query): Query<IndicatorQuery>) -> Answer<Json<List<Indicator>>> {
    let filter = IndicatorFilter {
        kind: query.kind,
        action: query.action,
        text: query.text,
        ..IndicatorFilter::default()
    };
    let listed = http.ctx.store.indicators(&filter, &page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, |indicator| indicator)))
}

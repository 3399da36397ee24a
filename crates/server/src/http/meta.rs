//! What everybody may know.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use hinomi_api::{Health, Meta};
use std::sync::OnceLock;

/// Version of the server.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `GET /meta`
pub async fn get_meta(State(http): State<Http>) -> Answer<Json<Meta>> {
    let setup_required = crate::auth::setup_required(&http.ctx.store).await?;
    let language = super::settings::language(&http.ctx.store).await?;
    Ok(Json(Meta { version: VERSION.to_owned(), setup_required, language }))
}

/// `GET /health`
pub async fn get_health(State(http): State<Http>) -> Answer<Json<Health>> {
    match http.ctx.store.user_count().await {
        Ok(_) => Ok(Json(Health { status: "ok".to_owned() })),
        Err(_) => Err(Fail::unavailable("the store does not answer", "データストアが応答しません")),
    }
}

/// `GET /openapi.json`
pub async fn get_open_api() -> impl IntoResponse {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| hinomi_api::openapi::text(VERSION));
    ([(header::CONTENT_TYPE, "application/json")], text.as_str())
}

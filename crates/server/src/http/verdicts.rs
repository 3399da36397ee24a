//! Verdicts of other scanners.

use super::Http;
use super::actions::idempotency_key;
use super::fail::{Answer, Fail};
use super::request::{Created, Json, length};
use crate::auth::Caller;
use axum::extract::State;
use axum::http::HeaderMap;
use hinomi_api::{NewVerdict, StoredVerdict};
use hinomi_model::{EntityKey, FilterVerdict};
use serde_json::json;

/// `POST /verdicts`
pub async fn create(
    State(http): State<Http>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<NewVerdict>,
) -> Answer<Created<StoredVerdict>> {
    let key = idempotency_key(&headers)?.map(|key| format!("{}:{key}", caller.name()));
    let target = target(&body)?;
    length("engine", body.engine.trim(), 1, 64)?;
    length("reason", body.reason.trim(), 1, 500)?;
    caller.note(&target, json!({ "engine": body.engine, "verdict": body.verdict }));
    let verdict = FilterVerdict {
        engine: body.engine.trim().to_owned(),
        verdict: body.verdict,
        threat: body.threat,
        reason: body.reason.trim().to_owned(),
        link: body.link.map(link).transpose()?,
    };
    let taken = crate::verdicts::take(&http.ctx, target, verdict, key).await;
    let taken = taken.map_err(|error| Fail::internal(format!("{error:#}")))?;
    Ok(Created(StoredVerdict {
        id: taken.row.id.to_string(),
        target: taken.row.target,
        verdict: taken.row.verdict,
        at: taken.row.at,
        messages: taken.messages as i64,
        devices: taken.devices as i64,
    }))
}

fn target(body: &NewVerdict) -> Answer<EntityKey> {
    match (&body.sha256, &body.url, body.message_id) {
        (Some(sha256), None, None) => super::files::checked_hash(sha256).map(|hash| EntityKey::file(&hash)),
        (None, Some(url), None) => crate::verdicts::url_target(url)
            .ok_or_else(|| Fail::field("url", "not an http, https or ftp address", "URL として読み取れません")),
        (None, None, Some(id)) => Ok(EntityKey::message(id)),
        _ => Err(Fail::field(
            "sha256",
            "name exactly one of sha256, url and message_id",
            "sha256、url、message_id のいずれか 1 つを指定してください",
        )),
    }
}

fn link(text: String) -> Answer<String> {
    let fits = text.len() <= 2_000
        && url::Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if fits {
        return Ok(text);
    }
    Err(Fail::field("link", "not an http or https address of at most 2,000 characters", "リンクとして使えません"))
}

//! What happens to every request: an id, origin check, authentication, the route's one permission,
//! an audit record for every change, errors as problem documents, safe headers.

use super::Http;
use super::fail::{Answer, Fail, Finished, REQUEST_ID};
use super::tls::Peer;
use crate::auth::{Caller, csrf, secret_of_cookie, with_address};
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use hinomi_api::Permission;
use hinomi_store::NewAudit;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// A request that is not answered within this time is given up.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);

/// What the guard knows of its route.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Operation id.
    pub id: &'static str,
    /// The one permission.
    pub permission: Permission,
}

/// Lets a request through to its handler when its caller may, and records changes.
pub async fn guard(
    State((http, rule)): State<(Http, Rule)>,
    path: RawPathParams,
    mut request: Request,
    next: Next,
) -> Answer<Response> {
    if !csrf::allowed(request.method(), request.headers(), &http.ctx.urls.console) {
        return Err(Fail::new(
            StatusCode::FORBIDDEN,
            "cross_site",
            "changes come from the console itself or carry the header X-Hinomi: 1",
            "変更はコンソール自身から、または X-Hinomi: 1 ヘッダー付きで送信してください",
        ));
    }
    let caller = caller(&http, rule, request.headers(), address(&request)).await?;
    let Some(caller) = caller else { return run(request, next).await };
    request.extensions_mut().insert(caller.clone());
    let changes = !request.method().is_safe();
    let answer = match may(rule, &caller) {
        Ok(()) => with_address(caller.address.clone(), run(request, next)).await,
        Err(fail) => Err(fail),
    };
    let done = answer.as_ref().is_ok_and(|response| response.extensions().get::<Fail>().is_none());
    if changes && !(done && super::audit::recorded_inside(rule.id)) {
        let result = match &answer {
            Ok(response) => response.extensions().get::<Fail>().map_or("ok", |fail| fail.code),
            Err(fail) => fail.code,
        };
        let target = path.iter().next().map(|(_, value)| value.to_owned()).unwrap_or_default();
        record(&http, &caller, rule.id, target, result).await?;
    }
    answer
}

async fn run(request: Request, next: Next) -> Answer<Response> {
    tokio::time::timeout(REQUEST_TIME_MAX, next.run(request))
        .await
        .map_err(|_| Fail::of_status(StatusCode::REQUEST_TIMEOUT))
}

/// Finds the caller; none only on public routes.
async fn caller(http: &Http, rule: Rule, headers: &HeaderMap, address: String) -> Answer<Option<Caller>> {
    if rule.permission == Permission::Public {
        return Ok(None);
    }
    let found = if let Some(token) = crate::auth::bearer(headers) {
        http.auth.token_caller(token, address).await?
    } else if let Some(secret) = secret_of_cookie(headers) {
        // an open stream is no sign of a person
        http.auth.session_caller(&secret, address, rule.id != "getStream").await?
    } else {
        None
    };
    found.map(Some).ok_or_else(Fail::unauthenticated)
}

fn may(rule: Rule, caller: &Caller) -> Answer<()> {
    if rule.permission == Permission::Profile {
        caller.person()?;
    }
    if rule.permission.allows(caller.role()) {
        return Ok(());
    }
    let needed = serde_json::to_value(rule.permission).unwrap_or_default();
    Err(Fail::forbidden(needed.as_str().unwrap_or_default()))
}

/// Address of the client.
pub fn address(request: &Request) -> String {
    request.extensions().get::<Peer>().map(|peer| peer.0.ip().to_canonical().to_string()).unwrap_or_default()
}

async fn record(http: &Http, caller: &Caller, id: &str, target: String, result: &str) -> Answer<()> {
    let note = caller.take_note();
    let audit = NewAudit {
        at: http.ctx.now(),
        actor: caller.name(),
        action: super::audit::action_of(id),
        target: if note.target.is_empty() { target } else { note.target },
        detail: if note.detail.is_null() { "{}".to_owned() } else { note.detail.to_string() },
        address: caller.address.clone(),
        result: result.to_owned(),
    };
    http.ctx.store.audit(&audit).await?;
    Ok(())
}

/// Gives the request an id, turns failures into problem documents and adds the headers every
/// answer has.
pub async fn finish(request: Request, next: Next) -> Response {
    let id = uuid::Uuid::now_v7().to_string();
    let started = Instant::now();
    let api = request.uri().path().starts_with("/api");
    let span = tracing::info_span!("http", request.id = %id, http.method = %request.method(), http.path = %request.uri().path());
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    if let Some(fail) = response.extensions().get::<Fail>() {
        response = fail.answer(&id);
    } else if status.is_client_error() || status.is_server_error() {
        response = Fail::of_status(status).answer(&id);
    }
    let code = response.extensions().get::<Finished>().map(|finished| finished.0).unwrap_or_default();
    span.in_scope(|| {
        let duration_ms = started.elapsed().as_millis() as u64;
        tracing::debug!(http.status = response.status().as_u16(), code, duration_ms, "request answered");
    });
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, HeaderValue::try_from(id).expect("a UUID is a header value"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    if api && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
    }
    response
}

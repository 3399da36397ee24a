//! Before login: setup, login, passkey login; and logout.

use super::Http;
use super::fail::{Answer, Fail};
use super::profile::me;
use super::request::Json;
use super::tls::Peer;
use crate::auth::{Caller, LoginKey, Purpose, cookie, cookie_gone, read_stored};
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hinomi_api::{LoginRequest, PasskeyChallenge, PasskeyFinish, PasskeyLoginStart, SetupRequest};
use hinomi_model::User;
use hinomi_store::NewAudit;

/// `POST /auth/setup`
pub async fn set_up(
    State(http): State<Http>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Json(body): Json<SetupRequest>,
) -> Answer<Response> {
    let (address, name) = (client(peer), body.name.clone());
    let result = http.auth.set_up(body, &address).await;
    finish(&http, "auth.setup", &name, result, &address, &headers).await
}

/// `POST /auth/login`
pub async fn login(
    State(http): State<Http>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Json(body): Json<LoginRequest>,
) -> Answer<Response> {
    let (address, name) = (client(peer), body.name.clone());
    let result = http.auth.login(body, &address).await;
    finish(&http, "auth.login", &name, result, &address, &headers).await
}

/// `POST /auth/passkeys/login/start`
pub async fn start_passkey(
    State(http): State<Http>,
    Extension(peer): Extension<Peer>,
    Json(body): Json<PasskeyLoginStart>,
) -> Answer<Json<PasskeyChallenge>> {
    let keys = [LoginKey::address(&client(peer))];
    http.auth.check_limits(&keys).await?;
    let record = http.ctx.store.user_by_name(&body.name.trim().to_lowercase()).await?;
    let started = match record.filter(|record| !record.user.disabled) {
        Some(record) => {
            let known = read_stored(&record.passkeys_json);
            http.auth.passkeys.start_authentication(record.user.id, Purpose::Login, &known, http.ctx.now())
        }
        None => Err(crate::auth::PasskeyError::None),
    };
    if started.is_err() {
        // asking for names costs as much as guessing passwords
        http.auth.login_failed(&keys).await?;
    }
    let (ceremony, options) = started?;
    Ok(Json(PasskeyChallenge { ceremony, options }))
}

/// `POST /auth/passkeys/login/finish`
pub async fn finish_passkey(
    State(http): State<Http>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Json(body): Json<PasskeyFinish>,
) -> Answer<Response> {
    let address = client(peer);
    let keys = [LoginKey::address(&address)];
    http.auth.check_limits(&keys).await?;
    let owner = http.auth.passkeys.user_of(&body.ceremony);
    let name = match owner {
        Some(user) => http.ctx.store.user(user).await?.map(|record| record.user.name).unwrap_or_default(),
        None => String::new(),
    };
    let result = match http.auth.finish_passkey(&body.ceremony, Purpose::Login, body.credential).await {
        Ok(user) => http.auth.logged_in(user.id).await,
        Err(fail) => {
            http.auth.login_failed(&keys).await?;
            Err(Fail { field: None, ..if fail.status.is_server_error() { fail } else { Fail::wrong_login() } })
        }
    };
    finish(&http, "auth.passkey_login", &name, result, &address, &headers).await
}

/// `POST /auth/logout`
pub async fn logout(State(http): State<Http>, caller: Caller) -> Answer<Response> {
    let (_, session) = caller.person()?;
    http.ctx.store.delete_session(session.id).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie_gone())]).into_response())
}

fn client(peer: Peer) -> String {
    peer.0.ip().to_canonical().to_string()
}

/// Records the attempt; opens a new session when it succeeded and ends the one the browser had.
async fn finish(
    http: &Http,
    action: &str,
    name: &str,
    result: Answer<User>,
    address: &str,
    headers: &HeaderMap,
) -> Answer<Response> {
    let code = result.as_ref().map_or_else(|fail| fail.code, |_| "ok");
    // refusals by the rate limit are not recorded one by one: they would fill the log
    if code != "too_many_attempts" {
        let name: String = name.trim().to_lowercase().chars().take(64).collect();
        let audit = NewAudit {
            at: http.ctx.now(),
            actor: name.clone(),
            action: action.to_owned(),
            target: name,
            detail: "{}".to_owned(),
            address: address.to_owned(),
            result: code.to_owned(),
        };
        http.ctx.store.audit(&audit).await?;
    }
    let user = result?;
    if let Some(old) = crate::auth::secret_of_cookie(headers)
        && let Some(caller) = http.auth.session_caller(&old, address.to_owned(), false).await?
        && let Some(session) = caller.session_id()
    {
        http.ctx.store.delete_session(session).await?;
    }
    let (session, secret) = http.auth.open_session(&user, address, headers).await?;
    Ok(([(header::SET_COOKIE, cookie(&secret))], Json(me(user, &session))).into_response())
}

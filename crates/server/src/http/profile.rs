//! The own profile: language, password, sessions, second factors, step-up.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Json, Path, length};
use crate::auth::{Caller, NamedPasskey, PASSKEYS_MAX, Purpose, read_stored};
use axum::extract::State;
use axum::http::StatusCode;
use hinomi_api::{
    List, Me, PasskeyChallenge, PasskeyFinish, PasskeyRegisterFinish, PasswordProof, Permission, SessionInfo, StepUp,
    TotpCode, TotpStart, UpdateMe,
};
use hinomi_model::{SessionId, User};
use hinomi_store::SessionRow;
use serde_json::json;

/// Builds the answer about who is logged in.
pub fn me(user: User, session: &SessionRow) -> Me {
    Me { permissions: Permission::of(user.role), step_up_until: session.step_up_until, session_id: session.id, user }
}

/// `GET /auth/me`
pub async fn get_me(State(http): State<Http>, caller: Caller) -> Answer<Json<Me>> {
    let (user, session) = caller.person()?;
    let mut answer = me(user.clone(), session);
    answer.step_up_until = answer.step_up_until.filter(|until| *until > http.ctx.now());
    Ok(Json(answer))
}

/// `PATCH /auth/me`
pub async fn update_me(State(http): State<Http>, caller: Caller, Json(body): Json<UpdateMe>) -> Answer<Json<Me>> {
    let (user, session) = caller.person()?;
    caller.note(user.id, json!({ "language": body.language, "mail": body.mail, "password": body.password.is_some() }));
    let mail = body.mail.map(super::people::checked_mail).transpose()?;
    let hash = match body.password {
        Some(password) => {
            let current = body.current_password.unwrap_or_default();
            if !http.auth.password_fits(user.id, current, &caller.address).await? {
                return Err(Fail::field(
                    "current_password",
                    "the current password is wrong",
                    "現在のパスワードが正しくありません",
                ));
            }
            Some(http.auth.new_password_hash("password", password).await?)
        }
        None => None,
    };
    let new_password = hash.is_some();
    let changed = http
        .auth
        .change(user.id, |record| {
            record.user.language = body.language.unwrap_or(record.user.language);
            if let Some(mail) = mail {
                record.user.mail = mail;
            }
            if let Some(hash) = hash {
                record.password_hash = hash;
            }
            Ok(())
        })
        .await?;
    if new_password {
        http.auth.end_sessions(user.id, Some(session.id)).await?;
    }
    Ok(Json(me(changed, session)))
}

/// `GET /auth/sessions`
pub async fn list_sessions(State(http): State<Http>, caller: Caller) -> Answer<Json<List<SessionInfo>>> {
    let (user, current) = caller.person()?;
    let sessions = http.auth.sessions(user.id).await?;
    let info = |session: SessionRow| SessionInfo {
        id: session.id,
        created_at: session.created_at,
        last_used: session.last_seen,
        expires_at: session.expires_at,
        address: session.address,
        user_agent: session.user_agent,
        current: session.id == current.id,
    };
    Ok(Json(List::whole(sessions.into_iter().map(info).collect())))
}

/// `DELETE /auth/sessions`
pub async fn end_other_sessions(State(http): State<Http>, caller: Caller) -> Answer<StatusCode> {
    let (user, session) = caller.person()?;
    http.auth.end_sessions(user.id, Some(session.id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /auth/sessions/{id}`
pub async fn end_session(State(http): State<Http>, caller: Caller, Path(id): Path<SessionId>) -> Answer<StatusCode> {
    let (user, _) = caller.person()?;
    if !http.auth.sessions(user.id).await?.iter().any(|session| session.id == id) {
        return Err(Fail::not_found());
    }
    http.ctx.store.delete_session(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /auth/totp/start`
pub async fn start_totp(State(http): State<Http>, caller: Caller) -> Answer<Json<TotpStart>> {
    let (user, _) = caller.person()?;
    http.auth.may_change_factors(&caller)?;
    Ok(Json(http.auth.start_totp(user)?))
}

/// `POST /auth/totp/finish`
pub async fn finish_totp(State(http): State<Http>, caller: Caller, Json(body): Json<TotpCode>) -> Answer<Json<Me>> {
    let (user, session) = caller.person()?;
    let changed = http.auth.finish_totp(user, &body.code).await?;
    Ok(Json(me(changed, session)))
}

/// `POST /auth/passkeys/register/start`
pub async fn start_passkey(State(http): State<Http>, caller: Caller) -> Answer<Json<PasskeyChallenge>> {
    let (user, _) = caller.person()?;
    http.auth.may_change_factors(&caller)?;
    let record = http.ctx.store.user(user.id).await?.ok_or_else(Fail::not_found)?;
    let known = read_stored(&record.passkeys_json);
    let (ceremony, options) = http.auth.passkeys.start_registration(user.id, &user.name, &known, http.ctx.now())?;
    Ok(Json(PasskeyChallenge { ceremony, options }))
}

/// `POST /auth/passkeys/register/finish`
pub async fn finish_passkey(
    State(http): State<Http>,
    caller: Caller,
    Json(body): Json<PasskeyRegisterFinish>,
) -> Answer<Json<Me>> {
    let (user, session) = caller.person()?;
    let name = body.name.trim().to_owned();
    caller.note(user.id, json!({ "name": name }));
    length("name", &name, 1, 64)?;
    let key = http.auth.passkeys.finish_registration(&body.ceremony, user.id, body.credential, http.ctx.now())?;
    let changed = http
        .auth
        .change_passkeys(user.id, |keys| {
            if keys.len() >= PASSKEYS_MAX {
                return Err(Fail::conflict(
                    "too_many_passkeys",
                    format!("at most {PASSKEYS_MAX} passkeys"),
                    format!("パスキーは最大 {PASSKEYS_MAX} 個です"),
                ));
            }
            if keys.iter().any(|one| one.name == name) {
                return Err(Fail::conflict(
                    "duplicate",
                    "a passkey of this name exists",
                    "同じ名前のパスキーがあります",
                ));
            }
            keys.push(NamedPasskey { name, key });
            Ok(())
        })
        .await?;
    Ok(Json(me(changed, session)))
}

/// `DELETE /auth/passkeys/{name}`
pub async fn remove_passkey(State(http): State<Http>, caller: Caller, Path(name): Path<String>) -> Answer<Json<Me>> {
    let (user, session) = caller.person()?;
    caller.require_step_up(http.ctx.now())?;
    let changed = http
        .auth
        .change_passkeys(user.id, |keys| {
            let before = keys.len();
            keys.retain(|one| one.name != name);
            if keys.len() == before { Err(Fail::not_found()) } else { Ok(()) }
        })
        .await?;
    Ok(Json(me(changed, session)))
}

/// `POST /auth/confirm-password`
pub async fn confirm_password(
    State(http): State<Http>,
    caller: Caller,
    Json(body): Json<PasswordProof>,
) -> Answer<StatusCode> {
    http.auth.confirm_password(&caller, body.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /auth/step-up/totp`
pub async fn step_up_totp(
    State(http): State<Http>,
    caller: Caller,
    Json(body): Json<TotpCode>,
) -> Answer<Json<StepUp>> {
    let (user, session) = caller.person()?;
    http.auth.prove_by_totp(user.id, &body.code, &caller.address).await?;
    Ok(Json(StepUp { step_up_until: http.auth.step_up(session).await? }))
}

/// `POST /auth/step-up/passkey/start`
pub async fn start_step_up_passkey(State(http): State<Http>, caller: Caller) -> Answer<Json<PasskeyChallenge>> {
    let (user, _) = caller.person()?;
    let record = http.ctx.store.user(user.id).await?.ok_or_else(Fail::not_found)?;
    let known = read_stored(&record.passkeys_json);
    let (ceremony, options) =
        http.auth.passkeys.start_authentication(user.id, Purpose::StepUp, &known, http.ctx.now())?;
    Ok(Json(PasskeyChallenge { ceremony, options }))
}

/// `POST /auth/step-up/passkey/finish`
pub async fn finish_step_up_passkey(
    State(http): State<Http>,
    caller: Caller,
    Json(body): Json<PasskeyFinish>,
) -> Answer<Json<StepUp>> {
    let (user, session) = caller.person()?;
    if http.auth.passkeys.user_of(&body.ceremony) != Some(user.id) {
        return Err(Fail::from(crate::auth::PasskeyError::Over));
    }
    http.auth.finish_passkey(&body.ceremony, Purpose::StepUp, body.credential).await?;
    Ok(Json(StepUp { step_up_until: http.auth.step_up(session).await? }))
}

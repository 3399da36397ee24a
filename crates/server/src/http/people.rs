//! Users, API tokens, enrolment tokens.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Created, IfMatch, Json, Path, Query, Versioned, length, list_of, page};
use crate::auth::{self, Caller};
use axum::extract::State;
use axum::http::StatusCode;
use hinomi_api::{
    ApiToken, CreatedApiToken, CreatedEnrolmentToken, EnrolmentTokenInfo, List, NewApiToken, NewEnrolmentToken,
    NewUser, PageQuery, UpdateUser,
};
use hinomi_model::{Role, TokenId, User, UserId};
use hinomi_store::{ApiTokenRow, EnrolmentTokenRow, StoreError};
use serde_json::json;

pub use auth::checked_mail;

/// `GET /users`
pub async fn list_users(State(http): State<Http>, Query(query): Query<PageQuery>) -> Answer<Json<List<User>>> {
    let listed = http.ctx.store.users(&page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, |user| user)))
}

/// `POST /users`
pub async fn create_user(State(http): State<Http>, caller: Caller, Json(body): Json<NewUser>) -> Answer<Created<User>> {
    let name = auth::checked_name(&body.name)?;
    caller.note(&name, json!({ "role": body.role }));
    caller.require_step_up(http.ctx.now())?;
    let mail = checked_mail(body.mail)?;
    let hash = http.auth.new_password_hash("password", body.password).await?;
    let language = match body.language {
        Some(language) => language,
        None => super::settings::language(&http.ctx.store).await?,
    };
    let record = auth::new_record(name, hash, body.role, language, mail, http.ctx.now());
    match http.ctx.store.add_user(&record).await {
        Ok(()) => Ok(Created(record.user)),
        Err(StoreError::Duplicate { .. }) => Err(taken()),
        Err(error) => Err(error.into()),
    }
}

fn taken() -> Fail {
    Fail {
        field: Some("name".to_owned()),
        ..Fail::conflict("duplicate", "a user of this name exists", "同じ名前のユーザーがいます")
    }
}

/// `PATCH /users/{id}`
pub async fn update_user(
    State(http): State<Http>,
    caller: Caller,
    Path(id): Path<UserId>,
    version: IfMatch,
    Json(body): Json<UpdateUser>,
) -> Answer<Versioned<User>> {
    caller.note(
        id,
        json!({
            "role": body.role, "language": body.language, "mail": body.mail, "disabled": body.disabled,
            "password": body.password.is_some(), "reset_second_factors": body.reset_second_factors,
        }),
    );
    caller.require_step_up(http.ctx.now())?;
    let mail = body.mail.map(checked_mail).transpose()?;
    let hash = match body.password {
        Some(password) => Some(http.auth.new_password_hash("password", password).await?),
        None => None,
    };
    let new_password = hash.is_some();
    let before = http.ctx.store.user(id).await?.ok_or_else(Fail::not_found)?.user;
    let loses_administrator = before.role == Role::Administrator
        && !before.disabled
        && (body.disabled == Some(true) || body.role.is_some_and(|role| role != Role::Administrator));
    if loses_administrator && administrators(&http).await? <= 1 {
        return Err(Fail::conflict("last_administrator", "this is the last administrator", "最後の管理者です"));
    }
    let user = http
        .auth
        .change(id, |record| {
            version.check(record.user.version, &record.user)?;
            record.user.role = body.role.unwrap_or(record.user.role);
            record.user.language = body.language.unwrap_or(record.user.language);
            record.user.disabled = body.disabled.unwrap_or(record.user.disabled);
            if let Some(mail) = mail {
                record.user.mail = mail;
            }
            if let Some(hash) = hash {
                record.password_hash = hash;
            }
            if body.reset_second_factors == Some(true) {
                auth::forget_second_factors(record);
            }
            Ok(())
        })
        .await?;
    // what changes a person's powers ends the sessions that have the old ones
    if new_password || user.disabled || user.role != before.role || body.reset_second_factors == Some(true) {
        http.auth.end_sessions(id, caller.session_id()).await?;
    }
    Ok(Versioned(user.version, user))
}

async fn administrators(http: &Http) -> Answer<usize> {
    let mut count = 0;
    let mut cursor = None;
    loop {
        let listed = http.ctx.store.users(&page(cursor, Some(200))).await?;
        let able = |user: &User| user.role == Role::Administrator && !user.disabled;
        count += listed.items.iter().filter(|user| able(user)).count();
        cursor = listed.next;
        if cursor.is_none() {
            return Ok(count);
        }
    }
}

/// `GET /tokens`
pub async fn list_tokens(State(http): State<Http>, Query(query): Query<PageQuery>) -> Answer<Json<List<ApiToken>>> {
    let listed = http.ctx.store.api_tokens(&page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, token_info)))
}

fn token_info(row: ApiTokenRow) -> ApiToken {
    ApiToken {
        id: row.id,
        name: row.name,
        role: row.role,
        created_by: row.created_by,
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used: row.last_used,
    }
}

/// `POST /tokens`
pub async fn create_token(
    State(http): State<Http>,
    caller: Caller,
    Json(body): Json<NewApiToken>,
) -> Answer<Created<CreatedApiToken>> {
    caller.require_step_up(http.ctx.now())?;
    length("name", body.name.trim(), 1, 100)?;
    let days = body.expires_in_days.unwrap_or(90);
    if !(1..=365).contains(&days) {
        return Err(Fail::field("expires_in_days", "1 to 365 days", "1〜365 日で指定してください"));
    }
    let (row, secret) = auth::new_token(body.name.trim(), body.role, &caller.name(), http.ctx.now(), days);
    caller.note(row.id, json!({ "name": row.name, "role": row.role, "expires_at": row.expires_at }));
    http.ctx.store.add_api_token(&row).await?;
    Ok(Created(CreatedApiToken { token: token_info(row), secret }))
}

/// `DELETE /tokens/{id}`
pub async fn revoke_token(State(http): State<Http>, Path(id): Path<TokenId>) -> Answer<StatusCode> {
    if http.ctx.store.delete_api_token(id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(Fail::not_found()) }
}

/// `GET /enrolment-tokens`
pub async fn list_enrolment_tokens(
    State(http): State<Http>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<List<EnrolmentTokenInfo>>> {
    let listed = http.ctx.store.enrolment_tokens(&page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, enrolment_info)))
}

fn enrolment_info(row: EnrolmentTokenRow) -> EnrolmentTokenInfo {
    EnrolmentTokenInfo {
        id: row.id,
        note: row.note,
        created_by: row.created_by,
        created_at: row.created_at,
        expires_at: row.expires_at,
        used_by: row.used_by,
    }
}

/// `POST /enrolment-tokens`
pub async fn create_enrolment_token(
    State(http): State<Http>,
    caller: Caller,
    Json(body): Json<NewEnrolmentToken>,
) -> Answer<Created<CreatedEnrolmentToken>> {
    length("note", &body.note, 0, 200)?;
    let hours = body.expires_in_hours.unwrap_or(24);
    if !(1..=720).contains(&hours) {
        return Err(Fail::field("expires_in_hours", "1 to 720 hours", "1〜720 時間で指定してください"));
    }
    let ctx = &http.ctx;
    let (row, line) =
        auth::new_enrolment_token(&ctx.urls.sensors, &ctx.keys, &body.note, &caller.name(), ctx.now(), hours);
    caller.note(row.id, json!({ "note": row.note, "expires_at": row.expires_at }));
    ctx.store.add_enrolment_token(&row).await?;
    Ok(Created(CreatedEnrolmentToken { token: enrolment_info(row), line }))
}

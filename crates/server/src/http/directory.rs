//! The directory of people.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Json, Query, Upload, list_of, page};
use crate::auth::Caller;
use crate::directory::{self, DirectoryError};
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hinomi_api::{DirectoryImport, DirectoryQuery, DirectoryStatus, List};
use hinomi_model::{DirectoryChange, Person};
use hinomi_store::PersonFilter;
use serde_json::json;

/// `GET /directory`
pub async fn list(State(http): State<Http>, Query(query): Query<DirectoryQuery>) -> Answer<Json<List<Person>>> {
    let filter = PersonFilter { source: query.source, text: query.text };
    let listed = http.ctx.store.people(&filter, &page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, |person| person)))
}

/// `GET /directory/status`
pub async fn status(State(http): State<Http>) -> Answer<Json<DirectoryStatus>> {
    let last = directory::status(&http.ctx.store).await?;
    let configured = http.ctx.config.directory.is_some();
    Ok(Json(DirectoryStatus { configured, read_at: last.at, error: last.error, change: last.change }))
}

/// `POST /directory/import`
pub async fn import(
    State(http): State<Http>,
    caller: Caller,
    Upload(body): Upload<DirectoryImport>,
) -> Answer<Json<DirectoryChange>> {
    let source = body.source.unwrap_or_else(|| "csv".to_owned());
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if source.is_empty() || source.len() > 32 || source == directory::LDAP || !source.bytes().all(sound) {
        return Err(Fail::field(
            "source",
            "a source has 1 to 32 lower-case letters, digits and -, and is not ldap",
            "source は英小文字、数字、- の 1 ～ 32 文字で、ldap 以外にしてください",
        ));
    }
    let file = STANDARD
        .decode(&body.file)
        .map_err(|_| Fail::field("file", "the file is not base64", "ファイルが base64 ではありません"))?;
    let change = directory::import(&http.ctx.store, &source, &file, body.dry_run, http.ctx.now()).await?;
    caller.note(&source, summary(&change));
    Ok(Json(change))
}

/// `POST /directory/sync`
pub async fn sync(State(http): State<Http>, caller: Caller) -> Answer<Json<DirectoryChange>> {
    let change = directory::sync(&http.ctx).await?;
    caller.note(directory::LDAP, summary(&change));
    Ok(Json(change))
}

fn summary(change: &DirectoryChange) -> serde_json::Value {
    json!({
        "dry_run": change.dry_run, "added": change.added, "changed": change.changed, "removed": change.removed,
        "unchanged": change.unchanged, "rejected": change.rejected_count,
    })
}

impl From<DirectoryError> for Fail {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::NotConfigured => Fail::conflict(
                "directory_not_configured",
                "no LDAP server is configured ([directory] in the configuration file)",
                "LDAP サーバーが設定されていません (設定ファイルの [directory])",
            ),
            DirectoryError::File(text) => Fail::field("file", text.en, text.ja),
            DirectoryError::Nobody(source) => Fail::conflict(
                "directory_empty",
                format!("nobody was read from {source}; what is known stays"),
                format!("{source} から読み取れた人がいません。登録済みの内容はそのままです"),
            ),
            DirectoryError::Ldap { .. } => {
                let why = directory::chain(&error);
                let ja = format!("ディレクトリを読み取れませんでした: {why}");
                Fail::new(StatusCode::BAD_GATEWAY, "directory_unreachable", why, ja)
            }
            DirectoryError::Store(error) => error.into(),
        }
    }
}

//! Settings of the server.

use super::Http;
use super::fail::Answer;
use super::request::{IfMatch, Json, Versioned};
use crate::auth::{Caller, LANGUAGE_SETTING};
use crate::automation::LEVEL_SETTING;
use axum::extract::State;
use hinomi_api::{ServerFacts, Settings, UpdateSettings};
use hinomi_model::{AutomationLevel, Language};
use hinomi_store::{Backend, Store, StoreError};
use serde_json::json;

/// Setting that counts changes of settings.
const VERSION_SETTING: &str = "settings_version";

/// Returns the language of the server.
///
/// # Errors
/// When the store fails.
pub async fn language(store: &Store) -> Result<Language, StoreError> {
    let word = store.setting(LANGUAGE_SETTING).await?;
    Ok(word.and_then(|word| serde_json::from_value(word.into()).ok()).unwrap_or_default())
}

async fn read(http: &Http) -> Answer<Settings> {
    let (ctx, store) = (&http.ctx, &http.ctx.store);
    let level = store.setting(LEVEL_SETTING).await?.and_then(|word| word.parse::<AutomationLevel>().ok());
    let version = store.setting(VERSION_SETTING).await?.and_then(|text| text.parse().ok()).unwrap_or(1);
    Ok(Settings {
        automation_level: level.unwrap_or(ctx.config.investigation.automation_level),
        language: language(store).await?,
        version,
        server: ServerFacts {
            version: super::meta::VERSION.to_owned(),
            public_url: ctx.urls.console.clone(),
            sensor_url: ctx.urls.sensors.clone(),
            store: match store.backend() {
                Backend::Sqlite => "sqlite",
                Backend::Postgres => "postgres",
            }
            .to_owned(),
            own_domains: ctx.config.gateway.own_domains.clone(),
            mailboxes: !ctx.config.mailboxes.is_empty(),
            notify: ctx.config.notify.is_some(),
        },
    })
}

/// `GET /settings`
pub async fn get(State(http): State<Http>) -> Answer<Versioned<Settings>> {
    let settings = read(&http).await?;
    Ok(Versioned(settings.version, settings))
}

/// `PATCH /settings`
pub async fn update(
    State(http): State<Http>,
    caller: Caller,
    version: IfMatch,
    Json(body): Json<UpdateSettings>,
) -> Answer<Versioned<Settings>> {
    let before = read(&http).await?;
    version.check(before.version, &before)?;
    caller.note(
        "settings",
        json!({
            "before": { "automation_level": before.automation_level, "language": before.language },
            "after": body,
        }),
    );
    let mut tx = http.ctx.store.begin().await?;
    let current = tx.setting(VERSION_SETTING).await?.and_then(|text| text.parse().ok()).unwrap_or(1);
    version.check(current, &before)?;
    if let Some(level) = body.automation_level {
        tx.set_setting(LEVEL_SETTING, &level.word()).await?;
    }
    if let Some(language) = body.language {
        let word = serde_json::to_value(language).unwrap_or_default();
        tx.set_setting(LANGUAGE_SETTING, word.as_str().unwrap_or("en")).await?;
    }
    tx.set_setting(VERSION_SETTING, &(current + 1).to_string()).await?;
    tx.commit().await?;
    let after = read(&http).await?;
    Ok(Versioned(after.version, after))
}

//! Demos: played, listed, removed.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Created, Json, Path, Query, Upload, length, page};
use crate::app::Ctx;
use crate::auth::Caller;
use crate::demos::{self, DemoError};
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hinomi_api::{DemoFile, DemoIncident, DemoStatus, List, PageQuery, PlayDemo};
use hinomi_cases::scenario::{FILES_MAX, Scenario, ScenarioFile};
use hinomi_model::{Demo, DemoId};
use serde_json::json;

/// Longest name, characters.
const NAME_CHARS_MAX: usize = 100;

/// `GET /demos`
pub async fn list(State(http): State<Http>, Query(query): Query<PageQuery>) -> Answer<Json<List<DemoStatus>>> {
    let listed = http.ctx.store.demos(&page(query.cursor, query.limit)).await?;
    let mut items = Vec::new();
    for demo in &listed.items {
        items.push(status(&http.ctx, demo).await?);
    }
    Ok(Json(List { items, next: listed.next, total: listed.total }))
}

/// `GET /demos/{id}`
pub async fn get(State(http): State<Http>, Path(id): Path<DemoId>) -> Answer<Json<DemoStatus>> {
    let demo = http.ctx.store.demo(id).await?.ok_or_else(Fail::not_found)?;
    Ok(Json(status(&http.ctx, &demo).await?))
}

/// `POST /demos`
pub async fn play(
    State(http): State<Http>,
    caller: Caller,
    Upload(body): Upload<PlayDemo>,
) -> Answer<Created<DemoStatus>> {
    let name = body.name.unwrap_or_else(|| demos::BUILT_IN.to_owned());
    length("name", name.trim(), 1, NAME_CHARS_MAX)?;
    let name: String = name.trim().chars().filter(|character| !character.is_control()).collect();
    caller.note("demo", json!({ "name": name }));
    let files = if body.files.is_empty() { demos::built_in() } else { decoded(body.files)? };
    let scenario = Scenario::read(files).map_err(DemoError::from)?;
    let (ctx, by) = (http.ctx.clone(), caller.name());
    // goes on when the client hangs up: a demo is there whole or not at all
    let played = tokio::spawn(async move { demos::play(&ctx, &name, scenario, &by).await });
    let demo = played.await.map_err(Fail::internal)??;
    caller.note(demo.id, json!({ "name": demo.name, "events": demo.events }));
    Ok(Created(status(&http.ctx, &demo).await?))
}

/// `DELETE /demos/{id}`
pub async fn remove(State(http): State<Http>, Path(id): Path<DemoId>) -> Answer<Json<DemoStatus>> {
    let demo = demos::remove(&http.ctx, id).await?.ok_or_else(Fail::not_found)?;
    Ok(Json(status(&http.ctx, &demo).await?))
}

fn decoded(files: Vec<DemoFile>) -> Answer<Vec<ScenarioFile>> {
    let decode = |file: DemoFile| {
        let content = STANDARD.decode(&file.content).map_err(|error| {
            let path: String = file.path.chars().take(NAME_CHARS_MAX).collect();
            Fail::field("files", format!("{path}: not base64: {error}"), format!("{path}: base64 ではありません"))
        })?;
        Ok(ScenarioFile { path: file.path, content })
    };
    files.into_iter().take(FILES_MAX + 1).map(decode).collect()
}

async fn status(ctx: &Ctx, demo: &Demo) -> Answer<DemoStatus> {
    let progress = demos::progress(ctx, demo).await?;
    let incidents = progress.incidents.into_iter().map(|incident| DemoIncident {
        url: format!("{}/incidents/{}", ctx.urls.console, incident.number),
        id: incident.id,
        number: incident.number,
        title: incident.title,
        severity: incident.severity,
        status: incident.status,
    });
    Ok(DemoStatus {
        demo: demo.clone(),
        analysed: progress.analysed,
        investigating: progress.investigating,
        incidents: incidents.collect(),
    })
}

impl From<DemoError> for Fail {
    fn from(error: DemoError) -> Self {
        match error {
            DemoError::Store(error) => error.into(),
            DemoError::Ingest(error) => Fail::internal(format!("{:#}", anyhow::Error::from(error))),
            DemoError::Full => Fail::conflict(
                "too_many_demos",
                error.to_string(),
                format!("デモはすでに {} 件あります。先に削除してください", demos::DEMOS_MAX),
            ),
            bad => {
                let text = bad.to_string();
                let ja = format!("シナリオを再生できません: {text}");
                Fail { field: Some("files".to_owned()), ..Fail::new(StatusCode::BAD_REQUEST, "bad_scenario", text, ja) }
            }
        }
    }
}

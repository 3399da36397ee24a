//! A server that stops, orderly or killed, and starts again over its data folder is the same server.

use anyhow::{Result, ensure};
use hinomi_store::{JobFilter, JobState, Page, Store};
use hinomi_testkit::fleet::{FakeSensor, exactly_once, replay};
use hinomi_testkit::postgres::Postgres;
use hinomi_testkit::process::wait_for;
use hinomi_testkit::server::ServerProcess;
use hinomi_testkit::story::api::Api;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
const EVENTS: &str = include_str!("../../../scenarios/two-attacks-apart/events/01-web-01.jsonl");

/// Everything people and scripts see that a restart must not change.
async fn picture(api: &mut Api) -> Result<Vec<(String, Value)>> {
    let mut seen = Vec::new();
    for path in ["/auth/me", "/auth/sessions", "/users", "/tokens", "/settings", "/indicators", "/actions"] {
        seen.push((path.to_owned(), api.get::<Value>(path).await?));
    }
    for (list, parts) in [("/incidents", ["", "/alerts", "/evidence", "/timeline"].as_slice()), ("/alerts", &[""])] {
        let summaries: Vec<Value> = api.list(list).await?;
        ensure!(!summaries.is_empty(), "no {list}");
        for summary in summaries {
            for part in parts {
                let path = format!("{list}/{}{part}", summary["id"].as_str().unwrap_or_default());
                seen.push((path.clone(), api.get::<Value>(&path).await?));
            }
        }
    }
    // when something was last used is allowed to move
    for (_, value) in &mut seen {
        forget(value, &["last_used", "last_seen", "last_login"]);
    }
    Ok(seen)
}

fn forget(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !names.contains(&name.as_str()));
            fields.values_mut().for_each(|value| forget(value, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| forget(value, names)),
        _ => {}
    }
}

async fn the_same_after_every_stop(database: Option<String>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = database.as_ref().map(|url| format!("[store]\nurl = \"{url}\"\n")).unwrap_or_default();
    let mut server = ServerProcess::new(Path::new(env!("CARGO_BIN_EXE_hinomi")), folder.path(), None, &settings)?;
    std::fs::create_dir_all(server.data())?;
    std::fs::write(server.data().join("ready.json"), "{\"pid\": 1}")?;
    server.start(None).await?;
    let mut api = server.set_up().await?;
    let sensor = FakeSensor::enrol(&server.enrolment_token().await?, "web-1").await?;
    let events = replay(EVENTS, sensor.device)?;
    let mut today = events[0].clone();
    today.set("FileName", "true").set("FolderPath", "/usr/bin/true").set("ProcessCommandLine", "/usr/bin/true");
    sensor.spool(events);
    sensor.spool((0..500).map(|_| today.clone()));
    let waits = async |api: &mut Api| -> Result<()> {
        wait_for("an investigated incident", SOON, async || {
            ensure!(sensor.is_empty(), "the spool is not empty");
            let jobs: Vec<Value> = api.list("/investigations").await?;
            let busy = |one: &Value| one["state"] == "queued" || one["state"] == "running";
            let incidents: Vec<Value> = api.list("/incidents").await?;
            Ok((!incidents.is_empty() && !jobs.iter().any(busy)).then_some(()))
        })
        .await
    };
    waits(&mut api).await?;
    api.post("/incidents/1/comments", json!({"text": "seen before the restart"})).await?;
    // an investigation runs again when a later alert joins it: all is quiet when the last event was
    // analysed (its sighting is written with it) and no job is left
    let hash = "5e".repeat(32);
    let mut last = today.clone();
    last.set("SHA256", hash.as_str());
    sensor.spool([last]);
    wait_for("the last event to be analysed", SOON, async || {
        let seen: Vec<Value> = api.list(&format!("/sightings?observable=file:{hash}")).await?;
        Ok((!seen.is_empty()).then_some(()))
    })
    .await?;
    let url = database.unwrap_or_else(|| format!("sqlite:{}", server.data().join("hinomi.db").display()));
    let store = Store::open(&url).await?;
    wait_for("every job to end", SOON, async || {
        let open = JobFilter { state: vec![JobState::Waiting, JobState::Leased], kind: None };
        Ok((store.jobs(&open, &Page::first(1)).await?.total == 0).then_some(()))
    })
    .await?;
    store.close().await;
    let before = picture(&mut api).await?;
    let enrolled = sensor.device;
    for orderly in [true, false, false] {
        let connections = sensor.memory().connections;
        if orderly {
            server.terminate().await?;
            ensure!(!server.data().join("ready.json").exists(), "a stopped server is not ready");
        } else {
            server.kill().await?;
            ensure!(server.data().join("ready.json").exists(), "a killed server cannot take its file away");
        }
        server.start(None).await?;
        let after = picture(&mut api).await?;
        for (before, after) in before.iter().zip(&after) {
            ensure!(before == after, "orderly {orderly}: {}\n{}\nbecame\n{}", before.0, before.1, after.1);
        }
        wait_for("the sensor to connect again", SOON, async || {
            Ok((sensor.memory().connections > connections).then_some(()))
        })
        .await?;
        sensor.spool([today.clone()]);
        wait_for("its next event", SOON, async || Ok(sensor.is_empty().then_some(()))).await?;
        let devices: Vec<Value> = api.list("/devices").await?;
        ensure!(devices.len() == 1 && devices[0]["id"] == enrolled.to_string(), "{devices:?}");
        let total = sensor.memory().events.len();
        wait_for("every event", SOON, async || {
            let held = api.device_events(enrolled).await?;
            let ids = held.iter().map(|event| event.long("ReportId").unwrap_or_default()).collect();
            exactly_once("the sensor", ids, total as i64).map(Some)
        })
        .await?;
        // a second server over the same data is refused
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_hinomi"))
            .args(["serve", "--data"])
            .arg(server.data())
            .env("HINOMI_CONFIG", folder.path().join("hinomi.toml"))
            .output()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && told.contains("another server"), "{told}");
    }
    ensure!(sensor.memory().broken.is_empty(), "{:?}", sensor.memory().broken);
    server.terminate().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_changes_over_sqlite() -> Result<()> {
    the_same_after_every_stop(None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_changes_over_postgresql() -> Result<()> {
    let postgres = Postgres::start()?;
    the_same_after_every_stop(Some(postgres.database("restart")?)).await
}

//! The console in Chromium, driven by `console/e2e/story.mjs`.

use super::api::{NAME, PASSWORD};
use super::world::World;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::process::Command;

/// Opens the incident and the alert in both languages, with screenshots.
pub async fn look(world: &World, incident: i64, alert: &str) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for language in ["ja", "en"] {
        let steps = json!([
            {"do": "language", "language": language},
            {"do": "incident", "number": incident},
            {"do": "screenshot", "name": format!("incident-{language}")},
            {"do": "alert", "id": alert},
            {"do": "screenshot", "name": format!("alert-{language}")},
        ]);
        notes.extend(run(world, steps).await?);
    }
    Ok(notes)
}

/// Approves everything an incident waits for, by clicking.
pub async fn approve_all(world: &World, incident: i64) -> Result<Vec<String>> {
    run(
        world,
        json!([
            {"do": "incident", "number": incident},
            {"do": "approve_all"},
            {"do": "screenshot", "name": "approved"},
        ]),
    )
    .await
}

async fn run(world: &World, steps: Value) -> Result<Vec<String>> {
    let console = world.config.workspace.join("console");
    let shots = world.dir.join("screenshots");
    std::fs::create_dir_all(&shots)?;
    let settings = json!({
        "url": world.server.url, "user": NAME, "password": PASSWORD, "totp_secret": world.api.totp_secret,
        "screenshots": shots, "steps": steps,
    });
    let node = std::env::var_os("HINOMI_NODE").unwrap_or_else(|| "node".into());
    let output = Command::new(node)
        .current_dir(&console)
        .arg("e2e/story.mjs")
        .arg(settings.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("start node")?;
    if !output.status.success() {
        bail!("Chromium: {}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let notes = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(notes.filter_map(|note| Some(note.get("note")?.as_str()?.to_owned())).collect())
}

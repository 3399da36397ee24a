//! The console in Chromium against the real server: `console/e2e/real.mjs` drives the browser and
//! asks this side, line by line, for what happens in the world outside it.
//!
//! A line of the script that begins with `@` is an [`Ask`] in JSON and gets one line of JSON back,
//! `{"ok": …}` or `{"error": …}`; every other line is its report.

mod world;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use world::World;

/// How to run.
#[derive(Debug, Clone)]
pub struct ConsoleConfig {
    /// Folder of `hinomi`.
    pub binaries: PathBuf,
    /// The workspace, for the browser script and the scenarios.
    pub workspace: PathBuf,
    /// Arguments of the script (`--only TEXT`, `--shots FOLDER`).
    pub arguments: Vec<String>,
}

/// Runs the script to its end; `tell` hears every line of its report.
///
/// # Errors
/// When the world cannot start or a flow fails; the ends of the logs are shown then.
pub async fn run(config: ConsoleConfig, mut tell: impl FnMut(&str)) -> Result<()> {
    let mut world = World::start(&config).await?;
    let result = drive(&config, &mut world, &mut tell).await;
    world.stop(result.is_err()).await;
    result
}

async fn drive(config: &ConsoleConfig, world: &mut World, tell: &mut impl FnMut(&str)) -> Result<()> {
    let settings = json!({ "url": world.server.url, "setup_code": world.server.setup_code().await? });
    let node = std::env::var_os("HINOMI_NODE").unwrap_or_else(|| "node".into());
    let mut child = Command::new(node)
        .current_dir(config.workspace.join("console"))
        .arg("e2e/real.mjs")
        .arg(settings.to_string())
        .args(&config.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start node")?;
    let mut answers = child.stdin.take().context("no input")?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    while let Some(line) = lines.next_line().await? {
        let Some(ask) = line.strip_prefix('@') else {
            tell(&line);
            continue;
        };
        let answer = match serde_json::from_str(ask) {
            Ok(ask) => world.answer(ask).await,
            Err(error) => Err(error.into()),
        };
        let answer: Value = match answer {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": format!("{error:#}") }),
        };
        answers.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    let status = child.wait().await?;
    if !status.success() {
        bail!("the console fails: {status}");
    }
    Ok(())
}

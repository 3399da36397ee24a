//! The story every release must be able to play (design §1), with real parts: Postfix, Dovecot, this
//! kernel, the server, the sensor and Chromium.
//!
//! [`play`] runs the steps in order and reports each; a step that cannot run because an earlier one
//! failed counts as failed. `cargo xtask story` and the test of the same name call it.

pub mod api;
mod browser;
mod endpoint;
pub mod mail_client;
pub mod mails;
mod network;
mod steps;
mod world;

use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Where things are.
#[derive(Debug, Clone)]
pub struct StoryConfig {
    /// Folder of `hinomi`, `hinomi-sensor` and `hinomi-story`.
    pub binaries: PathBuf,
    /// The workspace, for the console's browser script.
    pub workspace: PathBuf,
    /// Keeps screenshots, mails and logs here; none = a temporary folder that is removed.
    pub keep: Option<PathBuf>,
}

/// One step as reported.
#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// What the step shows; begins with its number in the story.
    pub name: String,
    /// True when it held.
    pub ok: bool,
    /// How long it took.
    pub seconds: f64,
    /// Why it did not hold.
    #[serde(skip)]
    pub error: Option<String>,
    /// Figures worth telling.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// The whole story as reported; its JSON is the last line `hinomi-story` prints.
#[derive(Debug, Clone, Serialize)]
pub struct StoryReport {
    /// Steps that held.
    pub steps_passed: usize,
    /// Steps that did not, or could not run.
    pub steps_failed: usize,
    /// Every step.
    pub steps: Vec<StepReport>,
    /// The whole time.
    pub seconds: f64,
}

/// Plays the story; `tell` hears each step as it ends.
pub async fn play(config: StoryConfig, mut tell: impl FnMut(&StepReport)) -> StoryReport {
    let start = Instant::now();
    let mut reports: Vec<StepReport> = Vec::new();
    let mut report = |name: &str, began: Instant, result: Result<Vec<String>>| {
        let (ok, error, notes) = match result {
            Ok(notes) => (true, None, notes),
            Err(error) => (false, Some(format!("{error:#}")), Vec::new()),
        };
        let step = StepReport { name: name.to_owned(), ok, seconds: began.elapsed().as_secs_f64(), error, notes };
        tell(&step);
        reports.push(step);
        ok
    };
    let began = Instant::now();
    let mut world = None;
    let started = world::World::start(config).await.map(|made| {
        let notes = vec![format!("console at {}", made.server.url)];
        world = Some(made);
        notes
    });
    report("0 server, sensor, Postfix and Dovecot with 50 mailboxes start", began, started);
    let mut broken = world.is_none();
    for (name, step) in steps::STEPS {
        let began = Instant::now();
        let result = match (&mut world, broken) {
            (Some(world), false) => step(world).await,
            _ => Err(anyhow::anyhow!("skipped: an earlier step failed")),
        };
        broken |= !report(name, began, result);
    }
    if let Some(world) = world {
        world.stop(broken).await;
    }
    let steps_passed = reports.iter().filter(|step| step.ok).count();
    let steps_failed = reports.len() - steps_passed;
    StoryReport { steps_passed, steps_failed, steps: reports, seconds: start.elapsed().as_secs_f64() }
}

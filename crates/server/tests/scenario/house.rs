//! A server without listeners that scenarios are played through: real store, lake, analyst and jobs.

use crate::expected::{actions_of, investigations_of};
use crate::recorded;
use anyhow::{Result, ensure};
use hinomi_model::{Action, Incident, IncidentStatus, Investigation};
use hinomi_server::app::{App, Clock, Ctx, Urls};
use hinomi_server::config::Config;
use hinomi_server::ingest::Batch;
use hinomi_server::{analyst, indicators, jobs};
use hinomi_store::{IncidentFilter, JobFilter, JobState, Page};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest a scenario may take to settle.
pub const SETTLE: Duration = Duration::from_secs(90);

/// A server without listeners.
pub struct House {
    pub ctx: Ctx,
    pub offset: u64,
    worker: tokio::task::JoinHandle<Result<()>>,
    _dir: tempfile::TempDir,
}

impl House {
    pub async fn open() -> Result<House> {
        House::open_over(None).await
    }

    /// Opens a house over a PostgreSQL database, or SQLite.
    pub async fn open_over(database: Option<String>) -> Result<House> {
        let mut config: Config = toml::from_str("[gateway]\nown_domains = [\"corp.example\"]\n")?;
        config.store.url = database;
        House::open_with(config, None).await
    }

    /// Opens a house that is configured further and may have a clock of its own.
    pub async fn open_with(config: Config, clock: Option<Clock>) -> Result<House> {
        let dir = tempfile::tempdir()?;
        let urls = Urls { console: "https://hinomi.test".to_owned(), sensors: "https://hinomi.test:8444".to_owned() };
        let mut app = App::open(config, dir.path(), urls, &["localhost".to_owned()]).await?;
        app.clock = clock.unwrap_or(app.clock);
        let ctx: Ctx = Arc::new(app);
        indicators::load(&ctx).await?;
        let worker = tokio::spawn(jobs::run(ctx.clone()));
        Ok(House { ctx, offset: 0, worker, _dir: dir })
    }

    /// Feeds a scenario as pipeline does: the lake first, then the analyst.
    pub async fn play(&mut self, folder: &Path) -> Result<Vec<(u64, Batch)>> {
        let mut played = Vec::new();
        for batch in recorded::batches(folder)? {
            self.feed(&batch).await?;
            played.push((self.offset, batch));
        }
        Ok(played)
    }

    pub async fn feed(&mut self, batch: &Batch) -> Result<()> {
        self.offset += 1;
        if let Some(device) = recorded::device(batch, self.ctx.now())
            && self.ctx.store.device(device.id).await?.is_none()
        {
            self.ctx.store.put_device(&device).await?;
        }
        self.ctx.lake.append(self.offset, batch.events.clone());
        analyst::process(&self.ctx, self.offset, &batch.events).await
    }

    /// Waits until no job waits and no investigation runs.
    pub async fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + SETTLE;
        loop {
            let filter = JobFilter { state: vec![JobState::Waiting, JobState::Leased], kind: None };
            let open = self.ctx.store.jobs(&filter, &Page::first(50)).await?;
            if open.items.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "jobs do not end: {:?}", open.items);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn incidents(&self) -> Result<Vec<Incident>> {
        let listed = self.ctx.store.incidents(&IncidentFilter::default(), &Page::first(100)).await?;
        let mut open: Vec<Incident> =
            listed.items.into_iter().filter(|incident| incident.status != IncidentStatus::Redirected).collect();
        open.sort_by_key(|incident| incident.number);
        Ok(open)
    }

    pub async fn actions(&self, incident: &Incident) -> Result<Vec<Action>> {
        actions_of(&self.ctx, incident).await
    }

    pub async fn investigations(&self, incident: &Incident) -> Result<Vec<Investigation>> {
        investigations_of(&self.ctx, incident).await
    }

    pub async fn close(self) -> Result<()> {
        self.ctx.stop.cancel();
        self.worker.await??;
        self.ctx.store.close().await;
        Ok(())
    }
}

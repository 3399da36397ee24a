//! Starting and stopping: listeners first, then the rooms, then the ready file.

use crate::app::{App, Ctx, Urls};
use crate::config::Config;
use crate::mailboxes::worker::MailWorker;
use crate::{auth, crawl, demos, directory, gateway, http, ingest, jobs, link, mailboxes};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// File in the data folder that says where the server listens; there while every listener answers.
pub const READY: &str = "ready.json";
/// Seconds the token of `write_enrolment_token` is good for.
const LOCAL_TOKEN_SECONDS: i64 = 3_600;

/// How to start a server.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Data folder.
    pub data: PathBuf,
    /// Configuration.
    pub config: Config,
    /// Writes a one-time enrolment token here, for a sensor on the same machine.
    pub write_enrolment_token: Option<PathBuf>,
    /// Where mail workers run.
    pub mail_worker: MailWorker,
}

/// Content of `DIR/ready.json`, written when every listener answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ready {
    /// Process.
    pub pid: u32,
    /// Address of the console as people reach it.
    pub console_url: String,
    /// Bound address of console and API.
    pub console: SocketAddr,
    /// Bound address of the sensor listener.
    pub sensors: SocketAddr,
    /// Bound address of the milter, when the gateway is on.
    pub milter: Option<SocketAddr>,
    /// Bound address of the journal's LMTP listener, when there is one.
    #[serde(default)]
    pub journal: Option<SocketAddr>,
}

/// A running server.
pub struct Running {
    /// Its parts.
    pub ctx: Ctx,
    /// Where it listens.
    pub ready: Ready,
    /// The one-time code, when no administrator exists yet.
    pub setup_code: Option<String>,
    tasks: JoinSet<(&'static str, Result<()>)>,
    /// Held while the server lives.
    _lock: File,
}

/// Starts a server and returns when every listener answers.
///
/// # Errors
/// Names the part that cannot start.
pub async fn start(options: ServeOptions) -> Result<Running> {
    let ServeOptions { data, config, write_enrolment_token, mail_worker } = options;
    config.check()?;
    std::fs::create_dir_all(&data).with_context(|| format!("create {}", data.display()))?;
    let lock = lock(&data)?;
    // a server that was killed leaves it; whoever waits for it must not find the old one
    remove_ready(&data)?;
    // rustls wants one process-wide provider; a second call only says it is there
    let _ = rustls::crypto::ring::default_provider().install_default();
    let console = bind(config.listen.console, "console").await?;
    let sensors = bind(config.listen.sensors, "sensors").await?;
    let milter = match config.gateway.enabled {
        true => Some(bind(config.listen.milter, "milter").await?),
        false => None,
    };
    let journal = match &config.journal {
        Some(journal) => Some((bind(journal.listen, "journal").await?, journal.clone())),
        None => None,
    };
    let urls =
        Urls { console: config.public_url(console.local_addr()?), sensors: config.sensor_url(sensors.local_addr()?) };
    let ready = Ready {
        pid: std::process::id(),
        console_url: urls.console.clone(),
        console: console.local_addr()?,
        sensors: sensors.local_addr()?,
        milter: milter.as_ref().map(TcpListener::local_addr).transpose()?,
        journal: journal.as_ref().map(|(listener, _)| listener.local_addr()).transpose()?,
    };
    let hosts = hosts(&urls);
    let ctx: Ctx = Arc::new(App::open(config, &data, urls, &hosts).await?);
    ctx.store.all_devices_offline().await?;
    if let Some(mailboxes) = mailboxes::open(&ctx, mail_worker).await? {
        // set once, here: nobody else has seen the context yet
        let _ = ctx.mail.set(mailboxes);
    }
    crate::indicators::load(&ctx).await.context("load indicators")?;
    crate::rules::load(&ctx).await.context("load rules")?;
    crate::tuning::load(&ctx).await.context("load tuning rules")?;
    let setup_code = auth::first_code(&ctx).await?;

    let mut tasks = JoinSet::new();
    let context = ctx.clone();
    tasks.spawn(async move { ("pipeline", ingest::run(context).await) });
    let context = ctx.clone();
    tasks.spawn(async move {
        // an investigation that was cut short must find the events of its alerts
        tokio::select! {
            () = context.recalled.cancelled() => {}
            () = context.stop.cancelled() => {}
        }
        ("jobs", jobs::run(context).await)
    });
    let context = ctx.clone();
    tasks.spawn(async move {
        directory::run(context).await;
        ("directory", Ok(()))
    });
    let context = ctx.clone();
    tasks.spawn(async move { ("demos", demos::run(context).await) });
    let context = ctx.clone();
    tasks.spawn(async move { ("sensors", link::serve(context, sensors).await) });
    if let Some(milter) = milter {
        let context = ctx.clone();
        tasks.spawn(async move { ("gateway", gateway::serve(context, milter).await) });
    }
    if let Some((listener, config)) = journal {
        let context = ctx.clone();
        tasks.spawn(async move { ("journal", crate::journal::serve(context, config, listener).await) });
    }
    let context = ctx.clone();
    tasks.spawn(async move { ("crawl", crawl::run(context).await) });
    let context = ctx.clone();
    tasks.spawn(async move { ("console", http::serve(context, console).await) });

    if let Some(path) = write_enrolment_token {
        let token = link::new_token(&ctx, "this machine", "system", LOCAL_TOKEN_SECONDS).await?;
        write_private(&path, &token.line)?;
    }
    write_private(&data.join(READY), &serde_json::to_string(&ready)?)?;
    tracing::info!(console = %ready.console, sensors = %ready.sensors, "Hinomi is ready at {}", ready.console_url);
    Ok(Running { ctx, ready, setup_code, tasks, _lock: lock })
}

impl Running {
    /// Waits until `stop` resolves or a part ends by itself, then stops everything in order.
    ///
    /// # Errors
    /// The first part that failed.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<()> {
        let mut first = Ok(());
        tokio::select! {
            () = stop => tracing::info!("stopping"),
            ended = self.tasks.join_next() => first = ended.map_or(Ok(()), ended_early),
        }
        let stopped = self.stop().await;
        first.and(stopped)
    }

    /// Stops everything and waits for it.
    ///
    /// # Errors
    /// The first part that failed while stopping.
    pub async fn stop(mut self) -> Result<()> {
        if let Err(error) = remove_ready(&self.ctx.data) {
            tracing::warn!("{error:#}");
        }
        self.ctx.stop.cancel();
        let mut first = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let (part, result) = ended.context("a part of the server panicked")?;
            first = first.and(result.with_context(|| format!("stop {part}")));
        }
        self.ctx.store.close().await;
        first
    }
}

/// Two servers over one data folder would destroy each other's log and lake.
fn lock(data: &Path) -> Result<File> {
    let path = data.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => anyhow::bail!("another server runs over {}", data.display()),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}

fn remove_ready(data: &Path) -> Result<()> {
    let path = data.join(READY);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn ended_early(ended: Result<(&'static str, Result<()>), tokio::task::JoinError>) -> Result<()> {
    let (part, result) = ended.context("a part of the server panicked")?;
    result.with_context(|| format!("{part} failed"))?;
    anyhow::bail!("{part} ended by itself")
}

async fn bind(address: SocketAddr, what: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listen on {address} ({what})"))
}

/// Names the server certificate carries: those people and sensors use, and loopback.
fn hosts(urls: &Urls) -> Vec<String> {
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    for url in [&urls.console, &urls.sensors] {
        let host = url::Url::parse(url).ok().and_then(|url| Some(url.host_str()?.trim_matches(['[', ']']).to_owned()));
        hosts.extend(host);
    }
    hosts.sort();
    hosts.dedup();
    hosts
}

pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let beside = path.with_extension("new");
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().with_context(|| format!("write {}", path.display()))
}

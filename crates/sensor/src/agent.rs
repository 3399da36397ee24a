//! Puts the sensor together and runs it.

use crate::channel::ServerAddress;
use crate::collect::{CollectConfig, Collector, DeviceIdentity};
use crate::commands::{self, Executor, Ledger, Refusals};
use crate::config::Config;
use crate::control;
use crate::device::{Device, Drops};
use crate::files;
use crate::identity::Identity;
use crate::judge::Judge;
use crate::link::{Link, LinkState};
use crate::notify::Notifier;
use crate::pipeline;
use crate::prevent::{Denied, Prevention};
use crate::respond::isolate::Isolation;
use crate::respond::quarantine::Quarantine;
use crate::rules::Rules;
use crate::scope::Scope;
use crate::spool::Spool;
use crate::system;
use anyhow::Context;
use hinomi_model::{Event, Table};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

/// File that appears when the sensor watches, answers and links.
pub const READY: &str = "ready";
const ISOLATION_TICK: Duration = Duration::from_secs(2);
/// Longest wait for the last events to be written at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Data folder.
    pub data: PathBuf,
    /// Configuration.
    pub config: Config,
    /// Made-up events per second instead of a collector: for tests and measurements.
    pub synthetic_events: Option<u32>,
}

/// Runs the sensor until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start: not enrolled, data damaged, already running.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let data = options.data.clone();
    files::private_dir(&data).with_context(|| format!("use data folder {}", data.display()))?;
    let _lock = lock(&data)?;
    files::remove(&data.join(READY))?;
    let identity = Identity::load(&data)?;
    let command_key = identity.command_key()?;
    let (events, queue) = mpsc::channel(pipeline::QUEUE);
    let (device, denied) = assemble(&options, &identity, events.clone()).await?;
    let ledger = Ledger::open(&data).context("read the command ledger")?;
    let state = Arc::new(LinkState::default());
    let (to_execute, orders) = mpsc::channel(commands::QUEUE);

    let judge = Arc::new(Judge::new(device.clone(), options.config.detection.enabled, options.config.detection.stop));
    let full_wait = Duration::from_millis(options.config.spool.full_wait_ms);
    let (flush, flushes) = mpsc::channel(1);
    tokio::spawn(pipeline::run(device.clone(), judge, state.clone(), queue, denied, flushes, full_wait));
    let executor = Executor {
        device: device.clone(),
        command_key,
        ledger: ledger.clone(),
        link: state.clone(),
        refusals: device.refusals.clone(),
    };
    tokio::spawn(executor.run(orders));
    tokio::spawn(keep_isolation(device.clone()));
    if let Some(rate) = options.synthetic_events {
        tokio::spawn(synthesise(device.identity.clone(), events, rate));
    }
    let online = state.clone();
    control::serve(&data, device.clone(), identity.url.clone(), move || online.online())
        .context("open the local door")?;
    let teller = device.clone();
    let link = Link {
        identity,
        address: device.address.clone(),
        spool: device.spool.clone(),
        ledger,
        commands: to_execute,
        status: Arc::new(move || teller.status()),
        status_changed: device.changes.subscribe(),
        state,
    };
    tokio::spawn(link.run());

    files::write_private(&data.join(READY), format!("{}\n", std::process::id()).as_bytes())?;
    tracing::info!(device.id = %device.identity.device_id, capabilities = ?device.status().capabilities, "hinomi-sensor ready");
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    files::remove(&data.join(READY))?;
    let (done, written) = oneshot::channel();
    if flush.send(done).await.is_ok() {
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, written).await;
    }
    tracing::info!("hinomi-sensor ends");
    Ok(())
}

async fn assemble(
    options: &Options,
    identity: &Identity,
    events: mpsc::Sender<Event>,
) -> anyhow::Result<(Arc<Device>, mpsc::Receiver<Denied>)> {
    let (data, config) = (&options.data, &options.config);
    let scope = match config.collect.mount_namespace {
        Some(namespace) => Scope::namespace(namespace).context("find the mount namespace")?,
        None => Scope::DEVICE,
    };
    let device_identity = DeviceIdentity { device_id: identity.device_id, device_name: system::host_name() };
    // the network first: an isolated device must not come up open
    let isolation = Isolation::open(data, config.isolation.enabled)?;
    let spool = Spool::open(&data.join("spool"), config.spool.size_max_mib.saturating_mul(1024 * 1024))?;
    let (prevention, denied) =
        Prevention::start(data, config.prevention.clone(), scope).context("read the block list")?;
    let (collector, collect_error) = match options.synthetic_events {
        Some(_) => (None, None),
        None => collect(data, scope, device_identity.clone(), events).await,
    };
    let device = Device {
        address: ServerAddress::new(&identity.url, Some(data))?,
        quarantine: Quarantine::open(data).context("open the quarantine")?,
        rules: Rules::open(data).context("read the rules of the server")?,
        notifier: Notifier::new(config.notify.clone()),
        process_table: collector.as_ref().map(Collector::processes),
        identity: device_identity,
        scope,
        isolation,
        prevention,
        spool,
        collector,
        collect_error,
        refusals: Refusals::default(),
        drops: Drops::default(),
        changes: watch::channel(0).0,
    };
    Ok((Arc::new(device), denied))
}

async fn collect(
    data: &Path,
    scope: Scope,
    identity: DeviceIdentity,
    events: mpsc::Sender<Event>,
) -> (Option<Collector>, Option<String>) {
    let config = CollectConfig {
        scope_mount_namespace: scope.inode(),
        exclude_pid: vec![std::process::id()],
        state_dir: Some(data.to_owned()),
        ..CollectConfig::default()
    };
    // loading and verifying programs takes a moment
    let started = tokio::task::spawn_blocking(move || Collector::start(config, identity, events)).await;
    match started {
        Ok(Ok(collector)) => (Some(collector), None),
        Ok(Err(error)) => {
            let why = crate::chain(&error);
            tracing::error!("nothing is collected: {why}");
            (None, Some(why))
        }
        Err(_) => (None, Some("the collector ended in a panic".to_owned())),
    }
}

fn lock(data: &Path) -> anyhow::Result<Flock<File>> {
    let path = data.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, error)| error)
        .with_context(|| format!("another sensor runs on {}", data.display()))
}

async fn keep_isolation(device: Arc<Device>) {
    let mut tick = tokio::time::interval(ISOLATION_TICK);
    loop {
        tick.tick().await;
        if !device.isolation.is_active() {
            continue;
        }
        let acting = device.clone();
        match tokio::task::spawn_blocking(move || acting.isolation.tick()).await {
            Ok(Ok(true)) => {
                tracing::info!("the lease of the isolation is over, the network is restored");
                device.status_changed();
            }
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::error!(error = crate::chain(&error), "isolation cannot be kept"),
            Err(_) => tracing::error!("keeping the isolation ended in a panic"),
        }
    }
}

/// Sends made-up process events, numbered in the command line.
async fn synthesise(identity: DeviceIdentity, events: mpsc::Sender<Event>, per_second: u32) {
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let (mut number, mut owed) = (0_u64, 0.0);
    loop {
        tick.tick().await;
        owed += f64::from(per_second) / 100.0;
        while owed >= 1.0 {
            owed -= 1.0;
            number += 1;
            let mut event = Event::new(Table::DeviceProcessEvents, crate::clock::now());
            event.set("DeviceId", identity.device_id.to_string());
            event.set("DeviceName", identity.device_name.clone());
            event.set("ActionType", "ProcessCreated");
            event.set("FileName", "synthetic");
            event.set("ProcessCommandLine", format!("synthetic {number}"));
            if events.send(event).await.is_err() {
                return;
            }
        }
    }
}

//! The running server: everything a room of the house needs, in one place.

use crate::config::Config;
use crate::ingest::{Ingest, Log};
use crate::keys::Keys;
use crate::link::Hub;
use crate::live::Live;
use crate::mailboxes::Mailboxes;
use crate::rules::RuleSet;
use anyhow::{Context, Result};
use hinomi_detect::Engine;
use hinomi_lake::{Lake, LakeFile};
use hinomi_model::Timestamp;
use hinomi_store::{Store, StoreError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use tokio_util::sync::CancellationToken;

/// Shared by every task of the server.
pub type Ctx = Arc<App>;

/// Tells the time.
pub type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// Addresses as others reach them.
#[derive(Debug, Clone)]
pub struct Urls {
    /// Console, without a slash at the end.
    pub console: String,
    /// Sensor listener.
    pub sensors: String,
}

/// The parts of the server.
pub struct App {
    /// Configuration; replaced only by a restart.
    pub config: Config,
    /// Data folder.
    pub data: PathBuf,
    /// Name of this server among those that share a store: drawn once, kept in the data folder.
    pub node: String,
    /// Addresses as others reach them.
    pub urls: Urls,
    /// Transactional truth.
    pub store: Store,
    /// Events.
    pub lake: Lake,
    /// The way in for events.
    pub ingest: Ingest,
    /// Connected sensors.
    pub hub: Hub,
    /// Open consoles.
    pub live: Live,
    /// The server's own keys.
    pub keys: Keys,
    /// Mailbox work, when configured.
    pub mail: OnceLock<Mailboxes>,
    /// Wakes job workers when something was enqueued.
    pub jobs: tokio::sync::Notify,
    /// Cancelled when the server stops.
    pub stop: CancellationToken,
    /// Cancelled once the lake has again every event that was analysed before this server started: its
    /// tail is read from the ingest log after a start.
    pub recalled: CancellationToken,
    /// Indicators in force as the gateway and the analyst see them.
    pub indicators: crate::indicators::Current,
    /// Tuning rules in force as the analyst sees them.
    pub tuning: crate::tuning::Current,
    /// What the analyst keeps in memory between batches.
    pub desk: crate::analyst::Desk,
    /// Demos being played or removed.
    pub demos: crate::demos::Stage,
    /// Whoever changes which files of the lake count holds it from the first file to the catalogue.
    pub files: tokio::sync::Mutex<()>,
    /// Held while a bulk action on mail makes an action or changes its state.
    pub bulk: tokio::sync::Mutex<()>,
    /// What [`App::now`] asks: the clock of the machine, unless history is played again.
    pub clock: Clock,
    /// Held while rules are read from the store and put in force.
    pub rule_changes: tokio::sync::Mutex<()>,
    rules: RwLock<Arc<RuleSet>>,
}

/// Names of the consumers whose offsets the store keeps.
pub const ANALYST: &str = "analyst";
/// See [`ANALYST`].
pub const LAKE: &str = "lake";
/// See [`ANALYST`]: how far the saved state of the correlation rules is, at most as far as the analyst.
pub const CORRELATIONS: &str = "correlations";

impl App {
    /// Opens everything below a data folder.
    ///
    /// # Errors
    /// Names the part that cannot be opened.
    pub async fn open(config: Config, data: &Path, urls: Urls, hosts: &[String]) -> Result<App> {
        std::fs::create_dir_all(data).with_context(|| format!("create {}", data.display()))?;
        let node = node(data)?;
        let keys = Keys::open(data, hosts)?;
        let url = match &config.store.url {
            Some(url) => url.clone(),
            None => format!("sqlite:{}", data.join("hinomi.db").display()),
        };
        let store = Store::open(&url).await.context("open store")?;
        let files = store.lake_files().await.context("read lake catalogue")?;
        let files = files
            .into_iter()
            .map(|row| LakeFile {
                path: row.path,
                table: row.table,
                day: row.day,
                rows: row.rows,
                bytes: row.bytes,
                first: row.first,
                last: row.last,
            })
            .collect();
        let lake = Lake::open(&data.join("lake"), files).await.context("open lake")?;
        let done = consumed(&store).await?;
        let log = Log::open(&data.join("log"), done)?;
        let ingest = Ingest::open(log, store.clone()).await.context("open ingest")?;
        Ok(App {
            config,
            data: data.to_owned(),
            node,
            urls,
            store,
            lake,
            ingest,
            hub: Hub::default(),
            live: Live::default(),
            keys,
            mail: OnceLock::new(),
            jobs: tokio::sync::Notify::new(),
            stop: CancellationToken::new(),
            recalled: CancellationToken::new(),
            indicators: crate::indicators::Current::default(),
            tuning: crate::tuning::Current::default(),
            desk: crate::analyst::Desk::default(),
            demos: crate::demos::Stage::default(),
            files: tokio::sync::Mutex::default(),
            bulk: tokio::sync::Mutex::default(),
            clock: Box::new(|| Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())),
            rule_changes: tokio::sync::Mutex::default(),
            rules: RwLock::new(Arc::new(hinomi_detect::content::engine().into())),
        })
    }

    /// A person asks again: mail systems that did not answer are tried at once.
    pub fn try_mail_now(&self) {
        if let Some(mail) = self.mail.get() {
            mail.try_now();
        }
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The rules in force, compiled.
    pub fn rules(&self) -> Arc<Engine> {
        Arc::clone(self.rule_set().engine())
    }

    /// The rules in force, and what was decided about them.
    pub fn rule_set(&self) -> Arc<RuleSet> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts other rules in force.
    pub fn set_rules(&self, rules: impl Into<RuleSet>) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules.into());
    }
}

/// Returns how far every consumer has read the ingest log: what lies before is not needed any more.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn consumed(store: &Store) -> Result<u64, StoreError> {
    let mut done = u64::MAX;
    for consumer in [ANALYST, LAKE, CORRELATIONS] {
        done = done.min(store.offset(consumer).await?);
    }
    Ok(done)
}

/// Reads the name of the server that lives in a data folder, or draws one.
fn node(data: &Path) -> Result<String> {
    let path = data.join("node");
    let known = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<uuid::Uuid>().ok());
    if let Some(known) = known {
        return Ok(known.to_string());
    }
    let fresh = uuid::Uuid::now_v7().to_string();
    crate::serve::write_private(&path, &fresh)?;
    Ok(fresh)
}

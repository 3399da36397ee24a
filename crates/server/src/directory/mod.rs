//! People: whose account and whose mailbox is whose, read from LDAP or CSV.
//!
//! Each source is one whole: what is read takes the place of everything the source said before. A
//! source that suddenly says nothing changes nothing.

mod csv;
mod draft;
mod ldap;

pub use ldap::{Attributes, Kind, LdapConfig};

use crate::app::Ctx;
use draft::{Draft, People};
use hinomi_model::{DirectoryChange, Text, Timestamp};
use hinomi_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Source of what is read by LDAP.
pub const LDAP: &str = "ldap";
/// Setting that holds how the last reading by LDAP went.
const STATUS: &str = "directory_status";
/// People of one source.
const PEOPLE_MAX: usize = 1_000_000;

/// Why a directory was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// No LDAP server is configured.
    #[error("no [directory] in the configuration")]
    NotConfigured,
    /// The file cannot be read.
    #[error("{}", .0.en)]
    File(Text),
    /// The server cannot be reached or refuses.
    #[error("{attempt}")]
    Ldap {
        /// What was attempted.
        attempt: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing usable was read; what was known stays.
    #[error("nobody was read from {0}; what is known stays")]
    Nobody(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How the last reading by LDAP went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// When.
    pub at: Option<Timestamp>,
    /// Why it failed; none = it did not.
    pub error: Option<String>,
    /// What it changed.
    pub change: Option<DirectoryChange>,
}

/// Takes in a CSV file as the whole of `source`. With `dry_run` it is only told what would change.
///
/// # Errors
/// When the file cannot be read at all or names nobody; single bad rows are reported in the answer.
pub async fn import(
    store: &Store,
    source: &str,
    file: &[u8],
    dry_run: bool,
    now: Timestamp,
) -> Result<DirectoryChange, DirectoryError> {
    let read = csv::read(file)?;
    let ignored = read.ignored_columns;
    let change = take_in(store, source, read.rows, dry_run, now).await?;
    Ok(DirectoryChange { ignored_columns: ignored, ..change })
}

/// Reads the configured LDAP directory and takes it in.
///
/// # Errors
/// When there is none, it cannot be read, or it names nobody.
pub async fn sync(ctx: &Ctx) -> Result<DirectoryChange, DirectoryError> {
    let config = ctx.config.directory.as_ref().ok_or(DirectoryError::NotConfigured)?;
    let now = ctx.now();
    let done = read_ldap(&ctx.store, config, now).await;
    let status = match &done {
        Ok(change) => Status { at: Some(now), error: None, change: Some(change.clone()) },
        Err(error) => Status { at: Some(now), error: Some(chain(error)), change: None },
    };
    let text = serde_json::to_string(&status).unwrap_or_default();
    ctx.store.set_setting(STATUS, &text).await?;
    done
}

/// Reads a directory by LDAP and takes it in.
///
/// # Errors
/// As [`sync`].
pub async fn read_ldap(store: &Store, config: &LdapConfig, now: Timestamp) -> Result<DirectoryChange, DirectoryError> {
    let rows = ldap::read(config).await?;
    take_in(store, LDAP, rows, false, now).await
}

/// How the last reading by LDAP went.
///
/// # Errors
/// When the store fails.
pub async fn status(store: &Store) -> Result<Status, StoreError> {
    let text = store.setting(STATUS).await?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Reads the directory at the start and then as often as configured, until the server stops.
pub async fn run(ctx: Ctx) {
    let Some(config) = ctx.config.directory.clone() else { return ctx.stop.cancelled().await };
    let mut timer = tokio::time::interval(Duration::from_secs(60 * config.every_minutes));
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ctx.stop.cancelled() => return,
            _ = timer.tick() => {}
        }
        tokio::select! {
            () = ctx.stop.cancelled() => return,
            done = sync(&ctx) => match done {
                Ok(change) => tracing::info!(
                    added = change.added,
                    changed = change.changed,
                    removed = change.removed,
                    rejected = change.rejected_count,
                    "the directory was read"
                ),
                Err(error) => tracing::warn!("the directory could not be read: {}", chain(&error)),
            },
        }
    }
}

async fn take_in(
    store: &Store,
    source: &str,
    rows: Vec<Draft>,
    dry_run: bool,
    now: Timestamp,
) -> Result<DirectoryChange, DirectoryError> {
    let People { people, rejected, rejected_count } = draft::people(source, rows, now);
    if people.is_empty() {
        return Err(DirectoryError::Nobody(source.to_owned()));
    }
    let change = match dry_run {
        true => store.compare_directory(source, &people).await?,
        false => store.replace_directory(source, &people).await?,
    };
    Ok(DirectoryChange { rejected, rejected_count, ..change })
}

/// The error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()).map(ToString::to_string) {
        // some libraries repeat their source's text
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

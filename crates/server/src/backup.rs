//! Backup and restore of a data folder: state, keys, removed mails, events.
//!
//! A backup is taken while the server runs. The order makes it consistent: the ingest log first,
//! then one state of the store, then the event files that state names, then the log again. Events
//! the store does not know yet are in the log and are read again after a restore.

use crate::config::Config;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

pub use hinomi_store::Store;

/// Name of the description inside a backup.
const MANIFEST: &str = "backup.json";
/// Folder of the store inside a backup.
const STORE: &str = "store";
/// Event files may be merged while they are copied; then everything is copied again, so often.
const ATTEMPTS_MAX: usize = 3;

/// What a backup says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the server that made it.
    pub version: String,
    /// When.
    pub made_at: hinomi_model::Timestamp,
    /// Event files in it.
    pub event_files: usize,
}

/// Opens the store of a data folder.
///
/// # Errors
/// When it cannot be opened.
pub async fn open_store(config: &Config, data: &Path) -> Result<Store> {
    let url = match &config.store.url {
        Some(url) => url.clone(),
        None => format!("sqlite:{}", data.join("hinomi.db").display()),
    };
    Store::open(&url).await.context("open store")
}

/// Writes a backup of `data` into the new folder `to`.
///
/// # Errors
/// When `to` exists or something cannot be read or written.
pub async fn backup(config: &Config, data: &Path, to: &Path) -> Result<Manifest> {
    if !data.join("keys").is_dir() {
        bail!("{} is not a data folder of Hinomi", data.display());
    }
    if to.exists() {
        bail!("{} exists already; name a new folder", to.display());
    }
    let partial = to.with_extension("partial");
    for attempt in 1.. {
        let _ = fs::remove_dir_all(&partial);
        private_dir(&partial)?;
        match copy(config, data, &partial).await {
            Ok(manifest) => {
                let text = serde_json::to_string_pretty(&manifest)?;
                fs::write(partial.join(MANIFEST), text).context("write description of the backup")?;
                fs::rename(&partial, to).with_context(|| format!("rename to {}", to.display()))?;
                return Ok(manifest);
            }
            Err(error) if attempt == ATTEMPTS_MAX => return Err(error),
            Err(error) => tracing::info!("backup begins again: {error:#}"),
        }
    }
    unreachable!("the loop returns at its last attempt")
}

async fn copy(config: &Config, data: &Path, to: &Path) -> Result<Manifest> {
    copy_tree(&data.join("log"), &to.join("log"))?;
    let store_dir = to.join(STORE);
    private_dir(&store_dir)?;
    let store = open_store(config, data).await?;
    // the catalogue may only grow between this list and the state: files of the list that are gone
    // by the time they are copied make the attempt fail
    store.backup_to(&store_dir).await.context("back up store")?;
    let files = store.lake_files().await.context("read lake catalogue")?;
    store.close().await;
    for file in &files {
        let (from, to) = (data.join("lake").join(&file.path), to.join("lake").join(&file.path));
        private_dir(to.parent().context("an event file has a folder")?)?;
        fs::copy(&from, &to).with_context(|| format!("copy {}", from.display()))?;
    }
    for name in ["keys", "quarantine"] {
        copy_tree(&data.join(name), &to.join(name))?;
    }
    copy_tree(&data.join("log"), &to.join("log"))?;
    let now = hinomi_model::Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
    Ok(Manifest { version: env!("CARGO_PKG_VERSION").to_owned(), made_at: now, event_files: files.len() })
}

/// Restores a backup into the new or empty folder `data`.
///
/// # Errors
/// When `data` is not empty, `from` is no backup, or something cannot be read or written.
pub async fn restore(config: &Config, data: &Path, from: &Path) -> Result<Manifest> {
    let text = fs::read_to_string(from.join(MANIFEST))
        .with_context(|| format!("{} is not a backup of Hinomi", from.display()))?;
    let manifest: Manifest = serde_json::from_str(&text).context("read description of the backup")?;
    if data.exists() && fs::read_dir(data).with_context(|| format!("read {}", data.display()))?.next().is_some() {
        bail!("{} is not empty; a backup is restored into a new folder", data.display());
    }
    private_dir(data)?;
    for name in ["keys", "quarantine", "lake", "log"] {
        copy_tree(&from.join(name), &data.join(name))?;
    }
    let store = open_store(config, data).await?;
    store.restore_from(&from.join(STORE)).await.context("restore store")?;
    store.close().await;
    Ok(manifest)
}

fn private_dir(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).with_context(|| format!("create {}", path.display()))
}

/// Copies a folder with permissions; one that does not exist is empty. Files that vanish meanwhile
/// (a trimmed log segment) are left out.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    private_dir(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry.with_context(|| format!("read {}", from.display()))?;
        let (source, target): (PathBuf, PathBuf) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().with_context(|| format!("look at {}", source.display()))?.is_dir() {
            copy_tree(&source, &target)?;
            continue;
        }
        match fs::copy(&source, &target) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("copy {}", source.display())),
        }
    }
    Ok(())
}

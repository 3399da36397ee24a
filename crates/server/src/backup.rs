//! Backup and restore of a whole server: store, lake, ingest log, keys and everything else in its
//! data folder, in one folder with a manifest of hashes.
//!
//! A backup is taken while the server works. The store's snapshot decides what counts; files of the
//! lake never change and segments of the log only grow, so links to them taken before and after the
//! snapshot hold everything it names even when the server drops them meanwhile.

use crate::config::Config;
use anyhow::{Context, Result, bail, ensure};
use hinomi_model::Timestamp;
use hinomi_store::SQLITE_FILE;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

pub use hinomi_store::Store;

/// The SQLite database in a data folder.
const DATABASE: &str = "hinomi.db";
const MANIFEST: &str = "backup.json";
/// Consumers of the ingest log; one that never committed begins at 0.
const CONSUMERS: [&str; 3] = ["analyst", "correlations", "lake"];
const FORMAT: u32 = 1;
/// Largest manifest read, bytes.
const MANIFEST_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Links while a backup runs, inside the data folder because links need one file system.
const STAGING: &str = ".backup";
/// Folders with rules of their own; everything else in the data folder is copied as it is.
const LAKE_FOLDER: &str = "lake";
const LOG_FOLDER: &str = "log";
/// The server may drop a file between two looks; then the backup begins again.
const ATTEMPTS: usize = 3;

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Path inside the backup.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// Version of Hinomi that wrote it.
    pub version: String,
    /// When.
    pub made_at: Timestamp,
    /// Event files among the files.
    pub event_files: usize,
    /// Every file but the manifest itself.
    pub files: Vec<Entry>,
}

/// Opens the store of a data folder.
///
/// # Errors
/// When it cannot be opened.
pub async fn open_store(config: &Config, data: &Path) -> Result<Store> {
    let url = match &config.store.url {
        Some(url) => url.clone(),
        None => format!("sqlite:{}", data.join(DATABASE).display()),
    };
    Store::open(&url).await.context("open store")
}

/// Writes a backup of data folder `data` into the new folder `to`. The server may be running.
///
/// # Errors
/// When `to` exists; else names the file that cannot be read or written.
pub async fn backup(config: &Config, data: &Path, to: &Path) -> Result<Manifest> {
    ensure!(data.join("keys").is_dir(), "{} is not a data folder of Hinomi", data.display());
    ensure!(!to.exists(), "{} exists already; name a new folder", to.display());
    let (partial, staging) = (to.with_extension("partial"), data.join(STAGING));
    for left_over in [&partial, &staging] {
        remove_folder(left_over)?;
    }
    make_empty(&partial)?;
    let store = open_store(config, data).await?;
    // sealed secrets and their key are copied one after the other and must belong together
    let _still = crate::secrets::keep_still(data)?;
    let written = write(&store, data, &partial, &staging).await;
    store.close().await;
    remove_folder(&staging)?;
    let manifest = written?;
    fs::rename(&partial, to).with_context(|| format!("rename to {}", to.display()))?;
    Ok(manifest)
}

async fn write(store: &Store, data: &Path, dest: &Path, staging: &Path) -> Result<Manifest> {
    let mut files = Vec::new();
    let state = dest.join("store");
    let mut attempt = 1;
    let lake_files = loop {
        fs::create_dir_all(&state).with_context(|| format!("create {}", state.display()))?;
        link_all(data, staging)?;
        let snapshot = store.backup_to(&state).await.context("back up store")?;
        link_all(data, staging)?;
        let offsets = CONSUMERS.iter().map(|name| snapshot.offsets.get(*name).copied().unwrap_or(0));
        let oldest = offsets.min().unwrap_or(0);
        let paths: Vec<String> = snapshot.lake_files.into_iter().map(|file| file.path).collect();
        match missing(staging, &paths, oldest)? {
            None => break paths,
            Some(path) if attempt == ATTEMPTS => bail!("{path} is named by the store but not there"),
            Some(_) => {
                attempt += 1;
                fs::remove_dir_all(&state).with_context(|| format!("remove {}", state.display()))?;
            }
        }
    };
    copy_tree(Path::new("store"), &state, None, &mut files)?;
    let event_files = lake_files.len();
    for path in lake_files {
        let from = staging.join(LAKE_FOLDER).join(&path);
        files.push(copy(&from, dest, &Path::new(LAKE_FOLDER).join(path))?);
    }
    copy_tree(Path::new(LOG_FOLDER), &staging.join(LOG_FOLDER), Some(dest), &mut files)?;
    for entry in sorted(data)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let apart = [LAKE_FOLDER, LOG_FOLDER, STAGING].contains(&name.as_str()) || name.starts_with(DATABASE);
        if !apart {
            copy_tree(&Path::new("data").join(&name), &entry, Some(dest), &mut files)?;
        }
    }
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: Timestamp::from_micros(jiff::Timestamp::now().as_microsecond()),
        event_files,
        files,
    };
    let text = serde_json::to_vec_pretty(&manifest).context("write manifest")?;
    write_durably(&dest.join(MANIFEST), &text)?;
    sync_folders(dest)?;
    Ok(manifest)
}

/// Reads the manifest of a backup and checks every file against it.
///
/// # Errors
/// Names the first file that is missing, changed or not allowed.
pub fn verify(source: &Path) -> Result<Manifest> {
    let path = source.join(MANIFEST);
    let file = File::open(&path).with_context(|| format!("{} is not a backup of Hinomi", source.display()))?;
    let mut text = Vec::new();
    file.take(MANIFEST_BYTES_MAX).read_to_end(&mut text).with_context(|| format!("read {}", path.display()))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).with_context(|| format!("{} is not a manifest", path.display()))?;
    ensure!(manifest.format == FORMAT, "backup has format {}, this version reads {FORMAT}", manifest.format);
    for entry in &manifest.files {
        let inside = Path::new(&entry.path).components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(inside && !entry.path.is_empty(), "{:?} is not a path inside the backup", entry.path);
        let path = source.join(&entry.path);
        let link = fs::symlink_metadata(&path).with_context(|| format!("{} is missing", path.display()))?;
        ensure!(link.is_file(), "{} is not a file", path.display());
        let (bytes, sha256) = hash(&path)?;
        ensure!(bytes == entry.bytes && sha256 == entry.sha256, "{} is damaged: its hash differs", path.display());
    }
    Ok(manifest)
}

/// Restores backup `from` into the new or empty folder `data`, and into the empty PostgreSQL database
/// of the configuration if there is one: a backup may move from one kind of store to the other.
///
/// # Errors
/// When the target is not empty or a file of the backup is damaged; nothing is written then.
pub async fn restore(config: &Config, data: &Path, from: &Path) -> Result<Manifest> {
    let manifest = verify(from)?;
    make_empty(data)?;
    for entry in &manifest.files {
        let path = Path::new(&entry.path);
        let mut parts = path.components();
        let place = match parts.next().map(Component::as_os_str).and_then(|first| first.to_str()) {
            Some("data") => parts.as_path(),
            Some(LAKE_FOLDER | LOG_FOLDER) => path,
            _ => continue,
        };
        let copied = copy(&from.join(path), data, place)?;
        ensure!(copied.sha256 == entry.sha256, "{} changed while it was restored", path.display());
    }
    restore_store(&from.join("store"), data, config).await?;
    sync_folders(data)?;
    Ok(manifest)
}

async fn restore_store(from: &Path, data: &Path, config: &Config) -> Result<()> {
    let state = from.join(SQLITE_FILE);
    let as_it_is = config.store.url.is_none() && state.is_file();
    if as_it_is {
        copy(&state, data, Path::new(DATABASE))?;
    }
    let store = open_store(config, data).await?;
    if as_it_is {
        store.close().await;
        return Ok(());
    }
    store.restore_from(from).await.context("restore store")?;
    store.close().await;
    Ok(())
}

/// Links every file of the lake and the log into the staging folder, those already there excepted.
fn link_all(data: &Path, staging: &Path) -> Result<()> {
    for folder in [LAKE_FOLDER, LOG_FOLDER] {
        let root = data.join(folder);
        fs::create_dir_all(staging.join(folder)).with_context(|| format!("create {}", staging.display()))?;
        if root.is_dir() {
            link_tree(&root, &staging.join(folder))?;
        }
    }
    Ok(())
}

fn link_tree(from: &Path, to: &Path) -> Result<()> {
    for path in sorted(from)? {
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            fs::create_dir_all(&target).with_context(|| format!("create {}", target.display()))?;
            link_tree(&path, &target)?;
        } else if !target.exists()
            && let Err(error) = fs::hard_link(&path, &target)
            // dropped by the server since we looked: it does not count any more
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error).with_context(|| format!("link {}", path.display()));
        }
    }
    Ok(())
}

/// Returns something the snapshot needs that was not linked.
fn missing(staging: &Path, lake_files: &[String], oldest_offset: u64) -> Result<Option<String>> {
    if let Some(path) = lake_files.iter().find(|path| !staging.join(LAKE_FOLDER).join(path).is_file()) {
        return Ok(Some(path.clone()));
    }
    // segments are named by their first offset
    let segments = sorted(&staging.join(LOG_FOLDER))?;
    let firsts = segments.iter().filter_map(|path| path.file_stem()?.to_str()?.parse::<u64>().ok());
    Ok(match firsts.min() {
        Some(first) if first > oldest_offset => Some(format!("record {oldest_offset} of the ingest log")),
        _ => None,
    })
}

/// Copies a file or folder to `name` in the backup, or only enters it in the manifest when it is there
/// already (`to` is none).
fn copy_tree(name: &Path, from: &Path, to: Option<&Path>, files: &mut Vec<Entry>) -> Result<()> {
    let kind = match fs::symlink_metadata(from) {
        Ok(found) => found.file_type(),
        // temporary files of the running server come and go
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("read {}", from.display())),
    };
    if kind.is_dir() {
        for path in sorted(from)? {
            copy_tree(&name.join(path.file_name().unwrap_or_default()), &path, to, files)?;
        }
    } else if kind.is_file() {
        files.push(match to {
            Some(dest) => copy(from, dest, name)?,
            None => {
                let (bytes, sha256) = hash(from)?;
                Entry { path: name.to_string_lossy().into_owned(), bytes, sha256 }
            }
        });
    }
    Ok(())
}

/// Copies a file durably and returns its entry. Permissions come along: keys stay private.
fn copy(from: &Path, dest: &Path, name: &Path) -> Result<Entry> {
    let to = dest.join(name);
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let copied = || -> std::io::Result<(u64, String)> {
        let mut input = File::open(from)?;
        let mut output = File::create_new(&to)?;
        output.set_permissions(input.metadata()?.permissions())?;
        let hashed = pump(&mut input, &mut output)?;
        output.sync_all()?;
        Ok(hashed)
    };
    let (bytes, sha256) = copied().with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(Entry { path: name.to_string_lossy().into_owned(), bytes, sha256 })
}

fn hash(path: &Path) -> Result<(u64, String)> {
    let hashed = File::open(path).and_then(|mut file| pump(&mut file, &mut std::io::sink()));
    hashed.with_context(|| format!("read {}", path.display()))
}

fn pump(input: &mut impl Read, output: &mut impl Write) -> std::io::Result<(u64, String)> {
    let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 256 * 1024]);
    loop {
        let read = input.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, hex::encode(hasher.finalize())));
        }
        hasher.update(&buffer[..read]);
        output.write_all(&buffer[..read])?;
        bytes += read as u64;
    }
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn make_empty(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    ensure!(sorted(folder)?.is_empty(), "{} is not empty", folder.display());
    restrict(folder)
}

/// Backups hold keys: nobody else may look.
fn restrict(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("set permissions of {}", folder.display()))
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let listing = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let paths = listing.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = paths.with_context(|| format!("read {}", folder.display()))?;
    paths.sort();
    Ok(paths)
}

fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.with_context(|| format!("write {}", path.display()))
}

/// Makes the names of files durable.
fn sync_folders(folder: &Path) -> Result<()> {
    for path in sorted(folder)?.into_iter().filter(|path| path.is_dir() && !path.is_symlink()) {
        sync_folders(&path)?;
    }
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| format!("sync {}", folder.display()))
}

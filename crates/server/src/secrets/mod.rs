//! Secrets of mail systems, sealed at rest.
//!
//! `DIR/secrets/mail.json` holds one sealed secret per mail system of the configuration: AES-256-GCM
//! under a key of its own, derived (HKDF-SHA256) from a master key that lies elsewhere (see
//! [`master`]); name, kind and version are authenticated with it, so a secret put under another name
//! does not open. Every change writes a whole new file beside and renames it.
//!
//! The server never opens a secret: it hands what is sealed together with the key of that one
//! secret to the mail worker (`mailboxes::worker`). Only `hinomi mail secret rotate` opens them all,
//! to seal them anew.

mod check;
mod hidden;
pub(crate) mod master;
mod rotate;
mod sealed;

pub use check::recognise;
pub use hidden::Hidden;
pub use rotate::{ROTATION_POINTS, Rotated};
pub use sealed::{Sealed, SecretKind};

use crate::keys::write_new;
use anyhow::{Context, Result, ensure};
use hinomi_model::Timestamp;
use master::{Master, Masters};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Folder below the data folder.
pub const DIR: &str = "secrets";
/// The file in it.
const FILE: &str = "mail.json";
/// Held while the file or the master key changes.
const LOCK: &str = "lock";
const FORMAT: u32 = 1;
/// Largest secret, bytes: a list of credentials of 200,000 mailboxes fits.
pub const SECRET_BYTES_MAX: usize = 32 << 20;
/// Largest file read, bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// A rotation may end between two reads; then both are read again.
const READS: usize = 3;

/// The sealed secrets of a data folder.
#[derive(Debug, Clone)]
pub struct SecretStore {
    data: PathBuf,
    masters: Masters,
}

/// Content of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    format: u32,
    /// Id of the master key.
    key: String,
    secrets: BTreeMap<String, Sealed>,
}

/// What may be told about a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretInfo {
    /// Mail system it is for.
    pub name: String,
    /// What it is.
    pub kind: SecretKind,
    /// Drawn anew each time it is set; says nothing about its content.
    pub version: String,
    /// When it was set.
    pub set_at: Timestamp,
}

/// What a mail worker needs to open one secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Handed {
    /// The secret, sealed.
    pub sealed: Sealed,
    /// The key of this one secret.
    pub key: Hidden,
}

impl SecretStore {
    /// The store of a data folder; the master key is where the environment says (see [`master`]),
    /// otherwise in the data folder.
    pub fn of(data: &Path) -> Self {
        SecretStore { data: data.to_owned(), masters: Masters::from_environment(data) }
    }

    /// What is there, by name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn list(&self) -> Result<Vec<SecretInfo>> {
        let contents = self.read()?;
        Ok(contents
            .into_iter()
            .flat_map(|contents| contents.secrets)
            .map(|(name, sealed)| info(name, &sealed))
            .collect())
    }

    /// Seals a secret under the name of its mail system; replaces an earlier one.
    ///
    /// # Errors
    /// When it is too long, or something cannot be read or written.
    pub fn set(&self, name: &str, kind: SecretKind, content: &Hidden) -> Result<SecretInfo> {
        ensure!(content.bytes().len() <= SECRET_BYTES_MAX, "the secret is longer than {} MiB", SECRET_BYTES_MAX >> 20);
        let _lock = self.lock()?;
        let (mut contents, master) = match self.read_settled()? {
            Some((contents, master)) => (contents, master),
            None => {
                let master = self.masters.own_or_made()?;
                (Contents { format: FORMAT, key: master.id(), secrets: BTreeMap::new() }, master)
            }
        };
        let sealed = Sealed::seal(&master, name, kind, content, now())?;
        let told = info(name.to_owned(), &sealed);
        contents.secrets.insert(name.to_owned(), sealed);
        self.write(&contents)?;
        Ok(told)
    }

    /// Takes a secret out; false when there was none.
    ///
    /// # Errors
    /// When something cannot be read or written.
    pub fn remove(&self, name: &str) -> Result<bool> {
        let _lock = self.lock()?;
        let Some(mut contents) = self.read()? else { return Ok(false) };
        if contents.secrets.remove(name).is_none() {
            return Ok(false);
        }
        self.write(&contents)?;
        Ok(true)
    }

    /// What the worker of a mail system gets; `None` when no secret was set.
    ///
    /// # Errors
    /// When file or master key cannot be read, or do not belong together.
    pub fn handed(&self, name: &str) -> Result<Option<Handed>> {
        let Some((mut contents, master)) = self.read_with_master()? else { return Ok(None) };
        let Some(sealed) = contents.secrets.remove(name) else { return Ok(None) };
        Ok(Some(Handed { key: master.key_of(name), sealed }))
    }

    /// Changes whenever the file was replaced. Cheap.
    pub fn stamp(&self) -> Stamp {
        stamp(&self.file())
    }

    fn file(&self) -> PathBuf {
        self.data.join(DIR).join(FILE)
    }

    fn lock(&self) -> Result<File> {
        let dir = self.data.join(DIR);
        ensure!(self.data.is_dir(), "{} is not a data folder of Hinomi", self.data.display());
        for dir in [&dir, &self.data.join("keys")] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .with_context(|| format!("create {}", dir.display()))?;
        }
        lock(&dir)
    }

    fn read(&self) -> Result<Option<Contents>> {
        let path = self.file();
        let shown = path.display();
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.with_context(|| format!("open {shown}"))?,
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).with_context(|| format!("read {shown}"))?;
        let contents: Contents =
            serde_json::from_slice(&bytes).with_context(|| format!("{shown} is not a file of sealed secrets"))?;
        ensure!(contents.format == FORMAT, "{shown} has format {}, this version reads {FORMAT}", contents.format);
        Ok(Some(contents))
    }

    fn read_with_master(&self) -> Result<Option<(Contents, Master)>> {
        for _ in 1..READS {
            let Some(contents) = self.read()? else { return Ok(None) };
            if let Some(master) = self.masters.with_id(&contents.key)? {
                return Ok(Some((contents, master)));
            }
        }
        let Some(contents) = self.read()? else { return Ok(None) };
        let master = self.masters.with_id(&contents.key)?;
        let master = master.with_context(|| {
            format!(
                "the secrets of mail systems are sealed with master key {}, which is not {}",
                contents.key, self.masters
            )
        })?;
        Ok(Some((contents, master)))
    }

    /// The same, for who holds the lock: what an interrupted rotation left is put in order first.
    fn read_settled(&self) -> Result<Option<(Contents, Master)>> {
        let read = self.read_with_master()?;
        self.masters.settle(read.as_ref().map(|(contents, _)| contents.key.as_str()))?;
        Ok(read)
    }

    fn write(&self, contents: &Contents) -> Result<()> {
        let text = serde_json::to_vec_pretty(contents).context("write secrets")?;
        write_new(&self.file(), &text)
    }
}

/// Tells whether a file was replaced or written: inode and time of the last change; none = not there.
pub type Stamp = Option<(u64, i64, i64)>;

/// The stamp of a file.
pub fn stamp(file: &Path) -> Stamp {
    let found = fs::metadata(file).ok()?;
    Some((found.ino(), found.mtime(), found.mtime_nsec()))
}

/// Keeps a rotation away while file and master key are copied together; `None` when there are none.
///
/// # Errors
/// When the lock cannot be taken.
pub fn keep_still(data: &Path) -> Result<Option<File>> {
    let dir = data.join(DIR);
    if dir.is_dir() { lock(&dir).map(Some) } else { Ok(None) }
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("open {}", path.display()))?;
    file.lock().with_context(|| format!("lock {}", path.display()))?;
    Ok(file)
}

fn info(name: String, sealed: &Sealed) -> SecretInfo {
    SecretInfo { name, kind: sealed.kind, version: sealed.version.clone(), set_at: sealed.set_at }
}

fn now() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, SecretStore) {
        let dir = tempfile::tempdir().expect("temp dir");
        let store = SecretStore { data: dir.path().to_owned(), masters: Masters::in_folder(dir.path()) };
        (dir, store)
    }

    fn text(handed: Option<Handed>, name: &str) -> String {
        let handed = handed.expect("there");
        String::from_utf8(handed.sealed.open(name, &handed.key).expect("opens").bytes().to_vec()).expect("text")
    }

    #[test]
    fn sealed_secrets_open_under_their_own_name_only() {
        let (dir, store) = store();
        assert_eq!(store.list().expect("empty"), []);
        assert!(store.handed("main").expect("none").is_none());
        let set = store.set("main", SecretKind::Password, &Hidden::from("open sesame")).expect("set");
        let other = store.set("other", SecretKind::ClientSecret, &Hidden::from("second")).expect("set");
        assert_ne!(set.version, other.version);
        assert_eq!(store.list().expect("both"), [set.clone(), other]);
        assert_eq!(text(store.handed("main").expect("read"), "main"), "open sesame");
        let bytes = fs::read(store.file()).expect("file");
        assert!(!String::from_utf8_lossy(&bytes).contains("sesame"));
        let mode = |path: &str| fs::metadata(dir.path().join(path)).expect("there").mode() & 0o777;
        assert_eq!((mode("secrets/mail.json"), mode("secrets"), mode("keys/mail.key")), (0o600, 0o700, 0o600));
        let (main, second) = (store.handed("main").expect("read"), store.handed("other").expect("read"));
        let (main, second) = (main.expect("there"), second.expect("there"));
        assert!(main.sealed.open("other", &main.key).is_err(), "another name");
        assert!(main.sealed.open("main", &second.key).is_err(), "another key");
        let mut other_kind = main.sealed.clone();
        other_kind.kind = SecretKind::Certificate;
        assert!(other_kind.open("main", &main.key).is_err(), "another kind");
        let again = store.set("main", SecretKind::Password, &Hidden::from("newer")).expect("set again");
        assert_ne!(again.version, set.version);
        assert_eq!(text(store.handed("main").expect("read"), "main"), "newer");
        assert!(store.remove("main").expect("removed") && !store.remove("main").expect("gone"));
        assert_eq!(text(store.handed("other").expect("read"), "other"), "second");
    }

    #[test]
    fn damage_and_strange_keys_are_named() {
        let (dir, store) = store();
        store.set("main", SecretKind::Password, &Hidden::from("open sesame")).expect("set");
        fs::write(dir.path().join("keys/mail.key"), [1; 32]).expect("another key");
        let error = format!("{:#}", store.handed("main").expect_err("another key"));
        assert!(error.contains("master key") && error.contains("mail.key"), "{error}");
        assert!(
            store.set("main", SecretKind::Password, &Hidden::from("x")).is_err(),
            "nothing is sealed with two keys"
        );
        fs::write(dir.path().join("keys/mail.key"), b"short").expect("damaged key");
        assert!(store.handed("main").is_err());
        fs::write(store.file(), b"{}").expect("damaged file");
        assert!(format!("{:#}", store.list().expect_err("damaged")).contains("mail.json"));
        let long = Hidden::from(vec![b'x'; SECRET_BYTES_MAX + 1]);
        assert!(store.set("main", SecretKind::Password, &long).is_err());
    }
}

//! The vault: mails that were taken out of mailboxes or stopped at the gateway, encrypted on disk.
//!
//! One file per mail below `DIR/vault`: zstd inside AES-256-GCM (key: `keys/vault.key`), written
//! beside, synced, renamed. The key of a mail is bound to its content: a file put under another
//! name does not open.

use crate::abort::abort_point;
use bytes::Bytes;
use futures::future::BoxFuture;
use hinomi_mail::remediate::{Located, StoredMail, Vault};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// First bytes of a file: format and version.
const MAGIC: &[u8; 4] = b"HNV1";
/// Largest content unpacked, bytes. Mails beyond it never get in.
const CONTENT_BYTES_MAX: u64 = 256 << 20;

/// A vault file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The disk says no.
    #[error("{attempt} {path}")]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not our format, another key, or changed since it was written.
    #[error("{0} is damaged or was encrypted with another key")]
    Damaged(PathBuf),
    /// A key is not lower-case hex.
    #[error("not a vault key: {0:?}")]
    Key(String),
}

/// Files of a vault. Cheap to clone.
#[derive(Clone)]
pub struct FileVault {
    dir: PathBuf,
    key: Arc<LessSafeKey>,
}

impl FileVault {
    /// Opens the vault in `dir`, making its folders.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub fn open(dir: &Path, key: &[u8; 32]) -> Result<Self, VaultError> {
        // all at once and synced, so that keeping a mail need not sync what is above it
        for first in 0..=u8::MAX {
            make_dir(&dir.join(hex::encode([first])))?;
        }
        let fail = |source| VaultError::Io { attempt: "sync", path: dir.to_owned(), source };
        fs::File::open(dir).and_then(|folder| folder.sync_all()).map_err(fail)?;
        let key = UnboundKey::new(&AES_256_GCM, key).expect("the key has the length the cipher wants");
        Ok(FileVault { dir: dir.to_owned(), key: Arc::new(LessSafeKey::new(key)) })
    }

    /// Keeps content under a key; what is there already stays, and the answer is false.
    ///
    /// # Errors
    /// When it cannot be written durably.
    pub async fn keep(&self, key: &str, content: Vec<u8>) -> Result<bool, VaultError> {
        let (vault, key) = (self.clone(), key.to_owned());
        run(move || vault.keep_now(&key, &content)).await
    }

    /// Returns what is kept under a key.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub async fn content(&self, key: &str) -> Result<Option<Vec<u8>>, VaultError> {
        let (vault, key) = (self.clone(), key.to_owned());
        run(move || vault.content_now(&key)).await
    }

    fn path(&self, key: &str) -> Result<PathBuf, VaultError> {
        let is_hex = key.len() >= 8 && key.len() <= 128 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hex {
            return Err(VaultError::Key(key.chars().take(64).collect()));
        }
        // two letters of folder: a removal from 200,000 mailboxes must not fill one
        Ok(self.dir.join(&key[..2]).join(key))
    }

    fn keep_now(&self, key: &str, content: &[u8]) -> Result<bool, VaultError> {
        let path = self.path(key)?;
        if path.exists() {
            return Ok(false);
        }
        let fail = |attempt| {
            let path = path.clone();
            move |source| VaultError::Io { attempt, path, source }
        };
        let mut sealed = zstd::bulk::compress(content, 3).map_err(fail("compress"))?;
        let nonce = crate::keys::random::<NONCE_LEN>();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(key.as_bytes()), &mut sealed)
            .map_err(|_| VaultError::Damaged(path.clone()))?;
        let folder = path.parent().unwrap_or(&self.dir);
        let beside = path.with_extension(format!("new{}", hex::encode(&nonce[..4])));
        let write = || -> std::io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(MAGIC)?;
            file.write_all(&nonce)?;
            file.write_all(&sealed)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            fs::File::open(folder)?.sync_all()
        };
        write().map_err(fail("write"))?;
        Ok(true)
    }

    fn content_now(&self, key: &str) -> Result<Option<Vec<u8>>, VaultError> {
        let path = self.path(key)?;
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(VaultError::Io { attempt: "read", path, source }),
        };
        let opened = self.open_bytes(key, &bytes).ok_or(VaultError::Damaged(path))?;
        Ok(Some(opened))
    }

    fn open_bytes(&self, key: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let nonce = Nonce::try_assume_unique_for_key(rest.get(..NONCE_LEN)?).ok()?;
        let mut sealed = rest[NONCE_LEN..].to_vec();
        let packed = self.key.open_in_place(nonce, Aad::from(key.as_bytes()), &mut sealed).ok()?;
        let mut content = Vec::new();
        let decoder = zstd::stream::read::Decoder::new(&*packed).ok()?;
        decoder.take(CONTENT_BYTES_MAX).read_to_end(&mut content).ok()?;
        Some(content)
    }
}

impl Vault for FileVault {
    fn put<'a>(&'a self, key: &'a str, mail: &'a StoredMail) -> BoxFuture<'a, Result<StoredMail, String>> {
        Box::pin(async move {
            let mut content = serde_json::to_vec(&mail.located).map_err(|error| error.to_string())?;
            content.push(b'\n');
            content.extend_from_slice(&mail.raw);
            let is_new = self.keep(key, content).await.map_err(|error| chain(&error))?;
            abort_point("mail.kept");
            match is_new {
                true => Ok(mail.clone()),
                false => self.get(key).await?.ok_or_else(|| "the kept mail is gone".to_owned()),
            }
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<StoredMail>, String>> {
        Box::pin(async move {
            let Some(content) = self.content(key).await.map_err(|error| chain(&error))? else { return Ok(None) };
            let content = Bytes::from(content);
            let end = content.iter().position(|byte| *byte == b'\n').ok_or("no header in the kept mail")?;
            let located: Located = serde_json::from_slice(&content[..end]).map_err(|error| error.to_string())?;
            Ok(Some(StoredMail { located, raw: content.slice(end + 1..) }))
        })
    }
}

async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, VaultError> {
    tokio::task::spawn_blocking(work).await.expect("vault work does not panic")
}

fn make_dir(dir: &Path) -> Result<(), VaultError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| VaultError::Io {
        attempt: "create",
        path: dir.to_owned(),
        source,
    })
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

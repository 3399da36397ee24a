//! Hashes of files, remembered by what changes when the content does.

use super::process::FileDigest;
use super::record::FileState;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Files per generation of the cache; two generations are kept.
const GENERATION_MAX: usize = 4096;
/// A file changed less than this ago may change again within the same time stamp: not remembered.
/// The coarse kernel clock ticks every 1 to 10 ms.
const SETTLED: Duration = Duration::from_millis(40);
const CHUNK_BYTES: usize = 64 * 1024;

/// Why a file has no hash.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Larger than the configured limit.
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    /// Another file has the name now, or it changed while it was read.
    #[error("changed meanwhile")]
    Changed,
    /// A folder, pipe or device.
    #[error("not a regular file")]
    NotRegular,
    /// It could not be read.
    #[error("read")]
    Io(#[from] io::Error),
}

impl HashError {
    /// Returns the word told in `AdditionalFields.HashUnavailable`.
    pub fn word(&self) -> &'static str {
        match self {
            HashError::TooLarge(_) => "too large",
            HashError::Changed => "changed meanwhile",
            HashError::NotRegular => "not a regular file",
            HashError::Io(error) if error.kind() == io::ErrorKind::NotFound => "gone",
            HashError::Io(_) => "unreadable",
        }
    }
}

/// What a hash is remembered by: the change time covers the modification time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    dev: u64,
    ino: u64,
    ctime_ns: u64,
    size: u64,
}

/// Computes and remembers hashes.
pub struct Hasher {
    bytes_max: u64,
    young: HashMap<Key, Arc<FileDigest>>,
    old: HashMap<Key, Arc<FileDigest>>,
    buffer: Vec<u8>,
}

impl Hasher {
    /// Hashes files up to `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Hasher {
        Hasher { bytes_max, young: HashMap::new(), old: HashMap::new(), buffer: vec![0; CHUNK_BYTES] }
    }

    /// Returns the hashes of a file in the state the kernel saw, if they are remembered.
    pub fn remembered(&mut self, state: &FileState) -> Option<Arc<FileDigest>> {
        (state.ctime_ns != 0).then(|| self.look_up(key_of(state))).flatten()
    }

    /// Hashes an open file. With `expected` it must be that very file, unchanged since.
    ///
    /// # Errors
    /// See [`HashError`].
    pub fn digest(&mut self, file: &File, expected: Option<&FileState>) -> Result<Arc<FileDigest>, HashError> {
        let before = state_of(file)?;
        if before.mode & libc::S_IFMT != libc::S_IFREG {
            return Err(HashError::NotRegular);
        }
        if expected.is_some_and(|state| is_other_file(state, &before) || is_changed(state, &before)) {
            return Err(HashError::Changed);
        }
        if before.size > self.bytes_max {
            return Err(HashError::TooLarge(self.bytes_max));
        }
        let key = key_of(&before);
        if let Some(digest) = self.look_up(key) {
            return Ok(digest);
        }
        let digest = Arc::new(self.read(file)?);
        let after = state_of(file)?;
        if digest.size != before.size || key_of(&after) != key {
            return Err(HashError::Changed);
        }
        if is_settled(&after) {
            self.remember(key, digest.clone());
        }
        Ok(digest)
    }

    fn read(&mut self, file: &File) -> Result<FileDigest, HashError> {
        let (mut sha256, mut sha1, mut md5) = (Sha256::new(), Sha1::new(), Md5::new());
        let mut size = 0_u64;
        loop {
            let read = match file.read_at(&mut self.buffer, size) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            size += read as u64;
            if size > self.bytes_max {
                return Err(HashError::TooLarge(self.bytes_max));
            }
            let chunk = &self.buffer[..read];
            sha256.update(chunk);
            sha1.update(chunk);
            md5.update(chunk);
        }
        Ok(FileDigest {
            sha256: hex::encode(sha256.finalize()),
            sha1: hex::encode(sha1.finalize()),
            md5: hex::encode(md5.finalize()),
            size,
        })
    }

    fn look_up(&mut self, key: Key) -> Option<Arc<FileDigest>> {
        if let Some(digest) = self.young.get(&key) {
            return Some(digest.clone());
        }
        let digest = self.old.remove(&key)?;
        self.remember(key, digest.clone());
        Some(digest)
    }

    fn remember(&mut self, key: Key, digest: Arc<FileDigest>) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, digest);
    }
}

/// Returns the state of an open file in the kernel's terms.
///
/// # Errors
/// When the descriptor cannot be asked.
pub fn state_of(file: &File) -> io::Result<FileState> {
    let meta = file.metadata()?;
    let dev = meta.dev();
    let time = |seconds: i64, nanos: i64| (seconds.max(0) as u64) * 1_000_000_000 + nanos as u64;
    Ok(FileState {
        dev: u64::from(libc::major(dev)) << 20 | u64::from(libc::minor(dev)),
        ino: meta.ino(),
        size: meta.size(),
        mtime_ns: time(meta.mtime(), meta.mtime_nsec()),
        ctime_ns: time(meta.ctime(), meta.ctime_nsec()),
        mode: meta.mode(),
        nlink: meta.nlink() as u32,
    })
}

/// True when two states on one device are of different files. Stacked file systems tell another
/// device number to user space than inside the kernel: there nothing can be said.
pub fn is_other_file(kernel: &FileState, seen: &FileState) -> bool {
    kernel.dev == seen.dev && kernel.ino != seen.ino
}

fn is_changed(kernel: &FileState, seen: &FileState) -> bool {
    kernel.dev == seen.dev && kernel.mtime_ns != 0 && (kernel.size, kernel.mtime_ns) != (seen.size, seen.mtime_ns)
}

fn is_settled(state: &FileState) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.checked_sub(Duration::from_nanos(state.ctime_ns)).is_some_and(|age| age > SETTLED)
}

fn key_of(state: &FileState) -> Key {
    Key { dev: state.dev, ino: state.ino, ctime_ns: state.ctime_ns, size: state.size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_noticed_and_limits_hold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "abc").unwrap();
        let mut hasher = Hasher::new(5);
        let file = File::open(&path).unwrap();
        let digest = hasher.digest(&file, None).unwrap();
        assert_eq!(digest.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.md5, "900150983cd24fb0d6963f7d28e17f72");
        let state = state_of(&file).unwrap();
        std::fs::write(&path, "abcd").unwrap();
        let file = File::open(&path).unwrap();
        assert!(matches!(hasher.digest(&file, Some(&state)), Err(HashError::Changed)));
        assert_eq!(hasher.digest(&file, None).unwrap().size, 4);
        std::fs::write(&path, "abcdef").unwrap();
        assert!(matches!(hasher.digest(&File::open(&path).unwrap(), None), Err(HashError::TooLarge(5))));
        assert!(matches!(hasher.digest(&File::open(dir.path()).unwrap(), None), Err(HashError::NotRegular)));
    }
}

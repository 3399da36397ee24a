//! Moves files out of reach and puts them back as they were.
//!
//! A quarantined file lies in `DIR/quarantine` (0700) as one file (0600, owner root): a line that
//! says what it is, the length and text of its metadata, and the content as a zstd stream with every
//! byte masked, so that neither the kernel nor an interpreter finds anything in it to run.

use super::{Outcome, xattr};
use crate::files;
use crate::scope::Scope;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hinomi_model::{CommandId, ReceiptState, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MAGIC: &[u8] = b"HINOMI QUARANTINE 1\n";
const META_BYTES_MAX: u32 = 16 * 1024 * 1024;
const LEVEL: i32 = 3;
/// Masks stored bytes; turns every ASCII character into something else than ASCII.
const MASK: u8 = 0xA5;
/// Most paths of one command.
const PATHS_MAX: usize = 1_000;

/// The quarantine folder.
#[derive(Debug, Clone)]
pub struct Quarantine {
    dir: PathBuf,
    /// Never quarantined: the sensor's own data.
    data: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meta {
    sha256: String,
    /// Where it was, as seen inside the scope.
    path: String,
    size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    /// Seconds and nanoseconds.
    accessed: (i64, i64),
    modified: (i64, i64),
    /// (name, base64 of the value)
    xattrs: Vec<(String, String)>,
    at: Timestamp,
    command_id: Option<CommandId>,
}

/// Why one file could not be moved or put back.
#[derive(Debug, thiserror::Error)]
enum MoveError {
    #[error("it is no longer there")]
    Gone,
    #[error("the file there has another content")]
    OtherContent,
    #[error("it is not a regular file")]
    NotRegular,
    #[error("it belongs to the sensor or the system's first process")]
    Protected,
    #[error("it changed while it was moved")]
    Changed,
    #[error("{0} other names (hard links) of the file remain")]
    LinksRemain(u64),
    #[error("another file is there now")]
    Occupied,
    #[error("its quarantined content is damaged")]
    Damaged,
    #[error("{0}: {1}")]
    Io(&'static str, io::Error),
}

fn during(what: &'static str) -> impl FnOnce(io::Error) -> MoveError {
    move |source| MoveError::Io(what, source)
}

impl Quarantine {
    /// Uses `data/quarantine`, creating it.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(data: &Path) -> io::Result<Quarantine> {
        let dir = data.join("quarantine");
        files::private_dir(&dir)?;
        let data = data.canonicalize()?;
        for entry in fs::read_dir(&dir)?.flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "part") {
                // a move cut short: the original is still in its place
                files::remove(&entry.path())?;
            }
        }
        Ok(Quarantine { dir, data })
    }

    /// Moves the files with this hash at these paths out of reach.
    pub fn take(&self, sha256: &str, paths: &[String], scope: Scope, command_id: Option<CommandId>) -> Outcome {
        let mut moved = Vec::new();
        let mut failed = Vec::new();
        for path in paths.iter().take(PATHS_MAX) {
            match self.take_one(sha256, Path::new(path), scope, command_id) {
                Ok(file) => moved.push(json!({ "path": path, "file": file })),
                Err(MoveError::Gone | MoveError::OtherContent) => {}
                Err(error) => failed.push(json!({ "path": path, "reason": error.to_string() })),
            }
        }
        let already = self.entries(sha256).into_iter().any(|(_, meta)| paths.contains(&meta.path));
        summary(sha256, &moved, &failed, already)
    }

    /// Puts every quarantined file with this hash back where it was.
    pub fn restore(&self, sha256: &str, scope: Scope) -> Outcome {
        let entries = self.entries(sha256);
        if entries.is_empty() {
            return Outcome::new(
                ReceiptState::NotFound,
                "no file with this hash is in quarantine",
                "このハッシュのファイルは隔離されていません",
                json!({ "restored": [], "failed": [] }),
            );
        }
        let mut restored = Vec::new();
        let mut failed = Vec::new();
        for (file, meta) in entries {
            match restore_one(&file, &meta, scope) {
                Ok(()) => restored.push(json!({ "path": meta.path })),
                Err(error) => failed.push(json!({ "path": meta.path, "reason": error.to_string() })),
            }
        }
        let proof = json!({ "restored": restored, "failed": failed });
        match failed.first() {
            None => Outcome::new(
                ReceiptState::Done,
                format!("{} files restored", restored.len()),
                format!("{} 個のファイルを元に戻しました", restored.len()),
                proof,
            ),
            Some(first) => Outcome::new(
                ReceiptState::Failed,
                format!("{} files restored, {} not: {}", restored.len(), failed.len(), reason(first)),
                format!("{} 個を元に戻し、{} 個は戻せませんでした: {}", restored.len(), failed.len(), reason(first)),
                proof,
            ),
        }
    }

    fn take_one(
        &self,
        sha256: &str,
        path: &Path,
        scope: Scope,
        command_id: Option<CommandId>,
    ) -> Result<String, MoveError> {
        let (parent, name) = anchor(path, scope)?;
        let mut source = open_at(&parent, &name, libc::O_RDONLY | libc::O_NONBLOCK, 0)?;
        let before = source.metadata().map_err(during("look at the file"))?;
        if !before.is_file() {
            return Err(MoveError::NotRegular);
        }
        self.refuse_protected(&before, path)?;
        let meta = Meta {
            sha256: sha256.to_ascii_lowercase(),
            path: path.to_string_lossy().into_owned(),
            size: before.len(),
            mode: before.mode() & 0o7777,
            uid: before.uid(),
            gid: before.gid(),
            accessed: (before.atime(), before.atime_nsec()),
            modified: (before.mtime(), before.mtime_nsec()),
            xattrs: xattr::read(&source)
                .map_err(during("read attributes"))?
                .into_iter()
                .map(|(name, value)| (name, STANDARD.encode(value)))
                .collect(),
            at: crate::clock::now(),
            command_id,
        };
        let id = uuid::Uuid::now_v7();
        let part = self.dir.join(format!("{id}.part"));
        let result = store(&mut source, &meta, &part).and_then(|found| {
            if found != meta.sha256 {
                return Err(MoveError::OtherContent);
            }
            self.commit(&source, &before, (&parent, &name), &part, id)
        });
        if result.is_err() {
            let _ = fs::remove_file(&part);
        }
        let file = result?;
        match before.nlink() {
            0 | 1 => Ok(file),
            links => Err(MoveError::LinksRemain(links - 1)),
        }
    }

    /// Makes the stored copy durable, then takes the original away if it is still the same file.
    fn commit(
        &self,
        source: &File,
        before: &fs::Metadata,
        (parent, name): (&OwnedFd, &CString),
        part: &Path,
        id: uuid::Uuid,
    ) -> Result<String, MoveError> {
        let after = source.metadata().map_err(during("look at the file"))?;
        let version = |of: &fs::Metadata| (of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec(), of.len());
        let there = open_at(parent, name, libc::O_PATH, 0)?.metadata().map_err(during("look at the file"))?;
        if version(&after) != version(before) || (there.dev(), there.ino()) != (before.dev(), before.ino()) {
            return Err(MoveError::Changed);
        }
        let file = format!("{id}.quarantine");
        let whole = self.dir.join(&file);
        fs::rename(part, &whole).and_then(|()| files::sync_parent(&whole)).map_err(during("store the copy"))?;
        // SAFETY: parent is open and name NUL-terminated.
        if unsafe { libc::unlinkat(parent.as_raw_fd(), name.as_ptr(), 0) } < 0 {
            let error = io::Error::last_os_error();
            let _ = files::remove(&whole);
            return Err(MoveError::Io("remove the file", error));
        }
        Ok(file)
    }

    fn refuse_protected(&self, found: &fs::Metadata, path: &Path) -> Result<(), MoveError> {
        let same = |other: &str| fs::metadata(other).is_ok_and(|it| (it.dev(), it.ino()) == (found.dev(), found.ino()));
        if same("/proc/self/exe") || same("/proc/1/exe") || path.starts_with(&self.data) {
            return Err(MoveError::Protected);
        }
        Ok(())
    }

    /// Finds quarantined files by hash, oldest first; a damaged one is skipped and stays for a person.
    fn entries(&self, sha256: &str) -> Vec<(PathBuf, Meta)> {
        let Ok(entries) = fs::read_dir(&self.dir) else { return Vec::new() };
        let mut found: Vec<_> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "quarantine"))
            .filter_map(|path| {
                let (meta, _) = open_stored(&path).ok()?;
                Some((path, meta))
            })
            .filter(|(_, meta)| meta.sha256.eq_ignore_ascii_case(sha256))
            .collect();
        // the names are time-ordered
        found.sort_by(|(left, _), (right, _)| left.cmp(right));
        found
    }
}

fn restore_one(stored: &Path, meta: &Meta, scope: Scope) -> Result<(), MoveError> {
    let (parent, name) = anchor(Path::new(&meta.path), scope)?;
    if open_at(&parent, &name, libc::O_RDONLY | libc::O_NONBLOCK, 0).is_ok_and(|there| is_content(there, meta)) {
        // a move or a restore that was cut short left both
        return files::remove(stored).map_err(during("remove the quarantined copy"));
    }
    let (_, mut content) = open_stored(stored).map_err(during("read the quarantined file"))?;
    let part = CString::new(format!(".hinomi-{}.part", uuid::Uuid::now_v7())).expect("no NUL in a uuid");
    let mut file = open_at(&parent, &part, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, 0o600)?;
    let placed = fill(&mut file, &mut content, meta).and_then(|()| place(&parent, &part, &name));
    if let Err(error) = placed {
        // SAFETY: parent is open and part NUL-terminated.
        unsafe { libc::unlinkat(parent.as_raw_fd(), part.as_ptr(), 0) };
        return Err(error);
    }
    files::remove(stored).map_err(during("remove the quarantined copy"))
}

fn is_content(mut file: File, meta: &Meta) -> bool {
    let mut hash = Sha256::new();
    let regular = file.metadata().is_ok_and(|found| found.is_file() && found.len() == meta.size);
    regular && io::copy(&mut file, &mut hash).is_ok() && hex::encode(hash.finalize()) == meta.sha256
}

fn place(parent: &OwnedFd, part: &CString, name: &CString) -> Result<(), MoveError> {
    let folder = parent.as_raw_fd();
    // SAFETY: both names are NUL-terminated and relative to an open folder.
    let moved = unsafe { libc::renameat2(folder, part.as_ptr(), folder, name.as_ptr(), libc::RENAME_NOREPLACE) };
    if moved == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::EEXIST) => Err(MoveError::Occupied),
        error => Err(MoveError::Io("put the file in its place", error)),
    }
}

fn summary(sha256: &str, moved: &[Value], failed: &[Value], already: bool) -> Outcome {
    let proof = json!({ "sha256": sha256, "quarantined": moved, "failed": failed });
    let count = moved.len();
    match failed.first() {
        Some(first) => Outcome::new(
            ReceiptState::Failed,
            format!("{count} files quarantined, {} not: {}", failed.len(), reason(first)),
            format!("{count} 個を隔離、{} 個は隔離できませんでした: {}", failed.len(), reason(first)),
            proof,
        ),
        None if count > 0 => Outcome::new(
            ReceiptState::Done,
            format!("{count} files quarantined"),
            format!("{count} 個のファイルを隔離しました"),
            proof,
        ),
        None if already => Outcome::new(
            ReceiptState::AlreadyDone,
            "the file is already in quarantine",
            "ファイルはすでに隔離されています",
            proof,
        ),
        None => Outcome::new(
            ReceiptState::NotFound,
            "no file with this hash is at these paths",
            "このハッシュのファイルは見つかりませんでした",
            proof,
        ),
    }
}

fn reason(failure: &Value) -> String {
    let text = |key: &str| failure.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    format!("{}: {}", text("path"), text("reason"))
}

/// Opens the folder of `path` and returns it with the file's name.
fn anchor(path: &Path, scope: Scope) -> Result<(OwnedFd, CString), MoveError> {
    let bad = || MoveError::Io("read the path", io::Error::from(io::ErrorKind::InvalidInput));
    let name = path.file_name().ok_or_else(bad)?;
    let parent = path.parent().filter(|_| path.is_absolute()).ok_or_else(bad)?;
    let name = CString::new(name.as_bytes()).map_err(|_| bad())?;
    match scope.open_dir(parent) {
        Ok(parent) => Ok((parent, name)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(MoveError::Gone),
        Err(error) => Err(MoveError::Io("open the folder", error)),
    }
}

fn open_at(parent: &OwnedFd, name: &CString, flags: i32, mode: u32) -> Result<File, MoveError> {
    let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: parent is open and name NUL-terminated.
    let fd = unsafe { libc::openat(parent.as_raw_fd(), name.as_ptr(), flags, mode) };
    if fd >= 0 {
        // SAFETY: the kernel just gave us this descriptor, nobody else owns it.
        return Ok(unsafe { File::from_raw_fd(fd) });
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOENT) => Err(MoveError::Gone),
        Some(libc::ELOOP | libc::ENXIO) => Err(MoveError::NotRegular),
        _ => Err(MoveError::Io("open the file", error)),
    }
}

/// Masks what goes through.
struct Masked<T>(T);

impl<T: Write> Write for Masked<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let masked: Vec<u8> = bytes.iter().map(|byte| byte ^ MASK).collect();
        self.0.write(&masked)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<T: Read> Read for Masked<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(into)?;
        into[..read].iter_mut().for_each(|byte| *byte ^= MASK);
        Ok(read)
    }
}

/// Writes metadata and packed content; returns the hash of what was read.
fn store(source: &mut File, meta: &Meta, part: &Path) -> Result<String, MoveError> {
    let mut write = || -> io::Result<String> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part)?;
        let text = serde_json::to_vec(meta)?;
        file.write_all(MAGIC)?;
        file.write_all(&(text.len() as u32).to_le_bytes())?;
        file.write_all(&text)?;
        let mut packed = zstd::Encoder::new(Masked(file), LEVEL)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let read = source.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            packed.write_all(&buffer[..read])?;
        }
        packed.finish()?.0.sync_all()?;
        Ok(hex::encode(hash.finalize()))
    };
    write().map_err(during("copy the file"))
}

fn open_stored(path: &Path) -> io::Result<(Meta, impl Read + use<>)> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "not a quarantined file");
    let mut file = BufReader::new(File::open(path)?);
    let mut head = [0; MAGIC.len() + 4];
    file.read_exact(&mut head)?;
    let (magic, len) = head.split_at(MAGIC.len());
    let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]);
    if magic != MAGIC || len > META_BYTES_MAX {
        return Err(damaged());
    }
    let mut text = vec![0; len as usize];
    file.read_exact(&mut text)?;
    Ok((serde_json::from_slice(&text)?, zstd::Decoder::new(Masked(file))?))
}

/// Writes content, then owner, mode, attributes and times, in the order in which one does not
/// undo another.
fn fill(file: &mut File, content: &mut impl Read, meta: &Meta) -> Result<(), MoveError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut left = meta.size;
    loop {
        let read = content.read(&mut buffer).map_err(during("read the quarantined file"))?;
        if read == 0 {
            break;
        }
        left = left.checked_sub(read as u64).ok_or(MoveError::Damaged)?;
        hash.update(&buffer[..read]);
        file.write_all(&buffer[..read]).map_err(during("write the file"))?;
    }
    if left != 0 || hex::encode(hash.finalize()) != meta.sha256 {
        return Err(MoveError::Damaged);
    }
    dress(file, meta).map_err(during("set owner, mode and times"))
}

fn dress(file: &File, meta: &Meta) -> io::Result<()> {
    std::os::unix::fs::fchown(file, Some(meta.uid), Some(meta.gid))?;
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(meta.mode))?;
    for (name, value) in &meta.xattrs {
        let value = STANDARD.decode(value).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        xattr::write(file, name, &value)?;
    }
    let time = |(seconds, nanos): (i64, i64)| libc::timespec { tv_sec: seconds, tv_nsec: nanos };
    let times = [time(meta.accessed), time(meta.modified)];
    // SAFETY: the descriptor is open and two times are passed.
    if unsafe { libc::futimens(file.as_raw_fd(), times.as_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    file.sync_all()
}

//! Files being written: told once nobody writes them any more, so that the hash is that of the whole.

use super::process::ProcessInfo;
use super::record::FileState;
use hinomi_model::Timestamp;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Files watched at a time; beyond, the oldest are told without waiting.
pub const PENDING_MAX: usize = 16 * 1024;
/// Descriptors held at a time, so that a file removed at once can still be hashed.
pub const HELD_MAX: usize = 256;
/// A new file still open after this is told at once, without hash.
pub const TELL_OPEN_AFTER: Duration = Duration::from_secs(1);
const RETRY_MIN: Duration = Duration::from_millis(2);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Device and inode.
pub type FileId = (u64, u64);

/// A file somebody opened for writing.
#[derive(Debug)]
pub struct Pending {
    /// The file itself, opened for reading.
    pub file: Option<File>,
    /// Where it was opened.
    pub path: PathBuf,
    /// Where it is now, after renames.
    pub place: PathBuf,
    /// Its state when it was opened.
    pub state: FileState,
    /// Its mount namespace.
    pub mount_ns: u32,
    /// It did not exist before.
    pub created: bool,
    /// Its creation was told already, while it was open.
    pub told_open: bool,
    /// Who opened it.
    pub process: Arc<ProcessInfo>,
    /// When.
    pub opened_at: Timestamp,
    /// When, on the sensor's own clock.
    pub since: Instant,
    /// How often it was not where it should be.
    pub misses: u32,
    next_check: Instant,
    wait: Duration,
}

/// The files being written.
#[derive(Default)]
pub struct PendingFiles {
    files: HashMap<FileId, Pending>,
    held: usize,
}

impl Pending {
    /// Starts watching a file opened now.
    pub fn new(
        path: PathBuf,
        state: FileState,
        mount_ns: u32,
        created: bool,
        process: Arc<ProcessInfo>,
        opened_at: Timestamp,
    ) -> Pending {
        let now = Instant::now();
        Pending {
            file: None,
            place: path.clone(),
            path,
            state,
            mount_ns,
            created,
            told_open: false,
            process,
            opened_at,
            since: now,
            misses: 0,
            // a close, the end of the process or this check: whichever comes first
            next_check: now + TELL_OPEN_AFTER,
            wait: RETRY_MIN,
        }
    }

    /// Puts the next check off, each time twice as long.
    pub fn put_off(&mut self) {
        self.next_check = Instant::now() + self.wait;
        self.wait = (self.wait * 2).min(RETRY_MAX);
    }

    /// Makes the next checks come quickly: somebody closed it.
    pub fn reset_wait(&mut self) {
        self.wait = RETRY_MIN;
    }

    /// Returns whether the content changed since it was opened. Time stamps are as coarse as the
    /// kernel's tick, so a change just before the opening counts too.
    pub fn is_modified(&self, now: &FileState) -> bool {
        const TICK_NS: u64 = 12_000_000;
        let opened_ns = self.opened_at.as_micros().max(0) as u64 * 1000;
        self.state.size != now.size || self.state.mtime_ns != now.mtime_ns || now.mtime_ns + TICK_NS >= opened_ns
    }
}

impl PendingFiles {
    /// Starts watching.
    pub fn insert(&mut self, pending: Pending) {
        let id = (pending.state.dev, pending.state.ino);
        self.held += usize::from(pending.file.is_some());
        if let Some(before) = self.files.insert(id, pending) {
            self.held -= usize::from(before.file.is_some());
        }
    }

    /// Stops watching.
    pub fn take(&mut self, id: FileId) -> Option<Pending> {
        let pending = self.files.remove(&id)?;
        self.held -= usize::from(pending.file.is_some());
        Some(pending)
    }

    /// Returns whether a file is watched.
    pub fn contains(&self, id: FileId) -> bool {
        self.files.contains_key(&id)
    }

    /// Returns whether one more descriptor may be held.
    pub fn may_hold(&self) -> bool {
        self.held < HELD_MAX
    }

    /// Returns how many are watched.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Asks for a check soon of what a process has open, as its end closes it.
    pub fn process_ended(&mut self, pid: i64) {
        let soon = Instant::now() + RETRY_MIN;
        for pending in self.files.values_mut().filter(|pending| pending.process.key.pid == pid) {
            pending.next_check = pending.next_check.min(soon);
            pending.wait = RETRY_MIN;
        }
    }

    /// Returns the ids due for a check.
    pub fn due(&self, now: Instant) -> Vec<FileId> {
        self.files.iter().filter(|(_, pending)| pending.next_check <= now).map(|(id, _)| *id).collect()
    }

    /// Returns when the next check is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.files.values().map(|pending| pending.next_check).min()
    }

    /// Returns the id of the file at a place.
    pub fn at(&self, mount_ns: u32, place: &Path) -> Option<FileId> {
        let is_there = |pending: &Pending| pending.mount_ns == mount_ns && pending.place == place;
        self.files.iter().find(|(_, pending)| is_there(pending)).map(|(id, _)| *id)
    }

    /// Follows a rename of a file, or of a folder above files.
    pub fn renamed(&mut self, mount_ns: u32, from: &Path, to: &Path) {
        for pending in self.files.values_mut().filter(|pending| pending.mount_ns == mount_ns) {
            if let Ok(below) = pending.place.strip_prefix(from) {
                pending.place = if below.as_os_str().is_empty() { to.to_path_buf() } else { to.join(below) };
                pending.misses = 0;
            }
        }
    }

    /// Returns the one watched longest.
    pub fn oldest(&self) -> Option<FileId> {
        self.files.iter().min_by_key(|(_, pending)| pending.since).map(|(id, _)| *id)
    }
}

//! Files are created, written, renamed, linked and removed.

use super::files::{FileId, PENDING_MAX, Pending, TELL_OPEN_AFTER};
use super::hash::{self, HashError};
use super::process::{FileDigest, ProcessInfo};
use super::record::{Kind, Record, Tag};
use super::worker::Worker;
use super::{bpf, rows};
use hinomi_model::{Event, Table, Timestamp};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often a closed file is looked for again: a rename or removal behind it in the ring explains it.
const MISSES_MAX: u32 = 6;
/// How long a file that changes while it is hashed is waited for.
const CHANGING_MAX: Duration = Duration::from_secs(30);

impl Worker<'_> {
    pub(super) fn on_open(&mut self, record: &Record<'_>) {
        let Some(path) = record.path(Tag::Path) else { return };
        // made without a name (O_TMPFILE), or removed already
        if record.file.nlink == 0 {
            return;
        }
        let id = (record.file.dev, record.file.ino);
        if record.created {
            // the inode number is used again: the file it stood for is gone
            self.tell_unfinished(id, "gone");
        } else if self.pending.contains(id) {
            return;
        }
        if self.pending.len() >= PENDING_MAX
            && let Some(oldest) = self.pending.oldest()
        {
            self.drops.count("file_watch_full");
            self.tell_unfinished(oldest, "too many open files");
        }
        let actor = self.actor(record);
        let at = self.clock.event(record.time_ns);
        let mut pending = Pending::new(path, record.file, record.mount_ns, record.created, actor, at);
        if self.pending.may_hold() {
            pending.file = self.open_pending(&pending).ok();
        }
        self.pending.insert(pending);
    }

    /// Looks whether a file is written no more, and tells of it then.
    pub(super) fn check_file(&mut self, id: FileId, is_closed: bool) {
        let Some(mut pending) = self.pending.take(id) else { return };
        if is_closed {
            pending.reset_wait();
        }
        let Some(file) = pending.file.take().or_else(|| self.open_pending(&pending).ok()) else {
            return self.miss(pending);
        };
        let is_written = (self.writers)(bpf::raw(&file)) > 0;
        if is_written && pending.created && !pending.told_open && pending.since.elapsed() >= TELL_OPEN_AFTER {
            pending.told_open = true;
            let mut event = self.file_row("FileCreated", pending.opened_at, &pending.path, &pending.process);
            event.set_additional("HashUnavailable", "still open");
            self.send(event);
        }
        if is_written || !self.tell_whole(&pending, &file) {
            pending.put_off();
            // a file open for long is not held: its folder may want to be unmounted
            pending.file = (!pending.told_open).then_some(file);
            self.pending.insert(pending);
        }
    }

    /// Tells of a file nobody writes any more; false when it is changing again.
    fn tell_whole(&mut self, pending: &Pending, file: &File) -> bool {
        let Ok(state) = hash::state_of(file) else { return true };
        let action = match (pending.created, pending.told_open) {
            (true, false) => "FileCreated",
            (true, true) => "FileModified",
            (false, _) if pending.is_modified(&state) => "FileModified",
            (false, _) => return true,
        };
        let digest = self.hasher.digest(file, None);
        if matches!(digest, Err(HashError::Changed)) && pending.since.elapsed() < CHANGING_MAX {
            return false;
        }
        let at = if action == "FileCreated" { pending.opened_at } else { self.clock.now() };
        let mut event = self.file_row(action, at, &pending.path, &pending.process);
        set_digest_or_reason(&mut event, digest, state.size);
        self.send(event);
        true
    }

    /// Tells of a watched file that loses its name: whole when it still can be read, else without hash.
    pub(super) fn tell_unfinished(&mut self, id: FileId, reason: &str) {
        let Some(pending) = self.pending.take(id) else { return };
        if let Some(file) = &pending.file
            && (self.writers)(bpf::raw(file)) == 0
            && self.tell_whole(&pending, file)
        {
            return;
        }
        if !pending.created || pending.told_open {
            return;
        }
        let mut event = self.file_row("FileCreated", pending.opened_at, &pending.path, &pending.process);
        event.set_additional("HashUnavailable", reason);
        self.send(event);
    }

    fn open_pending(&mut self, pending: &Pending) -> std::io::Result<File> {
        let pid = pending.process.key.pid as u32;
        self.roots.open_exact(pending.mount_ns, pid, &pending.place, &pending.state, &self.table)
    }

    fn miss(&mut self, mut pending: Pending) {
        pending.misses += 1;
        pending.put_off();
        let (id, is_gone) = ((pending.state.dev, pending.state.ino), pending.misses > MISSES_MAX);
        self.pending.insert(pending);
        if is_gone {
            self.tell_unfinished(id, "gone");
        }
    }

    pub(super) fn on_unlink(&mut self, record: &Record<'_>) {
        let Some(path) = self.name(record, Tag::Base, Tag::Name) else { return };
        if let Some(id) = self.pending.at(record.mount_ns, &path) {
            self.tell_unfinished(id, "deleted");
        }
        let actor = self.actor(record);
        let event = self.file_row("FileDeleted", self.clock.event(record.time_ns), &path, &actor);
        self.send(event);
    }

    pub(super) fn on_rename(&mut self, record: &Record<'_>) {
        let from = self.name(record, Tag::Base, Tag::Name);
        let to = self.name(record, Tag::Base2, Tag::Name2);
        let (Some(from), Some(to)) = (from, to) else { return };
        // what had the new name before is gone
        if let Some(id) = self.pending.at(record.mount_ns, &to) {
            self.tell_unfinished(id, "replaced");
        }
        let moved = self.pending.at(record.mount_ns, &from);
        self.pending.renamed(record.mount_ns, &from, &to);
        if let Some(id) = moved {
            self.check_file(id, true);
        }
        let actor = self.actor(record);
        let mut event = self.file_row("FileRenamed", self.clock.event(record.time_ns), &to, &actor);
        event.set("PreviousFileName", rows::file_name(&from));
        event.set("PreviousFolderPath", from.to_string_lossy().into_owned());
        self.add_hash(record, &to, &mut event);
        self.send(event);
    }

    /// A new name for old content is a created file all the same.
    pub(super) fn on_link(&mut self, record: &Record<'_>) {
        let Some(path) = self.name(record, Tag::Base2, Tag::Name2) else { return };
        let actor = self.actor(record);
        let mut event = self.file_row("FileCreated", self.clock.event(record.time_ns), &path, &actor);
        if record.kind == Kind::Symlink {
            let target = record.text(Tag::Name).unwrap_or_default();
            event.set_additional("FileType", "symbolic link");
            event.set_additional("LinkTarget", String::from_utf8_lossy(target).into_owned());
        } else {
            event.set_additional("FileType", "hard link");
            if let Some(target) = self.name(record, Tag::Base, Tag::Name) {
                event.set_additional("LinkTarget", target.to_string_lossy().into_owned());
            }
            self.add_hash(record, &path, &mut event);
        }
        self.send(event);
    }

    fn name(&mut self, record: &Record<'_>, base: Tag, name: Tag) -> Option<PathBuf> {
        let name = record.text(name)?;
        let base = record.path(base);
        if base.is_none() && !name.starts_with(b"/") {
            // a relative name whose folder could not be read
            return Some(Path::new("?").join(OsStr::from_bytes(name)));
        }
        Some(self.roots.resolve(record.mount_ns, record.tgid, base.as_deref(), name, &self.table))
    }

    fn file_row(&self, action: &str, at: Timestamp, path: &Path, actor: &Arc<ProcessInfo>) -> Event {
        let mut event = Event::new(Table::DeviceFileEvents, at);
        event.set("ActionType", action);
        rows::set_path(&mut event, path);
        rows::set_initiating(&mut event, actor);
        event
    }

    fn add_hash(&mut self, record: &Record<'_>, path: &Path, event: &mut Event) {
        let opened = self.roots.open(record.mount_ns, record.tgid, path, &self.table);
        let (file, state) = match opened.and_then(|file| hash::state_of(&file).map(|state| (file, state))) {
            Ok(found) => found,
            Err(error) => {
                event.set_additional("HashUnavailable", HashError::from(error).word());
                return;
            }
        };
        match self.hasher.digest(&file, None) {
            Err(HashError::NotRegular) => {}
            digest => set_digest_or_reason(event, digest, state.size),
        }
    }
}

fn set_digest_or_reason(event: &mut Event, digest: Result<Arc<FileDigest>, HashError>, size: u64) {
    match digest {
        Ok(digest) => rows::set_digest(event, &digest),
        Err(error) => {
            event.set("FileSize", size as i64);
            event.set_additional("HashUnavailable", Value::from(error.word()));
        }
    }
}

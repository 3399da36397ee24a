//! What the readers of archives and other containers share.

use super::charset;
use super::file::{File, file};
use super::reason::{Limit, Reason};
use super::{Listed, NAME_CHARS_MAX, Work, tidy};

/// Most entries a container may hold.
pub(super) const ENTRIES_MAX: u64 = 10_000;
/// Most entries listed of an archive that cannot be unpacked.
const LISTED_MAX: usize = 200;

/// The container being read.
pub(super) struct Container<'c> {
    /// SHA-256 of it.
    pub hash: &'c str,
    /// Its path.
    pub path: &'c str,
    /// Its place in the list of files.
    pub index: usize,
    /// Depth of what lies in it.
    pub depth: usize,
}

impl Container<'_> {
    /// Records a file that lies in it and takes that apart.
    pub(super) fn inspect(&self, work: &mut Work<'_>, name: &str, bytes: &[u8]) {
        let name = tidy(&name.replace('\\', "/"), NAME_CHARS_MAX);
        file(work, File { name: &name, bytes, declared: "", parent: Some(self.hash), path: self.path }, self.depth);
    }

    /// Records an entry that was not unpacked.
    pub(super) fn list(&self, work: &mut Work<'_>, name: &str, size: u64, encrypted: bool) {
        let Some(own) = work.analysis.files.get_mut(self.index) else { return };
        if own.listed.len() < LISTED_MAX {
            let name = tidy(&name.replace('\\', "/"), NAME_CHARS_MAX);
            own.listed.push(Listed { name, size, encrypted });
        }
    }

    /// Notes that a password from the mail opened it.
    pub(super) fn opened_with_password(&self, work: &mut Work<'_>) {
        if let Some(own) = work.analysis.files.get_mut(self.index) {
            own.opened_with_password = true;
        }
    }

    /// Last part of its path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// Name of an entry. Archives made on Japanese Windows carry Shift_JIS without saying so.
pub(super) fn entry_name(raw: &[u8]) -> String {
    charset::decode(raw, "")
}

/// Counts files seen and lost; remembers the first reason.
#[derive(Default)]
pub(super) struct Losses {
    seen: usize,
    lost: usize,
    first: Option<Reason>,
}

impl Losses {
    /// Counts one more entry.
    ///
    /// # Errors
    /// When there are too many of them or the time is over.
    pub(super) fn see(&mut self, work: &Work<'_>) -> Result<(), Limit> {
        self.seen += 1;
        if self.seen as u64 > ENTRIES_MAX {
            return Err(Limit::Entries(self.seen as u64));
        }
        if work.budget.in_time() { Ok(()) } else { Err(Limit::Time) }
    }

    pub(super) fn add(&mut self, reason: impl Into<Reason>) {
        self.lost += 1;
        self.first.get_or_insert_with(|| reason.into());
    }

    pub(super) fn outcome(self) -> Result<(), Reason> {
        match self.first {
            None => Ok(()),
            Some(first) if self.seen <= 1 || self.lost == 0 => Err(first),
            Some(first) => Err(Reason::Partly { lost: self.lost, total: self.seen, first: Box::new(first) }),
        }
    }
}

//! Connections kept for a moment: after a look often comes a removal in the same mailbox.

use super::lock;
use crate::imap::Connection;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Connections to single mailboxes kept at most: each is a process of its own on many servers.
pub(super) const KEPT_MAX: usize = 8;
/// How long one is kept.
const KEPT_FOR: Duration = Duration::from_secs(20);

/// Logged-in connections nobody uses right now, oldest first.
pub(super) struct Pool {
    kept: Mutex<VecDeque<Kept>>,
    max: usize,
}

struct Kept {
    mailbox: String,
    since: Instant,
    connection: Connection,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("kept", &lock(&self.kept).len()).finish()
    }
}

impl Pool {
    /// An empty pool that keeps `max` connections.
    pub(super) fn new(max: usize) -> Self {
        Pool { kept: Mutex::default(), max }
    }

    /// Takes a connection to a mailbox out.
    pub(super) fn take(&self, mailbox: &str) -> Option<Connection> {
        let mut kept = lock(&self.kept);
        while kept.front().is_some_and(|oldest| oldest.since.elapsed() > KEPT_FOR) {
            kept.pop_front();
        }
        let at = kept.iter().position(|one| one.mailbox == mailbox)?;
        kept.remove(at).map(|one| one.connection)
    }

    /// Keeps a connection; returns the one that must go for it.
    pub(super) fn keep(&self, mailbox: String, connection: Connection) -> Option<Connection> {
        let mut kept = lock(&self.kept);
        kept.push_back(Kept { mailbox, since: Instant::now(), connection });
        let over = kept.len() > self.max;
        if over { kept.pop_front().map(|one| one.connection) } else { None }
    }

    /// Takes out those that were kept long enough.
    pub(super) fn expired(&self) -> Vec<Connection> {
        let mut kept = lock(&self.kept);
        let end = kept.iter().take_while(|one| one.since.elapsed() > KEPT_FOR).count();
        kept.drain(..end).map(|one| one.connection).collect()
    }

    /// How long one is kept.
    pub(super) const fn kept_for() -> Duration {
        KEPT_FOR
    }
}

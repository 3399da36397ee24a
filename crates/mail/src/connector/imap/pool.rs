//! Connections kept for a moment: after a look often comes a removal in the same mailbox.

use super::lock;
use crate::imap::Connection;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Connections kept at most: each is a process of its own on many servers.
const KEPT_MAX: usize = 8;
/// How long one is kept.
const KEPT_FOR: Duration = Duration::from_secs(20);

/// Logged-in connections nobody uses right now, oldest first.
#[derive(Default)]
pub(super) struct Pool(Mutex<VecDeque<Kept>>);

struct Kept {
    mailbox: String,
    since: Instant,
    connection: Connection,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("kept", &lock(&self.0).len()).finish()
    }
}

impl Pool {
    /// Takes a connection to a mailbox out.
    pub(super) fn take(&self, mailbox: &str) -> Option<Connection> {
        let mut kept = lock(&self.0);
        while kept.front().is_some_and(|oldest| oldest.since.elapsed() > KEPT_FOR) {
            kept.pop_front();
        }
        let at = kept.iter().position(|one| one.mailbox == mailbox)?;
        kept.remove(at).map(|one| one.connection)
    }

    /// Keeps a connection; returns the one that must go for it.
    pub(super) fn keep(&self, mailbox: String, connection: Connection) -> Option<Connection> {
        let mut kept = lock(&self.0);
        kept.push_back(Kept { mailbox, since: Instant::now(), connection });
        let over = kept.len() > KEPT_MAX;
        if over { kept.pop_front().map(|one| one.connection) } else { None }
    }

    /// Takes out those that were kept long enough.
    pub(super) fn expired(&self) -> Vec<Connection> {
        let mut kept = lock(&self.0);
        let end = kept.iter().take_while(|one| one.since.elapsed() > KEPT_FOR).count();
        kept.drain(..end).map(|one| one.connection).collect()
    }

    /// How long one is kept.
    pub(super) const fn kept_for() -> Duration {
        KEPT_FOR
    }
}

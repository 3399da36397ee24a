//! Blocked files do not run: fanotify asks us before every program start on the guarded mounts.
//!
//! [`Prevention`] owns the [`BlockList`] and a guard thread. While the list is empty nothing is
//! marked and nothing costs anything. The guard answers from a cache at once; unknown files are
//! hashed by workers while the guard keeps the deadline: an answer that would come too late is
//! "allow". When the sensor ends, the kernel allows everything that waits.

mod fan;
mod guard;
mod list;
mod mounts;

pub use list::BlockList;

use crate::config::PreventionConfig;
use crate::respond::process;
use crate::scope::Scope;
use fan::EventFd;
use guard::Guard;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, mpsc as std_mpsc};
use std::time::Duration;
use tokio::sync::mpsc;

const FILE: &str = "block-list.json";
/// Denials waiting to be reported.
const DENIED_QUEUE: usize = 256;
const APPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// An execution that was denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Hash of the file, lower-case hex.
    pub sha256: String,
    /// Path of the file as the sensor sees it.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Who tried to run it, looked at while it waited.
    pub initiator: Initiator,
}

/// A process as `/proc` showed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Initiator {
    /// Process id.
    pub pid: u32,
    /// Its parent.
    pub ppid: u32,
    /// Start, microseconds since the epoch.
    pub started_us: i64,
    /// Path of its image.
    pub exe: PathBuf,
    /// Arguments joined by blanks.
    pub command_line: String,
}

impl Initiator {
    fn look(pid: u32) -> Initiator {
        let stat = process::stat(pid);
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        Initiator {
            pid,
            ppid: stat.as_ref().map_or(0, |stat| stat.ppid),
            started_us: stat.map_or(0, |stat| process::start_micros(stat.start_ticks)),
            exe: std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default(),
            command_line: String::from_utf8_lossy(&arguments).replace('\0', " ").trim_end().to_owned(),
        }
    }
}

/// Blocking of files before they run.
pub struct Prevention {
    file: PathBuf,
    shared: Arc<Shared>,
    orders: Option<(std_mpsc::Sender<std_mpsc::Sender<()>>, Arc<EventFd>)>,
}

pub(crate) struct Shared {
    list: RwLock<Arc<BlockList>>,
    /// `ok` or why nothing is blocked.
    state: Mutex<String>,
    /// Program starts allowed because no verdict came in time or the file is too large.
    unchecked: AtomicU64,
    lost_reports: AtomicU64,
    denied: mpsc::Sender<Denied>,
    config: PreventionConfig,
    scope: Scope,
}

impl Prevention {
    /// Reads the list of a data folder and guards the configured mounts.
    ///
    /// # Errors
    /// When the list is damaged. A kernel that cannot block is not an error but a capability.
    pub fn start(
        data: &Path,
        config: PreventionConfig,
        scope: Scope,
    ) -> io::Result<(Prevention, mpsc::Receiver<Denied>)> {
        let file = data.join(FILE);
        let list = BlockList::load(&file)?;
        let (denied, reports) = mpsc::channel(DENIED_QUEUE);
        let enabled = config.enabled;
        let shared = Arc::new(Shared {
            list: RwLock::new(Arc::new(list)),
            state: Mutex::new("off by configuration".to_owned()),
            unchecked: AtomicU64::new(0),
            lost_reports: AtomicU64::new(0),
            denied,
            config,
            scope,
        });
        let mut prevention = Prevention { file, shared, orders: None };
        if enabled {
            match Guard::start(prevention.shared.clone()) {
                Ok(orders) => {
                    prevention.orders = Some(orders);
                    prevention.apply();
                }
                Err(error) => prevention.shared.set_state(format!("fanotify: {error}")),
            }
        }
        Ok((prevention, reports))
    }

    /// Replaces the list, durably, and returns when it is in force; a version that is not newer
    /// changes nothing and answers false.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub fn replace(&self, list: BlockList) -> io::Result<bool> {
        if list.version() <= self.list().version() {
            return Ok(false);
        }
        list.save(&self.file)?;
        *self.shared.list.write().expect("never poisoned") = Arc::new(list);
        self.apply();
        Ok(true)
    }

    /// Returns the list in force.
    pub fn list(&self) -> Arc<BlockList> {
        self.shared.list()
    }

    /// `ok`, or why blocked files can start.
    pub fn capability(&self) -> String {
        self.shared.state.lock().expect("never poisoned").clone()
    }

    /// Returns counts of what went unchecked or unreported, by reason.
    pub fn gaps(&self) -> Vec<(&'static str, u64)> {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        vec![
            ("prevention_unchecked", count(&self.shared.unchecked)),
            ("prevention_unreported", count(&self.shared.lost_reports)),
        ]
    }

    /// Lets the guard put marks in line with the list, and waits for it.
    fn apply(&self) {
        let Some((orders, wake)) = &self.orders else { return };
        let (done, wait) = std_mpsc::channel();
        if orders.send(done).is_ok() {
            wake.signal();
            if wait.recv_timeout(APPLY_TIMEOUT).is_err() {
                self.shared.set_state("the guard does not answer".to_owned());
            }
        }
    }
}

impl Drop for Prevention {
    fn drop(&mut self) {
        // the guard ends when its orders end; the wake-up makes it look
        if let Some((orders, wake)) = self.orders.take() {
            drop(orders);
            wake.signal();
        }
    }
}

impl Shared {
    fn list(&self) -> Arc<BlockList> {
        self.list.read().expect("never poisoned").clone()
    }

    fn set_state(&self, state: String) {
        *self.state.lock().expect("never poisoned") = state;
    }

    fn report(&self, denied: Denied) {
        if self.denied.try_send(denied).is_err() {
            self.lost_reports.fetch_add(1, Ordering::Relaxed);
        }
    }
}

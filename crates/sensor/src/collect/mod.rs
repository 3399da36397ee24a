//! Collection on Linux, back end A: tracepoints, cgroup programs and `/proc`.
//!
//! [`Collector::start`] loads the BPF object, attaches every program it can (what could not be
//! attached is told by [`Collector::capabilities`]), reads the processes already running and then
//! sends one [`Event`](hinomi_model::Event) per happening into the sink. `ReportId` is left to the
//! spool. [`ProcessTable`] is the sensor's own view of the process tree.

mod bpf;
mod clock;
pub mod dns;
mod exec;
mod files;
mod hash;
mod paths;
mod process;
mod procfs;
pub mod record;
pub mod rows;
mod script;
mod system;
mod users;
mod worker;
mod writes;

pub use hash::{HashError, Hasher};
pub use process::{FileDigest, ProcessInfo, ProcessTable};

use bpf::Bpf;
use hinomi_model::{DeviceId, Event};
use libbpf_rs::{MapHandle, RingBufferBuilder};
use record::Kind;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;
use worker::Worker;

/// What to collect and within which limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectConfig {
    /// Reports only processes of the mount namespace with this inode number (`/proc/PID/ns/mnt`).
    pub scope_mount_namespace: Option<u64>,
    /// Files above this size are reported without hashes.
    pub hash_bytes_max: u64,
    /// Processes whose own doings are not reported (their children are). The sensor names itself here.
    pub exclude_pid: Vec<u32>,
    /// Where cgroup2 is mounted; by default found in `/proc/self/mounts`, else mounted unseen.
    pub cgroup2_path: Option<PathBuf>,
    /// Size of the kernel's ring buffer in bytes, a power of two of at least a page.
    pub ring_bytes: u32,
    /// Folder for what must survive a restart within one boot (the clock offset, so that process
    /// start times and with them process keys stay the same). None = not kept.
    pub state_dir: Option<PathBuf>,
}

impl Default for CollectConfig {
    fn default() -> Self {
        CollectConfig {
            scope_mount_namespace: None,
            hash_bytes_max: 64 * 1024 * 1024,
            exclude_pid: Vec::new(),
            cgroup2_path: None,
            ring_bytes: 8 * 1024 * 1024,
            state_dir: None,
        }
    }
}

/// The device in whose name rows are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceIdentity {
    /// Column `DeviceId`.
    pub device_id: DeviceId,
    /// Column `DeviceName`.
    pub device_name: String,
}

/// Why collection could not start.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The kernel took none of the programs.
    #[error("load the BPF programs: {0}")]
    Load(String),
    /// A thread could not be started, or ended while starting.
    #[error("start the collector thread: {0}")]
    Thread(String),
}

/// A running collection; dropping it stops it.
pub struct Collector {
    processes: Arc<ProcessTable>,
    capabilities: BTreeMap<String, String>,
    drops: Arc<Drops>,
    excluded: MapHandle,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread hands back once it runs.
struct Started {
    capabilities: BTreeMap<String, String>,
    excluded: MapHandle,
    drops: Arc<Drops>,
}

impl Collector {
    /// Loads, attaches and starts. Events go into `sink`; while it is full the collector waits
    /// (the kernel's ring buffer is the reserve), and what is lost then is counted in [`Self::drops`].
    ///
    /// # Errors
    /// When nothing at all can be observed. Missing parts are not errors but capabilities.
    pub fn start(
        config: CollectConfig,
        identity: DeviceIdentity,
        sink: Sender<Event>,
    ) -> Result<Collector, CollectError> {
        let processes = Arc::new(ProcessTable::new(identity.device_id));
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, started) = mpsc::sync_channel(1);
        let thread = {
            let (processes, stop) = (processes.clone(), stop.clone());
            std::thread::Builder::new()
                .name("collector".to_owned())
                .spawn(move || run(&config, identity, sink, processes, stop, &ready))
                .map_err(|error| CollectError::Thread(error.to_string()))?
        };
        let started = started.recv().map_err(|_| CollectError::Thread("it ended while starting".to_owned()))??;
        let Started { capabilities, excluded, drops } = started;
        Ok(Collector { processes, capabilities, drops, excluded, stop, thread: Some(thread) })
    }

    /// Returns `exec`, `fork`, `exit`, `file`, `network`, `dns` → `ok` or why it is missing.
    pub fn capabilities(&self) -> BTreeMap<String, String> {
        self.capabilities.clone()
    }

    /// Returns lost events by reason since the start; empty when nothing was lost.
    ///
    /// `ring_<kind>`: the kernel's ring buffer was full. `sink_full`: the receiver did not take them.
    /// `file_watch_full`: too many files open for writing, some told without hash. `undecodable`:
    /// damaged records.
    pub fn drops(&self) -> BTreeMap<String, u64> {
        self.drops.all()
    }

    /// Returns the process table, shared with the collector thread.
    pub fn processes(&self) -> Arc<ProcessTable> {
        self.processes.clone()
    }

    /// Leaves the doings of one more process unreported (its children are reported).
    pub fn exclude(&self, pid: u32) {
        bpf::exclude(&self.excluded, pid);
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // a panic of the thread was printed by itself; there is nothing left to save here
            let _ = thread.join();
        }
    }
}

fn run(
    config: &CollectConfig,
    identity: DeviceIdentity,
    sink: Sender<Event>,
    processes: Arc<ProcessTable>,
    stop: Arc<AtomicBool>,
    ready: &mpsc::SyncSender<Result<Started, CollectError>>,
) {
    let prepared = Bpf::start(config).and_then(|bpf| {
        let (excluded, lost, ring) = (bpf.map("excluded")?, bpf.map("lost")?, bpf.map("ring")?);
        Ok((bpf, excluded, Arc::new(Drops::new(lost)), ring))
    });
    let (bpf, excluded, drops, ring) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            // the starter waits for exactly this answer
            let _ = ready.send(Err(error));
            return;
        }
    };
    config.exclude_pid.iter().for_each(|pid| bpf::exclude(&excluded, *pid));
    let writers = bpf.writers();
    let worker = Worker::new(config, identity, processes, sink, drops.clone(), stop.clone(), &writers);
    let worker = RefCell::new(worker);
    worker.borrow_mut().adopt(&bpf.tasks());
    let mut ticked = Instant::now();
    let mut builder = RingBufferBuilder::new();
    let built = builder.add(&ring, |bytes| {
        let mut worker = worker.borrow_mut();
        worker.handle(bytes);
        if ticked.elapsed() > TICK_WHILE_BUSY {
            worker.tick();
            ticked = Instant::now();
        }
        // anything but 0 ends the reading
        -i32::from(stop.load(Ordering::Relaxed))
    });
    let ring = match built.map(|_| ()).and_then(|()| builder.build()) {
        Ok(ring) => ring,
        Err(error) => {
            let _ = ready.send(Err(CollectError::Load(format!("ring buffer: {error}"))));
            return;
        }
    };
    let started = Started { capabilities: bpf.capabilities.clone(), excluded, drops };
    if ready.send(Ok(started)).is_err() {
        return;
    }
    while !stop.load(Ordering::Relaxed) {
        let wait = worker.borrow_mut().tick();
        // an interrupted or stopped reading comes back here and looks at `stop`
        let _ = ring.poll(wait);
    }
    worker.borrow_mut().finish();
}

/// How often what is due by time is looked after while records keep coming.
const TICK_WHILE_BUSY: Duration = Duration::from_millis(10);

/// Counters of what was lost.
pub(crate) struct Drops {
    lost: MapHandle,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Drops {
    fn new(lost: MapHandle) -> Drops {
        Drops { lost, counts: Mutex::default() }
    }

    fn count(&self, reason: &'static str) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    fn lost(&self, kind: Kind) -> u64 {
        bpf::ring_losses(&self.lost).into_iter().find(|(lost, _)| *lost == kind).map_or(0, |(_, count)| count)
    }

    fn all(&self) -> BTreeMap<String, u64> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let own = counts.iter().map(|(reason, count)| ((*reason).to_owned(), *count));
        let ring =
            bpf::ring_losses(&self.lost).into_iter().map(|(kind, count)| (format!("ring_{}", kind.word()), count));
        own.chain(ring).collect()
    }
}

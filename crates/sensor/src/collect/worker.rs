//! The collector thread: takes records from the ring, keeps the process table, builds rows.

use super::clock::{Clock, boot_ns};
use super::files::PendingFiles;
use super::hash::Hasher;
use super::paths::Roots;
use super::process::{ProcessInfo, ProcessTable};
use super::record::{Kind, Record, TASK_BYTES, Tag};
use super::system::{self, KernelFs};
use super::users::Users;
use super::{CollectConfig, DeviceIdentity, Drops, dns, procfs, rows};
use hinomi_model::{Event, ProcessKey, Table};
use std::collections::{HashMap, VecDeque};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// How long a full sink is waited for before an event is dropped. Meanwhile the ring fills.
const SINK_PATIENCE: Duration = Duration::from_secs(10);
/// A fork without exec is told once it lives this long, or does something.
const FORK_TOLD_AFTER_NS: u64 = 1_000_000_000;
/// How often the clock is taken anew and namespaces are let go.
const HOUSEKEEPING: Duration = Duration::from_secs(2);
const CGROUP_NAMES_MAX: usize = 4096;

/// State of the collector thread.
pub struct Worker<'a> {
    pub(super) identity: DeviceIdentity,
    pub(super) table: Arc<ProcessTable>,
    pub(super) hasher: Hasher,
    pub(super) roots: Roots,
    pub(super) clock: Clock,
    pub(super) pending: PendingFiles,
    pub(super) drops: Arc<Drops>,
    /// How many have the file behind a descriptor open for writing.
    pub(super) writers: &'a dyn Fn(RawFd) -> u32,
    users: Users,
    sink: Sender<Event>,
    stop: Arc<AtomicBool>,
    cgroups: Option<KernelFs>,
    cgroup_names: HashMap<u64, String>,
    forks: VecDeque<(u64, ProcessKey)>,
    housekept: Instant,
    exits_lost: u64,
}

impl<'a> Worker<'a> {
    /// Builds the state.
    pub fn new(
        config: &CollectConfig,
        identity: DeviceIdentity,
        table: Arc<ProcessTable>,
        sink: Sender<Event>,
        drops: Arc<Drops>,
        stop: Arc<AtomicBool>,
        writers: &'a dyn Fn(RawFd) -> u32,
    ) -> Worker<'a> {
        Worker {
            identity,
            table,
            hasher: Hasher::new(config.hash_bytes_max),
            roots: Roots::new(),
            clock: Clock::new(config.state_dir.as_deref()),
            pending: PendingFiles::default(),
            drops,
            writers,
            users: Users::default(),
            sink,
            stop,
            cgroups: KernelFs::cgroup2(config.cgroup2_path.as_deref()).ok(),
            cgroup_names: HashMap::new(),
            forks: VecDeque::new(),
            housekept: Instant::now(),
            exits_lost: 0,
        }
    }

    /// Takes in the processes that ran before, from the task iterator's records.
    pub fn adopt(&mut self, tasks: &[u8]) {
        for bytes in tasks.chunks_exact(TASK_BYTES) {
            let Some(record) = Record::decode(bytes) else { continue };
            let key = self.key(record.tgid, record.start_ns);
            if self.table.by_key(key).is_none() {
                self.adopt_one(&record, key);
            }
        }
    }

    /// Handles one record of the ring.
    pub fn handle(&mut self, bytes: &[u8]) {
        let Some(record) = Record::decode(bytes) else {
            self.drops.count("undecodable");
            return;
        };
        match record.kind {
            Kind::Exec => self.on_exec(&record),
            Kind::Fork => self.on_fork(&record),
            Kind::Exit => self.on_exit(&record),
            Kind::Open => self.on_open(&record),
            Kind::Close => self.check_file((record.file.dev, record.file.ino), true),
            Kind::Unlink => self.on_unlink(&record),
            Kind::Rename => self.on_rename(&record),
            Kind::Link | Kind::Symlink => self.on_link(&record),
            Kind::Connect => self.on_connect(&record),
            Kind::Dns => self.on_dns(&record),
            Kind::Task => {}
        }
    }

    /// Does what is due by time; returns how long nothing will be due.
    pub fn tick(&mut self) -> Duration {
        const IDLE: Duration = Duration::from_millis(200);
        let now = Instant::now();
        for id in self.pending.due(now) {
            self.check_file(id, false);
        }
        self.tell_old_forks();
        if now.duration_since(self.housekept) >= HOUSEKEEPING {
            self.housekept = now;
            self.clock.refresh();
            self.roots.sweep(&self.table);
            self.drop_lost_exits();
        }
        let due = self.pending.next_due().map_or(IDLE, |due| due.saturating_duration_since(Instant::now()));
        due.clamp(Duration::from_millis(1), IDLE)
    }

    /// Ends what is still open, so that nothing seen stays untold.
    pub fn finish(&mut self) {
        while let Some(id) = self.pending.oldest() {
            self.tell_unfinished(id, "sensor stopped");
        }
    }

    pub(super) fn key(&self, pid: u32, start_ns: u64) -> ProcessKey {
        ProcessKey { device_id: self.identity.device_id, pid: i64::from(pid), started_at: self.clock.start(start_ns) }
    }

    /// Returns the process a record is of, telling of its fork when that was not told yet.
    pub(super) fn actor(&mut self, record: &Record<'_>) -> Arc<ProcessInfo> {
        let info = self.known(record);
        self.table.enter_namespace(info.key, record.mount_ns);
        if !info.told {
            self.tell_fork(&info);
        }
        self.with_digest(info)
    }

    /// Builds a row in the name of this device.
    pub(super) fn row(&self, table: Table, action: &str, record: &Record<'_>) -> Event {
        let mut event = Event::new(table, self.clock.event(record.time_ns));
        event.set("ActionType", action);
        event
    }

    /// Sends a row, waiting while the sink is full.
    pub(super) fn send(&mut self, mut event: Event) {
        event
            .set("DeviceId", self.identity.device_id.to_string())
            .set("DeviceName", self.identity.device_name.as_str());
        let deadline = Instant::now() + SINK_PATIENCE;
        loop {
            event = match self.sink.try_send(event) {
                Ok(()) => return,
                Err(TrySendError::Closed(_)) => {
                    self.stop.store(true, Ordering::Relaxed);
                    return;
                }
                Err(TrySendError::Full(event)) => event,
            };
            if self.stop.load(Ordering::Relaxed) || Instant::now() >= deadline {
                self.drops.count("sink_full");
                return;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    pub(super) fn user(&mut self, uid: u32) -> Option<String> {
        self.users.name(uid)
    }

    /// Returns the path of a cgroup below the root of cgroup2.
    pub(super) fn cgroup_path(&mut self, id: u64) -> Option<String> {
        if let Some(name) = self.cgroup_names.get(&id) {
            return Some(name.clone());
        }
        let root = self.cgroups.as_ref()?.as_fd();
        let top = system::path_of(&root).ok()?;
        let path = system::path_of(&system::open_cgroup(root, id).ok()?).ok()?;
        let name = format!("/{}", path.strip_prefix(&top).unwrap_or(&path).display());
        if self.cgroup_names.len() >= CGROUP_NAMES_MAX {
            self.cgroup_names.clear();
        }
        self.cgroup_names.insert(id, name.clone());
        Some(name)
    }

    /// Makes sure the image of a process is hashed, as far as it can still be read.
    pub(super) fn with_digest(&mut self, info: Arc<ProcessInfo>) -> Arc<ProcessInfo> {
        if info.digest.is_some() || info.exe.is_empty() || info.ended_at.is_some() {
            return info;
        }
        let digest = procfs::open_image(info.key.pid).ok().and_then(|file| self.hasher.digest(&file, None).ok());
        match digest {
            Some(digest) => self.table.change(info.key, |info| info.digest = Some(digest)).unwrap_or(info),
            None => info,
        }
    }

    fn known(&mut self, record: &Record<'_>) -> Arc<ProcessInfo> {
        let key = self.key(record.tgid, record.start_ns);
        match self.table.by_key(key) {
            Some(info) => info,
            None => self.adopt_one(record, key),
        }
    }

    /// Takes in a process whose beginning was not seen: what `/proc` still tells of it.
    pub(super) fn adopt_one(&mut self, record: &Record<'_>, key: ProcessKey) -> Arc<ProcessInfo> {
        let parent = (record.ppid != 0).then(|| self.key(record.ppid, record.parent_start_ns));
        let comm = record.text(Tag::Comm).map(|name| String::from_utf8_lossy(name).into_owned());
        let mut info = procfs::read(key, comm);
        info.ppid = record.ppid;
        info.parent = parent;
        info.parent_file_name = self.file_name_of(parent, record.ppid);
        info.uid = record.uid;
        info.user = self.user(record.uid);
        info.mount_namespace = u64::from(record.mount_ns);
        info.told = true;
        self.table.put(info)
    }

    pub(super) fn file_name_of(&self, key: Option<ProcessKey>, pid: u32) -> String {
        match key.and_then(|key| self.table.by_key(key)) {
            Some(info) => info.file_name.clone(),
            None if pid == 0 => String::new(),
            None => procfs::image_name(i64::from(pid)).unwrap_or_default(),
        }
    }

    fn on_fork(&mut self, record: &Record<'_>) {
        let key = self.key(record.tgid, record.start_ns);
        let parent_key = self.key(record.ppid, record.parent_start_ns);
        let parent = self.table.by_key(parent_key);
        let user = self.user(record.uid);
        let info = match parent {
            // a fork is a copy: same image, same arguments, same folder
            Some(parent) => ProcessInfo {
                key,
                ppid: record.ppid,
                parent: Some(parent_key),
                parent_file_name: parent.file_name.clone(),
                uid: record.uid,
                user,
                mount_namespace: u64::from(record.mount_ns),
                ended_at: None,
                told: false,
                ..(*parent).clone()
            },
            None => ProcessInfo {
                ppid: record.ppid,
                parent: Some(parent_key),
                parent_file_name: self.file_name_of(Some(parent_key), record.ppid),
                uid: record.uid,
                user,
                mount_namespace: u64::from(record.mount_ns),
                told: false,
                ..procfs::read(key, None)
            },
        };
        self.table.put(info);
        self.forks.push_back((record.time_ns, key));
    }

    fn tell_old_forks(&mut self) {
        let now = boot_ns();
        while let Some((at, key)) = self.forks.front().copied() {
            if now.saturating_sub(at) < FORK_TOLD_AFTER_NS {
                break;
            }
            self.forks.pop_front();
            if let Some(info) = self.table.by_key(key).filter(|info| !info.told && info.ended_at.is_none()) {
                self.tell_fork(&info);
            }
        }
    }

    pub(super) fn tell_fork(&mut self, info: &Arc<ProcessInfo>) {
        let info = self.table.change(info.key, |info| info.told = true).unwrap_or_else(|| info.clone());
        let info = self.with_digest(info);
        let mut event = Event::new(Table::DeviceProcessEvents, info.key.started_at);
        event.set("ActionType", "ProcessForked");
        rows::set_process(&mut event, &info);
        self.set_parent(&mut event, &info);
        self.send(event);
    }

    /// Sets the `InitiatingProcess*` columns to the parent of a process.
    pub(super) fn set_parent(&mut self, event: &mut Event, info: &ProcessInfo) {
        let parent = info.parent.and_then(|key| self.table.by_key(key));
        if let Some(parent) = parent {
            let parent = self.with_digest(parent);
            rows::set_initiating(event, &parent);
        } else if info.ppid != 0 {
            event.set("InitiatingProcessId", i64::from(info.ppid));
            event.set_some("InitiatingProcessCreationTime", info.parent.map(|key| key.started_at));
            event.set_some("InitiatingProcessUniqueId", info.parent.map(|key| key.to_string()));
        }
    }

    fn on_exit(&mut self, record: &Record<'_>) {
        let info = self.known(record);
        let at = self.clock.event(record.time_ns);
        self.pending.process_ended(info.key.pid);
        let info = self.table.end(info.key, at).unwrap_or(info);
        if !info.told {
            return;
        }
        let mut event = self.row(Table::DeviceProcessEvents, "ProcessTerminated", record);
        rows::set_process(&mut event, &info);
        self.set_parent(&mut event, &info);
        let (code, signal) = (record.value >> 8 & 0xff, record.value & 0x7f);
        let mut fields = serde_json::Map::new();
        fields.insert("ExitCode".to_owned(), code.into());
        if signal != 0 {
            fields.insert("Signal".to_owned(), signal.into());
        }
        event.set("AdditionalFields", serde_json::Value::Object(fields).to_string());
        self.send(event);
    }

    /// After lost exit records, ends the processes that are gone.
    fn drop_lost_exits(&mut self) {
        let lost = self.drops.lost(Kind::Exit);
        if lost == self.exits_lost {
            return;
        }
        self.exits_lost = lost;
        let now = self.clock.now();
        for key in self.table.living() {
            if !procfs::is_alive(key.pid) {
                self.table.end(key, now);
            }
        }
    }

    fn on_connect(&mut self, record: &Record<'_>) {
        let Some(address) = record.address() else {
            self.drops.count("undecodable");
            return;
        };
        let actor = self.actor(record);
        let mut event = rows::network_row("ConnectionRequest", self.clock.event(record.time_ns), &address);
        rows::set_initiating(&mut event, &actor);
        self.send(event);
    }

    fn on_dns(&mut self, record: &Record<'_>) {
        let question = record.bytes(Tag::Payload).and_then(dns::question);
        let (Some(address), Some(question)) = (record.address(), question) else { return };
        let actor = self.actor(record);
        let mut event = rows::network_row("DnsConnectionInspected", self.clock.event(record.time_ns), &address);
        event.set("RemoteUrl", question.name);
        event.set("AdditionalFields", serde_json::json!({ "QueryType": question.kind }).to_string());
        rows::set_initiating(&mut event, &actor);
        self.send(event);
    }
}

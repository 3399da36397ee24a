//! The process table: who runs, who started whom, what image each process had last.

use hinomi_model::{DeviceId, Event, ProcessKey, Timestamp};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Ended processes remembered, and for how long: a parent is asked for after its end.
const ENDED_MAX: usize = 8192;
const ENDED_SECONDS: i64 = 120;

/// Hashes and size of a file, lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigest {
    /// SHA-256.
    pub sha256: String,
    /// SHA-1.
    pub sha1: String,
    /// MD5.
    pub md5: String,
    /// Bytes.
    pub size: u64,
}

/// One process as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Device, pid and start time.
    pub key: ProcessKey,
    /// Pid of the process that created it.
    pub ppid: u32,
    /// Key of the process that created it, when known.
    pub parent: Option<ProcessKey>,
    /// Last part of that process's image path at the time.
    pub parent_file_name: String,
    /// Full path of the image, empty for kernel threads.
    pub exe: String,
    /// Last part of `exe`, or the task's short name.
    pub file_name: String,
    /// Arguments.
    pub argv: Vec<String>,
    /// Arguments joined as a shell would read them.
    pub cmdline: String,
    /// Working directory when the image was started.
    pub cwd: String,
    /// Real user id.
    pub uid: u32,
    /// Name of that user, when `/etc/passwd` has one.
    pub user: Option<String>,
    /// Hashes of the image; none until needed, or when it could not be read.
    pub digest: Option<Arc<FileDigest>>,
    /// Inode number of its mount namespace, 0 when unknown.
    pub mount_namespace: u64,
    /// When it ended; none while it runs.
    pub ended_at: Option<Timestamp>,
    /// True once a row told of it, or when it ran before the sensor.
    pub told: bool,
}

/// Processes alive, and those that ended a short while ago.
///
/// The tree of who created whom outlives the infos, as long as a descendant does.
pub struct ProcessTable {
    device_id: DeviceId,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    by_pid: HashMap<u32, ProcessKey>,
    infos: HashMap<ProcessKey, Arc<ProcessInfo>>,
    parents: HashMap<ProcessKey, ProcessKey>,
    children: HashMap<ProcessKey, Vec<ProcessKey>>,
    ended: VecDeque<(Timestamp, ProcessKey)>,
    namespaces: HashMap<u32, HashSet<u32>>,
}

impl ProcessTable {
    /// Builds an empty table.
    pub fn new(device_id: DeviceId) -> Self {
        ProcessTable { device_id, inner: RwLock::default() }
    }

    /// Returns the device of the table.
    pub fn device_id(&self) -> DeviceId {
        self.device_id
    }

    /// Returns the process that has this pid now, or had it last.
    pub fn get(&self, pid: u32) -> Option<ProcessInfo> {
        let inner = self.read();
        inner.infos.get(inner.by_pid.get(&pid)?).map(|info| (**info).clone())
    }

    /// Returns the process with this key.
    pub fn by_key(&self, key: ProcessKey) -> Option<Arc<ProcessInfo>> {
        self.read().infos.get(&key).cloned()
    }

    /// Returns every process below `root` (without it), parents before children, ended ones included.
    pub fn descendants(&self, root: ProcessKey) -> Vec<ProcessKey> {
        let inner = self.read();
        let mut found = Vec::new();
        let mut seen = HashSet::from([root]);
        let mut queue = VecDeque::from([root]);
        while let Some(key) = queue.pop_front() {
            for child in inner.children.get(&key).into_iter().flatten() {
                if seen.insert(*child) {
                    found.push(*child);
                    queue.push_back(*child);
                }
            }
        }
        found
    }

    /// Fills the `InitiatingProcess*` columns of a device event with process `pid`; false when unknown.
    pub fn set_initiating_process(&self, event: &mut Event, pid: u32) -> bool {
        match self.get(pid) {
            Some(info) => {
                super::rows::set_initiating(event, &info);
                true
            }
            None => false,
        }
    }

    /// Returns how many processes are known, ended ones included.
    pub fn len(&self) -> usize {
        self.read().infos.len()
    }

    /// Returns whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Inserts or replaces a process.
    pub(super) fn put(&self, info: ProcessInfo) -> Arc<ProcessInfo> {
        let info = Arc::new(info);
        let key = info.key;
        let mut inner = self.write();
        if let Some(parent) = info.parent
            && inner.parents.insert(key, parent).is_none()
        {
            inner.children.entry(parent).or_default().push(key);
        }
        if info.ended_at.is_none() {
            let pid = key.pid as u32;
            inner.by_pid.insert(pid, key);
            inner.namespaces.entry(info.mount_namespace as u32).or_default().insert(pid);
        }
        inner.infos.insert(key, info.clone());
        info
    }

    /// Changes a process that is known.
    pub(super) fn change(&self, key: ProcessKey, change: impl FnOnce(&mut ProcessInfo)) -> Option<Arc<ProcessInfo>> {
        let mut inner = self.write();
        let info = inner.infos.get_mut(&key)?;
        change(Arc::make_mut(info));
        Some(info.clone())
    }

    /// Marks a process as ended and forgets those that ended long ago.
    pub(super) fn end(&self, key: ProcessKey, at: Timestamp) -> Option<Arc<ProcessInfo>> {
        let mut inner = self.write();
        let info = inner.infos.get_mut(&key)?;
        Arc::make_mut(info).ended_at = Some(at);
        let info = info.clone();
        inner.leave_namespace(info.mount_namespace as u32, key.pid as u32);
        inner.ended.push_back((at, key));
        inner.forget_ended(at);
        Some(info)
    }

    /// Returns some living processes of a mount namespace.
    pub(super) fn in_namespace(&self, ns: u32, max: usize) -> Vec<u32> {
        self.read().namespaces.get(&ns).map(|pids| pids.iter().copied().take(max).collect()).unwrap_or_default()
    }

    /// Returns whether a mount namespace has living processes.
    pub(super) fn is_namespace_alive(&self, ns: u32) -> bool {
        self.read().namespaces.contains_key(&ns)
    }

    /// Moves a living process to another mount namespace.
    pub(super) fn enter_namespace(&self, key: ProcessKey, ns: u32) {
        let mut inner = self.write();
        let Some(info) = inner.infos.get_mut(&key) else { return };
        if info.mount_namespace == u64::from(ns) {
            return;
        }
        let before = std::mem::replace(&mut Arc::make_mut(info).mount_namespace, u64::from(ns));
        inner.leave_namespace(before as u32, key.pid as u32);
        inner.namespaces.entry(ns).or_default().insert(key.pid as u32);
    }

    /// Returns the processes believed to live.
    pub(super) fn living(&self) -> Vec<ProcessKey> {
        self.read().infos.values().filter(|info| info.ended_at.is_none()).map(|info| info.key).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn leave_namespace(&mut self, ns: u32, pid: u32) {
        if let Some(pids) = self.namespaces.get_mut(&ns) {
            pids.remove(&pid);
            if pids.is_empty() {
                self.namespaces.remove(&ns);
            }
        }
    }

    fn forget_ended(&mut self, now: Timestamp) {
        while let Some((at, key)) = self.ended.front().copied() {
            if self.ended.len() <= ENDED_MAX && now.micros_since(at) < ENDED_SECONDS * 1_000_000 {
                break;
            }
            self.ended.pop_front();
            self.infos.remove(&key);
            if self.by_pid.get(&(key.pid as u32)) == Some(&key) {
                self.by_pid.remove(&(key.pid as u32));
            }
            self.prune(key);
        }
    }

    /// Removes a forgotten leaf from the tree, and its ancestors that are forgotten leaves then.
    fn prune(&mut self, mut key: ProcessKey) {
        while !self.infos.contains_key(&key) && !self.children.contains_key(&key) {
            let Some(parent) = self.parents.remove(&key) else { break };
            if let Some(siblings) = self.children.get_mut(&parent) {
                siblings.retain(|sibling| *sibling != key);
                if siblings.is_empty() {
                    self.children.remove(&parent);
                }
            }
            key = parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pid: i64) -> ProcessKey {
        ProcessKey { device_id: uuid::Uuid::nil().into(), pid, started_at: Timestamp::from_micros(pid) }
    }

    fn info(pid: i64, parent: Option<i64>) -> ProcessInfo {
        ProcessInfo {
            key: key(pid),
            ppid: parent.unwrap_or(0) as u32,
            parent: parent.map(key),
            parent_file_name: String::new(),
            exe: format!("/bin/p{pid}"),
            file_name: format!("p{pid}"),
            argv: Vec::new(),
            cmdline: String::new(),
            cwd: String::new(),
            uid: 0,
            user: None,
            digest: None,
            mount_namespace: 7,
            ended_at: None,
            told: false,
        }
    }

    #[test]
    fn the_tree_survives_forgotten_parents() {
        let table = ProcessTable::new(uuid::Uuid::nil().into());
        for (pid, parent) in [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(3)), (5, Some(1))] {
            table.put(info(pid, parent));
        }
        table.end(key(3), Timestamp::from_micros(10));
        table.end(key(5), Timestamp::from_micros(10).plus_seconds(ENDED_SECONDS * 2));
        assert!(table.by_key(key(3)).is_none(), "forgotten");
        assert_eq!(table.descendants(key(1)), [key(2), key(5), key(3), key(4)]);
        table.end(key(4), Timestamp::from_micros(10).plus_seconds(ENDED_SECONDS * 4));
        table.end(key(2), Timestamp::from_micros(10).plus_seconds(ENDED_SECONDS * 8));
        assert_eq!(table.descendants(key(1)), [key(2)], "the branch of 3 is gone with its last leaf");
        assert!(table.is_namespace_alive(7));
        table.end(key(1), Timestamp::from_micros(10).plus_seconds(ENDED_SECONDS * 9));
        assert!(!table.is_namespace_alive(7));
    }
}

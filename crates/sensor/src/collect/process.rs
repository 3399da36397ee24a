//! The process table: who runs, who started whom, what image each process had last.

use hinomi_model::{DeviceId, Event, ProcessKey, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

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
}

/// Processes alive, and those that ended a short while ago.
pub struct ProcessTable {
    device_id: DeviceId,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    by_pid: HashMap<u32, Arc<ProcessInfo>>,
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
        let inner = self.inner.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.by_pid.get(&pid).map(|info| (**info).clone())
    }

    /// Returns every process below `root` (without it), parents before children, ended ones included.
    pub fn descendants(&self, _root: ProcessKey) -> Vec<ProcessKey> {
        Vec::new()
    }

    /// Fills the `InitiatingProcess*` columns of a device event with process `pid`; false when unknown.
    pub fn set_initiating_process(&self, _event: &mut Event, _pid: u32) -> bool {
        false
    }
}

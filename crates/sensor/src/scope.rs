//! Where the sensor acts: the whole device, or (for tests on a shared machine) one mount namespace.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Inode numbers of namespaces begin far above process ids (`PROC_DYNAMIC_FIRST` in Linux).
const NAMESPACE_INODE_MIN: u64 = 0xF000_0000;

/// The part of the device the sensor watches and acts in; cheap to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    namespace: Option<u64>,
}

impl Scope {
    /// The whole device.
    pub const DEVICE: Scope = Scope { namespace: None };

    /// One mount namespace, by inode number or by a process in it.
    ///
    /// # Errors
    /// When no such process runs.
    pub fn namespace(inode_or_pid: u64) -> io::Result<Scope> {
        let inode = if inode_or_pid >= NAMESPACE_INODE_MIN { inode_or_pid } else { namespace_of(inode_or_pid)? };
        Ok(Scope { namespace: Some(inode) })
    }

    /// Returns the inode number of the namespace, none for the whole device.
    pub fn inode(self) -> Option<u64> {
        self.namespace
    }

    /// True when process `pid` may be acted upon.
    pub fn contains(self, pid: u32) -> bool {
        match self.namespace {
            None => true,
            Some(inode) => namespace_of(pid.into()).is_ok_and(|found| found == inode),
        }
    }

    /// Returns the folder under which the scope's files are reached.
    ///
    /// # Errors
    /// When no process lives in the namespace any more.
    pub fn root(self) -> io::Result<PathBuf> {
        let Some(inode) = self.namespace else { return Ok(PathBuf::from("/")) };
        if namespace_of(std::process::id().into())? == inode {
            return Ok(PathBuf::from("/"));
        }
        let member = crate::respond::process::pids().into_iter().find(|pid| self.contains(*pid));
        let pid = member.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "nobody lives in the namespace"))?;
        Ok(PathBuf::from(format!("/proc/{pid}/root")))
    }

    /// Opens a folder (without reading rights, as an anchor) by its path inside the scope;
    /// symbolic links resolve inside the scope too.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open_dir(self, path: &Path) -> io::Result<OwnedFd> {
        open_in_root(&self.root()?, path, libc::O_PATH | libc::O_DIRECTORY)
    }
}

fn namespace_of(pid: u64) -> io::Result<u64> {
    Ok(fs::metadata(format!("/proc/{pid}/ns/mnt"))?.ino())
}

/// Opens `path` as a process whose root is `root` would see it (openat2 with RESOLVE_IN_ROOT).
fn open_in_root(root: &Path, path: &Path, flags: i32) -> io::Result<OwnedFd> {
    let anchor = File::open(root)?;
    let relative = path.strip_prefix("/").unwrap_or(path);
    let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
    let name = std::ffi::CString::new(std::os::unix::ffi::OsStrExt::as_bytes(relative.as_os_str()))?;
    // SAFETY: open_how is plain data for which zero is a valid value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: name is NUL-terminated and how lives through the call; the size is its own.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            anchor.as_raw_fd(),
            name.as_ptr(),
            &raw const how,
            std::mem::size_of::<libc::open_how>(),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

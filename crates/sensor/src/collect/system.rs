//! Kernel file systems the collector needs, mounted unseen when the host has not mounted them, and
//! the few system calls without a safe wrapper.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// A kernel file system: a folder of the host, or a mount that has no place in the tree.
#[derive(Debug)]
pub struct KernelFs {
    root: OwnedFd,
}

impl KernelFs {
    /// Opens tracefs.
    ///
    /// # Errors
    /// When it is neither mounted nor mountable.
    pub fn tracing() -> io::Result<KernelFs> {
        for path in ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"] {
            if Path::new(path).join("events/syscalls").is_dir() {
                return Ok(KernelFs { root: File::open(path)?.into() });
            }
        }
        mount_unseen(c"tracefs")
    }

    /// Opens cgroup2 at `path`, where the host has mounted it, or unseen.
    ///
    /// # Errors
    /// When there is none.
    pub fn cgroup2(path: Option<&Path>) -> io::Result<KernelFs> {
        let mounted = path.map(Path::to_path_buf).or_else(|| {
            let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
            mounts.lines().find_map(|line| {
                let mut fields = line.split(' ');
                let (place, kind) = (fields.nth(1)?, fields.next()?);
                (kind == "cgroup2").then(|| PathBuf::from(place))
            })
        });
        match mounted {
            Some(path) => Ok(KernelFs { root: File::open(path)?.into() }),
            None => mount_unseen(c"cgroup2"),
        }
    }

    /// Reads a small file below the root.
    ///
    /// # Errors
    /// When it is not there.
    pub fn read(&self, path: &str) -> io::Result<String> {
        use nix::fcntl::{OFlag, openat};
        let file = openat(&self.root, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())?;
        io::read_to_string(File::from(file))
    }

    /// Returns the root folder.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// Mounts a file system without attaching it anywhere (fsopen, fsmount: Linux 5.2).
fn mount_unseen(kind: &CStr) -> io::Result<KernelFs> {
    const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: `kind` is NUL-terminated; the call returns a new descriptor or -1
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), 1) })?;
    // SAFETY: this command takes no key, value or number
    let made = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), FSCONFIG_CMD_CREATE, null, null, 0) };
    if made != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call takes plain numbers and returns a new descriptor or -1
    let mount = owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), 1, 0) })?;
    use nix::fcntl::{OFlag, openat};
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(KernelFs { root: openat(&mount, ".", flags, nix::sys::stat::Mode::empty())? })
}

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Opens a perf event for a tracepoint; a BPF program attached to it runs for every task.
///
/// # Errors
/// When the kernel refuses.
pub fn perf_tracepoint(id: u64) -> io::Result<OwnedFd> {
    /// The first version of `struct perf_event_attr` (64 bytes), all a tracepoint needs.
    #[repr(C)]
    struct Attr {
        kind: u32,
        size: u32,
        config: u64,
        rest: [u64; 6],
    }
    const PERF_TYPE_TRACEPOINT: u32 = 2;
    const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
    let attr = Attr { kind: PERF_TYPE_TRACEPOINT, size: 64, config: id, rest: [0; 6] };
    // SAFETY: `attr` is as large as its `size` says; pid -1 and cpu 0 are what libbpf uses for tracepoints
    owned(unsafe { libc::syscall(libc::SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC) })
}

/// Opens the folder of a cgroup by its id.
///
/// # Errors
/// When it is gone.
pub fn open_cgroup(root: BorrowedFd<'_>, id: u64) -> io::Result<OwnedFd> {
    /// `struct file_handle` with the eight bytes kernfs uses (type FILEID_KERNFS).
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        id: [u8; 8],
    }
    let mut handle = Handle { bytes: 8, kind: 0xfe, id: id.to_ne_bytes() };
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: the handle has the layout and the length it claims
    owned(unsafe { libc::syscall(libc::SYS_open_by_handle_at, root.as_raw_fd(), &mut handle, flags) })
}

/// Returns the path an open descriptor stands for.
///
/// # Errors
/// When `/proc` is not there.
pub fn path_of(fd: &impl AsFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

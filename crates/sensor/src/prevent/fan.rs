//! The few system calls of fanotify and eventfd.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes of one event without extra information (fanotify(7)).
const EVENT_BYTES: usize = 24;
/// Version of that layout.
const EVENT_VERSION: u8 = 3;

/// A request of the kernel: may `pid` run the open `file`?
pub(super) struct Request {
    pub(super) file: File,
    pub(super) pid: u32,
}

/// A fanotify group.
pub(super) struct Group {
    fd: OwnedFd,
}

impl Group {
    pub(super) fn new() -> io::Result<Group> {
        let flags = libc::FAN_CLASS_CONTENT
            | libc::FAN_CLOEXEC
            | libc::FAN_NONBLOCK
            | libc::FAN_UNLIMITED_QUEUE
            | libc::FAN_UNLIMITED_MARKS;
        // SAFETY: plain system call with two integers.
        let fd = unsafe { libc::fanotify_init(flags, (libc::O_RDONLY | libc::O_CLOEXEC | libc::O_LARGEFILE) as u32) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us this descriptor, nobody else owns it.
        Ok(Group { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Asks before every program start on the mount that holds `path`.
    pub(super) fn mark_mount(&self, path: &Path) -> io::Result<()> {
        self.mark(libc::FAN_MARK_ADD | libc::FAN_MARK_MOUNT, libc::AT_FDCWD, Some(path))
    }

    /// Asks no more for this file until it is written to. The mark does not keep the inode in memory.
    pub(super) fn ignore(&self, file: &File) -> io::Result<()> {
        let flags = libc::FAN_MARK_ADD | libc::FAN_MARK_IGNORED_MASK | libc::FAN_MARK_EVICTABLE;
        self.mark(flags, file.as_raw_fd(), None)
    }

    /// Asks again for every file.
    pub(super) fn forget_ignored(&self) -> io::Result<()> {
        self.mark(libc::FAN_MARK_FLUSH, libc::AT_FDCWD, Some(Path::new("/")))
    }

    /// Asks for nothing any more.
    pub(super) fn unmark_mounts(&self) -> io::Result<()> {
        self.mark(libc::FAN_MARK_FLUSH | libc::FAN_MARK_MOUNT, libc::AT_FDCWD, Some(Path::new("/")))
    }

    fn mark(&self, flags: u32, at: RawFd, path: Option<&Path>) -> io::Result<()> {
        let path = path.map(|path| CString::new(path.as_os_str().as_bytes())).transpose()?;
        let name = path.as_ref().map_or(std::ptr::null(), |path| path.as_ptr());
        let mask = if flags & libc::FAN_MARK_FLUSH != 0 { 0 } else { libc::FAN_OPEN_EXEC_PERM };
        // SAFETY: the group is open; name is null or NUL-terminated and lives through the call.
        if unsafe { libc::fanotify_mark(self.fd.as_raw_fd(), flags, mask, at, name) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Reads the requests that wait.
    pub(super) fn requests(&self) -> io::Result<Vec<Request>> {
        let mut buffer = [0_u8; 200 * EVENT_BYTES];
        // SAFETY: the buffer is valid for its length.
        let read = unsafe { libc::read(self.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        if read < 0 {
            let error = io::Error::last_os_error();
            let none = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
            return if none { Ok(Vec::new()) } else { Err(error) };
        }
        let mut rest = &buffer[..read as usize];
        let mut found = Vec::new();
        while rest.len() >= EVENT_BYTES {
            let number = |at: usize| i32::from_ne_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
            let (len, version, fd, pid) = (number(0) as usize, rest[4], number(16), number(20));
            if version != EVENT_VERSION || len < EVENT_BYTES || len > rest.len() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "fanotify events of an unknown layout"));
            }
            if fd >= 0 {
                // SAFETY: the kernel opened this descriptor for us with the event.
                found.push(Request { file: unsafe { File::from_raw_fd(fd) }, pid: pid.max(0) as u32 });
            }
            rest = &rest[len..];
        }
        Ok(found)
    }

    /// Answers a request; the file must still be open.
    pub(super) fn answer(&self, file: &File, allow: bool) {
        let response = libc::fanotify_response {
            fd: file.as_raw_fd(),
            response: if allow { libc::FAN_ALLOW } else { libc::FAN_DENY },
        };
        let bytes = std::mem::size_of::<libc::fanotify_response>();
        // SAFETY: response is plain data and valid for its size.
        let written = unsafe { libc::write(self.fd.as_raw_fd(), (&raw const response).cast(), bytes) };
        if written < 0 {
            tracing::warn!(error = %io::Error::last_os_error(), "cannot answer a program start");
        }
    }
}

impl AsRawFd for Group {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Wakes a thread out of poll.
pub(crate) struct EventFd {
    fd: OwnedFd,
}

impl EventFd {
    pub(super) fn new() -> io::Result<EventFd> {
        // SAFETY: plain system call with two integers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us this descriptor, nobody else owns it.
        Ok(EventFd { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    pub(super) fn signal(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: eight valid bytes; a full counter means the thread is woken anyway.
        unsafe { libc::write(self.fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    pub(super) fn clear(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: eight valid bytes.
        unsafe { libc::read(self.fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

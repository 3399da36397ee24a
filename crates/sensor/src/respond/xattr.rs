//! Extended attributes of an open file: access lists, capabilities, labels.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Linux allows 64 KiB for all names and for one value.
const BYTES_MAX: usize = 64 * 1024;

/// Reads all attributes as (name, value). A file system without attributes has none.
pub(super) fn read(file: &File) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut names = vec![0_u8; BYTES_MAX];
    // SAFETY: the buffer is valid for its length.
    let len = unsafe { libc::flistxattr(file.as_raw_fd(), names.as_mut_ptr().cast(), names.len()) };
    if len < 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ENOTSUP) { Ok(Vec::new()) } else { Err(error) };
    }
    let mut found = Vec::new();
    for name in names[..len as usize].split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        let mut value = vec![0_u8; BYTES_MAX];
        // SAFETY: name is NUL-terminated, the buffer is valid for its length.
        let len = unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        if len < 0 {
            return Err(io::Error::last_os_error());
        }
        value.truncate(len as usize);
        found.push((name.to_string_lossy().into_owned(), value));
    }
    Ok(found)
}

/// Sets one attribute.
pub(super) fn write(file: &File, name: &str, value: &[u8]) -> io::Result<()> {
    let name = CString::new(name)?;
    // SAFETY: name is NUL-terminated, the value is valid for its length.
    let done = unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

//! Which mounts to guard.

use std::path::{Path, PathBuf};

/// File systems on local storage from which programs are started. Network file systems are left
/// out: a server that hangs would hang the answer.
const LOCAL: &[&str] = &[
    "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "bcachefs", "zfs", "jfs", "tmpfs", "ramfs", "overlay", "squashfs",
    "erofs", "vfat", "exfat", "ntfs3", "iso9660", "udf",
];

/// Lists the mount points of local file systems from the text of `/proc/self/mountinfo`.
pub(super) fn local(mountinfo: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = mountinfo.lines().filter_map(local_mount_point).collect();
    found.sort();
    found.dedup();
    found
}

fn local_mount_point(line: &str) -> Option<PathBuf> {
    // "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue" (proc(5))
    let (front, back) = line.split_once(" - ")?;
    let kind = back.split(' ').next()?;
    let mut fields = front.split(' ');
    let (point, options) = (fields.nth(4)?, fields.next()?);
    let startable = !options.split(',').any(|option| option == "noexec");
    (LOCAL.contains(&kind) && startable).then(|| unescape(point))
}

/// Blanks and backslashes are written as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(value) if *byte == b'\\' => {
                out.push(value);
                rest = &tail[3..];
            }
            _ => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    Path::new(&*String::from_utf8_lossy(&out)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_file_systems_that_allow_programs() {
        let info = "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                    22 21 0:5 / /proc rw,noexec - proc proc rw\n\
                    23 21 0:6 / /run/a\\040b rw,nosuid - tmpfs tmpfs rw\n\
                    24 21 0:7 / /shm rw,noexec - tmpfs tmpfs rw\n\
                    25 21 0:8 / /net rw master:3 - nfs4 server:/ rw\nrubbish";
        assert_eq!(local(info), [PathBuf::from("/"), PathBuf::from("/run/a b")]);
    }
}

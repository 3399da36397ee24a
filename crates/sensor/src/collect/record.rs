//! Reads the records of `bpf/sensor.bpf.c`. The bytes are not trusted: what is too short, has an
//! unknown kind or a section beyond its end is refused, never a panic.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Bytes of `struct head`.
pub const HEAD_BYTES: usize = 128;
/// Bytes of one record of the task iterator: head, section head, short name.
pub const TASK_BYTES: usize = HEAD_BYTES + 4 + 16 + 4;

const TAGS: usize = 14;
const FLAG_CREATED: u32 = 1;
const FLAG_TRUNCATED: u32 = 2;

/// What a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A process started an image.
    Exec,
    /// A process was created.
    Fork,
    /// The last thread of a process ended.
    Exit,
    /// A regular file was opened for writing.
    Open,
    /// A descriptor of a file opened for writing is being closed.
    Close,
    /// A name was removed.
    Unlink,
    /// A name was changed.
    Rename,
    /// A hard link was made.
    Link,
    /// A symbolic link was made.
    Symlink,
    /// A connection was asked for, or a first datagram sent.
    Connect,
    /// A name was asked over UDP.
    Dns,
    /// A process that ran before the sensor.
    Task,
}

impl Kind {
    /// Every kind with its number in the C file.
    pub const ALL: [(u32, Kind); 12] = [
        (1, Kind::Exec),
        (2, Kind::Fork),
        (3, Kind::Exit),
        (4, Kind::Open),
        (5, Kind::Close),
        (6, Kind::Unlink),
        (7, Kind::Rename),
        (8, Kind::Link),
        (9, Kind::Symlink),
        (10, Kind::Connect),
        (11, Kind::Dns),
        (12, Kind::Task),
    ];

    /// Returns the word used in drop counters.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Exec => "exec",
            Kind::Fork => "fork",
            Kind::Exit => "exit",
            Kind::Open => "open",
            Kind::Close => "close",
            Kind::Unlink => "unlink",
            Kind::Rename => "rename",
            Kind::Link => "link",
            Kind::Symlink => "symlink",
            Kind::Connect => "connect",
            Kind::Dns => "dns",
            Kind::Task => "task",
        }
    }
}

/// Variable parts of a record, by their number in the C file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// Path of the image.
    Exe = 1,
    /// Path of the working directory.
    Cwd = 2,
    /// Path as given to exec.
    Filename = 3,
    /// Interpreter as named by the script.
    Interp = 4,
    /// Arguments, NUL-terminated.
    Args = 5,
    /// Path of the opened file.
    Path = 6,
    /// Folder a relative name starts from.
    Base = 7,
    /// Name as the caller wrote it.
    Name = 8,
    /// Folder of the second name.
    Base2 = 9,
    /// Second name.
    Name2 = 10,
    /// Remote address.
    Address = 11,
    /// Start of a datagram.
    Payload = 12,
    /// Short name of a task.
    Comm = 13,
}

/// Which file, and in what state, as the kernel saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileState {
    /// Device number in the kernel's own encoding (major × 2^20 + minor).
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Bytes.
    pub size: u64,
    /// Last change of content, ns since the epoch.
    pub mtime_ns: u64,
    /// Last change of content or attributes, ns since the epoch.
    pub ctime_ns: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Names it has; 0 = removed or never had one.
    pub nlink: u32,
}

/// A decoded record, borrowing its sections.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// What it tells.
    pub kind: Kind,
    /// The file did not exist before.
    pub created: bool,
    /// A path or the arguments were cut.
    pub truncated: bool,
    /// Time since boot, sleep included.
    pub time_ns: u64,
    /// Process.
    pub tgid: u32,
    /// Its start since boot.
    pub start_ns: u64,
    /// Its parent now.
    pub ppid: u32,
    /// Start of the parent.
    pub parent_start_ns: u64,
    /// Real user.
    pub uid: u32,
    /// Effective user.
    pub euid: u32,
    /// Mount namespace.
    pub mount_ns: u32,
    /// cgroup2 id.
    pub cgroup: u64,
    /// The file, when the record is about one.
    pub file: FileState,
    /// Exit code as `wait` would tell it.
    pub value: i64,
    sections: [Option<&'a [u8]>; TAGS],
}

/// A remote address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// IP; IPv4 in IPv6 form is told as IPv4.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u32,
}

impl<'a> Record<'a> {
    /// Decodes one record; `None` when it is damaged.
    pub fn decode(bytes: &'a [u8]) -> Option<Record<'a>> {
        let head = bytes.get(..HEAD_BYTES)?;
        let word = |at: usize| u32_at(head, at);
        let long = |at: usize| u64_at(head, at);
        let number = word(0);
        let (_, kind) = *Kind::ALL.iter().find(|(n, _)| *n == number)?;
        let flags = word(4);
        Some(Record {
            kind,
            created: flags & FLAG_CREATED != 0,
            truncated: flags & FLAG_TRUNCATED != 0,
            time_ns: long(8),
            tgid: word(16),
            start_ns: long(24),
            ppid: word(32),
            uid: word(36),
            parent_start_ns: long(40),
            euid: word(52),
            mount_ns: word(56),
            cgroup: long(64),
            file: FileState {
                dev: long(72),
                ino: long(80),
                size: long(88),
                mtime_ns: long(96),
                ctime_ns: long(104),
                mode: word(112),
                nlink: word(116),
            },
            value: long(120) as i64,
            sections: sections(&bytes[HEAD_BYTES..])?,
        })
    }

    /// Returns a section as it was sent.
    pub fn bytes(&self, tag: Tag) -> Option<&'a [u8]> {
        self.sections[tag as usize]
    }

    /// Returns a NUL-terminated text without its NUL.
    pub fn text(&self, tag: Tag) -> Option<&'a [u8]> {
        let bytes = self.bytes(tag)?;
        Some(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
    }

    /// Returns a path that was sent leaf first.
    pub fn path(&self, tag: Tag) -> Option<PathBuf> {
        let bytes = self.bytes(tag)?;
        let mut path = Vec::with_capacity(bytes.len() + 1);
        for name in bytes.split(|byte| *byte == 0).rev().filter(|name| !name.is_empty()) {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        Some(PathBuf::from(OsString::from_vec(path)))
    }

    /// Returns the arguments of an exec.
    pub fn args(&self) -> Vec<String> {
        split_args(self.bytes(Tag::Args).unwrap_or_default())
    }

    /// Returns the remote address.
    pub fn address(&self) -> Option<Address> {
        let bytes: &[u8; 24] = self.bytes(Tag::Address)?.try_into().ok()?;
        let family = u16::from_le_bytes([bytes[16], bytes[17]]);
        let ip = match family {
            2 => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
            10 => {
                let mut octets = [0; 16];
                octets.copy_from_slice(&bytes[..16]);
                let v6 = Ipv6Addr::from(octets);
                v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
            }
            _ => return None,
        };
        Some(Address { ip, port: u16::from_le_bytes([bytes[18], bytes[19]]), protocol: u32_at(bytes, 20) })
    }
}

/// Splits NUL-terminated arguments; bytes that are not UTF-8 become U+FFFD.
pub fn split_args(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|byte| *byte == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
}

fn sections(mut rest: &[u8]) -> Option<[Option<&[u8]>; TAGS]> {
    let mut found = [None; TAGS];
    while rest.len() >= 4 {
        let tag = usize::from(u16::from_le_bytes([rest[0], rest[1]]));
        let len = usize::from(u16::from_le_bytes([rest[2], rest[3]]));
        if tag == 0 {
            break;
        }
        let body = rest.get(4..4 + len)?;
        *found.get_mut(tag)? = Some(body);
        // the payload is a fixed field in which only the first bytes count
        if tag == Tag::Payload as usize {
            break;
        }
        rest = rest.get(4 + len.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(found)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

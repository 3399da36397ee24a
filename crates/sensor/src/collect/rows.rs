//! Rows of the hunting tables from what the collector knows.

use super::process::{FileDigest, ProcessInfo};
use super::record::Address;
use hinomi_model::{Event, Table, Timestamp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Longest text of the entries a row adds to `AdditionalFields`: a cut JSON text could not be read.
const ARGV_BYTES_MAX: usize = 16 * 1024;

/// Sets the `InitiatingProcess*` columns.
pub fn set_initiating(event: &mut Event, info: &ProcessInfo) {
    event
        .set("InitiatingProcessId", info.key.pid)
        .set("InitiatingProcessCreationTime", info.key.started_at)
        .set("InitiatingProcessFileName", info.file_name.as_str())
        .set("InitiatingProcessFolderPath", info.exe.as_str())
        .set("InitiatingProcessCommandLine", info.cmdline.as_str())
        .set("InitiatingProcessParentId", i64::from(info.ppid))
        .set("InitiatingProcessAccountSid", info.uid.to_string())
        .set("InitiatingProcessUniqueId", info.key.to_string())
        .set_some("InitiatingProcessAccountName", info.user.as_deref());
    if !info.parent_file_name.is_empty() {
        event.set("InitiatingProcessParentFileName", info.parent_file_name.as_str());
    }
    event.set_some("InitiatingProcessParentCreationTime", info.parent.map(|parent| parent.started_at));
    if let Some(digest) = &info.digest {
        event
            .set("InitiatingProcessSHA256", digest.sha256.as_str())
            .set("InitiatingProcessSHA1", digest.sha1.as_str())
            .set("InitiatingProcessMD5", digest.md5.as_str())
            .set("InitiatingProcessFileSize", digest.size as i64);
    }
}

/// Sets the columns of the process a DeviceProcessEvents row is about.
pub fn set_process(event: &mut Event, info: &ProcessInfo) {
    event
        .set("FileName", info.file_name.as_str())
        .set("FolderPath", info.exe.as_str())
        .set("ProcessId", info.key.pid)
        .set("ProcessCommandLine", info.cmdline.as_str())
        .set("ProcessCreationTime", info.key.started_at)
        .set("ProcessUniqueId", info.key.to_string())
        .set("AccountSid", info.uid.to_string())
        .set_some("AccountName", info.user.as_deref());
    if let Some(digest) = &info.digest {
        set_digest(event, digest);
    }
}

/// Sets `SHA256`, `SHA1`, `MD5` and `FileSize`.
pub fn set_digest(event: &mut Event, digest: &FileDigest) {
    event
        .set("SHA256", digest.sha256.as_str())
        .set("SHA1", digest.sha1.as_str())
        .set("MD5", digest.md5.as_str())
        .set("FileSize", digest.size as i64);
}

/// Sets `FileName` and `FolderPath`, which both hold the name, as the reference does on Linux.
pub fn set_path(event: &mut Event, path: &Path) {
    event.set("FileName", file_name(path)).set("FolderPath", path.to_string_lossy().into_owned());
}

/// Returns the last part of a path as text.
pub fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Builds a DeviceNetworkEvents row about a remote address.
pub fn network_row(action: &str, at: Timestamp, address: &Address) -> Event {
    let mut event = Event::new(Table::DeviceNetworkEvents, at);
    event
        .set("ActionType", action)
        .set("RemoteIP", address.ip.to_string())
        .set("RemoteIPType", ip_type(address.ip))
        .set("RemotePort", i64::from(address.port))
        .set("Protocol", protocol(address.protocol));
    event
}

/// Returns the arguments for `AdditionalFields.Argv`, as many as fit.
pub fn argv_json(argv: &[String]) -> serde_json::Value {
    let mut room = ARGV_BYTES_MAX;
    let kept = argv.iter().map_while(|arg| {
        room = room.checked_sub(arg.len() + 8)?;
        Some(serde_json::Value::from(arg.as_str()))
    });
    serde_json::Value::Array(kept.collect())
}

/// Joins arguments so that a POSIX shell would split them the same way.
pub fn command_line(argv: &[String]) -> String {
    let mut line = String::with_capacity(argv.iter().map(|arg| arg.len() + 3).sum());
    for arg in argv {
        if !line.is_empty() {
            line.push(' ');
        }
        if arg.is_empty() || arg.chars().any(needs_quotes) {
            line.push('\'');
            line.push_str(&arg.replace('\'', r"'\''"));
            line.push('\'');
        } else {
            line.push_str(arg);
        }
    }
    line
}

fn needs_quotes(c: char) -> bool {
    let is_plain = c.is_alphanumeric() || "_@%+=:,./-".contains(c) || (!c.is_ascii() && !c.is_whitespace());
    !is_plain || c.is_control()
}

fn protocol(number: u32) -> String {
    match number as i32 {
        libc::IPPROTO_TCP => "Tcp".to_owned(),
        libc::IPPROTO_UDP => "Udp".to_owned(),
        other => other.to_string(),
    }
}

/// Returns the word of `RemoteIPType`.
pub fn ip_type(ip: IpAddr) -> &'static str {
    match ip {
        IpAddr::V4(v4) => ipv4_type(v4),
        IpAddr::V6(v6) => ipv6_type(v6),
    }
}

fn ipv4_type(ip: Ipv4Addr) -> &'static str {
    // 100.64.0.0/10 is shared address space (RFC 6598), 240.0.0.0/4 is reserved (RFC 1112)
    let [first, second, ..] = ip.octets();
    if ip.is_loopback() {
        "Loopback"
    } else if ip.is_private() || ip.is_link_local() || (first == 100 && second & 0xc0 == 64) {
        "Private"
    } else if ip.is_broadcast() {
        "Broadcast"
    } else if ip.is_multicast() {
        "Multicast"
    } else if ip.is_unspecified() || first == 0 || first >= 240 || ip.is_documentation() {
        "Reserved"
    } else {
        "Public"
    }
}

fn ipv6_type(ip: Ipv6Addr) -> &'static str {
    let segments = ip.segments();
    if ip.is_loopback() {
        "Loopback"
    } else if ip.is_unique_local() || ip.is_unicast_link_local() {
        "Private"
    } else if ip.is_multicast() {
        "Multicast"
    } else if segments[0] == 0x2001 && segments[1] == 0 {
        "Teredo"
    } else if ip.is_unspecified() || (segments[0] == 0x2001 && segments[1] == 0xdb8) {
        "Reserved"
    } else {
        "Public"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_split_back() {
        let check = |argv: &[&str], line: &str| {
            let argv: Vec<String> = argv.iter().map(|arg| (*arg).to_owned()).collect();
            assert_eq!(command_line(&argv), line);
        };
        check(&["sh", "-c", "echo 'a b' > /x"], r"sh -c 'echo '\''a b'\'' > /x'");
        check(&["ls", "請求書 2026.pdf", "報告書.pdf", ""], "ls '請求書 2026.pdf' 報告書.pdf ''");
        check(&["x", "全角　空白", "a\nb", "$HOME"], "x '全角　空白' 'a\nb' '$HOME'");
    }

    #[test]
    fn addresses_have_types() {
        for (ip, word) in [
            ("127.0.0.53", "Loopback"),
            ("10.1.2.3", "Private"),
            ("169.254.1.1", "Private"),
            ("100.64.0.1", "Private"),
            ("8.8.8.8", "Public"),
            ("255.255.255.255", "Broadcast"),
            ("192.0.2.1", "Reserved"),
            ("::1", "Loopback"),
            ("fe80::1", "Private"),
            ("2001::1", "Teredo"),
            ("2606:4700::1111", "Public"),
        ] {
            assert_eq!(ip_type(ip.parse().unwrap()), word, "{ip}");
        }
    }
}

//! The Linux audit log: each record, and the records of one event together as what happened.
//!
//! Formats: Linux audit documentation, "Event fields" and "Record types"; values without quotes that
//! are hexadecimal are encoded texts.

use crate::complete::Completer;
use crate::limits::{AUDIT_EVENT_RECORDS_MAX, FIELDS_MAX};
use crate::read::text::start;
use crate::record::{Record, Value};
use std::collections::BTreeMap;

/// System calls by number on x86-64 and arm64 that the kinds of events need.
const EXEC: [&str; 5] = ["execve", "execveat", "59", "322", "221"];
const CONNECT: [&str; 3] = ["connect", "42", "203"];

/// Reads the lines of a block: calls `event` for every record, and for what the records of one event
/// say together. `bad` is told about lines that are no audit records, by their number from 0.
pub fn lines<'l>(
    lines: impl Iterator<Item = (u64, &'l [u8])>,
    completer: &mut Completer,
    mut event: impl FnMut(Record, &mut Completer),
    mut bad: impl FnMut(u64, String),
) {
    let mut group: Vec<Parsed> = Vec::new();
    for (number, line) in lines {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let Some(parsed) = parse(&String::from_utf8_lossy(line)) else {
            bad(number, "not a record of the audit log".to_owned());
            continue;
        };
        if group.first().is_some_and(|first| first.id != parsed.id) {
            for record in together(&group, completer) {
                event(record, completer);
            }
            group.clear();
        }
        event(alone(&parsed, completer), completer);
        if group.len() < AUDIT_EVENT_RECORDS_MAX {
            group.push(parsed);
        }
    }
    for record in together(&group, completer) {
        event(record, completer);
    }
}

/// The id of the event a line belongs to, to cut blocks between events.
pub fn event_id(line: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::find(&line[..line.len().min(256)], b"msg=audit(")? + 10;
    let end = memchr::memchr(b')', &line[at..])?;
    Some(&line[at..at + end])
}

struct Parsed {
    kind: String,
    /// `1700000000.123:456`.
    id: String,
    fields: Vec<(String, String)>,
}

impl Parsed {
    fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn parse(line: &str) -> Option<Parsed> {
    let kind = line.split("type=").nth(1)?.split(' ').next()?.to_owned();
    let (head, rest) = line.split_once("msg=audit(")?;
    let (id, rest) = rest.split_once(')')?;
    let mut fields = Vec::new();
    if let Some((_, node)) = head.split_once("node=") {
        fields.push(("node".to_owned(), node.split(' ').next().unwrap_or_default().to_owned()));
    }
    pairs(rest.trim_start_matches(':'), &mut fields);
    Some(Parsed { kind, id: id.to_owned(), fields })
}

/// `a=b c="d e" msg='op=x res=success'`.
fn pairs(text: &str, fields: &mut Vec<(String, String)>) {
    // enriched fields follow a group separator and are in capitals; they read like the others
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('=') {
        if fields.len() >= FIELDS_MAX {
            return;
        }
        let name = before.rsplit([' ', '\u{1d}', '{', ',']).next().unwrap_or_default();
        let (value, next) = match after.as_bytes().first() {
            Some(b'"') => after[1..].split_once('"').unwrap_or((&after[1..], "")),
            Some(b'\'') => {
                let (inner, next) = after[1..].split_once('\'').unwrap_or((&after[1..], ""));
                pairs(inner, fields);
                rest = next;
                continue;
            }
            _ => {
                let end = after.find([' ', '\u{1d}', '\n']).unwrap_or(after.len());
                (&after[..end], &after[end..])
            }
        };
        let quoted = after.starts_with('"');
        if !name.is_empty() {
            fields.push((name.to_owned(), decoded(name, value, quoted)));
        }
        rest = next;
    }
}

/// Fields the kernel writes in hexadecimal when they hold spaces, quotes or control characters.
fn decoded(name: &str, value: &str, quoted: bool) -> String {
    let text = matches!(name, "proctitle" | "name" | "exe" | "comm" | "cwd" | "cmd" | "data" | "acct" | "key")
        || (name.starts_with('a')
            && name[1..].bytes().all(|byte| byte.is_ascii_digit() || byte == b'[' || byte == b']'));
    let hexadecimal = value.len() >= 2 && value.len() % 2 == 0 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if quoted || !text || !hexadecimal {
        return value.to_owned();
    }
    let digits = value.as_bytes();
    let nibble = |byte: u8| (byte as char).to_digit(16).unwrap_or_default() as u8;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

fn stamp(record: &mut Record, id: &str) {
    let (seconds, serial) = id.split_once(':').unwrap_or((id, ""));
    record.time = crate::complete::time(seconds);
    record.record_id = serial.parse().ok();
}

fn alone(parsed: &Parsed, completer: &mut Completer) -> Record {
    let mut record = start(completer, "audit");
    record.push(completer.name("type"), Value::Text(parsed.kind.clone()));
    for (name, value) in &parsed.fields {
        record.push(completer.name(name), Value::Text(value.clone()));
    }
    if let Some(node) = parsed.get("node") {
        record.push(completer.name("Computer"), Value::Text(node.to_owned()));
    }
    stamp(&mut record, &parsed.id);
    completer.complete(&mut record);
    record
}

/// What the records of one event say: a program was started, a file made or removed, a connection made.
fn together(group: &[Parsed], completer: &mut Completer) -> Vec<Record> {
    let Some(call) = group.iter().find(|parsed| parsed.kind == "SYSCALL") else { return Vec::new() };
    if call.get("success") == Some("no") {
        return Vec::new();
    }
    let of = |kind: &'static str| group.iter().filter(move |parsed| parsed.kind == kind);
    let text = |name: &str| call.get(name).unwrap_or_default().to_owned();
    let user = call.get("UID").or_else(|| call.get("uid")).unwrap_or_default().to_owned();
    let cwd = of("CWD").find_map(|parsed| parsed.get("cwd")).unwrap_or_default().to_owned();
    let computer = call.get("node").unwrap_or_default().to_owned();
    let named = call.get("SYSCALL").or_else(|| call.get("syscall")).unwrap_or_default();
    let common = [
        ("Image", text("exe")),
        ("User", user),
        ("ProcessId", text("pid")),
        ("LogonId", text("ses")),
        ("Computer", computer),
        ("CurrentDirectory", cwd.clone()),
    ];
    let mut records = Vec::new();
    let mut make = |kind: &str, fields: &[(&str, String)]| {
        let mut record = start(completer, "audit-event");
        record.push(completer.name("AuditKind"), Value::Text(kind.to_owned()));
        for (name, value) in common.iter().chain(fields).filter(|(_, value)| !value.is_empty()) {
            record.push(completer.name(name), Value::Text(value.clone()));
        }
        stamp(&mut record, &call.id);
        completer.complete(&mut record);
        records.push(record);
    };
    if EXEC.contains(&named) {
        let line = match command_line(of("EXECVE")) {
            line if line.is_empty() => {
                of("PROCTITLE").find_map(|parsed| parsed.get("proctitle")).unwrap_or_default().to_owned()
            }
            line => line,
        };
        make("exec", &[("CommandLine", line), ("ParentProcessId", text("ppid"))]);
    }
    if CONNECT.contains(&named)
        && let Some((address, port)) = of("SOCKADDR").find_map(|parsed| address(parsed))
    {
        make("connect", &[("DestinationIp", address), ("DestinationPort", port), ("Initiated", "true".to_owned())]);
    }
    for path in of("PATH") {
        let kind = match path.get("nametype") {
            Some("CREATE") => "file",
            Some("DELETE") => "delete",
            _ => continue,
        };
        let name = path.get("name").unwrap_or_default();
        let full = match name.starts_with('/') || cwd.is_empty() {
            true => name.to_owned(),
            false => format!("{}/{name}", cwd.trim_end_matches('/')),
        };
        make(kind, &[("TargetFilename", full)]);
    }
    records
}

/// The arguments of all EXECVE records, in order; long ones are split as `a1[0]`, `a1[1]`.
fn command_line<'p>(records: impl Iterator<Item = &'p Parsed>) -> String {
    let mut arguments: BTreeMap<(u32, u32), &str> = BTreeMap::new();
    for (name, value) in records.flat_map(|parsed| &parsed.fields) {
        let Some(number) = name.strip_prefix('a') else { continue };
        let (number, part) = number.trim_end_matches(']').split_once('[').unwrap_or((number, "0"));
        if let (Ok(number), Ok(part)) = (number.parse(), part.parse()) {
            arguments.entry((number, part)).or_insert(value);
        }
    }
    let mut line = String::new();
    let mut last = None;
    for ((number, _), value) in arguments {
        if last.is_some_and(|last| last != number) {
            line.push(' ');
        }
        line.push_str(value);
        last = Some(number);
    }
    line
}

/// `saddr=0200…` (AF_INET) or `0A00…` (AF_INET6), or as the enriched log says it.
fn address(parsed: &Parsed) -> Option<(String, String)> {
    if let (Some(address), Some(port)) = (parsed.get("laddr"), parsed.get("lport")) {
        return Some((address.to_owned(), port.to_owned()));
    }
    let digits = parsed.get("saddr")?.as_bytes();
    let byte = |at: usize| {
        let pair = std::str::from_utf8(digits.get(at * 2..at * 2 + 2)?).ok()?;
        u8::from_str_radix(pair, 16).ok()
    };
    let port = u16::from_be_bytes([byte(2)?, byte(3)?]).to_string();
    match byte(0)? {
        2 => Some((std::net::Ipv4Addr::from([byte(4)?, byte(5)?, byte(6)?, byte(7)?]).to_string(), port)),
        10 => {
            let mut octets = [0u8; 16];
            for (at, octet) in octets.iter_mut().enumerate() {
                *octet = byte(8 + at)?;
            }
            Some((std::net::Ipv6Addr::from(octets).to_string(), port))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hinomi_model::Timestamp;

    const LOG: &str = r#"type=SYSCALL msg=audit(1700000000.100:10): arch=c000003e syscall=59 success=yes exit=0 a0=55d a1=55e ppid=100 pid=101 auid=1000 uid=0 ses=3 comm="curl" exe="/usr/bin/curl" key="exec"
type=EXECVE msg=audit(1700000000.100:10): argc=3 a0="curl" a1="-o" a2=2F746D702F6120622E7368
type=CWD msg=audit(1700000000.100:10): cwd="/root"
type=PATH msg=audit(1700000000.100:10): item=0 name="/usr/bin/curl" nametype=NORMAL
type=SYSCALL msg=audit(1700000001.100:11): arch=c000003e syscall=42 success=yes pid=101 uid=0 exe="/usr/bin/curl"
type=SOCKADDR msg=audit(1700000001.100:11): saddr=02000050CB00710900000000
type=SYSCALL msg=audit(1700000002.100:12): arch=c000003e syscall=257 success=yes pid=102 uid=0 exe="/usr/bin/tee"
type=CWD msg=audit(1700000002.100:12): cwd="/etc/cron.d"
type=PATH msg=audit(1700000002.100:12): item=1 name="job" nametype=CREATE
type=USER_CMD msg=audit(1700000003.100:13): pid=9 uid=1000 msg='cwd="/home/kato" cmd=6C73202D6C61 terminal=pts/0 res=success'
nonsense
"#;

    #[test]
    fn records_alone_and_together() {
        let mut completer = Completer::default();
        let (mut records, mut problems) = (Vec::new(), Vec::new());
        let numbered = LOG.lines().enumerate().map(|(at, line)| (at as u64, line.as_bytes()));
        lines(numbered, &mut completer, |record, _| records.push(record), |number, _| problems.push(number));
        assert_eq!(problems, [10]);
        let kinds: Vec<_> = records.iter().filter_map(|record| record.text("AuditKind")).collect();
        assert_eq!(kinds, ["exec", "connect", "file"]);
        let of = |kind| records.iter().find(|record| record.text("AuditKind").as_deref() == Some(kind)).expect("there");
        let exec = of("exec");
        assert_eq!(exec.text("CommandLine").as_deref(), Some("curl -o /tmp/a b.sh"));
        assert_eq!(exec.text("Image").as_deref(), Some("/usr/bin/curl"));
        assert!(exec.class.has(Some("linux"), Some("process_creation"), None));
        assert_eq!(exec.record_id, Some(10));
        assert_eq!(exec.time, Timestamp::parse("2023-11-14T22:13:20.1Z"));
        assert_eq!(of("connect").text("DestinationIp").as_deref(), Some("203.0.113.9"));
        assert_eq!(of("connect").text("DestinationPort").as_deref(), Some("80"));
        assert_eq!(of("file").text("TargetFilename").as_deref(), Some("/etc/cron.d/job"));
        let command = records.iter().find(|record| record.text("type").as_deref() == Some("USER_CMD")).expect("there");
        assert_eq!(command.text("cmd").as_deref(), Some("ls -la"));
        assert!(command.class.has(Some("linux"), None, Some("auditd")));
        assert!(!command.class.has(Some("linux"), Some("process_creation"), None));
    }
}

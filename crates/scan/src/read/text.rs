//! Logs of Linux as text: syslog, the journal's export, and the start of audit records.

use crate::complete::Completer;
use crate::record::{Record, Value};
use hinomi_model::Timestamp;

/// Reads one line of syslog, RFC 5424 or RFC 3164 (also with the RFC 3339 time rsyslog writes).
///
/// A time without a year has none here: the log does not tell it.
pub fn syslog(line: &str, completer: &mut Completer) -> Record {
    let mut record = start(completer, "syslog");
    let mut add = |name: &str, value: &str| record.push(completer.name(name), Value::Text(value.to_owned()));
    add("Message", line);
    let mut rest = line;
    if let Some((priority, after)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'))
        && priority.len() <= 3
        && priority.bytes().all(|byte| byte.is_ascii_digit())
    {
        add("Priority", priority);
        rest = after;
    }
    // RFC 5424: version, time, host, program, process, message id, structured data
    if let Some(after) = rest.strip_prefix("1 ") {
        let mut words = after.splitn(6, ' ');
        let mut next = || words.next().unwrap_or("-");
        let (at, host, program, process) = (next(), next(), next(), next());
        add("Computer", host);
        add("Program", program);
        add("ProcessId", process);
        record.time = crate::complete::time(at);
        return record;
    }
    let (at, after) = match rest.as_bytes() {
        [b'0'..=b'9', ..] => rest.split_once(' ').unwrap_or((rest, "")),
        // "Nov 22 12:00:00"
        _ if rest.is_char_boundary(15) && rest.len() > 16 => (&rest[..15], rest[15..].trim_start()),
        _ => ("", rest),
    };
    if let Some((host, after)) = after.split_once(' ')
        && let Some((tag, _)) = after.split_once(':')
        && tag.len() <= 64
        && !tag.contains(' ')
    {
        add("Computer", host);
        let (program, process) = tag.trim_end_matches(']').split_once('[').unwrap_or((tag, ""));
        add("Program", program.rsplit('/').next().unwrap_or(program));
        if !process.is_empty() {
            add("ProcessId", process);
        }
        if program == "sudo" {
            // "  kato : TTY=pts/0 ; PWD=/home/kato ; USER=root ; COMMAND=/bin/ls"
            for (name, value) in after.split(" ; ").filter_map(|part| part.trim().split_once('=')) {
                add(name.rsplit(' ').next().unwrap_or(name), value);
            }
        }
    }
    record.time = crate::complete::time(at);
    record
}

/// Completes an event of the journal, given as JSON or as its export, by the names of syslog.
pub fn journal(mut record: Record, completer: &mut Completer) -> Record {
    let format = completer.name("LogFormat");
    record.push(format, Value::Text("journal".to_owned()));
    for (native, name) in [("SYSLOG_IDENTIFIER", "Program"), ("_HOSTNAME", "Computer"), ("MESSAGE", "Message")] {
        // the journal writes a message that is not UTF-8 as a list of its bytes
        let value = match record.get(native) {
            Some(Value::List(items)) if native == "MESSAGE" => Value::Text(bytes_text(items)),
            Some(value) => value.clone(),
            None => continue,
        };
        record.push(completer.name(name), value);
    }
    let micros = record.text("__REALTIME_TIMESTAMP").and_then(|micros| micros.parse().ok());
    record.time = micros.map(Timestamp::from_micros);
    record
}

/// Reads one entry of `journalctl -o export`: lines `NAME=value`, or `NAME`, 64 bits of length, bytes.
///
/// # Errors
/// When a length does not fit the entry.
pub fn journal_export(mut entry: &[u8], completer: &mut Completer) -> Result<Record, String> {
    let mut record = Record::default();
    while !entry.is_empty() {
        let end = memchr::memchr(b'\n', entry).unwrap_or(entry.len());
        let (line, rest) = (&entry[..end], &entry[(end + 1).min(entry.len())..]);
        entry = rest;
        if line.is_empty() {
            continue;
        }
        let name_end = memchr::memchr(b'=', line);
        let (name, value) = match name_end {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => {
                let length = rest.first_chunk::<8>().map(|length| u64::from_le_bytes(*length) as usize);
                let value = length.and_then(|length| rest.get(8..8usize.checked_add(length)?));
                let value = value.ok_or_else(|| "a field of the entry is longer than the entry".to_owned())?;
                entry = rest.get(8 + value.len() + 1..).unwrap_or_default();
                (line, value)
            }
        };
        if record.fields.len() < crate::limits::FIELDS_MAX {
            let name = completer.name(&String::from_utf8_lossy(name));
            record.push(name, Value::Text(String::from_utf8_lossy(value).into_owned()));
        }
    }
    Ok(journal(record, completer))
}

fn bytes_text(items: &[Value]) -> String {
    let byte = |item: &Value| match item {
        Value::Int(byte) => u8::try_from(*byte).ok(),
        _ => None,
    };
    String::from_utf8_lossy(&items.iter().filter_map(byte).collect::<Vec<_>>()).into_owned()
}

/// A record of a text log.
pub(super) fn start(completer: &mut Completer, format: &str) -> Record {
    let mut record = Record::default();
    record.push(completer.name("LogFormat"), Value::Text(format.to_owned()));
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialects_of_syslog() {
        let mut completer = Completer::default();
        for line in [
            "Nov 22 12:00:00 web1 sshd[812]: Failed password for root from 203.0.113.9",
            "2026-11-22T12:00:00.123456+00:00 web1 sshd[812]: Failed password for root",
            "<38>1 2026-11-22T12:00:00Z web1 sshd 812 - - Failed password for root",
            "<38>Nov  2 12:00:00 web1 sshd[812]: Failed password for root",
        ] {
            let mut record = syslog(line, &mut completer);
            completer.complete(&mut record);
            assert_eq!(record.text("Program").as_deref(), Some("sshd"), "{line}");
            assert_eq!(record.text("Computer").as_deref(), Some("web1"), "{line}");
            assert!(record.class.has(Some("linux"), None, Some("sshd")), "{line}");
            assert!(record.class.has(Some("linux"), None, Some("auth")), "{line}");
            assert_eq!(record.time.is_some(), line.contains("2026"), "{line}");
        }
        for odd in ["", "<", "<999999>x", "1 ", "é", "Nov 22 12:00:0é x y: z", ":::"] {
            let _ = syslog(odd, &mut completer);
        }
        let line = "Nov 22 12:00:00 web1 sudo: kato : TTY=pts/0 ; PWD=/ ; USER=#-1 ; COMMAND=/bin/sh";
        let mut record = syslog(line, &mut completer);
        completer.complete(&mut record);
        assert_eq!(record.text("USER").as_deref(), Some("#-1"));
        assert!(record.class.has(Some("linux"), None, Some("sudo")));
    }

    #[test]
    fn entries_of_the_journal() {
        let mut completer = Completer::default();
        let mut entry = b"__REALTIME_TIMESTAMP=1700000000000000\nSYSLOG_IDENTIFIER=sshd\nMESSAGE\n".to_vec();
        entry.extend(3u64.to_le_bytes());
        entry.extend(b"a\nb\n_HOSTNAME=web1\n");
        let mut record = journal_export(&entry, &mut completer).expect("an entry");
        completer.complete(&mut record);
        assert_eq!(record.text("Message").as_deref(), Some("a\nb"));
        assert_eq!(record.text("Computer").as_deref(), Some("web1"));
        assert!(record.class.has(Some("linux"), None, Some("sshd")));
        let mut broken = b"MESSAGE\n".to_vec();
        broken.extend(u64::MAX.to_le_bytes());
        assert!(journal_export(&broken, &mut completer).is_err());
    }
}

//! Readers: from bytes to events.

pub mod audit;
pub mod evtx;
pub mod json;
pub mod sniff;
pub mod split;
pub mod text;

use crate::complete::Completer;
use crate::record::Record;

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Windows event log.
    Evtx,
    /// One JSON object per line.
    JsonLines,
    /// JSON objects one after another or in a list, on any lines.
    JsonValues,
    /// Linux audit log.
    Audit,
    /// Lines of syslog.
    Syslog,
    /// `journalctl -o export`.
    JournalExport,
}

/// A part of a log that can be read on its own.
#[derive(Debug)]
pub struct Block {
    /// How it is written.
    pub format: Format,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Number of its first line or value, from 1; of the chunk, from 0.
    pub first: u64,
    /// Where values lie ([`Format::JsonValues`]).
    pub spans: Vec<(usize, usize)>,
}

/// Reads a block: calls `event` for each event and `bad` for what could not be read, with its place.
pub fn block(
    block: Block,
    completer: &mut Completer,
    mut event: impl FnMut(Record),
    mut bad: impl FnMut(String, String),
) {
    let Block { format, bytes, first, spans } = block;
    match format {
        Format::Evtx => {
            let mut records = Vec::new();
            let place = format!("chunk {first}");
            evtx::chunk(bytes, completer, |record| records.push(record), |why| bad(place.clone(), why));
            for mut record in records {
                completer.complete(&mut record);
                event(record);
            }
        }
        Format::JsonValues => {
            for (at, (from, to)) in spans.into_iter().enumerate() {
                let number = first + at as u64;
                let read = json_events(&bytes[from..to], number, completer, &mut event);
                read.unwrap_or_else(|why| bad(format!("value {number}"), why));
            }
        }
        Format::JsonLines => {
            for (number, line) in numbered(&bytes, first) {
                if !line.iter().all(u8::is_ascii_whitespace) {
                    let read = json_events(line, number, completer, &mut event);
                    read.unwrap_or_else(|why| bad(format!("line {number}"), why));
                }
            }
        }
        Format::Audit => audit::lines(
            numbered(&bytes, first),
            completer,
            |record, _| event(record),
            |number, why| bad(format!("line {number}"), why),
        ),
        Format::Syslog => {
            for (number, line) in numbered(&bytes, first) {
                let line = String::from_utf8_lossy(line);
                if !line.trim().is_empty() {
                    let record = text::syslog(line.trim_end(), completer);
                    event(finish(record, number, completer));
                }
            }
        }
        Format::JournalExport => {
            let mut number = first;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let end = memchr::memmem::find(rest, b"\n\n").map_or(rest.len(), |at| at + 2);
                let (entry, after) = rest.split_at(end);
                let lines = memchr::memchr_iter(b'\n', entry).count() as u64;
                if entry.iter().any(|byte| *byte != b'\n') {
                    match text::journal_export(entry, completer) {
                        Ok(record) => event(finish(record, number, completer)),
                        Err(why) => bad(format!("line {number}"), why),
                    }
                }
                (number, rest) = (number + lines, after);
            }
        }
    }
}

fn json_events(
    bytes: &[u8],
    number: u64,
    completer: &mut Completer,
    event: &mut impl FnMut(Record),
) -> Result<(), String> {
    let mut records = Vec::with_capacity(1);
    json::events(bytes, completer, &mut |record| records.push(record))?;
    for mut record in records {
        // rows of the hunting tables, as the sensor and scenarios write them, keep their types
        if record.get("Table").is_some() {
            record.row = serde_json::from_slice(bytes).ok().map(Box::new);
        }
        event(finish(record, number, completer));
    }
    Ok(())
}

fn finish(mut record: Record, number: u64, completer: &mut Completer) -> Record {
    if record.get("__REALTIME_TIMESTAMP").is_some() && record.get("LogFormat").is_none() {
        record = text::journal(record, completer);
    }
    completer.complete(&mut record);
    record.record_id.get_or_insert(number);
    record
}

fn numbered(bytes: &[u8], first: u64) -> impl Iterator<Item = (u64, &[u8])> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    lines.map(move |(at, line)| (first + at as u64, line.strip_suffix(b"\r").unwrap_or(line)))
}

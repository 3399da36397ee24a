//! Windows event logs: a file is cut into its chunks, each chunk is read on its own.
//!
//! A chunk is 64 KiB and holds all its records need, so what is broken stays within it, chunks are read
//! by several threads, and the file is never in memory as a whole.

use crate::complete::Completer;
use crate::read::json;
use crate::record::Record;
use ::evtx::{EvtxChunkData, ParserSettings};
use hinomi_model::Timestamp;
use std::sync::Arc;

/// Size of the file header block and of a chunk ([MS-EVEN6] appendix, libevtx documentation).
pub const HEADER_BYTES: usize = 4_096;
/// Bytes of one chunk.
pub const CHUNK_BYTES: usize = 65_536;
/// How a file begins.
pub const FILE_MAGIC: &[u8] = b"ElfFile\0";
/// How a chunk begins.
pub const CHUNK_MAGIC: &[u8] = b"ElfChnk\0";

/// Reads the records of one chunk. `bad` is told what could not be read and why.
///
/// A chunk whose checksum is wrong is read all the same, and told.
pub fn chunk(
    mut bytes: Vec<u8>,
    completer: &mut Completer,
    mut event: impl FnMut(Record),
    mut bad: impl FnMut(String),
) {
    if bytes.len() < CHUNK_BYTES {
        bad(format!("the chunk ends after {} of {CHUNK_BYTES} bytes", bytes.len()));
        bytes.resize(CHUNK_BYTES, 0);
    }
    let mut data = match EvtxChunkData::new(bytes, false) {
        Ok(data) => data,
        Err(error) => return bad(chain(&error)),
    };
    if !data.validate_checksum() {
        bad("the checksum of the chunk is wrong; its records are read all the same".to_owned());
    }
    let settings = ParserSettings::new().separate_json_attributes(true).indent(false).num_threads(1);
    let mut chunk = match data.parse(Arc::new(settings)) {
        Ok(chunk) => chunk,
        Err(error) => return bad(chain(&error)),
    };
    for record in chunk.iter() {
        let rendered = match record.and_then(|record| record.into_json_bytes()) {
            Ok(rendered) => rendered,
            Err(error) => {
                bad(chain(&error));
                continue;
            }
        };
        match json::event(&rendered.data, completer) {
            Ok(mut record) => {
                record.record_id = Some(rendered.event_record_id);
                // some records carry a header without a time
                let told = record.text("TimeCreated_SystemTime").and_then(|text| crate::complete::time(&text));
                record.time = told.or_else(|| Some(Timestamp::from_micros(rendered.timestamp.as_microsecond())));
                event(record);
            }
            Err(error) => bad(format!("record {}: {error}", rendered.event_record_id)),
        }
    }
}

/// The text of an error and what caused it, once each, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_told_not_read() {
        let mut completer = Completer::default();
        let magic = [CHUNK_MAGIC, &[0xff; 600]].concat();
        for bytes in [vec![], vec![0xff; CHUNK_BYTES], magic] {
            let mut problems = Vec::new();
            chunk(bytes, &mut completer, |_| panic!("no event"), |problem| problems.push(problem));
            assert!(!problems.is_empty());
        }
    }
}

//! Batches: newline-delimited JSON events in one zstd frame.

use hinomi_model::Event;
use std::io::{BufRead, BufReader, Read, Write};

/// Most events in one batch.
pub const BATCH_EVENTS_MAX: usize = 5_000;
/// Most compressed bytes of one batch; below gRPC's default message limit of 4 MiB.
pub const BATCH_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Most bytes after decompression: bounds what a hostile frame can cost.
pub const EVENTS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// zstd level 1: measured choice of speed over size on the endpoint.
const LEVEL: i32 = 1;

/// A batch cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// More compressed bytes than allowed.
    #[error("batch of {0} bytes exceeds {BATCH_BYTES_MAX}")]
    TooLarge(usize),
    /// More bytes or events than allowed after decompression.
    #[error("batch unpacks to more than {EVENTS_BYTES_MAX} bytes or {BATCH_EVENTS_MAX} events")]
    TooManyEvents,
    /// The declared number of events is not what the frame holds.
    #[error("batch declares {declared} events and holds {found}")]
    Count {
        /// Declared in the batch.
        declared: usize,
        /// Found in the frame.
        found: usize,
    },
    /// Damaged frame.
    #[error("unpack batch")]
    Frame(#[source] std::io::Error),
    /// An event is not one.
    #[error("event {index} of the batch")]
    Event {
        /// Position in the batch.
        index: usize,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
}

/// Packs events into one zstd frame of JSON lines.
///
/// # Errors
/// When compression fails (out of memory).
pub fn pack(events: &[Event]) -> Result<Vec<u8>, BatchError> {
    let mut frame = zstd::Encoder::new(Vec::new(), LEVEL).map_err(BatchError::Frame)?;
    let mut line = Vec::new();
    for (index, event) in events.iter().enumerate() {
        line.clear();
        serde_json::to_writer(&mut line, event).map_err(|source| BatchError::Event { index, source })?;
        line.push(b'\n');
        frame.write_all(&line).map_err(BatchError::Frame)?;
    }
    frame.finish().map_err(BatchError::Frame)
}

/// Reads the events of a frame, checking every limit.
///
/// # Errors
/// [`BatchError`] for anything that is not a batch of exactly `count` events.
pub fn unpack(frame: &[u8], count: usize) -> Result<Vec<Event>, BatchError> {
    if frame.len() > BATCH_BYTES_MAX {
        return Err(BatchError::TooLarge(frame.len()));
    }
    if count > BATCH_EVENTS_MAX {
        return Err(BatchError::TooManyEvents);
    }
    let plain = zstd::Decoder::new(frame).map_err(BatchError::Frame)?.take(EVENTS_BYTES_MAX + 1);
    let mut lines = BufReader::new(plain);
    let mut events = Vec::with_capacity(count);
    let mut line = Vec::new();
    let mut bytes = 0_u64;
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line).map_err(BatchError::Frame)?;
        bytes += read as u64;
        if bytes > EVENTS_BYTES_MAX || events.len() > BATCH_EVENTS_MAX {
            return Err(BatchError::TooManyEvents);
        }
        if read == 0 {
            break;
        }
        let index = events.len();
        events.push(serde_json::from_slice(&line).map_err(|source| BatchError::Event { index, source })?);
    }
    if events.len() != count {
        return Err(BatchError::Count { declared: count, found: events.len() });
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hinomi_model::{Table, Timestamp};

    fn event(n: i64) -> Event {
        let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(n));
        event.set("ProcessCommandLine", "a\nb").set("ReportId", n);
        event
    }

    #[test]
    fn round_trip() {
        let events: Vec<_> = (0..100).map(event).collect();
        let frame = pack(&events).expect("packs");
        assert_eq!(unpack(&frame, 100).expect("unpacks"), events);
        assert!(matches!(unpack(&frame, 99), Err(BatchError::Count { declared: 99, found: 100 })));
    }

    #[test]
    fn a_bomb_is_refused() {
        let zeros = vec![b' '; EVENTS_BYTES_MAX as usize + 10];
        let frame = zstd::encode_all(&zeros[..], 1).expect("packs");
        assert!(frame.len() < BATCH_BYTES_MAX);
        assert!(matches!(unpack(&frame, 1), Err(BatchError::TooManyEvents)));
        assert!(unpack(b"not a frame", 1).is_err());
    }
}

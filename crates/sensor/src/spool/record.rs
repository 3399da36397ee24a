//! The format of spool segments.
//!
//! A segment is a header of 32 bytes (magic, generation, first ReportId, checksum, zero) and
//! records of 20 bytes header (checksum, frame length, event count, first ReportId; little endian)
//! plus the frame, which is exactly what goes over the wire. Whatever is cut off a file, what is
//! left is a whole number of records and a tail that no checksum fits.

use hinomi_wire::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use std::io::{self, Read};

pub(super) const MAGIC: [u8; 8] = *b"HINOSPL1";
pub(super) const SEGMENT_HEADER_BYTES: u64 = 32;
pub(super) const RECORD_HEADER_BYTES: usize = 20;

/// One batch as it lies in the spool and goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpooledBatch {
    /// ReportId of the first event.
    pub first: u64,
    /// Number of events.
    pub count: u32,
    /// zstd frame of JSON lines.
    pub frame: Vec<u8>,
}

impl SpooledBatch {
    /// Returns the ReportId of the last event.
    pub fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut fields = Vec::with_capacity(16);
        fields.extend_from_slice(&(self.frame.len() as u32).to_le_bytes());
        fields.extend_from_slice(&self.count.to_le_bytes());
        fields.extend_from_slice(&self.first.to_le_bytes());
        let checksum = crc32(crc32(0, &fields), &self.frame);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(&fields);
        out.extend_from_slice(&self.frame);
    }

    /// Reads the next record; `None` at the end, at a torn tail and at damage.
    pub(super) fn decode(from: &mut impl Read) -> io::Result<Option<SpooledBatch>> {
        let mut header = [0; RECORD_HEADER_BYTES];
        if !read_whole(from, &mut header)? {
            return Ok(None);
        }
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (checksum, len, count) = (number(0), number(4) as usize, number(8));
        let first = u64::from(number(12)) | u64::from(number(16)) << 32;
        if len > BATCH_BYTES_MAX || count == 0 || count as usize > BATCH_EVENTS_MAX || first == 0 {
            return Ok(None);
        }
        let mut frame = vec![0; len];
        if !read_whole(from, &mut frame)? || crc32(crc32(0, &header[4..]), &frame) != checksum {
            return Ok(None);
        }
        Ok(Some(SpooledBatch { first, count, frame }))
    }

    pub(super) fn bytes(&self) -> u64 {
        (RECORD_HEADER_BYTES + self.frame.len()) as u64
    }
}

pub(super) fn segment_header(generation: u64, first: u64) -> [u8; SEGMENT_HEADER_BYTES as usize] {
    let mut header = [0; SEGMENT_HEADER_BYTES as usize];
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&generation.to_le_bytes());
    header[16..24].copy_from_slice(&first.to_le_bytes());
    let checksum = crc32(0, &header[..24]);
    header[24..28].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// Reads (generation, first ReportId); `None` when it is not a segment header.
pub(super) fn read_segment_header(from: &mut impl Read) -> io::Result<Option<(u64, u64)>> {
    let mut header = [0; SEGMENT_HEADER_BYTES as usize];
    if !read_whole(from, &mut header)? {
        return Ok(None);
    }
    let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| header[at + byte]));
    let fits = header[..8] == MAGIC && header[24..28] == crc32(0, &header[..24]).to_le_bytes();
    Ok(fits.then(|| (long(8), long(16))))
}

fn read_whole(from: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// CRC-32 of IEEE 802.3 (polynomial 0xEDB88320, reflected), continued from `before`.
fn crc32(before: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let mut value = n as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { 0xEDB8_8320 ^ (value >> 1) } else { value >> 1 };
                bit += 1;
            }
            table[n] = value;
            n += 1;
        }
        table
    };
    let mut value = !before;
    for byte in bytes {
        value = TABLE[((value ^ u32::from(*byte)) & 0xff) as usize] ^ (value >> 8);
    }
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_the_standard_one_and_continues() {
        // check value of the CRC catalogue for CRC-32/ISO-HDLC
        assert_eq!(crc32(0, b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(crc32(0, b"1234"), b"56789"), 0xCBF4_3926);
    }
}

//! What is left of the limits while a message is taken apart.

use super::Limits;
use super::reason::{Limit, Reason};
use std::io::Read;
use std::time::Instant;

/// Free unpacked bytes before the ratio counts.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// Bytes unpacked between two looks at the limits.
const CHUNK_BYTES: usize = 64 << 10;

/// Counts down bytes, files and time over all levels of nesting.
pub(super) struct Budget {
    files_left: usize,
    bytes_left: u64,
    file_bytes_max: u64,
    ratio_max: u64,
    end: Instant,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Budget {
            files_left: limits.files_max,
            bytes_left: limits.unpacked_bytes_max,
            file_bytes_max: limits.file_bytes_max,
            ratio_max: limits.ratio_max,
            end: Instant::now() + limits.time_max,
        }
    }

    /// Takes one file; false when there are too many.
    pub(super) fn take_file(&mut self) -> bool {
        let left = self.files_left > 0;
        self.files_left = self.files_left.saturating_sub(1);
        left
    }

    /// True while there is time.
    pub(super) fn in_time(&self) -> bool {
        Instant::now() < self.end
    }

    /// Pays for content that lies ready in the mail or was unpacked elsewhere.
    ///
    /// # Errors
    /// When it is over a limit.
    pub(super) fn spend(&mut self, bytes: u64) -> Result<(), Reason> {
        if !self.in_time() {
            return Err(Limit::Time.into());
        }
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        if bytes > self.file_bytes_max || self.bytes_left == 0 { Err(Limit::Size.into()) } else { Ok(()) }
    }

    /// Reads a stream to its end and throws it away; what is unpacked on the way is paid for.
    ///
    /// # Errors
    /// The reason when a limit is hit or the stream is damaged.
    pub(super) fn skip(&mut self, mut stream: impl Read) -> Result<(), Reason> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            if !self.in_time() {
                return Err(Limit::Time.into());
            }
            let count = stream.read(&mut chunk).map_err(|error| Reason::Damaged(error.to_string()))?;
            if count == 0 {
                return Ok(());
            }
            self.bytes_left = self.bytes_left.saturating_sub(count as u64);
            if self.bytes_left == 0 {
                return Err(Limit::Size.into());
            }
        }
    }

    /// Reads an unpacked stream to its end.
    ///
    /// # Errors
    /// The reason when a limit is hit or the stream is damaged.
    pub(super) fn unpack(&mut self, mut stream: impl Read, packed: u64) -> Result<Vec<u8>, Reason> {
        let ratio_bytes = RATIO_FREE_BYTES.saturating_add(packed.saturating_mul(self.ratio_max));
        let mut out = Vec::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            if !self.in_time() {
                return Err(Limit::Time.into());
            }
            let count = stream.read(&mut chunk).map_err(|error| Reason::Damaged(error.to_string()))?;
            if count == 0 {
                return Ok(out);
            }
            out.extend_from_slice(&chunk[..count]);
            let size = out.len() as u64;
            self.bytes_left = self.bytes_left.saturating_sub(count as u64);
            if size > ratio_bytes {
                return Err(Limit::Ratio(self.ratio_max).into());
            }
            if size > self.file_bytes_max || self.bytes_left == 0 {
                return Err(Limit::Size.into());
            }
        }
    }
}

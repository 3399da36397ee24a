//! What the targets of one file format share.

use hinomi_mail::parse::{Limits, Reason, analyse_file};
use std::time::Duration;

/// Small limits, so that a case is quick.
pub fn limits() -> Limits {
    Limits {
        files_max: 100,
        unpacked_bytes_max: 8 << 20,
        file_bytes_max: 4 << 20,
        time_max: Duration::from_secs(2),
        ..Limits::default()
    }
}

/// Reads a file whose bytes at `at` are made to be the format's mark.
pub fn file(name: &str, mark: &[u8], at: usize, data: &[u8]) {
    let mut bytes = data.to_vec();
    bytes.resize(bytes.len().max(at + mark.len()), 0);
    bytes[at..at + mark.len()].copy_from_slice(mark);
    let limits = limits();
    let found = analyse_file(name, &bytes, &limits);
    assert!(found.files.len() <= limits.files_max && found.urls.len() <= limits.urls_max);
    assert!(found.notes.iter().all(|note| note.reason != Reason::ReaderFailed));
    let unpacked: u64 = found.files.iter().skip(1).map(|file| file.attachment.size).sum();
    assert!(unpacked <= limits.unpacked_bytes_max);
}

//! Any bytes are analysed within limits; a panic of a parser inside counts as a finding.
#![no_main]

use hinomi_mail::parse::{Limits, Reason, analyse};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

fuzz_target!(|raw: &[u8]| {
    let limits = Limits {
        unpacked_bytes_max: 8 << 20,
        file_bytes_max: 4 << 20,
        time_max: Duration::from_secs(2),
        ..Limits::default()
    };
    let found = analyse(raw, &limits);
    assert!(found.files.len() <= limits.files_max && found.urls.len() <= limits.urls_max);
    assert!(found.notes.iter().all(|note| note.reason != Reason::ReaderFailed));
});

//! Any bytes as a ZIP archive.
#![no_main]

mod shared;

libfuzzer_sys::fuzz_target!(|data: &[u8]| shared::file("a.zip", b"PK\x03\x04", 0, data));

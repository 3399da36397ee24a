//! Any bytes as a gzip stream.
#![no_main]

mod shared;

libfuzzer_sys::fuzz_target!(|data: &[u8]| shared::file("a.gz", b"\x1f\x8b\x08", 0, data));

//! Any bytes as a tar archive.
#![no_main]

mod shared;

libfuzzer_sys::fuzz_target!(|data: &[u8]| shared::file("a.tar", b"ustar", 257, data));

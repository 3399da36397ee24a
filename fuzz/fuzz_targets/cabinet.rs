//! Any bytes as a cabinet.
#![no_main]

mod shared;

libfuzzer_sys::fuzz_target!(|data: &[u8]| shared::file("a.cab", b"MSCF\0\0\0\0", 0, data));

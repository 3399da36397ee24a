//! Any bytes as a winmail.dat.
#![no_main]

mod shared;

libfuzzer_sys::fuzz_target!(|data: &[u8]| shared::file("winmail.dat", b"\x78\x9f\x3e\x22", 0, data));

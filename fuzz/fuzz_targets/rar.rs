//! Any bytes as a RAR archive of version 4 and of version 5.
#![no_main]

mod shared;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((version, data)) = data.split_first() else { return };
    match version & 1 {
        0 => shared::file("a.rar", b"Rar!\x1a\x07\x00", 0, data),
        _ => shared::file("a.rar", b"Rar!\x1a\x07\x01\x00", 0, data),
    }
});

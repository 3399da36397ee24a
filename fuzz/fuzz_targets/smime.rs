//! Any bytes as an S/MIME envelope: behind a valid beginning of a signed message, and as they are.
#![no_main]

mod shared;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let head = b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80\x30\x80\x02\x01\x01\x31\x00\x30\x80";
    shared::file("smime.p7m", b"", 0, &[head, data].concat());
    shared::file("smime.p7m", b"\x30", 0, data);
});

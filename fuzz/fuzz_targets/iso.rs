//! Any bytes as the descriptors and directories of an ISO 9660 image.
#![no_main]

mod shared;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut image = vec![0; 16 * 2_048];
    image.extend_from_slice(data);
    image.resize(image.len().max(20 * 2_048), 0);
    shared::file("a.iso", b"\x01CD001", 16 * 2_048, &image);
});

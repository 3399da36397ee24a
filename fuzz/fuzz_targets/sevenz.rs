//! Any bytes as a 7z archive. The checksums of both headers are made right, else nothing behind them
//! would be read.
#![no_main]

mod shared;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    bytes.resize(bytes.len().max(40), 0);
    // offset and size of the header may be anything in the file
    let rest = bytes.len() - 32;
    let offset = usize::from(bytes[12]) | usize::from(bytes[13]) << 8;
    let offset = offset % rest;
    let size = rest - offset;
    bytes[12..20].copy_from_slice(&(offset as u64).to_le_bytes());
    bytes[20..28].copy_from_slice(&(size as u64).to_le_bytes());
    let header = crc(&bytes[32 + offset..]);
    bytes[28..32].copy_from_slice(&header.to_le_bytes());
    let start = crc(&bytes[12..32]);
    bytes[8..12].copy_from_slice(&start.to_le_bytes());
    shared::file("a.7z", b"7z\xbc\xaf\x27\x1c\x00\x04", 0, &bytes);
});

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

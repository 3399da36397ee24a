//! A quick hash for tables whose hits are confirmed by comparing: speed depends on it, answers do not.

const K: [u64; 3] = [0x9E37_79B9_7F4A_7C15, 0xD1B5_4A32_D192_ED03, 0x8CB9_2BA7_2F3D_8DD7];

/// Hashes bytes, sixteen at a time.
pub(crate) fn bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(K[0]);
    let mut chunks = bytes.chunks_exact(16);
    for chunk in &mut chunks {
        hash = fold(word(&chunk[..8]) ^ K[1], word(&chunk[8..]) ^ hash);
    }
    let rest = chunks.remainder();
    if rest.len() >= 8 {
        // the two words overlap
        hash = fold(word(&rest[..8]) ^ K[1], word(&rest[rest.len() - 8..]) ^ hash);
    } else if !rest.is_empty() {
        let mut padded = [0; 8];
        padded[..rest.len()].copy_from_slice(rest);
        hash = fold(word(&padded) ^ K[2], hash ^ K[1]);
    }
    finish(hash)
}

/// Spreads a word over all bits.
pub(crate) fn finish(hash: u64) -> u64 {
    fold(hash ^ K[0], K[2])
}

fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(word)
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

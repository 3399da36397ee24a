//! Seals small secrets with the vault key (AES-256-GCM), bound to what they belong to.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

fn key(vault: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, vault).expect("32 bytes are an AES-256 key"))
}

/// Seals a text; `owner` must be the same when opening.
pub fn seal(vault: &[u8; 32], owner: &str, text: &str) -> String {
    let nonce: [u8; NONCE_LEN] = crate::keys::random();
    let mut sealed = text.as_bytes().to_vec();
    key(vault)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad(owner)), &mut sealed)
        .expect("a short text is within AES-GCM's limits");
    STANDARD_NO_PAD.encode([nonce.as_slice(), &sealed].concat())
}

/// Opens a sealed text; none when it was changed or belongs to another.
pub fn open(vault: &[u8; 32], owner: &str, sealed: &str) -> Option<String> {
    let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
    let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
    let mut sealed = sealed.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let text = key(vault).open_in_place(nonce, Aad::from(aad(owner)), &mut sealed).ok()?;
    String::from_utf8(text.to_vec()).ok()
}

fn aad(owner: &str) -> Vec<u8> {
    format!("hinomi-sealed-v1:{owner}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_opens() {
        let vault = [7; 32];
        let sealed = seal(&vault, "user-1", "GEZDGNBV");
        assert_eq!(open(&vault, "user-1", &sealed).as_deref(), Some("GEZDGNBV"));
        assert_eq!(open(&vault, "user-2", &sealed), None);
        assert_eq!(open(&[8; 32], "user-1", &sealed), None);
        assert_eq!(open(&vault, "user-1", "x"), None);
    }
}

//! A passkey in software: P-256, attestation "none", user verified.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// One passkey of one site.
pub struct Authenticator {
    key: EcdsaKeyPair,
    id: [u8; 16],
    pub origin: String,
    pub rp_id: String,
    counter: u32,
}

impl Authenticator {
    pub fn new(origin: &str, rp_id: &str) -> Self {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).expect("key");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &SystemRandom::new())
            .expect("key");
        Authenticator { key, id: [7; 16], origin: origin.to_owned(), rp_id: rp_id.to_owned(), counter: 0 }
    }

    /// Answers `navigator.credentials.create`.
    pub fn create(&mut self, options: &Value) -> Value {
        let client = self.client_data("webauthn.create", &options["publicKey"]["challenge"]);
        let mut data = self.data(0x45); // user present, user verified, attested credential data
        data.extend([0; 16]);
        data.extend(16_u16.to_be_bytes());
        data.extend(self.id);
        data.extend(cose(self.key.public_key().as_ref()));
        let mut object = vec![0xa3];
        object.extend(text("fmt"));
        object.extend(text("none"));
        object.extend(text("attStmt"));
        object.push(0xa0);
        object.extend(text("authData"));
        object.extend(bytes(&data));
        json!({
            "id": encode(&self.id), "rawId": encode(&self.id), "type": "public-key",
            "response": { "clientDataJSON": encode(&client), "attestationObject": encode(&object) },
            "clientExtensionResults": {},
        })
    }

    /// Answers `navigator.credentials.get`.
    pub fn get(&mut self, options: &Value) -> Value {
        let client = self.client_data("webauthn.get", &options["publicKey"]["challenge"]);
        let data = self.data(0x05); // user present, user verified
        let signed = [data.as_slice(), &Sha256::digest(&client)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).expect("signature");
        json!({
            "id": encode(&self.id), "rawId": encode(&self.id), "type": "public-key",
            "response": {
                "clientDataJSON": encode(&client), "authenticatorData": encode(&data),
                "signature": encode(signature.as_ref()), "userHandle": null,
            },
            "clientExtensionResults": {},
        })
    }

    fn client_data(&self, kind: &str, challenge: &Value) -> Vec<u8> {
        json!({ "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false })
            .to_string()
            .into_bytes()
    }

    fn data(&mut self, flags: u8) -> Vec<u8> {
        self.counter += 1;
        let mut data = Sha256::digest(self.rp_id.as_bytes()).to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }
}

/// CBOR of an EC2 key: {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
fn cose(point: &[u8]) -> Vec<u8> {
    let mut map = vec![0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21];
    map.extend(bytes(&point[1..33]));
    map.push(0x22);
    map.extend(bytes(&point[33..65]));
    map
}

fn text(text: &str) -> Vec<u8> {
    [&[0x60 | text.len() as u8], text.as_bytes()].concat()
}

fn bytes(data: &[u8]) -> Vec<u8> {
    let head = match data.len() {
        short @ ..=23 => vec![0x40 | short as u8],
        long @ ..=255 => vec![0x58, long as u8],
        long => vec![0x59, (long >> 8) as u8, long as u8],
    };
    [head.as_slice(), data].concat()
}

fn encode(data: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(data)
}

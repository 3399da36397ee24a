//! One sealed secret.

use super::{Hidden, master::Master};
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hinomi_model::Timestamp;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

/// What a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// Password of a master user.
    Password,
    /// TOML with the credentials of single mailboxes.
    Credentials,
    /// Client secret of an app registration.
    ClientSecret,
    /// PEM with key and certificate of an app registration.
    Certificate,
}

impl SecretKind {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            SecretKind::Password => "password",
            SecretKind::Credentials => "credentials",
            SecretKind::ClientSecret => "client_secret",
            SecretKind::Certificate => "certificate",
        }
    }
}

/// A secret as it lies on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// What it is.
    pub kind: SecretKind,
    /// Drawn each time it is set.
    pub version: String,
    /// When it was set.
    pub set_at: Timestamp,
    nonce: String,
    content: String,
}

impl Sealed {
    pub(super) fn seal(
        master: &Master,
        name: &str,
        kind: SecretKind,
        content: &Hidden,
        set_at: Timestamp,
    ) -> Result<Self> {
        let version = hex::encode(crate::keys::random::<8>());
        let empty = Sealed { kind, version, set_at, nonce: String::new(), content: String::new() };
        empty.with(master, name, content)
    }

    /// The same secret under another master key.
    pub(super) fn again(&self, from: &Master, to: &Master, name: &str) -> Result<Self> {
        let content = self.open(name, &from.key_of(name))?;
        self.clone().with(to, name, &content)
    }

    fn with(self, master: &Master, name: &str, content: &Hidden) -> Result<Self> {
        let nonce = crate::keys::random::<NONCE_LEN>();
        let mut bytes = content.bytes().to_vec();
        bytes.reserve_exact(AES_256_GCM.tag_len());
        let aad = Aad::from(self.bound_to(name));
        let sealing = cipher(&master.key_of(name))?;
        sealing
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes)
            .map_err(|_| anyhow::anyhow!("seal the secret of {name:?}"))?;
        Ok(Sealed { nonce: hex::encode(nonce), content: STANDARD.encode(&bytes), ..self })
    }

    /// Opens it.
    ///
    /// # Errors
    /// When key or name are others, or the file was changed.
    pub fn open(&self, name: &str, key: &Hidden) -> Result<Hidden> {
        let damaged = || format!("the sealed secret of {name:?} is damaged or was sealed with another key");
        let nonce = hex::decode(&self.nonce).with_context(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| anyhow::anyhow!(damaged()))?;
        let mut bytes = STANDARD.decode(&self.content).with_context(damaged)?;
        let aad = Aad::from(self.bound_to(name));
        let opened = cipher(key)?.open_in_place(nonce, aad, &mut bytes).map_err(|_| anyhow::anyhow!(damaged()))?;
        let content = Hidden::from(opened.to_vec());
        drop(Hidden::from(bytes));
        Ok(content)
    }

    /// What is authenticated beside the content.
    fn bound_to(&self, name: &str) -> Vec<u8> {
        let parts = ["hinomi mail secret 1", name, self.kind.word(), &self.version];
        parts.join("\0").into_bytes()
    }
}

fn cipher(key: &Hidden) -> Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, key.bytes()).map_err(|_| anyhow::anyhow!("a key has the wrong length"))?;
    Ok(LessSafeKey::new(key))
}

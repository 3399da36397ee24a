//! Who this sensor is and whom it obeys: written by enrolment, read at every start.

use crate::files;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hinomi_model::DeviceId;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

const IDENTITY: &str = "identity.json";
const KEY: &str = "key.pem";

/// The result of enrolment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Id the server gave, also the common name of the certificate.
    pub device_id: DeviceId,
    /// Address of the sensor listener, `https://host:port`.
    pub url: String,
    /// Certificate of the server's authority, DER in base64: the only one trusted.
    pub authority: String,
    /// Client certificate, DER in base64.
    pub certificate: String,
    /// Ed25519 public key that signs commands, base64.
    pub command_key: String,
    /// Private key, PKCS#8 PEM; kept in its own file.
    #[serde(skip)]
    pub key_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity {{ device_id: {}, url: {:?}, .. }}", self.device_id, self.url)
    }
}

/// The identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No enrolment has taken place in this folder.
    #[error("{0} holds no identity: run `hinomi-sensor enrol` first")]
    NotEnrolled(PathBuf),
    /// Not readable or damaged.
    #[error("read identity in {0}")]
    Read(PathBuf, #[source] io::Error),
    /// Not writable.
    #[error("write identity in {0}")]
    Write(PathBuf, #[source] io::Error),
    /// The command key is not 32 bytes of base64.
    #[error("the command key of the identity is damaged")]
    CommandKey,
}

impl Identity {
    /// Reads the identity in a data folder.
    ///
    /// # Errors
    /// When there is none or it is damaged.
    pub fn load(data: &Path) -> Result<Identity, IdentityError> {
        let read = |source| IdentityError::Read(data.to_owned(), source);
        let mut identity: Identity = files::read_json(&data.join(IDENTITY))
            .map_err(read)?
            .ok_or_else(|| IdentityError::NotEnrolled(data.to_owned()))?;
        identity.key_pem = std::fs::read_to_string(data.join(KEY)).map_err(read)?;
        identity.command_key()?;
        Ok(identity)
    }

    /// True when the folder holds an identity.
    pub fn exists(data: &Path) -> bool {
        data.join(IDENTITY).exists()
    }

    /// Writes key and identity, the identity last: what exists is complete.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, data: &Path) -> Result<(), IdentityError> {
        let write = |source| IdentityError::Write(data.to_owned(), source);
        files::private_dir(data).map_err(write)?;
        files::write_private(&data.join(KEY), self.key_pem.as_bytes()).map_err(write)?;
        files::write_json(&data.join(IDENTITY), self).map_err(write)
    }

    /// Returns the public key that signs commands.
    ///
    /// # Errors
    /// When it is not 32 bytes.
    pub fn command_key(&self) -> Result<Vec<u8>, IdentityError> {
        let key = STANDARD.decode(&self.command_key).map_err(|_| IdentityError::CommandKey)?;
        if key.len() == 32 { Ok(key) } else { Err(IdentityError::CommandKey) }
    }
}

/// Wraps base64 DER as a PEM certificate, as the TLS library reads it.
pub fn certificate_pem(base64_der: &str) -> String {
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in base64_der.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

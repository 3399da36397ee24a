//! Bytes that are not shown and are overwritten when they are no longer needed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Secret bytes. Debug output shows their number only. Serialised as base64: only what leads to the
/// mail worker may do that.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(Vec<u8>);

impl Hidden {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As text.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn text(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(&self.0)
    }
}

impl From<Vec<u8>> for Hidden {
    fn from(bytes: Vec<u8>) -> Self {
        Hidden(bytes)
    }
}

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        Hidden(text.as_bytes().to_vec())
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        self.0.fill(0);
        // keeps the compiler from leaving the overwriting out
        std::hint::black_box(&self.0);
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hidden({} bytes)", self.0.len())
    }
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Hidden).map_err(|_| serde::de::Error::custom("not base64"))
    }
}

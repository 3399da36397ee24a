//! The one-time enrolment token: one line to copy onto the endpoint.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

const PREFIX: &str = "hinomi1.";

/// What a sensor needs to enrol: where, whom to trust, and the one-time secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentToken {
    /// Address of the sensor listener, `https://host:port`.
    pub url: String,
    /// Certificate of the server's authority, DER, in base64.
    pub authority: String,
    /// The one-time secret.
    pub secret: String,
}

/// A text is not an enrolment token.
#[derive(Debug, thiserror::Error)]
#[error("not an enrolment token: it begins with {PREFIX} and is copied as one line")]
pub struct TokenError;

impl EnrolmentToken {
    /// Writes the token as one line.
    pub fn encode(&self) -> String {
        let json = serde_json::to_vec(self).expect("three strings always serialise");
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }

    /// Reads a token.
    ///
    /// # Errors
    /// When the line is not a token.
    pub fn decode(line: &str) -> Result<Self, TokenError> {
        let body = line.trim().strip_prefix(PREFIX).ok_or(TokenError)?;
        let json = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenError)?;
        serde_json::from_slice(&json).map_err(|_| TokenError)
    }
}

impl std::fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EnrolmentToken {{ url: {:?}, .. }}", self.url)
    }
}

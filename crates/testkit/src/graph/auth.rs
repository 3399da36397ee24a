//! The stub's tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Who may log in, and which tokens are good.
#[derive(Default)]
pub(super) struct Auth {
    client_id: String,
    secret: String,
    certificate: Option<Vec<u8>>,
    good: BTreeSet<String>,
    given: usize,
}

impl Auth {
    pub fn new(client_id: &str, secret: &str) -> Self {
        Auth { client_id: client_id.to_owned(), secret: secret.to_owned(), ..Auth::default() }
    }

    pub fn trust(&mut self, der: &[u8]) {
        self.certificate = Some(der.to_vec());
    }

    pub fn given(&self) -> usize {
        self.given
    }

    pub fn knows(&self, token: &str) -> bool {
        self.good.contains(token)
    }

    pub fn expire(&mut self, token: &str) {
        self.good.remove(token);
    }

    /// Answers a request for a token.
    pub fn token(&mut self, audience: &str, body: &[u8]) -> (u16, Value) {
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(body).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let denied = |text: &str| {
            (
                401,
                json!({ "error": "invalid_client", "error_description": format!("AADSTS7000215: {text}\r\nTrace ID: 0") }),
            )
        };
        if field("grant_type") != "client_credentials" || !field("scope").ends_with("/.default") {
            return denied("only client credentials with the default scope");
        }
        if field("client_id") != self.client_id {
            return denied("unknown application");
        }
        let assertion = field("client_assertion");
        let proved = match assertion.is_empty() {
            true => field("client_secret") == self.secret,
            false => self.is_signed(audience, assertion),
        };
        if !proved {
            return denied("invalid client secret or assertion");
        }
        self.given += 1;
        let token = format!("stub-token-{}", self.given);
        self.good.insert(token.clone());
        (200, json!({ "token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token }))
    }

    /// Checks an assertion as the login service documents it.
    fn is_signed(&self, audience: &str, assertion: &str) -> bool {
        let parts: Vec<&str> = assertion.split('.').collect();
        let [header, claims, signature] = parts[..] else { return false };
        let Some(der) = &self.certificate else { return false };
        let json = |part: &str| -> Value {
            let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
            serde_json::from_slice(&bytes).unwrap_or_default()
        };
        let (head, body) = (json(header), json(claims));
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(der));
        let lives = body["exp"].as_u64().unwrap_or_default().saturating_sub(body["nbf"].as_u64().unwrap_or_default());
        let fits = head["alg"] == "PS256"
            && head["x5t#S256"] == thumbprint.as_str()
            && body["aud"] == audience
            && body["iss"] == self.client_id.as_str()
            && body["sub"] == self.client_id.as_str()
            && body["jti"].as_str().is_some_and(|id| id.len() >= 32)
            && (1..=600).contains(&lives);
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(der) else { return false };
        let key = parsed.public_key().subject_public_key.data.as_ref();
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PSS_2048_8192_SHA256, key);
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        fits && key.verify(format!("{header}.{claims}").as_bytes(), &signature).is_ok()
    }
}

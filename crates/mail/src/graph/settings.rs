//! Who we are to the service and where it is.

use super::GraphError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::RsaKeyPair;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How to reach one tenant.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tenant: its id or one of its domains.
    pub tenant: String,
    /// Client id of the app registration.
    pub client_id: String,
    /// How the app proves who it is.
    pub credential: Credential,
    /// Base of the login service, `https://login.microsoftonline.com`; other in national clouds.
    pub login_url: Url,
    /// Base of Graph with its version, `https://graph.microsoft.com/v1.0`; other in national clouds.
    pub graph_url: Url,
    /// Authorities to believe, PEM; none = the system's.
    pub authorities_pem: Option<Vec<u8>>,
    /// Limits.
    pub limits: Limits,
}

impl Settings {
    /// Checks names and addresses.
    ///
    /// # Errors
    /// [`GraphError::Settings`] names what is wrong.
    pub fn check(&self) -> Result<(), GraphError> {
        let bad = |text: String| Err(GraphError::Settings(text));
        for (name, value) in [("tenant", &self.tenant), ("client_id", &self.client_id)] {
            let usable = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            if value.is_empty() || value.len() > 253 || !value.bytes().all(usable) {
                return bad(format!("{name} {value:?} is neither an id nor a domain"));
            }
        }
        for (name, url) in [("login_url", &self.login_url), ("graph_url", &self.graph_url)] {
            let local = url.host_str().is_some_and(|host| matches!(host, "127.0.0.1" | "localhost" | "[::1]"));
            if url.scheme() != "https" && !(url.scheme() == "http" && local) {
                return bad(format!("{name} must begin with https://"));
            }
            if url.cannot_be_a_base() || url.query().is_some() || !url.username().is_empty() {
                return bad(format!("{name} is not the base address of a service"));
            }
        }
        Ok(())
    }
}

/// How the app proves who it is.
#[derive(Clone)]
pub enum Credential {
    /// Client secret.
    Secret(String),
    /// Certificate whose private key signs an assertion.
    Certificate(SigningKey),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credential::Secret(_) => "Secret(…)",
            Credential::Certificate(_) => "Certificate(…)",
        })
    }
}

/// Private RSA key and the certificate the app registration knows.
#[derive(Clone)]
pub struct SigningKey {
    pub(super) key: Arc<RsaKeyPair>,
    /// SHA-256 of the certificate, DER.
    pub(super) thumbprint: [u8; 32],
}

impl SigningKey {
    /// Reads key (PKCS#8 or PKCS#1) and certificate, both PEM; one file may hold both.
    ///
    /// # Errors
    /// [`GraphError::Settings`] when either is missing or not RSA of 2,048 to 8,192 bits.
    pub fn from_pem(key: &str, certificate: &str) -> Result<Self, GraphError> {
        let missing = |what: &str| GraphError::Settings(format!("no {what} in the PEM file"));
        let parsed = match (block(key, "PRIVATE KEY"), block(key, "RSA PRIVATE KEY")) {
            (Some(der), _) => RsaKeyPair::from_pkcs8(&der),
            (None, Some(der)) => RsaKeyPair::from_der(&der),
            (None, None) => return Err(missing("private key")),
        };
        let key = parsed.map_err(|error| GraphError::Settings(format!("the private key cannot be used: {error}")))?;
        let certificate = block(certificate, "CERTIFICATE").ok_or_else(|| missing("certificate"))?;
        Ok(SigningKey { key: Arc::new(key), thumbprint: Sha256::digest(&certificate).into() })
    }
}

/// Bytes of the first PEM block with this label.
fn block(pem: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    STANDARD.decode(body).ok()
}

/// What is accepted from the service and how long is waited for it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest JSON answer, bytes.
    pub json_bytes_max: usize,
    /// Largest mail, bytes. Exchange Online's own limit is 150 MB (Microsoft, "Exchange Online
    /// limits", message size).
    pub mail_bytes_max: usize,
    /// Pages of one list.
    pub pages_max: usize,
    /// Tries of one request, the first included.
    pub tries_max: u32,
    /// First pause after a failure without Retry-After; doubled each time, half of it jitter.
    pub pause: Duration,
    /// Longest pause within one call; a service that asks for more gets its rest from the caller.
    pub pause_max: Duration,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest silence in an answer.
    pub silence_max: Duration,
    /// Longest whole answer.
    pub answer_timeout: Duration,
    /// Requests of one mailbox at a time. 4 is Outlook's limit per app and mailbox (Microsoft,
    /// "Microsoft Graph service-specific throttling limits").
    pub per_mailbox: usize,
    /// Mailboxes at a time.
    pub mailboxes: usize,
    /// How long a request waits for others to go with it.
    pub gather: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            json_bytes_max: 16 << 20,
            mail_bytes_max: 160 << 20,
            pages_max: 2_000,
            tries_max: 6,
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(10),
            silence_max: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(300),
            per_mailbox: 4,
            mailboxes: 80,
            gather: Duration::from_millis(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(login: &str, graph: &str) -> Settings {
        Settings {
            tenant: "contoso.example".to_owned(),
            client_id: "11111111-2222-3333-4444-555555555555".to_owned(),
            credential: Credential::Secret("hush".to_owned()),
            login_url: Url::parse(login).expect("url"),
            graph_url: Url::parse(graph).expect("url"),
            authorities_pem: None,
            limits: Limits::default(),
        }
    }

    #[test]
    fn tokens_travel_protected_or_not_at_all() {
        let good = "https://graph.example/v1.0";
        assert!(settings("https://login.example", good).check().is_ok());
        assert!(settings("http://127.0.0.1:1", "http://localhost:2/v1.0").check().is_ok());
        for (login, graph) in [
            ("http://login.example", good),
            ("https://login.example", "http://graph.example/v1.0"),
            ("https://login.example", "https://user@graph.example/v1.0"),
            ("https://login.example", "https://graph.example/v1.0?x=1"),
            ("https://login.example", "mailto:x@example"),
        ] {
            assert!(settings(login, graph).check().is_err(), "{login} {graph}");
        }
        let mut odd = settings("https://login.example", good);
        odd.tenant = "../common".to_owned();
        assert!(odd.check().is_err());
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", settings("https://login.example", "https://graph.example/v1.0"));
        assert!(!shown.contains("hush"), "{shown}");
        assert!(SigningKey::from_pem("nothing", "nothing").is_err());
    }
}

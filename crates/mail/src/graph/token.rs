//! Tokens by client credentials: a secret, or an assertion signed with a certificate's key.
//!
//! Form of the assertion: Microsoft, "Microsoft identity platform application authentication
//! certificate credentials" (PS256, `x5t#S256`, audience the token endpoint).

use super::client::read_limited;
use super::{Clock, Credential, GraphError, Settings, SigningKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::RSA_PSS_SHA256;
use serde::Deserialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Mutex;

/// Largest answer of the login service, bytes.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// A token is renewed this long before it ends.
const EARLY: Duration = Duration::from_secs(300);
/// How long an assertion holds.
const ASSERTION_SECONDS: u64 = 600;

/// The token in use.
pub(super) struct Tokens {
    current: Mutex<Option<Held>>,
}

#[derive(Clone)]
struct Held {
    token: String,
    until: SystemTime,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize, Default)]
struct Denied {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Tokens {
    pub(super) fn new() -> Self {
        Tokens { current: Mutex::new(None) }
    }

    /// Returns a token; asks for one when there is none or it ends soon. Callers wait for one request
    /// instead of each making their own.
    pub(super) async fn get(
        &self,
        http: &reqwest::Client,
        settings: &Settings,
        clock: &dyn Clock,
    ) -> Result<String, GraphError> {
        let mut current = self.current.lock().await;
        if let Some(held) = current.as_ref().filter(|held| held.until > clock.now()) {
            return Ok(held.token.clone());
        }
        let held = request(http, settings, clock).await?;
        *current = Some(held.clone());
        Ok(held.token)
    }

    /// Forgets a token the service refused; a newer one stays.
    pub(super) async fn forget(&self, token: &str) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|held| held.token == token) {
            *current = None;
        }
    }
}

async fn request(http: &reqwest::Client, settings: &Settings, clock: &dyn Clock) -> Result<Held, GraphError> {
    let mut url = settings.login_url.clone();
    url.path_segments_mut()
        .map_err(|()| GraphError::Settings("login_url is not a base address".to_owned()))?
        .pop_if_empty()
        .extend([settings.tenant.as_str(), "oauth2", "v2.0", "token"]);
    let scope = format!("{}/.default", settings.graph_url.origin().ascii_serialization());
    let mut form = vec![
        ("grant_type", "client_credentials".to_owned()),
        ("client_id", settings.client_id.clone()),
        ("scope", scope),
    ];
    match &settings.credential {
        Credential::Secret(secret) => form.push(("client_secret", secret.clone())),
        Credential::Certificate(key) => {
            form.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned()));
            form.push(("client_assertion", assertion(key, &settings.client_id, url.as_str(), clock.now())?));
        }
    }
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let attempt = "get a token";
    let asked = clock.now();
    let response =
        http.post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .map_err(|source| GraphError::Transport { attempt: attempt.to_owned(), source: source.without_url() })?;
    let status = response.status();
    let retry_after = super::client::retry_after(response.headers());
    let body = read_limited(response, ANSWER_BYTES_MAX, attempt).await?;
    if matches!(status.as_u16(), 429 | 500..=599) {
        return Err(GraphError::Busy { attempt: attempt.to_owned(), status: status.as_u16(), retry_after });
    }
    if !status.is_success() {
        let denied: Denied = serde_json::from_slice(&body).unwrap_or_default();
        // a service, or what stands before it, may quote what it refuses
        let clean = |text: &str| match &settings.credential {
            Credential::Secret(secret) => shorten(&text.replace(secret.as_str(), "…")),
            Credential::Certificate(_) => shorten(text),
        };
        let first_line = denied.error_description.lines().next().unwrap_or_default();
        let text = format!("status {status}, {}: {}", clean(&denied.error), clean(first_line));
        return Err(GraphError::Login(text));
    }
    let granted: Granted = serde_json::from_slice(&body)
        .map_err(|error| GraphError::Answer { attempt: attempt.to_owned(), reason: error.to_string() })?;
    if granted.access_token.is_empty() || !granted.access_token.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
        return Err(GraphError::Login("the token is not one line of text".to_owned()));
    }
    let lifetime = Duration::from_secs(granted.expires_in.min(86_400));
    // a token shorter than the margin is used for half its life
    let margin = EARLY.min(lifetime / 2);
    Ok(Held { token: granted.access_token, until: asked + (lifetime - margin) })
}

pub(super) fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// A signed statement that we are the app, good for ten minutes and one audience.
fn assertion(key: &SigningKey, client_id: &str, audience: &str, now: SystemTime) -> Result<String, GraphError> {
    let random = SystemRandom::new();
    let no_chance = |_| GraphError::Settings("the system gives no random numbers".to_owned());
    let mut id = [0; 16];
    random.fill(&mut id).map_err(no_chance)?;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let header = serde_json::json!({
        "alg": "PS256",
        "typ": "JWT",
        "x5t#S256": URL_SAFE_NO_PAD.encode(key.thumbprint),
    });
    let claims = serde_json::json!({
        "aud": audience,
        "iss": client_id,
        "sub": client_id,
        "jti": hex::encode(id),
        "nbf": now,
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
    });
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let mut signature = vec![0; key.key.public().modulus_len()];
    key.key.sign(&RSA_PSS_SHA256, &random, signed.as_bytes(), &mut signature).map_err(no_chance)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

//! Carries requests: token, host check, retries as the service asks, limits.

use super::batch::Waiting;
use super::token::{Tokens, shorten};
use super::types::ErrorBody;
use super::{Clock, GraphError, Settings};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use reqwest::header::HeaderMap;
use reqwest::{Certificate, Method};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// Where Debian's package ca-certificates keeps the authorities.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Gates of mailboxes kept before unused ones are swept out.
const GATES_MAX: usize = 4_096;
/// Asked of every answer: ids that stay with a mail through moves (Microsoft, "Obtain immutable
/// identifiers for Outlook resources").
pub(super) const PREFER_IMMUTABLE: &str = "IdType=\"ImmutableId\"";

/// Carries requests of one tenant. Cheap to clone.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Inner>);

pub(super) struct Inner {
    http: reqwest::Client,
    pub settings: Settings,
    clock: Arc<dyn Clock>,
    tokens: Tokens,
    gates: Mutex<HashMap<String, Weak<Semaphore>>>,
    pub waiting: Mutex<Vec<Waiting>>,
}

impl Inner {
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("tenant", &self.0.settings.tenant).finish_non_exhaustive()
    }
}

/// One request.
#[derive(Clone)]
pub(super) struct Call {
    /// What it is for, in errors; names no address.
    pub attempt: &'static str,
    pub method: Method,
    /// Path and query below Graph's base, encoded.
    pub path: String,
    pub body: Option<serde_json::Value>,
    /// The mailbox whose limits count; empty for calls about the tenant.
    pub mailbox: String,
    /// Rows per page that are asked for where the query cannot say so.
    pub rows: Option<usize>,
}

impl Call {
    /// What is asked of the answer (RFC 7240).
    pub(super) fn preferences(&self) -> String {
        match self.rows {
            Some(rows) => format!("{PREFER_IMMUTABLE}, odata.maxpagesize={rows}"),
            None => PREFER_IMMUTABLE.to_owned(),
        }
    }
}

/// What the service answered.
pub(super) struct Reply {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Bytes,
    /// The token it was asked with.
    pub token: String,
    /// An earlier try of the same request may have been carried out.
    pub uncertain: bool,
}

impl Reply {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Reads the body of a success; anything else is the error the service names.
    pub(super) fn json<T: DeserializeOwned>(&self, attempt: &str) -> Result<T, GraphError> {
        if !self.is_success() {
            return Err(self.refusal(attempt));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| GraphError::Answer { attempt: attempt.to_owned(), reason: error.to_string() })
    }

    /// The error a refusal names.
    pub(super) fn refusal(&self, attempt: &str) -> GraphError {
        let body: ErrorBody = serde_json::from_slice(&self.body).unwrap_or_default();
        GraphError::Refused {
            attempt: attempt.to_owned(),
            status: self.status,
            code: shorten(&body.error.code),
            message: shorten(&body.error.message),
        }
    }
}

impl Client {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    /// When the settings or the authorities cannot be used.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, GraphError> {
        settings.check()?;
        let bad = |text: String| GraphError::Settings(text);
        let pem = match &settings.authorities_pem {
            Some(pem) => pem.clone(),
            None => {
                std::fs::read(SYSTEM_AUTHORITIES).map_err(|error| bad(format!("read {SYSTEM_AUTHORITIES}: {error}")))?
            }
        };
        let limits = &settings.limits;
        let mut builder = reqwest::Client::builder()
            .use_rustls_tls()
            // a redirect would carry the token to wherever it points
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(limits.connect_timeout)
            .read_timeout(limits.silence_max)
            .timeout(limits.answer_timeout)
            .user_agent("Hinomi");
        let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| bad(format!("authorities: {error}")))?;
        for authority in authorities {
            builder = builder.add_root_certificate(authority);
        }
        let http = builder.build().map_err(|error| bad(format!("prepare HTTPS client: {error}")))?;
        Ok(Client(Arc::new(Inner {
            http,
            settings,
            clock,
            tokens: Tokens::new(),
            gates: Mutex::default(),
            waiting: Mutex::default(),
        })))
    }

    /// Sends a request by itself.
    pub(super) async fn send(&self, call: &Call) -> Result<Reply, GraphError> {
        let limit = self.0.settings.limits.json_bytes_max;
        self.persist(call, || self.once(call, limit)).await
    }

    /// Sends a request by itself whose answer is a mail.
    pub(super) async fn send_for_mail(&self, call: &Call) -> Result<Reply, GraphError> {
        let limit = self.0.settings.limits.mail_bytes_max;
        self.persist(call, || self.once(call, limit)).await
    }

    /// Sends a request together with others that are under way.
    pub(super) async fn send_together(&self, call: &Call) -> Result<Reply, GraphError> {
        self.persist(call, || async {
            let _gate = self.gate(&call.mailbox).await?;
            self.gather(call.clone()).await
        })
        .await
    }

    /// Tries again as long as the service asks for it or the connection breaks.
    async fn persist<F, R>(&self, call: &Call, once: F) -> Result<Reply, GraphError>
    where
        F: Fn() -> R,
        R: Future<Output = Result<Reply, GraphError>>,
    {
        let limits = &self.0.settings.limits;
        let mut uncertain = false;
        let mut renewed = false;
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match once().await {
                Ok(reply) if reply.status == 401 && !renewed => {
                    renewed = true;
                    self.0.tokens.forget(&reply.token).await;
                    continue;
                }
                Ok(reply) if is_busy(reply.status) => {
                    uncertain |= reply.status >= 500;
                    GraphError::Busy {
                        attempt: call.attempt.to_owned(),
                        status: reply.status,
                        retry_after: reply.retry_after,
                    }
                }
                Ok(reply) => return Ok(Reply { uncertain, ..reply }),
                Err(error) if error.is_passing() => {
                    uncertain = true;
                    error
                }
                Err(error) => return Err(error),
            };
            let pause = self.pause(tries, error.retry_after());
            if tries >= limits.tries_max || pause > limits.pause_max {
                return Err(error);
            }
            tracing::debug!(tries, "{}: tried again in {} ms: {error}", call.attempt, pause.as_millis());
            self.0.clock.sleep(pause).await;
        }
    }

    /// How long to wait: never shorter than the service asks; else doubling, half of it by chance.
    fn pause(&self, tries: u32, asked: Option<Duration>) -> Duration {
        let limits = &self.0.settings.limits;
        let chance = self.0.clock.chance();
        match asked {
            Some(asked) => asked + limits.pause.mul_f64(chance),
            None => {
                let whole = limits.pause.saturating_mul(1 << (tries - 1).min(16));
                whole.min(limits.pause_max).mul_f64(0.5 + chance / 2.0)
            }
        }
    }

    /// One try of one request.
    async fn once(&self, call: &Call, limit_bytes: usize) -> Result<Reply, GraphError> {
        let _gate = self.gate(&call.mailbox).await?;
        let url = self.url(&call.path)?;
        self.exchange(call, url, limit_bytes).await
    }

    /// Sends and reads; the answer may be a refusal.
    pub(super) async fn exchange(&self, call: &Call, url: Url, limit_bytes: usize) -> Result<Reply, GraphError> {
        let (inner, attempt) = (&self.0, call.attempt);
        let token = inner.tokens.get(&inner.http, &inner.settings, &*inner.clock).await?;
        let request = inner.http.request(call.method.clone(), url).bearer_auth(&token);
        let mut request = request.header("prefer", call.preferences());
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|source| transport(attempt, source))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let body = read_limited(response, limit_bytes, attempt).await?;
        Ok(Reply { status, retry_after, body, token, uncertain: false })
    }

    /// Address of a path below Graph's base.
    pub(super) fn url(&self, path: &str) -> Result<Url, GraphError> {
        let base = self.0.settings.graph_url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}{path}")).map_err(|error| GraphError::Settings(format!("graph_url: {error}")))
    }

    /// Checks a link of an answer and returns its path and query below Graph's base. The token goes to
    /// Graph's own host, below its base, and nowhere else.
    pub(super) fn follow(&self, link: &str) -> Result<String, GraphError> {
        let base = &self.0.settings.graph_url;
        let foreign = || GraphError::ForeignLink { expected: base.as_str().to_owned() };
        let url = Url::parse(link).map_err(|_| foreign())?;
        let same = url.origin() == base.origin() && url.username().is_empty() && url.password().is_none();
        let path = url.path().strip_prefix(base.path().trim_end_matches('/')).filter(|path| path.starts_with('/'));
        let path = path.filter(|_| same).ok_or_else(foreign)?;
        Ok(match url.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        })
    }

    /// A place among the requests of a mailbox.
    async fn gate(&self, mailbox: &str) -> Result<OwnedSemaphorePermit, GraphError> {
        let gate = {
            let mut gates = self.0.gates.lock().unwrap_or_else(PoisonError::into_inner);
            if gates.len() >= GATES_MAX {
                gates.retain(|_, gate| gate.strong_count() > 0);
            }
            match gates.get(mailbox).and_then(Weak::upgrade) {
                Some(gate) => gate,
                None => {
                    let gate = Arc::new(Semaphore::new(self.0.settings.limits.per_mailbox.max(1)));
                    gates.insert(mailbox.to_owned(), Arc::downgrade(&gate));
                    gate
                }
            }
        };
        gate.acquire_owned().await.map_err(|_| GraphError::Settings("the client is closed".to_owned()))
    }
}

/// Statuses after which the same request is worth another try (Microsoft, "Microsoft Graph error
/// responses": 429, 503, 504, 509; 500 and 502 by the same reason).
fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504 | 509)
}

/// The pause an answer asks for. Graph writes seconds; a date is not taken.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    seconds(headers.get("retry-after")?.to_str().ok()?)
}

/// Seconds of a Retry-After, at most a day.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let seconds: u64 = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(86_400)))
}

pub(super) fn transport(attempt: &str, source: reqwest::Error) -> GraphError {
    // the address would name the mailbox
    GraphError::Transport { attempt: attempt.to_owned(), source: source.without_url() }
}

/// Reads a body up to its limit.
pub(super) async fn read_limited(
    response: reqwest::Response,
    limit_bytes: usize,
    attempt: &str,
) -> Result<Bytes, GraphError> {
    let too_large = || GraphError::TooLarge { attempt: attempt.to_owned(), limit_bytes };
    if response.content_length().is_some_and(|length| length > limit_bytes as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|source| transport(attempt, source))?;
        if body.len() + chunk.len() > limit_bytes {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

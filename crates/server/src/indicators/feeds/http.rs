//! Fetching: one host, its authorities, and limits on time and size.

use super::config::{FeedConfig, is_local};
use crate::outside::{self, SYSTEM_AUTHORITIES};
use anyhow::{Context, Error, Result, bail, ensure};
use futures::StreamExt;
use hinomi_model::FeedKind;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE};
use reqwest::header::{IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::{Certificate, Client, Method, RequestBuilder, StatusCode, Url, redirect};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// A feed that does not answer costs at most this per request …
const ANSWER_SECONDS: u64 = 60;
/// … and a run at most this.
const RUN_SECONDS: u64 = 600;
/// Bytes of one answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Bytes of a run.
const RUN_BYTES_MAX: u64 = 512 << 20;
/// Requests of a run.
const REQUESTS_MAX: u64 = 5_000;
/// Redirections followed, on the same host only.
const REDIRECTS_MAX: usize = 3;
/// Characters of a refusal that are told.
const ANSWER_CHARS: usize = 200;

/// A client for one run of one feed.
pub(super) struct Fetch {
    client: Client,
    base: Url,
    authorization: Option<HeaderValue>,
    until: Instant,
    pub requests: u64,
    pub bytes: u64,
}

/// What a server may be asked for only when it changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Stamp {
    etag: Option<String>,
    last_modified: Option<String>,
}

/// An answer.
pub(super) struct Answer {
    pub body: Value,
    pub headers: HeaderMap,
    pub stamp: Stamp,
}

impl Fetch {
    /// Prepares the client; nothing is sent yet.
    pub fn new(feed: &FeedConfig) -> Result<Fetch> {
        let base = Url::parse(&feed.url).context("read the feed's address")?;
        let origin = base.clone();
        let policy = redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > REDIRECTS_MAX {
                attempt.error("too many redirections")
            } else if same_origin(&origin, attempt.url()) {
                attempt.follow()
            } else {
                attempt.error("a redirection to another host is not followed")
            }
        });
        let mut builder = Client::builder()
            .use_rustls_tls()
            .redirect(policy)
            .connect_timeout(Duration::from_secs(15))
            .timeout(Duration::from_secs(ANSWER_SECONDS))
            .user_agent("Hinomi");
        if base.scheme() == "https" {
            let file = feed.ca_file.as_deref().unwrap_or(Path::new(SYSTEM_AUTHORITIES));
            let pem = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
            for authority in Certificate::from_pem_bundle(&pem).with_context(|| format!("use {}", file.display()))? {
                builder = builder.add_root_certificate(authority);
            }
        } else {
            ensure!(is_local(&base), "{base} would be read in clear");
        }
        Ok(Fetch {
            client: builder.build().context("prepare HTTPS client")?,
            authorization: authorization(feed)?,
            base,
            until: Instant::now() + Duration::from_secs(RUN_SECONDS),
            requests: 0,
            bytes: 0,
        })
    }

    /// The feed's own address, as a folder.
    pub fn base(&self) -> Url {
        let mut base = self.base.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base
    }

    /// An address the feed names; it must be on the feed's host.
    pub fn at(&self, from: &Url, link: &str) -> Result<Url> {
        let url = from.join(link).with_context(|| format!("read the address {link:?}"))?;
        ensure!(same_origin(&self.base, &url), "{link:?} is on another host");
        Ok(url)
    }

    /// Reads a JSON document; none when it has not changed since `stamp`.
    pub async fn get(&mut self, url: Url, accept: &'static str, stamp: &Stamp) -> Result<Option<Answer>> {
        let mut request = self.client.request(Method::GET, url).header(ACCEPT, accept);
        for (name, value) in [(IF_NONE_MATCH, &stamp.etag), (IF_MODIFIED_SINCE, &stamp.last_modified)] {
            if let Some(value) = value.as_ref().and_then(|value| HeaderValue::from_str(value).ok()) {
                request = request.header(name, value);
            }
        }
        self.send(request, accept).await
    }

    /// Asks with a JSON document.
    pub async fn post(&mut self, url: Url, body: &Value) -> Result<Answer> {
        const JSON: &str = "application/json";
        let request = self.client.request(Method::POST, url).header(ACCEPT, JSON).json(body);
        self.send(request, JSON).await?.context("an answer without content")
    }

    async fn send(&mut self, request: RequestBuilder, accept: &str) -> Result<Option<Answer>> {
        self.requests += 1;
        ensure!(self.requests <= REQUESTS_MAX, "more than {REQUESTS_MAX} requests");
        let request = match &self.authorization {
            Some(secret) => request.header(AUTHORIZATION, secret.clone()),
            None => request,
        };
        let work = async {
            let response = request.send().await.map_err(reqwest::Error::without_url).context("ask the feed")?;
            let (status, headers) = (response.status(), response.headers().clone());
            if status == StatusCode::NOT_MODIFIED {
                return Ok((status, headers, Vec::new()));
            }
            let mut body = Vec::new();
            let mut stream = response.bytes_stream();
            while let Some(part) = stream.next().await {
                let part = part.map_err(reqwest::Error::without_url).context("read the feed's answer")?;
                ensure!(body.len() + part.len() <= ANSWER_BYTES_MAX, "an answer is larger than 64 MiB");
                body.extend_from_slice(&part);
            }
            Ok((status, headers, body))
        };
        let (status, headers, body) =
            tokio::time::timeout_at(self.until, work).await.context("the run took longer than 10 minutes")??;
        self.bytes += body.len() as u64;
        ensure!(self.bytes <= RUN_BYTES_MAX, "the run brought more than 512 MiB");
        if status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        if !status.is_success() {
            let text: String = String::from_utf8_lossy(&body).chars().take(ANSWER_CHARS).collect();
            bail!("the feed answers {status}: {}", text.replace(char::is_control, " "));
        }
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let media = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if media(accept) != "application/json" {
            ensure!(media(kind) == media(accept), "the feed answers with {kind:?} instead of {}", media(accept));
        }
        let body = tokio::task::spawn_blocking(move || serde_json::from_slice(&body))
            .await
            .context("read the feed's answer")?
            .context("the feed's answer is not JSON")?;
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let stamp = Stamp { etag: text(ETAG), last_modified: text(LAST_MODIFIED) };
        Ok(Some(Answer { body, headers, stamp }))
    }
}

fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

fn authorization(feed: &FeedConfig) -> Result<Option<HeaderValue>> {
    use base64::Engine;
    let text = match (&feed.user, &feed.password_file, &feed.key_file) {
        (Some(user), Some(file), _) => {
            let plain = format!("{user}:{}", outside::secret(file).map_err(Error::msg)?);
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain))
        }
        // a MISP instance takes its key as it is
        (_, _, Some(file)) if feed.kind == FeedKind::Misp => outside::secret(file).map_err(Error::msg)?,
        (_, _, Some(file)) => format!("Bearer {}", outside::secret(file).map_err(Error::msg)?),
        _ => return Ok(None),
    };
    let mut value =
        HeaderValue::from_str(&text).ok().context("the password or key has characters that cannot be sent")?;
    value.set_sensitive(true);
    Ok(Some(value))
}

//! Notifications by HTTP: Slack (Block Kit), Teams (Adaptive Card through a workflow) and a signed JSON
//! document for anything else.
//!
//! Values are given as plain text in every form, so that nothing in them is read as markup.

use crate::notice::{Notice, cut};
use reqwest::{Certificate, Client, StatusCode, Url, redirect};
use ring::hmac;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A receiver that does not answer costs at most this.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes read of an answer.
const ANSWER_BYTES_MAX: usize = 4_096;
/// Characters of an answer that are kept.
const ANSWER_CHARS: usize = 200;
/// Characters of one value: Slack takes 2,000 in a field, and a card of Teams has 28 KB in all.
const VALUE_CHARS_MAX: usize = 600;
/// Rows and list lines shown: Slack takes 10 fields in a section.
const ROWS_MAX: usize = 10;
/// Characters of a heading of Slack.
const HEADER_CHARS_MAX: usize = 148;

/// How the document looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookForm {
    /// Block Kit.
    Slack,
    /// Adaptive Card.
    Teams,
    /// CloudEvents 1.0 in JSON.
    CloudEvent,
}

/// Where a notification is posted to.
#[derive(Clone)]
pub struct Hook {
    /// Form of the document.
    pub form: HookForm,
    /// Address; often a secret by itself.
    pub url: String,
    /// Key of the signature, `Hinomi-Signature: v1=<HMAC-SHA256 of "timestamp.body", hex>`.
    pub key: Option<Vec<u8>>,
    /// Authorities in PEM.
    pub authorities: Vec<u8>,
    /// Loopback, link-local and unspecified addresses are allowed.
    pub allow_local: bool,
}

/// A notification was not taken.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// Not an address notifications can go to.
    #[error("not an address for notifications: {0}")]
    Address(&'static str),
    /// The authorities cannot be read.
    #[error("read certificate authorities")]
    Authorities(#[source] reqwest::Error),
    /// The name of the host cannot be looked up now.
    #[error("look up {host}")]
    LookUp {
        /// Host.
        host: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The host has only addresses that are not allowed.
    #[error("{0} has no address that is allowed")]
    NotAllowed(String),
    /// No answer.
    #[error("post to {host}")]
    Post {
        /// Host.
        host: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// An answer that is no success.
    #[error("{host} answers {status}: {text}")]
    Refused {
        /// Host.
        host: String,
        /// Status.
        status: StatusCode,
        /// Its beginning.
        text: String,
    },
}

impl HookError {
    /// True when trying again can help.
    pub fn is_temporary(&self) -> bool {
        match self {
            HookError::Address(_) | HookError::Authorities(_) | HookError::NotAllowed(_) => false,
            HookError::LookUp { .. } | HookError::Post { .. } => true,
            HookError::Refused { status, .. } => {
                status.is_server_error()
                    || matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            }
        }
    }
}

impl Hook {
    /// Checks the address without asking anybody; returns its host.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn host(&self) -> Result<String, HookError> {
        let url = Url::parse(&self.url).map_err(|_| HookError::Address("not a URL"))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(HookError::Address("neither https nor http"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HookError::Address("it holds a user name"));
        }
        url.host_str().map(str::to_owned).ok_or(HookError::Address("no host"))
    }

    /// Posts a notification; returns the answer. `now` is the time of the signature, seconds.
    ///
    /// # Errors
    /// [`HookError`] names the host and its answer, never the whole address.
    pub async fn post(&self, notice: &Notice, now: i64) -> Result<String, HookError> {
        let host = self.host()?;
        let url = Url::parse(&self.url).map_err(|_| HookError::Address("not a URL"))?;
        let port = url.port_or_known_default().unwrap_or(443);
        let failed = |source: reqwest::Error| HookError::Post { host: host.clone(), source: source.without_url() };
        let name = host.trim_matches(['[', ']']).to_owned();
        let found = tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((name.as_str(), port))).await;
        let found = found.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let found = found.map_err(|source| HookError::LookUp { host: host.clone(), source })?;
        let found: Vec<SocketAddr> = found.filter(|one| self.allow_local || !is_local(one.ip())).collect();
        if found.is_empty() {
            return Err(HookError::NotAllowed(host));
        }
        let mut builder = Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            // what was checked is what is connected to
            .resolve_to_addrs(&name, &found);
        for authority in Certificate::from_pem_bundle(&self.authorities).map_err(HookError::Authorities)? {
            builder = builder.add_root_certificate(authority);
        }
        let client = builder.build().map_err(failed)?;
        let body = body(self.form, notice).to_string();
        let mut request = client.post(url).header("content-type", content_type(self.form));
        if let Some(key) = &self.key {
            request = request
                .header("hinomi-timestamp", now.to_string())
                .header("hinomi-signature", signature(key, now, &body));
        }
        let mut response = request.body(body).send().await.map_err(failed)?;
        let mut text = Vec::new();
        while text.len() < ANSWER_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => text.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX - text.len())]),
                // the status says enough
                Ok(None) | Err(_) => break,
            }
        }
        let text = String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control()).take(ANSWER_CHARS).collect();
        let status = response.status();
        if !status.is_success() {
            return Err(HookError::Refused { host, status, text });
        }
        Ok(format!("{status} {text}").trim().to_owned())
    }
}

/// `v1=` and HMAC-SHA256 of `timestamp.body` in hexadecimal.
fn signature(key: &[u8], now: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let tag = hmac::sign(&key, format!("{now}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v1={hex}")
}

fn content_type(form: HookForm) -> &'static str {
    match form {
        HookForm::CloudEvent => "application/cloudevents+json",
        HookForm::Slack | HookForm::Teams => "application/json",
    }
}

/// Addresses within the machine or the link: a webhook has no business there unless it is allowed.
fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || (ip.segments()[0] & 0xffc0) == 0xfe80
                || ip.to_ipv4_mapped().is_some_and(|ip| is_local(IpAddr::V4(ip)))
        }
    }
}

fn body(form: HookForm, notice: &Notice) -> Value {
    match form {
        HookForm::Slack => slack(notice),
        HookForm::Teams => teams(notice),
        HookForm::CloudEvent => cloud_event(notice),
    }
}

fn value(text: &str) -> String {
    cut(text, VALUE_CHARS_MAX)
}

/// <https://docs.slack.dev/block-kit>
fn slack(notice: &Notice) -> Value {
    let plain =
        |text: &str| json!({"type": "plain_text", "text": if text.is_empty() { "-" } else { text }, "emoji": false});
    let mut blocks = vec![json!({"type": "header", "text": plain(&cut(&notice.subject(), HEADER_CHARS_MAX))})];
    if !notice.story.is_empty() {
        blocks.push(json!({"type": "section", "text": plain(&value(&notice.story))}));
    }
    let fields: Vec<Value> =
        notice.rows.iter().take(ROWS_MAX).map(|(label, text)| plain(&format!("{label}\n{}", value(text)))).collect();
    if !fields.is_empty() {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    for (heading, lines) in [(notice.list.0.as_str(), &notice.list.1), ("", &notice.steps)] {
        if !lines.is_empty() {
            let lines: Vec<String> = lines.iter().take(ROWS_MAX).map(|line| format!("• {}", cut(line, 200))).collect();
            blocks.push(json!({"type": "section", "text": plain(format!("{heading}\n{}", lines.join("\n")).trim())}));
        }
    }
    if !notice.link.is_empty() {
        let button = json!({"type": "button", "text": plain(&notice.open), "url": notice.link});
        blocks.push(json!({"type": "actions", "elements": [button]}));
    }
    blocks.push(json!({"type": "context", "elements": [plain(&notice.why)]}));
    json!({"text": notice.subject(), "blocks": blocks})
}

/// <https://adaptivecards.io/explorer/>; runs of text, because a text block reads Markdown.
fn teams(notice: &Notice) -> Value {
    let run = |text: &str, weight: &str| json!({"type": "TextRun", "text": text, "weight": weight});
    let line = |runs: Vec<Value>| json!({"type": "RichTextBlock", "inlines": runs});
    let mut body = vec![line(vec![json!({
        "type": "TextRun", "text": notice.subject(), "weight": "Bolder", "size": "Medium",
    })])];
    if !notice.story.is_empty() {
        body.push(line(vec![run(&value(&notice.story), "Default")]));
    }
    for (label, text) in notice.rows.iter().take(ROWS_MAX) {
        body.push(line(vec![run(&format!("{label}: "), "Bolder"), run(&value(text), "Default")]));
    }
    if !notice.list.1.is_empty() {
        body.push(line(vec![run(&notice.list.0, "Bolder")]));
    }
    for text in notice.list.1.iter().chain(&notice.steps).take(2 * ROWS_MAX) {
        body.push(line(vec![run(&format!("• {}", cut(text, 200)), "Default")]));
    }
    body.push(line(vec![json!({"type": "TextRun", "text": notice.why, "isSubtle": true, "size": "Small"})]));
    let actions = match notice.link.is_empty() {
        true => Vec::new(),
        false => vec![json!({"type": "Action.OpenUrl", "title": notice.open, "url": notice.link})],
    };
    json!({"type": "message", "attachments": [{
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": null,
        "content": {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard", "version": "1.4", "body": body, "actions": actions,
        },
    }]})
}

/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>
fn cloud_event(notice: &Notice) -> Value {
    let rows: Vec<Value> =
        notice.rows.iter().map(|(label, text)| json!({"label": label, "value": value(text)})).collect();
    json!({
        "specversion": "1.0",
        "id": notice.id,
        "source": "/hinomi",
        "type": format!("hinomi.{}", notice.kind),
        "time": notice.at.to_string(),
        "datacontenttype": "application/json",
        "data": data(notice, rows),
    })
}

/// The facts as JSON.
pub(crate) fn data(notice: &Notice, rows: Vec<Value>) -> Value {
    json!({
        "severity": notice.severity.map(|severity| severity.word()),
        "demo": notice.is_demo,
        "incident": notice.incident,
        "class": notice.class,
        "place": notice.place,
        "title": notice.title,
        "story": value(&notice.story),
        "rows": rows,
        "list": notice.list.1,
        "next_steps": notice.steps,
        "link": notice.link,
    })
}

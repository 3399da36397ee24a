//! A small client of the product's public API: what a script of an administrator would use.

use anyhow::{Context, Result, bail};
use hinomi_model::{DeviceId, Event};
use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::{Certificate, Method};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

/// Login name of the story's administrator.
pub const NAME: &str = "admin";
/// Password of the story's administrator.
pub const PASSWORD: &str = "story-only-passphrase-42";

/// A logged-in client.
pub struct Api {
    client: reqwest::Client,
    url: String,
    cookie: Option<String>,
    /// Secret of the administrator's authenticator app, base32.
    pub totp_secret: String,
}

impl Api {
    /// Trusts only the server's own authority.
    pub fn new(url: &str, authority_pem: &[u8]) -> Result<Api> {
        let client = reqwest::Client::builder()
            .add_root_certificate(Certificate::from_pem(authority_pem)?)
            .timeout(Duration::from_secs(60))
            .build()?;
        Ok(Api { client, url: url.to_owned(), cookie: None, totp_secret: String::new() })
    }

    /// First run: makes the administrator with the one-time code, logs in, sets up one-time passwords.
    pub async fn set_up(&mut self, code: &str) -> Result<()> {
        self.post("/auth/setup", json!({"code": code, "name": NAME, "password": PASSWORD, "language": "en"})).await?;
        if self.cookie.is_none() {
            self.post("/auth/login", json!({"name": NAME, "password": PASSWORD})).await?;
        }
        let start = self.post("/auth/totp/start", json!({})).await?;
        self.totp_secret = start["secret"].as_str().context("no secret")?.to_owned();
        let code = totp(&self.totp_secret)?;
        self.post("/auth/totp/finish", json!({"code": code})).await?;
        Ok(())
    }

    /// Reads a resource below `/api/v1`.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T> {
        let answer = self.call(Method::GET, path, None).await?;
        serde_json::from_value(answer).with_context(|| format!("answer of GET {path}"))
    }

    /// Reads every item of a list (the first page of 200).
    pub async fn list<T: DeserializeOwned>(&mut self, path: &str) -> Result<Vec<T>> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut answer: Value = self.get(&format!("{path}{separator}limit=200")).await?;
        serde_json::from_value(answer["items"].take()).with_context(|| format!("items of GET {path}"))
    }

    /// Reads every event of a device, oldest page last.
    pub async fn device_events(&mut self, device: DeviceId) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut page: Value = self.get(&format!("/devices/{device}/events?limit=200{cursor}")).await?;
            let items: Vec<Event> = serde_json::from_value(page["items"].take()).context("events of a device")?;
            events.extend(items);
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(events),
            }
        }
    }

    /// Reads a list of summaries, then each of them whole below `base`.
    pub async fn each<T: DeserializeOwned>(&mut self, list: &str, base: &str) -> Result<Vec<T>> {
        let summaries: Vec<Value> = self.list(list).await?;
        let mut found = Vec::new();
        for summary in summaries {
            let id = summary["id"].as_str().context("a summary without id")?;
            found.push(self.get(&format!("{base}/{id}")).await?);
        }
        Ok(found)
    }

    /// Posts JSON.
    pub async fn post(&mut self, path: &str, body: Value) -> Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call(&mut self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request =
            self.client.request(method.clone(), format!("{}/api/v1{path}", self.url)).header("X-Hinomi", "1");
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.with_context(|| format!("{method} {path}"))?;
        for cookie in response.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            self.cookie = Some(pair.to_owned());
        }
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("{method} {path}: {status}: {text}");
        }
        if text.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
    }
}

/// The code an authenticator app shows now.
pub fn totp(secret: &str) -> Result<String> {
    let secret = totp_rs::Secret::try_from_base32(secret).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let generator = totp_rs::Builder::new().with_secret(secret).build_noncompliant();
    Ok(generator.generate_current().to_string())
}

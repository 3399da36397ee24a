//! The API as the command line uses it.

use anyhow::{Context, Result, bail};
use clap::Args;
use hinomi_api::{List, Problem};
use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;

/// Where the server is and whom to trust.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// Address of the server
    #[arg(long, env = "HINOMI_URL", default_value = "https://127.0.0.1:8443", global = true)]
    pub url: String,
    /// Certificate authority of the server, PEM (DATA/keys/authority.pem)
    #[arg(long, env = "HINOMI_CA", global = true)]
    pub ca: Option<PathBuf>,
}

/// A client with a token.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    /// Prepares a client; the token comes from `HINOMI_TOKEN`.
    ///
    /// # Errors
    /// Without token or with an unreadable authority.
    pub fn new(connection: &Connection) -> Result<Self> {
        let token = std::env::var("HINOMI_TOKEN")
            .context("set HINOMI_TOKEN to an API token (hinomi token create --data DIR, or the console's settings)")?;
        let mut builder = reqwest::Client::builder().use_rustls_tls().timeout(Duration::from_secs(60));
        if let Some(path) = &connection.ca {
            let pem = std::fs::read(path).with_context(|| format!("read authority {}", path.display()))?;
            let certificate = reqwest::Certificate::from_pem(&pem).context("read authority certificate")?;
            builder = builder.add_root_certificate(certificate);
        }
        let base = format!("{}{}", connection.url.trim_end_matches('/'), hinomi_api::routes::BASE);
        Ok(Client { http: builder.build().context("prepare HTTPS client")?, base, token: token.trim().to_owned() })
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T> {
        self.send(self.request(Method::GET, path).query(query)).await
    }

    /// Reads a whole list, page by page, at most `max` items.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub async fn list<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)], max: usize) -> Result<List<T>> {
        let mut all = List { items: Vec::new(), next: None, total: 0 };
        loop {
            let mut query = query.to_vec();
            query.push(("limit", (max - all.items.len()).min(200).to_string()));
            query.extend(all.next.take().map(|cursor| ("cursor", cursor)));
            let page: List<T> = self.get(path, &query).await?;
            all.total = page.total;
            all.items.extend(page.items);
            all.next = page.next;
            if all.next.is_none() || all.items.len() >= max {
                return Ok(all);
            }
        }
    }

    /// Posts a body.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Changes parts of a resource.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub async fn patch<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T> {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    /// Changes a resource that has this version; none = whatever its version.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub async fn patch_at<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        version: Option<i64>,
    ) -> Result<T> {
        let mut request = self.request(Method::PATCH, path).json(body);
        if let Some(version) = version {
            request = request.header("If-Match", format!("\"{version}\""));
        }
        self.send(request).await
    }

    /// Removes a resource and returns what the server says of it.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Reads a resource that may be gone.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        let response = self.request(Method::GET, path).send().await.with_context(|| format!("reach {}", self.base))?;
        if response.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        read(response).await.map(Some)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token).header("x-hinomi", "1")
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        read(request.send().await.with_context(|| format!("reach {}", self.base))?).await
    }
}

async fn read<T: DeserializeOwned>(response: reqwest::Response) -> Result<T> {
    let status = response.status();
    let body = response.bytes().await.context("read answer")?;
    if status.is_success() {
        return serde_json::from_slice(&body).context("the answer is not what this version understands");
    }
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => bail!("{} ({}, request {})", problem.message_en, problem.code, problem.request_id),
        Err(_) => bail!("the server answered {status}"),
    }
}

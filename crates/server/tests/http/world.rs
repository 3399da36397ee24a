//! A real server on free ports with a data folder of its own, and people who talk to it.

use hinomi_model::{Language, Role, User};
use hinomi_server::config::Config;
use hinomi_server::serve::{Running, ServeOptions, start};
use hinomi_store::{SessionRow, UserRecord};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;

pub const PASSWORD: &str = "correct horse battery";

/// The server and what its clients need.
pub struct World {
    pub running: Running,
    pub base: String,
    pub client: reqwest::Client,
    pub _dir: tempfile::TempDir,
}

/// Starts a server.
pub async fn world() -> World {
    world_of(Config::default()).await
}

/// Starts a server that is configured further.
pub async fn world_of(config: Config) -> World {
    world_in(tempfile::tempdir().expect("temp dir"), config).await
}

/// Starts a server on what an earlier one left in its folder.
pub async fn world_in(dir: tempfile::TempDir, mut config: Config) -> World {
    let free = "127.0.0.1:0".parse().expect("address");
    config.listen.console = free;
    config.listen.sensors = free;
    config.gateway.enabled = false;
    let options = ServeOptions {
        data: dir.path().join("data"),
        config,
        write_enrolment_token: None,
        mail_worker: Default::default(),
    };
    let running = start(options).await.expect("server starts");
    let base = format!("https://{}", running.ready.console);
    let authority = reqwest::Certificate::from_pem(running.ctx.keys.authority_pem.as_bytes()).expect("authority");
    let client = reqwest::Client::builder()
        .use_rustls_tls()
        .add_root_certificate(authority)
        .timeout(Duration::from_secs(30))
        .build()
        .expect("client");
    World { running, base, client, _dir: dir }
}

/// An answer, read.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Got {
    /// Code of a problem document.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Asserts the status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

/// Somebody who asks: nobody, a cookie or a token.
#[derive(Clone, Default)]
pub struct Person {
    pub cookie: Option<String>,
    pub token: Option<String>,
}

impl World {
    /// Sends a request as the console does.
    pub async fn send(&self, who: &Person, method: &str, path: &str, body: Option<Value>) -> Response {
        let method: Method = method.parse().expect("method");
        let mut request = self.client.request(method, format!("{}/api/v1{path}", self.base)).header("x-hinomi", "1");
        if let Some(cookie) = &who.cookie {
            request = request.header("cookie", format!("__Host-hinomi={cookie}"));
        }
        if let Some(token) = &who.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.expect("an answer")
    }

    /// Sends a request and reads the answer.
    pub async fn ask(&self, who: &Person, method: &str, path: &str, body: Option<Value>) -> Got {
        read(self.send(who, method, path, body).await).await
    }

    /// Makes the first administrator by the code of the terminal.
    pub async fn set_up(&self) -> Person {
        let code = self.running.setup_code.clone().expect("a first start has a code");
        let body = json!({ "code": code, "name": "Tanaka", "password": PASSWORD, "language": "ja" });
        let response = self.send(&Person::default(), "POST", "/auth/setup", Some(body)).await;
        assert_eq!(response.status(), 200);
        session_of(&response)
    }

    /// Puts a person with an open session straight into the store.
    pub async fn person(&self, name: &str, role: Role) -> Person {
        let (store, now) = (&self.running.ctx.store, self.running.ctx.now());
        let user = match store.user_by_name(name).await.expect("store") {
            Some(record) => record.user,
            None => {
                let user = User {
                    id: hinomi_server::ids::new(),
                    name: name.to_owned(),
                    mail: None,
                    role,
                    language: Language::En,
                    totp: false,
                    passkeys: Vec::new(),
                    disabled: false,
                    created_at: now,
                    last_login: None,
                    version: 1,
                };
                let record = UserRecord {
                    user: user.clone(),
                    password_hash: "none".to_owned(),
                    totp_secret: None,
                    totp_last_step: 0,
                    passkeys_json: "[]".to_owned(),
                };
                store.add_user(&record).await.expect("user added");
                user
            }
        };
        let secret = format!("session-{}", hinomi_server::ids::new::<uuid::Uuid>());
        let session = SessionRow {
            id: hinomi_server::ids::new(),
            token_sha256: hex::encode(Sha256::digest(secret.as_bytes())),
            user_id: user.id,
            created_at: now,
            last_seen: now,
            expires_at: now.plus_seconds(600),
            step_up_until: None,
            address: String::new(),
            user_agent: String::new(),
        };
        store.add_session(&session).await.expect("session added");
        Person { cookie: Some(secret), token: None }
    }

    /// Makes the session of a person older.
    pub async fn age(&self, who: &Person, seconds: i64) {
        let (store, now) = (&self.running.ctx.store, self.running.ctx.now());
        let hash = hex::encode(Sha256::digest(who.cookie.as_deref().expect("a person").as_bytes()));
        let mut session = store.session_by_token(&hash, now).await.expect("store").expect("session");
        store.delete_session(session.id).await.expect("deleted");
        session.created_at = now.plus_seconds(-seconds);
        store.add_session(&session).await.expect("added");
    }

    /// Makes an API token.
    pub async fn token(&self, role: Role) -> Person {
        let made = hinomi_server::auth::offline::create_api_token(&self.running.ctx.store, "test", role, 1).await;
        Person { cookie: None, token: Some(made.expect("token").1) }
    }

    /// Opens the gate for dangerous acts, as a finished step-up does.
    pub async fn step_up(&self, who: &Person) {
        let (store, now) = (&self.running.ctx.store, self.running.ctx.now());
        let hash = hex::encode(Sha256::digest(who.cookie.as_deref().expect("a person").as_bytes()));
        let session = store.session_by_token(&hash, now).await.expect("store").expect("session");
        store.set_step_up(session.id, Some(now.plus_seconds(300))).await.expect("set");
    }
}

/// Reads the session a login opened.
pub fn session_of(response: &Response) -> Person {
    let cookie = response.headers()["set-cookie"].to_str().expect("text");
    assert!(cookie.contains("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
    let secret = cookie.strip_prefix("__Host-hinomi=").expect("name").split(';').next().expect("value");
    Person { cookie: Some(secret.to_owned()), token: None }
}

/// Reads an answer.
pub async fn read(response: Response) -> Got {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.expect("body");
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    if status >= 400 {
        assert_eq!(headers["content-type"], "application/problem+json", "{status}");
        let problem: hinomi_api::Problem = serde_json::from_value(body.clone()).expect("a problem document");
        assert_eq!(headers["x-request-id"], problem.request_id.as_str());
        assert!(!problem.message_ja.is_empty() && !problem.message_en.is_empty());
    }
    Got { status, headers, body }
}

/// Code of an authenticator app `steps` away from now, not close to the end of its 30 seconds.
pub async fn code(secret: &str, steps: i64) -> String {
    let seconds = loop {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
        if now % 30 < 28 {
            break now;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let secret = totp_rs::Secret::try_from_base32(secret).expect("base32");
    let totp = totp_rs::Builder::new().with_secret(secret).build().expect("totp");
    totp.generate(seconds.saturating_add_signed(steps * 30)).to_string()
}

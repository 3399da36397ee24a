//! A TAXII 2.1 server and a MISP, as their documents describe them: what a client does wrong is an error.

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub const MEDIA: &str = "application/taxii+json;version=2.1";
pub const COLLECTION: &str = "91a7b528-80eb-42ed-a74d-c6fbd5a26116";
pub const EVENT: &str = "5c3c70f3-b3ac-4b2d-9a0e-2b1b2e6a3a01";

/// What the stub holds and was asked.
#[derive(Default)]
pub struct Held {
    /// STIX objects and when they were added.
    pub objects: Vec<(String, Value)>,
    /// Events of the MISP feed: time and content.
    pub events: HashMap<String, (i64, Value)>,
    /// Attributes of the MISP instance.
    pub attributes: Vec<Value>,
    /// Requests: method, path and query.
    pub asked: Vec<String>,
    /// Everything is refused.
    pub broken: bool,
    /// The collections are said to be elsewhere.
    pub elsewhere: Option<String>,
}

pub struct Stub {
    pub base: String,
    pub held: Arc<Mutex<Held>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stub {
    pub async fn start() -> Stub {
        let held: Arc<Mutex<Held>> = Arc::default();
        let taxii = Router::new()
            .route("/taxii2/", get(discovery))
            .route("/api1/", get(root))
            .route("/api1/collections/", get(collections))
            .route("/api1/collections/{id}/objects/", get(objects))
            .layer(middleware::from_fn(taxii_rules));
        let app = taxii
            .route("/feed/manifest.json", get(manifest))
            .route("/feed/{file}", get(event))
            .route("/attributes/restSearch", post(search))
            .layer(middleware::from_fn_with_state(held.clone(), note))
            .with_state(held.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let base = format!("http://{}", listener.local_addr().expect("address"));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("serve") });
        Stub { base, held, task }
    }

    pub fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().expect("lock")
    }

    /// Adds a STIX indicator.
    pub fn add(&self, number: usize, pattern: &str, more: Value) {
        let mut object = json!({
            "type": "indicator", "spec_version": "2.1", "id": format!("indicator--{number:08}-0000-4000-8000-000000000000"),
            "created": "2026-11-01T00:00:00.000Z", "modified": "2026-11-01T00:00:00.000Z", "name": format!("bad {number}"),
            "pattern": pattern, "pattern_type": "stix", "valid_from": "2026-11-01T00:00:00Z",
        });
        for (name, value) in more.as_object().expect("an object") {
            object[name] = value.clone();
        }
        let added = format!("2026-11-20T00:00:00.{number:06}Z");
        self.held().objects.push((added, object));
    }
}

async fn note(State(held): State<Arc<Mutex<Held>>>, request: Request, next: Next) -> Response {
    let broken = {
        let mut held = held.lock().expect("lock");
        held.asked.push(format!("{} {}", request.method(), request.uri()));
        held.broken
    };
    if broken {
        return (StatusCode::SERVICE_UNAVAILABLE, "be patient").into_response();
    }
    next.run(request).await
}

/// What section 1.6.8 and 3.2 want of every request.
async fn taxii_rules(request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let header = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let (authorization, accept) = (header(header::AUTHORIZATION), header(header::ACCEPT));
    // isac:geheim
    if authorization != Some("Basic aXNhYzpnZWhlaW0=") {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"taxii\"")]).into_response();
    }
    if accept != Some(MEDIA) {
        return StatusCode::NOT_ACCEPTABLE.into_response();
    }
    if !request.uri().path().ends_with('/') {
        return StatusCode::NOT_FOUND.into_response();
    }
    next.run(request).await
}

fn taxii(body: Value) -> Response {
    ([(header::CONTENT_TYPE, MEDIA)], body.to_string()).into_response()
}

async fn discovery() -> Response {
    taxii(json!({"title": "Test", "default": "/api1/", "api_roots": ["/api1/", "https://elsewhere.test/api2/"]}))
}

async fn root() -> Response {
    taxii(json!({"title": "One", "versions": [MEDIA], "max_content_length": 104857600}))
}

async fn collections(State(held): State<Arc<Mutex<Held>>>) -> Response {
    if let Some(elsewhere) = &held.lock().expect("lock").elsewhere {
        return (StatusCode::FOUND, [(header::LOCATION, elsewhere.clone())]).into_response();
    }
    taxii(json!({"collections": [
        {"id": COLLECTION, "title": "Indicators", "alias": "iocs", "can_read": true, "can_write": false,
         "media_types": ["application/stix+json;version=2.1"]},
        {"id": "52892447-4d7e-4f70-b94d-d7f22742ff63", "title": "Hidden", "can_read": false, "can_write": false},
    ]}))
}

/// Section 5.4: filters, then the page; `added_after` is exclusive.
async fn objects(
    State(held): State<Arc<Mutex<Held>>>,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    if id != COLLECTION {
        return StatusCode::NOT_FOUND.into_response();
    }
    let held = held.lock().expect("lock");
    let wanted = query.get("match[type]").map(String::as_str);
    let after = query.get("added_after").map(String::as_str).unwrap_or_default();
    let begin: usize = query.get("next").and_then(|next| next.parse().ok()).unwrap_or(0);
    // this server gives at most two at a time
    let limit = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(2).min(2);
    let fits: Vec<&(String, Value)> = held
        .objects
        .iter()
        .filter(|(at, object)| at.as_str() > after && wanted.is_none_or(|kind| object["type"] == kind))
        .collect();
    let page: Vec<&(String, Value)> = fits.iter().skip(begin).take(limit).copied().collect();
    if page.is_empty() {
        return taxii(json!({}));
    }
    let more = begin + page.len() < fits.len();
    let mut body = json!({"more": more, "objects": page.iter().map(|(_, object)| object).collect::<Vec<_>>()});
    if more {
        body["next"] = (begin + page.len()).to_string().into();
    }
    let headers =
        [("X-TAXII-Date-Added-First", page[0].0.clone()), ("X-TAXII-Date-Added-Last", page[page.len() - 1].0.clone())];
    (headers, taxii(body)).into_response()
}

async fn manifest(State(held): State<Arc<Mutex<Held>>>, headers: HeaderMap) -> Response {
    let held = held.lock().expect("lock");
    let mut times: Vec<_> = held.events.iter().map(|(id, (at, _))| (id.clone(), *at)).collect();
    times.sort();
    let etag = format!("\"{times:?}\"").replace(' ', "");
    let etag = format!("\"{}\"", etag.replace('"', ""));
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.to_str().ok() == Some(&etag)) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let events: serde_json::Map<String, Value> =
        times.iter().map(|(id, at)| (id.clone(), json!({"timestamp": at.to_string(), "info": "x"}))).collect();
    ([(header::ETAG, etag)], axum::Json(Value::Object(events))).into_response()
}

async fn event(State(held): State<Arc<Mutex<Held>>>, Path(file): Path<String>) -> Response {
    let held = held.lock().expect("lock");
    match file.strip_suffix(".json").and_then(|id| held.events.get(id)) {
        Some((_, event)) => axum::Json(event.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn search(State(held): State<Arc<Mutex<Held>>>, headers: HeaderMap, body: axum::Json<Value>) -> Response {
    if headers.get(header::AUTHORIZATION).is_none_or(|key| key != "misp-key") {
        return StatusCode::FORBIDDEN.into_response();
    }
    let held = held.lock().expect("lock");
    let since: i64 = body["timestamp"].as_str().and_then(|at| at.parse().ok()).unwrap_or_default();
    let (limit, page) = (body["limit"].as_u64().unwrap_or(1) as usize, body["page"].as_u64().unwrap_or(1) as usize);
    let newer = |one: &&Value| one["timestamp"].as_str().and_then(|at| at.parse::<i64>().ok()).unwrap_or(0) >= since;
    let found: Vec<&Value> = held.attributes.iter().filter(newer).skip(limit * (page - 1)).take(limit).collect();
    axum::Json(json!({"response": {"Attribute": found}})).into_response()
}

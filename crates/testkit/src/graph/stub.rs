//! The stub's server: tokens, faults, batches.

use super::answer::{self, Answer, Ask};
use super::auth::Auth;
use super::store::{Mailbox, StubFolder, StubMail, begin, received};
use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use hinomi_model::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Largest request the stub reads, bytes.
const REQUEST_BYTES_MAX: usize = 4 << 20;

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A request by itself, or a whole batch, is answered with this status and Retry-After.
    Busy(u16, Option<u64>),
    /// A request inside a batch is.
    InnerBusy(u16, Option<u64>),
    /// The token is no longer taken.
    ExpiredToken,
    /// The work is done, the answer is 503.
    LostAnswer,
    /// A move gives another id although an immutable one was asked for.
    IdChanges,
    /// A move says 201 and does nothing.
    MoveLies,
    /// A removal says 204 and does nothing.
    RemovalLies,
    /// The call for permanent removal does not exist, as in national clouds.
    NoPermanentDelete,
    /// A delta link is no longer known.
    DeltaExpired,
    /// The tenant has no message trace, as in national clouds.
    NoTrace,
    /// The JSON breaks off in the middle.
    Truncated,
    /// The answer takes this long.
    Slow(Duration),
    /// The next link leads to this address.
    ForeignLink(String),
    /// The answer to a batch leaves its first request out.
    LeavesOut,
    /// The answer is a redirect to this address.
    Redirect(String),
}

/// What the stub was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Method.
    pub method: String,
    /// Path below the base, decoded.
    pub path: String,
    /// Came inside a batch.
    pub batched: bool,
}

/// What the stub holds.
#[derive(Default)]
pub(super) struct Content {
    pub mailboxes: BTreeMap<String, Mailbox>,
    pub users: Vec<Value>,
    pub traces: Vec<Value>,
    /// Rows per page of every list.
    pub page: usize,
    /// When the first mail arrives; the others a minute after each other.
    pub begin: Timestamp,
    faults: Vec<(Fault, usize)>,
    seen: Vec<Seen>,
    in_flight: BTreeMap<String, usize>,
    in_flight_max: usize,
    auth: Auth,
}

impl Content {
    /// Uses up one fault that `wanted` accepts.
    pub(super) fn fault<T>(&mut self, wanted: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let at = self.faults.iter().position(|(fault, _)| wanted(fault).is_some())?;
        let found = wanted(&self.faults[at].0);
        self.faults[at].1 -= 1;
        if self.faults[at].1 == 0 {
            self.faults.remove(at);
        }
        found
    }
}

/// What handlers share.
pub(super) struct Shared {
    pub address: SocketAddr,
    content: Mutex<Content>,
}

impl Shared {
    pub(super) fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running stub; ends when dropped.
pub struct GraphStub {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for GraphStub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl GraphStub {
    /// Starts a stub on loopback that knows one app with this client id and secret.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(client_id: &str, secret: &str) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("listen")?;
        let address = listener.local_addr()?;
        let content = Content { page: 3, begin: begin(), auth: Auth::new(client_id, secret), ..Content::default() };
        let shared = Arc::new(Shared { address, content: Mutex::new(content) });
        let app = Router::new().fallback(handle).with_state(shared.clone());
        let task = tokio::spawn(async move {
            // ends with the task
            let _ = axum::serve(listener, app).await;
        });
        Ok(GraphStub { shared, task })
    }

    /// Base of the login service.
    pub fn login_url(&self) -> String {
        format!("http://{}/login", self.shared.address)
    }

    /// Base of Graph.
    pub fn graph_url(&self) -> String {
        format!("http://{}/v1.0", self.shared.address)
    }

    /// Lets the app log in with the key of this certificate (DER).
    pub fn trust_certificate(&self, der: &[u8]) {
        self.shared.content().auth.trust(der);
    }

    /// Makes the next `times` fitting answers go wrong.
    pub fn fail(&self, fault: Fault, times: usize) {
        self.shared.content().faults.push((fault, times));
    }

    /// Forgets faults that are left.
    pub fn heal(&self) {
        self.shared.content().faults.clear();
    }

    /// Adds a mailbox with the usual folders, and its user with a second address.
    pub fn add_mailbox(&self, name: &str) {
        let mut content = self.shared.content();
        content.mailboxes.insert(name.to_owned(), Mailbox::new(name));
        let (local, domain) = name.split_once('@').unwrap_or((name, "example.test"));
        content.users.push(json!({
            "id": format!("U-{name}"),
            "userPrincipalName": name,
            "displayName": local,
            "mail": name,
            "proxyAddresses": [format!("SMTP:{name}"), format!("smtp:{local}.alias@{domain}"), "x500:/o=Example"],
            "accountEnabled": true,
            "onPremisesSamAccountName": local,
            "onPremisesSecurityIdentifier": null,
        }));
    }

    /// Adds a guest: a user with an address elsewhere and no mailbox.
    pub fn add_guest(&self, address: &str) {
        let name = format!("{}#EXT#@example.test", address.replace('@', "_"));
        self.shared.content().users.push(json!({
            "id": format!("U-{address}"),
            "userPrincipalName": name,
            "displayName": address,
            "mail": address,
            "proxyAddresses": [format!("SMTP:{address}")],
            "accountEnabled": true,
            "onPremisesSamAccountName": null,
            "onPremisesSecurityIdentifier": null,
        }));
    }

    /// Adds a folder of the owner below another one (id or well-known name); returns its id.
    pub fn add_folder(&self, mailbox: &str, parent: Option<&str>, name: &str) -> String {
        let mut content = self.shared.content();
        let mailbox = content.mailboxes.get_mut(mailbox).expect("the mailbox was added");
        let parent = parent.map(|parent| mailbox.folder(parent).expect("the parent is there").id.clone());
        let id = format!("F-own-{}", mailbox.folders.len());
        let folder = StubFolder { id: id.clone(), well_known: None, name: name.to_owned(), parent };
        mailbox.folders.insert(id.clone(), folder);
        id
    }

    /// Removes a folder with what is in it.
    pub fn remove_folder(&self, mailbox: &str, id: &str) {
        let mut content = self.shared.content();
        let mailbox = content.mailboxes.get_mut(mailbox).expect("the mailbox was added");
        mailbox.folders.remove(id);
        mailbox.mails.retain(|_, mail| mail.folder != id);
    }

    /// Delivers a mail into a folder (id or well-known name); returns its immutable id.
    pub fn deliver(&self, mailbox: &str, folder: &str, raw: &[u8]) -> String {
        let mut content = self.shared.content();
        let number =
            content.traces.len() + content.mailboxes.values().map(|mailbox| mailbox.changes.len()).sum::<usize>();
        let begin = content.begin;
        let inside = content.mailboxes.get_mut(mailbox).expect("the mailbox was added");
        let folder = inside.folder(folder).expect("the folder is there").id.clone();
        let mut mail = StubMail {
            id: format!("AAkALgAA-{number}+/{mailbox}="),
            plain_id: format!("AQMkAGM2-{number}"),
            folder: folder.clone(),
            message_id: String::new(),
            raw: raw.to_vec(),
            is_read: false,
            flagged: number % 2 == 1,
            received: received(begin, number),
            modified: "2026-01-01T00:00:00Z".to_owned(),
        };
        mail.message_id = mail.header("message-id").unwrap_or_default();
        inside.changes.push((folder, mail.id.clone(), true));
        inside.mails.insert(mail.id.clone(), mail.clone());
        let trace = json!({
            "id": format!("00000000-0000-0000-0000-{number:012}"),
            "senderAddress": mail.header("from").unwrap_or_default(),
            "recipientAddress": mailbox,
            "messageId": mail.message_id,
            "receivedDateTime": mail.received,
            "subject": mail.header("subject").unwrap_or_default(),
            "size": raw.len(),
            "fromIP": "203.0.113.9",
            "toIP": "",
            "status": "delivered",
        });
        content.traces.push(trace);
        mail.id
    }

    /// The mails of a mailbox, by folder (well-known name, or id of an owner's folder).
    pub fn mails(&self, mailbox: &str) -> Vec<(String, StubMail)> {
        let content = self.shared.content();
        let mailbox = content.mailboxes.get(mailbox).expect("the mailbox was added");
        let name = |id: &String| match mailbox.folders.get(id).and_then(|folder| folder.well_known) {
            Some(name) => name.to_owned(),
            None => id.clone(),
        };
        mailbox.mails.values().map(|mail| (name(&mail.folder), mail.clone())).collect()
    }

    /// The owner moves a mail.
    pub fn owner_moves(&self, mailbox: &str, id: &str, folder: &str) {
        let mut content = self.shared.content();
        let mailbox = content.mailboxes.get_mut(mailbox).expect("the mailbox was added");
        let folder = mailbox.folder(folder).expect("the folder is there").id.clone();
        mailbox.relocate(id, &folder, true).expect("the mail is there");
    }

    /// What was asked so far, tokens apart; forgets it.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.content().seen)
    }

    /// How often a token was asked for.
    pub fn tokens_given(&self) -> usize {
        self.shared.content().auth.given()
    }

    /// Most requests of one mailbox that were under way together.
    pub fn in_flight_max(&self) -> usize {
        self.shared.content().in_flight_max
    }

    /// When the first mail arrives.
    pub fn set_begin(&self, begin: Timestamp) {
        self.shared.content().begin = begin;
    }

    /// Rows per page of every list.
    pub fn set_page(&self, rows: usize) {
        self.shared.content().page = rows;
    }
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let body = axum::body::to_bytes(body, REQUEST_BYTES_MAX).await.unwrap_or_default();
    if uri.path().starts_with("/login/") {
        let audience = format!("http://{}{}", shared.address, uri.path());
        let (status, answer) = shared.content().auth.token(&audience, &body);
        return respond(Answer::new(status, answer));
    }
    let Some(path) = uri.path().strip_prefix("/v1.0") else {
        return respond(Answer::error(404, "NotFound", "no such path"));
    };
    if let Some(refused) = refuse(&shared, &headers) {
        return respond(refused);
    }
    if path == "/$batch" {
        return respond(batch(&shared, &body).await);
    }
    let target = uri.query().map_or(path.to_owned(), |query| format!("{path}?{query}"));
    let prefer = headers.get("prefer").and_then(|text| text.to_str().ok()).unwrap_or_default();
    let mut ask = Ask::parse(method.as_str(), &target, prefer);
    ask.body = serde_json::from_slice(&body).unwrap_or_default();
    respond(serve(&shared, ask, false).await)
}

/// Checks the token and plays faults of whole requests.
fn refuse(shared: &Shared, headers: &HeaderMap) -> Option<Answer> {
    let mut content = shared.content();
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = bearer.strip_prefix("Bearer ").unwrap_or_default().to_owned();
    if content.fault(|fault| (*fault == Fault::ExpiredToken).then_some(())).is_some() {
        content.auth.expire(&token);
    }
    if !content.auth.knows(&token) {
        return Some(Answer::error(
            401,
            "InvalidAuthenticationToken",
            "Lifetime validation failed, the token is expired.",
        ));
    }
    if let Some(to) = content.fault(|fault| match fault {
        Fault::Redirect(to) => Some(to.clone()),
        _ => None,
    }) {
        let mut answer = Answer::error(302, "Found", "elsewhere");
        answer.headers.insert("location".to_owned(), to);
        return Some(answer);
    }
    let busy = content.fault(|fault| match fault {
        Fault::Busy(status, after) => Some((*status, *after)),
        _ => None,
    });
    busy.map(|(status, after)| Answer::busy(status, after))
}

/// Answers one request, alone or of a batch.
async fn serve(shared: &Shared, ask: Ask, batched: bool) -> Answer {
    let mailbox = ask.mailbox().unwrap_or_default();
    let slow = {
        let mut content = shared.content();
        content.seen.push(Seen { method: ask.method.clone(), path: ask.path.join("/"), batched });
        let busy = content.fault(|fault| match fault {
            Fault::InnerBusy(status, after) if batched => Some((*status, *after)),
            _ => None,
        });
        if let Some((status, after)) = busy {
            return Answer::busy(status, after);
        }
        let under_way = content.in_flight.entry(mailbox.clone()).or_default();
        *under_way += 1;
        let under_way = *under_way;
        if !mailbox.is_empty() {
            content.in_flight_max = content.in_flight_max.max(under_way);
        }
        content.fault(|fault| match fault {
            Fault::Slow(time) => Some(*time),
            _ => None,
        })
    };
    if let Some(time) = slow {
        tokio::time::sleep(time).await;
    }
    let mut content = shared.content();
    if let Some(under_way) = content.in_flight.get_mut(&mailbox) {
        *under_way -= 1;
    }
    let base = format!("http://{}/v1.0", shared.address);
    let mut answer = answer::to(&mut content, &base, &ask);
    if content.fault(|fault| (*fault == Fault::LostAnswer && ask.method != "GET").then_some(())).is_some() {
        return Answer::busy(503, None);
    }
    if !batched && content.fault(|fault| (*fault == Fault::Truncated).then_some(())).is_some() {
        answer.truncated = true;
    }
    answer
}

/// `$batch`: at most 20 requests, of one mailbox at most four at a time, each with its own status.
async fn batch(shared: &Shared, body: &Bytes) -> Answer {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let requests = parsed["requests"].as_array().cloned().unwrap_or_default();
    if requests.is_empty() || requests.len() > 20 {
        return Answer::error(400, "BadRequest", "Number of batch request steps exceeds the maximum value of 20.");
    }
    shared.content().seen.push(Seen { method: "POST".to_owned(), path: "$batch".to_owned(), batched: false });
    let mut work = Vec::new();
    for request in &requests {
        let prefer = request["headers"]["Prefer"].as_str().unwrap_or_default();
        let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
        let mut ask = Ask::parse(&text("method"), &text("url"), prefer);
        ask.body = request["body"].clone();
        let id = text("id");
        work.push(async move { (id, serve(shared, ask, true).await) });
    }
    let mut answers = Vec::new();
    for one in work {
        let (id, answer) = one.await;
        answers.push(json!({ "id": id, "status": answer.status, "headers": answer.headers, "body": answer.body }));
    }
    // the service promises no order
    answers.reverse();
    if shared.content().fault(|fault| (*fault == Fault::LeavesOut).then_some(())).is_some() {
        answers.pop();
    }
    let mut answer = Answer::new(200, json!({ "responses": answers }));
    answer.truncated = shared.content().fault(|fault| (*fault == Fault::Truncated).then_some(())).is_some();
    answer
}

fn respond(answer: Answer) -> Response {
    let mut response = Response::builder().status(StatusCode::from_u16(answer.status).expect("a status"));
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    let mut bytes = match answer.raw {
        Some(raw) => raw,
        None if answer.status == 204 => Vec::new(),
        None => answer.body.to_string().into_bytes(),
    };
    if answer.truncated {
        bytes.truncate(bytes.len() / 2);
    }
    response.body(Body::from(bytes)).expect("a response")
}

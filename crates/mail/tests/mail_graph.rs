//! Microsoft Graph against a stub of ours: what is asked, what is proved, what happens when it goes
//! wrong. Not run against the service.

use futures::future::{BoxFuture, join_all};
use hinomi_mail::connector::{
    Connector, ConnectorError, FolderRole, MailId, NewMail, Search, Tenant, TraceAsked, Whole,
};
use hinomi_mail::graph::{
    Client, Clock, Credential, Graph, GraphConnector, GraphError, Limits, Link, Settings, SigningKey, TraceQuery,
    Within,
};
use hinomi_model::Timestamp;
use hinomi_testkit::graph::{Fault, GraphStub, Schema};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
const SECRET: &str = "stub-secret";
const ANN: &str = "ann@example.test";

/// Writes down long pauses instead of waiting; chance is always a half.
#[derive(Default)]
struct Pauses(Mutex<Vec<Duration>>);

impl Pauses {
    fn take(&self) -> Vec<Duration> {
        std::mem::take(&mut self.0.lock().expect("lock"))
    }
}

impl Clock for Pauses {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        if time < Duration::from_millis(100) {
            return Box::pin(tokio::time::sleep(time));
        }
        self.0.lock().expect("lock").push(time);
        Box::pin(async {})
    }

    fn chance(&self) -> f64 {
        0.5
    }
}

struct Rig {
    stub: GraphStub,
    pauses: Arc<Pauses>,
    settings: Settings,
}

impl Rig {
    async fn start() -> Rig {
        let stub = GraphStub::start(CLIENT, SECRET).await.expect("stub");
        let settings = Settings {
            tenant: "example.test".to_owned(),
            client_id: CLIENT.to_owned(),
            credential: Credential::Secret(SECRET.to_owned()),
            login_url: url::Url::parse(&stub.login_url()).expect("url"),
            graph_url: url::Url::parse(&stub.graph_url()).expect("url"),
            authorities_pem: None,
            limits: Limits::default(),
        };
        stub.add_mailbox(ANN);
        Rig { stub, pauses: Arc::default(), settings }
    }

    fn connector(&self) -> GraphConnector {
        GraphConnector::new(self.settings.clone(), self.pauses.clone()).expect("connector")
    }

    fn graph(&self) -> Graph {
        Graph::new(Client::new(self.settings.clone(), self.pauses.clone()).expect("client"))
    }

    /// Folders a mail is in, by its Message-ID.
    fn places(&self, mailbox: &str) -> Vec<String> {
        self.stub.mails(mailbox).into_iter().map(|(folder, _)| folder).collect()
    }
}

fn mail(id: &str) -> Vec<u8> {
    format!(
        "From: billing@attacker.test\r\nTo: {ANN}\r\nSubject: Invoice\r\nMessage-ID: <{id}>\r\n\
         X-Hinomi-Message-Id: own-{id}\r\n\r\nplease pay {id}\r\n"
    )
    .into_bytes()
}

fn by_id(id: &str) -> Search {
    Search::MessageId(id.to_owned())
}

fn seconds(all: &[Duration]) -> Vec<f64> {
    all.iter().map(Duration::as_secs_f64).collect()
}

#[tokio::test]
async fn answers_of_the_stub_fit_the_public_schema() {
    let rig = Rig::start().await;
    let (stub, schema) = (&rig.stub, Schema::load());
    let id = stub.deliver(ANN, "inbox", &mail("a@x"));
    stub.add_folder(ANN, Some("inbox"), "経理");
    let http = reqwest::Client::new();
    let form = format!("grant_type=client_credentials&client_id={CLIENT}&client_secret={SECRET}&scope=x%2F.default");
    let login = http.post(format!("{}/example.test/oauth2/v2.0/token", stub.login_url())).body(form);
    let token: Value = login.send().await.expect("sent").json().await.expect("json");
    schema.check("tokenAnswer", &token).expect("token");
    let token = token["access_token"].as_str().expect("token").to_owned();
    let ask = async |method: &str, path: &str, body: Value| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("method");
        let request = http.request(method, format!("{}{path}", stub.graph_url())).bearer_auth(&token).json(&body);
        let response = request.send().await.expect("sent");
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap_or_default())
    };
    let encoded: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    let one = format!("/users/{ANN}/messages/{encoded}");
    for (kind, path) in [
        ("message", format!("/users/{ANN}/messages?$filter=internetMessageId eq '<a@x>'")),
        ("message", format!("/users/{ANN}/mailFolders/inbox/messages?$filter=internetMessageId eq '<a@x>'")),
        ("message", format!("/users/{ANN}/mailFolders/inbox/messages/delta")),
        ("mailFolder", format!("/users/{ANN}/mailFolders")),
        ("mailFolder", format!("/users/{ANN}/mailFolders/F-{ANN}-inbox/childFolders")),
        ("user", "/users".to_owned()),
        ("exchangeMessageTrace", "/admin/exchange/tracing/messageTraces?$filter=messageId eq '<a@x>'".to_owned()),
    ] {
        let (status, answer) = ask("GET", &path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {answer}");
        schema.check_list(kind, &answer).expect(&path);
        assert!(!answer["value"].as_array().expect("list").is_empty(), "{path}");
    }
    let (_, answer) = ask("GET", &one, Value::Null).await;
    schema.check("message", &answer).expect("message");
    let (_, answer) = ask("GET", &format!("/users/{ANN}/mailFolders/junkemail"), Value::Null).await;
    schema.check("mailFolder", &answer).expect("folder");
    let (status, answer) = ask("POST", &format!("{one}/move"), json!({ "destinationId": "junkemail" })).await;
    assert_eq!(status, 201);
    schema.check("message", &answer).expect("moved");
    let batch = json!({ "requests": [{ "id": "1", "method": "GET", "url": one }, { "id": "2", "method": "GET", "url": "/users/nobody/messages/x" }] });
    let (_, answer) = ask("POST", "/$batch", batch).await;
    schema.check("batchAnswer", &answer).expect("batch");
    for response in answer["responses"].as_array().expect("responses") {
        let kind = if response["status"] == 200 { "message" } else { "errorBody" };
        schema.check(kind, &response["body"]).expect("inner answer");
    }
    let (status, _) = ask("POST", &format!("{one}/permanentDelete"), Value::Null).await;
    assert_eq!(status, 204);
    let (status, answer) = ask("GET", "/users/nobody@example.test/messages/x", Value::Null).await;
    assert_eq!(status, 404);
    schema.check("errorBody", &answer).expect("error");

    // and the check itself can say no
    for wrong in [
        json!({ "id": "A", "isUnread": true }),
        json!({ "id": "A", "isRead": "yes" }),
        json!({ "isRead": true }),
        json!({ "id": null }),
        json!({ "id": "A", "importance": "huge" }),
        json!({ "id": "A", "receivedDateTime": "yesterday" }),
        json!({ "id": "A", "toRecipients": [{ "emailAddress": { "addr": "x" } }] }),
    ] {
        assert!(schema.check("message", &wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_mail_is_found_hidden_and_put_back_by_its_immutable_id() {
    let rig = Rig::start().await;
    let own = rig.stub.add_folder(ANN, Some("inbox"), "経理");
    let raw = mail("a@x");
    let id = rig.stub.deliver(ANN, &own, &raw);
    rig.stub.deliver(ANN, "inbox", &mail("other@x"));
    let connector = rig.connector();
    let mut mailbox = connector.open(ANN).await.expect("open");
    assert!(mailbox.abilities().hides && !mailbox.abilities().puts);

    let found = mailbox.candidates(&by_id("a@x"), 10).await.expect("find");
    let [found] = &found[..] else { panic!("one mail: {found:?}") };
    assert_eq!(found.raw, raw);
    assert_eq!(found.internal_date, "22-Nov-2026 01:00:00 +0000");
    assert_eq!(found.place.id, MailId::Immutable { id: id.clone() });
    assert_eq!((found.place.folder.name.as_str(), found.place.folder.role), ("経理", None));
    let other_ways = [Search::OwnId("own-a@x".to_owned()), Search::Body("please pay A@X".to_owned())];
    for search in &other_ways {
        assert_eq!(mailbox.candidates(search, 10).await.expect("find").len(), 1, "{search:?}");
    }

    let hidden = mailbox.folder(FolderRole::Recoverable).await.expect("folder");
    let place = mailbox.relocate(&found.place, &hidden).await.expect("move").expect("there");
    assert!(mailbox.is_at(&place).await.expect("look"));
    assert!(!mailbox.is_at(&found.place).await.expect("look"));
    let graph = rig.graph();
    let seen = graph.by_message_id(ANN, Within::Visible, "a@x", 10).await.expect("find");
    assert!(seen.is_empty(), "its owner does not see it: {seen:?}");
    let hits = mailbox.candidates(&by_id("a@x"), 10).await.expect("find");
    assert_eq!(hits.iter().map(|mail| &mail.place).collect::<Vec<_>>(), [&place], "we do");
    assert_eq!(mailbox.relocate(&found.place, &hidden).await.expect("again"), None, "not there any more");

    // its owner, with the help of Outlook, moves it elsewhere: the id still finds it
    let mark = mailbox.mark(&found.place.folder).await.expect("mark");
    assert!(mailbox.since(&mark, 10).await.expect("since").is_empty());
    let back = mailbox.relocate(&place, &found.place.folder).await.expect("back").expect("there");
    assert_eq!(back, found.place);
    let since = mailbox.since(&mark, 10).await.expect("since");
    assert_eq!(
        since.iter().map(|mail| &mail.place).collect::<Vec<_>>(),
        [&back],
        "what a restore that was cut off did"
    );
    assert_eq!(mailbox.candidates(&by_id("a@x"), 10).await.expect("find")[0].raw, raw);

    assert!(mailbox.destroy(&back).await.expect("destroy"));
    assert!(!mailbox.destroy(&back).await.expect("destroy again"));
    assert!(rig.places(ANN).contains(&"recoverableitemspurges".to_owned()));
    let new = NewMail { flags: Vec::new(), internal_date: String::new(), raw: raw.into() };
    let mark = mailbox.mark(&hidden).await.expect("mark");
    assert!(matches!(mailbox.put(&mark, &new).await, Err(ConnectorError::Unable(_))), "drafts only");

    // a folder that is gone is told apart from a mail that is gone
    rig.stub.deliver(ANN, "inbox", &mail("b@x"));
    let found = mailbox.candidates(&by_id("b@x"), 10).await.expect("find").remove(0);
    rig.stub.remove_folder(ANN, &own);
    let gone = hinomi_mail::connector::Folder { id: own, name: "経理".to_owned(), role: None };
    assert!(matches!(mailbox.relocate(&found.place, &gone).await, Err(ConnectorError::Refused { .. })));
    for id in ["many@x"; 4] {
        rig.stub.deliver(ANN, "inbox", &mail(id));
    }
    assert!(matches!(mailbox.candidates(&by_id("many@x"), 3).await, Err(ConnectorError::Refused { .. })));
}

#[tokio::test]
async fn requests_of_many_mailboxes_go_together() {
    let rig = Rig::start().await;
    let names: Vec<String> = (0..45).map(|number| format!("user{number}@example.test")).collect();
    for name in &names {
        rig.stub.add_mailbox(name);
        rig.stub.deliver(name, "inbox", &mail("a@x"));
    }
    let graph = rig.graph();
    graph.users(1_000).await.expect("a token first");
    rig.stub.take_seen();
    // two of them are throttled inside the batch, and only they are asked again
    rig.stub.fail(Fault::InnerBusy(429, Some(7)), 2);
    let found = join_all(names.iter().map(|name| graph.by_message_id(name, Within::Visible, "a@x", 10))).await;
    assert!(found.iter().all(|found| found.as_ref().is_ok_and(|mails| mails.len() == 1)));
    let seen = rig.stub.take_seen();
    let inside = seen.iter().filter(|one| one.batched).count();
    let batches = seen.iter().filter(|one| one.path == "$batch").count();
    let alone = seen.len() - inside - batches;
    assert_eq!(inside + alone, 47, "45 and two again: {seen:?}");
    // 20, 20, 5 when nothing disturbs; the stub refuses more than 20
    assert!((3..10).contains(&batches), "{batches} batches");
    let pauses = rig.pauses.take();
    assert_eq!(seconds(&pauses), [7.5, 7.5], "what was asked for, and half a second by chance");

    // an answer that is missing is asked for again
    rig.stub.fail(Fault::LeavesOut, 1);
    let found = join_all(names.iter().take(5).map(|name| graph.by_message_id(name, Within::Visible, "a@x", 10))).await;
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(seconds(&rig.pauses.take()), [0.75]);

    // a whole batch that is refused is asked for again by each of its requests
    rig.stub.fail(Fault::Busy(503, Some(3)), 1);
    let found = join_all(names.iter().take(5).map(|name| graph.by_message_id(name, Within::Visible, "a@x", 10))).await;
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(seconds(&rig.pauses.take()), [3.5; 5]);
}

#[tokio::test]
async fn the_service_is_left_alone_as_long_as_it_asks() {
    let mut rig = Rig::start().await;
    let graph = rig.graph();
    rig.stub.fail(Fault::Busy(429, Some(11)), 1);
    rig.stub.fail(Fault::Busy(503, None), 3);
    graph.users(10).await.expect("in the end");
    assert_eq!(seconds(&rig.pauses.take()), [11.5, 1.5, 3.0, 6.0]);

    rig.stub.fail(Fault::Busy(503, None), 100);
    let error = graph.users(10).await.expect_err("never");
    assert!(matches!(error, GraphError::Busy { status: 503, .. }) && error.is_passing(), "{error}");
    assert_eq!(rig.pauses.take().len(), 5, "six tries");
    rig.stub.heal();

    // longer than one call waits: the caller learns how long
    rig.stub.fail(Fault::Busy(429, Some(900)), 1);
    let connector = rig.connector();
    let mut mailbox = connector.open(ANN).await.expect("open");
    let error = mailbox.candidates(&by_id("a@x"), 10).await.expect_err("busy");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(900)));
    assert!(error.is_passing() && rig.pauses.take().is_empty());

    // broken JSON is a broken connection
    rig.stub.fail(Fault::Truncated, 1);
    graph.users(10).await.expect_err("truncated");
    graph.users(10).await.expect("whole again");

    // a server that falls silent
    rig.settings.limits.silence_max = Duration::from_millis(200);
    rig.settings.limits.tries_max = 2;
    let graph = rig.graph();
    graph.users(10).await.expect("a token first");
    rig.stub.fail(Fault::Slow(Duration::from_secs(60)), 2);
    let error = graph.users(10).await.expect_err("silent");
    assert!(matches!(error, GraphError::Transport { .. }), "{error}");
}

#[tokio::test]
async fn of_one_mailbox_at_most_four_requests_are_under_way() {
    let rig = Rig::start().await;
    let id = rig.stub.deliver(ANN, "inbox", &mail("a@x"));
    let graph = rig.graph();
    rig.stub.fail(Fault::Slow(Duration::from_millis(50)), 12);
    let read = join_all((0..12).map(|_| graph.mime(ANN, &id))).await;
    assert!(read.iter().all(|mail| mail.as_ref().is_ok_and(Option::is_some)));
    assert!((2..=4).contains(&rig.stub.in_flight_max()), "{}", rig.stub.in_flight_max());
}

#[tokio::test]
async fn tokens_are_shared_renewed_and_asked_for_with_secret_or_certificate() {
    let mut rig = Rig::start().await;
    let graph = rig.graph();
    let asked = join_all((0..5).map(|_| graph.users(10))).await;
    assert!(asked.iter().all(Result::is_ok));
    assert_eq!(rig.stub.tokens_given(), 1);
    rig.stub.fail(Fault::ExpiredToken, 1);
    graph.users(10).await.expect("with a new token");
    assert_eq!(rig.stub.tokens_given(), 2);
    // also when the batch is refused
    rig.stub.fail(Fault::ExpiredToken, 1);
    let asked = join_all((0..5).map(|_| graph.by_message_id(ANN, Within::Visible, "a@x", 10))).await;
    assert!(asked.iter().all(Result::is_ok), "{asked:?}");
    assert_eq!(rig.stub.tokens_given(), 3);
    assert!(rig.pauses.take().is_empty());

    rig.settings.credential = Credential::Secret("wrong-secret".to_owned());
    let error = rig.graph().users(10).await.expect_err("refused");
    assert!(matches!(error, GraphError::Login(_)) && !error.to_string().contains("wrong-secret"), "{error}");

    let (key, certificate) = certificate();
    let der = pem_bytes(&certificate);
    rig.settings.credential = Credential::Certificate(SigningKey::from_pem(&key, &certificate).expect("key"));
    rig.graph().users(10).await.expect_err("not known yet");
    rig.stub.trust_certificate(&der);
    rig.graph().users(10).await.expect("with a signed assertion");
    let (other, _) = self::certificate();
    rig.settings.credential = Credential::Certificate(SigningKey::from_pem(&other, &certificate).expect("key"));
    rig.graph().users(10).await.expect_err("another key");
}

#[tokio::test]
async fn a_receipt_needs_proof() {
    let rig = Rig::start().await;
    rig.stub.deliver(ANN, "inbox", &mail("a@x"));
    let connector = rig.connector();
    let mut mailbox = connector.open(ANN).await.expect("open");
    let hidden = mailbox.folder(FolderRole::Recoverable).await.expect("folder");
    let found = mailbox.candidates(&by_id("a@x"), 10).await.expect("find").remove(0);

    rig.stub.fail(Fault::MoveLies, 1);
    mailbox.relocate(&found.place, &hidden).await.expect_err("201, but it is still there");
    rig.stub.fail(Fault::RemovalLies, 1);
    mailbox.destroy(&found.place).await.expect_err("204, but it is still there");
    rig.stub.fail(Fault::NoPermanentDelete, 1);
    let error = mailbox.destroy(&found.place).await.expect_err("not in this cloud");
    assert!(matches!(error, ConnectorError::Unable(_)), "{error}");
    assert_eq!(rig.places(ANN), ["inbox"]);

    // the service does not keep the id: the new one is what the receipt names
    rig.stub.fail(Fault::IdChanges, 1);
    let place = mailbox.relocate(&found.place, &hidden).await.expect("move").expect("there");
    assert_ne!(place.id, found.place.id);
    assert!(mailbox.is_at(&place).await.expect("look"));
    let back = mailbox.relocate(&place, &found.place.folder).await.expect("back").expect("there");

    // work done, answer lost: the second try finds it done, and that counts
    rig.stub.fail(Fault::LostAnswer, 1);
    let place = mailbox.relocate(&back, &hidden).await.expect("move").expect("there");
    rig.stub.fail(Fault::LostAnswer, 1);
    assert!(mailbox.destroy(&place).await.expect("destroy"));
    assert_eq!(rig.places(ANN), ["recoverableitemspurges"]);

    // the way its owner would delete
    let id = rig.stub.deliver(ANN, "inbox", &mail("b@x"));
    let graph = rig.graph();
    assert!(graph.delete(ANN, &id).await.expect("delete"));
    assert!(rig.places(ANN).contains(&"deleteditems".to_owned()));
    assert!(!graph.delete(ANN, "AAnothing").await.expect("delete"));
}

#[tokio::test]
async fn the_token_goes_to_nobody_else() {
    let mut rig = Rig::start().await;
    for number in 0..5 {
        rig.stub.deliver(ANN, "inbox", &mail(&format!("{number}@x")));
    }
    rig.stub.set_page(2);
    // another stub, on another port: it would answer
    let foreign = GraphStub::start(CLIENT, SECRET).await.expect("stub");
    foreign.add_mailbox(ANN);
    let graph = rig.graph();
    let here = rig.stub.graph_url();
    for elsewhere in [
        format!("{}/users/{ANN}/messages", foreign.graph_url()),
        "https://graph.microsoft.com.attacker.test/v1.0/users".to_owned(),
        here.replace("http://", "http://graph.microsoft.com@"),
        here.replace("http://", "https://"),
        format!("{}/../login/x", here),
        "/v1.0/users".to_owned(),
        "javascript:alert(1)".to_owned(),
    ] {
        rig.stub.fail(Fault::ForeignLink(elsewhere.clone()), 1);
        let error = graph.by_body(ANN, Within::Visible, "please", 100).await.expect_err(&elsewhere);
        assert!(matches!(error, GraphError::ForeignLink { .. }), "{elsewhere}: {error}");
        rig.stub.fail(Fault::ForeignLink(elsewhere.clone()), 1);
        let error = graph.delta(ANN, "inbox", None).await.expect_err(&elsewhere);
        assert!(matches!(error, GraphError::ForeignLink { .. }), "{elsewhere}: {error}");
    }
    graph.delta(ANN, "inbox", Some(&format!("{}/users", foreign.graph_url()))).await.expect_err("a stored link too");
    rig.stub.fail(Fault::Redirect(foreign.graph_url()), 1);
    let error = graph.users(10).await.expect_err("a redirect is no answer");
    assert!(matches!(error, GraphError::Refused { status: 302, .. }), "{error}");
    assert!(foreign.take_seen().is_empty() && foreign.tokens_given() == 0);
    assert_eq!(graph.by_body(ANN, Within::Visible, "please", 100).await.expect("all pages").len(), 5);

    // sizes and numbers
    rig.settings.limits.mail_bytes_max = 20;
    let id = rig.stub.deliver(ANN, "inbox", &mail("big@x"));
    let error = rig.graph().mime(ANN, &id).await.expect_err("too large");
    assert!(matches!(error, GraphError::TooLarge { limit_bytes: 20, .. }), "{error}");
    rig.settings.limits.json_bytes_max = 100;
    assert!(matches!(rig.graph().users(10).await, Err(GraphError::TooLarge { limit_bytes: 100, .. })));
    rig.settings.limits = Limits { pages_max: 2, ..Limits::default() };
    assert!(matches!(rig.graph().by_body(ANN, Within::Visible, "please", 100).await, Err(GraphError::TooMany { .. })));
}

#[tokio::test]
async fn a_folder_is_read_by_its_changes() {
    let rig = Rig::start().await;
    let graph = rig.graph();
    rig.stub.set_page(2);
    let ids: Vec<String> = (0..5).map(|number| rig.stub.deliver(ANN, "inbox", &mail(&format!("{number}@x")))).collect();
    rig.stub.deliver(ANN, "junkemail", &mail("junk@x"));

    let round = async |from: Option<String>| {
        let (mut link, mut changed, mut removed) = (from, Vec::new(), Vec::new());
        loop {
            let page = graph.delta(ANN, "inbox", link.as_deref()).await.expect("page");
            changed.extend(page.changed.into_iter().map(|mail| mail.id));
            removed.extend(page.removed);
            match page.next {
                Link::More(next) => link = Some(next),
                Link::Done(next) => return (next, changed, removed),
            }
        }
    };
    let (link, changed, removed) = round(None).await;
    assert_eq!((changed, removed), (ids.clone(), Vec::new()));
    rig.stub.owner_moves(ANN, &ids[1], "archive");
    let late = rig.stub.deliver(ANN, "inbox", &mail("late@x"));
    let (link, changed, removed) = round(Some(link)).await;
    assert_eq!((changed, removed), (vec![late], vec![ids[1].clone()]));

    rig.stub.fail(Fault::DeltaExpired, 1);
    assert!(matches!(graph.delta(ANN, "inbox", Some(&link)).await, Err(GraphError::DeltaExpired)));
    let (_, changed, _) = round(None).await;
    assert_eq!(changed.len(), 5, "read anew");
}

#[tokio::test]
async fn the_tenant_tells_who_got_a_mail_and_who_has_which_address() {
    let rig = Rig::start().await;
    let graph = rig.graph();
    for number in 0..7 {
        let name = format!("user{number}@example.test");
        rig.stub.add_mailbox(&name);
        rig.stub.deliver(&name, "inbox", &mail(if number < 5 { "a@x" } else { "b@x" }));
    }
    let time = |text: &str| Timestamp::parse(text).expect("time");
    let query = TraceQuery {
        message_id: Some("a@x".to_owned()),
        from: time("2026-11-01T00:00:00Z"),
        to: time("2026-11-23T00:00:00Z"),
        ..TraceQuery::default()
    };
    rig.stub.take_seen();
    let traces = graph.traces(&query, 1_000).await.expect("traces");
    let recipients: Vec<&str> = traces.iter().filter_map(|trace| trace.recipient_address.as_deref()).collect();
    assert_eq!(recipients, (0..5).map(|n| format!("user{n}@example.test")).collect::<Vec<_>>());
    // three spans of at most ten days, the last one on two pages of three
    assert_eq!(rig.stub.take_seen().len(), 4);
    assert!(matches!(graph.traces(&query, 4).await, Err(GraphError::TooMany { max: 4, .. })));

    let users = graph.users(100).await.expect("users");
    assert_eq!(users.len(), 8);
    assert_eq!(users[1].addresses(), ["user0@example.test", "user0.alias@example.test"]);
    // as the server asks: guests have no mailbox here
    rig.stub.add_guest("visitor@elsewhere.test");
    let connector = rig.connector();
    let owners = connector.owners().await.expect("owners");
    assert_eq!(owners.len(), 8, "{owners:#?}");
    assert_eq!(owners[1].addresses, ["user0@example.test", "user0.alias@example.test"]);
    let asked = TraceAsked { message_id: "b@x".to_owned(), from: query.from, to: query.to, max: 100 };
    let told = connector.recipients(&asked).await.expect("traced").expect("offered");
    let told: Vec<(&str, &str)> = told.iter().map(|one| (one.recipient.as_str(), one.status.as_str())).collect();
    assert_eq!(told, [("user5@example.test", "delivered"), ("user6@example.test", "delivered")]);
    rig.stub.fail(Fault::NoTrace, 1);
    assert_eq!(connector.recipients(&asked).await.expect("an answer"), None, "national clouds have none");
    rig.stub.add_folder(ANN, Some("inbox"), "one");
    let folders = graph.folders(ANN).await.expect("folders");
    assert!(folders.iter().any(|folder| folder.display_name.as_deref() == Some("one")));
    assert_eq!(folders.len(), 7);
}

#[tokio::test]
async fn a_listing_whose_link_is_forgotten_in_the_middle_begins_again_and_pages_are_large() {
    let rig = Rig::start().await;
    rig.stub.set_page(1_000);
    for number in 0..25 {
        rig.stub.deliver(ANN, "inbox", &mail(&format!("{number}@x")));
    }
    let connector = rig.connector();
    let mut walk = connector.walk(ANN).await.expect("walk");
    let inbox = walk.folders().iter().find(|folder| folder.role == Some(FolderRole::Inbox)).expect("inbox").id.clone();
    rig.stub.take_seen();
    let whole = walk.changes(&inbox, None).await.expect("changes").expect("readable");
    assert_eq!((whole.new.len(), whole.more), (25, false), "asked for pages larger than the service's own");
    assert_eq!(rig.stub.take_seen().len(), 1);

    // the link is forgotten, and then the one between two pages of the new listing
    rig.stub.set_page(10);
    let before: Vec<&str> = whole.new.iter().map(|came| came.id.as_str()).collect();
    rig.stub.fail(Fault::DeltaExpired, 3);
    let again = walk.changes(&inbox, Some(&whole.cursor)).await.expect("changes").expect("readable");
    let after: Vec<&str> = again.new.iter().map(|came| came.id.as_str()).collect();
    assert_eq!(after, before, "each mail once");
    assert_eq!(again.gone, hinomi_mail::connector::Gone::AllBut(before.iter().map(|id| (*id).to_owned()).collect()));
    let next = walk.changes(&inbox, Some(&again.cursor)).await.expect("changes").expect("readable");
    assert!(next.new.is_empty() && !next.more);
    // a service that forgets every time is told of, not asked for ever
    rig.stub.fail(Fault::DeltaExpired, 100);
    let error = walk.changes(&inbox, Some(&again.cursor)).await.expect_err("no end");
    assert!(error.to_string().contains("how far") || format!("{error:?}").contains("DeltaExpired"), "{error:?}");
    rig.stub.heal();
}

/// A key and a certificate of it, PEM, made by openssl.
fn certificate() -> (String, String) {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = |name: &str| dir.path().join(name).display().to_string();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hinomi", "-keyout"])
        .args([&file("key"), "-out", &file("certificate")])
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("made");
    (read("key"), read("certificate"))
}

fn pem_bytes(pem: &str) -> Vec<u8> {
    use base64::Engine;
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD.decode(body).expect("base64")
}

//! The HTTP API of a real server: login, second factors, permissions, conflicts, live stream,
//! hostile requests, audit.

#[path = "http/authenticator.rs"]
mod authenticator;
#[path = "http/world.rs"]
#[allow(dead_code, reason = "shared with the other tests of the API")]
mod world;

use authenticator::Authenticator;
use hinomi_api::routes::routes;
use hinomi_model::{
    Action, ActionId, ActionSpec, ActionState, EntityKey, MessageCopyRef, Receipt, ReceiptState, Role, Text,
};
use hinomi_server::live::LiveEvent;
use serde_json::{Value, json};
use world::{PASSWORD, Person, code, read, session_of, world};

const NOBODY: Person = Person { cookie: None, token: None };

#[tokio::test(flavor = "multi_thread")]
async fn from_the_first_code_to_step_up_by_authenticator() {
    let world = world().await;
    let meta = world.ask(&NOBODY, "GET", "/meta", None).await.is(200).body;
    assert_eq!(meta["setup_required"], true);
    let wrong = json!({ "code": "AAAA-BBBB-CCCC-DDDD", "name": "x", "password": PASSWORD, "language": "en" });
    assert_eq!(world.ask(&NOBODY, "POST", "/auth/setup", Some(wrong)).await.is(401).code(), "wrong_login");
    let first = world.set_up().await;
    let again = json!({ "code": world.running.setup_code, "name": "x", "password": PASSWORD, "language": "en" });
    world.ask(&NOBODY, "POST", "/auth/setup", Some(again)).await.is(401);
    let meta = world.ask(&NOBODY, "GET", "/meta", None).await.body;
    assert_eq!((&meta["setup_required"], &meta["language"]), (&json!(false), &json!("ja")));
    let me = world.ask(&first, "GET", "/auth/me", None).await.is(200).body;
    assert_eq!((&me["user"]["name"], &me["user"]["role"]), (&json!("tanaka"), &json!("administrator")));

    // dangerous acts need a second factor, also from an administrator
    let user = json!({ "name": "sato", "password": "another long password", "role": "viewer" });
    let refused = world.ask(&first, "POST", "/users", Some(user.clone())).await.is(403);
    assert_eq!(refused.code(), "step_up_required");
    world.ask(&first, "POST", "/auth/step-up/totp", Some(json!({ "code": "123456" }))).await.is(409);

    let started = world.ask(&first, "POST", "/auth/totp/start", None).await.is(200).body;
    let secret = started["secret"].as_str().expect("secret").to_owned();
    world.ask(&first, "POST", "/auth/totp/finish", Some(json!({ "code": "000000" }))).await.is(400);
    let finish = json!({ "code": code(&secret, -1).await });
    world.ask(&first, "POST", "/auth/totp/finish", Some(finish)).await.is(200);
    world.ask(&first, "POST", "/auth/logout", None).await.is(204);
    world.ask(&first, "GET", "/auth/me", None).await.is(401);

    let login = |totp: Value| json!({ "name": "Tanaka ", "password": PASSWORD, "totp": totp });
    let needs = world.ask(&NOBODY, "POST", "/auth/login", Some(login(Value::Null))).await.is(401);
    assert_eq!(needs.code(), "totp_required");
    let used = code(&secret, 0).await;
    let response = world.send(&NOBODY, "POST", "/auth/login", Some(login(json!(used)))).await;
    let second = session_of(&response);
    let replay = world.ask(&NOBODY, "POST", "/auth/login", Some(login(json!(used)))).await.is(401);
    assert_eq!(replay.code(), "wrong_login", "a code works once");
    let next = json!({ "code": code(&secret, 1).await });
    world.ask(&second, "POST", "/auth/step-up/totp", Some(next)).await.is(200);
    let made = world.ask(&second, "POST", "/users", Some(user.clone())).await.is(201).body;
    assert_eq!(world.ask(&second, "POST", "/users", Some(user)).await.is(409).code(), "duplicate");

    // a new password ends the other sessions; sessions can be ended one by one
    let sato = json!({ "name": "sato", "password": "another long password" });
    let one = session_of(&world.send(&NOBODY, "POST", "/auth/login", Some(sato.clone())).await);
    let two = session_of(&world.send(&NOBODY, "POST", "/auth/login", Some(sato)).await);
    let sessions = world.ask(&one, "GET", "/auth/sessions", None).await.is(200).body;
    assert_eq!(sessions["total"], 2);
    let short = json!({ "password": "short", "current_password": "another long password" });
    assert_eq!(world.ask(&one, "PATCH", "/auth/me", Some(short)).await.is(400).body["field"], "password");
    let change = json!({ "password": "a third long password", "current_password": "another long password" });
    world.ask(&one, "PATCH", "/auth/me", Some(change)).await.is(200);
    world.ask(&two, "GET", "/auth/me", None).await.is(401);
    let path = format!("/users/{}", made["id"].as_str().expect("id"));
    world.ask(&second, "PATCH", &path, Some(json!({ "disabled": true }))).await.is(200);
    world.ask(&one, "GET", "/auth/me", None).await.is(401);
    let own = format!("/users/{}", me["user"]["id"].as_str().expect("id"));
    let last = world.ask(&second, "PATCH", &own, Some(json!({ "role": "viewer" }))).await.is(409);
    assert_eq!(last.code(), "last_administrator");
}

#[tokio::test(flavor = "multi_thread")]
async fn passkeys_register_log_in_and_prove_presence() {
    let world = world().await;
    let person = world.set_up().await;
    let origin = world.base.replace("127.0.0.1", "localhost");
    let mut key = Authenticator::new(&origin, "localhost");

    let started = world.ask(&person, "POST", "/auth/passkeys/register/start", None).await.is(200).body;
    let mut foreign = Authenticator::new("https://localhost.example", "localhost");
    let finish = |credential: Value, started: &Value| json!({ "ceremony": started["ceremony"], "name": "laptop", "credential": credential });
    let forged = finish(foreign.create(&started["options"]), &started);
    world.ask(&person, "POST", "/auth/passkeys/register/finish", Some(forged)).await.is(400);
    let over = finish(key.create(&started["options"]), &started);
    world.ask(&person, "POST", "/auth/passkeys/register/finish", Some(over)).await.is(409);
    let started = world.ask(&person, "POST", "/auth/passkeys/register/start", None).await.is(200).body;
    let good = finish(key.create(&started["options"]), &started);
    let me = world.ask(&person, "POST", "/auth/passkeys/register/finish", Some(good)).await.is(200).body;
    assert_eq!(me["user"]["passkeys"], json!(["laptop"]));

    let start = world.ask(&NOBODY, "POST", "/auth/passkeys/login/start", Some(json!({ "name": "tanaka" }))).await;
    let start = start.is(200).body;
    let body = json!({ "ceremony": start["ceremony"], "credential": key.get(&start["options"]) });
    let response = world.send(&NOBODY, "POST", "/auth/passkeys/login/finish", Some(body.clone())).await;
    let session = session_of(&response);
    world.ask(&NOBODY, "POST", "/auth/passkeys/login/finish", Some(body)).await.is(401);

    let remove = world.ask(&session, "DELETE", "/auth/passkeys/laptop", None).await.is(403);
    assert_eq!(remove.code(), "step_up_required");
    // an assertion for another purpose does not open the gate
    let start = world.ask(&NOBODY, "POST", "/auth/passkeys/login/start", Some(json!({ "name": "tanaka" }))).await.body;
    let body = json!({ "ceremony": start["ceremony"], "credential": key.get(&start["options"]) });
    world.ask(&session, "POST", "/auth/step-up/passkey/finish", Some(body)).await.is(409);
    let start = world.ask(&session, "POST", "/auth/step-up/passkey/start", None).await.is(200).body;
    let body = json!({ "ceremony": start["ceremony"], "credential": key.get(&start["options"]) });
    world.ask(&session, "POST", "/auth/step-up/passkey/finish", Some(body)).await.is(200);
    let me = world.ask(&session, "DELETE", "/auth/passkeys/laptop", None).await.is(200).body;
    assert_eq!(me["user"]["passkeys"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_for_its_permission() {
    let world = world().await;
    let roles = [Role::Viewer, Role::Auditor, Role::Responder, Role::Administrator];
    for route in routes() {
        let path = route
            .path
            .replace("{sha256}", &"0".repeat(64))
            .replace("{id}", "00000000-0000-7000-8000-000000000000")
            .replace("{message_id}", "00000000-0000-7000-8000-000000000000")
            .replace("{name}", "none");
        let method = route.method.name();
        let body = (method != "GET").then(|| json!({}));
        let nobody = world.send(&NOBODY, method, &path, body.clone()).await.status().as_u16();
        let public = route.permission == hinomi_api::Permission::Public;
        assert_eq!(nobody == 401 && route.id != "login", !public && nobody == 401, "{method} {path}: {nobody}");
        if public {
            continue;
        }
        assert_eq!(nobody, 401, "{method} {path}");
        for role in roles {
            let person = world.person(&format!("{}-{}", role.word(), route.id.to_lowercase()), role).await;
            let token = world.token(role).await;
            for (who, profile) in [(&person, true), (&token, false)] {
                let may =
                    route.permission.allows(role) && (profile || route.permission != hinomi_api::Permission::Profile);
                let response = world.send(who, method, &path, body.clone()).await;
                let status = response.status().as_u16();
                let code = if status >= 400 { read(response).await.code().to_owned() } else { String::new() };
                let refused = status == 401 || code == "forbidden";
                assert_eq!(refused, !may, "{method} {path} as {role:?} (person: {profile}): {status} {code}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_undone_needs_presence() {
    let world = world().await;
    let person = world.person("responder", Role::Responder).await;
    let copies = json!([{ "message_id": "00000000-0000-7000-8000-000000000000", "recipient": "a@example.test" }]);
    let order = |kind: &str| json!({ "spec": { "kind": kind, "copies": copies }, "reason": "test" });
    let hard = || Some(order("hard_delete_messages"));
    assert_eq!(world.ask(&person, "POST", "/actions", hard()).await.is(403).code(), "step_up_required");
    let filter = json!({ "conditions": [{ "field": "subject", "values": ["x"] }] });
    let by_filter = || Some(json!({ "filter": filter, "remedy": "hardDelete", "reason": "test" }));
    assert_eq!(world.ask(&person, "POST", "/mail/bulk", by_filter()).await.is(403).code(), "step_up_required");
    let proposed = json!({ "filter": filter, "remedy": "hardDelete", "reason": "test", "propose_only": true });
    assert_eq!(world.ask(&person, "POST", "/mail/bulk", Some(proposed)).await.code(), "unavailable", "only proposed");
    // trying again what failed is as final as the first try, and so is approving what another proposed
    let failed = failed_removal(&world, hinomi_model::MessageRemedy::HardDelete).await;
    let retry = format!("/actions/{failed}/retry");
    assert_eq!(world.ask(&person, "POST", &retry, Some(json!({}))).await.is(403).code(), "step_up_required");
    let soft = failed_removal(&world, hinomi_model::MessageRemedy::SoftDelete).await;
    world.ask(&person, "POST", &format!("/actions/{soft}/retry"), Some(json!({}))).await.is(200);
    let store = &world.running.ctx.store;
    let untouched = store.action(failed).await.expect("read").expect("there");
    assert_eq!(untouched.state, ActionState::Failed, "{untouched:?}");
    world.step_up(&person).await;
    world.ask(&person, "POST", &retry, Some(json!({}))).await.is(200);
    let tried = store.action(failed).await.expect("read").expect("there");
    assert!(tried.version > untouched.version, "{tried:?}");
    assert_eq!(world.ask(&person, "POST", "/actions", hard()).await.code(), "unavailable", "no mailboxes here");
    assert_eq!(world.ask(&person, "POST", "/mail/bulk", by_filter()).await.code(), "unavailable", "no mailboxes here");
    for kind in ["soft_delete_messages", "quarantine_messages", "move_messages_to_junk"] {
        let other = world.person("other", Role::Responder).await;
        assert_eq!(world.ask(&other, "POST", "/actions", Some(order(kind))).await.code(), "unavailable", "{kind}");
    }
}

/// An action of which one target failed.
async fn failed_removal(world: &world::World, remedy: hinomi_model::MessageRemedy) -> ActionId {
    let now = world.running.ctx.now();
    let copy = MessageCopyRef { message_id: hinomi_server::ids::new(), recipient: "a@example.test".to_owned() };
    let target = EntityKey::message_copy(copy.message_id, &copy.recipient);
    let action = Action {
        id: hinomi_server::ids::new(),
        spec: ActionSpec::of_remedy(remedy, vec![copy], false),
        state: ActionState::Failed,
        reason: Text::same("test"),
        proposed_by: "kana".to_owned(),
        decided_by: Some("kana".to_owned()),
        decided_at: Some(now),
        comment: None,
        approval: Default::default(),
        incident_id: None,
        investigation_id: None,
        receipts: vec![Receipt {
            target,
            state: ReceiptState::Failed,
            detail: Text::same("away"),
            proof: None,
            at: now,
        }],
        follow_up: None,
        undone_by: None,
        undoes: None,
        created_at: now,
        finished_at: Some(now),
        expires_at: now.plus_seconds(3_600),
        version: 1,
    };
    let mut tx = world.running.ctx.store.begin().await.expect("tx");
    tx.insert_action(&action, None).await.expect("inserted");
    tx.commit().await.expect("commit");
    action.id
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_pages_and_hostile_requests_are_refused() {
    let world = world().await;
    let person = world.set_up().await;
    let url = format!("{}/api/v1/auth/me", world.base);
    let cookie = format!("__Host-hinomi={}", person.cookie.as_deref().expect("cookie"));
    let patch = || world.client.patch(&url).header("cookie", &cookie).json(&json!({ "language": "en" }));
    for request in [
        patch(),
        patch().header("x-hinomi", "1").header("sec-fetch-site", "cross-site"),
        patch().header("x-hinomi", "1").header("origin", "https://evil.example"),
    ] {
        assert_eq!(read(request.send().await.expect("answer")).await.is(403).code(), "cross_site");
    }
    let own = patch().header("x-hinomi", "1").header("sec-fetch-site", "same-origin").header("origin", &world.base);
    read(own.send().await.expect("answer")).await.is(200);

    let login = format!("{}/api/v1/auth/login", world.base);
    let post = |body: String| {
        world.client.post(&login).header("x-hinomi", "1").header("content-type", "application/json").body(body)
    };
    let deep = format!("{{\"name\":{}1{}}}", "[".repeat(50_000), "]".repeat(50_000));
    for (request, status) in [
        (post(deep), 400),
        (post("{".to_owned()), 400),
        (post(r#"{"name":"a","password":"b","admin":true}"#.to_owned()), 400),
        (post(format!("{{\"name\":\"{}\"}}", "a".repeat(2 << 20))), 413),
        (world.client.post(&login).header("x-hinomi", "1").body("name=a"), 415),
        (world.client.put(&login).header("x-hinomi", "1"), 405),
        (world.client.get(format!("{}/api/v1/nothing", world.base)), 404),
        (world.client.get(format!("{}/api/v1/incidents/%00", world.base)).header("cookie", &cookie), 404),
        (world.client.get(format!("{}/api/v1/incidents?status=bad", world.base)).header("cookie", &cookie), 400),
        (world.client.get(format!("{}/api/v1/incidents?cursor=bad", world.base)).header("cookie", &cookie), 400),
        (world.client.get(format!("{}/api/v1/incidents?nope=1", world.base)).header("cookie", &cookie), 400),
    ] {
        match request.send().await {
            Ok(answer) => {
                read(answer).await.is(status);
            }
            // refused while the body was still being sent: the connection may break before the answer is read
            Err(error) => assert!(status == 413 && error.is_request(), "{status}: {error:?}"),
        }
    }
    // clear text is refused, and the server goes on
    let clear = reqwest::Client::new().get(world.base.replace("https", "http")).send().await;
    assert!(clear.is_err());
    world.ask(&NOBODY, "GET", "/health", None).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_passwords_has_to_wait() {
    let world = world().await;
    world.set_up().await;
    let wrong = json!({ "name": "tanaka", "password": "wrong wrong wrong" });
    let ghost = json!({ "name": "nobody", "password": "wrong wrong wrong" });
    let known = world.ask(&NOBODY, "POST", "/auth/login", Some(wrong.clone())).await.is(401);
    let unknown = world.ask(&NOBODY, "POST", "/auth/login", Some(ghost)).await.is(401);
    assert_eq!(known.code(), unknown.code(), "answers do not tell who exists");
    for _ in 1..10 {
        world.ask(&NOBODY, "POST", "/auth/login", Some(wrong.clone())).await.is(401);
    }
    let right = json!({ "name": "tanaka", "password": PASSWORD });
    let waits = world.ask(&NOBODY, "POST", "/auth/login", Some(right)).await.is(429);
    assert!(waits.headers["retry-after"].to_str().expect("text").parse::<u64>().expect("seconds") > 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_based_on_versions_and_audited() {
    let world = world().await;
    let person = world.set_up().await;
    let settings = world.ask(&person, "GET", "/settings", None).await.is(200);
    let seen = settings.headers["etag"].to_str().expect("etag").to_owned();
    let change = |level: &str| {
        world
            .client
            .patch(format!("{}/api/v1/settings", world.base))
            .header("x-hinomi", "1")
            .header("cookie", format!("__Host-hinomi={}", person.cookie.as_deref().expect("cookie")))
            .header("if-match", &seen)
            .json(&json!({ "automation_level": level }))
    };
    let changed = read(change("full").send().await.expect("answer")).await.is(200);
    assert_eq!(changed.body["automation_level"], "full");
    let late = read(change("none").send().await.expect("answer")).await.is(412);
    assert_eq!((late.code(), &late.body["current"]["automation_level"]), ("version_conflict", &json!("full")));
    assert_eq!(late.headers["etag"], changed.headers["etag"]);

    world.step_up(&person).await;
    let token = json!({ "name": "script", "role": "responder" });
    let token = world.ask(&person, "POST", "/tokens", Some(token)).await.is(201).body;
    let secret = token["secret"].as_str().expect("secret").to_owned();
    assert!(secret.starts_with("hnm_"));
    let script = Person { cookie: None, token: Some(secret.clone()) };
    world.ask(&script, "GET", "/incidents", None).await.is(200);
    let enrolment = world.ask(&person, "POST", "/enrolment-tokens", Some(json!({ "note": "PC 1" }))).await.is(201).body;
    let line = enrolment["line"].as_str().expect("line").to_owned();
    assert!(hinomi_wire::EnrolmentToken::decode(&line).is_ok());
    let path = format!("/tokens/{}", token["token"]["id"].as_str().expect("id"));
    world.ask(&person, "DELETE", &path, None).await.is(204);
    world.ask(&script, "GET", "/incidents", None).await.is(401);

    let audit = world.ask(&person, "GET", "/audit", None).await.is(200).body;
    let records: Vec<(String, String, String, String)> = audit["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|one| {
            let text = |name: &str| one[name].as_str().expect("text").to_owned();
            (text("actor"), text("action"), text("address"), text("result"))
        })
        .collect();
    let is = |actor: &str, action: &str, result: &str| {
        let wanted = (actor.to_owned(), action.to_owned(), "127.0.0.1".to_owned(), result.to_owned());
        assert!(records.contains(&wanted), "{wanted:?} in {records:#?}");
    };
    is("tanaka", "auth.setup", "ok");
    is("tanaka", "settings.update", "ok");
    is("tanaka", "settings.update", "version_conflict");
    is("tanaka", "token.create", "ok");
    is("tanaka", "enrolment_token.create", "ok");
    is("tanaka", "token.revoke", "ok");
    let verified = world.ask(&person, "GET", "/audit/verify", None).await.is(200).body;
    assert_eq!((&verified["intact"], &verified["records"]), (&json!(true), &audit["total"]));
    let export = world.send(&person, "GET", "/audit/export", None).await.text().await.expect("text");
    assert_eq!(export.lines().count() as i64, audit["total"].as_i64().expect("total"));

    // no answer and no record holds a secret
    let list = world.ask(&person, "GET", "/tokens", None).await.body.to_string()
        + &world.ask(&person, "GET", "/enrolment-tokens", None).await.body.to_string()
        + &world.ask(&person, "GET", "/users", None).await.body.to_string();
    for hidden in [secret.as_str(), line.as_str(), PASSWORD, "sha256\"", "argon2"] {
        assert!(!export.contains(hidden) && !list.contains(hidden), "{hidden}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_stream_replays_what_was_missed() {
    let world = world().await;
    let person = world.set_up().await;
    let live = &world.running.ctx.live;
    let event = |n: i64| LiveEvent {
        event: "incident.updated",
        id: format!("id-{n}"),
        version: n,
        number: Some(n),
        progress: None,
    };
    (1..=3).for_each(|n| live.send(event(n)));
    let mut response = world
        .client
        .get(format!("{}/api/v1/stream", world.base))
        .header("cookie", format!("__Host-hinomi={}", person.cookie.as_deref().expect("cookie")))
        .header("last-event-id", "1")
        .send()
        .await
        .expect("answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    let mut sent = false;
    while !text.contains("id-4") {
        if text.contains("id-3") && !sent {
            live.send(event(4));
            sent = true;
        }
        let chunk = response.chunk().await.expect("chunk").expect("the stream goes on");
        text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
    }
    assert!(!text.contains("id-1"), "{text}");
    for part in ["id: 2\n", "event: incident.updated\n", r#"data: {"id":"id-3","version":3,"number":3}"#, "id: 4\n"] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let unknown = world.send(&person, "GET", "/stream", None).await;
    drop(unknown);
    let mut lost = world
        .client
        .get(format!("{}/api/v1/stream", world.base))
        .header("cookie", format!("__Host-hinomi={}", person.cookie.as_deref().expect("cookie")))
        .header("last-event-id", "999")
        .send()
        .await
        .expect("answer");
    let first = lost.chunk().await.expect("chunk").expect("data");
    assert!(first.starts_with(b"event: reset\n"), "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_served_with_a_strict_policy() {
    let world = world().await;
    let get = |path: &str| world.client.get(format!("{}{path}", world.base)).send();
    let mut nonces = Vec::new();
    for path in ["/", "/incidents/1042"] {
        let page = get(path).await.expect("page");
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        assert_eq!(page.headers()["x-content-type-options"], "nosniff");
        let policy = page.headers()["content-security-policy"].to_str().expect("text").to_owned();
        assert!(policy.contains("script-src 'self'; style-src 'self' 'nonce-") && !policy.contains("unsafe"));
        nonces.push(policy);
        assert!(!page.text().await.expect("html").contains("__CSP_NONCE__"));
    }
    assert_ne!(nonces[0], nonces[1], "a nonce is used once");
    assert_eq!(get("/assets/none.js").await.expect("answer").status(), 404);
    let served: Value = get("/api/v1/openapi.json").await.expect("answer").json().await.expect("JSON");
    assert_eq!(served, hinomi_api::openapi::document(env!("CARGO_PKG_VERSION")));
}

/// Puts a mail into the log as the gateway does and waits until the explorer shows it.
async fn mail_through_gateway(world: &world::World, id: &str, sha256: &str) {
    use hinomi_model::{Event, Table};
    let now = world.running.ctx.now();
    let mut mail = Event::new(Table::EmailEvents, now);
    mail.set("NetworkMessageId", id)
        .set("InternetMessageId", format!("{id}@evil.example"))
        .set("SenderFromAddress", "billing@evil.example")
        .set("RecipientEmailAddress", "aki@example.jp")
        .set("Subject", "Invoice, 12")
        .set("DeliveryAction", "Delivered")
        .set("DeliveryLocation", "Inbox/folder")
        .set("ReportId", format!("{id}/aki"));
    let mut file = Event::new(Table::EmailAttachmentInfo, now);
    file.set("NetworkMessageId", id)
        .set("RecipientEmailAddress", "aki@example.jp")
        .set("FileName", "invoice.zip")
        .set("SHA256", sha256)
        .set("ReportId", format!("{id}/aki/file/0"));
    world.running.ctx.ingest.append(hinomi_server::ingest::Source::Gateway, vec![mail, file]).await.expect("stored");
}

async fn until(world: &world::World, who: &Person, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let got = world.ask(who, "GET", path, None).await.is(200).body;
        if holds(&got) {
            return got;
        }
        assert!(std::time::Instant::now() < end, "{path}: {got}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_of_scanners_become_alerts_and_conditions() {
    let world = world().await;
    let (viewer, scanner) = (world.token(Role::Viewer).await, world.token(Role::Responder).await);
    let hash = "ab".repeat(32);
    let id = "00000000-0000-7000-8000-0000000000a1";
    mail_through_gateway(&world, id, &hash).await;
    let one = |got: &Value| got["total"] == 1;
    let page = until(&world, &viewer, "/mail/explorer?sender_domain=evil.example&subject=Invoice,%2012", one).await;
    assert_eq!((&page["items"][0]["recipient_count"], &page["total_exact"]), (&json!(1), &json!(true)));
    assert_eq!(page["items"][0]["recipients"][0]["recipient"], "aki@example.jp");
    for wrong in ["nonsense=1", "location=nowhere", "size_min=x", "cursor=zz", "from=yesterday", "not.message=1"] {
        world.ask(&viewer, "GET", &format!("/mail/explorer?{wrong}"), None).await.is(400);
    }
    let groups = world.ask(&viewer, "GET", "/mail/explorer/groups?group_by=subject", None).await.is(200).body;
    assert_eq!(groups["items"][0]["messages"], 1);
    let counts = world.ask(&viewer, "GET", "/mail/explorer/counts?pivot=location", None).await.is(200).body;
    assert_eq!(counts["values"], json!([{ "value": "inbox", "count": 1 }]));

    let verdict = json!({ "sha256": hash, "engine": "Sandbox", "verdict": "malicious", "threat": "malware",
        "reason": "drops a file", "link": "https://sandbox.example/7" });
    world.ask(&viewer, "POST", "/verdicts", Some(verdict.clone())).await.is(403);
    for (field, value) in [("link", json!("javascript:x")), ("engine", json!("")), ("url", json!("http://x.example/"))]
    {
        let mut wrong = verdict.clone();
        wrong[field] = value;
        world.ask(&scanner, "POST", "/verdicts", Some(wrong)).await.is(400);
    }
    let stored = world.ask(&scanner, "POST", "/verdicts", Some(verdict.clone())).await.is(201).body;
    assert_eq!((&stored["messages"], &stored["target"]), (&json!(1), &json!(format!("file:{hash}"))));
    let found = until(&world, &viewer, "/mail/explorer?engine_verdict=sandbox:malicious&threat=malware", one).await;
    assert_eq!(found["items"][0]["message"]["verdict"], "malicious");
    let alerts = until(&world, &viewer, "/alerts", |got| got["total"] == 1).await;
    assert_eq!(alerts["items"][0]["title"]["en"], "Sandbox reports malware", "{alerts}");
    let alert = format!("/alerts/{}", alerts["items"][0]["id"].as_str().expect("id"));
    let alert = world.ask(&viewer, "GET", &alert, None).await.is(200).body.to_string();
    assert!(alert.contains(&format!("file:{hash}")) && alert.contains("aki@example.jp"), "{alert}");
    // a mail that comes later with the same file: known bad, same story
    let incidents = world.ask(&viewer, "GET", "/incidents", None).await.body["total"].clone();
    mail_through_gateway(&world, "00000000-0000-7000-8000-0000000000a2", &hash).await;
    until(&world, &viewer, &format!("/mail/explorer?attachment_sha256={hash}"), |got| got["total"] == 2).await;
    assert_eq!(world.ask(&viewer, "GET", "/incidents", None).await.body["total"], incidents);
    world.ask(&viewer, "GET", "/mail/crawl", None).await.is(200);
    let dry = json!({ "filter": { "conditions": [{ "field": "engine", "values": ["sandbox"] }] } });
    world.ask(&viewer, "POST", "/mail/dry-run", Some(dry.clone())).await.is(403);
    world.ask(&scanner, "POST", "/mail/dry-run", Some(dry)).await.is(503);
    world.ask(&scanner, "POST", "/mail/dry-run", Some(json!({}))).await.is(400);
}

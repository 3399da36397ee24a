//! The HTTP API on what came in by ingest: a recorded attack from its alerts to undone actions.

mod recorded;
#[path = "http/world.rs"]
#[allow(dead_code, reason = "shared with the other tests of the API")]
mod world;

use base64::Engine;
use hinomi_model::{IncidentStatus, Role};
use hinomi_server::ingest::Source;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use world::{PASSWORD, Person, World, world};

/// The script in the archive of `scenarios/mail-attachment-linux`.
const SCRIPT: &str = "e6a3c7d72a7140858d9fdefe73200fe303797e2829e0a96081424cd5e7260877";
const PC_TANAKA: &str = "00000000-0000-0000-0000-000000000100";
/// Longest wait for something to settle.
const SOON: Duration = Duration::from_secs(60);

/// Hands a scenario to ingest, as link and gateway do.
async fn play(world: &World, scenario: &str) {
    let ctx = &world.running.ctx;
    for batch in recorded::batches(&recorded::scenarios().join(scenario)).expect("scenario") {
        if let Some(device) = recorded::device(&batch, ctx.now())
            && ctx.store.device(device.id).await.expect("store").is_none()
        {
            ctx.store.put_device(&device).await.expect("store");
        }
        match batch.source {
            Source::Sensor { device_id, generation, first_report_id } => {
                let frame = hinomi_wire::pack(&batch.events).expect("packs");
                let count = batch.events.len();
                ctx.ingest.append_sensor(device_id, generation, first_report_id, count, &frame).await.expect("stored");
            }
            source => drop(ctx.ingest.append(source, batch.events).await.expect("stored")),
        }
    }
}

/// Asks again until the answer is as wanted.
async fn until(world: &World, who: &Person, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + SOON;
    loop {
        let body = world.ask(who, "GET", path, None).await.is(200).body;
        if wanted(&body) {
            return body;
        }
        assert!(Instant::now() < end, "{path} stays {body:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn items(body: &Value) -> &Vec<Value> {
    body["items"].as_array().expect("items")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

/// A server that has seen the attack by mail, its investigation waiting for approval.
async fn attacked() -> (World, Person, String) {
    let world = world().await;
    let person = world.set_up().await;
    play(&world, "mail-attachment-linux").await;
    let waits = |body: &Value| items(body).iter().any(|one| one["state"] == "pendingApproval");
    let investigations = until(&world, &person, "/investigations", waits).await;
    let id = text(&items(&investigations)[0], "id").to_owned();
    // later alerts of the story make it run once more: it is whole when it proposes to stop the process
    let proposed = |body: &Value| {
        let of_kind = |kind: &str| items(body).iter().any(|one| one["spec"]["kind"] == kind);
        of_kind("add_indicator") && of_kind("stop_process_tree")
    };
    until(&world, &person, "/actions?state=pendingApproval", proposed).await;
    until(&world, &person, &format!("/investigations/{id}"), |one| one["state"] == "pendingApproval").await;
    (world, person, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_tells_its_story_and_a_file_its_places() {
    let (world, person, _) = attacked().await;
    let alerts = world.ask(&person, "GET", &format!("/alerts?device={PC_TANAKA}"), None).await.is(200).body;
    let alert = items(&alerts).iter().find(|one| one["severity"] == "high").unwrap_or_else(|| panic!("{alerts:#}"));
    let detail = world.ask(&person, "GET", &format!("/alerts/{}", text(alert, "id")), None).await.is(200).body;
    assert!(detail["incident_number"].is_i64() && detail["investigation_number"].is_i64());
    assert!(!detail["why"].as_array().expect("why").is_empty() && !detail["next_steps"][0].is_null());

    let story = world.ask(&person, "GET", &format!("/alerts/{}/story", text(alert, "id")), None).await.is(200).body;
    let nodes = story["nodes"].as_array().expect("nodes");
    let mut keys = HashSet::new();
    for node in nodes {
        let parent = node["parent"].as_str();
        assert!(parent.is_none_or(|parent| keys.contains(parent)), "parents come first: {story:#}");
        assert!(keys.insert(text(node, "key")), "keys are unique");
    }
    let script = nodes.iter().find(|node| node["command_line"] == "/bin/sh /home/tanaka/Downloads/invoice.sh");
    let script = script.unwrap_or_else(|| panic!("the shell is in {story:#}"));
    assert_eq!((text(script, "kind"), text(script, "user")), ("process", "tanaka"));
    let below = nodes.iter().filter(|node| node["parent"] == script["key"]);
    let names: HashSet<&str> = below.map(|node| text(node, "name")).collect();
    assert!(["curl", "stage2"].iter().all(|name| names.contains(name)), "{names:?}");
    assert!(nodes.iter().any(|node| !node["severity"].is_null() && !node["detection"]["ja"].is_null()));

    let file = world.ask(&person, "GET", &format!("/files/{SCRIPT}"), None).await.is(200).body;
    assert_eq!((&file["device_count"], &file["message_count"]), (&json!(1), &json!(12)));
    assert_eq!((&file["verdict"], &file["names"][0]), (&json!("malicious"), &json!("invoice.sh")));
    assert_eq!(file["devices"][0]["entity"], format!("device:{PC_TANAKA}"));
    let carried = |copy: &Value| {
        copy["attachments"]
            .as_array()
            .expect("attachments")
            .iter()
            .any(|one| one["sha256"] == SCRIPT && one["parent_sha256"].is_string())
    };
    assert!(file["messages"].as_array().expect("messages").iter().all(carried), "inside the archive, in every copy");
    let upper = world.ask(&person, "GET", &format!("/files/{}", SCRIPT.to_uppercase()), None).await.is(200).body;
    assert_eq!(upper["sha256"], SCRIPT);
    let live = world.ask(&person, "GET", &format!("/files/{SCRIPT}/mailboxes"), None).await.is(503);
    assert_eq!(live.code(), "unavailable", "no mailboxes are connected here; tests/mail_plane.rs has them");
    world.ask(&person, "GET", "/files/abc", None).await.is(400);
    let nobody = world.ask(&person, "GET", &format!("/files/{}", "0".repeat(64)), None).await.is(200).body;
    assert_eq!((&nobody["device_count"], &nobody["message_count"]), (&json!(0), &json!(0)));
    let nowhere = world.ask(&person, "GET", &format!("/files/{}/mailboxes", "0".repeat(64)), None).await.is(200).body;
    assert_eq!(nowhere["copies"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_leads_to_devices_mailboxes_people_and_incidents() {
    let (world, person, _) = attacked().await;
    let csv = "account,mailbox,name\ntanaka,user01@corp.example,田中 一郎\n";
    let body = json!({ "file": base64::engine::general_purpose::STANDARD.encode(csv) });
    world.ask(&person, "POST", "/directory/import", Some(body)).await.is(200);
    let get = async |query: &str| world.ask(&person, "GET", &format!("/pivot?value={query}"), None).await;
    let names = |list: &Value, field: &str| -> Vec<String> {
        list.as_array().expect("a list").iter().map(|one| text(one, field).to_owned()).collect()
    };

    // a file: from the mail over the mail client to its run, in order
    let file = get(SCRIPT).await.is(200).body;
    assert_eq!((text(&file, "type"), &file["known"], text(&file, "verdict")), ("sha256", &json!(true), "malicious"));
    let stages = names(&file["reach"], "stage");
    assert_eq!(stages, ["arrived", "delivered", "savedByMailClient", "executed"], "{:#}", file["reach"]);
    let (arrived, saved) = (&file["reach"][0], &file["reach"][2]);
    assert_eq!((&arrived["mailboxes"], &arrived["devices"], &saved["devices"]), (&json!(12), &json!(0), &json!(1)));
    let times = names(&file["steps"], "at");
    assert!(times.is_sorted() && times.len() == 26, "{times:?}");
    let device = &file["devices"]["items"][0];
    assert_eq!((text(device, "name"), text(device, "account")), ("pc-tanaka", "tanaka"));
    assert_eq!(device["stages"]["saved_by"], "thunderbird");
    let message = &file["messages"]["items"][0];
    assert_eq!((&file["messages"]["total"], &message["copy_count"]), (&json!(1), &json!(12)));
    assert_eq!(message["carried_as"], json!(["invoice.zip", "invoice.sh"]));
    assert_eq!((text(&file["related"][0], "relation"), text(&file["related"][0], "name")), ("inside", "invoice.zip"));
    assert_eq!(file["people"][0]["person"]["name"], "田中 一郎");
    assert_eq!(file["people"][0]["by"], json!(["user:tanaka", "mailbox:user01@corp.example"]));
    assert_eq!(file["incidents"][0]["number"], 1);
    assert!(!file["alerts"].as_array().expect("alerts").is_empty());
    assert_eq!(file["truncated"], json!([]));

    // the mail page: devices that had its files, also from inside the archive
    let id = text(message, "id");
    let devices = world.ask(&person, "GET", &format!("/messages/{id}/devices"), None).await.is(200).body;
    assert_eq!((&devices["total"], text(&items(&devices)[0], "value")), (&json!(1), &*format!("file:{SCRIPT}")));
    world.ask(&person, "GET", &format!("/messages/{PC_TANAKA}/devices"), None).await.is(404);
    let of_message = get(id).await.is(200).body;
    assert_eq!((text(&of_message, "type"), &of_message["devices"]["total"]), ("message", &json!(1)));
    assert!(names(&of_message["reach"], "stage").contains(&"executed".to_owned()));
    let by_header = get("%3Cm1@mail.evil.example%3E").await.is(200).body;
    assert_eq!((text(&by_header, "type"), &by_header["messages"]["total"]), ("internetMessageId", &json!(1)));

    // user, mailbox and device are one person
    let account = get("tanaka").await.is(200).body;
    assert_eq!((text(&account, "type"), text(&account["devices"]["items"][0], "name")), ("account", "pc-tanaka"));
    assert_eq!(text(&account["messages"]["items"][0], "id"), id, "mail to the mailbox of the account");
    let mailbox = get("User01@corp.example").await.is(200).body;
    assert_eq!(text(&mailbox["devices"]["items"][0], "name"), "pc-tanaka", "the device of the mailbox's owner");
    let pc = get("PC-Tanaka").await.is(200).body;
    assert_eq!((text(&pc, "type"), text(&pc["devices"]["items"][0], "id")), ("device", PC_TANAKA));
    let sender = get("billing@evil.example").await.is(200).body;
    assert_eq!((&sender["messages"]["total"], text(&sender, "type")), (&json!(1), "mailAddress"));

    // an address as a person writes it down, and where it leads
    let url = get("hxxp://cdn[.]evil[.]example/stage2").await.is(200).body;
    assert_eq!((text(&url, "type"), names(&url["reach"], "stage")), ("url", vec!["connected".to_owned()]));
    assert_eq!(names(&url["related"], "entity"), ["domain:cdn.evil.example", "domain:evil.example"]);
    let domain = get("evil.example").await.is(200).body;
    assert_eq!((text(&domain, "type"), &domain["messages"]["total"]), ("domain", &json!(1)));

    let nobody = get(&"0".repeat(64)).await.is(200).body;
    assert_eq!((&nobody["known"], &nobody["devices"]["total"]), (&json!(false), &json!(0)));
    assert_eq!(get("nonsense&type=ip").await.is(400).body["field"], "value");
    get("").await.is(400);
    get("x&type=nothing").await.is(400);
    let found = world.ask(&person, "GET", "/search?q=%E7%94%B0%E4%B8%AD", None).await.is(200).body;
    assert!(names(&found["hits"], "key").contains(&"mailbox:user01@corp.example".to_owned()), "{found:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_device_are_paged_and_filtered() {
    let (world, person, _) = attacked().await;
    let base = format!("/devices/{PC_TANAKA}/events?from=2026-11-19T00:00:00Z&to=2026-11-21T00:00:00Z");
    let get = async |rest: &str| world.ask(&person, "GET", &format!("{base}{rest}"), None).await;
    let whole = get("&limit=200").await.is(200).body;
    assert_eq!(items(&whole).len(), 13);
    assert!(whole["next"].is_null());
    let times: Vec<&str> = items(&whole).iter().map(|event| text(event, "Timestamp")).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "newest first: {times:?}");

    // page by page comes the same, whatever the size of the page
    for limit in [1, 5, 12] {
        let (mut paged, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = get(&format!("&limit={limit}{cursor}")).await.is(200).body;
            assert!(items(&page).len() <= limit);
            paged.extend(items(&page).clone());
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(&paged, items(&whole), "limit {limit}");
    }
    let network = get("&table=DeviceNetworkEvents").await.is(200).body;
    assert!(items(&network).len() == 3 && items(&network).iter().all(|event| event["Table"] == "DeviceNetworkEvents"));
    assert_eq!(items(&get("&table=DeviceNetworkEvents,DeviceFileEvents").await.is(200).body).len(), 6);
    assert_eq!(items(&get("&text=UPDATE.desktop").await.is(200).body).len(), 1);
    assert_eq!(items(&get("&text=nothing-like-this").await.is(200).body).len(), 0);
    let path = format!("/devices/{PC_TANAKA}/events?from=2026-11-20T01:05:02Z&to=2026-11-20T01:05:02.200Z");
    assert_eq!(items(&world.ask(&person, "GET", &path, None).await.is(200).body).len(), 2, "from and to");
    for (rest, field) in [("&table=EmailEvents", "table"), ("&table=nope", "table"), ("&cursor=nope", "cursor")] {
        assert_eq!(get(rest).await.is(400).body["field"], field, "{rest}");
    }
    get("&limit=zero").await.is(400);
    world.ask(&person, "GET", "/devices/00000000-0000-7000-8000-000000000000/events", None).await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn investigations_run_again_and_actions_are_undone() {
    let (world, _, id) = attacked().await;
    let person = world.person("kato", Role::Responder).await;
    let path = format!("/investigations/{id}");
    let rerun = async |body: Value| world.ask(&person, "POST", &format!("{path}/rerun"), Some(body)).await;
    let before = world.ask(&person, "GET", &path, None).await.is(200).body;
    let step = |body: &Value, name: &str| -> Value {
        let steps = body["steps"].as_array().expect("steps").clone();
        steps.into_iter().find(|step| step["name"] == name).expect("the step")
    };
    let skipped = step(&before, "live_mailboxes");
    assert_eq!(skipped["state"], "skipped", "no mailboxes are connected");
    assert!(!text(&skipped["result"], "ja").is_empty(), "and it says so");

    assert_eq!(rerun(json!({ "from_step": "nope" })).await.is(400).body["field"], "from_step");
    rerun(json!({ "from_step": "find_mail" })).await.is(200);
    let told = |body: &Value| body["log"].to_string().contains("Run again by kato");
    let again = until(&world, &person, &path, |body| told(body) && body["state"] == "pendingApproval").await;
    assert_eq!(
        step(&again, "identify_file")["attempts"],
        step(&before, "identify_file")["attempts"],
        "not from the start"
    );
    assert!(step(&again, "find_mail")["attempts"].as_i64() > step(&before, "find_mail")["attempts"].as_i64());
    assert_eq!(again["actions"], before["actions"], "nothing is proposed twice");

    let waiting = world.ask(&person, "GET", "/actions?state=pendingApproval", None).await.is(200).body;
    let of_kind = |kind: &str| -> String {
        let found = items(&waiting).iter().find(|action| action["spec"]["kind"] == kind);
        text(found.unwrap_or_else(|| panic!("{kind} in {waiting:#}")), "id").to_owned()
    };
    let (block, stop) = (of_kind("add_indicator"), of_kind("stop_process_tree"));
    let decide = async |id: &str, what: &str| {
        world.ask(&person, "POST", &format!("/actions/{id}/{what}"), Some(json!({}))).await
    };
    assert_eq!(decide(&block, "undo").await.is(409).code(), "wrong_state", "not done yet");
    decide(&block, "approve").await.is(200);
    let action = format!("/actions/{block}");
    let done = until(&world, &person, &action, |action| action["state"] == "succeeded").await;
    assert_eq!(done["decided_by"], "kato");
    assert_eq!(decide(&block, "approve").await.is(409).code(), "wrong_state", "decided already");
    let value = text(&done["spec"]["indicator"], "value").to_owned();
    let in_force = async || {
        let listed = world.ask(&person, "GET", "/indicators", None).await.is(200).body;
        items(&listed).iter().any(|one| one["spec"]["value"] == value.as_str())
    };
    assert!(in_force().await);
    let undo = decide(&block, "undo").await.is(200).body;
    until(&world, &person, &format!("/actions/{}", text(&undo, "id")), |action| action["state"] == "succeeded").await;
    let undone = world.ask(&person, "GET", &action, None).await.is(200).body;
    assert_eq!((&undone["state"], &undone["undone_by"]), (&json!("undone"), &undo["id"]));
    assert!(!in_force().await);
    assert_eq!(decide(&block, "undo").await.is(409).code(), "wrong_state", "once");

    // the device is away: the order waits, and can be withdrawn
    decide(&stop, "approve").await.is(200);
    let waits = world.ask(&person, "GET", &format!("/actions/{stop}"), None).await.is(200).body;
    assert_eq!(waits["state"], "queued");
    assert_eq!(decide(&stop, "decline").await.is(409).code(), "wrong_state");
    assert_eq!(decide(&stop, "cancel").await.is(200).body["state"], "cancelled");

    world.ask(&person, "POST", &format!("{path}/cancel"), None).await.is(200);
    assert_eq!(world.ask(&person, "GET", &path, None).await.is(200).body["state"], "terminatedByUser");
    world.ask(&person, "POST", &format!("{path}/cancel"), None).await.is(409);
    let auditor = world.person("ono", Role::Auditor).await;
    let audit = world.ask(&auditor, "GET", "/audit?actor=kato", None).await.is(200).body;
    for wanted in ["investigation.rerun", "action.approve", "action.undo", "action.cancel", "investigation.cancel"] {
        assert!(items(&audit).iter().any(|record| record["action"] == wanted), "{wanted} in {audit:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_incidents_are_shown_only_when_asked_for() {
    let world = world().await;
    let person = world.set_up().await;
    play(&world, "two-attacks-apart").await;
    let listed = until(&world, &person, "/incidents", |body| body["total"] == 2).await;
    let store = &world.running.ctx.store;
    let (from, into) = (text(&items(&listed)[0], "id"), text(&items(&listed)[1], "id"));
    until(&world, &person, "/investigations", |body| items(body).iter().all(|one| one["state"] == "pendingApproval"))
        .await;
    let mut merged = store.incident(from.parse().expect("id")).await.expect("store").expect("there");
    merged.status = IncidentStatus::Redirected;
    merged.redirected_to = Some(into.parse().expect("id"));
    store.put_incident(&merged).await.expect("stored");

    let ids = async |query: &str| -> Vec<String> {
        let body = world.ask(&person, "GET", &format!("/incidents{query}"), None).await.is(200).body;
        assert_eq!(body["total"].as_u64(), Some(items(&body).len() as u64));
        items(&body).iter().map(|one| text(one, "id").to_owned()).collect()
    };
    assert_eq!(ids("").await, [into]);
    assert_eq!(ids("?severity=high,medium,low,informational").await, [into]);
    assert_eq!(ids("?status=redirected").await, [from]);
    assert_eq!(ids("?status=redirected,active,awaitingAction,inProgress&sort=number").await.len(), 2);
    let found = world.ask(&person, "GET", &format!("/search?q={}", merged.devices[0].name), None).await.is(200).body;
    assert!(!found.to_string().contains(&format!("INC-{} ", merged.number)), "{found}");
    let there = world.ask(&person, "GET", &format!("/incidents/{}", merged.number), None).await.is(200).body;
    assert_eq!(there["redirected_to"], into, "its old address still leads to the story");

    for sort in ["last_activity", "severity", "number"] {
        let everything = "status=redirected,active,awaitingAction,inProgress";
        let mut up = ids(&format!("?{everything}&sort={sort}")).await;
        up.reverse();
        assert_eq!(up, ids(&format!("?{everything}&sort=-{sort}")).await, "{sort}");
        // paging goes on in the same direction
        let first = world.ask(&person, "GET", &format!("/incidents?{everything}&sort={sort}&limit=1"), None).await.body;
        let next = text(&first, "next");
        let second = ids_of(&world, &person, &format!("?{everything}&sort={sort}&limit=1&cursor={next}")).await;
        assert_eq!(second, up[..1], "{sort}");
    }
    world.ask(&person, "GET", "/incidents?sort=title", None).await.is(400);
}

async fn ids_of(world: &World, person: &Person, query: &str) -> Vec<String> {
    let body = world.ask(person, "GET", &format!("/incidents{query}"), None).await.is(200).body;
    items(&body).iter().map(|one| text(one, "id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_second_factor_needs_a_fresh_password() {
    let world = world().await;
    let fresh = world.set_up().await;
    world.ask(&fresh, "POST", "/auth/totp/start", None).await.is(200);
    // the same person, an hour later in another browser
    let old = world.person("tanaka", Role::Administrator).await;
    world.age(&old, 3_600).await;
    for path in ["/auth/totp/start", "/auth/passkeys/register/start"] {
        assert_eq!(world.ask(&old, "POST", path, None).await.is(403).code(), "password_required", "{path}");
    }
    let confirm = |password: &str| json!({ "password": password });
    let wrong = world.ask(&old, "POST", "/auth/confirm-password", Some(confirm("wrong wrong wrong"))).await.is(400);
    assert_eq!(wrong.body["field"], "password");
    world.ask(&old, "POST", "/auth/totp/start", None).await.is(403);
    world.ask(&old, "POST", "/auth/confirm-password", Some(confirm(PASSWORD))).await.is(204);
    world.ask(&old, "POST", "/auth/passkeys/register/start", None).await.is(200);
    let started = world.ask(&old, "POST", "/auth/totp/start", None).await.is(200).body;
    let finish = json!({ "code": world::code(text(&started, "secret"), 0).await });
    world.ask(&old, "POST", "/auth/totp/finish", Some(finish)).await.is(200);
    // with a factor, a password opens nothing more
    world.ask(&old, "POST", "/auth/confirm-password", Some(confirm(PASSWORD))).await.is(204);
    for path in ["/auth/totp/start", "/auth/passkeys/register/start"] {
        assert_eq!(world.ask(&old, "POST", path, None).await.is(403).code(), "step_up_required", "{path}");
        assert_eq!(world.ask(&fresh, "POST", path, None).await.is(403).code(), "step_up_required", "{path}");
    }
    let audit = world.ask(&fresh, "GET", "/audit?action=auth.confirm_password", None).await.is(200).body;
    assert_eq!(audit["total"], 3, "{audit:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_indicators_is_looked_at_taken_in_and_taken_out() {
    let (world, person, _) = attacked().await;
    let hash = "a".repeat(64);
    let list = format!("# feed\n{hash}\nhxxp://pay[.]attacker[.]test/now\nattacker.test\n10.0.0.0/8\ncom\nnonsense\n");
    let body =
        |dry_run: bool, action: &str| json!({ "name": "feed", "text": list, "action": action, "dry_run": dry_run });
    let viewer = world.person("onlooker", Role::Viewer).await;
    world.ask(&viewer, "POST", "/indicators/imports", Some(body(true, "block"))).await.is(403);
    let counts = |import: &Value| ["added", "changed", "unchanged", "refused_count"].map(|name| import[name].as_u64());
    let before = world.ask(&person, "GET", "/indicators", None).await.is(200).body["total"].as_u64().expect("total");

    let seen = world.ask(&person, "POST", "/indicators/imports", Some(body(true, "block"))).await.is(201).body;
    assert_eq!(counts(&seen), [Some(3), Some(0), Some(0), Some(3)], "{seen:#}");
    let why: Vec<&str> =
        seen["refused"].as_array().expect("refused").iter().map(|one| text(&one["reason"], "en")).collect();
    assert!(why.iter().any(|why| why.contains("private")) && why.iter().any(|why| why.contains("hash")), "{why:?}");
    assert_eq!(world.ask(&person, "GET", "/indicators", None).await.is(200).body["total"], before);

    let taken = world.ask(&person, "POST", "/indicators/imports", Some(body(false, "block"))).await.is(201).body;
    assert_eq!(counts(&taken), [Some(3), Some(0), Some(0), Some(3)]);
    let why =
        world.ask(&viewer, "GET", "/indicators/why?value=hxxp://pay[.]attacker[.]test/now", None).await.is(200).body;
    assert_eq!(why["considered"].as_array().expect("considered").len(), 2, "{why:#}");
    assert_eq!(why["considered"][0]["enforced_by"], json!(["gateway", "alert"]));
    let why = world.ask(&viewer, "GET", &format!("/indicators/why?value={hash}"), None).await.is(200).body;
    assert_eq!(why["decided_by"], why["considered"][0]["id"]);
    assert_eq!(why["considered"][0]["enforced_by"], json!(["sensor", "gateway", "alert"]));

    // what is known stays, unless the list is said to count
    let again = world.ask(&person, "POST", "/indicators/imports", Some(body(false, "audit"))).await.is(201).body;
    // our own network may be watched
    assert_eq!(counts(&again), [Some(1), Some(0), Some(3), Some(2)], "{again:#}");
    let mut counts_body = body(false, "audit");
    counts_body["replace"] = json!(true);
    let changed = world.ask(&person, "POST", "/indicators/imports", Some(counts_body)).await.is(201).body;
    assert_eq!(counts(&changed), [Some(0), Some(3), Some(1), Some(2)], "{changed:#}");

    let lists = world.ask(&viewer, "GET", "/indicators/imports", None).await.is(200).body;
    assert_eq!(lists["total"], 3);
    for import in [&taken, &again] {
        let path = format!("/indicators/imports/{}", text(import, "id"));
        let out = world.ask(&person, "DELETE", &path, None).await.is(200).body;
        assert!(out["removed_at"].is_string());
    }
    assert_eq!(world.ask(&person, "GET", "/indicators", None).await.is(200).body["total"], before);
    let problem = world
        .ask(
            &person,
            "POST",
            "/indicators/imports",
            Some(json!({
                "name": "x", "text": "{", "format": "stix", "action": "block",
            })),
        )
        .await;
    assert_eq!(problem.is(400).body["field"], "text");
    let gone = "/indicators/imports/019f0000-0000-7000-8000-000000000000";
    world.ask(&person, "DELETE", gone, None).await.is(404);
}

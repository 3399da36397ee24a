//! Indicators against the real server: looks back, feeds, who has what in force.

#[path = "scenario/expected.rs"]
#[allow(dead_code)]
mod expected;
#[path = "scenario/house.rs"]
#[allow(dead_code)]
mod house;
mod recorded;
#[path = "indicators/stub.rs"]
mod stub;
#[path = "http/world.rs"]
#[allow(dead_code)]
mod world;

use anyhow::{Context, Result, ensure};
use hinomi_model::{
    ActionSpec, ActionState, FeedKind, FeedRun, FeedRunState, Indicator, IndicatorAction, IndicatorKind, IndicatorLook,
    IndicatorReach, IndicatorScope, IndicatorSpec, LookState, Role, Severity, Text, Timestamp,
};
use hinomi_server::actions::{self, Proposal};
use hinomi_server::config::{Config, FeedConfig};
use hinomi_server::indicators::look::{self, Sought};
use hinomi_store::{IndicatorFilter, Page};
use hinomi_testkit::fleet::FakeSensor;
use house::House;
use recorded::scenarios;
use serde_json::{Value, json};
use std::time::Duration;
use stub::{COLLECTION, EVENT, Stub};
use tokio::time::Instant;
use world::{Person, World};

/// The script in the mail of the scenario.
const SCRIPT: &str = "e6a3c7d72a7140858d9fdefe73200fe303797e2829e0a96081424cd5e7260877";
const SECONDS: u64 = 60;

fn spec(kind: IndicatorKind, value: &str, action: IndicatorAction) -> IndicatorSpec {
    IndicatorSpec {
        kind,
        value: value.to_owned(),
        action,
        severity: Severity::Medium,
        note: "test".to_owned(),
        expires_at: None,
        scope: IndicatorScope::default(),
    }
}

async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(SECONDS);
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < end, "waited for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A house on the day after the scenario, in which the scenario was played.
async fn played() -> Result<House> {
    let config: Config = toml::from_str("[gateway]\nown_domains = [\"corp.example\"]\n")?;
    let day = Timestamp::parse("2026-11-21T00:00:00.000000Z").context("a time")?;
    let begun = std::time::Instant::now();
    let clock = move || day.plus_seconds(begun.elapsed().as_secs() as i64);
    let mut house = House::open_with(config, Some(Box::new(clock))).await?;
    house.play(&scenarios().join("mail-attachment-linux")).await?;
    house.settle().await?;
    Ok(house)
}

async fn add(house: &House, spec: IndicatorSpec) -> Result<Indicator> {
    let (kind, value) = (spec.kind, spec.value.clone());
    let proposal = Proposal {
        spec: ActionSpec::AddIndicator { indicator: spec },
        reason: Text::same("test".to_owned()),
        by: "aki",
        incident: None,
        investigation: None,
        idempotency_key: None,
        approve_now: Some(("aki", None)),
        signs: Vec::new(),
        grounds: None,
        again: None,
    };
    actions::propose(&house.ctx, proposal).await?;
    house.settle().await?;
    house.ctx.store.indicator_of(kind, &value).await?.context("the indicator is there")
}

async fn looks(house: &House) -> Result<Vec<IndicatorLook>> {
    Ok(house.ctx.store.looks(&Page::first(50)).await?.items)
}

#[tokio::test]
async fn a_new_indicator_is_matched_with_what_is_there() -> Result<()> {
    let house = played().await?;
    let known = add(&house, spec(IndicatorKind::FileSha256, SCRIPT, IndicatorAction::BlockAndRemediate)).await?;
    let [look] = looks(&house).await?.try_into().expect("one look");
    ensure!(look.state == LookState::Done && look.days_done == 30, "{look:?}");
    let [found] = look.found.try_into().expect("one indicator");
    ensure!(found.device_count >= 1 && found.mailbox_count == 12, "{found:?}");
    ensure!(known.hits == found.hits && known.last_hit == Some(found.last_seen), "{known:?} {found:?}");
    ensure!(!found.incidents.is_empty(), "an alert belongs to an incident");
    // the file is taken from the device; no mailboxes are connected here, and that is told
    let mut files = 0;
    for id in &found.actions {
        let action = house.ctx.store.action(*id).await?.context("action")?;
        ensure!(action.decided_by.as_deref() == Some("aki"), "few places and a person's word: {action:?}");
        files += usize::from(matches!(&action.spec, ActionSpec::QuarantineFile { sha256, .. } if sha256 == SCRIPT));
    }
    ensure!(files == found.actions.len() && files >= 1, "{:?}", found.actions);
    ensure!(found.not_ordered.len() == 1, "{:?}", found.not_ordered);

    // looked at again nothing is counted, alerted or ordered twice
    let alerts = house.ctx.store.alerts(&Default::default(), &Page::first(200)).await?.total;
    let mut tx = house.ctx.store.begin().await?;
    look::order(&mut tx, Sought::Indicators(vec![known.id]), "aki", 30, false, house.ctx.now()).await?;
    tx.commit().await?;
    house.settle().await?;
    let again = house.ctx.store.indicator(known.id).await?.context("indicator")?;
    ensure!(again.hits == known.hits, "counted twice: {again:?}");
    ensure!(house.ctx.store.alerts(&Default::default(), &Page::first(200)).await?.total == alerts, "alerted twice");
    house.close().await
}

#[tokio::test]
async fn a_look_back_goes_on_where_it_was_cut_short() -> Result<()> {
    let house = played().await?;
    let known = add(&house, spec(IndicatorKind::SubjectPattern, "no such subject*", IndicatorAction::Audit)).await?;
    let mut tx = house.ctx.store.begin().await?;
    let mut cut = look::order(&mut tx, Sought::Indicators(vec![known.id]), "aki", 30, false, house.ctx.now()).await?;
    // as a server leaves it that is killed after the 28th day, before the days of the scenario
    (cut.state, cut.days_done, cut.events) = (LookState::Running, 28, 1_000_000);
    tx.put_look(&cut, "").await?;
    tx.commit().await?;
    house.settle().await?;
    let (done, kept) = house.ctx.store.look(cut.id).await?.context("look")?;
    ensure!(done.state == LookState::Done && done.days_done == 30 && done.found.is_empty(), "{done:?}");
    ensure!(done.events == 1_000_000, "a subject needs no rows of devices: {done:?}");
    ensure!(done.messages == 1, "{done:?}");
    ensure!(!kept.contains("seen\":{\""), "{kept}");
    house.close().await
}

#[tokio::test]
async fn kinds_of_mail_and_scopes_are_matched_in_the_past() -> Result<()> {
    let house = played().await?;
    let copy = house.ctx.store.messages(&Default::default(), &Page::first(1)).await?.items.remove(0);
    let subject: String = copy.subject.chars().take(3).collect();
    for (kind, value) in [
        (IndicatorKind::SubjectPattern, format!("{subject}*")),
        (IndicatorKind::SenderDomain, "evil.example".to_owned()),
    ] {
        let known = add(&house, spec(kind, &value, IndicatorAction::Warn)).await?;
        ensure!(known.hits >= 1, "{known:?}");
    }
    let elsewhere = IndicatorScope { device_tags: Vec::new(), mail_domains: vec!["other.example".to_owned()] };
    let scoped = IndicatorSpec {
        scope: elsewhere,
        ..spec(IndicatorKind::SenderAddress, "billing@evil.example", IndicatorAction::Audit)
    };
    let known = add(&house, scoped).await?;
    ensure!(known.hits == 0, "{known:?}");
    house.close().await
}

fn feed(name: &str, kind: FeedKind, url: String, secrets: &std::path::Path) -> FeedConfig {
    let file = |name: &str, text: &str| {
        let path = secrets.join(name);
        std::fs::write(&path, format!("{text}\n")).expect("written");
        Some(path)
    };
    let taxii = kind == FeedKind::Taxii;
    FeedConfig {
        name: name.to_owned(),
        kind,
        url,
        collections: if taxii { vec!["iocs".to_owned()] } else { Vec::new() },
        user: taxii.then(|| "isac".to_owned()),
        password_file: if taxii { file("password", "geheim") } else { None },
        key_file: if kind == FeedKind::Misp { file("key", "misp-key") } else { None },
        ca_file: None,
        every_minutes: 10_080,
        action: IndicatorAction::Audit,
        severity: Severity::Low,
        expires_days: 30,
        entries_max: 1_000,
        scope: IndicatorScope::default(),
    }
}

struct Fed {
    world: World,
    who: Person,
    stub: Stub,
    _secrets: tempfile::TempDir,
}

impl Fed {
    async fn start() -> Fed {
        let stub = Stub::start().await;
        let secrets = tempfile::tempdir().expect("temp dir");
        let mut config = Config::default();
        config.indicators.feeds = vec![
            feed("isac", FeedKind::Taxii, format!("{}/taxii2/", stub.base), secrets.path()),
            feed("circl", FeedKind::MispFeed, format!("{}/feed", stub.base), secrets.path()),
            feed("misp", FeedKind::Misp, stub.base.clone(), secrets.path()),
        ];
        config.check().expect("sound");
        let world = world::world_of(config).await;
        let who = world.person("aki", Role::Administrator).await;
        Fed { world, who, stub, _secrets: secrets }
    }

    async fn run(&self, feed: &str, dry_run: bool) -> FeedRun {
        let path = format!("/indicators/feeds/{feed}/runs");
        let ordered = self.world.ask(&self.who, "POST", &path, Some(json!({"dry_run": dry_run}))).await.is(201);
        let path = format!("/indicators/feed-runs/{}", ordered.body["id"].as_str().expect("id"));
        until("the run", async || {
            let got = self.world.ask(&self.who, "GET", &path, None).await.is(200);
            let run: FeedRun = serde_json::from_value(got.body).expect("a run");
            (!matches!(run.state, FeedRunState::Waiting | FeedRunState::Running)).then_some(run)
        })
        .await
    }

    async fn indicators(&self) -> Vec<Indicator> {
        let store = &self.world.running.ctx.store;
        store.indicators(&IndicatorFilter::default(), &Page::first(200)).await.expect("store").items
    }

    async fn feed(&self, name: &str) -> Value {
        let got = self.world.ask(&self.who, "GET", "/indicators/feeds", None).await.is(200);
        let feeds = got.body["items"].as_array().expect("feeds").clone();
        feeds.into_iter().find(|feed| feed["name"] == name).expect("the feed")
    }
}

fn counts(run: &FeedRun) -> (FeedRunState, u64, u64, u64, u64) {
    (run.state, run.added, run.changed, run.unchanged, run.refused_count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taxii_server_is_read_page_by_page_and_only_what_is_new() {
    let fed = Fed::start().await;
    let hash = "ab".repeat(32);
    fed.stub.add(1, &format!("[file:hashes.'SHA-256' = '{hash}']"), json!({}));
    fed.stub.add(2, "[domain-name:value = 'attacker.test'] OR [domain-name:value = 'evil.test']", json!({}));
    fed.stub.add(3, "[email-message:subject = 'Your invoice *']", json!({"valid_until": "2999-01-01T00:00:00Z"}));
    fed.stub.add(4, "[ipv4-addr:value = '10.0.0.1' AND domain-name:value = 'a.test']", json!({}));
    fed.stub.add(5, "[url:value = 'http://attacker.test/x']", json!({"type": "malware"}));

    let dry = fed.run("isac", true).await;
    assert_eq!(counts(&dry), (FeedRunState::Done, 4, 0, 0, 1), "{dry:?}");
    assert!(fed.indicators().await.is_empty(), "a dry run stores nothing");
    let run = fed.run("isac", false).await;
    assert_eq!(counts(&run), (FeedRunState::Done, 4, 0, 0, 1), "{run:?}");
    assert!(run.refused[0].reason.en.contains("several values"), "{:?}", run.refused);
    let known = fed.indicators().await;
    assert_eq!(known.len(), 4);
    let now = fed.world.running.ctx.now();
    for one in &known {
        assert_eq!((one.created_by.as_str(), one.spec.action), ("feed:isac", IndicatorAction::Audit));
        let end = one.spec.expires_at.expect("ends");
        assert!(end > now.plus_seconds(29 * 86_400) && end < now.plus_seconds(31 * 86_400), "{one:?}");
    }
    // two pages, the second by the cursor of the first; objects that are no indicators are not asked for
    let asked = fed.stub.held().asked.clone();
    let of_objects = asked.iter().filter(|line| line.contains("/objects/")).collect::<Vec<_>>();
    assert_eq!(of_objects.len(), 4, "{asked:?}");
    assert!(of_objects[1].contains("next=2") && of_objects[0].contains("match%5Btype%5D=indicator"), "{asked:?}");
    assert!(of_objects[0].contains(COLLECTION));

    // only what was added since
    fed.stub.add(6, "[domain-name:value = 'late.test']", json!({}));
    let run = fed.run("isac", false).await;
    assert_eq!(counts(&run), (FeedRunState::Done, 1, 0, 0, 0), "{run:?}");
    let last = fed.stub.held().asked.last().cloned().expect("asked");
    assert!(last.contains("added_after=2026-11-20T00%3A00%3A00.000004Z"), "{last}");
    let run = fed.run("isac", false).await;
    assert_eq!(counts(&run), (FeedRunState::Done, 0, 0, 0, 0), "{run:?}");

    // what the feed takes back counts no more
    fed.stub.add(7, "[domain-name:value = 'evil.test']", json!({"revoked": true}));
    let run = fed.run("isac", false).await;
    assert_eq!((run.removed, run.refused_count), (1, 1), "{run:?}");
    assert!(fed.indicators().await.iter().all(|one| one.spec.value != "evil.test"));

    // taking out what a run brought
    let import = run_of(&fed, 2).await;
    fed.world.step_up(&fed.who).await;
    fed.world.ask(&fed.who, "DELETE", &format!("/indicators/imports/{import}"), None).await.is(200);
    assert_eq!(fed.indicators().await.len(), 3);

    // it fails, once; what is wrong is told, and it recovers
    fed.stub.held().broken = true;
    let run = fed.run("isac", false).await;
    assert!(run.state == FeedRunState::Failed && run.reason.expect("why").en.contains("503"));
    let since = fed.feed("isac").await["failing_since"].clone();
    assert!(since.is_string());
    fed.run("isac", false).await;
    assert_eq!(fed.feed("isac").await["failing_since"], since);
    fed.stub.held().broken = false;
    fed.stub.held().elsewhere = Some("http://localhost:1/api1/collections/".to_owned());
    let run = fed.run("isac", false).await;
    assert_eq!(run.state, FeedRunState::Failed, "a redirection to another host: {run:?}");
    fed.stub.held().elsewhere = None;
    assert_eq!(fed.run("isac", false).await.state, FeedRunState::Done);
    assert!(fed.feed("isac").await["failing_since"].is_null());
    let unknown = fed.world.ask(&fed.who, "POST", "/indicators/feeds/nobody/runs", Some(json!({}))).await;
    assert_eq!(unknown.status, 404);
}

/// The list of the run before the last `back` runs.
async fn run_of(fed: &Fed, back: usize) -> String {
    let got = fed.world.ask(&fed.who, "GET", "/indicators/feeds/isac/runs", None).await.is(200);
    got.body["items"][back]["import_id"].as_str().expect("a list").to_owned()
}

fn misp_event(values: &[(&str, &str)]) -> Value {
    let attribute = |(kind, value): &(&str, &str)| json!({"uuid": format!("{kind}-{value}"), "type": kind, "value": value, "to_ids": true, "category": "Payload delivery"});
    json!({"Event": {"info": "a campaign", "Attribute": values.iter().map(attribute).collect::<Vec<_>>()}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misp_feed_is_read_event_by_event_and_only_when_it_changed() {
    let fed = Fed::start().await;
    let event = misp_event(&[("domain", "attacker.test"), ("email-subject", "Pay now"), ("comment", "x")]);
    fed.stub.held().events.insert(EVENT.to_owned(), (100, event));
    fed.stub.held().events.insert("../secret".to_owned(), (100, json!({})));
    let run = fed.run("circl", false).await;
    assert_eq!(counts(&run), (FeedRunState::Done, 2, 0, 0, 1), "{run:?}");
    assert_eq!(run.requests, 2, "what is no event's id is not asked for");
    assert_eq!(fed.run("circl", false).await.state, FeedRunState::Unchanged);
    // an event that changed is read again: what it said before ends later, what a person says stays
    fed.stub
        .held()
        .events
        .insert(EVENT.to_owned(), (200, misp_event(&[("domain", "attacker.test"), ("ip-dst", "198.51.100.9")])));
    let run = fed.run("circl", false).await;
    assert_eq!(counts(&run), (FeedRunState::Done, 1, 1, 0, 0), "{run:?}");

    // the same value from elsewhere: the first word stays
    let now = fed.world.running.ctx.now().as_micros() / 1_000_000;
    let attribute = |value: &str| {
        json!({"uuid": value, "type": "domain", "value": value, "to_ids": true, "timestamp": now.to_string(),
               "Event": {"info": "y"}})
    };
    fed.stub.held().attributes = vec![attribute("attacker.test"), attribute("misp.test")];
    let run = fed.run("misp", false).await;
    assert_eq!(counts(&run), (FeedRunState::Done, 1, 0, 1, 0), "{run:?}");
    let known = fed.indicators().await;
    let by = |value: &str| known.iter().find(|one| one.spec.value == value).map(|one| one.created_by.clone());
    assert_eq!(by("attacker.test").as_deref(), Some("feed:circl"));
    assert_eq!(by("misp.test").as_deref(), Some("feed:misp"));
    // feeds block nothing: the default is to watch
    let why = fed.world.ask(&fed.who, "GET", "/indicators/why?value=pay.attacker.test", None).await.is(200);
    assert_eq!(why.body["considered"][0]["action"], "audit");
    assert!(why.body["precedence"]["ja"].as_str().is_some_and(|text| text.contains("許可")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_acknowledge_what_they_refuse() {
    let world = world::world().await;
    let who = world.person("aki", Role::Administrator).await;
    world.step_up(&who).await;
    let mut sensors = Vec::new();
    for name in ["pc-1", "pc-2"] {
        let made = world.ask(&who, "POST", "/enrolment-tokens", Some(json!({"note": name}))).await.is(201);
        let token = made.body["line"].as_str().expect("token").to_owned();
        sensors.push(FakeSensor::enrol(&token, name).await.expect("enrols"));
    }
    let hash = "cd".repeat(32);
    let action = json!({
        "spec": {"kind": "add_indicator", "indicator": {
            "kind": "fileSha256", "value": hash, "action": "block", "severity": "high", "note": "", "expires_at": null,
            "scope": {"device_tags": ["servers"]},
        }},
        "reason": "test",
    });
    // one of them is a server
    let first = sensors[0].device;
    let device = until("the device", async || {
        let got = world.ask(&who, "GET", &format!("/devices/{first}"), None).await;
        (got.status == 200 && got.body["online"] == true).then_some(got)
    })
    .await;
    let etag = device.headers["etag"].to_str().expect("etag").to_owned();
    let request = world.client.patch(format!("{}/api/v1/devices/{first}", world.base)).header("x-hinomi", "1");
    let request = request.header("if-match", etag).json(&json!({"tags": ["servers"]}));
    let cookie = format!("__Host-hinomi={}", who.cookie.as_deref().expect("cookie"));
    assert_eq!(request.header("cookie", cookie).send().await.expect("answer").status(), 200);

    world.ask(&who, "POST", "/actions", Some(action)).await.is(201);
    let store = &world.running.ctx.store;
    let known =
        until("the indicator", async || store.indicator_of(IndicatorKind::FileSha256, &hash).await.expect("store"))
            .await;
    let reach = async || {
        let got = world.ask(&who, "GET", &format!("/indicators/{}/devices", known.id), None).await.is(200);
        serde_json::from_value::<IndicatorReach>(got.body).expect("reach")
    };
    let begun = Instant::now();
    let settled = until("the acknowledgement", async || Some(reach().await).filter(|one| one.in_force == 1)).await;
    println!("in force on the device {:?} after the indicator", begun.elapsed());
    assert_eq!((settled.not_yet, settled.cannot, settled.out_of_scope), (0, 0, 1), "{settled:?}");
    assert_eq!(settled.devices[0].id, first);
    let obeyed = |sensor: &FakeSensor| {
        let memory = sensor.memory();
        let lists = memory.obeyed.iter().filter_map(|(envelope, _)| match &envelope.command {
            hinomi_wire::Command::SetBlockedHashes { sha256, .. } => Some(sha256.clone()),
            _ => None,
        });
        lists.last().unwrap_or_default()
    };
    assert_eq!(obeyed(&sensors[0]), std::slice::from_ref(&hash));
    assert!(obeyed(&sensors[1]).is_empty(), "the other one is no server");
    let state = store.action(world_action(&world, &who).await).await.expect("store").expect("action").state;
    assert!(
        matches!(state, ActionState::Running | ActionState::Succeeded | ActionState::PartiallySucceeded),
        "{state:?}"
    );
}

async fn world_action(world: &World, who: &Person) -> hinomi_model::ActionId {
    let got = world.ask(who, "GET", "/actions", None).await.is(200);
    got.body["items"][0]["id"].as_str().expect("id").parse().expect("id")
}

//! Demos: a scenario played into a running server comes to what its `expect.toml` says, touches nothing
//! real, and is removed without trace: every table and every row of the lake is as before.

#[path = "http/world.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
mod world;

#[path = "scenario/expected.rs"]
mod expected;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use expected::{Expected, actions_of, investigations_of};
use hinomi_lake::LakeQuery;
use hinomi_model::{
    ActionSpec, ActionState, Demo, DemoId, DemoState, EntityKey, Event, Incident, IncidentStatus, IndicatorAction,
    IndicatorKind, IndicatorSpec, ReceiptState, Role, Table, Text, Timestamp,
};
use hinomi_server::actions::{self, Proposal};
use hinomi_server::app::{ANALYST, Ctx};
use hinomi_server::config::Config;
use hinomi_server::demos::{self, BUILT_IN, Scenario, ScenarioFile, built_in, read_folder};
use hinomi_server::ingest::Source;
use hinomi_store::{IncidentFilter, JobFilter, JobState, Page};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;
use world::{World, world, world_in};

/// Longest wait for anything.
const WAIT: Duration = Duration::from_secs(90);
/// The attachment of the built-in story.
const ATTACHMENT: &str = "e6a3c7d72a7140858d9fdefe73200fe303797e2829e0a96081424cd5e7260877";

fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").join(name)
}

async fn wait(what: &str, done: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + WAIT;
    while !done().await? {
        ensure!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    Ok(())
}

/// Waits until everything in the log is analysed and no job waits.
async fn settle(ctx: &Ctx) -> Result<()> {
    wait("the server does not come to rest", async || {
        let analysed = ctx.store.offset(ANALYST).await? >= ctx.ingest.log().end();
        let filter = JobFilter { state: vec![JobState::Waiting, JobState::Leased], kind: None };
        Ok(analysed && ctx.store.jobs(&filter, &Page::first(1)).await?.items.is_empty())
    })
    .await
}

async fn restart(world: World) -> World {
    world.running.stop().await.expect("stops");
    world_in(world._dir, Config::default()).await
}

async fn play(ctx: &Ctx, name: &str) -> Result<Demo> {
    let demo = demos::play(ctx, name, Scenario::read(read_folder(&scenario(name))?)?, "kana").await?;
    settle(ctx).await?;
    Ok(demo)
}

async fn remove(ctx: &Ctx, id: DemoId) -> Result<()> {
    ensure!(demos::remove(ctx, id).await?.is_some(), "no demo {id}");
    gone(ctx, id).await
}

async fn gone(ctx: &Ctx, id: DemoId) -> Result<()> {
    wait("the demo is not removed", async || Ok(ctx.store.demo(id).await?.is_none())).await
}

/// Open incidents of a demo, or the real ones.
async fn incidents(ctx: &Ctx, demo: Option<DemoId>) -> Result<Vec<Incident>> {
    let listed = ctx.store.incidents(&IncidentFilter::default(), &Page::first(100)).await?.items;
    let mut own: Vec<Incident> = listed
        .into_iter()
        .filter(|incident| incident.id.demo() == demo && incident.status != IncidentStatus::Redirected)
        .collect();
    own.sort_by_key(|incident| incident.number);
    Ok(own)
}

/// Every row of every table and of the lake, as text. Left out is what may go on: the audit log,
/// numbers and positions that only grow, the names of the lake's files (their rows are compared), and
/// when tokens were used.
async fn dump(world: &World) -> Result<BTreeMap<String, BTreeSet<String>>> {
    const LEFT_OUT: [&str; 7] =
        ["audit", "audit_head", "counters", "consumers", "lake_files", "api_tokens", "schema_migrations"];
    let ctx = &world.running.ctx;
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}", ctx.data.join("hinomi.db").display());
    let pool = sqlx::any::AnyPoolOptions::new().max_connections(1).connect(&url).await?;
    let mut dump = BTreeMap::new();
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table'").fetch_all(&pool).await?;
    for table in tables {
        if LEFT_OUT.contains(&table.as_str()) || table.starts_with("sqlite_") {
            continue;
        }
        let columns: Vec<String> =
            sqlx::query_scalar("SELECT name FROM pragma_table_info($1)").bind(table.as_str()).fetch_all(&pool).await?;
        let row = columns.iter().map(|name| format!("quote({name})")).collect::<Vec<_>>().join(" || ',' || ");
        let sql = sqlx::AssertSqlSafe(format!("SELECT {row} FROM {table}"));
        let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&pool).await?;
        dump.insert(table, rows.into_iter().collect());
    }
    pool.close().await;
    for table in Table::ALL {
        let events: Vec<Event> = ctx.lake.query(LakeQuery::of(*table)).await?;
        let rows: Vec<String> = events.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        let count = rows.len();
        let distinct: BTreeSet<String> = rows.into_iter().collect();
        ensure!(distinct.len() == count, "{} has rows twice", table.name());
        dump.insert(format!("lake {}", table.name()), distinct);
    }
    Ok(dump)
}

#[track_caller]
fn same(before: &BTreeMap<String, BTreeSet<String>>, after: &BTreeMap<String, BTreeSet<String>>) {
    for (table, rows) in before {
        let new: Vec<_> = after[table].difference(rows).collect();
        let lost: Vec<_> = rows.difference(&after[table]).collect();
        assert!(new.is_empty() && lost.is_empty(), "{table}: new {new:#?}, lost {lost:#?}");
    }
    assert_eq!(before.len(), after.len());
}

/// The built-in story as if it were real: device and messages with ids of no demo.
async fn make_real(ctx: &Ctx) -> Result<()> {
    let now = ctx.now();
    let scenario = Scenario::read(built_in())?;
    let last = scenario.events.iter().flatten().map(|event| event.timestamp).max().context("events")?;
    let shift = now.micros_since(last);
    for events in scenario.events {
        let events: Vec<Event> = events
            .into_iter()
            .map(|mut event| {
                event.timestamp = Timestamp::from_micros(event.timestamp.as_micros() + shift);
                event
            })
            .collect();
        ctx.ingest.append(Source::Server, events).await?;
    }
    settle(ctx).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_comes_to_its_story_and_goes_without_trace() -> Result<()> {
    let world = world().await;
    let ctx = &world.running.ctx;
    let empty = dump(&world).await?;
    let records = async || Ok::<_, anyhow::Error>(ctx.store.verify_audit().await?.count);
    let recorded = records().await?;
    let mut played = Vec::new();
    for name in ["mail-attachment-linux", "two-attacks-apart", "mail-attachment-linux"] {
        let demo = play(ctx, name).await?;
        assert_eq!((demo.state, demo.id.to_string().len()), (DemoState::Played, 36));
        let found = incidents(ctx, Some(demo.id)).await?;
        Expected::read(&scenario(name))?.check(ctx, &found).await.with_context(|| name.to_owned())?;
        assert!(found.iter().all(|incident| incident.tags == ["demo"]));
        played.push(demo);
    }
    assert!(incidents(ctx, None).await?.is_empty(), "nothing of a demo is real");
    let demo = &played[0];
    let devices = ctx.store.devices(&Default::default(), &Page::first(50)).await?.items;
    let own: Vec<_> = devices.iter().filter(|device| device.id.demo() == Some(demo.id)).collect();
    assert_eq!((own.len(), own[0].name.as_str(), own[0].tags.clone()), (1, "pc-tanaka", vec!["demo".to_owned()]));
    let mailboxes = &incidents(ctx, Some(demo.id)).await?[0].mailboxes;
    assert!(mailboxes.iter().all(|address| address.ends_with(".demo.invalid")), "{mailboxes:?}");
    let latest = ctx.lake.query(LakeQuery::of(Table::DeviceProcessEvents)).await?[0].timestamp;
    assert!(latest <= ctx.now() && ctx.now().micros_since(latest) < 600_000_000, "the story ends now: {latest}");

    assert_eq!(records().await?, recorded, "what the server does by itself in a demo leaves no record");
    remove(ctx, played[1].id).await?;
    assert_eq!(incidents(ctx, Some(demo.id)).await?.len(), 1, "the others stay");
    demos::remove(ctx, played[0].id).await?;
    demos::remove(ctx, played[0].id).await?;
    remove(ctx, played[2].id).await?;
    gone(ctx, played[0].id).await?;
    assert!(demos::remove(ctx, played[0].id).await?.is_none(), "gone is gone");
    same(&empty, &dump(&world).await?);
    let mut log = ctx.ingest.log().read_from(0);
    while let Some((_, payload)) = log.try_next()? {
        assert!(!payload.starts_with(b"{\"source\":{\"kind\":\"demo\""), "the ingest log holds a demo");
    }
    world.running.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_real_stays_as_it_was() -> Result<()> {
    let world = world().await;
    let ctx = &world.running.ctx;
    make_real(ctx).await?;
    assert_eq!(incidents(ctx, None).await?.len(), 1);
    // a real indicator on the story's attachment: a demo neither hits it nor is stopped by it
    let indicator = IndicatorSpec {
        kind: IndicatorKind::FileSha256,
        value: ATTACHMENT.to_owned(),
        action: IndicatorAction::Block,
        severity: hinomi_model::Severity::Medium,
        note: String::new(),
        expires_at: None,
        scope: Default::default(),
    };
    let proposal = |spec, incident, idempotency_key: Option<&str>| Proposal {
        spec,
        reason: Text::same("test"),
        by: "kana",
        incident,
        investigation: None,
        idempotency_key: idempotency_key.map(str::to_owned),
        approve_now: Some(("kana", None)),
        signs: Vec::new(),
        grounds: None,
        again: None,
    };
    actions::propose(ctx, proposal(ActionSpec::AddIndicator { indicator: indicator.clone() }, None, None)).await?;
    settle(ctx).await?;
    // the look back for it has found the real attachment
    let real = incidents(ctx, None).await?;
    assert_eq!(real.len(), 1);
    let before = dump(&world).await?;

    let demo = play(ctx, BUILT_IN).await?;
    let own = incidents(ctx, Some(demo.id)).await?;
    Expected::read(&scenario(BUILT_IN))?.check(ctx, &own).await?;
    assert_eq!(incidents(ctx, None).await?, real, "the same story twice, and neither knows the other");
    let file = EntityKey::file(ATTACHMENT);
    let all = ctx.store.sighting_summary(&file).await?;
    let (ours, theirs) = (
        ctx.store.sighting_summary_within(&file, None).await?,
        ctx.store.sighting_summary_within(&file, Some(demo.id)).await?,
    );
    assert_eq!((all.count, all.devices, all.copies), (2 * ours.count, 2 * ours.devices, 2 * ours.copies));
    assert_eq!((theirs.count, theirs.devices, theirs.copies), (ours.count, ours.devices, ours.copies));

    // every action of the demo ends with an honest receipt
    let pending = actions_of(ctx, &own[0]).await?;
    assert!(pending.iter().any(|action| action.spec.kind() == "soft_delete_messages"), "twelve mails to remove");
    for action in pending.iter().filter(|action| action.state == ActionState::PendingApproval) {
        actions::approve(ctx, action.id, "kana", None).await?;
    }
    settle(ctx).await?;
    for action in actions_of(ctx, &own[0]).await? {
        assert_eq!(action.state, ActionState::Succeeded, "{action:?}");
        for receipt in &action.receipts {
            assert_eq!(receipt.state, ReceiptState::Done);
            assert!(
                receipt.detail.en.contains("nothing was done") && receipt.detail.ja.contains("デモ"),
                "{receipt:?}"
            );
        }
    }
    let removed = actions_of(ctx, &own[0]).await?;
    let removed = removed.iter().find(|action| action.spec.kind() == "soft_delete_messages").context("removal")?;
    actions::undo(ctx, removed.id, "kana").await?;
    let device = own[0].devices[0].id;
    let isolate = ActionSpec::IsolateDevice { device_id: device, lease_seconds: 600 };
    actions::propose(ctx, proposal(isolate.clone(), None, None)).await?;
    settle(ctx).await?;
    let undone = ctx.store.action(removed.id).await?.context("action")?;
    assert_eq!(undone.state, ActionState::Undone);
    assert_eq!(ctx.store.indicators_in_force(ctx.now()).await?.len(), 1, "no block comes of a demo");
    assert!(ctx.store.open_commands(device, ctx.now()).await?.is_empty(), "no command is made");
    // nothing can be part demo, part real
    let mixed = actions::propose(ctx, proposal(isolate, Some(real[0].id), None)).await;
    assert!(matches!(mixed, Err(actions::ActionError::Invalid { field: "spec", .. })), "{mixed:?}");
    for investigation in investigations_of(ctx, &real[0]).await? {
        let told = serde_json::to_string(&investigation)?;
        assert!(!told.contains("-8de0-"), "a real investigation knows the demo: {told}");
    }

    // events after the demo count for what is real alone
    remove(ctx, demo.id).await?;
    same(&before, &dump(&world).await?);
    assert_eq!(ctx.store.verify_audit().await?.first_bad, None);
    world.running.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_cut_short_goes_on_after_a_restart() -> Result<()> {
    let world = world().await;
    // until there is an administrator, every start makes another one-time code
    world.set_up().await;
    let ctx = &world.running.ctx;
    make_real(ctx).await?;
    let before = dump(&world).await?;
    let demo = play(ctx, BUILT_IN).await?;
    // as a server leaves it that dies: ordered, rows gone, events still in the lake and in the log
    let mut row = ctx.store.demo(demo.id).await?.context("demo")?;
    row.state = DemoState::Removing;
    ctx.store.put_demo(&row).await?;
    ctx.store.delete_demo_rows(demo.id).await?;
    let world = restart(world).await;
    let ctx = &world.running.ctx;
    gone(ctx, demo.id).await?;
    same(&before, &dump(&world).await?);

    // killed while it is played: told as failed, and can be removed
    let demo = play(ctx, BUILT_IN).await?;
    let mut row = ctx.store.demo(demo.id).await?.context("demo")?;
    row.state = DemoState::Playing;
    ctx.store.put_demo(&row).await?;
    let world = restart(world).await;
    let ctx = &world.running.ctx;
    wait("the demo is not told as failed", async || {
        Ok(ctx.store.demo(demo.id).await?.context("demo")?.state == DemoState::Failed)
    })
    .await?;
    remove(ctx, demo.id).await?;
    same(&before, &dump(&world).await?);

    // removed at once, while its events wait and its investigation runs
    let scenario = Scenario::read(built_in())?;
    let demo = demos::play(ctx, BUILT_IN, scenario, "kana").await?;
    remove(ctx, demo.id).await?;
    settle(ctx).await?;
    same(&before, &dump(&world).await?);
    world.running.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_of_a_scenario_go_through_the_gateways_code() -> Result<()> {
    let world = world().await;
    let ctx = &world.running.ctx;
    let empty = dump(&world).await?;
    let file = |path: &str, content: &str| ScenarioFile { path: path.to_owned(), content: content.into() };
    let head = file("scenario.toml", "title = { en = \"Mail\", ja = \"メール\" }\n");
    let mail = "From: \"A\" <a@evil.example>\r\nTo: b@corp.example, c@corp.example\r\nSubject: hello\r\n\
                Date: Fri, 20 Nov 2026 10:00:00 +0900\r\nMessage-ID: <m@evil.example>\r\n\
                MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nsee https://evil.example/x\r\n";
    let scenario = Scenario::read(vec![head.clone(), file("mail/a.eml", mail)])?;
    let demo = demos::play(ctx, "mail", scenario, "kana").await?;
    settle(ctx).await?;
    assert_eq!((demo.messages, demo.events), (1, 3));
    let copies = ctx.store.messages(&Default::default(), &Page::first(10)).await?.items;
    assert_eq!(copies.len(), 2);
    assert!(copies.iter().all(|copy| copy.message_id.demo() == Some(demo.id)));
    assert_eq!(copies[0].subject, "hello");
    assert_eq!(ctx.store.sighting_summary(&EntityKey::url("https://evil.example/x")).await?.count, 1);
    remove(ctx, demo.id).await?;
    let nobody = Scenario::read(vec![head, file("mail/a.eml", "Subject: x\r\n\r\n")])?;
    let refused = demos::play(ctx, "mail", nobody, "kana").await.expect_err("no recipient").to_string();
    assert_eq!(refused, "mail/a.eml: the mail has no recipients (To or Cc)");
    same(&empty, &dump(&world).await?);
    world.running.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_by_administrators_only() -> Result<()> {
    let world = world().await;
    let admin = world.token(Role::Administrator).await;
    let responder = world.token(Role::Responder).await;
    world.ask(&responder, "POST", "/demos", Some(json!({}))).await.is(403);
    let file = |path: &str, text: &str| json!({ "path": path, "content": STANDARD.encode(text) });
    let head = || file("scenario.toml", "title = { en = \"A\", ja = \"あ\" }");
    for (files, wanted) in [
        (json!([head()]), "there are no events and no mails"),
        (json!([head(), file("events/a.jsonl", "{}\n")]), "events/a.jsonl:1: missing field `Table`"),
        (json!([head(), file("../../etc/passwd", "x")]), "has no place in a scenario"),
        (json!([{ "path": "scenario.toml", "content": "*" }]), "scenario.toml: not base64"),
    ] {
        let refused = world.ask(&admin, "POST", "/demos", Some(json!({ "files": files }))).await.is(400);
        assert_eq!(refused.body["field"], "files");
        let text = refused.body["message_en"].as_str().unwrap_or_default();
        assert!(text.contains(wanted), "{text:?} instead of {wanted:?}");
    }
    let apart = |year: i32| {
        format!(
            "{{\"Table\":\"DeviceFileEvents\",\"Timestamp\":\"{year}-01-01T00:00:00Z\",\
             \"DeviceId\":\"00000000-0000-0000-0000-000000000001\"}}\n"
        )
    };
    let far = json!({ "files": [head(), file("events/a.jsonl", &(apart(2020) + &apart(2026)))] });
    world.ask(&admin, "POST", "/demos", Some(far)).await.is(400);
    world.ask(&admin, "POST", "/demos", Some(json!({ "file": [] }))).await.is(400);
    let long = json!({ "name": "x".repeat(101) });
    assert_eq!(world.ask(&admin, "POST", "/demos", Some(long)).await.is(400).body["field"], "name");
    let huge = json!({ "files": [{ "path": "scenario.toml", "content": "A".repeat(25 << 20) }] });
    world.ask(&admin, "POST", "/demos", Some(huge)).await.is(400);

    let made = world.ask(&admin, "POST", "/demos", Some(json!({}))).await.is(201).body;
    let path = format!("/demos/{}", made["demo"]["id"].as_str().context("id")?);
    let until = Instant::now() + WAIT;
    let done = loop {
        let now = world.ask(&admin, "GET", &path, None).await.is(200).body;
        if now["analysed"] == true && now["investigating"] == 0 {
            break now;
        }
        ensure!(Instant::now() < until, "{now}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(done["incidents"][0]["severity"], "high");
    let url = done["incidents"][0]["url"].as_str().context("url")?;
    assert!(url.ends_with(&format!("/incidents/{}", done["incidents"][0]["number"])), "{url}");
    assert_eq!(world.ask(&admin, "GET", "/demos", None).await.is(200).body["total"], 1);
    let removing = world.ask(&admin, "DELETE", &path, None).await.is(200).body;
    assert_eq!(removing["demo"]["state"], "removing");
    let id: DemoId = made["demo"]["id"].as_str().context("id")?.parse()?;
    gone(&world.running.ctx, id).await?;
    world.ask(&admin, "DELETE", &path, None).await.is(404);
    let records = world.running.ctx.store.audit_records(&Default::default(), &Page::first(50)).await?.items;
    let kept: Vec<(String, String)> = records
        .iter()
        .rev()
        .filter(|one| one.result == "ok" && one.action.starts_with("demo."))
        .map(|one| (one.action.clone(), one.target.clone()))
        .collect();
    let target = id.to_string();
    assert_eq!(kept, [("demo.play".to_owned(), target.clone()), ("demo.remove".to_owned(), target)]);
    world.running.stop().await
}

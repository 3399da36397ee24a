//! Incidents as people regroup them: merged, taken apart again, alerts moved; correlation respects it.

#[path = "http/world.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
mod world;

use anyhow::{Result, ensure};
use hinomi_model::{DeviceId, Event, Incident, Role, Table, Timestamp};
use hinomi_server::app::{ANALYST, Ctx};
use hinomi_server::ingest::Source;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use world::{Person, World, world};

const WAIT: Duration = Duration::from_secs(60);

const RULE: &str = "\
title: A strange tool
id: strange-tool
level: high
tags: [attack.execution, attack.t1204]
logsource: {product: hinomi, service: DeviceProcessEvents}
detection: {s: {FileName: strange}, condition: s}
";

/// Starts the program on a device of its own; `file` is its hash, by which alerts may belong together.
async fn run(ctx: &Ctx, number: i64, file: &str) -> Result<()> {
    let at = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
    let device = DeviceId(uuid::Uuid::from_u128(0x0197_f3a2_6b1e_7c44_9d1a_0000_0000_0000 + number as u128));
    let mut event = Event::new(Table::DeviceProcessEvents, at);
    event.set("DeviceId", device.to_string()).set("DeviceName", format!("ws{number}")).set("ReportId", number);
    event.set("ActionType", "ProcessCreated").set("FileName", "strange").set("FolderPath", "/opt/strange");
    event.set("SHA256", file).set("ProcessId", 4_000 + number).set("ProcessCreationTime", at);
    event.set("AccountName", format!("user{number}"));
    let offset = ctx.ingest.append(Source::Gateway, vec![event]).await?;
    let until = Instant::now() + WAIT;
    while ctx.store.offset(ANALYST).await? <= offset {
        ensure!(Instant::now() < until, "events wait to be analysed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn started() -> Result<(World, Person, Ctx)> {
    let world = world().await;
    let admin = world.person("tanaka", Role::Administrator).await;
    world.ask(&admin, "POST", "/rules", Some(json!({ "yaml": RULE, "state": "live" }))).await.is(201);
    let ctx = world.running.ctx.clone();
    Ok((world, admin, ctx))
}

async fn incident(ctx: &Ctx, number: i64) -> Result<Incident> {
    Ok(ctx.store.incident_by_number(number).await?.expect("an incident"))
}

async fn shown(world: &World, who: &Person, number: i64) -> Value {
    world.ask(who, "GET", &format!("/incidents/{number}"), None).await.is(200).body
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_and_taken_apart() -> Result<()> {
    let (world, admin, ctx) = started().await?;
    let (one, two) = ("a1".repeat(32), "b2".repeat(32));
    run(&ctx, 1, &one).await?;
    run(&ctx, 2, &two).await?;
    let tags = |tags: Value| json!({ "tags": tags });
    world.ask(&admin, "PATCH", "/incidents/1", Some(tags(json!(["both", "mine"])))).await.is(200);
    world.ask(&admin, "PATCH", "/incidents/2", Some(tags(json!(["both", "yours"])))).await.is(200);

    // mistakes
    let merge = |numbers: Value| Some(json!({ "incidents": numbers, "comment": "one campaign" }));
    world.ask(&admin, "POST", "/incidents/1/merge", merge(json!([]))).await.is(400);
    world.ask(&admin, "POST", "/incidents/1/merge", merge(json!([99]))).await.is(400);
    let itself = world.ask(&admin, "POST", "/incidents/1/merge", merge(json!([1]))).await.is(409);
    assert_eq!(itself.code(), "not_mergeable");
    assert_eq!(world.ask(&admin, "POST", "/incidents/2/unmerge", Some(json!({}))).await.is(409).code(), "not_merged");

    // merged: one story, the other one leads to it
    let whole = world.ask(&admin, "POST", "/incidents/1/merge", merge(json!([2]))).await.is(200).body;
    assert_eq!((&whole["alert_count"], &whole["tags"]), (&json!(2), &json!(["both", "mine", "yours"])));
    assert_eq!(whole["took_in"], json!([2]));
    assert_eq!(whole["devices"].as_array().map(Vec::len), Some(2));
    let away = shown(&world, &admin, 2).await;
    assert_eq!((&away["status"], &away["redirected_to"]), (&json!("redirected"), &whole["id"]));
    assert_eq!(away["merged"]["by"], "tanaka");
    assert_eq!(world.ask(&admin, "POST", "/incidents/2/merge", merge(json!([1]))).await.is(409).code(), "redirected");

    // what joins afterwards stays where it is when they are taken apart
    run(&ctx, 3, &one).await?;
    assert_eq!(incident(&ctx, 1).await?.alerts.len(), 3, "the same file");
    let back = world.ask(&admin, "POST", "/incidents/2/unmerge", Some(json!({ "comment": "no" }))).await.is(200).body;
    assert_eq!(
        (&back["status"], &back["alert_count"], &back["tags"]),
        (&json!("active"), &json!(1), &json!(["both", "yours"]))
    );
    ensure!(back["redirected_to"].is_null() && back["comments"][0]["text"] == "no", "{back}");
    let left = shown(&world, &admin, 1).await;
    ensure!(left["took_in"].as_array().is_none_or(Vec::is_empty), "{left}");
    assert_eq!((&left["alert_count"], &left["tags"]), (&json!(2), &json!(["both", "mine"])));
    let names = |of: &Value| -> Vec<String> {
        let devices = of["devices"].as_array().into_iter().flatten();
        devices.filter_map(|device| device["name"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!((names(&left), names(&back)), (vec!["ws1".to_owned(), "ws3".to_owned()], vec!["ws2".to_owned()]));

    // the file of both joins again what it always joined, and never merges the two
    run(&ctx, 4, &two).await?;
    assert_eq!((incident(&ctx, 1).await?.alerts.len(), incident(&ctx, 2).await?.alerts.len()), (2, 2));
    ensure!(incident(&ctx, 2).await?.apart == [incident(&ctx, 1).await?.id]);

    // who did what
    for (number, word) in [(1, "Took out INC-2"), (2, "Taken out of INC-1")] {
        let lines = incident(&ctx, number).await?.activities;
        let line = lines.iter().find(|line| line.text.en == word);
        ensure!(line.is_some_and(|line| line.actor == "tanaka"), "{number}: {lines:?}");
    }

    // a month later it stays as it is
    world.ask(&admin, "POST", "/incidents/1/merge", merge(json!([2]))).await.is(200);
    let mut old = incident(&ctx, 2).await?;
    old.merged.as_mut().expect("merged").at = ctx.now().plus_seconds(-31 * 24 * 3600);
    let mut tx = ctx.store.begin().await?;
    tx.put_incident(&old).await?;
    tx.commit().await?;
    let late = world.ask(&admin, "POST", "/incidents/2/unmerge", Some(json!({}))).await.is(409).body;
    ensure!(late["message_en"].as_str().is_some_and(|text| text.contains("30 days")), "{late}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_move() -> Result<()> {
    let (world, admin, ctx) = started().await?;
    let file = "c3".repeat(32);
    run(&ctx, 1, &file).await?;
    run(&ctx, 2, &file).await?;
    run(&ctx, 3, &"d4".repeat(32)).await?;
    let story = incident(&ctx, 1).await?;
    assert_eq!((story.alerts.len(), incident(&ctx, 2).await?.alerts.len()), (2, 1));
    let second = story.alerts[1].alert_id;

    // to a story that is there, for a reason a person names
    let order = json!({ "alerts": [second], "incident": 2, "reason": "sameAsset", "comment": "seen by hand" });
    let moved = world.ask(&admin, "POST", "/alerts/move", Some(order)).await.is(200).body;
    assert_eq!((&moved["number"], &moved["alert_count"]), (&json!(2), &json!(2)));
    let link = moved["alerts"].as_array().and_then(|links| links.last()).cloned().unwrap_or_default();
    assert_eq!((&link["reason"], &link["alert_id"]), (&json!("sameAsset"), &json!(second)));
    let left = incident(&ctx, 1).await?;
    assert_eq!((left.alerts.len(), left.devices.len()), (1, 1), "what only the moved one named is gone");
    assert_eq!(ctx.store.alert(second).await?.expect("alert").incident_id, incident(&ctx, 2).await?.id);

    // the file both share does not bring them together again
    run(&ctx, 4, &file).await?;
    ensure!(incident(&ctx, 1).await?.redirected_to.is_none() && incident(&ctx, 2).await?.redirected_to.is_none());

    // to a new story; one that is left without alerts leads there
    let alone = incident(&ctx, 2).await?.alerts.iter().map(|link| link.alert_id).collect::<Vec<_>>();
    let made = world.ask(&admin, "POST", "/alerts/move", Some(json!({ "alerts": alone }))).await.is(200).body;
    assert_eq!((&made["number"], &made["alert_count"]), (&json!(3), &json!(alone.len())));
    let empty = shown(&world, &admin, 2).await;
    assert_eq!((&empty["status"], &empty["redirected_to"]), (&json!("redirected"), &made["id"]));
    world.ask(&admin, "POST", "/alerts/move", Some(json!({ "alerts": [] }))).await.is(400);
    let refused = json!({ "alerts": [second], "incident": 2 });
    assert_eq!(world.ask(&admin, "POST", "/alerts/move", Some(refused)).await.is(409).code(), "redirected");
    Ok(())
}

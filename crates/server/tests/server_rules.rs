//! Rules written on a running server: draft, test, live, off; per device; versions; no restart.

#[path = "http/world.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
mod world;

use anyhow::{Result, ensure};
use hinomi_model::{Alert, DeviceId, Event, Role, Table, Timestamp};
use hinomi_server::app::{ANALYST, Ctx};
use hinomi_server::config::Config;
use hinomi_server::ingest::Source;
use hinomi_store::{AlertFilter, AuditFilter, Page};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;
use world::{world, world_in};

const WAIT: Duration = Duration::from_secs(60);

const RULE: &str = "\
title: A strange tool
id: strange-tool
author: Tanaka
level: high
tags: [attack.execution, attack.t1204]
logsource: {product: hinomi, service: DeviceProcessEvents}
detection: {s: {FileName: strange}, condition: s}
";

fn device(number: u128) -> DeviceId {
    DeviceId(uuid::Uuid::from_u128(0x0197_f3a2_6b1e_7c44_9d1a_0000_0000_0000 + number))
}

/// A process of its own each time, so that every firing is an alert of its own.
async fn run(ctx: &Ctx, device: DeviceId, name: &str, number: i64) -> Result<()> {
    let at = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
    let mut event = Event::new(Table::DeviceProcessEvents, at);
    event.set("DeviceId", device.to_string()).set("DeviceName", "ws").set("ReportId", number);
    event.set("ActionType", "ProcessCreated").set("FileName", name).set("FolderPath", format!("/opt/{number}/{name}"));
    event.set("ProcessId", 4_000 + number).set("ProcessCreationTime", at).set("AccountName", "ann");
    let offset = ctx.ingest.append(Source::Gateway, vec![event]).await?;
    let until = Instant::now() + WAIT;
    while ctx.store.offset(ANALYST).await? <= offset {
        ensure!(Instant::now() < until, "events wait to be analysed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn alerts(ctx: &Ctx) -> Result<Vec<Alert>> {
    let all = ctx.store.alerts(&AlertFilter::default(), &Page::first(100)).await?.items;
    Ok(all.into_iter().filter(|alert| alert.rule_id == "strange-tool").collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn from_draft_to_live_and_back() -> Result<()> {
    let world = world().await;
    let (admin, ctx) = (world.person("tanaka", Role::Administrator).await, world.running.ctx.clone());
    let rule = "/rules/strange-tool";

    // mistakes name their place, nothing is stored
    let bad = json!({ "yaml": RULE.replace("FileName", "FileNam") });
    let refused = world.ask(&admin, "POST", "/rules", Some(bad)).await.is(400).body;
    let told = refused["message_en"].as_str().unwrap_or_default();
    ensure!(told.contains(":7:") && told.contains("FileNam"), "{told}");
    world.ask(&admin, "POST", "/rules", Some(json!({ "yaml": RULE.replace("id: strange-tool\n", "") }))).await.is(400);
    world.ask(&admin, "GET", rule, None).await.is(404);

    // a draft is only counted
    let made = world.ask(&admin, "POST", "/rules", Some(json!({ "yaml": RULE }))).await.is(201).body;
    assert_eq!((&made["state"], &made["version"], &made["author"]), (&json!("draft"), &json!(1), &json!("Tanaka")));
    world.ask(&admin, "POST", "/rules", Some(json!({ "yaml": RULE }))).await.is(409);
    run(&ctx, device(1), "strange", 1).await?;
    run(&ctx, device(1), "strange", 2).await?;
    ensure!(alerts(&ctx).await?.is_empty(), "a draft makes no alert");
    assert_eq!(world.ask(&admin, "GET", rule, None).await.is(200).body["hits"], 2);

    // a test makes alerts that are marked, and nothing follows
    let tested = world.ask(&admin, "PATCH", rule, Some(json!({ "state": "test" }))).await.is(200).body;
    assert_eq!((&tested["version"], &tested["hits"]), (&json!(2), &json!(0)), "counted anew");
    run(&ctx, device(1), "strange", 3).await?;
    let seen = alerts(&ctx).await?;
    assert_eq!(seen.len(), 1);
    ensure!(seen[0].test && seen[0].investigation_id.is_none(), "marked, not investigated");

    // live: an alert of its own, never joined with the test
    world.ask(&admin, "PATCH", rule, Some(json!({ "state": "live" }))).await.is(200);
    run(&ctx, device(1), "strange", 4).await?;
    let seen = alerts(&ctx).await?;
    let live: Vec<&Alert> = seen.iter().filter(|alert| !alert.test).collect();
    assert_eq!((seen.len(), live.len()), (2, 1));
    ensure!(seen[0].incident_id != seen[1].incident_id, "a test has an incident of its own");

    // per group of devices
    let only = json!({ "device_tags": ["server"] });
    world.ask(&admin, "PATCH", rule, Some(only)).await.is(200);
    run(&ctx, device(2), "strange", 5).await?;
    assert_eq!(alerts(&ctx).await?.len(), 2, "the device has no such tag");

    // versions, one of them again; somebody who saw another version is refused
    let versions = world.ask(&admin, "GET", &format!("{rule}/versions"), None).await.is(200).body;
    let states: Vec<_> = versions["items"].as_array().into_iter().flatten().map(|entry| &entry["state"]).collect();
    assert_eq!(states, ["live", "live", "test", "draft"]);
    let other = json!({ "yaml": RULE.replace("strange}", "odd}") });
    world.ask(&admin, "PATCH", rule, Some(other)).await.is(200);
    let back = world.ask(&admin, "PATCH", rule, Some(json!({ "restore": 3 }))).await.is(200).body;
    assert_eq!((&back["version"], &back["device_tags"]), (&json!(6), &json!([])));
    let request = world.client.patch(format!("{}/api/v1{rule}", world.base)).header("x-hinomi", "1");
    let cookie = format!("__Host-hinomi={}", admin.cookie.as_deref().unwrap_or_default());
    let request = request.header("cookie", cookie).header("if-match", "\"3\"").json(&json!({ "state": "off" }));
    assert_eq!(request.send().await?.status(), 412);

    // still there after a restart; off means nothing
    drop(ctx);
    world.running.stop().await?;
    let world = world_in(world._dir, Config::default()).await;
    let ctx = world.running.ctx.clone();
    run(&ctx, device(3), "strange", 6).await?;
    assert_eq!(alerts(&ctx).await?.len(), 3);
    let off = world.ask(&admin, "PATCH", rule, Some(json!({ "state": "off" }))).await.is(200).body;
    assert_eq!(off["title"]["en"], "A strange tool", "what is off is told all the same");
    run(&ctx, device(4), "strange", 7).await?;
    assert_eq!(alerts(&ctx).await?.len(), 3);

    // who did what is in the audit log
    let audit = ctx.store.audit_records(&AuditFilter::default(), &Page::first(50)).await?.items;
    let own = audit.iter().filter(|entry| entry.target.contains("strange-tool")).count();
    ensure!(own >= 8, "{own} records");
    world.ask(&admin, "DELETE", rule, None).await.is(200);
    world.ask(&admin, "GET", rule, None).await.is(404);
    Ok(())
}

/// A rule that ships can be turned off and is as it was delivered again when that is taken back; its
/// text cannot be changed.
#[tokio::test(flavor = "multi_thread")]
async fn rules_that_ship() -> Result<()> {
    let world = world().await;
    let admin = world.person("tanaka", Role::Administrator).await;
    let listed = world.ask(&admin, "GET", "/rules?ships=true&limit=2", None).await.is(200).body;
    ensure!(listed["total"].as_i64() > Some(50) && listed["next"].is_string(), "{}", listed["total"]);
    let id = listed["items"][0]["id"].as_str().unwrap_or_default().to_owned();
    let next = listed["next"].as_str().unwrap_or_default();
    let more = world.ask(&admin, "GET", &format!("/rules?limit=1&cursor={next}"), None).await.is(200).body;
    ensure!(more["items"][0]["id"].as_str() > Some(next), "the next page");
    let path = format!("/rules/{id}");
    let off = world.ask(&admin, "PATCH", &path, Some(json!({ "state": "off" }))).await.is(200).body;
    assert_eq!((&off["state"], &off["ships"]), (&json!("off"), &json!(true)));
    world.ask(&admin, "PATCH", &path, Some(json!({ "yaml": RULE }))).await.is(400);
    let listed = world.ask(&admin, "GET", "/rules?state=off", None).await.is(200).body;
    assert_eq!(listed["total"], 1);
    world.ask(&admin, "DELETE", &path, None).await.is(200);
    let again = world.ask(&admin, "GET", &path, None).await.is(200).body;
    assert_eq!((&again["state"], &again["version"]), (&json!("live"), &json!(0)));
    assert_eq!(world.ask(&admin, "GET", "/rules/correlations", None).await.is(200).body["total"].is_i64(), true);
    Ok(())
}

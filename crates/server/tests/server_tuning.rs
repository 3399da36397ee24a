//! Tuning rules on a running server: drafted from an alert, tried, in force, and what is left alone.

#[path = "http/world.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
mod world;

use anyhow::{Result, ensure};
use hinomi_model::{Alert, DeviceId, Event, Role, Severity, Table, Timestamp};
use hinomi_server::app::{ANALYST, Ctx};
use hinomi_server::config::Config;
use hinomi_server::ingest::Source;
use hinomi_store::{AlertFilter, Hidden, IncidentFilter, Page};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use world::{Person, World, world, world_in};

const WAIT: Duration = Duration::from_secs(60);

/// Fires on every start of a program of this name.
fn rule(id: &str, name: &str, technique: &str) -> String {
    format!(
        "title: Rule {id}\nid: {id}\nlevel: high\ntags: [attack.execution, attack.{technique}]\n\
         logsource: {{product: hinomi, service: DeviceProcessEvents}}\n\
         detection: {{s: {{FileName: {name}}}, condition: s}}\n"
    )
}

/// A process of its own each time, so that every firing is an alert of its own.
async fn run(ctx: &Ctx, name: &str, number: i64, line: &str) -> Result<()> {
    let at = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
    let device = DeviceId(uuid::Uuid::from_u128(0x0197_f3a2_6b1e_7c44_9d1a_0000_0000_0001));
    let mut event = Event::new(Table::DeviceProcessEvents, at);
    event.set("DeviceId", device.to_string()).set("DeviceName", "ws").set("ReportId", number);
    event.set("ActionType", "ProcessCreated").set("FileName", name).set("FolderPath", format!("/opt/tools/{name}"));
    event.set("ProcessId", 4_000 + number).set("ProcessCreationTime", at).set("AccountName", "ann");
    event.set("ProcessCommandLine", line);
    let offset = ctx.ingest.append(Source::Gateway, vec![event]).await?;
    let until = Instant::now() + WAIT;
    while ctx.store.offset(ANALYST).await? <= offset {
        ensure!(Instant::now() < until, "events wait to be analysed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Alerts of a rule, oldest first: those that are shown, and those that are hidden.
async fn alerts(ctx: &Ctx, rule: &str) -> Result<(Vec<Alert>, Vec<Alert>)> {
    let of = async |hidden| -> Result<Vec<Alert>> {
        let filter = AlertFilter { rule_id: Some(rule.to_owned()), hidden, ..AlertFilter::default() };
        let mut found = ctx.store.alerts(&filter, &Page::first(100)).await?.items;
        found.sort_by_key(|alert| alert.id);
        Ok(found)
    };
    Ok((of(Hidden::Without).await?, of(Hidden::Only).await?))
}

async fn incidents(ctx: &Ctx) -> Result<i64> {
    Ok(ctx.store.incidents(&IncidentFilter::default(), &Page::first(1)).await?.total)
}

async fn add_rule(world: &World, admin: &Person, id: &str, name: &str, technique: &str) {
    let body = json!({ "yaml": rule(id, name, technique), "state": "live" });
    world.ask(admin, "POST", "/rules", Some(body)).await.is(201);
}

async fn in_version(world: &World, who: &Person, path: &str, version: &str, body: &Value) -> u16 {
    let cookie = format!("__Host-hinomi={}", who.cookie.as_deref().unwrap_or_default());
    let request = world.client.patch(format!("{}/api/v1{path}", world.base)).header("x-hinomi", "1");
    let request = request.header("cookie", cookie).header("if-match", version).json(body);
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_alert_to_silence_and_back() -> Result<()> {
    let world = world().await;
    let (admin, ctx) = (world.person("tanaka", Role::Administrator).await, world.running.ctx.clone());
    let responder = world.person("suzuki", Role::Responder).await;
    add_rule(&world, &admin, "backup-runs", "backup", "t1204").await;
    run(&ctx, "backup", 1, "backup --day 20261121").await?;
    run(&ctx, "backup", 2, "backup --day 20261122").await?;
    run(&ctx, "backup", 3, "backup --to 198.51.100.7").await?;
    let (shown, hidden) = alerts(&ctx, "backup-runs").await?;
    assert_eq!((shown.len(), hidden.len()), (3, 0));
    let known_incidents = incidents(&ctx).await?;

    // one of them was an attack
    let path = format!("/alerts/{}", shown[1].id);
    let real = json!({ "classification": "truePositive", "determination": "malware" });
    world.ask(&responder, "PATCH", &path, Some(real)).await.is(200);

    // the draft is as narrow as what stays the same
    let mut draft = world.ask(&responder, "GET", &format!("/alerts/{}/tuning", shown[0].id), None).await.is(200).body;
    let line = json!({ "field": "commandLine", "operator": "wildcard", "values": ["backup --day *"] });
    ensure!(draft["conditions"].as_array().is_some_and(|conditions| conditions.contains(&line)), "{draft:#}");
    ensure!(draft["expires_at"].is_string() && draft["title"] == "Rule backup-runs: backup", "{draft:#}");

    // tried before it is saved: what it would have hidden, and that this was no good idea
    let seen = world.ask(&responder, "POST", "/tuning/preview", Some(draft.clone())).await.is(200).body;
    assert_eq!((&seen["matches"], &seen["true_positives"], &seen["high"]), (&json!(2), &json!(1), &json!(2)));
    assert_eq!(seen["alerts"][0]["id"], json!(shown[1].id), "what was real comes first");
    let warnings = seen["warnings"].as_array().expect("warnings");
    ensure!(warnings.iter().any(|one| one["en"].as_str().is_some_and(|text| text.contains("real attacks"))));
    ensure!(world.ask(&responder, "GET", "/tuning", None).await.is(200).body["total"] == 0, "nothing was saved");

    // in force: kept, counted, findable, in no incident
    draft["comment"] = json!("the nightly backup");
    let made = world.ask(&responder, "POST", "/tuning", Some(draft.clone())).await.is(201).body;
    assert_eq!((&made["owner"], &made["version"], &made["hits"]), (&json!("suzuki"), &json!(1), &json!(0)));
    let rule = format!("/tuning/{}", made["id"].as_str().expect("id"));
    run(&ctx, "backup", 4, "backup --day 20261123").await?;
    run(&ctx, "backup", 5, "backup --to 203.0.113.8").await?;
    let (shown, hidden) = alerts(&ctx, "backup-runs").await?;
    assert_eq!((shown.len(), hidden.len()), (4, 1), "what it does not name goes on");
    assert_eq!(incidents(&ctx).await?, known_incidents + 1);
    ensure!(hidden[0].is_hidden() && hidden[0].investigation_id.is_none() && hidden[0].severity == Severity::High);
    ensure!(ctx.store.incident(hidden[0].incident_id).await?.is_none());
    let counted = world.ask(&responder, "GET", &rule, None).await.is(200).body;
    ensure!(counted["hits"] == 1 && counted["last_hit"].is_string() && counted["version"] == 1, "{counted}");
    let found = world.ask(&responder, "GET", "/alerts?hidden=true", None).await.is(200).body;
    assert_eq!((&found["total"], &found["items"][0]["tuned"]["action"]), (&json!(1), &json!("hide")));
    let one = world.ask(&responder, "GET", &format!("/alerts/{}", hidden[0].id), None).await.is(200).body;
    ensure!(one["incident_number"].is_null() && one["tuned"]["title"] == made["title"], "{one}");
    world.ask(&responder, "GET", &format!("/alerts/{}/story", hidden[0].id), None).await.is(200);

    // two people do not overwrite each other; what was counted does not change the version
    assert_eq!(in_version(&world, &responder, &rule, "\"1\"", &json!({ "enabled": false })).await, 200);
    assert_eq!(in_version(&world, &admin, &rule, "\"1\"", &json!({ "title": "Other" })).await, 412);
    run(&ctx, "backup", 6, "backup --day 20261124").await?;
    assert_eq!(alerts(&ctx, "backup-runs").await?.1.len(), 1, "it is off");

    // still off, and still counted, after a restart; on again it is for new alerts
    drop(ctx);
    world.running.stop().await?;
    let world = world_in(world._dir, Config::default()).await;
    let ctx = world.running.ctx.clone();
    run(&ctx, "backup", 7, "backup --day 20261125").await?;
    assert_eq!(alerts(&ctx, "backup-runs").await?.1.len(), 1);
    let on = world.ask(&responder, "PATCH", &rule, Some(json!({ "enabled": true }))).await.is(200).body;
    assert_eq!((&on["hits"], &on["version"]), (&json!(1), &json!(3)));
    run(&ctx, "backup", 8, "backup --day 20261126").await?;
    assert_eq!(alerts(&ctx, "backup-runs").await?.1.len(), 2);

    // how the rule does: classified by people, what tuning took away apart
    let quality = world.ask(&responder, "GET", "/rules/quality", None).await.is(200).body;
    let own = quality["items"].as_array().expect("items").iter().find(|one| one["rule_id"] == "backup-runs");
    let own = own.expect("the rule");
    assert_eq!(
        (&own["true_positive"], &own["tuned"], &own["false_positive_share"]),
        (&json!(1), &json!(2), &json!(0.0))
    );
    assert_eq!(own["title"]["en"], "Rule backup-runs");
    world.ask(&responder, "DELETE", &rule, None).await.is(200);
    world.ask(&responder, "GET", &rule, None).await.is(404);
    run(&ctx, "backup", 9, "backup --day 20261127").await?;
    assert_eq!(alerts(&ctx, "backup-runs").await?.1.len(), 2, "what was hidden stays hidden, what is new does not");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lowered_resolved_expired_and_tampering() -> Result<()> {
    let world = world().await;
    let (admin, ctx) = (world.person("tanaka", Role::Administrator).await, world.running.ctx.clone());
    for (id, name, technique) in [("tool-runs", "tool", "t1204"), ("sensor-off", "stopper", "t1562.001")] {
        add_rule(&world, &admin, id, name, technique).await;
    }
    let tuning = |action: &str, field: &str, value: &str| {
        let condition = json!({ "field": field, "operator": "startsWith", "values": [value] });
        json!({ "title": "t", "conditions": [condition], "action": action })
    };

    // mistakes are named
    let wrong = [
        json!({ "title": "t", "conditions": [], "action": "hide" }),
        tuning("hide", "device", "ws"),
        tuning("lowerSeverity", "fileName", "tool"),
        json!({ "expires_at": "2020-01-01T00:00:00Z", "title": "t", "action": "hide",
            "conditions": [{ "field": "rule", "operator": "equals", "values": ["x"] }] }),
        json!({ "owner": "nobody", "title": "t", "action": "hide",
            "conditions": [{ "field": "rule", "operator": "equals", "values": ["x"] }] }),
    ];
    for (body, field) in wrong.into_iter().zip(["conditions", "conditions", "severity", "expires_at", "owner"]) {
        let told = world.ask(&admin, "POST", "/tuning", Some(body)).await.is(400).body;
        assert_eq!(told["field"], field, "{told}");
    }

    // lower: an alert like others, less severe
    let mut lower = tuning("lowerSeverity", "fileName", "tool");
    lower["severity"] = json!("low");
    let lower = world.ask(&admin, "POST", "/tuning", Some(lower)).await.is(201).body;
    run(&ctx, "tool", 1, "tool").await?;
    let (shown, _) = alerts(&ctx, "tool-runs").await?;
    assert_eq!(shown[0].severity, Severity::Low);
    let incident = ctx.store.incident(shown[0].incident_id).await?.expect("an incident");
    assert_eq!((incident.severity, incident.alerts.len()), (Severity::Low, 1));

    // resolve: on the record, and done
    let resolve = world.ask(&admin, "POST", "/tuning", Some(tuning("resolve", "fileName", "tool"))).await.is(201).body;
    run(&ctx, "tool", 2, "tool").await?;
    let (shown, _) = alerts(&ctx, "tool-runs").await?;
    let body = world.ask(&admin, "GET", &format!("/alerts/{}", shown[1].id), None).await.is(200).body;
    let words = [&body["status"], &body["classification"], &body["tuned"]["action"], &body["investigation_id"]];
    assert_eq!(words, [&json!("resolved"), &json!("falsePositive"), &json!("resolve"), &Value::Null], "{body}");
    let incident = ctx.store.incident(shown[1].incident_id).await?.expect("an incident");
    assert_eq!((incident.status.word(), incident.alerts.len()), ("resolved".to_owned(), 1));
    ensure!(incident.activities.iter().any(|line| line.text.en.contains("tuning rule")), "the log says who");
    ensure!(incident.id != shown[0].incident_id, "a story of its own");
    for (rule, hits) in [(&lower, 1), (&resolve, 1)] {
        let path = format!("/tuning/{}", rule["id"].as_str().expect("id"));
        assert_eq!(world.ask(&admin, "GET", &path, None).await.is(200).body["hits"], hits);
        world.ask(&admin, "DELETE", &path, None).await.is(200);
    }

    // a rule about a folder does not silence a sensor that is switched off; one that names the detection does
    let wide = tuning("hide", "filePath", "/opt/tools/");
    run(&ctx, "stopper", 3, "stopper").await?;
    let seen = world.ask(&admin, "POST", "/tuning/preview", Some(wide.clone())).await.is(200).body;
    assert_eq!((&seen["matches"], &seen["spared"]), (&json!(2), &json!(1)), "{seen}");
    world.ask(&admin, "POST", "/tuning", Some(wide)).await.is(201);
    run(&ctx, "stopper", 4, "stopper").await?;
    run(&ctx, "tool", 5, "tool").await?;
    let tampering = alerts(&ctx, "sensor-off").await?;
    assert_eq!((tampering.0.len(), tampering.1.len(), alerts(&ctx, "tool-runs").await?.1.len()), (2, 0, 1));
    let named = json!({ "title": "t", "action": "hide",
        "conditions": [{ "field": "rule", "operator": "equals", "values": ["sensor-off"] }] });
    world.ask(&admin, "POST", "/tuning", Some(named)).await.is(201);
    run(&ctx, "stopper", 6, "stopper").await?;
    assert_eq!(alerts(&ctx, "sensor-off").await?.1.len(), 1);

    // one that has expired is for nothing
    for rule in ctx.store.tuning_rules().await? {
        let past = hinomi_model::TuningRule { expires_at: Some(ctx.now().plus_seconds(-1)), ..rule.clone() };
        ctx.store.update_tuning_rule(&past, rule.version).await?;
    }
    hinomi_server::tuning::load(&ctx).await?;
    run(&ctx, "stopper", 7, "stopper").await?;
    assert_eq!(alerts(&ctx, "sensor-off").await?.1.len(), 1);
    assert_eq!(world.ask(&admin, "GET", "/tuning?in_force=false", None).await.is(200).body["total"], 2);
    Ok(())
}

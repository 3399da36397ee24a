//! A playbook asks devices live: a connected sensor answers now, one that is away is waited for.

#[path = "http/world.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
mod world;

use anyhow::{Context, Result, ensure};
use hinomi_model::{Device, DeviceId, Event, Investigation, InvestigationState, Role, StepState, Table, Timestamp};
use hinomi_server::app::Ctx;
use hinomi_server::ingest::Source;
use hinomi_store::{InvestigationFilter, Page};
use hinomi_testkit::fleet::FakeSensor;
use hinomi_testkit::process::wait_for;
use hinomi_wire::Command;
use serde_json::json;
use std::time::Duration;
use world::world;

const SOON: Duration = Duration::from_secs(60);

const RULE: &str = "\
title: The sensor is stopped
id: sensor-off
level: high
tags: [attack.defense-evasion, attack.t1562.001]
logsource: {product: hinomi, service: DeviceProcessEvents}
detection: {s: {FileName: stopper}, condition: s}
";

fn stopper(number: i64) -> Event {
    let at = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
    let mut event = Event::new(Table::DeviceProcessEvents, at);
    event.set("ActionType", "ProcessCreated").set("FileName", "stopper").set("FolderPath", "/opt/stopper");
    event.set("ProcessId", 4_000 + number).set("ProcessCreationTime", at).set("AccountName", "ann");
    event.set("ProcessCommandLine", "stopper --all");
    event
}

/// The investigation of a device whose sensor step has ended and that rests.
async fn investigated(ctx: &Ctx, device: DeviceId) -> Result<Investigation> {
    let filter = InvestigationFilter { device: Some(device), ..InvestigationFilter::default() };
    wait_for("an investigation that rests", SOON, async || {
        let found = ctx.store.investigations(&filter, &Page::first(1)).await?.items.into_iter().next();
        Ok(found.filter(rests))
    })
    .await
}

/// No step is open, and what it came to is told.
fn rests(one: &Investigation) -> bool {
    let open = |state| matches!(state, StepState::Pending | StepState::Running);
    let states = [InvestigationState::Queued, InvestigationState::Running];
    one.steps.iter().all(|step| !open(step.state)) && !states.contains(&one.state)
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_live_or_waited_for() -> Result<()> {
    let world = world().await;
    let (admin, ctx) = (world.person("tanaka", Role::Administrator).await, world.running.ctx.clone());
    world.ask(&admin, "POST", "/rules", Some(json!({ "yaml": RULE, "state": "live" }))).await.is(201);

    // connected: it is asked now
    let token = hinomi_server::link::new_token(&ctx, "test", "tanaka", 600).await?;
    let sensor = FakeSensor::enrol(&token.line, "here").await?;
    sensor.spool([stopper(1)]);
    let live = investigated(&ctx, sensor.device).await?;
    let asked = |sensor: &FakeSensor| {
        let memory = sensor.memory();
        memory.obeyed.iter().filter(|(envelope, _)| matches!(envelope.command, Command::CollectStatus)).count()
    };
    assert_eq!(asked(&sensor), 1, "{:?}", live.steps);
    let step = live.steps.iter().find(|step| step.name == "sensor_state").context("the step")?;
    ensure!(step.state == StepState::Done && step.waits_for.is_empty(), "{step:?}");
    ensure!(step.result.en.starts_with("here: connected"), "{}", step.result.en);

    // away: what it said last is told, and the investigation waits
    let away = Device {
        id: hinomi_server::ids::new(),
        name: "away".to_owned(),
        online: false,
        ..ctx.store.device(sensor.device).await?.context("the device")?
    };
    ctx.store.put_device(&away).await?;
    let mut event = stopper(2);
    event.set("DeviceId", away.id.to_string()).set("DeviceName", "away").set("ReportId", 1_i64);
    ctx.ingest.append(Source::Gateway, vec![event]).await?;
    let waiting = investigated(&ctx, away.id).await?;
    let step = waiting.steps.iter().find(|step| step.name == "sensor_state").context("the step")?;
    assert_eq!(step.waits_for, [away.id], "{step:?}");
    if waiting.state != InvestigationState::PendingApproval {
        assert_eq!(waiting.state, InvestigationState::PendingResource, "{:?}", waiting.state_reason);
        ensure!(waiting.state_reason.as_ref().is_some_and(|text| text.en.contains("away")));
    }

    // back: it goes on by itself, and what it waited for is asked
    let mut tx = ctx.store.begin().await?;
    let mut investigation = tx.investigation(live.id).await?.context("there")?;
    investigation.state = InvestigationState::PendingResource;
    for step in investigation.steps.iter_mut().filter(|step| step.name == "sensor_state") {
        step.waits_for = vec![sensor.device];
    }
    tx.put_investigation(&investigation).await?;
    tx.commit().await?;
    ctx.hub.drop_device(sensor.device);
    let again = wait_for("it goes on", SOON, async || {
        let found = ctx.store.investigation(live.id).await?.context("there")?;
        let step = found.steps.iter().find(|step| step.name == "sensor_state").context("the step")?;
        let done = step.state == StepState::Done && step.waits_for.is_empty() && rests(&found);
        Ok(done.then_some(found))
    })
    .await?;
    assert_eq!(asked(&sensor), 2);
    ensure!(again.log.iter().any(|line| line.text.en.contains("Run again by system")), "{:?}", again.log);
    Ok(())
}

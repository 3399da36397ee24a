//! Every folder under `scenarios/` is played through the real store, lake, analyst and jobs, and
//! must come to what its `expect.toml` says. Devices are not connected, mailboxes not configured.

#[path = "scenario/expected.rs"]
mod expected;
#[path = "scenario/house.rs"]
mod house;
mod recorded;

use anyhow::{Context, Result, ensure};
use expected::Expected;
use hinomi_cases::{StoryKind, StoryNode};
use hinomi_model::{ActionState, Event, IncidentStatus, Investigation, InvestigationState, Table};
use hinomi_server::app::ANALYST;
use hinomi_server::ingest::{Batch, Source};
use hinomi_server::{actions, analyst, incidents, investigations};
use hinomi_store::{JobFilter, JobState, Page};
use hinomi_testkit::postgres::Postgres;
use hinomi_testkit::seed::full;
use house::{House, SETTLE};
use recorded::scenarios;
use std::time::Duration;
use tokio::time::Instant;

async fn check(name: &str) -> Result<()> {
    check_over(name, None).await
}

async fn check_over(name: &str, database: Option<String>) -> Result<()> {
    let folder = scenarios().join(name);
    let expected = Expected::read(&folder)?;
    let mut house = House::open_over(database).await?;
    house.play(&folder).await?;
    house.settle().await?;
    expected.check(&house.ctx, &house.incidents().await?).await.with_context(|| name.to_owned())?;
    house.close().await
}

#[tokio::test]
async fn mail_attachment_linux() -> Result<()> {
    check("mail-attachment-linux").await
}

#[tokio::test]
async fn lone_low_noise() -> Result<()> {
    check("lone-low-noise").await
}

#[tokio::test]
async fn two_attacks_apart() -> Result<()> {
    check("two-attacks-apart").await
}

#[tokio::test]
async fn stopped_the_second_time() -> Result<()> {
    check("stopped-the-second-time").await
}

#[tokio::test]
async fn mail_borne_document() -> Result<()> {
    check("mail-borne-document").await
}

#[tokio::test]
async fn html_smuggling() -> Result<()> {
    check("html-smuggling").await
}

#[tokio::test]
async fn iso_with_shortcut() -> Result<()> {
    check("iso-with-shortcut").await
}

#[tokio::test]
async fn bec_without_payload() -> Result<()> {
    check("bec-without-payload").await
}

#[tokio::test]
async fn credential_theft() -> Result<()> {
    check("credential-theft").await
}

#[tokio::test]
async fn ransomware() -> Result<()> {
    check("ransomware").await
}

#[tokio::test]
async fn web_shell() -> Result<()> {
    check("web-shell").await
}

#[tokio::test]
async fn ssh_brute_force() -> Result<()> {
    check("ssh-brute-force").await
}

#[tokio::test]
async fn supply_chain_package() -> Result<()> {
    check("supply-chain-package").await
}

#[tokio::test]
async fn insider_mass_copy() -> Result<()> {
    check("insider-mass-copy").await
}

#[tokio::test]
async fn living_off_the_land() -> Result<()> {
    check("living-off-the-land").await
}

#[tokio::test]
async fn weak_signs_add_up() -> Result<()> {
    check("weak-signs-add-up").await
}

#[tokio::test]
async fn user_reported_mail() -> Result<()> {
    check("user-reported-mail").await
}

#[tokio::test]
async fn sensor_tampering() -> Result<()> {
    check("sensor-tampering").await
}

#[tokio::test]
async fn administrator_at_work() -> Result<()> {
    check("administrator-at-work").await
}

/// Two programs everybody knows, one of which never started the other: said in the alert.
#[tokio::test]
async fn a_pair_of_known_programs_never_seen_before_is_named() -> Result<()> {
    let named = async |history: bool| -> Result<bool> {
        let mut house = House::open().await?;
        let batches = recorded::batches(&scenarios().join("weak-signs-add-up"))?;
        for batch in batches.iter().filter(|_| history) {
            let mut before = batch.clone();
            before.events.retain(|event| event.table == Table::DeviceProcessEvents);
            for (number, event) in before.events.iter_mut().enumerate() {
                event.timestamp = event.timestamp.plus_seconds(-2 * 86_400);
                let at = event.timestamp;
                event.set("ProcessCreationTime", at).set("ReportId", 1_000_000 + number as i64);
                event.set("InitiatingProcessFileName", "launcher").set("ProcessCommandLine", "x");
            }
            house.feed(&before).await?;
        }
        for batch in &batches {
            house.feed(batch).await?;
        }
        house.settle().await?;
        let mut told = Vec::new();
        for incident in house.incidents().await? {
            told.extend(
                house.ctx.store.alerts_of_incident(incident.id).await?.into_iter().map(|alert| alert.description.en),
            );
        }
        house.close().await?;
        ensure!(!told.is_empty(), "there is an alert");
        Ok(told.iter().any(|text| text.contains("was never seen starting")))
    };
    ensure!(named(true).await?, "both programs are known for two days, but not together");
    ensure!(!named(false).await?, "in a new house every pair is new: not worth a word");
    Ok(())
}

/// The analyst, investigations and actions over PostgreSQL: one scenario, or with `HINOMI_FULL` all.
#[tokio::test]
async fn over_postgresql() -> Result<()> {
    let postgres = Postgres::start()?;
    let mut names = vec!["mail-attachment-linux".to_owned()];
    if full() {
        let folders = std::fs::read_dir(scenarios())?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names = folders.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    }
    for (number, name) in names.iter().enumerate() {
        check_over(name, Some(postgres.database(&format!("scenario_{number}"))?)).await?;
    }
    Ok(())
}

/// The mail becomes known after the attack, from a mailbox or the journal: the story of the alert begins
/// with it, joined by a file inside its archive or by an address on a command line.
async fn late_mail(database: Option<String>) -> Result<()> {
    let mut house = House::open_over(database).await?;
    let batches = recorded::batches(&scenarios().join("mail-attachment-linux"))?;
    let (mail, device): (Vec<Batch>, Vec<Batch>) =
        batches.into_iter().partition(|batch| matches!(batch.source, Source::Gateway));
    for batch in &device {
        house.feed(batch).await?;
    }
    house.settle().await?;
    let first = async |house: &House| -> Result<Vec<StoryNode>> {
        let incident = house.incidents().await?.remove(0);
        let alerts = house.ctx.store.alerts_of_incident(incident.id).await?;
        let alert = alerts.iter().find(|alert| alert.tree_root.is_some()).context("an alert with a tree")?;
        let nodes = hinomi_server::alerts::story(&house.ctx, alert).await?.nodes;
        ensure!(nodes.iter().any(|node| node.kind == StoryKind::Process), "the tree is there: {nodes:?}");
        Ok(nodes.into_iter().take_while(|node| node.kind == StoryKind::Mail).collect())
    };
    ensure!(first(&house).await?.is_empty(), "no mail is known yet");

    // another message that has nothing but the address the attack fetched its second stage from
    let mut event = mail[0].events[0].clone();
    let other = "00000000-0000-0000-0000-00000000bb01";
    event.set("NetworkMessageId", other).set("Subject", "address").set("AttachmentCount", 0_i64);
    event.set("AdditionalFields", r#"{"Size": 10, "Source": "journal"}"#);
    let mut url = Event::new(Table::EmailUrlInfo, event.timestamp);
    url.set("NetworkMessageId", other)
        .set("Url", "http://cdn.evil.example/stage2")
        .set("UrlDomain", "cdn.evil.example");
    house.feed(&Batch { source: Source::Gateway, events: vec![event, url] }).await?;
    let mails = first(&house).await?;
    ensure!(mails.len() == 1 && mails[0].name == "address", "joined by the address: {mails:?}");

    for batch in &mail {
        let mut batch = batch.clone();
        for event in batch.events.iter_mut().filter(|event| event.table == Table::EmailEvents) {
            event.set_additional("Source", "crawl");
        }
        house.feed(&batch).await?;
    }
    let mails = first(&house).await?;
    let names: Vec<&str> = mails.iter().map(|node| node.name.as_str()).collect();
    ensure!(names.contains(&"請求書のご送付"), "joined by the file inside the archive: {names:?}");
    house.close().await
}

#[tokio::test]
async fn a_story_begins_with_a_mail_that_became_known_later() -> Result<()> {
    late_mail(None).await?;
    let postgres = Postgres::start()?;
    late_mail(Some(postgres.database("late_mail")?)).await
}

/// A folder without its test would never be played.
#[test]
fn every_scenario_has_its_test() {
    let source = include_str!("scenarios.rs");
    for entry in std::fs::read_dir(scenarios()).expect("scenarios") {
        let name = entry.expect("entry").file_name().into_string().expect("a name");
        assert!(source.contains(&format!("check(\"{name}\")")), "{name} has no test");
    }
}

/// Killed after the commit and before the next: the same offset comes again and changes nothing.
#[tokio::test]
async fn analysing_twice_changes_nothing() -> Result<()> {
    let mut house = House::open().await?;
    let batches = house.play(&scenarios().join("mail-attachment-linux")).await?;
    house.settle().await?;
    let picture = async |house: &House| -> Result<String> {
        let incidents = house.incidents().await?;
        let mut text = serde_json::to_string(&incidents)?;
        for incident in &incidents {
            text += &serde_json::to_string(&house.ctx.store.alerts_of_incident(incident.id).await?)?;
            text += &serde_json::to_string(&house.actions(incident).await?)?;
        }
        Ok(text)
    };
    let before = picture(&house).await?;
    for (offset, batch) in &batches {
        analyst::process(&house.ctx, *offset, &batch.events).await?;
    }
    assert_eq!(picture(&house).await?, before);
    // the same events under a new offset (a sensor that lost its acknowledgement and its ids): the
    // firings are known, nothing is counted twice
    let incidents = house.incidents().await?;
    for (_, batch) in &batches {
        house.offset += 1;
        analyst::process(&house.ctx, house.offset, &batch.events).await?;
    }
    house.settle().await?;
    let after = house.incidents().await?;
    assert_eq!(after.len(), incidents.len());
    assert_eq!(after[0].alerts.len(), incidents[0].alerts.len());
    assert_eq!(house.ctx.store.offset(ANALYST).await?, house.offset);
    house.close().await
}

/// Actions wait for approval, indicators take effect at once, devices that are away are waited
/// for, and undo takes an indicator back.
#[tokio::test]
async fn actions_are_approved_run_and_undone() -> Result<()> {
    let mut house = House::open().await?;
    house.play(&scenarios().join("mail-attachment-linux")).await?;
    house.settle().await?;
    let incident = house.incidents().await?.remove(0);
    assert_eq!(incident.status, IncidentStatus::AwaitingAction);
    let pending = house.actions(&incident).await?;
    assert!(pending.iter().all(|action| action.state == ActionState::PendingApproval));
    let now = house.ctx.now();
    let file = pending.iter().find(|action| action.spec.kind() == "add_indicator").context("a block")?.id;
    let stop = pending.iter().find(|action| action.spec.kind() == "stop_process_tree").context("a stop")?.id;
    let declined = pending.iter().find(|action| action.spec.kind() == "quarantine_file").context("a quarantine")?.id;
    let takes_it = hinomi_api::UpdateIncident { status: Some(IncidentStatus::InProgress), ..Default::default() };
    incidents::update(&house.ctx, incident.id, Some(incident.version), &takes_it, "kana").await?;

    for action in pending.iter().filter(|action| action.spec.kind() == "add_indicator") {
        actions::approve(&house.ctx, action.id, "kana", Some("ok".to_owned())).await?;
    }
    house.settle().await?;
    let done = house.ctx.store.action(file).await?.context("action")?;
    assert_eq!((done.state, done.decided_by.as_deref()), (ActionState::Succeeded, Some("kana")));
    assert_eq!(house.ctx.store.indicators_in_force(now.plus_seconds(60)).await?.len(), 3);
    let hit = house.ctx.indicators.get().sender("billing@evil.example", now);
    assert!(hit.is_some(), "the gateway sees it at once");

    // the device is away: the action waits for it and says so
    let refused = actions::approve(&house.ctx, declined, "kana", None).await?;
    assert_eq!(refused.state, ActionState::Queued);
    assert!(actions::decline(&house.ctx, declined, "kana", None).await.is_err(), "it is decided already");
    let gone = actions::decline(&house.ctx, stop, "kana", Some("a test".to_owned())).await?;
    assert_eq!(gone.state, ActionState::Declined);
    house.settle().await?;
    let waits = house.ctx.store.action(declined).await?.context("action")?;
    assert_eq!(waits.state, ActionState::Queued, "offline: {:?}", waits.receipts);
    assert!(!waits.receipts[0].detail.ja.is_empty());
    let cancelled = actions::cancel(&house.ctx, declined, "kana").await?;
    assert_eq!(cancelled.state, ActionState::Cancelled);
    assert!(house.ctx.store.commands_of_action(declined).await?.iter().all(|row| row.result.is_some()));

    let undo = actions::undo(&house.ctx, file, "kana").await?;
    house.settle().await?;
    assert_eq!(house.ctx.store.action(undo.id).await?.context("undo")?.state, ActionState::Succeeded);
    assert_eq!(house.ctx.store.action(file).await?.context("action")?.state, ActionState::Undone);
    assert_eq!(house.ctx.store.indicators_in_force(now.plus_seconds(60)).await?.len(), 2);
    assert!(actions::undo(&house.ctx, file, "kana").await.is_err(), "undone already");
    assert_eq!(house.ctx.store.verify_audit().await?.first_bad, None);
    assert_eq!(house.incidents().await?[0].status, IncidentStatus::InProgress, "as kana said");
    house.close().await
}

/// A person runs an investigation again and stops another; both are told.
#[tokio::test]
async fn investigations_run_again_and_stop() -> Result<()> {
    let mut house = House::open().await?;
    house.play(&scenarios().join("mail-attachment-linux")).await?;
    house.settle().await?;
    let incident = house.incidents().await?.remove(0);
    let before = house.investigations(&incident).await?.remove(0);
    let mailboxes = before.steps.iter().find(|step| step.name == "live_mailboxes").context("step")?;
    assert_eq!(mailboxes.state, hinomi_model::StepState::Skipped, "no mailboxes are configured: {mailboxes:?}");
    assert!(before.log.iter().any(|line| line.duration_us.is_some()));
    let actions_before = house.actions(&incident).await?.len();
    investigations::rerun(&house.ctx, before.id, Some("find_mail".to_owned()), "kana").await?;
    house.settle().await?;
    let again = house.investigations(&incident).await?.remove(0);
    assert_eq!(again.state, InvestigationState::PendingApproval);
    assert!(again.log.iter().any(|line| line.text.en.contains("kana")));
    assert_eq!(house.actions(&incident).await?.len(), actions_before, "nothing is proposed twice");

    // asked for while it still runs (here: as a killed server left it), it ends first and then begins again
    let mut running = again.clone();
    running.state = InvestigationState::Running;
    running.steps.last_mut().context("steps")?.state = hinomi_model::StepState::Running;
    let mut tx = house.ctx.store.begin().await?;
    tx.put_investigation(&running).await?;
    tx.commit().await?;
    let told = investigations::rerun(&house.ctx, before.id, Some("find_mail".to_owned()), "kana").await?;
    assert_eq!(told.state, InvestigationState::Running, "nothing is taken from the run in progress");
    house.settle().await?;
    let third = house.investigations(&incident).await?.remove(0);
    let tries = |of: &hinomi_model::Investigation, name: &str| {
        of.steps.iter().find(|step| step.name == name).map(|step| step.attempts).unwrap_or_default()
    };
    assert_eq!(third.state, InvestigationState::PendingApproval);
    assert_eq!(tries(&third, "find_mail"), tries(&again, "find_mail") + 1);
    assert_eq!(tries(&third, "identify_file"), tries(&again, "identify_file"), "not from the start");
    let stopped = investigations::cancel(&house.ctx, before.id, "kana").await?;
    assert_eq!(stopped.state, InvestigationState::TerminatedByUser);
    assert!(investigations::cancel(&house.ctx, before.id, "kana").await.is_err());
    house.close().await
}

/// However many alerts join a story, one run follows the present one; after a run in which something
/// failed, what joins is gathered for a while, but a person who asks is not kept waiting.
#[tokio::test]
async fn alerts_that_join_together_are_looked_at_together() -> Result<()> {
    const TIMES: i64 = 30;
    let mut house = House::open().await?;
    let batches: Vec<Batch> =
        house.play(&scenarios().join("mail-attachment-linux")).await?.into_iter().map(|(_, batch)| batch).collect();
    house.settle().await?;
    let incident = house.incidents().await?.remove(0);
    let runs = |investigation: &Investigation| investigation.steps[0].attempts;
    let first = house.investigations(&incident).await?.remove(0);
    let firings = async |house: &House| -> Result<usize> {
        let alerts = house.ctx.store.alerts_of_incident(incident.id).await?;
        Ok(alerts.iter().map(|alert| alert.why.len()).sum())
    };
    let known = firings(&house).await?;
    // the same attack again and again, each time by new processes
    let again = |batch: &Batch, times: i64| {
        let mut batch = batch.clone();
        for event in &mut batch.events {
            event.timestamp = event.timestamp.plus_seconds(300 * times);
            for (name, step) in [("ProcessId", 100), ("InitiatingProcessId", 100)] {
                if let Some(pid) = event.long(name) {
                    event.set(name, pid + step * times);
                }
            }
        }
        batch
    };
    let of_devices = |batch: &&Batch| matches!(batch.source, Source::Sensor { .. });
    for times in 1..=TIMES {
        for batch in batches.iter().filter(of_devices) {
            house.feed(&again(batch, times)).await?;
        }
    }
    house.settle().await?;
    ensure!(firings(&house).await? > known + TIMES as usize / 2, "they did not join: {}", firings(&house).await?);
    let second = house.investigations(&incident).await?.remove(0);
    ensure!(runs(&second) > runs(&first), "it ran again");
    let filter = JobFilter { state: Vec::new(), kind: Some(investigations::JOB.to_owned()) };
    let jobs = house.ctx.store.jobs(&filter, &Page::first(200)).await?.items;
    let ordered = jobs.iter().filter(|job| job.payload.contains(&first.id.to_string())).count();
    ensure!(ordered as u32 <= runs(&second) + 1, "one order per run: {ordered}, {} runs", runs(&second));

    // as if the mail server had been away
    let mut failed = second.clone();
    let step = failed.steps.last_mut().context("steps")?;
    (step.state, step.ended_at) = (hinomi_model::StepState::Failed, Some(house.ctx.now()));
    house.ctx.store.put_investigation(&failed).await?;
    for times in TIMES + 1..=TIMES + 3 {
        for batch in batches.iter().filter(of_devices) {
            house.feed(&again(batch, times)).await?;
        }
    }
    let deadline = Instant::now() + SETTLE;
    let rests = async |house: &House| -> Result<bool> {
        let filter = JobFilter { state: vec![JobState::Waiting], ..filter.clone() };
        let waiting = house.ctx.store.jobs(&filter, &Page::first(10)).await?.items;
        let soon = house.ctx.now().plus_seconds(5);
        Ok(waiting.len() == 1 && waiting[0].run_at > soon)
    };
    while !rests(&house).await? {
        ensure!(Instant::now() < deadline, "the run for them is put off");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(runs(&house.investigations(&incident).await?.remove(0)), runs(&second));
    let alert = house.ctx.store.alerts_of_incident(incident.id).await?.remove(0);
    investigations::start(&house.ctx, alert.id, "kana").await?;
    while runs(&house.investigations(&incident).await?.remove(0)) == runs(&second) {
        ensure!(Instant::now() < deadline, "a person asked for it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    house.close().await
}

/// Resolving an incident resolves its alerts; a title a person gave stays when the story grows.
#[tokio::test]
async fn people_change_incidents() -> Result<()> {
    let mut house = House::open().await?;
    house.play(&scenarios().join("two-attacks-apart")).await?;
    house.settle().await?;
    let incident = house.incidents().await?.remove(0);
    let change = hinomi_api::UpdateIncident {
        title: Some("Web shell".to_owned()),
        status: Some(IncidentStatus::Resolved),
        classification: Some(hinomi_model::Classification::TruePositive),
        ..Default::default()
    };
    let stale = incidents::update(&house.ctx, incident.id, Some(incident.version - 1), &change, "kana").await;
    assert!(matches!(stale, Err(hinomi_store::StoreError::Conflict { .. })));
    let changed = incidents::update(&house.ctx, incident.id, Some(incident.version), &change, "kana").await?;
    assert_eq!((changed.title.ja.as_str(), changed.status), ("Web shell", IncidentStatus::Resolved));
    for alert in house.ctx.store.alerts_of_incident(incident.id).await? {
        assert_eq!(alert.status, hinomi_model::AlertStatus::Resolved);
        assert_eq!(alert.classification, hinomi_model::Classification::TruePositive);
    }
    let alerts = house.ctx.store.alerts_of_incident(incident.id).await?;
    let story = hinomi_server::alerts::story(&house.ctx, &alerts[0]).await?;
    assert!(story.nodes.iter().any(|node| node.severity.is_some()), "{:?}", story.nodes);
    house.close().await
}

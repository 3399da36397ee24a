//! What happens without a person: the policy decides by the clock of the place, what nobody answers runs,
//! expires or is told to others, and what would have happened is told before.

#[path = "scenario/expected.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
mod expected;
#[path = "scenario/house.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
mod house;
mod recorded;
#[path = "http/world.rs"]
#[allow(dead_code, reason = "shared with the tests of the API")]
mod world;

use anyhow::{Context, Result, ensure};
use hinomi_api::PreviewOutcome;
use hinomi_model::{
    Action, ActionId, ActionSpec, ActionState, Approval, AutomationGroup, AutomationHours, AutomationLevel,
    AutomationPolicy, AutomationScope, Grounds, IndicatorKind, MessageCopyRef, NotificationKind, Role, Text, Timestamp,
    Unanswered, UnansweredThen, Weekday,
};
use hinomi_server::config::Config;
use hinomi_server::{actions, automation};
use hinomi_store::{AuditFilter, JobFilter, JobState, NotificationFilter, Page};
use house::House;
use recorded::scenarios;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use world::{Person, World, world};

const WAIT: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400;
/// Told to two: nobody listens there, what is told is in the log.
const CHANNELS: &str = r#"
[mailbox_marks]
protected = ["ceo@corp.example"]
[notify]
[[notify.channel]]
name = "desk"
kind = "webhook"
url = "http://127.0.0.1:9/desk"
[[notify.channel]]
name = "boss"
kind = "webhook"
url = "http://127.0.0.1:9/boss"
[[notify.rule]]
name = "decisions"
about = ["approvals"]
channels = ["desk"]
escalate_minutes = 60
escalate_to = ["boss"]
"#;

/// A server whose clock begins at a time and is moved on.
struct Stage {
    house: House,
    ahead: Arc<AtomicI64>,
}

impl Stage {
    async fn at(begin: &str, policy: AutomationPolicy) -> Result<Stage> {
        let config: Config = toml::from_str(&format!("[gateway]\nown_domains = [\"corp.example\"]\n{CHANNELS}"))?;
        let begin = Timestamp::parse(begin).context("a time")?.as_micros();
        let ahead = Arc::new(AtomicI64::new(begin - jiff::Timestamp::now().as_microsecond()));
        let shift = ahead.clone();
        let clock = Box::new(move || {
            Timestamp::from_micros(jiff::Timestamp::now().as_microsecond() + shift.load(Ordering::Relaxed))
        });
        let house = House::open_with(config, Some(clock)).await?;
        automation::check(&policy).map_err(|(field, reason)| anyhow::anyhow!("{field}: {}", reason.en))?;
        house.ctx.store.put_automation(&policy, 0).await?;
        Ok(Stage { house, ahead })
    }

    /// Plays the recorded attack; its device has a tag.
    async fn attack(&mut self) -> Result<Vec<Action>> {
        let folder = scenarios().join("mail-attachment-linux");
        for batch in recorded::batches(&folder)? {
            if let Some(mut device) = recorded::device(&batch, self.house.ctx.now()) {
                device.tags = vec!["office".to_owned()];
                self.house.ctx.store.put_device(&device).await?;
            }
        }
        self.house.play(&folder).await?;
        let until = Instant::now() + WAIT;
        loop {
            let filter = JobFilter { state: vec![JobState::Waiting, JobState::Leased], kind: None };
            let jobs = self.house.ctx.store.jobs(&filter, &Page::first(200)).await?.items;
            let later = self.house.ctx.now().plus_seconds(25);
            let is_over = |kind: &str, run_at| kind.starts_with("notify") || run_at > later;
            if jobs.iter().all(|job| is_over(&job.kind, job.run_at)) {
                break;
            }
            ensure!(Instant::now() < until, "jobs do not end: {jobs:?}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        self.actions().await
    }

    async fn actions(&self) -> Result<Vec<Action>> {
        let incidents = self.house.incidents().await?;
        ensure!(incidents.len() == 1, "{incidents:?}");
        self.house.actions(&incidents[0]).await
    }

    async fn action(&self, id: ActionId) -> Result<Action> {
        self.house.ctx.store.action(id).await?.context("the action")
    }

    /// Moves the clock on and lets the chores look.
    async fn wait(&self, seconds: i64) -> Result<()> {
        self.ahead.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
        let now = self.house.ctx.now();
        actions::look(&self.house.ctx, now).await?;
        actions::expire(&self.house.ctx, now).await?;
        Ok(())
    }

    async fn told(&self, channel: &str, kind: NotificationKind) -> Result<usize> {
        let filter = NotificationFilter { channel: Some(channel.to_owned()), ..Default::default() };
        let told = self.house.ctx.store.notifications(&filter, &Page::first(200)).await?.items;
        Ok(told.into_iter().filter(|one| one.kind == kind).count())
    }

    async fn activities(&self) -> Result<String> {
        let incident = self.house.incidents().await?.remove(0);
        Ok(incident.activities.iter().map(|one| format!("{}\n{}\n", one.text.en, one.text.ja)).collect())
    }

    async fn audited(&self, what: &str) -> Result<Vec<Value>> {
        let filter = AuditFilter { action: Some(what.to_owned()), ..Default::default() };
        let records = self.house.ctx.store.audit_records(&filter, &Page::first(200)).await?.items;
        records.iter().map(|one| Ok(serde_json::from_str(&one.detail)?)).collect()
    }
}

fn is_about_sender(action: &Action) -> bool {
    matches!(&action.spec, ActionSpec::AddIndicator { indicator } if indicator.kind == IndicatorKind::SenderAddress)
}

fn of<'a>(actions: &'a [Action], kind: &str) -> Vec<&'a Action> {
    actions.iter().filter(|action| action.spec.kind() == kind).collect()
}

/// In the morning of Sunday in Japan, what concerns office devices runs.
fn sunday_morning() -> AutomationPolicy {
    let hours = AutomationHours {
        days: vec![Weekday::Sun],
        from: "07:00".to_owned(),
        to: "09:00".to_owned(),
        level: Some(AutomationLevel::Full),
        unanswered: None,
    };
    AutomationPolicy {
        time_zone: "+09:00".to_owned(),
        groups: vec![AutomationGroup {
            name: "offices".to_owned(),
            device_tags: vec!["office".to_owned()],
            rules: AutomationScope { hours: vec![hours], ..Default::default() },
        }],
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_run_depends_on_group_and_hour_and_says_why() -> Result<()> {
    // 08:00 on Sunday in Japan
    let mut stage = Stage::at("2026-11-21T23:00:00Z", sunday_morning()).await?;
    let actions = stage.attack().await?;
    let stop = of(&actions, "stop_process_tree");
    ensure!(
        !stop.is_empty() && stop.iter().all(|one| one.decided_by.as_deref() == Some("automation:full")),
        "{stop:?}"
    );
    let why = &stop[0].approval.history[0].text;
    ensure!(why.en.contains("device group offices, 07:00-09:00") && why.ja.contains("offices"), "{why:?}");
    let senders: Vec<&Action> = actions.iter().filter(|action| is_about_sender(action)).collect();
    let waits = |action: &&Action| action.state == ActionState::PendingApproval;
    ensure!(!senders.is_empty() && senders.iter().all(waits), "mail is not a device of the group: {senders:?}");
    let unsure: Vec<&Action> =
        actions.iter().filter(|one| one.approval.grounds.as_ref().is_some_and(|grounds| !grounds.sure)).collect();
    ensure!(!unsure.is_empty() && unsure.iter().all(waits), "what is not sure waits at every level: {unsure:?}");
    let audited = stage.audited("action.propose").await?;
    ensure!(audited.len() == actions.len(), "{audited:?}");
    for one in &audited {
        let (en, ja) = (&one["automation"]["en"], &one["automation"]["ja"]);
        ensure!(en.as_str().is_some_and(|text| text.contains("level")) && ja.is_string(), "{one}");
    }
    let log: Vec<String> = stage.house.investigations(&stage.house.incidents().await?[0]).await?[0]
        .log
        .iter()
        .map(|line| line.text.en.clone())
        .collect();
    ensure!(log.iter().any(|line| line.contains("Ran without a person: level full")), "{log:?}");
    stage.house.close().await?;

    // 22:00 on the same Sunday
    let mut stage = Stage::at("2026-11-22T13:00:00Z", sunday_morning()).await?;
    let actions = stage.attack().await?;
    ensure!(!actions.is_empty() && actions.iter().all(|action| waits(&action)), "{actions:?}");
    stage.house.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_answers_runs_is_escalated_or_expires_and_is_ordered_again() -> Result<()> {
    let unanswered =
        |then, minutes| AutomationScope { unanswered: Unanswered { then, minutes }, ..AutomationScope::default() };
    let policy = AutomationPolicy {
        devices: unanswered(UnansweredThen::Run, 30),
        mail: unanswered(UnansweredThen::Escalate, 10),
        ..Default::default()
    };
    let mut stage = Stage::at("2026-11-23T10:00:00Z", policy.clone()).await?;
    let actions = stage.attack().await?;
    ensure!(actions.iter().all(|action| action.state == ActionState::PendingApproval), "{actions:?}");
    let sender = actions.iter().find(|action| is_about_sender(action)).context("a sender")?.id;
    let stop = of(&actions, "stop_process_tree").first().context("a process")?.id;
    let unsure = |action: &&&Action| action.approval.grounds.as_ref().is_some_and(|grounds| !grounds.sure);
    let unsure = of(&actions, "quarantine_file").iter().find(unsure).context("one that is not sure")?.id;

    stage.wait(11 * 60).await?;
    let after = stage.action(sender).await?;
    ensure!(after.state == ActionState::PendingApproval && after.approval.escalated_at.is_some(), "{after:?}");
    ensure!(stage.told("boss", NotificationKind::ApprovalUnanswered).await? == 1);
    ensure!(stage.action(stop).await?.state == ActionState::PendingApproval, "its time has not come");
    stage.wait(1).await?;
    ensure!(stage.told("boss", NotificationKind::ApprovalUnanswered).await? == 1, "told once");

    stage.wait(20 * 60).await?;
    let after = stage.action(stop).await?;
    ensure!(after.decided_by.as_deref() == Some("automation:unanswered"), "{after:?}");
    let after = stage.action(unsure).await?;
    ensure!(after.state == ActionState::PendingApproval && after.approval.escalated_at.is_some(), "{after:?}");
    let why = after.approval.history.last().context("why")?;
    ensure!(why.text.en.contains("evidence is not enough") && why.text.ja.contains("根拠"), "{why:?}");
    let told = stage.activities().await?;
    ensure!(told.contains("Nobody answered within 30 minutes: run without a person"), "{told}");
    ensure!(told.contains("10 分以内に誰も回答しませんでした"), "{told}");
    let approved = stage.audited("action.approve").await?;
    ensure!(approved.iter().any(|one| one["reason"]["ja"].as_str().is_some_and(|text| text.contains("30 分以内"))));

    // a day before they expire approvers are told, once
    stage.wait(5 * DAY).await?;
    ensure!(stage.told("desk", NotificationKind::ApprovalExpiring).await? == 0);
    stage.wait(DAY).await?;
    ensure!(stage.told("desk", NotificationKind::ApprovalExpiring).await? == 1);
    stage.wait(3_600).await?;
    ensure!(stage.told("desk", NotificationKind::ApprovalExpiring).await? == 1);
    stage.wait(DAY).await?;
    let expired = stage.action(sender).await?;
    ensure!(expired.state == ActionState::Expired, "{expired:?}");
    ensure!(expired.approval.history.iter().any(|one| one.text.en.contains("It can be ordered again")));
    ensure!(stage.activities().await?.contains("Action add_indicator: Expired: it was not approved in time"));

    let ctx = &stage.house.ctx;
    let again = actions::again(ctx, sender, "kana", None).await?;
    ensure!(again.id != sender && again.spec == expired.spec && again.incident_id == expired.incident_id);
    ensure!(again.decided_by.as_deref() == Some("kana") && again.state == ActionState::Queued, "{again:?}");
    ensure!(actions::again(ctx, sender, "jun", None).await?.id == again.id, "two clicks, one action");
    ensure!(stage.action(sender).await?.approval.again == Some(again.id));
    ensure!(actions::again(ctx, again.id, "kana", None).await.is_err(), "it is under way");

    // what would have happened: everybody waits and answers late, or not at all
    let told = automation::preview(ctx, policy.clone(), None, 30).await?;
    let outcome = |id: ActionId| told.items.iter().find(|item| item.action.id == id).map(|item| item.outcome);
    assert_eq!(outcome(stop), Some(PreviewOutcome::RanUnanswered));
    assert_eq!(outcome(sender), Some(PreviewOutcome::Escalated));
    assert_eq!(outcome(unsure), Some(PreviewOutcome::Escalated));
    assert_eq!(outcome(again.id), None, "a person's own order");
    let full = automation::preview(ctx, AutomationPolicy::default(), Some(AutomationLevel::Full), 30).await?;
    let outcome = |id: ActionId| full.items.iter().find(|item| item.action.id == id).map(|item| item.outcome);
    assert_eq!((outcome(stop), outcome(sender)), (Some(PreviewOutcome::Ran), Some(PreviewOutcome::Ran)));
    assert_eq!(outcome(unsure), Some(PreviewOutcome::Expired), "a week went by");
    let counted: i64 = full.counts.iter().map(|one| one.ran + one.expired + one.waited + one.answered).sum();
    assert_eq!((counted, full.items.len() as i64), (full.actions, full.actions));
    let before = automation::preview(ctx, policy, None, 1).await?;
    assert_eq!(before.actions, 0, "all of that was more than a day ago");
    stage.house.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listed_devices_wait_at_full_automation_and_so_does_what_is_past_the_number() -> Result<()> {
    let mut policy = AutomationPolicy::default();
    policy.devices.level = Some(AutomationLevel::Full);
    policy.devices.unanswered = Unanswered { then: UnansweredThen::Run, minutes: 1 };
    policy.guards.device_tags = vec!["office".to_owned()];
    let mut stage = Stage::at("2026-11-23T10:00:00Z", policy.clone()).await?;
    let actions = stage.attack().await?;
    let stop = of(&actions, "stop_process_tree").first().context("a process")?.id;
    stage.wait(120).await?;
    let held = stage.action(stop).await?;
    ensure!(held.state == ActionState::PendingApproval && held.approval.escalated_at.is_some(), "{held:?}");
    ensure!(held.approval.history.iter().all(|one| one.text.en.contains("is a listed device")), "{held:?}");
    stage.house.close().await?;

    policy.guards.device_tags.clear();
    policy.guards.devices_max = 0;
    let mut stage = Stage::at("2026-11-23T10:00:00Z", policy).await?;
    let actions = stage.attack().await?;
    for action in of(&actions, "stop_process_tree") {
        let why = &action.approval.history[0].text;
        ensure!(action.state == ActionState::PendingApproval && why.en.contains("more than the 0"), "{action:?}");
    }
    stage.house.close().await
}

/// A removal an investigation proposed an hour ago, in the store as it was left.
async fn removal(stage: &Stage, recipients: &[&str]) -> Result<ActionId> {
    let created_at = stage.house.ctx.now().plus_seconds(-3_600);
    let copy =
        |recipient: &&str| MessageCopyRef { message_id: hinomi_server::ids::new(), recipient: (*recipient).to_owned() };
    let action = Action {
        id: hinomi_server::ids::new(),
        spec: ActionSpec::SoftDeleteMessages { copies: recipients.iter().map(copy).collect(), senders_copy: false },
        state: ActionState::PendingApproval,
        reason: Text::same("test"),
        proposed_by: "investigation:1".to_owned(),
        decided_by: None,
        decided_at: None,
        comment: None,
        approval: Approval { grounds: Some(Grounds { sure: true, ..Grounds::default() }), ..Approval::default() },
        incident_id: None,
        investigation_id: None,
        receipts: Vec::new(),
        follow_up: None,
        undone_by: None,
        undoes: None,
        created_at,
        finished_at: None,
        expires_at: created_at.plus_seconds(7 * DAY),
        version: 1,
    };
    stage.house.ctx.store.insert_action(&action, None).await?;
    Ok(action.id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_of_listed_mailboxes_and_of_many_waits_at_full_automation() -> Result<()> {
    let stage = Stage::at("2026-11-23T10:00:00Z", AutomationPolicy::default()).await?;
    let ordinary = removal(&stage, &["a@corp.example"]).await?;
    let listed = removal(&stage, &["a@corp.example", "CEO@corp.example"]).await?;
    let many = removal(&stage, &["a@corp.example"; 101]).await?;
    let mail = AutomationScope { level: Some(AutomationLevel::Full), ..AutomationScope::default() };
    let mut policy = AutomationPolicy { mail, ..AutomationPolicy::default() };
    let told = automation::preview(&stage.house.ctx, policy.clone(), None, 30).await?;
    let of = |id: ActionId| {
        let item = told.items.iter().find(|item| item.action.id == id).context("the action")?;
        Ok::<_, anyhow::Error>((item.outcome, item.reason.en.clone()))
    };
    ensure!(of(ordinary)?.0 == PreviewOutcome::Ran);
    let (outcome, why) = of(listed)?;
    ensure!(outcome == PreviewOutcome::Waited && why.contains("is a listed mailbox"), "{why}");
    let (outcome, why) = of(many)?;
    ensure!(outcome == PreviewOutcome::Waited && why.contains("more than the 100"), "{why}");
    // the same with an answer to silence: what is held is told to others, never run
    policy.mail.unanswered = Unanswered { then: UnansweredThen::Run, minutes: 30 };
    policy.mail.level = Some(AutomationLevel::SemiAll);
    let told = automation::preview(&stage.house.ctx, policy, None, 30).await?;
    let outcome = |id: ActionId| told.items.iter().find(|item| item.action.id == id).map(|item| item.outcome);
    assert_eq!(outcome(ordinary), Some(PreviewOutcome::RanUnanswered));
    assert_eq!((outcome(listed), outcome(many)), (Some(PreviewOutcome::Escalated), Some(PreviewOutcome::Escalated)));
    stage.house.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_policy_counts_for_what_waits_already_and_takes_nobody_by_surprise() -> Result<()> {
    let mut stage = Stage::at("2026-11-23T10:00:00Z", AutomationPolicy::default()).await?;
    let actions = stage.attack().await?;
    let one = actions.first().context("an action")?.id;
    stage.wait(2 * DAY).await?;
    ensure!(stage.action(one).await?.approval.notice_at.is_some(), "told a day before the week is over");
    // two days now: the time is over, but approvers are told a day before
    let policy = AutomationPolicy { expiry_hours: 48, version: 1, ..AutomationPolicy::default() };
    stage.house.ctx.store.put_automation(&policy, 1).await?;
    let mut tx = stage.house.ctx.store.begin().await?;
    automation::refresh(&stage.house.ctx, &mut tx).await?;
    tx.commit().await?;
    stage.wait(1).await?;
    ensure!(stage.action(one).await?.state == ActionState::PendingApproval);
    ensure!(stage.told("desk", NotificationKind::ApprovalExpiring).await? == 1);
    stage.wait(DAY + 60).await?;
    ensure!(stage.action(one).await?.state == ActionState::Expired);
    stage.house.close().await
}

fn block(value: &str) -> Value {
    json!({
        "spec": { "kind": "add_indicator", "indicator": {
            "kind": "domain", "value": value, "action": "block", "severity": "high", "note": "", "expires_at": null,
        }},
        "reason": "test",
    })
}

async fn order(world: &World, who: &Person, body: Value) -> (String, Value) {
    let action = world.ask(who, "POST", "/actions", Some(body)).await.is(201).body;
    (action["id"].as_str().expect("id").to_owned(), action)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_different_persons_approve_and_two_at_once_run_it_once() {
    let world = world().await;
    let administrator = world.set_up().await;
    let (kana, jun) = (world.person("kana", Role::Responder).await, world.person("jun", Role::Responder).await);
    let change = json!({ "two_persons": ["add_indicator"] });
    world.ask(&kana, "PATCH", "/automation", Some(change.clone())).await.is(403);
    world.ask(&administrator, "PATCH", "/automation", Some(change)).await.is(200);

    // an order is one approval, and the same person's second one is none
    let (id, action) = order(&world, &kana, block("one.example")).await;
    assert_eq!((&action["state"], &action["approval"]["needed"]), (&json!("pendingApproval"), &json!(2)));
    assert_eq!(action["approval"]["given"][0]["by"], "kana");
    let approve = format!("/actions/{id}/approve");
    assert_eq!(world.ask(&kana, "POST", &approve, None).await.is(409).code(), "same_person");
    let token = world.token(Role::Responder).await;
    assert_eq!(world.ask(&token, "POST", &approve, None).await.is(403).code(), "needs_person");
    let action = world.ask(&jun, "POST", &approve, Some(json!({ "comment": "yes" }))).await.is(200).body;
    assert_eq!((&action["state"], &action["decided_by"]), (&json!("queued"), &json!("jun")));
    assert_eq!(action["approval"]["given"].as_array().expect("given").len(), 2);

    // two at once: whoever is second makes it run, and nobody else is needed
    let propose = |value: &str| {
        let mut body = block(value);
        body["propose_only"] = json!(true);
        body
    };
    let (id, action) = order(&world, &kana, propose("two.example")).await;
    assert_eq!(action["approval"]["given"], json!([]), "who proposes has not approved");
    let approve = format!("/actions/{id}/approve");
    let (one, two) = tokio::join!(world.ask(&jun, "POST", &approve, None), world.ask(&kana, "POST", &approve, None));
    let (one, two) = (one.is(200).body, two.is(200).body);
    let mut states = [one["state"].as_str().expect("state"), two["state"].as_str().expect("state")];
    states.sort_unstable();
    assert_eq!(states, ["pendingApproval", "queued"]);
    assert_eq!(world.ask(&administrator, "POST", &approve, None).await.is(409).code(), "wrong_state");

    // the same person twice at once
    let (id, _) = order(&world, &kana, propose("three.example")).await;
    let approve = format!("/actions/{id}/approve");
    let (one, two) = tokio::join!(world.ask(&jun, "POST", &approve, None), world.ask(&jun, "POST", &approve, None));
    let mut answers = [one.status, two.status];
    answers.sort_unstable();
    assert_eq!(answers, [200, 409]);
    let action = world.ask(&jun, "GET", &format!("/actions/{id}"), None).await.is(200).body;
    assert_eq!(
        (&action["state"], action["approval"]["given"].as_array().map(Vec::len)),
        (&json!("pendingApproval"), Some(1))
    );

    // many at once, with a result each; the rule is lifted while one waits
    let (other, _) = order(&world, &jun, propose("four.example")).await;
    let ids = json!({ "ids": [id, other, hinomi_server::ids::new::<ActionId>()] });
    let many = world.ask(&jun, "POST", "/actions/approve", Some(ids.clone())).await.is(200).body;
    let codes = |many: &Value| -> Vec<String> {
        let results = many["results"].as_array().expect("results").iter();
        results.map(|one| one["error"]["code"].as_str().unwrap_or("ok").to_owned()).collect()
    };
    assert_eq!(codes(&many), ["same_person", "ok", "not_found"]);
    let many = world.ask(&kana, "POST", "/actions/decline", Some(ids)).await.is(200).body;
    assert_eq!(codes(&many), ["ok", "ok", "not_found"]);
    let again = world.ask(&kana, "POST", &format!("/actions/{id}/again"), None).await.is(200).body;
    assert_eq!((&again["state"], &again["approval"]["given"][0]["by"]), (&json!("pendingApproval"), &json!("kana")));
    world.ask(&administrator, "PATCH", "/automation", Some(json!({ "two_persons": [] }))).await.is(200);
    let again = format!("/actions/{}/approve", again["id"].as_str().expect("id"));
    assert_eq!(world.ask(&kana, "POST", &again, None).await.is(200).body["state"], "queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_is_read_changed_once_and_checked() {
    let world = world().await;
    let person = world.set_up().await;
    let got = world.ask(&person, "GET", "/automation", None).await.is(200);
    assert_eq!((&got.headers["etag"], &got.body["expiry_hours"]), (&"\"0\"".parse().expect("header"), &json!(168)));
    let send = |etag: &str, body: Value| {
        let url = format!("{}/api/v1/automation", world.base);
        let cookie = format!("__Host-hinomi={}", person.cookie.as_deref().expect("cookie"));
        let request = world.client.patch(url).header("cookie", cookie).header("x-hinomi", "1");
        request.header("if-match", etag).json(&body).send()
    };
    let (one, two) =
        tokio::join!(send("\"0\"", json!({ "expiry_hours": 48 })), send("\"0\"", json!({ "expiry_hours": 72 })));
    let mut answers = [one.expect("answer").status().as_u16(), two.expect("answer").status().as_u16()];
    answers.sort_unstable();
    assert_eq!(answers, [200, 412]);
    let policy = world.ask(&person, "GET", "/automation", None).await.is(200).body;
    assert_eq!((&policy["version"], &policy["changed_by"]), (&json!(1), &json!("tanaka")));
    let hours = |from: &str, days: Value| json!({ "hours": [{ "days": days, "from": from, "to": "06:00" }] });
    for (field, body) in [
        ("time_zone", json!({ "time_zone": "Mars/Olympus" })),
        ("groups", json!({ "groups": [{ "name": "a", "device_tags": [] }] })),
        ("devices", json!({ "devices": hours("25:00", json!(["mon"])) })),
        ("mail", json!({ "mail": hours("22:00", json!([])) })),
        ("mail", json!({ "mail": { "unanswered": { "then": "run", "minutes": 0 } } })),
        ("guards", json!({ "guards": { "mailboxes": [" "] } })),
        ("two_persons", json!({ "two_persons": ["make_coffee"] })),
        ("expiry_hours", json!({ "expiry_hours": 0, "notice_hours": 0 })),
        ("notice_hours", json!({ "expiry_hours": 24, "notice_hours": 24 })),
    ] {
        for (method, path, body) in
            [("PATCH", "/automation", body.clone()), ("POST", "/automation/preview", json!({ "change": body }))]
        {
            let got = world.ask(&person, method, path, Some(body.clone())).await.is(400);
            assert_eq!((got.code(), &got.body["field"]), ("bad_field", &json!(field)), "{body}");
            assert!(got.body["message_ja"].as_str().is_some_and(|text| !text.is_ascii()), "{body}");
        }
    }
    world.ask(&person, "POST", "/automation/preview", Some(json!({ "days": 91 }))).await.is(400);
    let preview = world.ask(&person, "POST", "/automation/preview", Some(json!({}))).await.is(200).body;
    assert_eq!((&preview["actions"], &preview["items"]), (&json!(0), &json!([])));
}

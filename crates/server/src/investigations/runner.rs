//! Runs the steps of an investigation. Every step is stored before and after, so a server that dies
//! goes on with the step it was at; actions have keys, so no step orders one twice.

use super::{FAILED_SETTLE_SECONDS, announce, began, begin_again, load, open, write_log};
use crate::abort::abort_point;
use crate::actions::{self, Proposal};
use crate::app::Ctx;
use crate::jobs::Outcome as JobOutcome;
use anyhow::{Context, Result};
use hinomi_cases::playbook::{
    COPIES_UNATTENDED_MAX, Case, Fact, Outcome, Playbook, ROUNDS_MAX, StepName, StepSpec, conclude, final_state, grow,
    propose, queries,
};
use hinomi_model::{
    Action, ActionSpec, ActionState, Alert, EntityKind, Investigation, InvestigationId, InvestigationState, LogLine,
    MessageId, Step, StepState, Text, Timestamp, Verdict,
};
use hinomi_store::{ActionFilter, Page, Tx};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// A job that finds its investigation running waits this long.
const BUSY_SECONDS: i64 = 1;
/// Actions of one investigation.
const ACTIONS_MAX: u32 = 200;

/// Runs an investigation from its first open step; called by its job, possibly again after a crash.
pub(crate) async fn run(ctx: &Ctx, payload: &str) -> Result<JobOutcome> {
    let payload: serde_json::Value = serde_json::from_str(payload).context("read investigation job")?;
    let id: InvestigationId = text(&payload, "investigation").parse().context("read investigation id")?;
    let asked = Asked {
        at: Timestamp::parse(text(&payload, "asked_at")).unwrap_or_default(),
        from_step: text(&payload, "from_step"),
        after: payload["after"].as_i64(),
        at_once: payload["at_once"].as_bool() == Some(true),
    };
    let Some(_running) = Running::begin(ctx, id) else {
        return Ok(JobOutcome::Later(ctx.now().plus_seconds(BUSY_SECONDS)));
    };
    // what a killed server left open is finished first, then what this job asks for is begun
    loop {
        match prepare(ctx, id, &asked).await? {
            Next::Run => {
                abort_point("investigation.prepared");
                steps(ctx, id).await?;
            }
            Next::Wait(until) => return Ok(JobOutcome::Later(until)),
            Next::Nothing => return Ok(JobOutcome::Done),
        }
    }
}

/// What a job asks for.
struct Asked<'p> {
    at: Timestamp,
    /// A person asks to begin at this step; empty = from the start.
    from_step: &'p str,
    /// One more run after the one that began then: an alert joined, or a person asks.
    after: Option<i64>,
    /// A person waits for it.
    at_once: bool,
}

impl Asked<'_> {
    /// True when what is asked for was begun already: `first` is the step it begins with.
    fn is_begun(&self, investigation: &Investigation, first: &Step) -> bool {
        match self.after {
            Some(after) => began(investigation) != after,
            None => first.started_at.unwrap_or_default() >= self.at,
        }
    }

    /// Until when to wait because a step failed just now.
    fn rests_until(&self, investigation: &Investigation) -> Option<Timestamp> {
        let waits = self.after.is_some() && !self.at_once;
        let failed = waits && investigation.steps.iter().any(|step| step.state == StepState::Failed);
        let ended = investigation.steps.iter().filter_map(|step| step.ended_at).max().filter(|_| failed)?;
        Some(ended.plus_seconds(FAILED_SETTLE_SECONDS))
    }
}

/// What a job has to do next.
enum Next {
    Run,
    Wait(Timestamp),
    Nothing,
}

/// Runs the open steps in their order.
async fn steps(ctx: &Ctx, id: InvestigationId) -> Result<()> {
    loop {
        let investigation = ctx.store.investigation(id).await?.context("the investigation is gone")?;
        let stopped = matches!(
            investigation.state,
            InvestigationState::TerminatedByUser | InvestigationState::TerminatedBySystem
        );
        let next = investigation.steps.iter().position(|step| open(step.state)).filter(|_| !stopped);
        let Some(at) = next else { return Ok(()) };
        let spec = Playbook::spec_of(&investigation, &investigation.steps[at].name);
        let spec = spec.context("no playbook has such a step")?;
        step(ctx, id, at, spec).await?;
    }
}

fn text<'a>(payload: &'a serde_json::Value, name: &str) -> &'a str {
    payload[name].as_str().unwrap_or_default()
}

/// Marks an investigation failed whose job gave up.
pub(crate) async fn give_up(ctx: &Ctx, payload: &str, error: &str) -> Result<()> {
    let payload: serde_json::Value = serde_json::from_str(payload).unwrap_or_default();
    let Ok(id) = text(&payload, "investigation").parse::<InvestigationId>() else { return Ok(()) };
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut investigation = load(&mut tx, id).await?;
    let now = ctx.now();
    for step in investigation.steps.iter_mut().filter(|step| open(step.state)) {
        step.state = StepState::Failed;
        step.result = Text::same(error);
        step.ended_at = Some(now);
    }
    investigation.state = InvestigationState::Failed;
    investigation.state_reason = Some(Text::new(format!("Gave up: {error}"), format!("中止しました: {error}")));
    investigation.ended_at = Some(now);
    investigation.version = tx.put_investigation(&investigation).await?;
    tx.commit().await?;
    announce(ctx, &investigation);
    Ok(())
}

/// One run of an investigation at a time.
struct Running<'a> {
    ctx: &'a Ctx,
    id: InvestigationId,
}

impl<'a> Running<'a> {
    fn begin(ctx: &'a Ctx, id: InvestigationId) -> Option<Running<'a>> {
        ctx.desk.investigating(|running| running.insert(id)).then_some(Running { ctx, id })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.ctx.desk.investigating(|running| running.remove(&self.id));
    }
}

/// Decides what a job has to do: go on, begin anew because a person asked for it or an alert joined,
/// wait, or nothing.
async fn prepare(ctx: &Ctx, id: InvestigationId, asked: &Asked<'_>) -> Result<Next> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut investigation = load(&mut tx, id).await?;
    if matches!(investigation.state, InvestigationState::TerminatedByUser | InvestigationState::TerminatedBySystem) {
        return Ok(Next::Nothing);
    }
    if investigation.steps.iter().any(|step| open(step.state)) {
        if investigation.steps.iter().all(|step| step.started_at.is_none()) {
            // alerts that joined before the first run do not order another
            widen(ctx, &mut tx, &mut investigation).await?;
            tx.put_investigation(&investigation).await?;
            tx.commit().await?;
        }
        return Ok(Next::Run);
    }
    // all steps are done: unless that was after it was asked for, it begins again
    let from = investigation.steps.iter().position(|step| step.name == asked.from_step).unwrap_or_default();
    let Some(first) = investigation.steps.get(from) else { return Ok(Next::Nothing) };
    if asked.is_begun(&investigation, first) {
        return Ok(Next::Nothing);
    }
    if let Some(until) = asked.rests_until(&investigation).filter(|until| *until > ctx.now()) {
        return Ok(Next::Wait(until));
    }
    let first = first.name.clone();
    begin_again(&mut investigation, from, InvestigationState::Running);
    if from == 0 {
        widen(ctx, &mut tx, &mut investigation).await?;
    }
    if asked.from_step.is_empty() && !asked.at_once {
        let text = Text::new("Another alert joined the story.", "ストーリーに別のアラートが加わりました。");
        let line = LogLine { at: ctx.now(), step: first, state: StepState::Pending, text, duration_us: None };
        write_log(&mut investigation, line);
    }
    tx.put_investigation(&investigation).await?;
    tx.commit().await?;
    Ok(Next::Run)
}

/// Adds the steps that alerts of other kinds brought into the story.
async fn widen(ctx: &Ctx, tx: &mut Tx, investigation: &mut Investigation) -> Result<()> {
    let alerts = tx.alerts_of_incident(investigation.incident_id).await?;
    for playbook in grow(investigation, &alerts) {
        let Text { en, ja } = &playbook.title;
        let text = Text::new(format!("Also looked at as: {en}."), format!("「{ja}」としても調べます。"));
        let line =
            LogLine { at: ctx.now(), step: playbook.name.clone(), state: StepState::Pending, text, duration_us: None };
        write_log(investigation, line);
    }
    Ok(())
}

/// Runs one step with its tries and time limit.
async fn step(ctx: &Ctx, id: InvestigationId, at: usize, spec: &StepSpec) -> Result<()> {
    let began = ctx.now();
    mark(ctx, id, at, |step| {
        step.state = StepState::Running;
        step.started_at = Some(began);
        step.ended_at = None;
    })
    .await?;
    abort_at(spec.name, "begun");
    let mut outcome = Outcome::failed(Text::default());
    for attempt in 0..spec.attempts.max(1) {
        if attempt > 0 {
            tokio::select! {
                () = ctx.stop.cancelled() => anyhow::bail!("the server stops"),
                () = tokio::time::sleep(Duration::from_secs(spec.retry_seconds)) => {}
            }
        }
        mark(ctx, id, at, |step| step.attempts += 1).await?;
        let limit = Duration::from_secs(spec.timeout_seconds);
        outcome = match tokio::time::timeout(limit, try_step(ctx, id, spec.name)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Outcome::failed(Text::same(format!("{error:#}"))),
            Err(_) => Outcome::failed(Text::new(
                format!("It took longer than {} s.", spec.timeout_seconds),
                format!("{} 秒以内に終わりませんでした。", spec.timeout_seconds),
            )),
        };
        if outcome.state != StepState::Failed {
            break;
        }
    }
    if outcome.state == StepState::Failed {
        let Text { en, ja } = &outcome.result;
        outcome.result = Text::new(format!("{} {en}", spec.failure.en), format!("{} {ja}", spec.failure.ja));
    }
    abort_at(spec.name, "answered");
    store(ctx, id, at, &outcome, began).await?;
    abort_at(spec.name, "stored");
    Ok(())
}

fn abort_at(step: StepName, point: &str) {
    abort_point(&format!("step.{}.{point}", step.name()));
}

/// Changes one step and stores it.
async fn mark(ctx: &Ctx, id: InvestigationId, at: usize, change: impl FnOnce(&mut Step)) -> Result<()> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut investigation = load(&mut tx, id).await?;
    if let Some(step) = investigation.steps.get_mut(at) {
        change(step);
    }
    if investigation.state == InvestigationState::Queued {
        investigation.state = InvestigationState::Running;
    }
    investigation.version = tx.put_investigation(&investigation).await?;
    tx.commit().await?;
    announce(ctx, &investigation);
    Ok(())
}

/// What a step looks at.
struct Material {
    investigation: Investigation,
    alerts: Vec<Alert>,
    actions: Vec<Action>,
}

impl Material {
    async fn load(ctx: &Ctx, id: InvestigationId) -> Result<Material> {
        let investigation = ctx.store.investigation(id).await?.context("the investigation is gone")?;
        let alerts = ctx.store.alerts_of_incident(investigation.incident_id).await?;
        let filter = ActionFilter { investigation: Some(id), ..ActionFilter::default() };
        let actions = ctx.store.actions(&filter, &Page::first(ACTIONS_MAX)).await?.items;
        Ok(Material { investigation, alerts, actions })
    }

    fn case<'a>(&'a self, ctx: &'a Ctx) -> Case<'a> {
        Case {
            investigation: &self.investigation,
            alerts: &self.alerts,
            actions: &self.actions,
            own_domains: &ctx.config.gateway.own_domains,
            now: ctx.now(),
        }
    }
}

async fn try_step(ctx: &Ctx, id: InvestigationId, name: StepName) -> Result<Outcome> {
    let material = Material::load(ctx, id).await?;
    let case = material.case(ctx);
    if name == StepName::ProposeActions {
        return order(ctx, &case).await;
    }
    let mut facts: Vec<Fact> = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let asked = queries(name, &case, &facts);
        if asked.is_empty() {
            break;
        }
        for query in &asked {
            facts.push(super::answer::answer(ctx, id, query).await?);
        }
    }
    Ok(conclude(name, &case, &facts))
}

/// Proposes the actions; those the automation policy lets run are approved at once.
async fn order(ctx: &Ctx, case: &Case<'_>) -> Result<Outcome> {
    let by = format!("investigation:{}", case.investigation.number);
    let (incident, investigation) = (Some(case.investigation.incident_id), Some(case.investigation.id));
    let (mut waiting, mut running) = (0, 0);
    let mut lines = Vec::new();
    for proposal in propose(case) {
        let kind = proposal.spec.kind();
        let mut grounds = proposal.grounds;
        grounds.asks = asks(ctx, &proposal.spec).await?;
        let proposed = actions::propose(
            ctx,
            Proposal {
                idempotency_key: Some(format!("{by}:{}", digest(&proposal.key))),
                grounds: Some(grounds),
                ..Proposal::new(proposal.spec, proposal.reason, &by, incident, investigation)
            },
        )
        .await;
        match proposed {
            Ok(action) => {
                let waits = action.state == ActionState::PendingApproval;
                *(if waits { &mut waiting } else { &mut running }) += 1;
                if let Some(first) = action.approval.history.first() {
                    let Text { en, ja } = &first.text;
                    lines.push(Text::new(format!("{kind}: {en}"), format!("{kind}: {ja}")));
                }
            }
            Err(actions::ActionError::Store(error)) => return Err(error.into()),
            Err(error) => {
                let Text { en, ja } = error.text();
                lines.push(Text::new(format!("{kind}: {en}"), format!("{kind}: {ja}")));
            }
        }
    }
    let mut outcome = Outcome {
        state: StepState::Done,
        result: Text::new(
            format!("{running} run at once, {waiting} wait for approval."),
            format!("{running} 件を実行し、{waiting} 件が承認待ちです。"),
        ),
        ..Outcome::failed(Text::default())
    };
    if running + waiting == 0 {
        outcome.result = Text::new("Nothing new to do.", "新たに必要な対処はありません。");
    }
    outcome.lines = lines;
    Ok(outcome)
}

/// What about the mails of an action asks for a person.
async fn asks(ctx: &Ctx, spec: &ActionSpec) -> Result<Option<Text>> {
    let Some((_, copies)) = spec.message_remedy() else { return Ok(None) };
    let messages: BTreeSet<MessageId> = copies.iter().map(|copy| copy.message_id).collect();
    for message in messages {
        let delivered = ctx.store.message_copies(message).await?;
        if delivered.iter().any(|copy| copy.bulk) {
            return Ok(Some(Text::new("it is a newsletter", "一斉配信のメールです")));
        }
        if delivered.len() > COPIES_UNATTENDED_MAX {
            let count = delivered.len();
            return Ok(Some(Text::new(
                format!("it was delivered {count} times"),
                format!("{count} 通のメールで届いています"),
            )));
        }
    }
    Ok(None)
}

/// Keys name every target and may be long; the store wants short ones.
fn digest(key: &str) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(key.as_bytes()))
}

/// Stores what a step came to, with its log lines and, once judged, the verdicts on the alerts.
async fn store(ctx: &Ctx, id: InvestigationId, at: usize, outcome: &Outcome, began: Timestamp) -> Result<()> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut investigation = load(&mut tx, id).await?;
    let now = ctx.now();
    outcome.apply(&mut investigation);
    let Some(step) = investigation.steps.get_mut(at) else { return Ok(()) };
    if step.state == StepState::Skipped {
        // a person stopped it meanwhile
        return Ok(());
    }
    step.state = outcome.state;
    step.result = outcome.result.clone();
    step.waits_for.clone_from(&outcome.waits_for);
    step.ended_at = Some(now);
    let (name, title) = (step.name.clone(), step.title.clone());
    for line in &outcome.lines {
        let line = LogLine { at: now, step: name.clone(), state: outcome.state, text: line.clone(), duration_us: None };
        write_log(&mut investigation, line);
    }
    let text =
        Text::new(format!("{}: {}", title.en, outcome.result.en), format!("{}: {}", title.ja, outcome.result.ja));
    let duration_us = Some(now.micros_since(began));
    write_log(&mut investigation, LogLine { at: now, step: name.clone(), state: outcome.state, text, duration_us });
    // an action may have been carried out between two runs: its word stands
    let filter = ActionFilter { investigation: Some(id), ..ActionFilter::default() };
    for action in tx.actions(&filter, &Page::first(ACTIONS_MAX)).await?.items.iter().rev() {
        hinomi_cases::apply_action(&mut investigation.evidence, action);
    }
    if investigation.steps.iter().all(|step| !open(step.state)) {
        // with its last step, so that no crash leaves it running for ever
        finish(&mut tx, &mut investigation, now).await?;
    }
    investigation.version = tx.put_investigation(&investigation).await?;
    if name == StepName::Judge.name() {
        verdicts(&mut tx, &investigation, now).await?;
    }
    if name == StepName::FindTwins.name() {
        mailboxes(&mut tx, &investigation, now).await?;
    }
    tx.commit().await?;
    if investigation.steps.iter().all(|step| !open(step.state)) {
        abort_point("investigation.finished");
    }
    announce(ctx, &investigation);
    Ok(())
}

/// Writes the verdicts into the evidence of the incident's alerts.
async fn verdicts(tx: &mut Tx, investigation: &Investigation, now: Timestamp) -> Result<()> {
    for mut alert in tx.alerts_of_incident(investigation.incident_id).await? {
        let mut changed = false;
        for piece in &mut alert.evidence {
            let judged = investigation.evidence.iter().find(|judged| judged.entity == piece.entity);
            if let Some(judged) = judged.filter(|judged| judged.verdict != Verdict::Unknown)
                && (piece.verdict, &piece.reason) != (judged.verdict, &judged.reason)
            {
                piece.verdict = judged.verdict;
                piece.reason = judged.reason.clone();
                changed = true;
            }
        }
        if changed {
            alert.updated_at = now;
            tx.put_alert(&alert, &[]).await?;
        }
    }
    Ok(())
}

/// The mailboxes found belong to the incident.
async fn mailboxes(tx: &mut Tx, investigation: &Investigation, now: Timestamp) -> Result<()> {
    let Some(mut incident) = tx.incident(investigation.incident_id).await? else { return Ok(()) };
    let before = incident.mailboxes.len();
    for piece in investigation.evidence.iter().filter(|piece| piece.entity.kind == EntityKind::MessageCopy) {
        if let Some((_, recipient)) = piece.entity.as_message_copy()
            && let Err(at) = incident.mailboxes.binary_search_by(|known| known.as_str().cmp(recipient))
        {
            incident.mailboxes.insert(at, recipient.to_owned());
        }
    }
    if incident.mailboxes.len() != before {
        incident.updated_at = now;
        tx.put_incident(&incident).await?;
    }
    Ok(())
}

/// Sets the state the investigation ends in and tells its incident.
async fn finish(tx: &mut Tx, investigation: &mut Investigation, now: Timestamp) -> Result<()> {
    let filter = ActionFilter { investigation: Some(investigation.id), ..ActionFilter::default() };
    let actions = tx.actions(&filter, &Page::first(ACTIONS_MAX)).await?.items;
    let ordered: Vec<Action> = actions.into_iter().filter(actions::counts).collect();
    let (state, reason) = final_state(investigation, &ordered);
    investigation.state = state;
    investigation.state_reason = reason;
    investigation.ended_at = actions::ended(state).then_some(now);
    if let Some(mut incident) = tx.incident(investigation.incident_id).await? {
        let word = state.word();
        let number = investigation.number;
        let text = Text::new(format!("Investigation {number}: {word}"), format!("調査 {number}: {word}"));
        hinomi_cases::log(&mut incident, now, &format!("investigation:{number}"), text);
        incident.updated_at = now;
        tx.put_incident(&incident).await?;
    }
    let target = format!("investigation:{}", investigation.number);
    let entry = actions::record(now, "system", "investigation.end", &target, json!({"state": state}));
    crate::demos::audit(tx, investigation.id.demo(), &entry).await?;
    Ok(())
}

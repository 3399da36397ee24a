//! Investigations: the automatic work on alerts, one playbook run per story.

mod answer;
mod runner;

pub(crate) use runner::{give_up, run};

use crate::actions::{ActionError, record};
use crate::app::Ctx;
use crate::automation::Rules;
use crate::ids;
use crate::live::LiveEvent;
use hinomi_cases::playbook::Playbook;
use hinomi_model::{
    Alert, AutomationLevel, DeviceId, Incident, Investigation, InvestigationId, InvestigationState, LogLine, StepState,
    Text, Timestamp,
};
use hinomi_store::{InvestigationFilter, Job, PAGE_LIMIT_MAX, Page, StoreError, Tx};
use serde_json::json;

/// Kind of the job that runs an investigation.
pub const JOB: &str = "investigation";
/// Log lines kept.
const LOG_MAX: usize = 1_000;
/// Alerts that join a story late are gathered for this long before the playbook runs again.
const SETTLE_SECONDS: i64 = 2;
/// After a run in which a step failed, alerts that join are gathered for so long: what failed (a mail
/// server that is away) fails again soon.
const FAILED_SETTLE_SECONDS: i64 = 20;

/// How an investigation begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// What automation may do now.
    pub level: AutomationLevel,
    /// A person asks for it: it runs whatever the level, and every action waits.
    pub by_hand: bool,
}

/// Returns the automation level now: the device's own, that of its group, or of mail; else the server's.
pub(crate) async fn level(
    ctx: &Ctx,
    tx: &mut Tx,
    device: Option<DeviceId>,
    now: Timestamp,
) -> Result<AutomationLevel, StoreError> {
    let device = match device {
        Some(id) => tx.device(id).await?,
        None => None,
    };
    Ok(Rules::load(ctx, tx).await?.level(device.as_ref(), now))
}

/// Gives an alert its investigation in the transaction that stores it: the one of its story, run
/// again for the new alert, or a new one. The job begins after the commit.
pub(crate) async fn attach(
    tx: &mut Tx,
    alert: &mut Alert,
    incident: &mut Incident,
    start: Start,
    now: Timestamp,
) -> Result<(), StoreError> {
    if start.level == AutomationLevel::None && !start.by_hand {
        return Ok(());
    }
    for id in incident.investigations.clone().iter().rev() {
        let Some(known) = tx.investigation(*id).await? else { continue };
        let stopped =
            matches!(known.state, InvestigationState::TerminatedByUser | InvestigationState::TerminatedBySystem);
        if stopped {
            continue;
        }
        alert.investigation_id = Some(known.id);
        return run_after(tx, &known, "", now, now.plus_seconds(SETTLE_SECONDS)).await;
    }
    let Some(playbook) = Playbook::for_alert(alert) else { return Ok(()) };
    let investigation = begin(tx, playbook, alert, incident, start, now).await?;
    alert.investigation_id = Some(investigation.id);
    incident.investigations.push(investigation.id);
    // it is the story's: alerts nobody could investigate before belong to it
    for mut other in tx.alerts_of_incident(incident.id).await? {
        if other.id != alert.id && other.investigation_id.is_none() {
            other.investigation_id = Some(investigation.id);
            other.updated_at = now;
            tx.put_alert(&other, &[]).await?;
        }
    }
    let payload = json!({"investigation": investigation.id.to_string(), "asked_at": now});
    enqueue(tx, format!("investigation:{}", investigation.id), payload, now).await
}

async fn begin(
    tx: &mut Tx,
    playbook: &Playbook,
    alert: &Alert,
    incident: &Incident,
    start: Start,
    now: Timestamp,
) -> Result<Investigation, StoreError> {
    let investigation = Investigation {
        id: ids::within(alert.id.demo()),
        number: tx.next_number("investigation").await?,
        playbook: playbook.name.clone(),
        title: playbook.title.clone(),
        state: InvestigationState::Queued,
        state_reason: None,
        alert_id: alert.id,
        incident_id: incident.id,
        device: alert.device.clone(),
        automation_level: start.level,
        by_hand: start.by_hand,
        steps: playbook.fresh_steps(),
        evidence: Vec::new(),
        edges: Vec::new(),
        actions: Vec::new(),
        log: Vec::new(),
        started_at: now,
        ended_at: None,
        version: 1,
    };
    tx.put_investigation(&investigation).await?;
    let detail = json!({"playbook": playbook.name, "alert": alert.id.to_string()});
    let target = format!("investigation:{}", investigation.number);
    crate::demos::audit(tx, alert.id.demo(), &record(now, "system", "investigation.start", &target, detail)).await?;
    Ok(investigation)
}

/// Orders one more run after the present one, which knows nothing of what joined since it began. However
/// much joins until then, it is one run: the order is keyed by the run it follows. `by` is the person
/// who asks; one who does is not kept waiting.
async fn run_after(
    tx: &mut Tx,
    known: &Investigation,
    by: &str,
    now: Timestamp,
    run_at: Timestamp,
) -> Result<(), StoreError> {
    let after = began(known);
    let key = format!("investigation:{}:after:{after}:{by}", known.id);
    let payload =
        json!({"investigation": known.id.to_string(), "asked_at": now, "after": after, "at_once": !by.is_empty()});
    enqueue(tx, key, payload, run_at).await
}

/// When the present or last run of all steps began, microseconds; 0 = there was none.
fn began(investigation: &Investigation) -> i64 {
    investigation.steps.first().and_then(|step| step.started_at).unwrap_or_default().as_micros()
}

async fn enqueue(tx: &mut Tx, key: String, payload: serde_json::Value, run_at: Timestamp) -> Result<(), StoreError> {
    tx.enqueue(Job { kind: JOB.to_owned(), key, payload: payload.to_string(), run_at }).await?;
    Ok(())
}

/// Starts an investigation of an alert by hand; the running one of its story is returned when there is one.
///
/// # Errors
/// [`ActionError`] when no playbook fits.
pub async fn start(ctx: &Ctx, alert: hinomi_model::AlertId, by: &str) -> Result<Investigation, ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let missing = |what, id: String| ActionError::NotFound { what, id };
    let mut alert = tx.alert(alert).await?.ok_or_else(|| missing("alert", alert.to_string()))?;
    let mut incident =
        tx.incident(alert.incident_id).await?.ok_or_else(|| missing("incident", alert.incident_id.to_string()))?;
    let now = ctx.now();
    let start = Start { level: AutomationLevel::SemiAll, by_hand: true };
    attach(&mut tx, &mut alert, &mut incident, start, now).await?;
    let Some(id) = alert.investigation_id else {
        let reason = Text::new("no playbook fits this alert", "このアラートに合うプレイブックがありません");
        return Err(ActionError::Invalid { field: "alert", reason });
    };
    tx.put_alert(&alert, &[]).await?;
    tx.put_incident(&incident).await?;
    if let Some(known) = tx.investigation(id).await? {
        run_after(&mut tx, &known, by, now, now).await?;
    }
    tx.audit(&record(now, by, "investigation.start", &format!("alert:{}", alert.id), json!({}))).await?;
    let investigation = tx.investigation(id).await?.ok_or_else(|| missing("investigation", id.to_string()))?;
    tx.commit().await?;
    ctx.try_mail_now();
    announce(ctx, &investigation);
    ctx.jobs.notify_one();
    Ok(investigation)
}

/// Runs an investigation again, whole or from a step. One that is running goes on to its end first: a
/// failed step shows before the steps behind it are done, and so does the button beside it.
///
/// # Errors
/// [`ActionError`] when it has no such step.
pub async fn rerun(
    ctx: &Ctx,
    id: InvestigationId,
    from_step: Option<String>,
    by: &str,
) -> Result<Investigation, ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut investigation = load(&mut tx, id).await?;
    let busy = investigation.steps.iter().any(|step| step.state == StepState::Running);
    let from = match &from_step {
        None => 0,
        Some(name) => investigation.steps.iter().position(|step| step.name == *name).ok_or_else(|| {
            let reason = Text::new("there is no such step", "その手順はありません");
            ActionError::Invalid { field: "from_step", reason }
        })?,
    };
    let now = ctx.now();
    if !busy {
        begin_again(&mut investigation, from, InvestigationState::Queued);
    }
    let step = investigation.steps[from].name.clone();
    let text = Text::new(format!("Run again by {by}."), format!("{by} が再実行しました。"));
    write_log(
        &mut investigation,
        LogLine { at: now, step: step.clone(), state: StepState::Pending, text, duration_us: None },
    );
    investigation.version = tx.put_investigation(&investigation).await?;
    let key = format!("investigation:{id}:rerun:{}", investigation.version);
    let payload = json!({"investigation": id.to_string(), "from_step": step, "asked_at": now});
    enqueue(&mut tx, key, payload, now).await?;
    let target = format!("investigation:{}", investigation.number);
    tx.audit(&record(now, by, "investigation.rerun", &target, json!({"from_step": step}))).await?;
    tx.commit().await?;
    ctx.try_mail_now();
    announce(ctx, &investigation);
    ctx.jobs.notify_one();
    Ok(investigation)
}

/// Goes on with the investigations that wait for a device that has just connected: the first step that
/// could not ask it is run again, and those behind it.
pub(crate) async fn on_connect(ctx: &Ctx, device: DeviceId) {
    let filter =
        InvestigationFilter { state: vec![InvestigationState::PendingResource], ..InvestigationFilter::default() };
    let waiting = match ctx.store.investigations(&filter, &Page::first(PAGE_LIMIT_MAX)).await {
        Ok(listed) => listed.items,
        Err(error) => {
            tracing::error!(device.id = %device, "investigations that wait for {device} cannot be read: {error}");
            return;
        }
    };
    for investigation in waiting {
        let Some(step) = investigation.steps.iter().find(|step| step.waits_for.contains(&device)) else { continue };
        if let Err(error) = rerun(ctx, investigation.id, Some(step.name.clone()), "system").await {
            let number = investigation.number;
            tracing::error!(device.id = %device, "investigation {number} cannot go on: {error}");
        }
    }
}

/// Opens the steps from the one at `from` on.
fn begin_again(investigation: &mut Investigation, from: usize, state: InvestigationState) {
    for step in investigation.steps.iter_mut().skip(from) {
        step.state = StepState::Pending;
        step.result = Text::default();
        step.waits_for.clear();
    }
    investigation.state = state;
    investigation.state_reason = None;
    investigation.ended_at = None;
}

/// Stops an investigation; actions already ordered go on, pending ones stay to be decided.
///
/// # Errors
/// [`ActionError`] when it is over.
pub async fn cancel(ctx: &Ctx, id: InvestigationId, by: &str) -> Result<Investigation, ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut investigation = load(&mut tx, id).await?;
    if crate::actions::ended(investigation.state) {
        let state = investigation.state.word();
        return Err(ActionError::WrongState { what: "investigation", state, wanted: "cancel" });
    }
    let now = ctx.now();
    for step in investigation.steps.iter_mut().filter(|step| open(step.state)) {
        step.state = StepState::Skipped;
        step.result = Text::new(format!("Stopped by {by}."), format!("{by} が停止しました。"));
        step.ended_at = Some(now);
    }
    investigation.state = InvestigationState::TerminatedByUser;
    investigation.state_reason = Some(Text::new(format!("Stopped by {by}."), format!("{by} が停止しました。")));
    investigation.ended_at = Some(now);
    investigation.version = tx.put_investigation(&investigation).await?;
    let target = format!("investigation:{}", investigation.number);
    tx.audit(&record(now, by, "investigation.cancel", &target, json!({}))).await?;
    tx.commit().await?;
    announce(ctx, &investigation);
    Ok(investigation)
}

fn open(state: StepState) -> bool {
    matches!(state, StepState::Pending | StepState::Running)
}

pub(crate) async fn load(tx: &mut Tx, id: InvestigationId) -> Result<Investigation, ActionError> {
    let missing = || ActionError::NotFound { what: "investigation", id: id.to_string() };
    tx.investigation(id).await?.ok_or_else(missing)
}

fn write_log(investigation: &mut Investigation, line: LogLine) {
    if investigation.log.len() >= LOG_MAX {
        investigation.log.remove(0);
    }
    investigation.log.push(line);
}

fn announce(ctx: &Ctx, investigation: &Investigation) {
    ctx.live.send(LiveEvent {
        event: "investigation.progress",
        id: investigation.id.to_string(),
        version: investigation.version,
        number: Some(investigation.number),
        progress: None,
    });
}

//! Actions: proposed, approved, run, proved by receipts, undone.
//!
//! Every change is one store transaction with its audit record and its effect on investigation,
//! alerts and incident; what must happen outside (commands, mailboxes) is ordered by a job, so a
//! server that dies at any point resumes without doing anything twice.

mod demo;
pub mod follow_up;
mod hold;
mod receipts;
mod run;
mod spread;

pub use follow_up::{LATE_JOB, LOOK_JOB, disarm};
pub use hold::{cancel, pause, resume, retry};
pub(crate) use receipts::expire_commands;
pub use receipts::on_command_result;
pub(crate) use run::{give_up, run};
pub(crate) use spread::{ended, spread};

use crate::abort::abort_point;
use crate::app::Ctx;
use crate::demos;
use crate::ids;
use crate::live::LiveEvent;
use hinomi_api::Progress;
use hinomi_cases::targets_of;
use hinomi_model::{
    Action, ActionId, ActionSpec, ActionState, DemoId, EntityKey, IncidentId, IndicatorKind, InvestigationId, Receipt,
    ReceiptState, Text, Timestamp,
};
use hinomi_store::{CommandState, Job, NewAudit, StoreError, Tx};
use serde_json::json;

/// Pending actions expire after 7 days, as in the reference.
const PENDING_SECONDS: i64 = 7 * 24 * 3600;
/// An approved action waits this long for a device that is away.
const QUEUED_SECONDS: i64 = 72 * 3600;
/// Kind of the job that runs an action.
pub const JOB: &str = "action";
/// Targets one action may have.
const TARGETS_MAX: usize = 5_000;
/// Longest isolation, seconds.
const LEASE_SECONDS_MAX: i64 = 7 * 24 * 3600;

/// What is asked for.
#[derive(Debug)]
pub struct Proposal<'a> {
    /// What to do.
    pub spec: ActionSpec,
    /// Why.
    pub reason: Text,
    /// Who asks: a person, `investigation:<number>` or `system`.
    pub by: &'a str,
    /// Incident it belongs to.
    pub incident: Option<IncidentId>,
    /// Investigation it belongs to.
    pub investigation: Option<InvestigationId>,
    /// The same key never makes a second action.
    pub idempotency_key: Option<String>,
    /// Approve at once: by whom, with which remark.
    pub approve_now: Option<(&'a str, Option<String>)>,
    /// Signs of forwarded and replied copies that are meant too, now and later
    /// ([`crate::related::extend`]).
    pub signs: Vec<String>,
}

/// An action cannot be proposed or changed.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// No such action, investigation or target.
    #[error("no {what} {id}")]
    NotFound {
        /// Kind.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// Its state does not allow it.
    #[error("{what} is {state}: {wanted} is not possible")]
    WrongState {
        /// `action` or `investigation`.
        what: &'static str,
        /// State it is in.
        state: String,
        /// What was wanted (`approve`).
        wanted: &'static str,
    },
    /// What is asked for makes no sense.
    #[error("{field} is not valid: {}", reason.en)]
    Invalid {
        /// Part of the request.
        field: &'static str,
        /// Why.
        reason: Text,
    },
    /// A part of the server it needs is not configured.
    #[error("{what} is not configured")]
    Unavailable {
        /// The part (`mailboxes`).
        what: &'static str,
    },
    /// The store failed.
    #[error("store action")]
    Store(#[from] StoreError),
}

/// Proposes an action, and approves it when the proposal says so. The same idempotency key returns
/// the action made before.
///
/// # Errors
/// [`ActionError`] names what is wrong.
pub async fn propose(ctx: &Ctx, proposal: Proposal<'_>) -> Result<Action, ActionError> {
    let demo = demo::of(&proposal)?;
    check(ctx, &proposal.spec, demo).await?;
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    if let Some(demo) = demo
        && !demos::goes_on(&mut tx, Some(demo)).await?
    {
        return Err(ActionError::NotFound { what: "demo", id: demo.to_string() });
    }
    if let Some(key) = &proposal.idempotency_key
        && let Some(known) = tx.action_by_idempotency(key).await?
    {
        return Ok(known);
    }
    let now = ctx.now();
    let mut action = Action {
        id: ids::within(demo),
        state: ActionState::PendingApproval,
        reason: proposal.reason,
        proposed_by: proposal.by.to_owned(),
        decided_by: None,
        decided_at: None,
        comment: None,
        incident_id: proposal.incident,
        investigation_id: proposal.investigation,
        receipts: fresh_receipts(targets_of(&proposal.spec), now),
        follow_up: None,
        undone_by: None,
        undoes: None,
        created_at: now,
        finished_at: None,
        expires_at: now.plus_seconds(PENDING_SECONDS),
        version: 1,
        spec: proposal.spec,
    };
    if let ActionSpec::RemoveIndicator { indicator_id } = &action.spec
        && let Some(indicator) = tx.indicator(*indicator_id).await?
    {
        action.receipts = fresh_receipts(vec![indicator.spec.entity()], now);
    }
    if let ActionSpec::RestoreMessages { action_id } = &action.spec {
        let removed = tx.action(*action_id).await?;
        action.receipts = fresh_receipts(removed.map(|removed| restorable(&removed)).unwrap_or_default(), now);
        action.undoes = Some(*action_id);
    }
    tx.insert_action(&action, proposal.idempotency_key.as_deref()).await?;
    follow_up::keep_signs(ctx, &mut tx, &action, &proposal.signs).await?;
    let entry = audit(now, proposal.by, "action.propose", &action, json!({"reason": action.reason.en}));
    demos::audit(&mut tx, demo, &entry).await?;
    if let Some((by, comment)) = proposal.approve_now {
        decide(&mut tx, &mut action, by, comment, now).await?;
    } else {
        crate::notifications::tell_approval(ctx, &mut tx, &action, now).await?;
        spread(&mut tx, &action, now).await?;
    }
    abort_point("action.proposing");
    tx.commit().await?;
    abort_point("action.proposed");
    announce(ctx, &action);
    Ok(action)
}

/// Approves a pending action: it is queued and a job runs it.
///
/// # Errors
/// [`ActionError`] when it is not pending.
pub async fn approve(ctx: &Ctx, id: ActionId, by: &str, comment: Option<String>) -> Result<Action, ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut action = load(&mut tx, id).await?;
    want(&action, "approve", &[ActionState::PendingApproval])?;
    decide(&mut tx, &mut action, by, comment, ctx.now()).await?;
    abort_point("action.approving");
    tx.commit().await?;
    abort_point("action.approved");
    announce(ctx, &action);
    Ok(action)
}

/// Declines a pending action.
///
/// # Errors
/// [`ActionError`] when it is not pending.
pub async fn decline(ctx: &Ctx, id: ActionId, by: &str, comment: Option<String>) -> Result<Action, ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut action = load(&mut tx, id).await?;
    want(&action, "decline", &[ActionState::PendingApproval])?;
    let now = ctx.now();
    action.state = ActionState::Declined;
    action.decided_by = Some(by.to_owned());
    action.decided_at = Some(now);
    action.comment = comment;
    action.finished_at = Some(now);
    save(&mut tx, &mut action, now).await?;
    tx.audit(&audit(now, by, "action.decline", &action, json!({"comment": action.comment}))).await?;
    tx.commit().await?;
    announce(ctx, &action);
    Ok(action)
}

/// Undoes what an action did: orders the opposite action for every target that was dealt with.
///
/// # Errors
/// [`ActionError`] when there is nothing to undo.
pub async fn undo(ctx: &Ctx, id: ActionId, by: &str) -> Result<Action, ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut done = load(&mut tx, id).await?;
    // what failed or was stopped half-way can be undone as far as it went
    let over = [ActionState::Succeeded, ActionState::PartiallySucceeded, ActionState::Failed, ActionState::Cancelled];
    want(&done, "undo", &over)?;
    if let Some(undo) = done.undone_by
        && let Some(undo) = tx.action(undo).await?
        && !matches!(undo.state, ActionState::Failed | ActionState::Expired | ActionState::Cancelled)
    {
        return Ok(undo);
    }
    let (spec, targets) = opposite(&done, &begun(&mut tx, &done).await?)?;
    let now = ctx.now();
    let mut action = Action {
        id: ids::within(done.id.demo()),
        spec,
        state: ActionState::PendingApproval,
        reason: Text::new(format!("Undo of: {}", done.reason.en), format!("元に戻す: {}", done.reason.ja)),
        proposed_by: by.to_owned(),
        decided_by: None,
        decided_at: None,
        comment: None,
        incident_id: done.incident_id,
        investigation_id: done.investigation_id,
        receipts: fresh_receipts(targets, now),
        follow_up: None,
        undone_by: None,
        undoes: Some(done.id),
        created_at: now,
        finished_at: None,
        expires_at: now.plus_seconds(PENDING_SECONDS),
        version: 1,
    };
    tx.insert_action(&action, None).await?;
    done.undone_by = Some(action.id);
    follow_up::stand_down(&mut tx, &mut done, by, now).await?;
    done.version = tx.put_action(&done).await?;
    tx.audit(&audit(now, by, "action.undo", &done, json!({"by_action": action.id.to_string()}))).await?;
    decide(&mut tx, &mut action, by, None, now).await?;
    abort_point("undo.ordering");
    tx.commit().await?;
    abort_point("undo.ordered");
    announce(ctx, &done);
    announce(ctx, &action);
    Ok(action)
}

/// Ends actions nobody approved and devices that never came back.
///
/// # Errors
/// When the store fails.
pub(crate) async fn expire(ctx: &Ctx, now: Timestamp) -> Result<(), ActionError> {
    if ctx.store.expired_actions(now).await?.is_empty() {
        return Ok(());
    }
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut changed = Vec::new();
    for expired in tx.expired_actions(now).await? {
        let mut action = load(&mut tx, expired.id).await?;
        close(&mut tx, &mut action, ActionState::Expired, now).await?;
        demos::audit(&mut tx, action.id.demo(), &audit(now, "system", "action.expire", &action, json!({}))).await?;
        changed.push(action);
    }
    tx.commit().await?;
    changed.iter().for_each(|action| announce(ctx, action));
    Ok(())
}

/// Refuses what cannot be meant.
pub(crate) async fn check(ctx: &Ctx, spec: &ActionSpec, demo: Option<DemoId>) -> Result<(), ActionError> {
    let invalid = |field, en: &str, ja: &str| Err(ActionError::Invalid { field, reason: Text::new(en, ja) });
    match spec {
        spec if let Some((_, copies)) = spec.message_remedy() => {
            if copies.is_empty() || copies.len() > TARGETS_MAX {
                return invalid("copies", "1 to 5,000 copies", "対象は 1〜5,000 通です");
            }
            if ctx.mail.get().is_none() && demo.is_none() {
                return Err(ActionError::Unavailable { what: "mailboxes" });
            }
        }
        ActionSpec::IsolateDevice { lease_seconds, .. } if !(60..=LEASE_SECONDS_MAX).contains(lease_seconds) => {
            return invalid("lease_seconds", "1 minute to 7 days", "1 分から 7 日までです");
        }
        ActionSpec::QuarantineFile { sha256, paths, .. } => {
            check_sha256(sha256)?;
            if paths.iter().any(|path| hinomi_cases::is_system_path(path)) {
                return invalid(
                    "paths",
                    "a file of the operating system cannot be quarantined",
                    "OS のファイルは隔離できません",
                );
            }
        }
        ActionSpec::AddIndicator { indicator } => {
            if indicator.kind == IndicatorKind::FileSha256 {
                check_sha256(&indicator.value)?;
            }
            if indicator.value.trim().is_empty() || indicator.value.len() > 2_048 {
                return invalid("value", "1 to 2,048 characters", "1〜2,048 文字です");
            }
            if let Err(reason) = hinomi_detect::indicator_list::sound(indicator.kind, &indicator.value) {
                return Err(ActionError::Invalid { field: "value", reason });
            }
            if let Some(reason) = crate::indicators::guard::refusal(indicator, &ctx.config.gateway.own_domains) {
                return Err(ActionError::Invalid { field: "value", reason });
            }
        }
        _ => {}
    }
    if let Some(device) = device_of(spec)
        && ctx.store.device(device).await?.is_none()
    {
        return Err(ActionError::NotFound { what: "device", id: device.to_string() });
    }
    Ok(())
}

fn check_sha256(text: &str) -> Result<(), ActionError> {
    let good = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if good {
        return Ok(());
    }
    let reason = Text::new("64 lower-case hexadecimal digits", "小文字の 16 進数 64 桁です");
    Err(ActionError::Invalid { field: "sha256", reason })
}

/// The device an action is carried out on.
pub(crate) fn device_of(spec: &ActionSpec) -> Option<hinomi_model::DeviceId> {
    match spec {
        ActionSpec::StopProcessTree { process } => Some(process.device_id),
        ActionSpec::QuarantineFile { device_id, .. }
        | ActionSpec::RestoreFile { device_id, .. }
        | ActionSpec::IsolateDevice { device_id, .. }
        | ActionSpec::ReleaseDevice { device_id }
        | ActionSpec::CollectStatus { device_id } => Some(*device_id),
        _ => None,
    }
}

/// Targets of a mail action that were begun and never settled: their mail may be gone.
async fn begun(tx: &mut Tx, done: &Action) -> Result<Vec<EntityKey>, StoreError> {
    let open = tx.journal_open(done.id).await?;
    Ok(open.into_iter().map(|row| EntityKey::message_copy(row.copy.message_id, &row.copy.recipient)).collect())
}

fn opposite(done: &Action, begun: &[EntityKey]) -> Result<(ActionSpec, Vec<EntityKey>), ActionError> {
    let cannot = || ActionError::WrongState { what: "action", state: done.spec.kind().to_owned(), wanted: "undo" };
    let mut targets = restorable(done);
    targets.extend(begun.iter().filter(|begun| !targets.contains(begun)).cloned().collect::<Vec<_>>());
    let spec = match &done.spec {
        spec if spec.message_remedy().is_some() && spec.can_undo() && !targets.is_empty() => {
            ActionSpec::RestoreMessages { action_id: done.id }
        }
        ActionSpec::QuarantineFile { device_id, sha256, .. } => {
            ActionSpec::RestoreFile { device_id: *device_id, sha256: sha256.clone() }
        }
        ActionSpec::IsolateDevice { device_id, .. } => ActionSpec::ReleaseDevice { device_id: *device_id },
        ActionSpec::AddIndicator { .. } => {
            let own = done.receipts.iter().filter(|receipt| receipt.state == ReceiptState::Done);
            let proof = own.filter_map(|receipt| receipt.proof.as_deref()).find(|text| text.contains("indicator_id"));
            let proof: serde_json::Value = proof.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            let id = proof["indicator_id"].as_str().and_then(|id| id.parse().ok()).ok_or_else(cannot)?;
            return Ok((ActionSpec::RemoveIndicator { indicator_id: id }, targets_of(&done.spec)));
        }
        _ => return Err(cannot()),
    };
    Ok((spec, targets))
}

/// Targets an action really changed: only they can be put back.
fn restorable(done: &Action) -> Vec<EntityKey> {
    let changed = done.all_receipts().filter(|receipt| receipt.state == ReceiptState::Done);
    let mut targets: Vec<EntityKey> = Vec::new();
    let mut known = std::collections::HashSet::new();
    targets.extend(changed.filter(|receipt| known.insert(&receipt.target)).map(|receipt| receipt.target.clone()));
    targets
}

fn fresh_receipts(targets: Vec<EntityKey>, now: Timestamp) -> Vec<Receipt> {
    let receipt =
        |target| Receipt { target, state: ReceiptState::Pending, detail: Text::default(), proof: None, at: now };
    targets.into_iter().map(receipt).collect()
}

/// Lets a job run an action.
async fn queue(tx: &mut Tx, action: &mut Action, key: String, now: Timestamp) -> Result<(), StoreError> {
    action.expires_at = now.plus_seconds(QUEUED_SECONDS);
    let payload = json!({"action": action.id.to_string()}).to_string();
    tx.enqueue(Job { kind: JOB.to_owned(), key, payload, run_at: now }).await?;
    Ok(())
}

/// Marks an action approved and orders its job.
async fn decide(
    tx: &mut Tx,
    action: &mut Action,
    by: &str,
    comment: Option<String>,
    now: Timestamp,
) -> Result<(), ActionError> {
    action.state = ActionState::Queued;
    action.decided_by = Some(by.to_owned());
    action.decided_at = Some(now);
    action.comment = comment;
    if let ActionSpec::RestoreMessages { action_id } = action.spec
        && let Some(mut treated) = tx.action(action_id).await?
        && follow_up::stand_down(tx, &mut treated, by, now).await?
    {
        tx.put_action(&treated).await?;
    }
    queue(tx, action, format!("action:{}", action.id), now).await?;
    save(tx, action, now).await?;
    let entry = audit(now, by, "action.approve", action, json!({"comment": action.comment}));
    Ok(demos::audit(tx, action.id.demo(), &entry).await?)
}

/// Ends an action that will not run: its commands are withdrawn.
async fn close(tx: &mut Tx, action: &mut Action, state: ActionState, now: Timestamp) -> Result<(), ActionError> {
    for command in tx.commands_of_action(action.id).await? {
        if command.state == CommandState::Open {
            tx.finish_command(command.id, &json!({"withdrawn": state.word()}).to_string()).await?;
        }
    }
    action.state = state;
    action.finished_at = Some(now);
    save(tx, action, now).await
}

/// Stores an action and what it means for investigation, alerts and incident.
pub(crate) async fn save(tx: &mut Tx, action: &mut Action, now: Timestamp) -> Result<(), ActionError> {
    action.version = tx.put_action(action).await?;
    spread(tx, action, now).await?;
    Ok(())
}

pub(crate) async fn load(tx: &mut Tx, id: ActionId) -> Result<Action, ActionError> {
    tx.action(id).await?.ok_or_else(|| ActionError::NotFound { what: "action", id: id.to_string() })
}

fn want(action: &Action, wanted: &'static str, states: &[ActionState]) -> Result<(), ActionError> {
    if states.contains(&action.state) {
        return Ok(());
    }
    Err(ActionError::WrongState { what: "action", state: action.state.word(), wanted })
}

/// Builds an audit record about an action.
pub(crate) fn audit(now: Timestamp, by: &str, what: &str, action: &Action, detail: serde_json::Value) -> NewAudit {
    let mut detail = detail;
    detail["kind"] = action.spec.kind().into();
    record(now, by, what, &format!("action:{}", action.id), detail)
}

/// Builds an audit record of the system or a person.
pub(crate) fn record(now: Timestamp, by: &str, what: &str, target: &str, detail: serde_json::Value) -> NewAudit {
    NewAudit {
        at: now,
        actor: by.to_owned(),
        action: what.to_owned(),
        target: target.to_owned(),
        detail: detail.to_string(),
        address: crate::auth::client_address(),
        result: "ok".to_owned(),
    }
}

/// Tells consoles and workers about a changed action.
pub(crate) fn announce(ctx: &Ctx, action: &Action) {
    let progress = Progress {
        targets: action.receipts.len(),
        settled: action.receipts.iter().filter(|receipt| !receipt.is_open()).count(),
        failed: action.receipts.iter().filter(|receipt| receipt.state == ReceiptState::Failed).count(),
    };
    ctx.live.send(LiveEvent {
        event: "action.updated",
        id: action.id.to_string(),
        version: action.version,
        number: None,
        progress: Some(progress),
    });
    if let Some(incident) = action.incident_id {
        ctx.live.send(LiveEvent {
            event: "incident.updated",
            id: incident.to_string(),
            version: action.version,
            number: None,
            progress: None,
        });
    }
    if let Some(investigation) = action.investigation_id {
        ctx.live.send(LiveEvent {
            event: "investigation.progress",
            id: investigation.to_string(),
            version: action.version,
            number: None,
            progress: None,
        });
    }
    if action.state == ActionState::Queued {
        ctx.jobs.notify_one();
    }
}

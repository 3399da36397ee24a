//! Actions: proposed, approved, run, proved by receipts, undone.
//!
//! Every change is one store transaction with its audit record and its effect on investigation,
//! alerts and incident; what must happen outside (commands, mailboxes) is ordered by a job, so a
//! server that dies at any point resumes without doing anything twice.

mod approval;
mod demo;
pub mod follow_up;
mod hold;
mod receipts;
mod run;
mod spread;
mod waiting;

pub use approval::{again, approve, decline};
pub use follow_up::{LATE_JOB, LOOK_JOB, disarm};
pub use hold::{cancel, pause, resume, retry};
pub(crate) use receipts::expire_commands;
pub use receipts::on_command_result;
pub(crate) use run::{give_up, run};
pub(crate) use spread::{counts, ended, spread};
pub use waiting::{expire, look};

use crate::abort::abort_point;
use crate::app::Ctx;
use crate::automation::{self, Rules};
use crate::demos;
use crate::ids;
use crate::live::LiveEvent;
use crate::notifications;
use hinomi_api::Progress;
use hinomi_cases::automation::Judged;
use hinomi_cases::targets_of;
use hinomi_model::{
    Action, ActionId, ActionSpec, ActionState, DemoId, EntityKey, Grounds, IncidentId, IndicatorKind, InvestigationId,
    NotificationKind, Receipt, ReceiptState, Text, Timestamp,
};
use hinomi_store::{CommandState, Job, NewAudit, StoreError, Tx};
use serde_json::json;

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
    /// On what an investigation proposes it: the automation policy may let it run at once.
    pub grounds: Option<Grounds>,
    /// The action it takes the place of.
    pub again: Option<ActionId>,
}

impl<'a> Proposal<'a> {
    /// A proposal that waits for a person.
    pub fn new(
        spec: ActionSpec,
        reason: Text,
        by: &'a str,
        incident: Option<IncidentId>,
        investigation: Option<InvestigationId>,
    ) -> Self {
        Proposal {
            spec,
            reason,
            by,
            incident,
            investigation,
            idempotency_key: None,
            approve_now: None,
            signs: Vec::new(),
            grounds: None,
            again: None,
        }
    }
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
    /// Somebody else must approve it: this person did.
    #[error("{needed} different persons must approve it")]
    SamePerson {
        /// How many.
        needed: u32,
    },
    /// A person must approve it, and the one who did is none.
    #[error("an API token is no person")]
    NoPerson,
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

impl ActionError {
    /// What is wrong, for people.
    pub fn text(&self) -> Text {
        match self {
            ActionError::WrongState { what, state, wanted } => Text::new(
                format!("the {what} is {state}: {wanted} is not possible"),
                format!("現在の状態 ({state}) では実行できません ({wanted})"),
            ),
            ActionError::SamePerson { needed } => Text::new(
                format!("{needed} different persons must approve this; you did already"),
                format!("{needed} 人の異なる担当者の承認が必要です。すでに承認済みです"),
            ),
            ActionError::NoPerson => Text::new(
                "two persons must approve this; an API token is none",
                "2 人の担当者の承認が必要です。API トークンでは承認できません",
            ),
            ActionError::Invalid { reason, .. } => reason.clone(),
            ActionError::Unavailable { what } => {
                Text::new(format!("{what} is not configured"), format!("{what} が設定されていません"))
            }
            ActionError::NotFound { what, id } => {
                Text::new(format!("there is no {what} {id}"), format!("{what} {id} はありません"))
            }
            ActionError::Store(_) => Text::new("the store failed", "データベースでエラーが発生しました"),
        }
    }
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
        approval: Default::default(),
        incident_id: proposal.incident,
        investigation_id: proposal.investigation,
        receipts: fresh_receipts(targets_of(&proposal.spec), now),
        follow_up: None,
        undone_by: None,
        undoes: None,
        created_at: now,
        finished_at: None,
        expires_at: now,
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
    let rules = Rules::load(ctx, &mut tx).await?;
    let judged = weigh(&mut tx, &rules, &mut action, proposal.grounds, now).await?;
    tx.insert_action(&action, proposal.idempotency_key.as_deref()).await?;
    follow_up::keep_signs(ctx, &mut tx, &action, &proposal.signs).await?;
    let mut detail = json!({"reason": action.reason.en});
    if let Some(judged) = &judged {
        detail["automation"] = json!(judged.reason);
    }
    demos::audit(&mut tx, demo, &audit(now, proposal.by, "action.propose", &action, detail)).await?;
    if let Some(id) = proposal.again {
        replaced(&mut tx, id, &action, proposal.by, now).await?;
    }
    match (&judged, proposal.approve_now) {
        (Some(judged), _) if judged.runs => {
            let by = format!("automation:{}", judged.level.word());
            decide(&mut tx, &mut action, &by, None, now, Some(&judged.reason)).await?;
        }
        (_, Some((by, comment))) => approve_own(ctx, &mut tx, &mut action, by, comment, now).await?,
        _ => {
            notifications::tell_pending(ctx, &mut tx, NotificationKind::Approval, &action, now).await?;
            spread(&mut tx, &action, now).await?;
        }
    }
    abort_point("action.proposing");
    tx.commit().await?;
    abort_point("action.proposed");
    announce(ctx, &action);
    Ok(action)
}

/// Lets the automation policy look at a new action: what it decides, and what happens when nobody answers.
async fn weigh(
    tx: &mut Tx,
    rules: &Rules,
    action: &mut Action,
    grounds: Option<Grounds>,
    now: Timestamp,
) -> Result<Option<Judged>, StoreError> {
    let device = automation::device_concerned(tx, &action.spec, action.investigation_id).await?;
    rules.plan(action, device.as_ref(), now);
    let Some(grounds) = grounds else { return Ok(None) };
    let others = automation::ran_unattended(tx, action.investigation_id).await?;
    let judged = rules.judge(action, &grounds, device.as_ref(), &others);
    action.approval.note(now, "automation", judged.reason.clone());
    action.approval.grounds = Some(grounds);
    Ok(Some(judged))
}

/// Who orders an action approves it; a second person follows where two are needed.
async fn approve_own(
    ctx: &Ctx,
    tx: &mut Tx,
    action: &mut Action,
    by: &str,
    comment: Option<String>,
    now: Timestamp,
) -> Result<(), ActionError> {
    let is_person = !by.contains(':') && by != "system";
    if action.approval.needed < 2 {
        return match is_person {
            true => approval::give(ctx, tx, action, by, comment, now).await,
            false => decide(tx, action, by, comment, now, None).await,
        };
    }
    if is_person {
        approval::give(ctx, tx, action, by, comment, now).await?;
    } else {
        notifications::tell_pending(ctx, tx, NotificationKind::Approval, action, now).await?;
    }
    Ok(spread(tx, action, now).await?)
}

/// Notes at an action which one was ordered in its place.
async fn replaced(tx: &mut Tx, id: ActionId, by_action: &Action, by: &str, now: Timestamp) -> Result<(), ActionError> {
    let mut old = load(tx, id).await?;
    old.approval.again = Some(by_action.id);
    old.approval.note(now, by, Text::new(format!("Ordered again by {by}."), format!("{by} がもう一度実行しました。")));
    old.version = tx.put_action(&old).await?;
    tx.audit(&audit(now, by, "action.again", &old, json!({"by_action": by_action.id.to_string()}))).await?;
    Ok(())
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
        && !matches!(
            undo.state,
            ActionState::Failed | ActionState::Expired | ActionState::Cancelled | ActionState::Declined
        )
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
        approval: Default::default(),
        incident_id: done.incident_id,
        investigation_id: done.investigation_id,
        receipts: fresh_receipts(targets, now),
        follow_up: None,
        undone_by: None,
        undoes: Some(done.id),
        created_at: now,
        finished_at: None,
        expires_at: now,
        version: 1,
    };
    let rules = Rules::load(ctx, &mut tx).await?;
    weigh(&mut tx, &rules, &mut action, None, now).await?;
    tx.insert_action(&action, None).await?;
    done.undone_by = Some(action.id);
    follow_up::stand_down(&mut tx, &mut done, by, now).await?;
    done.version = tx.put_action(&done).await?;
    tx.audit(&audit(now, by, "action.undo", &done, json!({"by_action": action.id.to_string()}))).await?;
    approve_own(ctx, &mut tx, &mut action, by, None, now).await?;
    abort_point("undo.ordering");
    tx.commit().await?;
    abort_point("undo.ordered");
    announce(ctx, &done);
    announce(ctx, &action);
    Ok(action)
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
            if demo.is_none()
                && let Some(reason) = guard(ctx, indicator).await?
            {
                return Err(ActionError::Invalid { field: "value", reason });
            }
            if let Some(reason) = crate::indicators::guard::scope(&indicator.scope) {
                return Err(ActionError::Invalid { field: "scope", reason });
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

/// Says why an indicator must not be put in force.
async fn guard(ctx: &Ctx, indicator: &hinomi_model::IndicatorSpec) -> Result<Option<Text>, ActionError> {
    use crate::indicators::guard;
    if let Some(reason) = guard::refusal(indicator, &ctx.config.gateway.own_domains) {
        return Ok(Some(reason));
    }
    match indicator.kind {
        IndicatorKind::SubjectPattern => Ok(guard::patterns(ctx.indicators.get().patterns() + 1)),
        IndicatorKind::FileSha256 if indicator.action.blocks() => {
            let file = EntityKey::file(&indicator.value);
            let devices = Some(hinomi_model::EntityKind::Device);
            let seen = ctx.store.sightings_within(&file, None, devices, &hinomi_store::Page::first(200)).await?;
            Ok(guard::system_file(&seen.items))
        }
        _ => Ok(None),
    }
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

/// Marks an action approved and orders its job; `why`: what automation decided it by.
async fn decide(
    tx: &mut Tx,
    action: &mut Action,
    by: &str,
    comment: Option<String>,
    now: Timestamp,
    why: Option<&Text>,
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
    let mut detail = json!({"comment": action.comment});
    if let Some(why) = why {
        detail["reason"] = json!(why);
    }
    let entry = audit(now, by, "action.approve", action, detail);
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

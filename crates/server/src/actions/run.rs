//! Running an approved action.

use super::receipts::{end, finish, store};
use super::{ActionError, announce, device_of, load, save};
use crate::abort::abort_point;
use crate::app::Ctx;
use crate::jobs::Outcome;
use crate::mailboxes::{Halt, Order};
use crate::{ids, indicators};
use anyhow::Context;
use hinomi_model::{
    Action, ActionId, ActionSpec, ActionState, DeviceId, EntityKey, EntityKind, Indicator, IndicatorAction,
    IndicatorId, IndicatorKind, IndicatorSpec, MessageCopyRef, Receipt, ReceiptState, Text, Timestamp,
};
use hinomi_store::{Job, JobFilter, JobState, LeasedJob, Page};
use hinomi_wire::Command;
use serde_json::json;
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;

/// Receipts of mailbox work are stored together at this pace …
const RECEIPTS_EVERY: Duration = Duration::from_millis(200);
/// … at most so many.
const RECEIPTS_TOGETHER_MAX: usize = 500;
/// Pause between two looks whether an action was held or stopped.
const WATCH_EVERY: Duration = Duration::from_millis(250);
/// Seconds connected devices have to acknowledge a new block list before the action stops waiting.
const SETTLE_SECONDS: i64 = 30;

/// Runs or resumes an action; called by its job, possibly again after a crash.
///
/// # Errors
/// When it could not be run now; the job tries again.
pub(crate) async fn run(ctx: &Ctx, job: &LeasedJob) -> anyhow::Result<Outcome> {
    let payload: serde_json::Value = serde_json::from_str(&job.payload).context("read action job")?;
    let id: ActionId = payload["action"].as_str().unwrap_or_default().parse().context("read action id")?;
    let action = ctx.store.action(id).await?.context("the action is gone")?;
    if !matches!(action.state, ActionState::Queued | ActionState::Running | ActionState::Cancelling) {
        return Ok(Outcome::Done);
    }
    if id.demo().is_some() {
        super::demo::pretend(ctx, id).await?;
        return Ok(Outcome::Done);
    }
    if payload["settle"].as_bool() == Some(true) {
        settle(ctx, id).await?;
        return Ok(Outcome::Done);
    }
    match &action.spec {
        spec if spec.message_remedy().is_some() => return on_mail(ctx, id, job).await,
        ActionSpec::RestoreMessages { .. } => return on_mail(ctx, id, job).await,
        ActionSpec::AddIndicator { indicator } => add_indicator(ctx, &action, indicator).await?,
        ActionSpec::RemoveIndicator { indicator_id } => remove_indicator(ctx, &action, *indicator_id).await?,
        _ => order(ctx, &action).await?,
    }
    Ok(Outcome::Done)
}

/// Marks an action failed whose job gave up.
///
/// # Errors
/// When the store fails.
pub(crate) async fn give_up(ctx: &Ctx, payload: &str, error: &str) -> anyhow::Result<()> {
    let payload: serde_json::Value = serde_json::from_str(payload).unwrap_or_default();
    let Some(id) = payload["action"].as_str().and_then(|id| id.parse::<ActionId>().ok()) else { return Ok(()) };
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut action = load(&mut tx, id).await?;
    if !matches!(action.state, ActionState::Queued | ActionState::Running | ActionState::Cancelling) {
        return Ok(());
    }
    let now = ctx.now();
    for receipt in action.receipts.iter_mut().filter(|receipt| is_open(receipt)) {
        receipt.state = ReceiptState::Failed;
        receipt.detail = Text::new(format!("Gave up: {error}"), format!("中止しました: {error}"));
        receipt.at = now;
    }
    finish(&mut action, now);
    save(&mut tx, &mut action, now).await?;
    tx.audit(&super::audit(now, "system", "action.fail", &action, json!({"error": error}))).await?;
    tx.commit().await?;
    announce(ctx, &action);
    Ok(())
}

fn is_open(receipt: &Receipt) -> bool {
    receipt.is_open()
}

/// Orders a command from a device. The command is stored once per action, whatever crashes between.
async fn order(ctx: &Ctx, action: &Action) -> anyhow::Result<()> {
    let device = device_of(&action.spec).context("the action names no device")?;
    if ctx.store.commands_of_action(action.id).await?.is_empty() {
        let command = match &action.spec {
            ActionSpec::StopProcessTree { process } => Command::StopProcessTree { process: *process },
            ActionSpec::QuarantineFile { sha256, paths, .. } => {
                Command::QuarantineFile { sha256: sha256.clone(), paths: paths.clone() }
            }
            ActionSpec::RestoreFile { sha256, .. } => Command::RestoreFile { sha256: sha256.clone() },
            ActionSpec::IsolateDevice { lease_seconds, .. } => Command::Isolate { lease_seconds: *lease_seconds },
            ActionSpec::ReleaseDevice { .. } => Command::Release,
            ActionSpec::CollectStatus { .. } => Command::CollectStatus,
            other => anyhow::bail!("{} is not for a device", other.kind()),
        };
        ctx.hub.send(ctx, device, command, Some(action.id), action.expires_at).await?;
    }
    let online = ctx.hub.online(device);
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut action = load(&mut tx, action.id).await?;
    // the receipt may have been quicker than we are
    if action.state != ActionState::Queued {
        return Ok(());
    }
    let now = ctx.now();
    for receipt in action.receipts.iter_mut().filter(|receipt| receipt.state == ReceiptState::Pending) {
        receipt.at = now;
        if online {
            receipt.state = ReceiptState::Running;
        } else {
            receipt.detail = Text::new(
                "The device is offline; it is told when it connects.",
                "デバイスはオフラインです。接続時に実行されます。",
            );
        }
    }
    if online {
        action.state = ActionState::Running;
    }
    save(&mut tx, &mut action, now).await?;
    tx.commit().await?;
    abort_point("order.marked");
    announce(ctx, &action);
    Ok(())
}

/// Works on mailboxes until the action is done, held, stopped, or the server stops.
async fn on_mail(ctx: &Ctx, id: ActionId, job: &LeasedJob) -> anyhow::Result<Outcome> {
    if is_taken(ctx, id, job).await? {
        return Ok(Outcome::Later(ctx.now().plus_seconds(1)));
    }
    let Some(action) = begin(ctx, id).await? else { return Ok(Outcome::Done) };
    let mail = ctx.mail.get().context("mailboxes are not configured")?;
    // a stopped action only finishes what was begun, and tells what a killed server had done
    let begun: Option<HashSet<MessageCopyRef>> = match action.state {
        ActionState::Cancelling => Some(ctx.store.journal(id).await?.into_iter().map(|row| row.copy).collect()),
        _ => None,
    };
    let open =
        |copy: &MessageCopyRef| is_wanted(&action, copy) && begun.as_ref().is_none_or(|begun| begun.contains(copy));
    let halt = Halt::default();
    let (sender, receiver) = mpsc::unbounded_channel();
    let work = async {
        // the sender goes into the callback and ends with the work: that ends the other half
        let tell = move |receipt: Receipt| drop(sender.send(receipt));
        match (&action.spec, action.spec.message_remedy()) {
            (spec, Some((remedy, copies))) => {
                let wanted: Vec<MessageCopyRef> = copies.iter().filter(|copy| open(copy)).cloned().collect();
                let order = Order { action: id, remedy, senders_copy: spec.senders_copy() };
                mail.treat_until(order, &wanted, &halt, &tell).await.map(drop)
            }
            (ActionSpec::RestoreMessages { action_id }, _) => {
                mail.restore_until(id, *action_id, &open, &halt, &tell).await.map(drop)
            }
            _ => Ok(()),
        }
    };
    let both = async { tokio::join!(work, collect(ctx, id, receiver)) };
    let (worked, stored) = tokio::select! {
        done = both => done,
        never = watch(ctx, &action, &halt) => match never {},
    };
    worked?;
    stored?;
    abort_point("mail.worked");
    end(ctx, id).await?;
    // cut short by the server's own end: the next one goes on
    let left = ctx.store.action_state(id).await? == Some(ActionState::Running);
    Ok(if left { Outcome::Later(ctx.now()) } else { Outcome::Done })
}

/// True while an earlier job still works on the same action: it was held and goes on before that job
/// has stopped.
async fn is_taken(ctx: &Ctx, id: ActionId, job: &LeasedJob) -> anyhow::Result<bool> {
    let filter = JobFilter { state: vec![JobState::Leased], kind: Some(super::JOB.to_owned()) };
    let leased = ctx.store.jobs(&filter, &Page::first(200)).await?.items;
    let payload = serde_json::from_str::<serde_json::Value>(&job.payload).unwrap_or_default();
    let same = |other: &str| {
        serde_json::from_str::<serde_json::Value>(other).is_ok_and(|other| other["action"] == payload["action"])
    };
    debug_assert_eq!(payload["action"].as_str(), Some(id.to_string().as_str()));
    Ok(leased.iter().any(|other| other.id < job.id && same(&other.payload)))
}

/// Halts the work when the action is held or stopped, or the server stops.
async fn watch(ctx: &Ctx, action: &Action, halt: &Halt) -> Infallible {
    loop {
        tokio::select! {
            () = ctx.stop.cancelled() => break,
            () = tokio::time::sleep(WATCH_EVERY) => {}
        }
        let state = ctx.store.action_state(action.id).await;
        if action.state == ActionState::Running && state.is_ok_and(|state| state != Some(ActionState::Running)) {
            break;
        }
    }
    halt.store(true, Ordering::Relaxed);
    std::future::pending().await
}

/// True when a copy has no settled receipt: a resumed action goes on with these.
fn is_wanted(action: &Action, copy: &MessageCopyRef) -> bool {
    let target = EntityKey::message_copy(copy.message_id, &copy.recipient);
    action.receipts.iter().find(|receipt| receipt.target == target).is_none_or(is_open)
}

/// Marks a queued action as running and arms it; none when a person held or withdrew it meanwhile.
async fn begin(ctx: &Ctx, id: ActionId) -> Result<Option<Action>, ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut action = load(&mut tx, id).await?;
    if action.state == ActionState::Queued {
        let now = ctx.now();
        action.state = ActionState::Running;
        super::follow_up::arm(ctx, &mut tx, &mut action, now).await?;
        save(&mut tx, &mut action, now).await?;
        tx.commit().await?;
        abort_point("mail.begun");
        announce(ctx, &action);
    }
    Ok(matches!(action.state, ActionState::Running | ActionState::Cancelling).then_some(action))
}

/// Stores receipts while they come in, several in one transaction; ends when their sender does.
async fn collect(ctx: &Ctx, id: ActionId, mut receipts: mpsc::UnboundedReceiver<Receipt>) -> Result<(), ActionError> {
    let mut ready = Vec::new();
    while receipts.recv_many(&mut ready, RECEIPTS_TOGETHER_MAX).await > 0 {
        tokio::time::sleep(RECEIPTS_EVERY).await;
        while ready.len() < RECEIPTS_TOGETHER_MAX
            && let Ok(receipt) = receipts.try_recv()
        {
            ready.push(receipt);
        }
        store(ctx, id, std::mem::take(&mut ready)).await?;
    }
    Ok(())
}

async fn add_indicator(ctx: &Ctx, action: &Action, spec: &IndicatorSpec) -> anyhow::Result<()> {
    let by = action.decided_by.clone().unwrap_or_else(|| action.proposed_by.clone());
    let entity = spec.entity();
    let file = spec.kind == IndicatorKind::FileSha256;
    if waits(action, &entity) {
        let _turn = ctx.desk.turn().await;
        let mut tx = ctx.store.begin().await?;
        let mut action = load(&mut tx, action.id).await?;
        let now = ctx.now();
        let known = tx.indicator_of(spec.kind, &spec.value).await?;
        let in_force = |known: &Indicator| known.spec.expires_at.is_none_or(|end| end > now);
        let (id, state, detail) = match known.filter(in_force) {
            Some(known) if known.spec.action == spec.action && known.spec.scope == spec.scope => {
                (known.id, ReceiptState::AlreadyDone, Text::new("It is in force already.", "すでに有効です。"))
            }
            Some(mut known) => {
                let before = known.list_version.filter(|_| indicators::on_sensors(&known.spec));
                known.spec = spec.clone();
                let next = indicators::list_version(&mut tx, spec).await?;
                known.list_version = next.map(|next| before.unwrap_or(next));
                tx.update_indicator(&known, known.version).await?;
                (
                    known.id,
                    ReceiptState::Done,
                    Text::new("The indicator was changed.", "インジケーターを変更しました。"),
                )
            }
            None => {
                let mut indicator = new_indicator(spec, &by, &action, now);
                indicator.list_version = indicators::list_version(&mut tx, spec).await?;
                tx.add_indicator(&indicator, now).await?;
                (indicator.id, ReceiptState::Done, in_force_text(spec.kind))
            }
        };
        indicators::changed(&mut tx, file).await?;
        for receipt in action.receipts.iter_mut().filter(|receipt| receipt.target == entity) {
            receipt.state = state;
            receipt.detail = detail.clone();
            receipt.proof = Some(json!({"indicator_id": id.to_string()}).to_string());
            receipt.at = now;
        }
        action.state = ActionState::Running;
        save(&mut tx, &mut action, now).await?;
        // an investigation has looked at every device and mailbox before it blocks
        let days = ctx.config.indicators.look_back_days;
        if days > 0
            && action.investigation_id.is_none()
            && spec.action != IndicatorAction::Allow
            && state == ReceiptState::Done
        {
            let sought = indicators::look::Sought::Indicators(vec![id]);
            indicators::look::order(&mut tx, sought, &by, days, true, now).await?;
        }
        let detail = json!({"indicator": id.to_string(), "value": spec.value, "kind": spec.kind});
        tx.audit(&super::audit(now, &by, "indicator.add", &action, detail)).await?;
        tx.commit().await?;
        abort_point("indicator.stored");
    }
    tell_devices(ctx, action.id, file, Some((spec.kind, &spec.value))).await
}

/// True while an indicator action has not changed its indicator. Receipt and indicator are one
/// transaction, so a resumed action goes on where it was.
fn waits(action: &Action, indicator: &EntityKey) -> bool {
    action.receipts.iter().any(|receipt| receipt.target == *indicator && is_open(receipt))
}

fn new_indicator(spec: &IndicatorSpec, by: &str, action: &Action, now: Timestamp) -> Indicator {
    Indicator {
        id: ids::new(),
        spec: spec.clone(),
        created_by: by.to_owned(),
        created_at: now,
        incident_id: action.incident_id,
        import_id: None,
        list_version: None,
        hits: 0,
        last_hit: None,
        version: 1,
    }
}

fn in_force_text(kind: IndicatorKind) -> Text {
    match kind {
        IndicatorKind::FileSha256 => {
            Text::new("In force at the gateway and on sensors.", "ゲートウェイとセンサーで有効になりました。")
        }
        IndicatorKind::FileSha1 | IndicatorKind::FileMd5 => Text::new(
            "In force: an alert is raised where it is seen. Files are stopped by SHA-256 only.",
            "有効になりました。確認された場合にアラートを作成します (ファイルを停止できるのは SHA-256 のみです)。",
        ),
        IndicatorKind::CertificateSha256 => Text::new(
            "Kept. Not enforced: nothing here carries signatures to compare.",
            "保管しました。照合できる署名がないため、適用はされません。",
        ),
        _ => Text::new("In force at the gateway.", "ゲートウェイで有効になりました。"),
    }
}

async fn remove_indicator(ctx: &Ctx, action: &Action, id: IndicatorId) -> anyhow::Result<()> {
    let by = action.decided_by.clone().unwrap_or_else(|| action.proposed_by.clone());
    // an indicator that is gone is named by the receipt alone
    let target = action.receipts.iter().find(|receipt| receipt.target.kind != EntityKind::Device);
    let target = target.map(|receipt| receipt.target.clone());
    let file = target.as_ref().is_some_and(|target| target.kind == EntityKind::File);
    let mut removed = None;
    if target.is_some_and(|target| waits(action, &target)) {
        let _turn = ctx.desk.turn().await;
        let mut tx = ctx.store.begin().await?;
        let mut action = load(&mut tx, action.id).await?;
        let now = ctx.now();
        let known = tx.indicator(id).await?;
        removed = known.as_ref().map(|known| (known.spec.kind, known.spec.value.clone()));
        if known.is_some() {
            tx.delete_indicator(id).await?;
        }
        indicators::changed(&mut tx, file).await?;
        let (state, detail) = match known {
            Some(_) => (ReceiptState::Done, Text::new("Removed.", "削除しました。")),
            None => (ReceiptState::AlreadyDone, Text::new("It was gone already.", "すでに削除されています。")),
        };
        for receipt in action.receipts.iter_mut().filter(|receipt| is_open(receipt)) {
            receipt.state = state;
            receipt.detail = detail.clone();
            receipt.at = now;
        }
        action.state = ActionState::Running;
        save(&mut tx, &mut action, now).await?;
        tx.audit(&super::audit(now, &by, "indicator.remove", &action, json!({"indicator": id.to_string()}))).await?;
        tx.commit().await?;
        abort_point("indicator.stored");
    }
    let removed = removed.as_ref().map(|(kind, value)| (*kind, value.as_str()));
    tell_devices(ctx, action.id, file, removed).await
}

/// Puts the changed indicators in force; for files, connected devices get a receipt of their own.
async fn tell_devices(
    ctx: &Ctx,
    id: ActionId,
    file: bool,
    changed: Option<(IndicatorKind, &str)>,
) -> anyhow::Result<()> {
    let waiting = if file {
        // receipts exist before the commands leave, so that no answer is too quick
        let waiting = await_devices(ctx, id, &ctx.hub.devices()).await?;
        abort_point("devices.awaited");
        match changed {
            Some((kind, value)) => indicators::publish_one(ctx, kind, value, id, &waiting).await?,
            // known no more: a server that was killed goes on
            None => indicators::publish(ctx, Some(id), &waiting).await?,
        }
        abort_point("indicator.published");
        waiting
    } else {
        match changed {
            Some((kind, value)) => indicators::publish_one(ctx, kind, value, id, &[]).await?,
            None => indicators::load(ctx).await?,
        }
        Vec::new()
    };
    if waiting.is_empty() {
        return settle(ctx, id).await;
    }
    let job = Job {
        kind: super::JOB.to_owned(),
        key: format!("action:{id}:settle"),
        payload: json!({"action": id.to_string(), "settle": true}).to_string(),
        run_at: ctx.now().plus_seconds(SETTLE_SECONDS),
    };
    ctx.store.enqueue(job).await?;
    abort_point("settle.ordered");
    Ok(())
}

/// Gives each device a receipt to fill; returns the devices that still have to answer, also those
/// that were connected before a restart.
async fn await_devices(ctx: &Ctx, id: ActionId, devices: &[DeviceId]) -> Result<Vec<DeviceId>, ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut action = load(&mut tx, id).await?;
    let now = ctx.now();
    for device in devices {
        let target = EntityKey::device(*device);
        if action.receipts.iter().all(|receipt| receipt.target != target) {
            let detail = Text::new("The block list is on its way.", "ブロック一覧を送信中です。");
            action.receipts.push(Receipt { target, state: ReceiptState::Running, detail, proof: None, at: now });
        }
    }
    let open = action.receipts.iter().filter(|receipt| is_open(receipt));
    let waiting = open.filter_map(|receipt| receipt.target.as_device()).collect();
    action.version = tx.put_action(&action).await?;
    tx.commit().await?;
    Ok(waiting)
}

/// Ends an indicator action: devices that have not answered get the list when they connect again.
async fn settle(ctx: &Ctx, id: ActionId) -> anyhow::Result<()> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut action = load(&mut tx, id).await?;
    if !matches!(action.state, ActionState::Queued | ActionState::Running) {
        return Ok(());
    }
    let now = ctx.now();
    for receipt in action.receipts.iter_mut().filter(|receipt| is_open(receipt)) {
        receipt.state = ReceiptState::NotFound;
        receipt.detail = Text::new(
            "The device did not answer; it gets the list when it connects.",
            "デバイスから応答がありません。次の接続時に反映されます。",
        );
        receipt.at = now;
    }
    finish(&mut action, now);
    save(&mut tx, &mut action, now).await?;
    tx.commit().await?;
    announce(ctx, &action);
    Ok(())
}

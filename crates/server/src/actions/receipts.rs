//! Receipts: what became of each target.

use super::{ActionError, announce, load, save};
use crate::abort::abort_point;
use crate::app::Ctx;
use hinomi_model::{
    Action, ActionId, ActionSpec, ActionState, CommandId, DeviceId, EntityKey, Receipt, ReceiptState, Text, Timestamp,
};
use hinomi_store::CommandState;
use hinomi_wire::CommandResult;
use serde_json::json;

/// Proof kept of one receipt, bytes.
const PROOF_BYTES_MAX: usize = 16 * 1024;

/// Takes the receipt of a command: the command is finished and its action moves on. A receipt that
/// arrives twice, late or for a command of no action changes nothing else.
///
/// # Errors
/// When it cannot be stored; the sensor sends it again.
pub async fn on_command_result(
    ctx: &Ctx,
    device: DeviceId,
    command: CommandId,
    result: CommandResult,
) -> anyhow::Result<()> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let Some(row) = tx.command(command).await? else { return Ok(()) };
    if row.device_id != device {
        tracing::warn!(device.id = %device, "{device} answered command {command} of another device");
        return Ok(());
    }
    let answer = json!({"state": result.state, "detail": result.detail, "proof": result.proof, "at": result.at});
    let answer = answer.to_string();
    if row.result.as_deref() == Some(answer.as_str()) {
        return Ok(());
    }
    if row.state == CommandState::Open {
        tx.finish_command(command, &answer).await?;
    }
    let mut changed = None;
    if let Some(id) = row.action_id
        && let Some(mut action) = tx.action(id).await?
    {
        if record(&mut action, device, &result, ctx.now()) {
            finish(&mut action, ctx.now());
            save(&mut tx, &mut action, ctx.now()).await?;
            let detail = json!({"device": device.to_string(), "state": result.state, "detail": result.detail.en});
            tx.audit(&super::audit(ctx.now(), "sensor", "action.receipt", &action, detail)).await?;
        }
        changed = Some(action);
    }
    abort_point("receipt.arrived");
    tx.commit().await?;
    abort_point("receipt.stored");
    ctx.hub.answered();
    if let Some(action) = changed {
        announce(ctx, &action);
    }
    Ok(())
}

/// Ends what waited for commands that expired: the device was told but never answered.
///
/// # Errors
/// When the store fails.
pub(crate) async fn expire_commands(ctx: &Ctx, now: Timestamp) -> Result<(), ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut changed = Vec::new();
    for row in tx.expire_commands(now).await? {
        let Some(id) = row.action_id else { continue };
        let Some(mut action) = tx.action(id).await? else { continue };
        if !matches!(action.state, ActionState::Queued | ActionState::Running) {
            continue;
        }
        let result = CommandResult {
            state: ReceiptState::Failed,
            detail: Text::new("The device did not answer in time.", "デバイスから期限までに応答がありませんでした。"),
            proof: serde_json::Value::Null,
            status: None,
            at: now,
        };
        if record(&mut action, row.device_id, &result, now) {
            finish(&mut action, now);
            save(&mut tx, &mut action, now).await?;
            let detail = json!({"device": row.device_id.to_string()});
            tx.audit(&super::audit(now, "system", "action.expire", &action, detail)).await?;
            changed.push(action);
        }
    }
    tx.commit().await?;
    changed.iter().for_each(|action| announce(ctx, action));
    Ok(())
}

/// Writes a sensor's answer into the receipt of its target. Late answers count: the act was done
/// even if we had given up on it.
fn record(action: &mut Action, device: DeviceId, result: &CommandResult, now: Timestamp) -> bool {
    let target = match &action.spec {
        ActionSpec::AddIndicator { .. } | ActionSpec::RemoveIndicator { .. } => EntityKey::device(device),
        spec => match hinomi_cases::targets_of(spec).into_iter().next() {
            Some(target) => target,
            None => return false,
        },
    };
    let proof = result.proof.to_string();
    let proof = (!result.proof.is_null() && proof.len() <= PROOF_BYTES_MAX).then_some(proof);
    let receipt = Receipt { target, state: result.state, detail: result.detail.clone(), proof, at: now };
    let Some(known) = action.receipts.iter_mut().find(|known| known.target == receipt.target) else {
        action.receipts.push(receipt);
        return true;
    };
    // what was given up on (failed, a device that did not answer) gives way to the truth
    let settled = matches!(known.state, ReceiptState::Done | ReceiptState::AlreadyDone | ReceiptState::Undone);
    if !settled {
        *known = receipt;
    }
    !settled
}

/// Moves an action to the state its receipts say.
pub(super) fn finish(action: &mut Action, now: Timestamp) {
    if matches!(action.state, ActionState::Cancelled | ActionState::Undone) {
        return;
    }
    match action.state_of_receipts() {
        Some(state) => {
            action.state = state;
            action.finished_at = Some(now);
        }
        None => action.state = ActionState::Running,
    }
}

/// Stores receipts of mailbox work as they arrive.
pub(super) async fn store(ctx: &Ctx, id: ActionId, receipts: Vec<Receipt>) -> Result<(), ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut action = load(&mut tx, id).await?;
    for receipt in receipts {
        match action.receipts.iter_mut().find(|known| known.target == receipt.target) {
            Some(known) => *known = receipt,
            None => action.receipts.push(receipt),
        }
    }
    action.version = tx.put_action(&action).await?;
    tx.commit().await?;
    abort_point("mail.receipts");
    announce(ctx, &action);
    Ok(())
}

/// Ends mailbox work: of an action that was held meanwhile nothing, of a stopped one what was not
/// tried is told, and one the server's own end cut short stays as it is.
pub(super) async fn end(ctx: &Ctx, id: ActionId) -> Result<(), ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut action = load(&mut tx, id).await?;
    let now = ctx.now();
    let left = action.receipts.iter().any(Receipt::is_open);
    match action.state {
        ActionState::Paused if left => return Ok(()),
        ActionState::Running if left && ctx.stop.is_cancelled() => return Ok(()),
        ActionState::Cancelling => super::hold::tell_cancelled(&mut action, now),
        ActionState::Running | ActionState::Paused => {
            for receipt in action.receipts.iter_mut().filter(|receipt| receipt.is_open()) {
                receipt.state = ReceiptState::Failed;
                receipt.detail = Text::new("No answer for this target.", "この対象の結果がありません。");
                receipt.at = now;
            }
        }
        _ => return Ok(()),
    }
    finish(&mut action, now);
    let detail = json!({"state": action.state.word(), "targets": action.receipts.len()});
    tx.audit(&super::audit(now, "system", "action.finish", &action, detail)).await?;
    save(&mut tx, &mut action, now).await?;
    tx.commit().await?;
    abort_point("action.finished");
    announce(ctx, &action);
    Ok(())
}

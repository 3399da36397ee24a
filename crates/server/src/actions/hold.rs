//! Holding mail actions: pause, resume, cancel, retry what failed.
//!
//! What was begun is finished; a job that runs meanwhile sees the new state and stops between two
//! copies. The journal says what was done, so nothing is done twice.

use super::{ActionError, announce, audit, close, follow_up, load, queue, save, want};
use crate::app::Ctx;
use hinomi_model::{Action, ActionId, ActionSpec, ActionState, Receipt, ReceiptState, Text};
use serde_json::json;

/// Holds a mail action; see [`resume`].
///
/// # Errors
/// [`ActionError`] when it is none or does not run.
pub async fn pause(ctx: &Ctx, id: ActionId, by: &str) -> Result<Action, ActionError> {
    change(ctx, id, by, "pause", &[ActionState::Queued, ActionState::Running], |action| {
        action.state = ActionState::Paused;
        false
    })
    .await
}

/// Goes on with a held action.
///
/// # Errors
/// [`ActionError`] when it is not held.
pub async fn resume(ctx: &Ctx, id: ActionId, by: &str) -> Result<Action, ActionError> {
    change(ctx, id, by, "resume", &[ActionState::Paused], |action| {
        action.state = ActionState::Queued;
        true
    })
    .await
}

/// Tries the targets that failed once more, within the same action.
///
/// # Errors
/// [`ActionError`] when none failed.
pub async fn retry(ctx: &Ctx, id: ActionId, by: &str) -> Result<Action, ActionError> {
    ctx.try_mail_now();
    let over = [ActionState::PartiallySucceeded, ActionState::Failed, ActionState::Cancelled];
    change(ctx, id, by, "retry", &over, |action| {
        let mut failed = false;
        for receipt in action.receipts.iter_mut().filter(|receipt| receipt.state == ReceiptState::Failed) {
            receipt.state = ReceiptState::Pending;
            failed = true;
        }
        // undone meanwhile: there is nothing to try any more
        if failed && action.undone_by.is_none() {
            action.state = ActionState::Queued;
            action.finished_at = None;
        }
        failed
    })
    .await
}

/// Withdraws an action that has not begun, or stops a mail action: what was begun is finished, the
/// rest is told as cancelled.
///
/// # Errors
/// [`ActionError`] when it is over, or runs on a device.
pub async fn cancel(ctx: &Ctx, id: ActionId, by: &str) -> Result<Action, ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut action = load(&mut tx, id).await?;
    let now = ctx.now();
    let untouched = action.receipts.iter().all(Receipt::is_open);
    let waits = matches!(action.state, ActionState::PendingApproval | ActionState::Queued);
    if waits && untouched {
        close(&mut tx, &mut action, ActionState::Cancelled, now).await?;
    } else {
        want(&action, "cancel", of_mail(&action, &[ActionState::Queued, ActionState::Running, ActionState::Paused]))?;
        action.state = ActionState::Cancelling;
        follow_up::stand_down(&mut tx, &mut action, by, now).await?;
        let key = format!("action:{id}:cancel:{}", action.version);
        queue(&mut tx, &mut action, key, now).await?;
        save(&mut tx, &mut action, now).await?;
    }
    tx.audit(&audit(now, by, "action.cancel", &action, json!({}))).await?;
    tx.commit().await?;
    announce(ctx, &action);
    ctx.jobs.notify_one();
    Ok(action)
}

/// Changes a mail action and lets its job run again when `how` says so.
async fn change(
    ctx: &Ctx,
    id: ActionId,
    by: &str,
    wanted: &'static str,
    states: &[ActionState],
    how: impl FnOnce(&mut Action) -> bool,
) -> Result<Action, ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut action = load(&mut tx, id).await?;
    want(&action, wanted, of_mail(&action, states))?;
    let (now, before) = (ctx.now(), action.clone());
    let runs = how(&mut action);
    if action.state == before.state {
        return Err(ActionError::WrongState { what: "action", state: before.state.word(), wanted });
    }
    if runs {
        let key = format!("action:{id}:{wanted}:{}", action.version);
        queue(&mut tx, &mut action, key, now).await?;
    }
    save(&mut tx, &mut action, now).await?;
    tx.audit(&audit(now, by, &format!("action.{wanted}"), &action, json!({}))).await?;
    tx.commit().await?;
    announce(ctx, &action);
    Ok(action)
}

/// The states, for actions on mailboxes; none for others.
fn of_mail<'s>(action: &Action, states: &'s [ActionState]) -> &'s [ActionState] {
    let mail = action.spec.message_remedy().is_some() || matches!(action.spec, ActionSpec::RestoreMessages { .. });
    if mail && action.id.demo().is_none() { states } else { &[] }
}

/// Tells the targets of a stopped action that were never tried.
pub(super) fn tell_cancelled(action: &mut Action, now: hinomi_model::Timestamp) {
    for receipt in action.receipts.iter_mut().filter(|receipt| receipt.is_open()) {
        receipt.state = ReceiptState::Cancelled;
        receipt.detail = Text::new("Not tried: the action was stopped.", "対処が中止されたため、実行していません。");
        receipt.at = now;
    }
}

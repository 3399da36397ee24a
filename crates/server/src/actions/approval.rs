//! Approving and declining: by one person, by two different ones, and ordering again.

use super::{ActionError, Proposal, announce, audit, decide, load, propose, save, want};
use crate::abort::abort_point;
use crate::app::Ctx;
use crate::automation::Rules;
use crate::demos;
use crate::notifications;
use hinomi_cases::log;
use hinomi_model::{Action, ActionId, ActionState, GivenApproval, NotificationKind, Text, Timestamp};
use hinomi_store::{StoreError, Tx};
use serde_json::json;

/// Approves a pending action. Once enough different persons have, it is queued and a job runs it.
///
/// # Errors
/// [`ActionError`] when it is not pending, or this person approved it before.
pub async fn approve(ctx: &Ctx, id: ActionId, by: &str, comment: Option<String>) -> Result<Action, ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut action = load(&mut tx, id).await?;
    want(&action, "approve", &[ActionState::PendingApproval])?;
    action.approval.needed = Rules::load(ctx, &mut tx).await?.needed(&action.spec);
    give(ctx, &mut tx, &mut action, by, comment, ctx.now()).await?;
    abort_point("action.approving");
    tx.commit().await?;
    abort_point("action.approved");
    announce(ctx, &action);
    Ok(action)
}

/// Adds one person's approval, and decides when it was the last one needed.
pub(super) async fn give(
    ctx: &Ctx,
    tx: &mut Tx,
    action: &mut Action,
    by: &str,
    comment: Option<String>,
    now: Timestamp,
) -> Result<(), ActionError> {
    let needed = action.approval.needed.max(1);
    if needed > 1 && by.contains(':') {
        return Err(ActionError::NoPerson);
    }
    let before = action.approval.given.iter().any(|given| given.by.eq_ignore_ascii_case(by));
    if before && action.approval.given.len() < needed as usize {
        return Err(ActionError::SamePerson { needed });
    }
    if !before {
        action.approval.given.push(GivenApproval { by: by.to_owned(), at: now, comment: comment.clone() });
    }
    let given = action.approval.given.len();
    let of = if needed > 1 { format!(" ({given}/{needed})") } else { String::new() };
    let text = Text::new(format!("Approved by {by}{of}."), format!("{by} が承認しました{of}。"));
    action.approval.note(now, by, text);
    if given >= needed as usize {
        return decide(tx, action, by, comment, now, None).await;
    }
    action.version = tx.put_action(action).await?;
    let detail = json!({"comment": comment, "approvals": given, "needed": needed});
    demos::audit(tx, action.id.demo(), &audit(now, by, "action.approve", action, detail)).await?;
    let kind = action.spec.kind();
    let text = Text::new(
        format!("Action {kind}: approved by {by}, {given} of {needed}"),
        format!("対処 {kind}: {by} が承認 ({given}/{needed})"),
    );
    tell_incident(tx, action, by, text, now).await?;
    notifications::tell_pending(ctx, tx, NotificationKind::Approval, action, now).await?;
    Ok(())
}

/// Writes a line into the activity of an action's incident.
pub(super) async fn tell_incident(
    tx: &mut Tx,
    action: &Action,
    by: &str,
    text: Text,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(id) = action.incident_id else { return Ok(()) };
    if let Some(mut incident) = tx.incident(id).await? {
        log(&mut incident, now, by, text);
        incident.updated_at = now;
        tx.put_incident(&incident).await?;
    }
    Ok(())
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
    action.approval.note(now, by, Text::new(format!("Declined by {by}."), format!("{by} が却下しました。")));
    save(&mut tx, &mut action, now).await?;
    tx.audit(&audit(now, by, "action.decline", &action, json!({"comment": action.comment}))).await?;
    tx.commit().await?;
    announce(ctx, &action);
    Ok(action)
}

/// Orders an action again that expired, was declined or was withdrawn before it began; asked twice, it
/// answers the one that was ordered first.
///
/// # Errors
/// [`ActionError`] when it is something else, or what it is about cannot be meant any more.
pub async fn again(ctx: &Ctx, id: ActionId, by: &str, comment: Option<String>) -> Result<Action, ActionError> {
    let old = ctx.store.action(id).await?;
    let old = old.ok_or_else(|| ActionError::NotFound { what: "action", id: id.to_string() })?;
    want(&old, "order again", &[ActionState::Expired, ActionState::Declined, ActionState::Cancelled])?;
    let begun = old.receipts.iter().any(|receipt| {
        use hinomi_model::ReceiptState as State;
        !matches!(receipt.state, State::Pending | State::Cancelled)
    });
    if old.undoes.is_some() || begun {
        return Err(ActionError::WrongState { what: "action", state: old.state.word(), wanted: "order again" });
    }
    let proposal = Proposal {
        idempotency_key: Some(format!("again:{id}")),
        approve_now: Some((by, comment)),
        again: Some(id),
        ..Proposal::new(old.spec, old.reason, by, old.incident_id, old.investigation_id)
    };
    propose(ctx, proposal).await
}

//! Actions nobody answers: told before they expire, then run, expired or escalated as the automation
//! policy says.

use super::approval::tell_incident;
use super::{ActionError, announce, audit, close, decide, load};
use crate::app::Ctx;
use crate::automation::{self, Rules};
use crate::{demos, notifications};
use hinomi_model::{Action, ActionState, Device, NotificationKind, Text, Timestamp, UnansweredThen};
use hinomi_store::Tx;
use serde_json::json;

/// Who decides when nobody answers.
const BY: &str = "automation:unanswered";

/// Looks at pending actions whose time has come.
///
/// # Errors
/// When the store fails.
pub async fn look(ctx: &Ctx, now: Timestamp) -> Result<(), ActionError> {
    if ctx.store.due_actions(now).await?.is_empty() {
        return Ok(());
    }
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let rules = Rules::load(ctx, &mut tx).await?;
    let mut changed = Vec::new();
    for due in tx.due_actions(now).await? {
        let mut action = load(&mut tx, due.id).await?;
        if action.state != ActionState::PendingApproval {
            continue;
        }
        let device = automation::device_concerned(&mut tx, &action.spec, action.investigation_id).await?;
        // the policy in force now counts, for the time it was proposed at
        rules.plan(&mut action, device.as_ref(), now);
        if action.approval.unanswered.is_some_and(|turn| turn.at <= now) {
            unanswered(ctx, &mut tx, &rules, &mut action, device.as_ref(), now).await?;
        }
        if action.state == ActionState::PendingApproval && action.approval.notice_at.is_some_and(|at| at <= now) {
            expiring(ctx, &mut tx, &mut action, now).await?;
        }
        action.version = tx.put_action(&action).await?;
        changed.push(action);
    }
    tx.commit().await?;
    changed.iter().for_each(|action| announce(ctx, action));
    ctx.jobs.notify_one();
    Ok(())
}

/// Tells approvers, once, that an action expires soon.
async fn expiring(ctx: &Ctx, tx: &mut Tx, action: &mut Action, now: Timestamp) -> Result<(), ActionError> {
    action.approval.notice_at = None;
    action.approval.noticed_at = Some(now);
    let until = action.expires_at;
    let text = Text::new(
        format!("Approvers were told that it expires at {until}."),
        format!("{until} に期限が切れることを承認者に通知しました。"),
    );
    action.approval.note(now, "system", text);
    notifications::tell_pending(ctx, tx, NotificationKind::ApprovalExpiring, action, now).await?;
    let detail = json!({"expires_at": until});
    demos::audit(tx, action.id.demo(), &audit(now, "system", "action.expiring", action, detail)).await?;
    Ok(())
}

/// Nobody answered in time.
async fn unanswered(
    ctx: &Ctx,
    tx: &mut Tx,
    rules: &Rules,
    action: &mut Action,
    device: Option<&Device>,
    now: Timestamp,
) -> Result<(), ActionError> {
    let Some(turn) = action.approval.unanswered.take() else { return Ok(()) };
    let minutes = turn.at.micros_since(action.created_at) / 60_000_000;
    let nobody = Text::new(
        format!("Nobody answered within {minutes} minutes"),
        format!("{minutes} 分以内に誰も回答しませんでした"),
    );
    match turn.then {
        UnansweredThen::Wait => {}
        UnansweredThen::Run => {
            let others = automation::ran_unattended(tx, action.investigation_id).await?;
            match rules.held(action, device, &others) {
                None => {
                    let text = Text::new(
                        format!("{}: run without a person, as the policy says.", nobody.en),
                        format!("{}。ポリシーに従い自動で実行します。", nobody.ja),
                    );
                    action.approval.note(now, BY, text.clone());
                    tell_incident(tx, action, BY, text.clone(), now).await?;
                    decide(tx, action, BY, None, now, Some(&text)).await?;
                }
                Some(held) => {
                    let text = Text::new(
                        format!("{}; it does not run without a person: {}.", nobody.en, held.en),
                        format!("{}。ただし自動では実行しません: {}。", nobody.ja, held.ja),
                    );
                    escalate(ctx, tx, action, text, now).await?;
                }
            }
        }
        UnansweredThen::Expire => {
            let text = Text::new(
                format!("{}: expired, as the policy says.", nobody.en),
                format!("{}。ポリシーに従い期限切れにしました。", nobody.ja),
            );
            expired(tx, action, text, now).await?;
        }
        UnansweredThen::Escalate => {
            let text = Text::new(
                format!("{}: others are told.", nobody.en),
                format!("{}。ほかの担当者に通知します。", nobody.ja),
            );
            escalate(ctx, tx, action, text, now).await?;
        }
    }
    Ok(())
}

async fn escalate(ctx: &Ctx, tx: &mut Tx, action: &mut Action, text: Text, now: Timestamp) -> Result<(), ActionError> {
    action.approval.escalated_at = Some(now);
    action.approval.note(now, "system", text.clone());
    tell_incident(tx, action, "system", text.clone(), now).await?;
    notifications::tell_pending(ctx, tx, NotificationKind::ApprovalUnanswered, action, now).await?;
    let entry = audit(now, "system", "action.escalate", action, json!({"reason": text}));
    demos::audit(tx, action.id.demo(), &entry).await?;
    Ok(())
}

async fn expired(tx: &mut Tx, action: &mut Action, text: Text, now: Timestamp) -> Result<(), ActionError> {
    action.approval.note(now, "system", text.clone());
    close(tx, action, ActionState::Expired, now).await?;
    let entry = audit(now, "system", "action.expire", action, json!({"reason": text}));
    demos::audit(tx, action.id.demo(), &entry).await?;
    Ok(())
}

/// Ends actions nobody approved and devices that never came back.
///
/// # Errors
/// When the store fails.
pub async fn expire(ctx: &Ctx, now: Timestamp) -> Result<(), ActionError> {
    if ctx.store.expired_actions(now).await?.is_empty() {
        return Ok(());
    }
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut changed = Vec::new();
    for expired_action in tx.expired_actions(now).await? {
        let mut action = load(&mut tx, expired_action.id).await?;
        let text = match action.state {
            ActionState::PendingApproval => Text::new(
                "Expired: it was not approved in time. It can be ordered again.",
                "期限までに承認されなかったため、期限切れになりました。もう一度実行できます。",
            ),
            _ => Text::new(
                "Expired: the device did not come back in time. It can be ordered again.",
                "期限までにデバイスが復帰しなかったため、期限切れになりました。もう一度実行できます。",
            ),
        };
        expired(&mut tx, &mut action, text, now).await?;
        changed.push(action);
    }
    tx.commit().await?;
    changed.iter().for_each(|action| announce(ctx, action));
    Ok(())
}

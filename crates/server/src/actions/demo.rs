//! Actions of demos: proposed, approved and receipted like any other, and nothing happens.

use super::receipts::finish;
use super::{ActionError, Proposal, announce, device_of, load, save};
use crate::app::Ctx;
use hinomi_model::{ActionId, ActionSpec, ActionState, DemoId, EntityKind, Receipt, ReceiptState, Text};
use std::collections::BTreeSet;

/// Returns the demo an action belongs to; none for everything real.
///
/// # Errors
/// When it would touch two demos, or a demo and something real.
pub(super) fn of(proposal: &Proposal<'_>) -> Result<Option<DemoId>, ActionError> {
    let mut origins: BTreeSet<Option<DemoId>> = BTreeSet::new();
    origins.extend(proposal.incident.map(|id| id.demo()));
    origins.extend(proposal.investigation.map(|id| id.demo()));
    origins.extend(device_of(&proposal.spec).map(|id| id.demo()));
    match &proposal.spec {
        spec if let Some((_, copies)) = spec.message_remedy() => {
            origins.extend(copies.iter().map(|copy| copy.message_id.demo()));
        }
        ActionSpec::RestoreMessages { action_id } => drop(origins.insert(action_id.demo())),
        ActionSpec::RemoveIndicator { indicator_id } => drop(origins.insert(indicator_id.demo())),
        _ => {}
    }
    if origins.len() > 1 {
        let reason = Text::new(
            "an action cannot touch a demo and something else",
            "デモとそれ以外の対象を 1 つの対応で扱うことはできません",
        );
        return Err(ActionError::Invalid { field: "spec", reason });
    }
    Ok(origins.pop_first().flatten())
}

/// Ends an action of a demo: every receipt says that nothing was done.
pub(super) async fn pretend(ctx: &Ctx, id: ActionId) -> Result<(), ActionError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut action = load(&mut tx, id).await?;
    if !matches!(action.state, ActionState::Queued | ActionState::Running) {
        return Ok(());
    }
    let now = ctx.now();
    for receipt in &mut action.receipts {
        *receipt = Receipt {
            target: receipt.target.clone(),
            state: ReceiptState::Done,
            detail: nothing_done(&action.spec, receipt.target.kind),
            proof: None,
            at: now,
        };
    }
    finish(&mut action, now);
    save(&mut tx, &mut action, now).await?;
    tx.commit().await?;
    announce(ctx, &action);
    Ok(())
}

fn nothing_done(spec: &ActionSpec, target: EntityKind) -> Text {
    match spec {
        ActionSpec::AddIndicator { .. } | ActionSpec::RemoveIndicator { .. } => Text::new(
            "Demo: nothing was done; no value is blocked or allowed.",
            "デモ: 実際には何も行っていません。値のブロックや許可も行いません。",
        ),
        _ if target == EntityKind::MessageCopy => {
            Text::new("Demo mailbox: nothing was done.", "デモのメールボックス: 実際には何も行っていません。")
        }
        _ => Text::new("Demo device: nothing was done.", "デモの端末: 実際には何も行っていません。"),
    }
}

//! What actions mean for evidence: targets, and the status each entity gets from receipts.

use hinomi_model::{
    Action, ActionSpec, ActionState, EntityKey, EntityKind, Evidence, IndicatorKind, Receipt, ReceiptState,
    RemediationStatus, Text,
};

/// Returns the targets of an action: one receipt each.
pub fn targets_of(spec: &ActionSpec) -> Vec<EntityKey> {
    match spec {
        spec if let Some((_, copies)) = spec.message_remedy() => {
            copies.iter().map(|copy| EntityKey::message_copy(copy.message_id, &copy.recipient)).collect()
        }
        ActionSpec::StopProcessTree { process } => vec![EntityKey::process(process)],
        ActionSpec::QuarantineFile { sha256, .. } | ActionSpec::RestoreFile { sha256, .. } => {
            vec![EntityKey::file(sha256)]
        }
        ActionSpec::IsolateDevice { device_id, .. }
        | ActionSpec::ReleaseDevice { device_id }
        | ActionSpec::CollectStatus { device_id } => vec![EntityKey::device(*device_id)],
        ActionSpec::AddIndicator { indicator } => vec![indicator.entity()],
        // known only with what is undone: the receipts of that action, the indicator
        _ => Vec::new(),
    }
}

/// Writes what an action did into evidence. Returns true when anything changed.
pub fn apply_action(evidence: &mut [Evidence], action: &Action) -> bool {
    let mut changed = false;
    for piece in evidence.iter_mut() {
        let Some((status, detail)) = status_for(piece, action) else { continue };
        let before = (piece.remediation_status, piece.remediation_detail.clone(), piece.action_id);
        piece.remediation_status = status;
        piece.remediation_detail = detail;
        piece.action_id = Some(action.id);
        changed |= before != (piece.remediation_status, piece.remediation_detail.clone(), piece.action_id);
    }
    changed
}

fn status_for(piece: &Evidence, action: &Action) -> Option<(RemediationStatus, Option<Text>)> {
    let receipts: Vec<&Receipt> = match &action.spec {
        // back into the inbox is no remedy for something bad
        ActionSpec::MoveMessagesToInbox { .. } => return None,
        spec if let Some((_, copies)) = spec.message_remedy() => match piece.entity.kind {
            EntityKind::MessageCopy => action.receipts.iter().filter(|r| r.target == piece.entity).collect(),
            EntityKind::Message if copies.iter().any(|copy| copy.message_id.to_string() == piece.entity.value) => {
                action.receipts.iter().filter(|receipt| of_message(receipt, &piece.entity)).collect()
            }
            _ => return None,
        },
        ActionSpec::StopProcessTree { process } => {
            let own = piece.entity.as_process()?;
            let part = own.device_id == process.device_id && (own == *process || own.started_at >= process.started_at);
            // processes above or beside the tree are contextual and keep their status
            if !part || piece.role == hinomi_model::EvidenceRole::Contextual {
                return None;
            }
            action.receipts.iter().collect()
        }
        ActionSpec::QuarantineFile { sha256, .. } if piece.entity == EntityKey::file(sha256) => {
            action.receipts.iter().collect()
        }
        ActionSpec::AddIndicator { indicator } if piece.entity == indicator.entity() => {
            // blocking a file does not remove it: quarantine says whether it is gone
            let removable = indicator.kind == IndicatorKind::FileSha256;
            if removable && piece.remediation_status != RemediationStatus::None {
                return None;
            }
            action.receipts.iter().collect()
        }
        _ => return None,
    };
    if receipts.is_empty() && !action.receipts.is_empty() {
        return None;
    }
    Some(match action.state {
        ActionState::PendingApproval => (RemediationStatus::PendingApproval, None),
        ActionState::Declined => {
            (RemediationStatus::Declined, action.comment.as_ref().map(|text| Text::same(text.clone())))
        }
        // stopped half-way: what was done before stands
        ActionState::Cancelled if receipts.iter().any(|receipt| receipt.state == ReceiptState::Done) => {
            from_receipts(&receipts)
        }
        ActionState::Expired | ActionState::Cancelled | ActionState::Undone => {
            let word = action.state.word();
            (RemediationStatus::Active, Some(Text::new(format!("Action {word}."), state_ja(action.state))))
        }
        _ => from_receipts(&receipts),
    })
}

fn state_ja(state: ActionState) -> &'static str {
    match state {
        ActionState::Expired => "対処は期限切れです。",
        ActionState::Cancelled => "対処は取り消されました。",
        _ => "対処は元に戻されました。",
    }
}

fn of_message(receipt: &Receipt, message: &EntityKey) -> bool {
    receipt.target.value.split('/').next().is_some_and(|id| id == message.value)
}

fn from_receipts(receipts: &[&Receipt]) -> (RemediationStatus, Option<Text>) {
    let count = |states: &[ReceiptState]| receipts.iter().filter(|receipt| states.contains(&receipt.state)).count();
    let open = count(&[ReceiptState::Pending, ReceiptState::Running]);
    let failed = count(&[ReceiptState::Failed]);
    let gone = count(&[ReceiptState::NotFound]);
    let detail = receipts
        .iter()
        .find(|receipt| receipt.state == ReceiptState::Failed)
        .or(receipts.first())
        .map(|receipt| receipt.detail.clone())
        .filter(|text| *text != Text::default());
    let status = match receipts.len() {
        _ if open > 0 => RemediationStatus::Running,
        all if failed == all => RemediationStatus::Unremediated,
        all if gone == all => RemediationStatus::NotFound,
        _ if failed > 0 => RemediationStatus::PartiallyRemediated,
        _ => RemediationStatus::Remediated,
    };
    (status, detail)
}

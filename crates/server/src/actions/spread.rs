//! What a changed action means for its investigation, the alerts and the incident.

use hinomi_cases::{apply_action, log, playbook::final_state};
use hinomi_model::{
    Action, ActionSpec, ActionState, DetectionStatus, IncidentStatus, IsolationState, ReceiptState, Text, Timestamp,
};
use hinomi_store::{ActionFilter, Page, StoreError, Tx};

/// Actions looked at per incident.
const ACTIONS_MAX: u32 = 200;

/// Writes the action's effect into everything that shows it, inside the action's transaction.
///
/// # Errors
/// When the store fails.
pub(crate) async fn spread(tx: &mut Tx, action: &Action, now: Timestamp) -> Result<(), StoreError> {
    if let Some(undone) = action.undoes {
        undo_original(tx, action, undone, now).await?;
    }
    if let Some(id) = action.investigation_id {
        to_investigation(tx, action, id, now).await?;
    }
    if let Some(id) = action.incident_id {
        to_alerts(tx, action, id, now).await?;
        to_incident(tx, action, id, now).await?;
    }
    to_device(tx, action).await
}

/// A finished undo marks the targets of the first action.
async fn undo_original(
    tx: &mut Tx,
    undo: &Action,
    id: hinomi_model::ActionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let over = [ActionState::Succeeded, ActionState::PartiallySucceeded, ActionState::Cancelled];
    if !over.contains(&undo.state) {
        return Ok(());
    }
    let Some(mut original) = tx.action(id).await? else { return Ok(()) };
    if original.state == ActionState::Undone {
        return Ok(());
    }
    let late = original.follow_up.iter_mut().flat_map(|follow_up| &mut follow_up.receipts);
    for receipt in original.receipts.iter_mut().chain(late.map(|late| &mut late.receipt)) {
        let back = undo.receipts.iter().any(|done| {
            done.target == receipt.target && matches!(done.state, ReceiptState::Done | ReceiptState::AlreadyDone)
        });
        if back {
            receipt.state = ReceiptState::Undone;
            receipt.at = now;
        }
    }
    let left = original.all_receipts().any(|receipt| receipt.state == ReceiptState::Done);
    if !left {
        original.state = ActionState::Undone;
    }
    original.undone_by = Some(undo.id);
    tx.put_action(&original).await?;
    if let Some(id) = original.investigation_id {
        to_investigation(tx, &original, id, now).await?;
    }
    if let Some(id) = original.incident_id {
        to_alerts(tx, &original, id, now).await?;
    }
    Ok(())
}

async fn to_investigation(
    tx: &mut Tx,
    action: &Action,
    id: hinomi_model::InvestigationId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(mut investigation) = tx.investigation(id).await? else { return Ok(()) };
    let before = investigation.clone();
    apply_action(&mut investigation.evidence, action);
    if action.undoes.is_none() && !investigation.actions.contains(&action.id) {
        investigation.actions.push(action.id);
    }
    let filter = ActionFilter { investigation: Some(id), ..ActionFilter::default() };
    let actions = tx.actions(&filter, &Page::first(ACTIONS_MAX)).await?.items;
    let ordered: Vec<Action> = actions.into_iter().filter(counts).collect();
    let (state, reason) = final_state(&investigation, &ordered);
    investigation.state = state;
    investigation.state_reason = reason;
    investigation.ended_at = ended(state).then_some(investigation.ended_at.unwrap_or(now));
    if before != investigation {
        tx.put_investigation(&investigation).await?;
    }
    Ok(())
}

/// True for what an investigation ordered and nothing took the place of: an undo is a person's second
/// thought, and of an action ordered again the last one counts.
pub(crate) fn counts(action: &Action) -> bool {
    action.undoes.is_none() && action.approval.again.is_none()
}

/// True for states in which nothing more happens by itself.
pub(crate) fn ended(state: hinomi_model::InvestigationState) -> bool {
    use hinomi_model::InvestigationState as State;
    !matches!(state, State::Queued | State::Running | State::PendingApproval | State::PendingResource)
}

async fn to_alerts(
    tx: &mut Tx,
    action: &Action,
    incident: hinomi_model::IncidentId,
    now: Timestamp,
) -> Result<(), StoreError> {
    for mut alert in tx.alerts_of_incident(incident).await? {
        let mut changed = apply_action(&mut alert.evidence, action);
        changed |= stopped(&mut alert, action);
        if changed {
            alert.updated_at = now;
            tx.put_alert(&alert, &[]).await?;
        }
    }
    Ok(())
}

/// A process tree that ran and was stopped by us is *blocked*, told as it was.
fn stopped(alert: &mut hinomi_model::Alert, action: &Action) -> bool {
    let ActionSpec::StopProcessTree { process } = &action.spec else { return false };
    let done = action.receipts.iter().any(|receipt| receipt.state == ReceiptState::Done);
    let own = alert.tree_root == Some(*process) && alert.detection_status == DetectionStatus::Detected;
    if done && own {
        alert.detection_status = DetectionStatus::Blocked;
        alert.detection_status_reason = Some(Text::new(
            "The process tree ran and was stopped by an action.",
            "プロセス ツリーは実行されましたが、対処により停止しました。",
        ));
    }
    done && own
}

async fn to_incident(
    tx: &mut Tx,
    action: &Action,
    id: hinomi_model::IncidentId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(mut incident) = tx.incident(id).await? else { return Ok(()) };
    let filter =
        ActionFilter { incident: Some(id), state: vec![ActionState::PendingApproval], ..ActionFilter::default() };
    let waits = tx.actions(&filter, &Page::first(1)).await?.total > 0;
    incident.status = match (incident.status, waits) {
        // "in progress" is a person's word and stays
        (IncidentStatus::Active, true) => IncidentStatus::AwaitingAction,
        (IncidentStatus::AwaitingAction, false) if incident.assigned_to.is_some() => IncidentStatus::InProgress,
        (IncidentStatus::AwaitingAction, false) => IncidentStatus::Active,
        (status, _) => status,
    };
    if action.state != ActionState::Running {
        let actor = match action.state {
            ActionState::Expired => "system",
            _ => action.decided_by.as_deref().unwrap_or(&action.proposed_by),
        };
        let actor = actor.to_owned();
        let kind = action.spec.kind();
        let state = action.state.word();
        let text = match (action.state, action.approval.history.last()) {
            (ActionState::Expired, Some(last)) => {
                Text::new(format!("Action {kind}: {}", last.text.en), format!("対処 {kind}: {}", last.text.ja))
            }
            _ => Text::new(format!("Action {kind}: {state}"), format!("対処 {kind}: {state}")),
        };
        log(&mut incident, now, &actor, text);
    }
    incident.updated_at = now;
    tx.put_incident(&incident).await?;
    Ok(())
}

async fn to_device(tx: &mut Tx, action: &Action) -> Result<(), StoreError> {
    let (device, ordered, done) = match &action.spec {
        ActionSpec::IsolateDevice { device_id, .. } => {
            (*device_id, IsolationState::Isolating, IsolationState::Isolated)
        }
        ActionSpec::ReleaseDevice { device_id } => (*device_id, IsolationState::Releasing, IsolationState::NotIsolated),
        _ => return Ok(()),
    };
    let wanted = match action.state {
        ActionState::Queued | ActionState::Running => ordered,
        ActionState::Succeeded => done,
        _ => return Ok(()),
    };
    if let Some(mut device) = tx.device(device).await?
        && device.isolation != wanted
    {
        device.isolation = wanted;
        tx.put_device(&device).await?;
    }
    Ok(())
}

//! What owners of mailboxes do with mail that was noticed: a row for hunting, and an entry in every
//! incident that speaks about the mail.

use crate::analyst::News;
use crate::mailboxes::settle::{location_text, owners_row};
use hinomi_cases::log;
use hinomi_model::{ActionState, EntityKey, Event, IncidentId, MessageCopy, MessageCopyRef, Text, Timestamp};
use hinomi_store::{StoreError, Tx};
use std::collections::BTreeSet;

/// Writes the entries about a copy that was `before` and is `now` elsewhere; returns its row.
pub(crate) async fn tell(
    tx: &mut Tx,
    before: &MessageCopy,
    after: &MessageCopy,
    now: Timestamp,
    news: &mut News,
) -> Result<Event, StoreError> {
    let (from, to) = (location_text(before.latest_location), location_text(after.latest_location));
    let text = Text::new(
        format!("The owner of {} moved the mail: {from} → {to}", before.recipient),
        format!("{} の利用者がメールを移動しました: {from} → {to}", before.recipient),
    );
    for id in incidents_of(tx, before).await? {
        let Some(mut incident) = tx.incident(id).await? else { continue };
        log(&mut incident, now, "owner", text.clone());
        incident.updated_at = now;
        let version = tx.put_incident(&incident).await?;
        news.tell("incident.updated", incident.id, version, Some(incident.number));
    }
    Ok(owners_row(before, after.latest_location, after.folder.as_deref()))
}

/// True while an action deals with a copy and has not noted where it is: what a look shows meanwhile is
/// the action's doing, not its owner's.
pub(crate) async fn is_under_way(tx: &mut Tx, copy: &MessageCopy) -> Result<bool, StoreError> {
    let target = EntityKey::message_copy(copy.message_id, &copy.recipient);
    let copy = MessageCopyRef { message_id: copy.message_id, recipient: copy.recipient.clone() };
    for id in tx.journal_of_copy(&copy).await?.into_iter().map(|row| row.action) {
        // a late copy has an entry of its own
        if let Some(late) = tx.late(id).await? {
            if late.settled_at.is_none() {
                return Ok(true);
            }
            continue;
        }
        let Some(action) = tx.action(id).await? else { continue };
        let works = matches!(
            action.state,
            ActionState::Queued | ActionState::Running | ActionState::Paused | ActionState::Cancelling
        );
        // receipts are stored after the place is noted; those of senders' copies only then
        let receipt = action.receipts.iter().find(|receipt| receipt.target == target);
        if works && receipt.is_none_or(|receipt| receipt.is_open()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Incidents that speak about a copy: by their alerts, and by the action that dealt with it last.
async fn incidents_of(tx: &mut Tx, copy: &MessageCopy) -> Result<BTreeSet<IncidentId>, StoreError> {
    let entities = [EntityKey::message(copy.message_id), EntityKey::message_copy(copy.message_id, &copy.recipient)];
    let alerts = tx.open_alerts_sharing(&entities, None, Timestamp::default()).await?;
    let mut incidents: BTreeSet<IncidentId> = alerts.into_iter().map(|(_, _, incident, _)| incident).collect();
    if let Some(action) = copy.moved_by_action()
        && let Some(action) = tx.action(action).await?
    {
        incidents.extend(action.incident_id);
    }
    Ok(incidents)
}

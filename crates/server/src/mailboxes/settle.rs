//! What follows from a settled copy: index, event, receipt.

use super::{Mailboxes, now, receipt};
use crate::abort::abort_point;
use hinomi_mail::remediate::Outcome;
use hinomi_model::{ActionId, DeliveryLocation, Event, MessageCopy, MessageRemedy, Receipt, ReceiptState, Table, Text};
use hinomi_store::{StoreError, Tx};
use tokio::sync::mpsc::UnboundedReceiver;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Copies were treated.
    Remedy(MessageRemedy),
    /// Copies were put back.
    Restore,
}

/// Whose work it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deed {
    /// The action.
    pub action: ActionId,
    /// What its journal and rows are under: the action itself, or a late copy's own id.
    pub entry: ActionId,
    /// What was done.
    pub kind: Kind,
}

impl Deed {
    /// What an action does itself.
    pub fn of(action: ActionId, kind: Kind) -> Deed {
        Deed { action, entry: action, kind }
    }

    fn is_late(self) -> bool {
        self.entry != self.action
    }
}

/// Tries to update one row against somebody else who does so too.
const UPDATE_TRIES: usize = 5;
/// Most outcomes handled in one go.
const TOGETHER_MAX: usize = 256;

impl Mailboxes {
    /// Takes outcomes until the work ends and makes receipts of them, many in one transaction.
    pub(super) async fn settle_all(
        &self,
        deed: Deed,
        mut outcomes: UnboundedReceiver<Outcome>,
        on: &(dyn Fn(Receipt) + Send + Sync),
    ) -> Vec<Receipt> {
        let mut receipts = Vec::new();
        let mut together = Vec::new();
        while outcomes.recv_many(&mut together, TOGETHER_MAX).await > 0 {
            let outcomes = std::mem::take(&mut together);
            let copies = match self.locations(deed, &outcomes).await {
                Ok(copies) => copies,
                Err(error) => {
                    // the receipts and the journal stand; only the index does not know yet
                    tracing::error!(action = %deed.action, "the location of messages could not be noted: {error}");
                    vec![None; outcomes.len()]
                }
            };
            let (mut events, mut all) = (Vec::new(), Vec::new());
            for (outcome, copy) in outcomes.into_iter().zip(copies) {
                if outcome.state != ReceiptState::NotFound {
                    events.push(row(deed, &outcome, copy.as_ref()));
                }
                all.push(settled(deed.kind, outcome, copy.as_ref()));
            }
            abort_point("mail.settled");
            // before the receipts: a copy without receipt is settled again after a crash, and its row
            // is known then
            if let Err(error) = self.ingest.append_once(events).await {
                // the receipts and the journal stand; only the hunting rows are missing
                tracing::error!(action = %deed.action, "rows about mailbox work could not be stored: {error}");
            }
            abort_point("mail.told");
            for receipt in all {
                on(receipt.clone());
                receipts.push(receipt);
            }
        }
        receipts
    }

    /// Notes where copies are now and returns their rows.
    async fn locations(&self, deed: Deed, outcomes: &[Outcome]) -> Result<Vec<Option<MessageCopy>>, StoreError> {
        let mut tx = self.store.begin().await?;
        let mut copies = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            let to = (outcome.state == ReceiptState::Done).then(|| Moved::by(deed, outcome));
            copies.push(set_location(&mut tx, outcome, to).await?);
        }
        tx.commit().await?;
        Ok(copies)
    }
}

/// Where a copy is now and who moved it there.
struct Moved {
    location: DeliveryLocation,
    folder: Option<String>,
    by: String,
}

impl Moved {
    fn by(deed: Deed, outcome: &Outcome) -> Self {
        let step = outcome.steps.first();
        let place = match deed.kind {
            Kind::Remedy(_) => step.and_then(|step| step.moved_to.as_ref()),
            Kind::Restore => step.and_then(|step| step.restored.as_ref()).map(|restored| &restored.place),
        };
        Moved {
            location: location(deed.kind, outcome),
            folder: place.map(|place| place.folder.name.clone()),
            by: format!("action:{}", deed.action),
        }
    }

    /// Writes it into a copy; false when it stands there already.
    fn write(&self, copy: &mut MessageCopy) -> bool {
        let known = copy.latest_location == self.location && copy.folder == self.folder;
        if known && copy.moved_by.as_ref() == Some(&self.by) {
            return false;
        }
        copy.latest_location = self.location;
        copy.folder.clone_from(&self.folder);
        copy.moved_by = Some(self.by.clone());
        copy.moved_at = Some(now());
        true
    }
}

async fn set_location(tx: &mut Tx, outcome: &Outcome, to: Option<Moved>) -> Result<Option<MessageCopy>, StoreError> {
    for _ in 0..UPDATE_TRIES {
        let found = tx.message(outcome.copy.message_id, &outcome.copy.recipient).await?;
        let Some(mut copy) = found else { return Ok(None) };
        let version = copy.version;
        if !to.as_ref().is_some_and(|to| to.write(&mut copy)) {
            return Ok(Some(copy));
        }
        match tx.update_message(&copy, version).await {
            Err(StoreError::Conflict { .. }) => {}
            other => return other.map(Some),
        }
    }
    Ok(None)
}

fn settled(kind: Kind, outcome: Outcome, copy: Option<&MessageCopy>) -> Receipt {
    let proof = Some(outcome.proof());
    let already = copy.is_some_and(|copy| copy.latest_location == DeliveryLocation::Quarantine);
    let removes = matches!(kind, Kind::Remedy(remedy) if remedy.removes());
    if removes && outcome.state == ReceiptState::NotFound && already {
        let text = Text::new("It was taken out before", "すでに取り除かれています");
        return receipt(&outcome.copy, ReceiptState::AlreadyDone, text, proof);
    }
    receipt(&outcome.copy, outcome.state, outcome.detail, proof)
}

/// Where a copy is after it was dealt with.
fn location(kind: Kind, outcome: &Outcome) -> DeliveryLocation {
    match kind {
        Kind::Remedy(remedy) => remedy.target(),
        Kind::Restore => outcome.steps.first().map_or(DeliveryLocation::Unknown, |step| step.located.location()),
    }
}

/// The EmailPostDeliveryEvents row.
fn row(deed: Deed, outcome: &Outcome, copy: Option<&MessageCopy>) -> Event {
    let mut event = Event::new(Table::EmailPostDeliveryEvents, now());
    let from: Vec<&str> = outcome.steps.iter().map(|step| step.located.place.folder.name.as_str()).collect();
    let from = from.join(", ");
    let to = location_text(location(deed.kind, outcome));
    let (word, source, target) = match deed.kind {
        Kind::Remedy(remedy) => (action_text(remedy), from, to.to_owned()),
        Kind::Restore => ("Restore", "Quarantine".to_owned(), from),
    };
    event
        .set("NetworkMessageId", outcome.copy.message_id.to_string())
        .set("RecipientEmailAddress", outcome.copy.recipient.as_str())
        .set("Action", word)
        .set("ActionType", if deed.is_late() { "Follow-up remediation" } else { "Manual remediation" })
        .set("ActionTrigger", if deed.is_late() { "SpecialAction" } else { "AdminAction" })
        .set("ActionResult", if outcome.state == ReceiptState::Failed { "Error" } else { "Success" })
        .set("SourceLocation", source)
        .set("DeliveryLocation", target)
        // one action settles a copy once; a resumed one tells the same row again
        .set("ReportId", format!("{}/{}/{}", deed.entry, outcome.copy.message_id, outcome.copy.recipient))
        .set_some("InternetMessageId", copy.map(|copy| copy.internet_message_id.as_str()));
    event.set_additional("ActionId", deed.action.to_string());
    event.set_additional("Detail", outcome.detail.en.as_str());
    event
}

fn action_text(remedy: MessageRemedy) -> &'static str {
    match remedy {
        MessageRemedy::MoveToJunk => "Move to junk folder",
        MessageRemedy::MoveToInbox => "Move to inbox",
        MessageRemedy::MoveToDeletedItems => "Move to deleted items",
        MessageRemedy::SoftDelete => "Soft delete",
        MessageRemedy::HardDelete => "Hard delete",
        MessageRemedy::MoveToQuarantine => "Move to quarantine",
    }
}

/// The EmailPostDeliveryEvents row of what the owner of a mailbox did with a copy: `before` is how it
/// was known.
pub(crate) fn owners_row(before: &MessageCopy, to: DeliveryLocation, folder: Option<&str>) -> Event {
    let word = match to {
        DeliveryLocation::JunkFolder => action_text(MessageRemedy::MoveToJunk),
        DeliveryLocation::Inbox => action_text(MessageRemedy::MoveToInbox),
        DeliveryLocation::DeletedItems => action_text(MessageRemedy::MoveToDeletedItems),
        _ => "Removed from the mailbox",
    };
    let mut event = Event::new(Table::EmailPostDeliveryEvents, now());
    event
        .set("NetworkMessageId", before.message_id.to_string())
        .set("InternetMessageId", before.internet_message_id.as_str())
        .set("RecipientEmailAddress", before.recipient.as_str())
        .set("Action", word)
        .set("ActionType", "User action")
        .set("ActionTrigger", "UserAction")
        .set("ActionResult", "Success")
        .set("SourceLocation", location_text(before.latest_location))
        .set("DeliveryLocation", location_text(to))
        // noticed once per state of the copy; what was cut short notices it again
        .set("ReportId", format!("owner/{}/{}/{}", before.message_id, before.recipient, before.version));
    if let Some(folder) = folder {
        event.set_additional("Folder", folder);
    }
    event
}

/// The text the hunting tables use.
pub(crate) fn location_text(location: DeliveryLocation) -> &'static str {
    match location {
        DeliveryLocation::Inbox => "Inbox/folder",
        DeliveryLocation::JunkFolder => "Junk folder",
        DeliveryLocation::DeletedItems => "Deleted folder",
        DeliveryLocation::Quarantine => "Quarantine",
        DeliveryLocation::Dropped => "Dropped",
        DeliveryLocation::Failed => "Failed",
        DeliveryLocation::Unknown => "Unknown",
    }
}

//! What follows from a settled copy: index, event, receipt.

use super::{Mailboxes, now, receipt};
use crate::abort::abort_point;
use hinomi_mail::imap::folder_for_people;
use hinomi_mail::remediate::Outcome;
use hinomi_model::{ActionId, DeliveryLocation, Event, MessageCopy, Receipt, ReceiptState, Table, Text};
use hinomi_store::StoreError;
use tokio::sync::mpsc::UnboundedReceiver;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Copies were taken out.
    Removal,
    /// Copies were put back.
    Restore,
}

/// Tries to update one row against somebody else who does so too.
const UPDATE_TRIES: usize = 5;
/// Most outcomes handled in one go.
const TOGETHER_MAX: usize = 256;

impl Mailboxes {
    /// Takes outcomes until the work ends and makes receipts of them.
    pub(super) async fn settle_all(
        &self,
        action: ActionId,
        kind: Kind,
        mut outcomes: UnboundedReceiver<Outcome>,
        on: &(dyn Fn(Receipt) + Send + Sync),
    ) -> Vec<Receipt> {
        let mut receipts = Vec::new();
        let mut together = Vec::new();
        while outcomes.recv_many(&mut together, TOGETHER_MAX).await > 0 {
            let (mut events, mut settled) = (Vec::new(), Vec::new());
            for outcome in together.drain(..) {
                settled.push(self.settle(action, kind, outcome, &mut events).await);
            }
            abort_point("mail.settled");
            // before the receipts: a copy without receipt is settled again after a crash, and its row
            // is known then
            if let Err(error) = self.ingest.append_once(events).await {
                // the receipts and the journal stand; only the hunting rows are missing
                tracing::error!(action = %action, "rows about mailbox work could not be stored: {error}");
            }
            abort_point("mail.told");
            for receipt in settled {
                on(receipt.clone());
                receipts.push(receipt);
            }
        }
        receipts
    }

    async fn settle(&self, action: ActionId, kind: Kind, outcome: Outcome, events: &mut Vec<Event>) -> Receipt {
        let done = outcome.state == ReceiptState::Done;
        let to = match (kind, outcome.steps.first()) {
            (Kind::Removal, _) => DeliveryLocation::Quarantine,
            (Kind::Restore, Some(step)) => step.located.location(),
            (Kind::Restore, None) => DeliveryLocation::Unknown,
        };
        let copy = match done {
            true => self.set_location(&outcome, to).await,
            false => self.store.message(outcome.copy.message_id, &outcome.copy.recipient).await.map_err(Into::into),
        };
        let copy = copy.unwrap_or_else(|error: StoreError| {
            tracing::error!(action = %action, "the location of a message could not be noted: {error}");
            None
        });
        if outcome.state != ReceiptState::NotFound {
            events.push(row(action, kind, &outcome, to, copy.as_ref()));
        }
        let proof = Some(outcome.proof());
        let already = copy.as_ref().is_some_and(|copy| copy.latest_location == DeliveryLocation::Quarantine);
        if kind == Kind::Removal && outcome.state == ReceiptState::NotFound && already {
            let text = Text::new("It was taken out before", "すでに取り除かれています");
            return receipt(&outcome.copy, ReceiptState::AlreadyDone, text, proof);
        }
        receipt(&outcome.copy, outcome.state, outcome.detail, proof)
    }

    /// Notes where a copy is now.
    async fn set_location(&self, outcome: &Outcome, to: DeliveryLocation) -> Result<Option<MessageCopy>, StoreError> {
        for _ in 0..UPDATE_TRIES {
            let found = self.store.message(outcome.copy.message_id, &outcome.copy.recipient).await?;
            let Some(mut copy) = found else { return Ok(None) };
            if copy.latest_location == to {
                return Ok(Some(copy));
            }
            copy.latest_location = to;
            let version = copy.version;
            match self.store.update_message(&copy, version).await {
                Err(StoreError::Conflict { .. }) => {}
                other => return other.map(Some),
            }
        }
        Ok(None)
    }
}

/// The EmailPostDeliveryEvents row.
fn row(action: ActionId, kind: Kind, outcome: &Outcome, to: DeliveryLocation, copy: Option<&MessageCopy>) -> Event {
    let mut event = Event::new(Table::EmailPostDeliveryEvents, now());
    let from: Vec<String> = outcome.steps.iter().map(|step| folder_for_people(&step.located.folder)).collect();
    let from = from.join(", ");
    let (word, source, target) = match kind {
        Kind::Removal => ("Soft delete", from, location_text(to).to_owned()),
        Kind::Restore => ("Restore", "Quarantine".to_owned(), from),
    };
    event
        .set("NetworkMessageId", outcome.copy.message_id.to_string())
        .set("RecipientEmailAddress", outcome.copy.recipient.as_str())
        .set("Action", word)
        .set("ActionType", "Manual remediation")
        .set("ActionTrigger", "AdminAction")
        .set("ActionResult", if outcome.state == ReceiptState::Done { "Success" } else { "Error" })
        .set("SourceLocation", source)
        .set("DeliveryLocation", target)
        // one action settles a copy once; a resumed one tells the same row again
        .set("ReportId", format!("{action}/{}/{}", outcome.copy.message_id, outcome.copy.recipient))
        .set_some("InternetMessageId", copy.map(|copy| copy.internet_message_id.as_str()));
    event.set_additional("ActionId", action.to_string());
    event.set_additional("Detail", outcome.detail.en.as_str());
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

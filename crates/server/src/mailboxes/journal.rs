//! The journal of one action over the store.

use crate::abort::abort_point;
use futures::future::BoxFuture;
use hinomi_mail::remediate::{Entry, Intent, Journal, Outcome};
use hinomi_model::{ActionId, MessageCopyRef};
use hinomi_store::{JournalRow, Store, StoreError};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// Entries written in one transaction at most.
const TOGETHER_MAX: usize = 256;

/// Journal of one action. What earlier runs left is read once when it is opened; what this run writes
/// is known to it too, because work on a copy is tried again within it when a connection breaks.
/// Entries of many mailboxes that come at the same time share one transaction.
pub struct StoreJournal {
    entries: Mutex<HashMap<MessageCopyRef, Entry>>,
    writes: mpsc::UnboundedSender<Write>,
}

/// One entry on its way to the disk.
struct Write {
    copy: MessageCopyRef,
    /// JSON.
    intent: Option<String>,
    /// JSON.
    result: Option<String>,
    written: oneshot::Sender<Result<(), String>>,
}

impl StoreJournal {
    /// Opens the journal of an action.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(store: &Store, action: ActionId) -> Result<Self, StoreError> {
        let rows = store.journal(action).await?;
        let entries = rows.iter().filter_map(|row| Some((row.copy.clone(), entry(row)?))).collect();
        let (writes, receive) = mpsc::unbounded_channel();
        // ends when the journal is dropped
        tokio::spawn(write_together(store.clone(), action, receive));
        Ok(StoreJournal { entries: Mutex::new(entries), writes })
    }

    /// Outcomes of copies that are finished.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = self.entries().values().filter_map(|entry| entry.outcome.clone()).collect();
        outcomes.sort_by(|a, b| a.copy.cmp(&b.copy));
        outcomes
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<MessageCopyRef, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, copy: &MessageCopyRef, intent: Option<String>, result: Option<String>) -> Result<(), String> {
        let (written, answer) = oneshot::channel();
        let gone = |_| "the journal is closed".to_owned();
        self.writes.send(Write { copy: copy.clone(), intent, result, written }).map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?
    }
}

async fn write_together(store: Store, action: ActionId, mut receive: mpsc::UnboundedReceiver<Write>) {
    let mut together = Vec::new();
    while receive.recv_many(&mut together, TOGETHER_MAX).await > 0 {
        let written = write_all(&store, action, &together).await.map_err(|error| error.to_string());
        for one in together.drain(..) {
            // nobody waits any more: the work was given up
            let _ = one.written.send(written.clone());
        }
    }
}

async fn write_all(store: &Store, action: ActionId, together: &[Write]) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    for one in together {
        if let Some(intent) = &one.intent {
            tx.journal_intent(action, &one.copy, intent).await?;
        }
        if let Some(result) = &one.result
            && !tx.journal_result(action, &one.copy, result).await?
        {
            // nothing was there to be done, so no intent was written: the outcome is kept all the same
            tx.journal_intent(action, &one.copy, "{\"steps\":[]}").await?;
            tx.journal_result(action, &one.copy, result).await?;
        }
    }
    tx.commit().await
}

/// Reads a journal entry; none when it is damaged.
pub(super) fn entry(row: &JournalRow) -> Option<Entry> {
    let outcome = row.result.as_deref().map(serde_json::from_str).transpose();
    match (serde_json::from_str(&row.intent), outcome) {
        (Ok(intent), Ok(outcome)) => Some(Entry { intent, outcome }),
        // written by this server: only a damaged disk gets here, and doing it again is safe
        _ => {
            tracing::error!(action = %row.action, "a mail journal entry cannot be read and is done again");
            None
        }
    }
}

impl Journal for StoreJournal {
    fn entry<'a>(&'a self, copy: &'a MessageCopyRef) -> BoxFuture<'a, Result<Option<Entry>, String>> {
        Box::pin(async move { Ok(self.entries().get(copy).cloned()) })
    }

    fn intent<'a>(&'a self, copy: &'a MessageCopyRef, intent: &'a Intent) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let json = serde_json::to_string(intent).map_err(|error| error.to_string())?;
            self.write(copy, Some(json), None).await?;
            self.entries().insert(copy.clone(), Entry { intent: intent.clone(), outcome: None });
            abort_point("journal.intended");
            Ok(())
        })
    }

    fn outcome<'a>(&'a self, outcome: &'a Outcome) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let json = serde_json::to_string(outcome).map_err(|error| error.to_string())?;
            abort_point("journal.settling");
            self.write(&outcome.copy, None, Some(json)).await?;
            self.entries().entry(outcome.copy.clone()).or_default().outcome = Some(outcome.clone());
            abort_point("journal.settled");
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hinomi_model::{ReceiptState, Text};

    #[tokio::test]
    async fn what_this_run_writes_is_known_to_its_own_second_try() {
        let dir = tempfile::tempdir().expect("temp dir");
        let store = Store::open(&format!("sqlite:{}", dir.path().join("x.db").display())).await.expect("store");
        let action = crate::ids::new();
        let copy = MessageCopyRef { message_id: crate::ids::new(), recipient: "a@x.test".to_owned() };
        let journal = StoreJournal::open(&store, action).await.expect("opens");
        assert_eq!(journal.entry(&copy).await, Ok(None));
        journal.intent(&copy, &Intent::default()).await.expect("written");
        assert_eq!(journal.entry(&copy).await, Ok(Some(Entry::default())));
        let outcome = Outcome {
            copy: copy.clone(),
            state: ReceiptState::Failed,
            detail: Text::same("no"),
            steps: Vec::new(),
            differing: Vec::new(),
        };
        journal.outcome(&outcome).await.expect("written");
        let known = Entry { intent: Intent::default(), outcome: Some(outcome) };
        assert_eq!(journal.entry(&copy).await, Ok(Some(known.clone())));
        // as a new run would find it; a new intent takes the place of the old outcome in both
        let again = StoreJournal::open(&store, action).await.expect("opens");
        assert_eq!(again.entry(&copy).await, Ok(Some(known)));
        again.intent(&copy, &Intent::default()).await.expect("written");
        assert_eq!(again.entry(&copy).await, Ok(Some(Entry::default())));
        let last = StoreJournal::open(&store, action).await.expect("opens");
        assert_eq!(last.entry(&copy).await, Ok(Some(Entry::default())));
    }
}

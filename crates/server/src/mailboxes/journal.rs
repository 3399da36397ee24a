//! The journal of one action over the store.

use crate::abort::abort_point;
use futures::future::BoxFuture;
use hinomi_mail::remediate::{Entry, Intent, Journal, Outcome};
use hinomi_model::{ActionId, MessageCopyRef};
use hinomi_store::{JournalRow, Store, StoreError};
use std::collections::HashMap;

/// Journal of one action. What earlier runs left is read once when it is opened.
pub struct StoreJournal {
    store: Store,
    action: ActionId,
    before: HashMap<MessageCopyRef, Entry>,
}

impl StoreJournal {
    /// Opens the journal of an action.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(store: &Store, action: ActionId) -> Result<Self, StoreError> {
        let rows = store.journal(action).await?;
        let before = rows.iter().filter_map(|row| Some((row.copy.clone(), entry(row)?))).collect();
        Ok(StoreJournal { store: store.clone(), action, before })
    }

    /// Outcomes of copies that are finished.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = self.before.values().filter_map(|entry| entry.outcome.clone()).collect();
        outcomes.sort_by(|a, b| a.copy.cmp(&b.copy));
        outcomes
    }
}

fn entry(row: &JournalRow) -> Option<Entry> {
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
        Box::pin(async move { Ok(self.before.get(copy).cloned()) })
    }

    fn intent<'a>(&'a self, copy: &'a MessageCopyRef, intent: &'a Intent) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let json = serde_json::to_string(intent).map_err(|error| error.to_string())?;
            self.store.journal_intent(self.action, copy, &json).await.map_err(|error| error.to_string())?;
            abort_point("journal.intended");
            Ok(())
        })
    }

    fn outcome<'a>(&'a self, outcome: &'a Outcome) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let json = serde_json::to_string(outcome).map_err(|error| error.to_string())?;
            abort_point("journal.settling");
            let known = self.store.journal_result(self.action, &outcome.copy, &json).await;
            if !known.map_err(|error| error.to_string())? {
                // nothing was there to be done, so no intent was written: the outcome is kept all the same
                let empty = serde_json::to_string(&Intent::default()).map_err(|error| error.to_string())?;
                self.store
                    .journal_intent(self.action, &outcome.copy, &empty)
                    .await
                    .map_err(|error| error.to_string())?;
                self.store
                    .journal_result(self.action, &outcome.copy, &json)
                    .await
                    .map_err(|error| error.to_string())?;
            }
            abort_point("journal.settled");
            Ok(())
        })
    }
}

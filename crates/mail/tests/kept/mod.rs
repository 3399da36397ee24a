//! Vault and journal in memory.

use futures::future::BoxFuture;
use hinomi_mail::remediate::{Entry, Intent, Journal, Outcome, StoredMail, Vault};
use hinomi_model::MessageCopyRef;
use std::collections::HashMap;
use std::sync::Mutex;

/// Forgets everything at the end; for measuring the work on mailboxes alone.
#[derive(Default)]
pub struct InMemory {
    mails: Mutex<HashMap<String, StoredMail>>,
    entries: Mutex<HashMap<MessageCopyRef, Entry>>,
}

impl Vault for InMemory {
    fn put<'a>(&'a self, key: &'a str, mail: &'a StoredMail) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            self.mails.lock().expect("lock").entry(key.to_owned()).or_insert_with(|| mail.clone());
            Ok(())
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<StoredMail>, String>> {
        Box::pin(async move { Ok(self.mails.lock().expect("lock").get(key).cloned()) })
    }
}

impl Journal for InMemory {
    fn entry<'a>(&'a self, copy: &'a MessageCopyRef) -> BoxFuture<'a, Result<Option<Entry>, String>> {
        Box::pin(async move { Ok(self.entries.lock().expect("lock").get(copy).cloned()) })
    }

    fn intent<'a>(&'a self, copy: &'a MessageCopyRef, intent: &'a Intent) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let entry = Entry { intent: intent.clone(), outcome: None };
            self.entries.lock().expect("lock").insert(copy.clone(), entry);
            Ok(())
        })
    }

    fn outcome<'a>(&'a self, outcome: &'a Outcome) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            self.entries.lock().expect("lock").entry(outcome.copy.clone()).or_default().outcome = Some(outcome.clone());
            Ok(())
        })
    }
}

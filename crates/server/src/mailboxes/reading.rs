//! No mail is read without a record that says who does so and why.
//!
//! The record is written before the first mailbox is asked; when it cannot be written, nothing is
//! read. Looking for a message counts as reading: mails that claim to be it are read whole to compare
//! them.

use super::{Mailboxes, now};
use hinomi_model::{ActionId, InvestigationId, MessageId};
use hinomi_store::{NewAudit, Store, StoreError};
use serde_json::json;

/// What the audit log calls it.
pub const READ: &str = "mail.read";
/// Mailboxes a record names; of more it tells the number.
const NAMED_MAX: usize = 20;

/// Who reads mail, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// User, or `system`.
    pub actor: String,
    /// Why.
    pub reason: Reason,
}

/// Why mail is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// An action treats or puts back copies.
    Action(ActionId),
    /// An investigation looks where copies are.
    Investigation(InvestigationId),
    /// A person looks where the mails with a file are.
    File {
        /// SHA-256 of the file.
        sha256: String,
    },
    /// A person makes a dry run of a removal.
    DryRun,
    /// A person searches for words, and says why.
    Search {
        /// In the person's words.
        why: String,
    },
    /// A person reads the header of a message, and says why.
    Header {
        /// NetworkMessageId.
        message: MessageId,
        /// In the person's words.
        why: String,
    },
    /// A connector is checked with a mail of our own.
    Probe,
    /// The background reading of whole mailboxes.
    Crawl {
        /// Mails read in this run.
        mails: i64,
        /// Mails that could not be read.
        skipped: i64,
        /// The run did not come to its end.
        interrupted: bool,
    },
}

impl Reading {
    /// The server itself reads.
    pub fn by_system(reason: Reason) -> Self {
        Reading { actor: "system".to_owned(), reason }
    }

    fn detail(&self, mailboxes: &[&str]) -> serde_json::Value {
        let mut detail = match &self.reason {
            Reason::Action(id) => json!({ "reason": "action", "action": id.to_string() }),
            Reason::Investigation(id) => json!({ "reason": "investigation", "investigation": id.to_string() }),
            Reason::File { sha256 } => json!({ "reason": "file", "sha256": sha256 }),
            Reason::DryRun => json!({ "reason": "dry_run" }),
            Reason::Search { why } => json!({ "reason": "search", "why": why }),
            Reason::Header { message, why } => {
                json!({ "reason": "header", "message": message.to_string(), "why": why })
            }
            Reason::Probe => json!({ "reason": "probe" }),
            Reason::Crawl { mails, skipped, interrupted } => {
                json!({ "reason": "crawl", "mails": mails, "skipped": skipped, "interrupted": interrupted })
            }
        };
        detail["mailboxes"] = mailboxes.len().into();
        detail["named"] = mailboxes.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().into();
        detail
    }
}

/// Puts on record that mail is read.
///
/// # Errors
/// When the store fails: then nothing may be read.
pub async fn record(store: &Store, reading: &Reading, mailboxes: &[&str]) -> Result<(), StoreError> {
    let target = match mailboxes {
        [only] => format!("mailbox:{only}"),
        _ => String::new(),
    };
    let audit = NewAudit {
        at: now(),
        actor: reading.actor.clone(),
        action: READ.to_owned(),
        target,
        detail: reading.detail(mailboxes).to_string(),
        address: String::new(),
        result: "ok".to_owned(),
    };
    store.audit(&audit).await?;
    Ok(())
}

impl Mailboxes {
    /// Puts on record that mailboxes are read; nothing when there are none.
    pub(super) async fn on_record<'m>(
        &self,
        reading: &Reading,
        mailboxes: impl Iterator<Item = &'m str>,
    ) -> Result<(), StoreError> {
        let mut mailboxes: Vec<&str> = mailboxes.collect();
        mailboxes.sort_unstable();
        mailboxes.dedup();
        if mailboxes.is_empty() { Ok(()) } else { record(&self.store, reading, &mailboxes).await }
    }
}

//! A live look at copies that shows everything found, also what only claims to be wanted.

use super::{Mailboxes, Reading, by_system, journal};
use crate::gateway::quarantine_key;
use bytes::Bytes;
use hinomi_mail::connector::FolderRole;
use hinomi_mail::remediate::{Finding, Vault, Wanted};
use hinomi_model::{DeliveryLocation, MessageCopy, MessageCopyRef};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What a mailbox holds of one copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// Folder and location of each mail proved to be the copy.
    pub present: Vec<(String, DeliveryLocation)>,
    /// It lies in the sent items only.
    pub only_sent: bool,
    /// Folder of each mail with its Message-ID and other content, and what differs.
    pub differing: Vec<(String, String)>,
    /// Why the mailbox could not be asked.
    pub error: Option<String>,
}

impl From<Finding> for Looked {
    fn from(finding: Finding) -> Self {
        match finding {
            Finding::Failed(reason) => Looked { error: Some(reason), ..Looked::default() },
            Finding::Seen { present, differing } => Looked {
                only_sent: !present.is_empty()
                    && present.iter().all(|one| one.place.folder.role == Some(FolderRole::Sent)),
                present: present.into_iter().map(|one| (one.place.folder.name.clone(), one.location())).collect(),
                differing: differing.into_iter().map(|one| (one.located.place.folder.name, one.difference)).collect(),
                error: None,
            },
        }
    }
}

impl Mailboxes {
    /// Looks for copies in their mailboxes, now. One answer per copy, in order.
    pub async fn look(&self, reading: &Reading, copies: &[MessageCopy]) -> Vec<Looked> {
        self.ask(reading, copies).await.into_iter().map(Looked::from).collect()
    }

    /// Reads a copy out of its mailbox: the name of its folder and the mail. `None` when it is not there.
    ///
    /// # Errors
    /// Why it could not be read, or not be put on record.
    pub async fn read(&self, reading: &Reading, copy: &MessageCopy) -> Result<Option<(String, Bytes)>, String> {
        let homes = self.homes().await.map_err(|error| format!("{error:#}"))?;
        let Some((system, wanted)) = homes.wanted(copy) else {
            return Err("the recipient is not in the user list".to_owned());
        };
        let record = self.on_record(reading, std::iter::once(wanted.mailbox.as_str())).await;
        record.map_err(|error| format!("reading mail could not be put on record: {error}"))?;
        let found = self.systems[system].engine.read(&wanted).await?;
        Ok(found.map(|(located, raw)| (located.place.folder.name, raw)))
    }

    /// Reads the mail we kept when a copy was taken out of its mailbox or stopped on its way. `None` when
    /// none was kept.
    ///
    /// # Errors
    /// Why it could not be read, or not be put on record.
    pub async fn read_kept(&self, reading: &Reading, copy: &MessageCopy) -> Result<Option<Bytes>, String> {
        let record = self.on_record(reading, std::iter::once(copy.recipient.as_str())).await;
        record.map_err(|error| format!("reading mail could not be put on record: {error}"))?;
        let target = MessageCopyRef { message_id: copy.message_id, recipient: copy.recipient.clone() };
        let rows = self.store.journal_of_copy(&target).await.map_err(|error| error.to_string())?;
        let steps = rows.iter().filter_map(journal::entry).flat_map(|entry| entry.intent.steps);
        for key in steps.filter_map(|step| step.vault_key) {
            if let Some(kept) = self.vault.get(&key).await? {
                return Ok(Some(kept.raw));
            }
        }
        let stopped = self.vault.content(&quarantine_key(copy.message_id)).await;
        Ok(stopped.map_err(|error| error.to_string())?.and_then(|content| {
            let end = content.iter().position(|byte| *byte == b'\n')?;
            Some(Bytes::from(content).slice(end + 1..))
        }))
    }

    /// Asks the mailboxes of copies, now. One answer per copy, in order.
    pub(super) async fn ask(&self, reading: &Reading, copies: &[MessageCopy]) -> Vec<Finding> {
        let homes = match self.homes().await {
            Ok(homes) => homes,
            Err(error) => return vec![Finding::Failed(format!("{error:#}")); copies.len()],
        };
        let known: Vec<Option<(usize, Wanted)>> = copies.iter().map(|copy| homes.wanted(copy)).collect();
        let mailboxes = known.iter().flatten().map(|(_, wanted)| wanted.mailbox.as_str());
        if let Err(error) = self.on_record(reading, mailboxes).await {
            return vec![Finding::Failed(format!("reading mail could not be put on record: {error}")); copies.len()];
        }
        let found: Mutex<HashMap<MessageCopyRef, Finding>> = Mutex::default();
        let on = |wanted: &Wanted, finding: Finding| {
            found.lock().unwrap_or_else(PoisonError::into_inner).insert(wanted.copy.clone(), finding);
        };
        let groups = by_system(known.iter().flatten().cloned());
        let work = groups.into_iter().map(|(system, wanted)| self.systems[system].engine.find(wanted, &on));
        futures::future::join_all(work).await;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let nothing = || Finding::Seen { present: Vec::new(), differing: Vec::new() };
        let answer = |known: Option<(usize, Wanted)>| match known {
            Some((_, wanted)) => found.get(&wanted.copy).cloned().unwrap_or_else(nothing),
            None => Finding::Failed("the recipient is not in the user list".to_owned()),
        };
        known.into_iter().map(answer).collect()
    }
}

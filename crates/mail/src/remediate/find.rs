//! Looks for one message in all folders of a mailbox.

use super::engine::{Engine, Mailbox};
use super::{Candidate, Finding, Identity, Located, RemediateError};
use crate::imap::Fetched;
use crate::parse::{Analysis, analyse};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Mails with the same Message-ID looked at in one mailbox; a sender chooses that header.
const CANDIDATES_MAX: usize = 200;

/// What a mailbox holds of one message.
#[derive(Default)]
pub(super) struct Seen {
    pub present: Vec<Match>,
    pub differing: Vec<Candidate>,
}

/// A mail that is the wanted one, with its bytes.
pub(super) struct Match {
    pub located: Located,
    pub raw: Bytes,
}

impl Seen {
    pub(super) fn into_finding(self) -> Finding {
        let present = self.present.into_iter().map(|found| found.located).collect();
        Finding::Seen { present, differing: self.differing }
    }
}

impl Engine {
    /// Searches every folder, reads every hit and compares its content.
    pub(super) async fn look(&self, mailbox: &mut Mailbox, identity: &Identity) -> Result<Seen, RemediateError> {
        let (header, value) = identity
            .search()
            .ok_or_else(|| RemediateError::Proof("the message has neither a Message-ID nor our own id".to_owned()))?;
        let names: Vec<String> = mailbox.folders.iter().map(|folder| folder.name.clone()).collect();
        let hits = mailbox.connection.search(&names, header, value).await?;
        let mut seen = Seen::default();
        let mut looked_at = 0;
        for hit in hits {
            let selected = mailbox.connection.select(&hit.folder, true).await?;
            if selected.uid_validity != hit.uid_validity {
                return Err(RemediateError::Proof(format!("folder {} was renumbered meanwhile", hit.folder)));
            }
            for uid in hit.uids {
                looked_at += 1;
                if looked_at > CANDIDATES_MAX {
                    return Err(RemediateError::Proof(format!(
                        "more than {CANDIDATES_MAX} mails with this Message-ID"
                    )));
                }
                // gone between search and fetch: its owner removed it
                let Some(fetched) = mailbox.connection.fetch(uid).await? else { continue };
                let analysis = self.analyse(fetched.raw.clone()).await?;
                if !identity.is_claimed_by(&analysis) {
                    continue;
                }
                let located = located(mailbox, &hit.folder, hit.uid_validity, &fetched);
                match identity.difference(&analysis) {
                    None => seen.present.push(Match { located, raw: fetched.raw }),
                    Some(difference) => seen.differing.push(Candidate { located, difference }),
                }
            }
        }
        Ok(seen)
    }

    async fn analyse(&self, raw: Bytes) -> Result<Analysis, RemediateError> {
        let limits = self.limits().clone();
        tokio::task::spawn_blocking(move || analyse(&raw, &limits))
            .await
            .map_err(|error| RemediateError::Proof(format!("analysis of a mail failed: {error}")))
    }
}

fn located(mailbox: &Mailbox, folder: &str, uid_validity: u32, fetched: &Fetched) -> Located {
    Located {
        mailbox: mailbox.name.clone(),
        folder: folder.to_owned(),
        special_use: mailbox.special_use(folder),
        uid_validity,
        uid: fetched.uid,
        flags: fetched.flags.clone(),
        internal_date: fetched.internal_date.clone(),
        size: fetched.raw.len() as u64,
        raw_sha256: raw_hash(&fetched.raw),
    }
}

pub(super) fn raw_hash(raw: &[u8]) -> String {
    hex::encode(Sha256::digest(raw))
}

//! Looks for one message in all folders of a mailbox.

use super::engine::{Engine, Open};
use super::{Candidate, Finding, Located, RemediateError, Wanted};
use crate::connector::{FolderRole, Mail};
use crate::parse::{Analysis, analyse};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Mails with the same Message-ID looked at in one mailbox; a sender chooses that header.
pub(super) const CANDIDATES_MAX: usize = 200;

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
    pub(super) async fn look(&self, open: &mut Open, wanted: &Wanted) -> Result<Seen, RemediateError> {
        let search = wanted
            .identity
            .search()
            .ok_or_else(|| RemediateError::Proof("the message has neither a Message-ID nor our own id".to_owned()))?;
        let mut seen = Seen::default();
        for mail in open.mailbox.candidates(&search, CANDIDATES_MAX).await? {
            if wanted.sent_only && mail.place.folder.role != Some(FolderRole::Sent) {
                continue;
            }
            let analysis = self.analyse(mail.raw.clone()).await?;
            if !wanted.identity.is_claimed_by(&analysis) {
                continue;
            }
            let (located, raw) = located(&open.name, mail);
            match wanted.identity.difference(&analysis) {
                None => seen.present.push(Match { located, raw }),
                Some(difference) => seen.differing.push(Candidate { located, difference }),
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

fn located(mailbox: &str, mail: Mail) -> (Located, Bytes) {
    let Mail { place, flags, internal_date, raw } = mail;
    let located = Located {
        mailbox: mailbox.to_owned(),
        place,
        flags,
        internal_date,
        size: raw.len() as u64,
        raw_sha256: raw_hash(&raw),
    };
    (located, raw)
}

pub(super) fn raw_hash(raw: &[u8]) -> String {
    hex::encode(Sha256::digest(raw))
}

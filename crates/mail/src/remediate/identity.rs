//! What makes a mail the wanted one.

use crate::connector::Search;
use crate::parse::Analysis;
use hinomi_model::MessageCopy;
use sha2::{Digest, Sha256};

/// Message-ID and content of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Our id in `X-Hinomi-Message-Id`: finds mails without a Message-ID.
    pub hinomi_id: String,
    /// Message-ID without angle brackets; may be empty.
    pub internet_message_id: String,
    /// See [`Analysis::body_sha256`].
    pub body_sha256: String,
    /// See [`Analysis::attachment_hashes`].
    pub attachments: Vec<String>,
}

impl Identity {
    /// Identity of a message the gateway recorded.
    pub fn of_copy(copy: &MessageCopy) -> Self {
        let own = copy.attachments.iter().filter(|file| file.parent_sha256.is_none());
        let mut attachments: Vec<String> = own.map(|file| file.sha256.clone()).collect();
        attachments.sort();
        Identity {
            hinomi_id: copy.message_id.to_string(),
            internet_message_id: copy.internet_message_id.clone(),
            body_sha256: copy.body_sha256.clone(),
            attachments,
        }
    }

    /// Identity of an analysed mail.
    pub fn of_analysis(analysis: &Analysis) -> Self {
        Identity {
            hinomi_id: analysis.hinomi_id.clone(),
            internet_message_id: analysis.message_id.clone(),
            body_sha256: analysis.body_sha256.clone(),
            attachments: analysis.attachment_hashes(),
        }
    }

    /// The same text for the same mail: Message-ID **and** content. None without a Message-ID.
    pub fn key(&self) -> Option<String> {
        if self.internet_message_id.is_empty() {
            return None;
        }
        let mut hasher = Sha256::new();
        for part in [&self.internet_message_id, &self.body_sha256].into_iter().chain(&self.attachments) {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Some(hex::encode(hasher.finalize()))
    }

    /// What to search a mailbox by; none when the message has nothing to search for.
    pub(super) fn search(&self) -> Option<Search> {
        let usable =
            |text: &str| !text.is_empty() && text.len() <= 900 && text.bytes().all(|b| (0x21..0x7f).contains(&b));
        if usable(&self.internet_message_id) {
            Some(Search::MessageId(self.internet_message_id.clone()))
        } else if usable(&self.hinomi_id) {
            Some(Search::OwnId(self.hinomi_id.clone()))
        } else {
            None
        }
    }

    /// True when a mail found in a mailbox claims to be the wanted one. Servers search for parts of
    /// a header, so some hits do not even claim it.
    pub(super) fn is_claimed_by(&self, found: &Analysis) -> bool {
        found.message_id == self.internet_message_id
    }

    /// Compares the content of a mail found in a mailbox; what differs, in words.
    pub(super) fn difference(&self, found: &Analysis) -> Option<String> {
        if found.body_sha256 != self.body_sha256 {
            return Some("other text".to_owned());
        }
        let hashes = found.attachment_hashes();
        let counts = || format!("other attachments ({} there, {} wanted)", hashes.len(), self.attachments.len());
        (hashes != self.attachments).then(counts)
    }
}

//! Which message a mail is that nobody stamped: the same mail gets the same id, however it is found.

use hinomi_mail::parse::Analysis;
use hinomi_model::{MailField, MailFilter, MessageCopy, MessageId};
use hinomi_store::{Page, Store, StoreError};
use sha2::{Digest, Sha256};

/// Messages with the same Message-ID looked at; a sender chooses that header.
const CANDIDATES_MAX: u32 = 50;

/// Finds the message a mail is: by our own id or Message-ID **and** content among the known ones,
/// else a new id made of Message-ID, sender, subject, date and content, so that the same mail met
/// twice is one message.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn message_of(store: &Store, analysis: &Analysis) -> Result<MessageId, StoreError> {
    if let Ok(id) = analysis.hinomi_id.parse::<MessageId>()
        && let Some(known) = store.message_copies(id).await?.first()
        && same_content(known, analysis)
    {
        return Ok(id);
    }
    if !analysis.message_id.is_empty() {
        let filter = MailFilter::default().with(MailField::InternetMessageId, analysis.message_id.as_str());
        let known = store.explore(&filter, &Page::first(CANDIDATES_MAX)).await?;
        let mut first = known.items.iter().filter_map(|message| message.copies.first());
        if let Some(copy) = first.find(|copy| same_content(copy, analysis)) {
            return Ok(copy.message_id);
        }
    }
    Ok(content_id(analysis))
}

/// True when body, own attachments and sender are the same. No mail that exists is one of a demo.
fn same_content(copy: &MessageCopy, analysis: &Analysis) -> bool {
    let own = copy.attachments.iter().filter(|file| file.parent_sha256.is_none());
    let mut files: Vec<&str> = own.map(|file| file.sha256.as_str()).collect();
    files.sort_unstable();
    copy.message_id.demo().is_none()
        && copy.internet_message_id == analysis.message_id
        && copy.body_sha256 == analysis.body_sha256
        && copy.sender_from == analysis.from_address
        && files == analysis.attachment_hashes()
}

fn content_id(analysis: &Analysis) -> MessageId {
    let mut hasher = Sha256::new();
    hasher.update(b"hinomi message\0");
    let date = analysis.date.map(|date| date.to_string()).unwrap_or_default();
    let texts = [&analysis.message_id, &analysis.from_address, &analysis.subject, &date, &analysis.body_sha256];
    for text in texts.into_iter().chain(&analysis.attachment_hashes()) {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text);
    }
    let hash: [u8; 32] = hasher.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    // version 8 (RFC 9562 5.8): of our own making, not ordered by time
    uuid::Builder::from_custom_bytes(bytes).into_uuid().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_mail_has_the_same_id() {
        let one = Analysis { message_id: "a@b".to_owned(), subject: "c".to_owned(), ..Analysis::default() };
        let moved = Analysis { message_id: "a@".to_owned(), subject: "bc".to_owned(), ..Analysis::default() };
        assert_eq!(content_id(&one), content_id(&one.clone()));
        assert_ne!(content_id(&one), content_id(&moved), "fields do not run into each other");
    }
}

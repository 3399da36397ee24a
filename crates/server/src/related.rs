//! Forwarded and replied copies of messages: mail of the organisation's own people that names a
//! message in In-Reply-To or References, or carries one of its files.
//!
//! Both come from the index, as the mails themselves had it. Nothing is touched because of it alone:
//! every related copy is looked up in its mailbox by its own Message-ID **and** content like any other.

use crate::app::Ctx;
use anyhow::Result;
use hinomi_api::RelatedBy;
use hinomi_model::{Attachment, MailField, MailFilter, MessageCopy, MessageCopyRef, MessageId};
use hinomi_store::Page;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Related copies found, at most.
pub(crate) const RELATED_MAX: usize = 500;
/// Messages whose relations are looked for.
const MESSAGES_MAX: usize = 100;
/// Files looked for.
const FILES_MAX: usize = 200;
/// Signs of one mail that are compared with what actions are armed for.
const SIGNS_MAX: usize = 50;
/// A file carried by more messages than this is a letterhead or the like, not a sign of forwarding.
const COMMON_FILE: i64 = 200;

/// A forwarded or replied copy.
#[derive(Debug, Clone)]
pub struct Related {
    /// The copy.
    pub copy: MessageCopy,
    /// Why it counts.
    pub by: RelatedBy,
    /// Message it belongs to.
    pub of: MessageId,
}

/// Finds the forwarded and replied copies of some messages, references first.
///
/// # Errors
/// When the store cannot be read.
pub async fn find(ctx: &Ctx, copies: &[MessageCopy]) -> Result<Vec<Related>> {
    let mut messages: BTreeMap<MessageId, &MessageCopy> = BTreeMap::new();
    for copy in copies.iter().filter(|copy| copy.message_id.demo().is_none()) {
        if messages.len() < MESSAGES_MAX {
            messages.entry(copy.message_id).or_insert(copy);
        }
    }
    let named: BTreeSet<MessageId> = copies.iter().map(|copy| copy.message_id).collect();
    let own_domains = &ctx.config.gateway.own_domains;
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |copy: MessageCopy, by: RelatedBy, of: MessageId| {
        let fits =
            !named.contains(&copy.message_id) && copy.message_id.demo().is_none() && is_of_us(&copy, own_domains);
        if fits && found.len() < RELATED_MAX && seen.insert((copy.message_id, copy.recipient.clone())) {
            found.push(Related { copy, by, of });
        }
    };
    let ids: BTreeMap<&str, MessageId> = messages
        .values()
        .filter(|copy| !copy.internet_message_id.is_empty())
        .map(|copy| (copy.internet_message_id.as_str(), copy.message_id))
        .collect();
    let wanted: Vec<String> = ids.keys().map(|id| (*id).to_owned()).collect();
    for copy in ctx.store.messages_referring(&wanted, RELATED_MAX as i64).await? {
        let of = copy.references.iter().find_map(|id| ids.get(id.as_str()).copied());
        if let Some(of) = of {
            add(copy, RelatedBy::Reference, of);
        }
    }
    let mut files: BTreeMap<&str, MessageId> = BTreeMap::new();
    for copy in messages.values() {
        for file in copy.attachments.iter().filter(|file| is_telling(file)) {
            if files.len() < FILES_MAX {
                files.entry(&file.sha256).or_insert(copy.message_id);
            }
        }
    }
    for (sha256, of) in files {
        let filter = MailFilter::default().with(MailField::AttachmentSha256, sha256);
        let mut page = Page::first(200);
        loop {
            let listed = ctx.store.messages(&filter, &page).await?;
            if listed.total > COMMON_FILE {
                break;
            }
            listed.items.into_iter().for_each(|copy| add(copy, RelatedBy::Attachment, of));
            page.after = listed.next;
            if page.after.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

fn is_of_us(copy: &MessageCopy, own_domains: &[String]) -> bool {
    let domain = copy.sender_from.rsplit_once('@').map_or("", |(_, domain)| domain);
    own_domains.iter().any(|own| own.eq_ignore_ascii_case(domain))
}

/// Adds the forwarded and replied copies of what an order names. Returns the signs by which later ones
/// are known, see [`signs_of`].
///
/// # Errors
/// When the store cannot be read.
pub async fn extend(ctx: &Ctx, copies: &mut Vec<MessageCopyRef>) -> Result<Vec<String>> {
    let mut known = Vec::new();
    for copy in &*copies {
        known.extend(ctx.store.message(copy.message_id, &copy.recipient).await?);
    }
    for related in find(ctx, &known).await? {
        let copy = MessageCopyRef { message_id: related.copy.message_id, recipient: related.copy.recipient };
        if !copies.contains(&copy) {
            copies.push(copy);
        }
    }
    signs_for(ctx, &known).await
}

/// What forwarded and replied copies of some messages would show.
async fn signs_for(ctx: &Ctx, copies: &[MessageCopy]) -> Result<Vec<String>> {
    let mut messages: BTreeMap<MessageId, &MessageCopy> = BTreeMap::new();
    for copy in copies {
        messages.entry(copy.message_id).or_insert(copy);
    }
    let mut signs = BTreeSet::new();
    let mut files: BTreeSet<&str> = BTreeSet::new();
    for copy in messages.values().take(MESSAGES_MAX) {
        if !copy.internet_message_id.is_empty() {
            signs.insert(reference(&copy.internet_message_id));
        }
        files.extend(copy.attachments.iter().filter(|file| is_telling(file)).map(|file| file.sha256.as_str()));
    }
    for sha256 in files.into_iter().take(FILES_MAX) {
        let filter = MailFilter::default().with(MailField::AttachmentSha256, sha256);
        if ctx.store.messages(&filter, &Page::first(1)).await?.total <= COMMON_FILE {
            signs.insert(file_sign(sha256));
        }
    }
    Ok(signs.into_iter().collect())
}

/// The signs a mail of the organisation's own people shows of being a forwarded or replied copy: what
/// it refers to and which files it carries. None for mails of others.
pub(crate) fn signs_of(copy: &MessageCopy, own_domains: &[String]) -> Vec<String> {
    if !is_of_us(copy, own_domains) {
        return Vec::new();
    }
    let files = copy.attachments.iter().filter(|file| is_telling(file)).map(|file| file_sign(&file.sha256));
    copy.references.iter().map(|id| reference(id)).chain(files).take(SIGNS_MAX).collect()
}

fn reference(message_id: &str) -> String {
    format!("reference:{}", hex::encode(Sha256::digest(message_id)))
}

fn file_sign(sha256: &str) -> String {
    format!("file:{sha256}")
}

/// Pictures are in signatures, and an empty file says nothing.
fn is_telling(file: &Attachment) -> bool {
    file.size > 0 && !file.file_type.starts_with("image/")
}

//! The header of a message, read on record from a mailbox, or from what was kept when it was taken out:
//! who reads it says why.

use crate::app::Ctx;
use crate::mailboxes::{Reading, Reason};
use hinomi_api::{MessageHeader, ReceivedHop};
use hinomi_mail::filters;
use hinomi_model::{DeliveryLocation, MessageCopy, MessageId, Timestamp};
use hinomi_store::StoreError;

/// Mailboxes asked before it is said that nobody has the message.
const MAILBOXES_MAX: usize = 5;

/// The header could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// No such message, or nobody of that name has it.
    #[error("no such message copy")]
    NoSuchCopy,
    /// No mailboxes are connected.
    #[error("no mailboxes are connected")]
    Unavailable,
    /// It is in none of the mailboxes asked, and was not kept.
    #[error("the message is in none of the {0} mailboxes asked, and no copy of it was kept")]
    Gone(usize),
    /// The mailboxes could not be read, and why.
    #[error("{0}")]
    Failed(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads the header of a message from the mailbox of `recipient`, or of the first who still has it; one that
/// was taken out or stopped, from what was kept.
///
/// # Errors
/// [`HeaderError`] says why not.
pub async fn read(
    ctx: &Ctx,
    message: MessageId,
    recipient: Option<&str>,
    why: &str,
    by: &str,
) -> Result<MessageHeader, HeaderError> {
    let mut copies = ctx.store.message_copies(message).await?;
    copies.retain(|copy| recipient.is_none_or(|wanted| wanted.eq_ignore_ascii_case(&copy.recipient)));
    if copies.is_empty() {
        return Err(HeaderError::NoSuchCopy);
    }
    let mailboxes = ctx.mail.get().ok_or(HeaderError::Unavailable)?;
    copies.sort_by_key(|copy| distance(copy.latest_location));
    copies.truncate(MAILBOXES_MAX);
    let reason = Reason::Header { message, why: why.to_owned() };
    let reading = Reading { actor: by.to_owned(), reason };
    let mut failed = None;
    for copy in &copies {
        match mailboxes.read(&reading, copy).await {
            Ok(Some((folder, raw))) => return Ok(told(ctx, copy, Some(folder), &raw)),
            Ok(None) => {}
            Err(error) => failed = Some(error),
        }
    }
    for copy in &copies {
        match mailboxes.read_kept(&reading, copy).await {
            Ok(Some(raw)) => return Ok(told(ctx, copy, None, &raw)),
            Ok(None) => {}
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.map_or(HeaderError::Gone(copies.len()), HeaderError::Failed))
}

/// Where a mail is most likely still to be found comes first.
fn distance(location: DeliveryLocation) -> u8 {
    match location {
        DeliveryLocation::Inbox => 0,
        DeliveryLocation::JunkFolder | DeliveryLocation::DeletedItems => 1,
        DeliveryLocation::Quarantine => 2,
        DeliveryLocation::Unknown => 3,
        DeliveryLocation::Dropped | DeliveryLocation::Failed => 4,
    }
}

fn told(ctx: &Ctx, copy: &MessageCopy, folder: Option<String>, raw: &[u8]) -> MessageHeader {
    let gateway = &ctx.config.gateway;
    let filters = gateway.trusted_filters.iter().flat_map(|filter| &filter.received_by);
    let trusted: Vec<String> = gateway.own_servers.iter().chain(filters).cloned().collect();
    let (text, complete) = filters::section(raw);
    MessageHeader {
        recipient: copy.recipient.clone(),
        folder,
        read_at: ctx.now(),
        raw: text,
        complete,
        hops: hops(&filters::fields(raw), &trusted),
    }
}

fn hops(fields: &[filters::Field], trusted: &[String]) -> Vec<ReceivedHop> {
    let mut before: Option<i64> = None;
    let tell = |hop: filters::Hop| {
        let delay_seconds = before.zip(hop.at).and_then(|(before, at)| at.checked_sub(before));
        before = hop.at.or(before);
        ReceivedHop {
            from: hop.from,
            address: hop.address.map(|address| address.to_string()),
            by: hop.by,
            with: hop.with,
            at: hop.at.and_then(|at| at.checked_mul(1_000_000)).map(Timestamp::from_micros),
            delay_seconds,
            trusted: hop.trusted,
        }
    };
    filters::hops(fields, trusted).into_iter().map(tell).collect()
}

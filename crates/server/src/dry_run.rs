//! The dry run of a removal: what would be touched, asked live, and what a person must look at first.

use crate::app::Ctx;
use crate::mailboxes::{Looked, Mailboxes, Reading, Reason};
use anyhow::{Context, Result};
use hinomi_api::{
    DifferingMail, DryRun, DryRunMailbox, DryRunPlace, DryRunResult, ExplorerMessage, NeedsPerson, RecipientState,
    RelatedCopy, ValueCount,
};
use hinomi_model::{DeliveryLocation, MailField, MailFilter, MessageCopy, MessageCopyRef, MessageId};
use hinomi_store::Page;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Copies asked live in one dry run.
const ASKED_MAX: usize = 2_000;
/// Longest time for asking.
const ASK_TIME_MAX: Duration = Duration::from_secs(45);
/// Mailboxes shown.
const MAILBOXES_MAX: usize = 500;
/// Differing mails shown.
const DIFFERING_MAX: usize = 100;
/// Messages shown.
const SAMPLE_MAX: usize = 20;
/// Copies from which a mistake is costly.
const MANY_COPIES: i64 = 1_000;
/// Recipients from which one message is widely delivered.
const WIDE_RECIPIENTS: usize = 100;
/// A sender who has written for this long is known here, seconds.
const KNOWN_SECONDS: i64 = 30 * 24 * 3600;
/// Messages from before that time which make a sender a regular one.
const REGULAR_MESSAGES: i64 = 10;
/// Senders looked at.
const SENDERS_MAX: usize = 20;

/// Makes a dry run for somebody.
///
/// # Errors
/// When the store cannot be read or no mailboxes are connected.
pub async fn make(ctx: &Ctx, order: &DryRun, by: &str) -> Result<DryRunResult> {
    let mail = ctx.mail.get().context("no mailboxes are connected")?;
    let (copies, total) = targets(ctx, order).await?;
    let checked_at = ctx.now();
    let asked: Vec<MessageCopy> = copies.iter().take(ASKED_MAX).cloned().collect();
    let reading = Reading { actor: by.to_owned(), reason: Reason::DryRun };
    let looked = mail.look(&reading, &asked);
    let looked = tokio::time::timeout(ASK_TIME_MAX, looked).await.context("ask the mailboxes in time")?;
    let mut mailboxes: BTreeMap<String, DryRunMailbox> = BTreeMap::new();
    let mut locations: BTreeMap<String, i64> = BTreeMap::new();
    let mut differing = Vec::new();
    let mut present = 0;
    for (copy, looked) in asked.iter().zip(looked) {
        present += i64::from(!looked.present.is_empty());
        for (_, location) in &looked.present {
            *locations.entry(location.word()).or_default() += 1;
        }
        let others = looked.differing.iter().map(|(folder, difference)| DifferingMail {
            recipient: copy.recipient.clone(),
            folder: folder.clone(),
            difference: difference.clone(),
        });
        differing.extend(others);
        add(ctx, &mut mailboxes, copy, looked);
    }
    differing.truncate(DIFFERING_MAX);
    let related = match order.related {
        true => related(ctx, mail, &reading, &copies).await?,
        false => Vec::new(),
    };
    let mut needs = needs_person(ctx, &copies).await?;
    if total > MANY_COPIES {
        needs.insert(NeedsPerson::ManyCopies);
    }
    let mut mailboxes: Vec<DryRunMailbox> = mailboxes.into_values().collect();
    mailboxes.sort_by_key(|one| one.places.is_empty());
    mailboxes.truncate(MAILBOXES_MAX);
    let messages: BTreeSet<MessageId> = copies.iter().map(|copy| copy.message_id).collect();
    let since = |copy: &&MessageCopy| order.since.is_some_and(|since| copy.received_at > since);
    Ok(DryRunResult {
        checked_at,
        copies: total,
        messages: messages.len() as i64,
        appeared_since: copies.iter().filter(since).count() as i64,
        asked: asked.len() as i64,
        present,
        locations: locations.into_iter().map(|(value, count)| ValueCount { value, count }).collect(),
        mailboxes,
        differing,
        related,
        sample: sample(&copies),
        needs_person: needs.into_iter().collect(),
    })
}

/// Forwarded and replied copies, asked live too.
async fn related(ctx: &Ctx, mail: &Mailboxes, reading: &Reading, copies: &[MessageCopy]) -> Result<Vec<RelatedCopy>> {
    let found = crate::related::find(ctx, copies).await?;
    let asked: Vec<MessageCopy> = found.iter().map(|related| related.copy.clone()).collect();
    let looked = mail.look(reading, &asked);
    let looked = tokio::time::timeout(ASK_TIME_MAX, looked).await.context("ask the mailboxes in time")?;
    let told = found.into_iter().zip(looked).map(|(related, looked)| RelatedCopy {
        copy: MessageCopyRef { message_id: related.copy.message_id, recipient: related.copy.recipient },
        sender: related.copy.sender_from,
        subject: related.copy.subject,
        by: related.by,
        of: related.of,
        folders: looked.present.into_iter().map(|(folder, _)| folder).collect(),
        error: looked.error,
    });
    Ok(told.collect())
}

/// The copies an order names, newest first, at most 5,000 of them, and how many there are.
pub(crate) async fn targets(ctx: &Ctx, order: &DryRun) -> Result<(Vec<MessageCopy>, i64)> {
    const READ_MAX: usize = 5_000;
    let mut copies = Vec::new();
    let Some(filter) = &order.filter else {
        for copy in &order.copies {
            copies.extend(ctx.store.message(copy.message_id, &copy.recipient).await?);
        }
        let total = copies.len() as i64;
        return Ok((copies, total));
    };
    let mut page = Page::first(200);
    let mut total = 0;
    loop {
        let listed = ctx.store.messages(filter, &page).await?;
        total = total.max(listed.total);
        copies.extend(listed.items);
        page.after = listed.next;
        if page.after.is_none() || copies.len() >= READ_MAX {
            copies.truncate(READ_MAX);
            return Ok((copies, total));
        }
    }
}

fn add(ctx: &Ctx, mailboxes: &mut BTreeMap<String, DryRunMailbox>, copy: &MessageCopy, looked: Looked) {
    let marked = |list: &[String]| list.iter().any(|one| one.eq_ignore_ascii_case(&copy.recipient));
    let marks = &ctx.config.mailbox_marks;
    let mailbox = mailboxes.entry(copy.recipient.clone()).or_insert_with(|| DryRunMailbox {
        recipient: copy.recipient.clone(),
        places: Vec::new(),
        absent: 0,
        protected: marked(&marks.protected),
        shared: marked(&marks.shared),
        error: None,
    });
    let gone = looked.present.is_empty() && looked.error.is_none();
    mailbox.absent += i64::from(gone && copy.latest_location != DeliveryLocation::Quarantine);
    mailbox.error = mailbox.error.take().or(looked.error);
    for (folder, location) in looked.present {
        match mailbox.places.iter_mut().find(|place| place.folder == folder) {
            Some(place) => place.mails += 1,
            None => mailbox.places.push(DryRunPlace { folder, location, mails: 1 }),
        }
    }
}

/// What makes a removal one a person must look at.
pub(crate) async fn needs_person(ctx: &Ctx, copies: &[MessageCopy]) -> Result<BTreeSet<NeedsPerson>> {
    let mut needs = BTreeSet::new();
    if copies.iter().any(|copy| copy.bulk) {
        needs.insert(NeedsPerson::Bulk);
    }
    let protected = &ctx.config.mailbox_marks.protected;
    if copies.iter().any(|copy| protected.iter().any(|one| one.eq_ignore_ascii_case(&copy.recipient))) {
        needs.insert(NeedsPerson::ProtectedMailbox);
    }
    let mut recipients: BTreeMap<MessageId, usize> = BTreeMap::new();
    for copy in copies {
        *recipients.entry(copy.message_id).or_default() += 1;
    }
    if recipients.values().any(|count| *count >= WIDE_RECIPIENTS) {
        needs.insert(NeedsPerson::WidelyDelivered);
    }
    let own = |address: &str| {
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        ctx.config.gateway.own_domains.iter().any(|own| own.eq_ignore_ascii_case(domain))
    };
    // the address in From proves nothing by itself: only a sender who is who he says is trusted
    let proved =
        |copy: &&MessageCopy| copy.auth.dmarc == "pass" || (own(&copy.sender_from) && own(&copy.sender_mail_from));
    let senders: BTreeSet<&str> = copies.iter().filter(proved).map(|copy| copy.sender_from.as_str()).collect();
    for sender in senders.into_iter().filter(|sender| !sender.is_empty()).take(SENDERS_MAX) {
        if own(sender) {
            needs.insert(NeedsPerson::TrustedSender);
            continue;
        }
        let mut before = MailFilter::default().with(MailField::SenderAddress, sender);
        before.to = Some(ctx.now().plus_seconds(-KNOWN_SECONDS));
        if ctx.store.count_messages(&before).await?.count >= REGULAR_MESSAGES {
            needs.insert(NeedsPerson::TrustedSender);
        }
    }
    Ok(needs)
}

fn sample(copies: &[MessageCopy]) -> Vec<ExplorerMessage> {
    let mut sample: Vec<ExplorerMessage> = Vec::new();
    for copy in copies {
        let full = sample.len() >= SAMPLE_MAX;
        match sample.iter_mut().find(|one| one.message.message_id == copy.message_id) {
            Some(one) => {
                one.recipient_count += 1;
                if one.recipients.len() < 50 {
                    one.recipients.push(RecipientState::of(copy));
                }
            }
            None if !full => sample.push(ExplorerMessage {
                message: copy.clone(),
                recipients: vec![RecipientState::of(copy)],
                recipient_count: 1,
            }),
            None => {}
        }
    }
    sample
}

//! Where the copies of mails are: what the gateway, the journal and looks into mailboxes say.

use super::News;
use crate::actions::follow_up;
use crate::app::Ctx;
use crate::crawl::moved;
use anyhow::Result;
use hinomi_model::{Event, LateCause, MailSource, MessageCopy, MessageCopyRef, Timestamp};
use hinomi_store::Tx;

/// Copies that are stored, and what came of it.
#[derive(Default)]
pub(super) struct Copies {
    /// When the look into the mailbox began; none = nobody looked.
    pub look: Option<Timestamp>,
    /// Copies that an action dealt with after the look began: where they are is not known from it.
    pub acted_since: Vec<MessageCopyRef>,
    /// Rows about what owners of mailboxes did.
    pub moves: Vec<Event>,
}

impl Copies {
    /// Stores the copies of mails. A row read again never overwrites where the copy is now; a mailbox
    /// that was looked into tells where it is, unless an action dealt with the copy meanwhile.
    pub async fn put(&mut self, ctx: &Ctx, tx: &mut Tx, copies: &[MessageCopy], news: &mut News) -> Result<()> {
        let now = ctx.now();
        let armed = tx.armed_any(now).await?;
        for copy in copies {
            let late = match tx.message(copy.message_id, &copy.recipient).await? {
                None => {
                    let whole = of_known_message(tx, copy).await?;
                    tx.put_message(&whole).await?;
                    // the row holds when the first copy came
                    Some((MessageCopy { received_at: copy.received_at, ..whole }, None, LateCause::Delivered))
                }
                Some(known) if copy.source == MailSource::Crawl => self
                    .looked(tx, copy, known, now, news)
                    .await?
                    .map(|(seen, known)| (seen, Some(known), LateCause::Returned)),
                Some(known) => {
                    add_parts(tx, copy, &known).await?;
                    // the journal tells a mail that is delivered again to the same mailbox
                    let journalled = copy.source == MailSource::Journal;
                    journalled.then(|| (copy.clone(), Some(known), LateCause::Delivered))
                }
            };
            if let Some((copy, known, cause)) = late.filter(|_| armed)
                && follow_up::notice(ctx, tx, &copy, known.as_ref(), cause, now).await?
            {
                news.job();
            }
        }
        Ok(())
    }

    /// Notes where a look found a known copy; returns it with what was known when that is news.
    async fn looked(
        &mut self,
        tx: &mut Tx,
        copy: &MessageCopy,
        known: MessageCopy,
        now: Timestamp,
        news: &mut News,
    ) -> Result<Option<(MessageCopy, MessageCopy)>> {
        if known.latest_location == copy.latest_location && known.folder == copy.folder {
            return Ok(None);
        }
        let acted = self.look.is_none_or(|look| known.acted_on_since(look));
        if acted || moved::is_under_way(tx, &known).await? {
            self.acted_since.push(MessageCopyRef { message_id: known.message_id, recipient: known.recipient.clone() });
            return Ok(None);
        }
        let mut seen =
            MessageCopy { latest_location: copy.latest_location, folder: copy.folder.clone(), ..known.clone() };
        if known.latest_location != copy.latest_location || known.folder.is_some() {
            seen.moved_by = Some("owner".to_owned());
            seen.moved_at = Some(now);
        }
        // what was never looked at before may have been filed by the mail server itself
        if known.folder.is_some() || known.moved_by.is_some() {
            self.moves.push(moved::tell(tx, &known, &seen, now, news).await?);
        }
        tx.update_message(&seen, seen.version).await?;
        Ok(Some((seen, known)))
    }
}

/// A copy told again may have parts that were not known.
async fn add_parts(tx: &mut Tx, copy: &MessageCopy, known: &MessageCopy) -> Result<()> {
    if known.attachments.len() >= copy.attachments.len() && known.urls.len() >= copy.urls.len() {
        return Ok(());
    }
    let merged = MessageCopy {
        latest_location: known.latest_location,
        folder: known.folder.clone(),
        moved_by: known.moved_by.clone(),
        moved_at: known.moved_at,
        verdict: known.verdict.max(copy.verdict),
        ..copy.clone()
    };
    tx.put_message(&merged).await?;
    Ok(())
}

/// A new copy of a message the gateway saw keeps what the gateway knew of it.
async fn of_known_message(tx: &mut Tx, copy: &MessageCopy) -> Result<MessageCopy> {
    if copy.source == MailSource::Gateway {
        return Ok(copy.clone());
    }
    let Some(shared) = tx.message_shared(copy.message_id).await? else { return Ok(copy.clone()) };
    Ok(MessageCopy {
        recipient: copy.recipient.clone(),
        delivery_action: copy.delivery_action,
        delivery_location: copy.delivery_location,
        latest_location: copy.latest_location,
        folder: copy.folder.clone(),
        moved_by: None,
        moved_at: None,
        ..shared
    })
}

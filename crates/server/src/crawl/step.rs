//! What one step of the crawl writes, all or nothing.

use super::moved;
use crate::analyst::{self, News};
use crate::app::Ctx;
use anyhow::{Context, Result};
use hinomi_model::{DeliveryLocation, Event, MessageCopyRef, MessageId, Timestamp};
use hinomi_store::{CrawlFolder, CrawlMailbox, Tx};

/// Rows of some mails, where they lie, and how far the folder was read with them.
#[derive(Default)]
pub(crate) struct Step {
    pub events: Vec<Event>,
    pub places: Vec<(String, MessageId, String)>,
}

impl Step {
    /// Lets the analyst take the mails in and notes how far the folder was read, in one transaction.
    /// `look` is when the first of them was asked for. Returns the mails to be read again: an action
    /// dealt with them since.
    pub async fn commit(
        &self,
        ctx: &Ctx,
        folder: &CrawlFolder,
        mailbox: &CrawlMailbox,
        look: Timestamp,
    ) -> Result<Vec<String>> {
        let analysis = analyst::read(ctx, &self.events, None).await?;
        let done = Done { look, step: self, folder, mailbox };
        let acted_since = analyst::commit_crawl(ctx, &analysis, &done).await.context("store a step of the crawl")?;
        let of = |(mail, id, recipient): &(String, MessageId, String)| {
            let acted = |one: &MessageCopyRef| one.message_id == *id && one.recipient == *recipient;
            acted_since.iter().any(acted).then(|| mail.clone())
        };
        Ok(self.places.iter().filter_map(of).collect())
    }

    /// Notes that mails are gone from a folder: moved by their owner to where they were seen too, or
    /// to a place not known. `look` is when the folder was asked for what it holds.
    pub async fn gone(ctx: &Ctx, left: &CrawlFolder, mails: &[String], look: Timestamp) -> Result<()> {
        if mails.is_empty() {
            return Ok(());
        }
        let now = ctx.now();
        let _turn = ctx.desk.turn().await;
        let mut tx = ctx.store.begin().await?;
        let (mut moves, mut news) = (Vec::new(), News::default());
        for gone in tx.remove_crawl_places(&left.mailbox, &left.folder, mails).await? {
            let Some(mut copy) = tx.message(gone.message_id, &gone.recipient).await? else { continue };
            let (location, folder) = gone.elsewhere.unzip();
            let location = location.unwrap_or(DeliveryLocation::Unknown);
            // what an action took out is where the action says
            let ours = matches!(copy.latest_location, DeliveryLocation::Quarantine | DeliveryLocation::Dropped);
            let known_elsewhere = copy.folder.as_ref().is_some_and(|known| *known != left.name);
            if ours
                || known_elsewhere
                || copy.acted_on_since(look)
                || (copy.latest_location == location && copy.folder == folder)
                || moved::is_under_way(&mut tx, &copy).await?
            {
                continue;
            }
            let before = copy.clone();
            copy.latest_location = location;
            copy.folder = folder;
            copy.moved_by = Some("owner".to_owned());
            copy.moved_at = Some(now);
            moves.push(moved::tell(&mut tx, &before, &copy, now, &mut news).await?);
            tx.update_message(&copy, copy.version).await?;
        }
        ctx.ingest.append_once(moves).await.context("store rows about moved mail")?;
        tx.commit().await?;
        news.send(ctx);
        Ok(())
    }
}

/// A step, where it leaves the folder and the mailbox.
pub(crate) struct Done<'s> {
    /// When the look began.
    pub look: Timestamp,
    step: &'s Step,
    folder: &'s CrawlFolder,
    mailbox: &'s CrawlMailbox,
}

impl Done<'_> {
    /// Writes the step's own rows.
    pub async fn write(&self, tx: &mut Tx) -> Result<()> {
        let CrawlFolder { mailbox, folder, .. } = self.folder;
        tx.put_crawl_folder(self.folder).await?;
        tx.add_crawl_places(mailbox, folder, &self.step.places).await?;
        tx.put_crawl_mailbox(self.mailbox).await?;
        Ok(())
    }
}

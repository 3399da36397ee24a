//! What one step of the crawl writes, all or nothing.

use crate::analyst;
use crate::app::Ctx;
use anyhow::{Context, Result};
use hinomi_mail::imap::folder_for_people;
use hinomi_model::{DeliveryLocation, Event, MessageId};
use hinomi_store::{CrawlFolder, CrawlMailbox, Tx};

/// Rows of some mails, where they lie, and how far the folder was read with them.
#[derive(Default)]
pub(crate) struct Step {
    pub events: Vec<Event>,
    pub places: Vec<(u32, MessageId, String)>,
}

impl Step {
    /// Lets the analyst take the mails in and notes how far the folder was read, in one transaction.
    pub async fn commit(&self, ctx: &Ctx, folder: &CrawlFolder, mailbox: &CrawlMailbox) -> Result<()> {
        let analysis = analyst::read(ctx, &self.events, None).await?;
        let done = Done { step: self, folder, mailbox };
        analyst::commit_crawl(ctx, &analysis, &done).await.context("store a step of the crawl")
    }

    /// Notes that mails are gone from a folder: moved by their owner to where they were seen too, or
    /// to a place not known.
    pub async fn gone(ctx: &Ctx, mailbox: &str, folder: &str, uids: &[u32]) -> Result<()> {
        if uids.is_empty() {
            return Ok(());
        }
        let now = ctx.now();
        let left = folder_for_people(folder);
        let mut tx = ctx.store.begin().await?;
        for gone in tx.remove_crawl_places(mailbox, folder, uids).await? {
            let Some(mut copy) = tx.message(gone.message_id, &gone.recipient).await? else { continue };
            let (location, folder) = match gone.elsewhere {
                Some((location, folder)) => (location, Some(folder_for_people(&folder))),
                None => (DeliveryLocation::Unknown, None),
            };
            // what an action took out is where the action says
            let ours = matches!(copy.latest_location, DeliveryLocation::Quarantine | DeliveryLocation::Dropped);
            let known_elsewhere = copy.folder.as_ref().is_some_and(|known| *known != left);
            if ours || known_elsewhere || (copy.latest_location == location && copy.folder == folder) {
                continue;
            }
            copy.latest_location = location;
            copy.folder = folder;
            copy.moved_by = Some("owner".to_owned());
            copy.moved_at = Some(now);
            tx.update_message(&copy, copy.version).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// A step, where it leaves the folder and the mailbox.
pub(crate) struct Done<'s> {
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

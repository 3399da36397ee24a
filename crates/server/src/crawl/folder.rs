//! One mailbox, folder by folder.

use super::{Step, Throttle, internal_date};
use crate::app::Ctx;
use crate::config::CrawlConfig;
use crate::journal::{Found, Reader};
use anyhow::{Context, Result};
use hinomi_mail::connector::Walk;
use hinomi_mail::imap::folder_for_people;
use hinomi_model::MailSource;
use hinomi_store::{CrawlFolder, CrawlMailbox};
use std::collections::HashSet;

/// Mails committed together.
const BATCH: usize = 20;
/// Looks at a mail that actions keep dealing with.
const LOOKS_MAX: usize = 3;

/// The work on one mailbox.
pub(super) struct Walker<'w> {
    pub ctx: &'w Ctx,
    pub config: &'w CrawlConfig,
    pub reader: &'w Reader,
    pub throttle: &'w Throttle,
    pub state: &'w mut CrawlMailbox,
}

impl Walker<'_> {
    /// Reads what is new in every folder; false when the server stops meanwhile.
    pub async fn walk(mut self) -> Result<bool> {
        let mail = self.ctx.mail.get().context("mailboxes are not configured")?;
        let look = self.ctx.now();
        let mut walk = mail.walk(&self.state.mailbox).await?;
        let mut there = HashSet::new();
        for folder in walk.folders().to_vec() {
            if !self.folder(&mut *walk, &folder.id, folder.location()).await? {
                return Ok(false);
            }
            there.insert(folder.id);
        }
        for gone in self.ctx.store.crawl_folder_names(&self.state.mailbox).await? {
            if !there.contains(&gone) {
                let uids = self.ctx.store.crawl_places(&self.state.mailbox, &gone).await?;
                Step::gone(self.ctx, &self.state.mailbox, &gone, &uids, look).await?;
            }
        }
        walk.close().await;
        Ok(true)
    }

    async fn folder(
        &mut self,
        walk: &mut dyn Walk,
        name: &str,
        location: hinomi_model::DeliveryLocation,
    ) -> Result<bool> {
        let mailbox = self.state.mailbox.clone();
        let look = self.ctx.now();
        let open = walk.select(name).await.with_context(|| format!("open folder {}", folder_for_people(name)))?;
        // a folder nobody may read is no reason to leave out the others
        let Some(open) = open else { return Ok(true) };
        let known = self.ctx.store.crawl_folder(&mailbox, name).await?;
        if let Some(known) = known.as_ref().filter(|known| known.uid_validity != open.uid_validity) {
            tracing::info!(mailbox = %mailbox, validity = known.uid_validity, "a folder was renumbered, it is read again");
            let uids = self.ctx.store.crawl_places(&mailbox, name).await?;
            Step::gone(self.ctx, &mailbox, name, &uids, look).await?;
        }
        let known = known.filter(|known| known.uid_validity == open.uid_validity);
        let mut folder = known.unwrap_or_else(|| CrawlFolder {
            mailbox: mailbox.clone(),
            folder: name.to_owned(),
            location,
            uid_validity: open.uid_validity,
            uid_next: 1,
            mails: None,
            seen_at: self.ctx.now(),
        });
        if folder.mails == Some(open.exists) && folder.uid_next == open.uid_next {
            return Ok(true);
        }
        let new = walk.uids_from(folder.uid_next).await?;
        for batch in new.chunks(BATCH) {
            if self.ctx.stop.is_cancelled() {
                return Ok(false);
            }
            self.batch(walk, &mut folder, batch).await?;
        }
        let look = self.ctx.now();
        let there: HashSet<u32> = walk.uids_from(1).await?.into_iter().collect();
        let places = self.ctx.store.crawl_places(&mailbox, name).await?;
        let gone: Vec<u32> = places.into_iter().filter(|uid| !there.contains(uid)).collect();
        Step::gone(self.ctx, &mailbox, name, &gone, look).await?;
        folder.uid_next = folder.uid_next.max(open.uid_next);
        folder.mails = Some(u32::try_from(there.len()).unwrap_or(u32::MAX));
        folder.seen_at = self.ctx.now();
        self.ctx.store.put_crawl_folder(&folder).await?;
        Ok(true)
    }

    /// Reads some mails and commits what they say together with how far the folder was read. Those an
    /// action dealt with meanwhile are read again: only a look that began after the act says where
    /// they are.
    async fn batch(&mut self, walk: &mut dyn Walk, folder: &mut CrawlFolder, uids: &[u32]) -> Result<()> {
        let mut again = self.read(walk, folder, uids, true).await?;
        for _ in 1..LOOKS_MAX {
            if again.is_empty() {
                return Ok(());
            }
            again = self.read(walk, folder, &again, false).await?;
        }
        Ok(())
    }

    /// Reads mails once; returns those to be read again. `new` ones are counted.
    async fn read(
        &mut self,
        walk: &mut dyn Walk,
        folder: &mut CrawlFolder,
        uids: &[u32],
        new: bool,
    ) -> Result<Vec<u32>> {
        let look = self.ctx.now();
        let shown = folder_for_people(&folder.folder);
        let mut step = Step::default();
        for uid in uids {
            self.throttle.wait().await;
            let fetched = match walk.fetch(*uid).await {
                Ok(Some(fetched)) => fetched,
                // gone since the list was made
                Ok(None) => continue,
                Err(error) if error.is_passing() => return Err(error).context("read a mail"),
                Err(error) => {
                    // a mail the server cannot give, or beyond a limit: the connection is of no use any more
                    tracing::warn!(mailbox = %folder.mailbox, uid, "a mail cannot be read and is left out: {error}");
                    self.state.skipped += 1;
                    folder.uid_next = uid.saturating_add(1);
                    step.commit(self.ctx, folder, self.state, look).await?;
                    return Err(error).context("read a mail");
                }
            };
            if fetched.raw.len() as u64 > self.config.mail_bytes_max {
                self.state.skipped += 1;
                continue;
            }
            let mail = self.reader.read(fetched.raw).await?;
            let (id, recipient) = self.reader.recipient(&mail, &folder.mailbox).await?;
            let found = Found {
                at: internal_date(&fetched.internal_date).unwrap_or_else(|| self.ctx.now()),
                mail_from: mail.analysis.return_path.clone(),
                recipients: vec![recipient.clone()],
                location: folder.location,
                source: MailSource::Crawl,
                folder: Some(&shown),
            };
            step.events.extend(self.reader.rows(&mail, id, found).await?.into_iter().flatten());
            step.places.push((*uid, id, recipient));
            self.state.mails += i64::from(new);
        }
        if new {
            folder.uid_next = uids.last().map_or(folder.uid_next, |last| last.saturating_add(1));
        }
        folder.seen_at = self.ctx.now();
        step.commit(self.ctx, folder, self.state, look).await
    }
}

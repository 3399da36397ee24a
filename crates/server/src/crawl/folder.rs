//! One mailbox, folder by folder.

use super::{Step, Throttle, internal_date};
use crate::app::Ctx;
use crate::config::CrawlConfig;
use crate::journal::{Found, Reader};
use anyhow::{Context, Result, ensure};
use hinomi_mail::connector::{Came, Folder, Gone, Walk};
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
            if !self.folder(&mut *walk, &folder).await? {
                return Ok(false);
            }
            there.insert(folder.id);
        }
        for gone in self.ctx.store.crawl_folder_names(&self.state.mailbox).await? {
            if there.contains(&gone) {
                continue;
            }
            if let Some(folder) = self.ctx.store.crawl_folder(&self.state.mailbox, &gone).await? {
                let mails = self.ctx.store.crawl_places(&folder.mailbox, &folder.folder).await?;
                Step::gone(self.ctx, &folder, &mails, look).await?;
            }
        }
        walk.close().await;
        Ok(true)
    }

    async fn folder(&mut self, walk: &mut dyn Walk, found: &Folder) -> Result<bool> {
        let mailbox = self.state.mailbox.clone();
        let cursor = self.ctx.store.crawl_folder(&mailbox, &found.id).await?.and_then(|known| known.cursor);
        let mut folder = CrawlFolder {
            mailbox,
            folder: found.id.clone(),
            name: found.name.clone(),
            location: found.location(),
            cursor,
            seen_at: self.ctx.now(),
        };
        let mut known: Option<HashSet<String>> = None;
        loop {
            let look = self.ctx.now();
            let changes = walk.changes(&folder.folder, folder.cursor.as_deref()).await;
            let changes = changes.with_context(|| format!("read folder {}", folder.name))?;
            // a folder nobody may read is no reason to leave out the others
            let Some(changes) = changes else { return Ok(true) };
            let nothing = Gone::These(Vec::new());
            if !changes.anew && changes.new.is_empty() && changes.gone == nothing && !changes.more {
                if folder.cursor.as_ref() != Some(&changes.cursor) {
                    folder.cursor = Some(changes.cursor);
                    self.ctx.store.put_crawl_folder(&folder).await?;
                }
                return Ok(true);
            }
            let places = match known.take() {
                Some(places) => places,
                None => self.ctx.store.crawl_places(&folder.mailbox, &folder.folder).await?.into_iter().collect(),
            };
            let places = known.insert(places);
            if changes.anew {
                tracing::info!(mailbox = %folder.mailbox, "a folder was numbered anew, it is read again");
                let all: Vec<String> = places.drain().collect();
                Step::gone(self.ctx, &folder, &all, look).await?;
            }
            let new: Vec<Came> = changes.new.into_iter().filter(|came| !places.contains(&came.id)).collect();
            for batch in new.chunks(BATCH) {
                if self.ctx.stop.is_cancelled() {
                    return Ok(false);
                }
                self.batch(walk, &mut folder, batch).await?;
            }
            places.extend(new.into_iter().map(|came| came.id));
            let gone: Vec<String> = match changes.gone {
                Gone::These(gone) => gone,
                Gone::AllBut(there) => {
                    let there: HashSet<String> = there.into_iter().collect();
                    places.iter().filter(|id| !there.contains(*id)).cloned().collect()
                }
            };
            for id in &gone {
                places.remove(id);
            }
            Step::gone(self.ctx, &folder, &gone, look).await?;
            let goes_on = folder.cursor.as_ref() != Some(&changes.cursor);
            folder.cursor = Some(changes.cursor);
            folder.seen_at = self.ctx.now();
            self.ctx.store.put_crawl_folder(&folder).await?;
            if !changes.more {
                return Ok(true);
            }
            ensure!(goes_on, "the mail system tells the same part of folder {} again and again", folder.name);
        }
    }

    /// Reads some mails and commits what they say together with how far the folder was read. Those an
    /// action dealt with meanwhile are read again: only a look that began after the act says where
    /// they are.
    async fn batch(&mut self, walk: &mut dyn Walk, folder: &mut CrawlFolder, mails: &[Came]) -> Result<()> {
        let mut again = self.read(walk, folder, mails, true).await?;
        for _ in 1..LOOKS_MAX {
            if again.is_empty() {
                return Ok(());
            }
            let mails: Vec<Came> = mails.iter().filter(|mail| again.contains(&mail.id)).cloned().collect();
            again = self.read(walk, folder, &mails, false).await?;
        }
        Ok(())
    }

    /// Reads mails once; returns the ids of those to be read again. `new` ones are counted.
    async fn read(
        &mut self,
        walk: &mut dyn Walk,
        folder: &mut CrawlFolder,
        mails: &[Came],
        new: bool,
    ) -> Result<Vec<String>> {
        let look = self.ctx.now();
        let mut step = Step::default();
        for came in mails {
            self.throttle.wait().await;
            let held = match walk.fetch(&came.id).await {
                Ok(Some(held)) => held,
                // gone since the list was made
                Ok(None) => continue,
                Err(error) if error.is_passing() => return Err(error).context("read a mail"),
                Err(error) => {
                    // a mail the system cannot give, or beyond a limit
                    tracing::warn!(mailbox = %folder.mailbox, id = %came.id, "a mail cannot be read and is left out: {error}");
                    self.state.skipped += 1;
                    match &came.then {
                        None => continue,
                        // the connection is of no use any more: the next pass goes on behind this mail
                        Some(then) => {
                            folder.cursor = Some(then.clone());
                            step.commit(self.ctx, folder, self.state, look).await?;
                            return Err(error).context("read a mail");
                        }
                    }
                }
            };
            if held.raw.len() as u64 > self.config.mail_bytes_max {
                self.state.skipped += 1;
                continue;
            }
            let mail = self.reader.read(held.raw).await?;
            let (id, recipient) = self.reader.recipient(&mail, &folder.mailbox).await?;
            let found = Found {
                at: internal_date(&held.internal_date).unwrap_or_else(|| self.ctx.now()),
                mail_from: mail.analysis.return_path.clone(),
                recipients: vec![recipient.clone()],
                location: folder.location,
                source: MailSource::Crawl,
                folder: Some(&folder.name),
            };
            step.events.extend(self.reader.rows(&mail, id, found).await?.into_iter().flatten());
            step.places.push((came.id.clone(), id, recipient));
            self.state.mails += i64::from(new);
        }
        if new && let Some(then) = mails.last().and_then(|last| last.then.clone()) {
            folder.cursor = Some(then);
        }
        folder.seen_at = self.ctx.now();
        step.commit(self.ctx, folder, self.state, look).await
    }
}

//! The crawl: reads every mailbox in the background, so that mail from before the installation, and
//! mail that came past the gateway, can be found; and notices what its owners move and delete.
//!
//! Per folder the store keeps a cursor of the mail system's connector ([`hinomi_mail::connector::Walk`]:
//! UIDs for IMAP, a delta link for Microsoft 365) and which message each mail is. What a batch of mails
//! says and how far it goes is committed in one transaction: a killed server goes on where it was and
//! tells nothing twice.

mod folder;
pub(crate) mod moved;
mod step;

use step::Step;

pub(crate) use step::Done;

use crate::app::Ctx;
use crate::config::CrawlConfig;
use crate::journal::Reader;
use crate::mailboxes::{self, Reading, Reason};
use anyhow::{Context, Result};
use folder::Walker;
use futures::StreamExt;
use hinomi_model::Timestamp;
use hinomi_store::CrawlMailbox;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior};

/// Longest pause between looks for mailboxes that are due.
const IDLE: Duration = Duration::from_secs(5);
/// A mailbox that failed is tried again after this, seconds.
const RETRY_SECONDS: i64 = 300;
/// Longest error kept, in characters.
const ERROR_CHARS_MAX: usize = 500;

/// Lets so many mails through a second, over all mailboxes.
pub(crate) struct Throttle(Mutex<Interval>);

impl Throttle {
    fn new(per_second: u32) -> Self {
        let mut interval = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Throttle(Mutex::new(interval))
    }

    async fn wait(&self) {
        self.0.lock().await.tick().await;
    }
}

/// Crawls until the server stops; returns at once when there is nothing to crawl.
///
/// # Errors
/// Never for a mailbox's sake; failures are kept with the mailbox.
pub async fn run(ctx: Ctx) -> Result<()> {
    let Some(config) = ctx.config.crawl.clone().filter(|_| ctx.mail.get().is_some()) else {
        ctx.stop.cancelled().await;
        return Ok(());
    };
    let reader = Reader::new(ctx.clone());
    let throttle = Arc::new(Throttle::new(config.mails_per_second));
    let idle = IDLE.min(Duration::from_secs(config.every_seconds));
    loop {
        if let Err(error) = pass(&ctx, &config, &reader, &throttle).await {
            tracing::error!("the crawl is interrupted, again in {} s: {error:#}", idle.as_secs());
        }
        tokio::select! {
            () = ctx.stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(idle) => {}
        }
    }
}

/// Crawls every mailbox that is due.
///
/// # Errors
/// When the user list or the store cannot be read.
pub(crate) async fn pass(ctx: &Ctx, config: &CrawlConfig, reader: &Reader, throttle: &Throttle) -> Result<()> {
    let mail = ctx.mail.get().context("mailboxes are not configured")?;
    let mut due = Vec::new();
    for name in mail.walkable().await? {
        let known = ctx.store.crawl_mailbox(&name).await?;
        if known.as_ref().is_none_or(|known| known.next_at <= ctx.now()) {
            due.push((name, known));
        }
    }
    futures::stream::iter(due)
        .for_each_concurrent(config.parallel, |(name, known)| async move {
            if !ctx.stop.is_cancelled()
                && let Err(error) = mailbox(ctx, config, reader, throttle, &name, known).await
            {
                tracing::error!(mailbox = %name, "the state of a crawl cannot be stored: {error:#}");
            }
        })
        .await;
    Ok(())
}

async fn mailbox(
    ctx: &Ctx,
    config: &CrawlConfig,
    reader: &Reader,
    throttle: &Throttle,
    name: &str,
    known: Option<CrawlMailbox>,
) -> Result<()> {
    let now = ctx.now();
    // what it had read then is not on record yet; this run's record says that one came to no end
    let was_killed = known.as_ref().is_some_and(|known| known.state == "running");
    let mut state = CrawlMailbox {
        mailbox: name.to_owned(),
        state: "running".to_owned(),
        mails: known.as_ref().map_or(0, |known| known.mails),
        skipped: known.as_ref().map_or(0, |known| known.skipped),
        started_at: now,
        finished_at: known.and_then(|known| known.finished_at),
        next_at: now,
        error: None,
    };
    let before = (state.mails, state.skipped);
    ctx.store.put_crawl_mailbox(&state).await?;
    let walked = Walker { ctx, config, reader, throttle, state: &mut state }.walk().await;
    let (mails, skipped) = (state.mails - before.0, state.skipped - before.1);
    if mails + skipped > 0 || was_killed {
        let interrupted = was_killed || !matches!(walked, Ok(true));
        let reading = Reading::by_system(Reason::Crawl { mails, skipped, interrupted });
        mailboxes::record(&ctx.store, &reading, &[name]).await?;
    }
    let now = ctx.now();
    match walked {
        Ok(true) => {
            state.state = "done".to_owned();
            state.finished_at = Some(now);
            state.next_at = now.plus_seconds(i64::try_from(config.every_seconds).unwrap_or(i64::MAX));
        }
        // the server stops
        Ok(false) => state.state = "waiting".to_owned(),
        Err(error) => {
            let text: String = format!("{error:#}").chars().take(ERROR_CHARS_MAX).collect();
            tracing::warn!(mailbox = %name, "crawl of mailbox {name} failed: {text}");
            state.state = "failed".to_owned();
            state.error = Some(text);
            state.next_at = now.plus_seconds(RETRY_SECONDS);
        }
    }
    ctx.store.put_crawl_mailbox(&state).await?;
    Ok(())
}

/// Reads INTERNALDATE as IMAP writes it (`22-Nov-2026 02:27:03 +0000`).
fn internal_date(text: &str) -> Option<Timestamp> {
    let parsed = jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim()).ok()?;
    Some(Timestamp::from_micros(parsed.to_timestamp().ok()?.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_imap() {
        let at = internal_date(" 2-Nov-2026 02:27:03 +0900").expect("a date");
        assert_eq!(at.to_string(), "2026-11-01T17:27:03.000000Z");
        assert_eq!(internal_date("yesterday"), None);
    }
}

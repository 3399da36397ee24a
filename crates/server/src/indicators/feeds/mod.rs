//! Feeds: lists of indicators fetched on a schedule from TAXII 2.1 servers and MISP.
//!
//! A run fetches what is new within limits, reads it as any list is read, and takes it in as one: what a
//! person or another list says about a value stays, what this feed said before is said anew. How far a
//! feed was read is noted after its values are stored, so that a server that is killed fetches again.

pub mod config;
mod http;
mod misp;
mod taxii;

use super::FEED_PREFIX;
use super::import::{self, Order};
use crate::app::Ctx;
use crate::ids;
use crate::jobs::Outcome;
use anyhow::{Context, Result};
use config::FeedConfig;
use hinomi_detect::indicator_list::{self, Defaults, IndicatorList};
use hinomi_model::{
    FeedKind, FeedRun, FeedRunId, FeedRunState, IndicatorFeed, IndicatorFormat, IndicatorKind, IndicatorSpec,
    RefusedIndicator, Text, Timestamp,
};
use hinomi_store::{Job, Replaces, StoreError};
use http::{Fetch, Stamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// Kind of the job that fetches a feed.
pub const JOB: &str = "indicator_feed";
/// Refusals of a run that are told one by one.
const REFUSED_MAX: usize = 50;
/// Runs kept of a feed.
const RUNS_KEPT: i64 = 200;
/// Seconds before a server that has just started fetches a feed for the first time.
const FIRST_SECONDS: i64 = 30;

/// How far a feed was read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    next_at: Option<Timestamp>,
    failing_since: Option<Timestamp>,
    /// TAXII: when the last object of a collection was added.
    added_after: BTreeMap<String, String>,
    /// MISP feed: events and their times.
    events: BTreeMap<String, i64>,
    stamp: Stamp,
    /// MISP instance: changes since, seconds.
    since: Option<i64>,
}

/// What a run has read.
#[derive(Default)]
struct Batch {
    entries: Vec<IndicatorSpec>,
    places: HashMap<(IndicatorKind, String), usize>,
    refused: Vec<RefusedIndicator>,
    refused_count: u64,
    withdrawn: Vec<(IndicatorKind, String)>,
    entries_max: usize,
    /// Something is left for the next run.
    more: bool,
    unchanged: bool,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.entries.len() >= self.entries_max
    }

    async fn read(&mut self, body: Value, format: IndicatorFormat, defaults: &Defaults) -> Result<()> {
        let list = read_list(body, format, defaults).await?.map_err(|error| anyhow::anyhow!("{error}"))?;
        self.take(list);
        Ok(())
    }

    /// Reads an event of MISP; one that cannot be read is refused, the others count.
    async fn read_or_refuse(&mut self, id: &str, body: Value, defaults: &Defaults) -> Result<()> {
        match read_list(body, IndicatorFormat::Misp, defaults).await? {
            Ok(list) => self.take(list),
            Err(error) => {
                self.refused_count += 1;
                self.refused.push(RefusedIndicator { place: id.to_owned(), value: String::new(), reason: error.0 });
            }
        }
        Ok(())
    }

    fn take(&mut self, list: IndicatorList) {
        self.refused_count += list.refused_count;
        self.refused.extend(list.refused);
        self.refused.truncate(REFUSED_MAX);
        self.withdrawn.extend(list.withdrawn);
        for entry in list.entries {
            let key = (entry.kind, entry.value.clone());
            match self.places.get(&key) {
                // a later page says it anew
                Some(place) => self.entries[*place] = entry,
                None if self.entries.len() >= self.entries_max => self.more = true,
                None => {
                    self.places.insert(key, self.entries.len());
                    self.entries.push(entry);
                }
            }
        }
    }
}

async fn read_list(
    body: Value,
    format: IndicatorFormat,
    defaults: &Defaults,
) -> Result<Result<IndicatorList, indicator_list::ListError>> {
    let defaults = defaults.clone();
    let read = move || indicator_list::read(&body.to_string(), format, &defaults);
    tokio::task::spawn_blocking(read).await.context("read what the feed gave")
}

/// The feeds of the configuration and how they do.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(ctx: &Ctx) -> Result<Vec<IndicatorFeed>> {
    let mut feeds = Vec::new();
    for feed in &ctx.config.indicators.feeds {
        let state = state(ctx, &feed.name).await?;
        feeds.push(IndicatorFeed {
            name: feed.name.clone(),
            kind: feed.kind,
            url: feed.url.clone(),
            every_minutes: feed.every_minutes,
            action: feed.action,
            severity: feed.severity,
            expires_days: feed.expires_days,
            scope: feed.scope.clone(),
            next_at: state.next_at,
            failing_since: state.failing_since,
            last_run: ctx.store.last_feed_run(&feed.name).await?,
        });
    }
    Ok(feeds)
}

/// Names of feeds that cannot be fetched, and since when.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn failing(ctx: &Ctx) -> Result<Vec<(String, Timestamp)>, StoreError> {
    let mut failing = Vec::new();
    for feed in &ctx.config.indicators.feeds {
        let state = ctx.store.feed_state(&feed.name).await?.unwrap_or_default();
        let state: State = serde_json::from_str(&state).unwrap_or_default();
        failing.extend(state.failing_since.map(|since| (feed.name.clone(), since)));
    }
    Ok(failing)
}

/// Orders a run of a feed; none when there is no such feed.
///
/// # Errors
/// When the store fails.
pub async fn order(ctx: &Ctx, name: &str, by: &str, dry_run: bool) -> Result<Option<FeedRun>> {
    let Some(feed) = ctx.config.indicators.feeds.iter().find(|feed| feed.name == name) else { return Ok(None) };
    let key = format!("indicator_feed:{}:{}", feed.name, ids::new::<FeedRunId>());
    Ok(Some(enqueue(ctx, feed, by, dry_run, key).await?))
}

async fn enqueue(ctx: &Ctx, feed: &FeedConfig, by: &str, dry_run: bool, key: String) -> Result<FeedRun> {
    let now = ctx.now();
    let run = FeedRun {
        id: ids::new(),
        feed: feed.name.clone(),
        by: by.to_owned(),
        at: now,
        dry_run,
        state: FeedRunState::Waiting,
        finished_at: None,
        requests: 0,
        bytes: 0,
        more: false,
        added: 0,
        changed: 0,
        unchanged: 0,
        removed: 0,
        refused_count: 0,
        refused: Vec::new(),
        import_id: None,
        reason: None,
    };
    let mut tx = ctx.store.begin().await?;
    let payload = json!({"run": run.id.to_string()}).to_string();
    if tx.enqueue(Job { kind: JOB.to_owned(), key, payload, run_at: now }).await? {
        tx.put_feed_run(&run).await?;
    }
    tx.commit().await?;
    ctx.jobs.notify_one();
    Ok(run)
}

/// Orders the runs that are due.
///
/// # Errors
/// When the store fails.
pub(crate) async fn chores(ctx: &Ctx, now: Timestamp) -> Result<()> {
    for feed in &ctx.config.indicators.feeds {
        let mut known = state(ctx, &feed.name).await?;
        let Some(due) = known.next_at else {
            known.next_at = Some(now.plus_seconds(FIRST_SECONDS));
            put_state(ctx, &feed.name, &known).await?;
            continue;
        };
        if due > now {
            continue;
        }
        // the key is that of the time it was due: servers that share a store order it once
        enqueue(ctx, feed, "schedule", false, format!("indicator_feed:{}:{due}", feed.name)).await?;
        known.next_at = Some(now.plus_seconds(feed.every_minutes as i64 * 60));
        put_state(ctx, &feed.name, &known).await?;
        ctx.store.prune_feed_runs(&feed.name, RUNS_KEPT).await?;
    }
    Ok(())
}

async fn state(ctx: &Ctx, name: &str) -> Result<State> {
    match ctx.store.feed_state(name).await? {
        Some(text) => serde_json::from_str(&text).with_context(|| format!("read the state of feed {name}")),
        None => Ok(State::default()),
    }
}

async fn put_state(ctx: &Ctx, name: &str, state: &State) -> Result<()> {
    Ok(ctx.store.put_feed_state(name, &serde_json::to_string(state).context("write the state of a feed")?).await?)
}

/// Fetches a feed; called by its job. What goes wrong is the run's result, and the next run tries again.
///
/// # Errors
/// When the store fails.
pub(crate) async fn run(ctx: &Ctx, payload: &str) -> Result<Outcome> {
    let payload: Value = serde_json::from_str(payload).context("read job of a feed")?;
    let id: FeedRunId = payload["run"].as_str().unwrap_or_default().parse().context("read id of a run")?;
    let Some(mut run) = ctx.store.feed_run(id).await? else { return Ok(Outcome::Done) };
    if !matches!(run.state, FeedRunState::Waiting | FeedRunState::Running) {
        return Ok(Outcome::Done);
    }
    run.state = FeedRunState::Running;
    ctx.store.put_feed_run(&run).await?;
    let feed = ctx.config.indicators.feeds.iter().find(|feed| feed.name == run.feed);
    let fetched = match feed {
        Some(feed) => fetch(ctx, feed, &mut run).await,
        None => Err(anyhow::anyhow!("the feed is not configured any more")),
    };
    let now = ctx.now();
    let failed = fetched.is_err();
    if let Err(error) = fetched {
        tracing::warn!(feed = run.feed, "feed {} could not be fetched: {error:#}", run.feed);
        run.state = FeedRunState::Failed;
        run.reason = Some(Text::new(format!("{error:#}"), format!("取得できませんでした: {error:#}")));
    }
    run.finished_at = Some(now);
    if !run.dry_run {
        let mut known = state(ctx, &run.feed).await?;
        known.failing_since = if failed { known.failing_since.or(Some(now)) } else { None };
        put_state(ctx, &run.feed, &known).await?;
    }
    ctx.store.put_feed_run(&run).await?;
    Ok(Outcome::Done)
}

async fn fetch(ctx: &Ctx, feed: &FeedConfig, run: &mut FeedRun) -> Result<()> {
    let now = ctx.now();
    let mut known = state(ctx, &feed.name).await?;
    let defaults = Defaults {
        action: feed.action,
        severity: feed.severity,
        note: feed.name.clone(),
        expires_at: Some(now.plus_seconds(i64::from(feed.expires_days) * 24 * 3_600)),
        scope: feed.scope.clone(),
    };
    let mut fetch = Fetch::new(feed)?;
    let mut batch = Batch { entries_max: feed.entries_max, ..Batch::default() };
    let read = match feed.kind {
        FeedKind::Taxii => taxii::read(&mut fetch, feed, &defaults, &mut known, &mut batch).await,
        FeedKind::MispFeed => misp::read_feed(&mut fetch, &defaults, &mut known, &mut batch).await,
        FeedKind::Misp => misp::read_instance(&mut fetch, feed, &defaults, &mut known, &mut batch, now).await,
    };
    (run.requests, run.bytes) = (fetch.requests, fetch.bytes);
    read?;
    run.more = batch.more;
    if batch.unchanged {
        run.state = FeedRunState::Unchanged;
        return Ok(());
    }
    if !run.dry_run {
        run.removed = withdraw(ctx, &format!("{FEED_PREFIX}{}", feed.name), &batch).await?;
    }
    if batch.entries.is_empty() {
        (run.refused_count, run.refused) = (batch.refused_count, batch.refused);
        run.state = FeedRunState::Done;
        return remember(ctx, run, known).await;
    }
    let list = IndicatorList {
        format: if feed.kind == FeedKind::Taxii { IndicatorFormat::Stix } else { IndicatorFormat::Misp },
        entries: batch.entries,
        refused: batch.refused,
        refused_count: batch.refused_count,
        withdrawn: Vec::new(),
    };
    let by = format!("{FEED_PREFIX}{}", feed.name);
    let order = Order { name: by.clone(), by: by.clone(), replaces: Replaces::Own(by), dry_run: run.dry_run };
    let import = import::take(ctx, list, order).await?;
    run.added = import.added;
    run.changed = import.changed;
    run.unchanged = import.unchanged;
    run.refused_count = import.refused_count;
    run.refused = import.refused.into_iter().take(REFUSED_MAX).collect();
    run.import_id = (!run.dry_run && import.added > 0).then_some(import.id);
    run.state = FeedRunState::Done;
    remember(ctx, run, known).await
}

/// Removes what the feed said before and takes back now, unless it is said anew.
async fn withdraw(ctx: &Ctx, by: &str, batch: &Batch) -> Result<u64> {
    let gone = batch.withdrawn.iter().filter(|key| !batch.places.contains_key(*key));
    let gone: Vec<(IndicatorKind, String)> = gone.cloned().collect();
    if gone.is_empty() {
        return Ok(0);
    }
    let mut tx = ctx.store.begin().await?;
    let removed = tx.delete_indicators_of(by, &gone).await.context("remove what the feed takes back")?;
    if removed > 0 {
        super::changed(&mut tx, true).await?;
    }
    tx.commit().await?;
    if removed > 0 {
        super::publish(ctx, None, &ctx.hub.devices()).await?;
    }
    Ok(removed)
}

/// Notes how far a feed was read, once its values are stored.
async fn remember(ctx: &Ctx, run: &FeedRun, mut known: State) -> Result<()> {
    if !run.dry_run {
        // what the schedule set meanwhile stays
        known.next_at = state(ctx, &run.feed).await?.next_at;
        put_state(ctx, &run.feed, &known).await?;
    }
    Ok(())
}

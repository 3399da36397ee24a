//! The analyst: events become sightings, alerts, incidents and jobs, in one transaction with how far
//! it has read. Events analysed twice change nothing the second time.

mod copies;
pub(crate) mod correlation;
mod finding;
mod later;
mod place;
mod weak;

use crate::abort::abort_point;
use crate::actions::record;
use crate::app::{ANALYST, CORRELATIONS, Ctx};
use crate::demos;
use crate::live::LiveEvent;
use crate::rules::Hits;
use anyhow::{Context, Result};
use copies::Copies;
use correlation::Together;
pub(crate) use finding::Around;
use finding::Finding;
use hinomi_cases::{ProcessIndex, collect, file_hashes, message_copies, pairs_in};
use hinomi_model::{
    DemoId, Event, FileHashes, InvestigationId, MessageCopy, MessageCopyRef, Severity, Sighting, Table, Timestamp,
};
use hinomi_store::Tx;
pub(crate) use later::{prepare, tell_later};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};

/// Processes remembered; beyond it the oldest are forgotten and read from the lake when needed.
const PROCESSES_MAX: usize = 100_000;

/// What the case rooms keep in memory: nothing that cannot be lost.
pub struct Desk {
    processes: Mutex<ProcessIndex>,
    pub(crate) correlations: correlation::Correlations,
    turn: tokio::sync::Mutex<()>,
    investigating: Mutex<BTreeSet<InvestigationId>>,
    /// Habits seen everywhere: what they do says nothing any more.
    everywhere: Mutex<HashSet<String>>,
    pairs: Mutex<weak::Pairs>,
}

impl Default for Desk {
    fn default() -> Self {
        Desk {
            processes: Mutex::new(ProcessIndex::new(PROCESSES_MAX)),
            correlations: correlation::Correlations::default(),
            turn: tokio::sync::Mutex::default(),
            investigating: Mutex::default(),
            everywhere: Mutex::default(),
            pairs: Mutex::default(),
        }
    }
}

impl Desk {
    /// One change of alerts, incidents, investigations or actions at a time: all of them read,
    /// decide and write several rows.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The investigations running now.
    pub(crate) fn investigating<T>(&self, work: impl FnOnce(&mut BTreeSet<InvestigationId>) -> T) -> T {
        work(&mut self.investigating.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The habits known to be everywhere.
    fn everywhere<T>(&self, work: impl FnOnce(&mut HashSet<String>) -> T) -> T {
        work(&mut self.everywhere.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The pairs of programs the store knows.
    fn pairs<T>(&self, work: impl FnOnce(&mut weak::Pairs) -> T) -> T {
        work(&mut self.pairs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The processes seen lately.
    pub(crate) fn processes<T>(&self, work: impl FnOnce(&mut ProcessIndex) -> T) -> T {
        work(&mut self.processes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What changed, told after the commit.
#[derive(Default)]
pub(crate) struct News {
    events: BTreeMap<(&'static str, String), LiveEvent>,
    jobs: bool,
}

impl News {
    pub(crate) fn tell(&mut self, event: &'static str, id: impl ToString, version: i64, number: Option<i64>) {
        let id = id.to_string();
        self.events.insert((event, id.clone()), LiveEvent { event, id, version, number, progress: None });
    }

    pub(crate) fn job(&mut self) {
        self.jobs = true;
    }

    pub(crate) fn send(self, ctx: &Ctx) {
        self.events.into_values().for_each(|event| ctx.live.send(event));
        if self.jobs {
            ctx.jobs.notify_one();
        }
    }
}

/// What events say, before anything is written.
#[derive(Default)]
pub struct Analysis {
    sightings: Vec<Sighting>,
    /// Other hashes of real files; those of demos leave no trace.
    hashes: BTreeSet<FileHashes>,
    copies: Vec<MessageCopy>,
    findings: Vec<Finding>,
    pairs: weak::PairsShown,
    hits: Hits,
    demo: Option<DemoId>,
    together: Vec<Together>,
    /// State of the correlations to be saved, with which the store knows it as it is behind these events.
    saved: Option<Vec<(String, String)>>,
    /// Only the time went on.
    tick: bool,
}

/// Analyses events in the order of the log and moves the analyst's offset to `offset`.
///
/// # Errors
/// When the store or the lake cannot be read or written; nothing was changed then.
pub async fn process(ctx: &Ctx, offset: u64, events: &[Event]) -> Result<()> {
    let mut analysis = read(ctx, events, None).await?;
    correlate(ctx, &mut analysis, events);
    commit(ctx, offset, &analysis).await
}

/// Tells the correlations the events of an analysis: once per event, in the order of the log.
pub fn correlate(ctx: &Ctx, analysis: &mut Analysis, events: &[Event]) {
    analysis.together = correlation::learn(ctx, events, analysis.demo);
    analysis.saved = correlation::changes(ctx, true);
}

/// What the correlation rules in force dropped so far and keep now.
pub fn correlation_drops(ctx: &Ctx) -> Vec<hinomi_detect::CorrelationDrops> {
    ctx.desk.correlations.drops(ctx)
}

/// What the passing of time says: correlations that are answered at the end of their time span. The state
/// of all of them is to be saved.
pub(crate) fn tick(ctx: &Ctx) -> Analysis {
    let together = correlation::tick(ctx);
    let saved = correlation::changes(ctx, false);
    Analysis { together, saved, tick: true, ..Analysis::default() }
}

/// Runs rules and indicators over events in the order of the log: all real, or all of one demo.
///
/// # Errors
/// When the lake cannot be read.
pub async fn read(ctx: &Ctx, events: &[Event], demo: Option<DemoId>) -> Result<Analysis> {
    let sightings = collect(events);
    let hashes = if demo.is_none() { file_hashes(events) } else { BTreeSet::new() };
    let copies = message_copies(events);
    let (findings, hits) = finding::detect(ctx, events, &copies, demo).await?;
    let pairs = pairs_in(events);
    Ok(Analysis { sightings, hashes, copies, findings, pairs, hits, demo, ..Analysis::default() })
}

/// Writes what events said and moves the analyst's offset to `offset`, in one transaction. Those of a
/// demo being removed are passed over.
///
/// # Errors
/// When the store or the lake cannot be read or written; nothing was changed then.
pub async fn commit(ctx: &Ctx, offset: u64, analysis: &Analysis) -> Result<()> {
    let (together, hits) = correlation::findings(ctx, &analysis.together).await?;
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let done = tx.offset(ANALYST).await?;
    if done > offset || (done == offset && !analysis.tick) {
        return Ok(());
    }
    if let Some(saved) = &analysis.saved {
        for (rule, doc) in saved {
            tx.put_correlation_state(rule, doc).await.context("save the state of correlations")?;
        }
        tx.set_offset(CORRELATIONS, offset).await.context("move offset")?;
    }
    if !demos::goes_on(&mut tx, analysis.demo).await? {
        tx.set_offset(ANALYST, offset).await.context("move offset")?;
        return Ok(tx.commit().await?);
    }
    let mut news = take_all(ctx, &mut tx, analysis, &mut Copies::default()).await?;
    count(&mut tx, &hits).await?;
    for finding in &together {
        if demos::goes_on(&mut tx, finding.demo).await? {
            take(ctx, &mut tx, finding, &analysis.copies, &mut news).await?;
        }
    }
    tx.set_offset(ANALYST, offset).await.context("move offset")?;
    let important = news.jobs;
    if important {
        abort_point("analysis.open");
    }
    tx.commit().await.context("commit analysis")?;
    weak::learn_pairs(ctx, &analysis.pairs, analysis.demo);
    if important {
        abort_point("analysis.stored");
    }
    news.send(ctx);
    Ok(())
}

/// Writes what mails found in a mailbox said, together with how far the crawl came. Returns copies
/// whose place was not believed: an action dealt with them after the look began.
///
/// # Errors
/// When the store cannot be read or written; nothing was changed then.
pub(crate) async fn commit_crawl(
    ctx: &Ctx,
    analysis: &Analysis,
    done: &crate::crawl::Done<'_>,
) -> Result<Vec<MessageCopyRef>> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut seen = Copies { look: Some(done.look), ..Copies::default() };
    let news = take_all(ctx, &mut tx, analysis, &mut seen).await?;
    done.write(&mut tx).await?;
    // before the commit: a crash in between notices and tells it again, under the same ReportId
    ctx.ingest.append_once(seen.moves).await.context("store rows about moved mail")?;
    tx.commit().await.context("commit analysis")?;
    news.send(ctx);
    Ok(seen.acted_since)
}

async fn take_all(ctx: &Ctx, tx: &mut Tx, analysis: &Analysis, seen: &mut Copies) -> Result<News> {
    let Analysis { sightings, hashes, copies, findings, .. } = analysis;
    let mut news = News::default();
    tx.upsert_sightings(sightings).await.context("write sightings")?;
    tx.add_file_hashes(hashes).await.context("write hashes")?;
    seen.put(ctx, tx, copies, &mut news).await?;
    count(tx, &analysis.hits).await?;
    weak::note_pairs(ctx, tx, &analysis.pairs, analysis.demo).await.context("write pairs of programs")?;
    for finding in findings {
        take(ctx, tx, finding, copies, &mut news).await?;
    }
    Ok(news)
}

async fn count(tx: &mut Tx, hits: &Hits) -> Result<()> {
    for (rule, (hits, last)) in &hits.0 {
        tx.count_rule_hits(rule, *hits, *last).await.context("count firings")?;
    }
    Ok(())
}

async fn take(ctx: &Ctx, tx: &mut Tx, finding: &Finding, copies: &[MessageCopy], news: &mut News) -> Result<()> {
    let now = ctx.now();
    if let Some(id) = finding.indicator() {
        tx.count_indicator_hit(id, finding.detection.event.timestamp).await?;
    }
    let context = place::copies_of(tx, finding, copies).await?;
    for placed in place::place(ctx, tx, finding, &context, now).await? {
        tell(ctx, tx, placed, now, news).await?;
    }
    Ok(())
}

async fn tell(ctx: &Ctx, tx: &mut Tx, placed: place::Placed, now: Timestamp, news: &mut News) -> Result<()> {
    let (alert, incident) = (&placed.alert, &placed.incident);
    let event = if placed.new && !placed.quiet { "alert.created" } else { "alert.updated" };
    news.tell(event, alert.id, alert.version, None);
    if let Some(incident) = incident {
        news.tell("incident.updated", incident.id, incident.version, Some(incident.number));
    }
    for redirected in &placed.redirected {
        news.tell("incident.updated", redirected.id, redirected.version, Some(redirected.number));
    }
    if let Some(id) = alert.investigation_id {
        news.tell("investigation.progress", id, 0, None);
        news.job();
    }
    if let Some(incident) = incident.as_ref().filter(|_| placed.new && !placed.quiet && !alert.test) {
        if crate::notifications::tell_alert(ctx, tx, alert, incident, now).await? {
            news.job();
        }
        raise_risk(tx, alert, news).await?;
    }
    if placed.new {
        let number = incident.as_ref().map(|incident| incident.number);
        let tuned = alert.tuned.as_ref().map(|tuned| tuned.rule);
        let detail = json!({
            "rule": alert.rule_id, "incident": number, "severity": alert.severity, "tuned_by": tuned,
        });
        let entry = record(now, "system", "alert.create", &format!("alert:{}", alert.id), detail);
        demos::audit(tx, alert.id.demo(), &entry).await?;
    }
    Ok(())
}

/// The risk of a device is the highest severity of its unresolved alerts.
async fn raise_risk(tx: &mut Tx, alert: &hinomi_model::Alert, news: &mut News) -> Result<()> {
    let Some(reference) = &alert.device else { return Ok(()) };
    let Some(mut device) = tx.device(reference.id).await? else { return Ok(()) };
    if device.risk.is_none_or(|risk: Severity| risk < alert.severity) {
        device.risk = Some(alert.severity);
        let version = tx.put_device(&device).await?;
        news.tell("device.status", device.id, version, None);
    }
    Ok(())
}

/// True for rows of the mail tables.
fn is_mail(event: &Event) -> bool {
    matches!(
        event.table,
        Table::EmailEvents | Table::EmailAttachmentInfo | Table::EmailUrlInfo | Table::EmailPostDeliveryEvents
    )
}

//! The pipeline: reads the ingest log in order and feeds the lake and the analyst.
//!
//! Both consumers commit how far they are together with what they made of the events, so a crash
//! at any moment repeats work but never doubles or loses a result.

use super::decode;
use crate::analyst::{self, Analysis, correlation};
use crate::app::{ANALYST, CORRELATIONS, Ctx, LAKE, consumed};
use anyhow::{Context, Result};
use hinomi_model::{DemoId, Event};
use hinomi_store::LakeFileRow;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

/// The hot tail becomes Parquet files this often (design/storage.md §1) …
const FLUSH_EVERY: Duration = Duration::from_secs(60);
/// … or when it holds this many events.
const TAIL_EVENTS_MAX: usize = 200_000;
/// Events analysed in one transaction, when so many wait.
const GROUP_EVENTS_MAX: usize = 8_192;
/// Small files are merged this often.
const COMPACT_EVERY: Duration = Duration::from_secs(3600);
/// A failing consumer is tried again after this pause; events wait in the log meanwhile.
const RETRY: Duration = Duration::from_secs(2);

/// Runs until the server stops.
///
/// # Errors
/// When the log itself cannot be read: the server must stop and say so.
pub async fn run(ctx: Ctx) -> Result<()> {
    // one group is read and judged while the one before is written
    let (judged, writing) = mpsc::channel(1);
    let writer = tokio::spawn({
        let ctx = ctx.clone();
        async move { write_all(&ctx, writing).await }
    });
    let read = read_all(&ctx, judged).await;
    let written = writer.await.context("the analyst's writer ended")?;
    checkpoint(&ctx).await;
    // a writer that failed ends the reader too: its reason is the one to tell
    written.and(read)
}

/// An analysis, and the offset behind its last record.
type Judged = (u64, Analysis);

/// Feeds the lake and judges, in the order of the log.
async fn read_all(ctx: &Ctx, judged: mpsc::Sender<Judged>) -> Result<()> {
    let mut analysed = ctx.store.offset(ANALYST).await?;
    let mut stored = ctx.store.offset(LAKE).await?;
    let (replay_from, replay_to) = (ctx.store.offset(CORRELATIONS).await?, analysed);
    correlation::load(ctx).await?;
    let mut read = analysed.min(stored).min(replay_from);
    let recalled = analysed;
    if read >= recalled {
        ctx.recalled.cancel();
    }
    let mut reader = ctx.ingest.log().read_from(read);
    let mut flush = tokio::time::interval_at(Instant::now() + FLUSH_EVERY, FLUSH_EVERY);
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut compact = tokio::time::interval_at(Instant::now() + COMPACT_EVERY, COMPACT_EVERY);
    let mut tail = 0_usize;
    loop {
        let record = tokio::select! {
            biased;
            () = ctx.stop.cancelled() => break,
            _ = flush.tick() => {
                // while events of before the restart are still read, the state is not that of the offset
                if read >= replay_to {
                    judged.send((analysed, analyst::tick(ctx))).await.context("the writer has ended")?;
                }
                checkpoint(ctx).await;
                tail = 0;
                continue;
            }
            _ = compact.tick() => {
                maintain(ctx).await;
                continue;
            }
            record = reader.next() => record?,
        };
        // what has piled up is analysed together: fewer transactions, and sightings merge
        let mut group = Vec::new();
        let mut demo = None;
        let mut record = Some(record);
        while let Some((offset, payload)) = record {
            // offsets in the store are "next to read"
            let next = offset + 1;
            read = next;
            match decode(&payload) {
                Some(batch) => {
                    if next > stored {
                        tail += batch.events.len();
                        ctx.lake.append(next, batch.events.clone());
                        stored = next;
                    }
                    if next > replay_from && next <= replay_to {
                        // analysed before the restart: only the correlations have to see it again
                        correlation::learn(ctx, &batch.events, batch.source.demo());
                    }
                    if next > analysed {
                        if batch.source.demo() != demo && !group.is_empty() {
                            judge(ctx, &judged, analysed, &std::mem::take(&mut group), demo).await?;
                        }
                        demo = batch.source.demo();
                        group.extend(batch.events);
                        analysed = next;
                    }
                }
                // written by this server after checking: only a damaged disk gets here
                None => tracing::error!(offset, "record {offset} of the ingest log cannot be read and is skipped"),
            }
            if read >= recalled {
                ctx.recalled.cancel();
            }
            record = if group.len() < GROUP_EVENTS_MAX { reader.try_next()? } else { None };
        }
        if !group.is_empty() {
            judge(ctx, &judged, analysed, &group, demo).await?;
        }
        if tail > TAIL_EVENTS_MAX {
            checkpoint(ctx).await;
            tail = 0;
        }
    }
    if read >= replay_to {
        judged.send((analysed, analyst::tick(ctx))).await.context("the writer has ended")?;
    }
    Ok(())
}

/// Judges events that are all real, or all of one demo, and hands them to the writer.
async fn judge(
    ctx: &Ctx,
    judged: &mpsc::Sender<Judged>,
    analysed: u64,
    events: &[Event],
    demo: Option<DemoId>,
) -> Result<()> {
    let mut analysis = until_done(ctx, analysed, || analyst::read(ctx, events, demo)).await?;
    analyst::correlate(ctx, &mut analysis, events);
    judged.send((analysed, analysis)).await.context("the writer has ended")
}

/// Writes what was judged, in order.
async fn write_all(ctx: &Ctx, mut judged: mpsc::Receiver<Judged>) -> Result<()> {
    while let Some((next, analysis)) = judged.recv().await {
        until_done(ctx, next, || analyst::commit(ctx, next, &analysis)).await?;
    }
    Ok(())
}

/// Tries again until it works or the server stops: skipping would lose alerts.
async fn until_done<T, F: Future<Output = Result<T>>>(ctx: &Ctx, next: u64, work: impl Fn() -> F) -> Result<T> {
    loop {
        match work().await {
            Ok(done) => return Ok(done),
            Err(error) => {
                tracing::error!(offset = next, "analysis up to record {next} failed, trying again: {error:#}");
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = ctx.stop.cancelled() => anyhow::bail!("stopped while analysing"),
                }
            }
        }
    }
}

/// Writes the tail into files, remembers progress, trims the log. Failures are told and tried again
/// at the next checkpoint; nothing is lost because the log is trimmed last.
async fn checkpoint(ctx: &Ctx) {
    if let Err(error) = checkpoint_now(ctx).await {
        tracing::error!("checkpoint failed, events stay in the ingest log: {error:#}");
    }
}

/// Writes the tail into files and remembers progress.
///
/// # Errors
/// When a file or the store cannot be written; nothing is lost then.
pub async fn checkpoint_now(ctx: &Ctx) -> Result<()> {
    let _files = ctx.files.lock().await;
    if let Some(flush) = ctx.lake.flush().await.context("write lake files")? {
        let added: Vec<LakeFileRow> = flush.files.iter().map(row).collect();
        let mut tx = ctx.store.begin().await?;
        tx.replace_lake_files(&[], &added).await?;
        tx.set_offset(LAKE, flush.through).await?;
        tx.commit().await.context("commit lake files")?;
        ctx.lake.publish(flush);
    }
    let progress = ctx.ingest.progress().await;
    let mut tx = ctx.store.begin().await?;
    for ((device, generation), through) in progress {
        tx.set_sensor_progress(device, generation, through).await?;
    }
    tx.commit().await?;
    let done = consumed(&ctx.store).await?;
    ctx.ingest.log().trim(done).context("trim ingest log")
}

/// The catalogue's row of a file.
pub(crate) fn row(file: &hinomi_lake::LakeFile) -> LakeFileRow {
    LakeFileRow {
        path: file.path.clone(),
        table: file.table,
        day: file.day.clone(),
        rows: file.rows,
        bytes: file.bytes,
        first: file.first,
        last: file.last,
    }
}

/// Merges small files and deletes what is older than the retention.
async fn maintain(ctx: &Ctx) {
    if let Err(error) = try_maintain(ctx).await {
        tracing::error!("lake maintenance failed, tried again in an hour: {error:#}");
    }
}

async fn try_maintain(ctx: &Ctx) -> Result<()> {
    let _files = ctx.files.lock().await;
    while let Some(merged) = ctx.lake.compact().await.context("merge lake files")? {
        let added: Vec<LakeFileRow> = merged.added.iter().map(row).collect();
        let mut tx = ctx.store.begin().await?;
        tx.replace_lake_files(&merged.removed, &added).await?;
        tx.commit().await?;
        ctx.lake.publish_compaction(merged);
    }
    let days = i64::from(ctx.config.retention.event_days);
    let oldest = ctx.now().plus_seconds(-days * 86_400);
    ctx.store.prune_habits(hinomi_cases::PAIR, oldest).await.context("forget pairs of programs")?;
    let before = oldest.day();
    let expired = ctx.lake.expired(&before);
    if !expired.is_empty() {
        let mut tx = ctx.store.begin().await?;
        tx.replace_lake_files(&expired, &[]).await?;
        tx.commit().await?;
        ctx.lake.remove(&expired).await;
    }
    Ok(())
}

//! Removing a demo: everything with an id of its range goes, everything else stays as it is.
//!
//! Every step may be repeated, and the demo's own row goes last: a server that dies in between goes on
//! at its next start.

use super::Stage;
use crate::analyst::correlation;
use crate::app::{ANALYST, Ctx, LAKE};
use crate::ingest::{checkpoint_now, row};
use anyhow::{Context, Result, ensure};
use hinomi_cases::collect;
use hinomi_lake::{LakeQuery, Op, Predicate};
use hinomi_model::{Demo, DemoId, DemoState, Table};
use hinomi_store::{LakeFileRow, Page, StoreError};
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for what is under way (jobs, events before ours in the log).
const WAIT_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// Pause after a failed attempt.
const RETRY: Duration = Duration::from_secs(30);
/// Ids of other spans never begin like this many characters of a demo's.
const PREFIX_CHARS: usize = 18;

/// Orders the removal of a demo; it is done in the background and goes on after a restart. `None` when
/// there is no such demo.
///
/// # Errors
/// When the store fails.
pub async fn remove(ctx: &Ctx, id: DemoId) -> Result<Option<Demo>, StoreError> {
    let mut tx = ctx.store.begin().await?;
    let Some(mut demo) = tx.demo(id).await? else { return Ok(None) };
    if demo.state != DemoState::Removing {
        demo.state = DemoState::Removing;
        demo.failure = None;
        demo.version = tx.put_demo(&demo).await?;
        tx.commit().await?;
    }
    ctx.demos.wake.notify_one();
    Ok(Some(demo))
}

/// Removes demos as they are ordered, until the server stops.
pub(crate) async fn run(ctx: Ctx) -> Result<()> {
    if let Err(error) = told_failed(&ctx).await {
        tracing::error!("demos cannot be read: {error:#}");
    }
    loop {
        let failed = match remove_all(&ctx).await {
            Ok(failed) => failed,
            Err(error) => {
                tracing::error!("demos cannot be removed, trying again: {error:#}");
                true
            }
        };
        tokio::select! {
            () = ctx.stop.cancelled() => return Ok(()),
            () = ctx.demos.wake.notified() => {}
            () = tokio::time::sleep(RETRY), if failed => {}
        }
    }
}

/// A demo that was being played when the server stopped is there in part.
async fn told_failed(ctx: &Ctx) -> Result<()> {
    let Stage { turn, .. } = &ctx.demos;
    let _turn = turn.lock().await;
    for mut demo in ctx.store.demos(&Page::first(200)).await?.items {
        if demo.state == DemoState::Playing {
            demo.state = DemoState::Failed;
            demo.through = ctx.ingest.log().end();
            demo.failure = Some("the server stopped while it was played".to_owned());
            ctx.store.put_demo(&demo).await?;
        }
    }
    Ok(())
}

/// Removes what is to be removed; true when something failed.
async fn remove_all(ctx: &Ctx) -> Result<bool> {
    let mut failed = false;
    for mut demo in ctx.store.demos(&Page::first(200)).await?.items {
        if demo.state != DemoState::Removing || ctx.stop.is_cancelled() {
            continue;
        }
        if let Err(error) = remove_now(ctx, &demo).await {
            if ctx.stop.is_cancelled() {
                break;
            }
            failed = true;
            tracing::error!(demo.id = %demo.id, "demo {} could not be removed, trying again: {error:#}", demo.id);
            demo.failure = Some(format!("{error:#}"));
            ctx.store.put_demo(&demo).await?;
        }
    }
    Ok(failed)
}

async fn remove_now(ctx: &Ctx, demo: &Demo) -> Result<()> {
    let Stage { turn, .. } = &ctx.demos;
    let _turn = turn.lock().await;
    let id = demo.id;
    ctx.store.delete_waiting_demo_jobs(id).await?;
    wait(ctx, "jobs of the demo do not end", || async { Ok(ctx.store.demo_jobs_leased(id).await? == 0) }).await?;
    // what is before this place in the log is all there is of the demo
    let end = ctx.ingest.log().rotate().await?;
    let consumed = || async { Ok(ctx.store.offset(ANALYST).await? >= end && written(ctx, end).await?) };
    wait(ctx, "events wait to be analysed", consumed).await?;
    rows(ctx, demo).await?;
    events(ctx, demo).await?;
    checkpoint_now(ctx).await?;
    ctx.desk.processes(|processes| processes.forget(|device| device.demo() == Some(id)));
    correlation::forget(ctx, id);
    ctx.store.delete_demo(id).await?;
    tracing::info!(demo.id = %id, "demo {id} is removed");
    Ok(())
}

async fn wait<F, Fut>(ctx: &Ctx, what: &str, done: F) -> Result<()>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<bool>>,
{
    let deadline = Instant::now() + WAIT_MAX;
    while !done().await? {
        ensure!(Instant::now() < deadline, "{what}");
        tokio::select! {
            () = ctx.stop.cancelled() => anyhow::bail!("the server stops"),
            () = tokio::time::sleep(POLL) => {}
        }
    }
    Ok(())
}

/// True when everything before a place in the log is in files.
async fn written(ctx: &Ctx, end: u64) -> Result<bool> {
    if ctx.store.offset(LAKE).await? >= end {
        return Ok(true);
    }
    checkpoint_now(ctx).await?;
    Ok(ctx.store.offset(LAKE).await? >= end)
}

/// Takes the demo out of the store. Its sightings are those of its events, which are still there.
async fn rows(ctx: &Ctx, demo: &Demo) -> Result<()> {
    let mut found = Vec::new();
    for table in Table::ALL {
        let Some(column) = owner_column(*table) else { continue };
        let query = LakeQuery {
            from: demo.first_event,
            to: demo.last_event.plus_seconds(1),
            predicates: vec![Predicate { column: column.to_owned(), op: Op::Contains(prefix(demo.id)) }],
            ..LakeQuery::of(*table)
        };
        found.extend(ctx.lake.query(query).await.context("read the demo's events")?);
    }
    let sightings = collect(&found);
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    tx.delete_sightings(&sightings).await?;
    tx.delete_demo_rows(demo.id).await?;
    tx.commit().await.context("delete rows")
}

/// Takes the demo's events out of the lake.
async fn events(ctx: &Ctx, demo: &Demo) -> Result<()> {
    let _files = ctx.files.lock().await;
    let range = demo.id.range();
    let rewritten = ctx.lake.without(&range, demo.first_event, demo.last_event.plus_seconds(1)).await;
    let Some(rewritten) = rewritten.context("rewrite lake files")? else { return Ok(()) };
    let added: Vec<LakeFileRow> = rewritten.added.iter().map(row).collect();
    let mut tx = ctx.store.begin().await?;
    tx.replace_lake_files(&rewritten.removed, &added).await?;
    tx.commit().await.context("commit lake files")?;
    ctx.lake.publish_compaction(rewritten);
    Ok(())
}

fn owner_column(table: Table) -> Option<&'static str> {
    ["DeviceId", "NetworkMessageId"].into_iter().find(|column| table.column_index(column).is_some())
}

fn prefix(id: DemoId) -> String {
    id.to_string().chars().take(PREFIX_CHARS).collect()
}

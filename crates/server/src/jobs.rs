//! Jobs: the workers behind investigations, actions and notifications, and the regular chores.
//!
//! At least once, fenced by the attempt: a worker that dies loses its lease and another one resumes;
//! a server that starts again over its data folder resumes its own at once.

use crate::abort::abort_point;
use crate::app::Ctx;
use crate::{actions, bulk, indicators, investigations, notifications};
use anyhow::Result;
use hinomi_model::Timestamp;
use hinomi_store::{LeasedJob, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Jobs at once.
const WORKERS: usize = 8;
/// Seconds a worker has a job before it must ask for more.
const LEASE_SECONDS: i64 = 30;
/// Pause when there is nothing to do and nobody wakes us (retries, other servers).
const IDLE: Duration = Duration::from_millis(250);
/// Chores are done this often.
const CHORES_EVERY: Duration = Duration::from_secs(15);
/// Changes another server made to indicators are noticed this often: they count within 5 s.
const INDICATORS_EVERY: Duration = Duration::from_secs(2);
/// Done jobs are kept this long, seconds; their keys stay used until then.
const KEEP_SECONDS: i64 = 14 * 24 * 3600;
/// Longest pause between two attempts, seconds.
const BACKOFF_SECONDS_MAX: i64 = 300;

/// What became of an attempt.
pub(crate) enum Outcome {
    /// Done.
    Done,
    /// Not now: try again then, without counting as failure.
    Later(Timestamp),
}

/// Runs workers and chores until the server stops; jobs begun are finished first.
///
/// # Errors
/// Never for a job's sake; failures of jobs are stored with them.
pub async fn run(ctx: Ctx) -> Result<()> {
    let worker = ctx.node.clone();
    let left = ctx.store.release_leases(&worker).await?;
    if left > 0 {
        tracing::info!(jobs = left, "{left} jobs were cut short and go on");
    }
    let places = Arc::new(Semaphore::new(WORKERS));
    let mut running = JoinSet::new();
    let mut chores = tokio::time::interval(CHORES_EVERY);
    let mut changes = tokio::time::interval(INDICATORS_EVERY);
    loop {
        while running.try_join_next().is_some() {}
        let place = tokio::select! {
            biased;
            () = ctx.stop.cancelled() => break,
            _ = chores.tick() => {
                chore(&ctx).await;
                continue;
            }
            _ = changes.tick() => {
                if let Err(error) = indicators::refresh(&ctx, ctx.now()).await {
                    tracing::error!("indicators could not be read again: {error:#}");
                }
                continue;
            }
            place = places.clone().acquire_owned() => place?,
        };
        match ctx.store.lease(&[], &worker, ctx.now(), LEASE_SECONDS).await {
            Ok(Some(job)) => {
                let ctx = ctx.clone();
                running.spawn(async move {
                    work(&ctx, job).await;
                    drop(place);
                });
            }
            Ok(None) => idle(&ctx).await,
            Err(error) => {
                tracing::error!("jobs cannot be read, trying again: {:#}", anyhow::Error::from(error));
                idle(&ctx).await;
            }
        }
    }
    while running.join_next().await.is_some() {}
    Ok(())
}

async fn idle(ctx: &Ctx) {
    tokio::select! {
        () = ctx.stop.cancelled() => {}
        () = ctx.jobs.notified() => {}
        () = tokio::time::sleep(IDLE) => {}
    }
}

/// Does one attempt and stores how it ended. The lease is renewed while it runs.
async fn work(ctx: &Ctx, job: LeasedJob) {
    let mut renew = tokio::time::interval(Duration::from_secs(LEASE_SECONDS as u64 / 3));
    renew.tick().await;
    let attempt = attempt(ctx, &job);
    let mut attempt = std::pin::pin!(attempt);
    // the attempt is polled beside the renewal, never instead of it: both need the store's writer
    let renewal = async {
        loop {
            renew.tick().await;
            let until = ctx.now().plus_seconds(LEASE_SECONDS);
            if let Err(error) = ctx.store.extend_lease(job.id, job.attempt, until).await {
                tracing::warn!(job.id = %job.id, "lease of job {} could not be renewed: {error}", job.id);
            }
        }
    };
    let mut renewal = std::pin::pin!(renewal);
    let ended = std::future::poll_fn(|context| {
        let _ = renewal.as_mut().poll(context);
        attempt.as_mut().poll(context)
    })
    .await;
    abort_point("job.worked");
    if let Err(error) = end(ctx, &job, ended).await {
        tracing::error!(job.id = %job.id, "the end of job {} could not be stored: {:#}", job.id, anyhow::Error::from(error));
    }
}

async fn attempt(ctx: &Ctx, job: &LeasedJob) -> Result<Outcome> {
    match job.kind.as_str() {
        actions::JOB => actions::run(ctx, job).await,
        investigations::JOB => investigations::run(ctx, &job.payload).await,
        actions::LATE_JOB => actions::follow_up::run_late(ctx, &job.payload).await,
        actions::LOOK_JOB => actions::follow_up::run_look(ctx, &job.payload).await,
        indicators::feeds::JOB => indicators::feeds::run(ctx, &job.payload).await,
        indicators::look::JOB => indicators::look::run(ctx, &job.payload).await,
        bulk::JOB => bulk::run(ctx, &job.payload).await.map(|()| Outcome::Done),
        notifications::JOB => notifications::run(ctx, &job.payload).await,
        notifications::DIGEST_JOB => notifications::run_digest(ctx, &job.payload).await,
        notifications::ESCALATE_JOB => notifications::run_escalate(ctx, &job.payload).await,
        other => anyhow::bail!("no worker for jobs of kind {other}"),
    }
}

async fn end(ctx: &Ctx, job: &LeasedJob, ended: Result<Outcome>) -> Result<(), StoreError> {
    let now = ctx.now();
    let error = match ended {
        Ok(Outcome::Done) => return ctx.store.finish(job.id, job.attempt, now).await,
        Ok(Outcome::Later(at)) => return ctx.store.fail(job.id, job.attempt, "waits", Some(at)).await,
        Err(error) => error,
    };
    let text = format!("{error:#}");
    let retry_at = (job.attempt < attempts_max(&job.kind)).then(|| {
        let pause = (1_i64 << job.attempt.clamp(0, 20)).min(BACKOFF_SECONDS_MAX);
        now.plus_seconds(pause)
    });
    match retry_at {
        Some(at) => {
            tracing::warn!(job.id = %job.id, job.kind, "{} job {} failed, again at {at}: {text}", job.kind, job.id)
        }
        None => {
            tracing::error!(job.id = %job.id, job.kind, "{} job {} is given up: {text}", job.kind, job.id);
            let gave_up = match job.kind.as_str() {
                actions::JOB => actions::give_up(ctx, &job.payload, &text).await,
                investigations::JOB => investigations::give_up(ctx, &job.payload, &text).await,
                notifications::JOB => notifications::give_up(ctx, &job.payload).await,
                indicators::look::JOB => indicators::look::give_up(ctx, &job.payload, &text).await,
                _ => Ok(()),
            };
            if let Err(error) = gave_up {
                tracing::error!(job.id = %job.id, "the end of job {} could not be told: {error:#}", job.id);
            }
        }
    }
    ctx.store.fail(job.id, job.attempt, &text, retry_at).await
}

fn attempts_max(kind: &str) -> i64 {
    match kind {
        // a mail server may be away for a night: about six hours
        notifications::JOB => 80,
        notifications::DIGEST_JOB | notifications::ESCALATE_JOB => 80,
        actions::JOB | bulk::JOB | indicators::look::JOB | indicators::feeds::JOB => 8,
        // waiting for each other counts as attempts too
        investigations::JOB => 50,
        // a look that waits for the mail to arrive counts as an attempt too
        actions::LATE_JOB | actions::LOOK_JOB => 1_000,
        _ => 1,
    }
}

async fn chore(ctx: &Ctx) {
    if let Err(error) = chores(ctx).await {
        tracing::error!("regular chores failed, again in {} s: {error:#}", CHORES_EVERY.as_secs());
    }
}

async fn chores(ctx: &Ctx) -> Result<()> {
    let now = ctx.now();
    actions::look(ctx, now).await?;
    actions::expire(ctx, now).await?;
    indicators::feeds::chores(ctx, now).await?;
    actions::expire_commands(ctx, now).await?;
    ctx.store.prune_armed(now).await?;
    notifications::chores(ctx, now).await?;
    ctx.store.prune_weak_signs(now.plus_seconds(-hinomi_cases::correlation_window_seconds())).await?;
    ctx.store.prune_jobs(now.plus_seconds(-KEEP_SECONDS)).await?;
    Ok(())
}

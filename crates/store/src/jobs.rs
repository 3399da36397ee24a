//! Background jobs: at least once, each attempt fenced by its number.
//!
//! A worker leases a job for some seconds; when it dies, the lease ends and another worker gets the
//! job with the next attempt number. Whatever the first one says later is refused.

use crate::db::{Backend, Db, Key, Listed, Listing, Page, list};
use crate::error::{Result, StoreError};
use crate::sql::{Arg, Cells, Filter, Sql};
use hinomi_model::{JobId, Timestamp};
use sqlx::any::AnyRow;

/// A job to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Kind (`investigate`).
    pub kind: String,
    /// Idempotency key: a second job with the same key is not added.
    pub key: String,
    /// What the worker needs, JSON.
    pub payload: String,
    /// Not before.
    pub run_at: Timestamp,
}

/// A job a worker has for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedJob {
    /// Id.
    pub id: JobId,
    /// Kind.
    pub kind: String,
    /// Idempotency key.
    pub key: String,
    /// What the worker needs.
    pub payload: String,
    /// Number of this attempt, from 1; it fences.
    pub attempt: i64,
    /// Error of the attempt before.
    pub error: Option<String>,
}

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobState {
    /// Waits for its time or a worker.
    Waiting,
    /// A worker has it, or died with it.
    Leased,
    /// Done.
    Done,
    /// Given up.
    Failed,
}

/// Which jobs to list; empty means all.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// One of these.
    pub state: Vec<JobState>,
    /// Of this kind.
    pub kind: Option<String>,
}

/// A job as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Id.
    pub id: JobId,
    /// Kind.
    pub kind: String,
    /// Idempotency key.
    pub key: String,
    /// What the worker needs.
    pub payload: String,
    /// State.
    pub state: JobState,
    /// Not before.
    pub run_at: Timestamp,
    /// Attempts begun.
    pub attempt: i64,
    /// Last error.
    pub error: Option<String>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

reads! {
    /// Lists jobs, newest first.
    fn jobs(filter: &JobFilter, page: &Page) -> Listed<JobRow>;
}

writes! {
    /// Adds a job; false when one with its key was ever added.
    fn enqueue(job: Job) -> bool;
    /// Leases the next due job of the given kinds (all kinds when empty) for some seconds.
    fn lease(kinds: &[&str], worker: &str, now: Timestamp, seconds: i64) -> Option<LeasedJob>;
    /// Keeps a lease until `until`.
    ///
    /// # Errors
    /// [`StoreError::LeaseOver`] when the attempt is no longer the current one.
    fn extend_lease(job: JobId, attempt: i64, until: Timestamp) -> ();
    /// Ends a job. In a transaction with the job's effects, they happen exactly once.
    ///
    /// # Errors
    /// [`StoreError::LeaseOver`] when the attempt is no longer the current one.
    fn finish(job: JobId, attempt: i64, now: Timestamp) -> ();
    /// Ends an attempt; the job runs again at `retry_at`, or is given up when that is none.
    ///
    /// # Errors
    /// [`StoreError::LeaseOver`] when the attempt is no longer the current one.
    fn fail(job: JobId, attempt: i64, error: &str, retry_at: Option<Timestamp>) -> ();
    /// Ends the leases a worker held when it died, so that its jobs are taken again at once. Returns
    /// how many.
    fn release_leases(worker: &str) -> u64;
    /// Removes done jobs that ended before; their keys may be used again. Returns how many.
    fn prune_jobs(before: Timestamp) -> u64;
}

async fn enqueue(db: &mut Db<'_>, job: Job) -> Result<bool> {
    let added = Sql::new(
        "INSERT INTO jobs (id, kind, job_key, payload, state, run_at, lease_until, attempt) \
         VALUES ($1, $2, $3, $4, 'waiting', $5, 0, 0) ON CONFLICT (job_key) DO NOTHING",
    )
    .bind(Arg::id(uuid::Uuid::now_v7()))
    .bind(job.kind)
    .bind(crate::sql::indexed(&job.key))
    .bind(job.payload)
    .bind(job.run_at)
    .run(db)
    .await?;
    Ok(added > 0)
}

async fn lease(
    db: &mut Db<'_>,
    kinds: &[&str],
    worker: &str,
    now: Timestamp,
    seconds: i64,
) -> Result<Option<LeasedJob>> {
    let mut sql = Sql::new("UPDATE jobs SET state = 'leased', attempt = attempt + 1, worker = ");
    sql.arg(worker).push(", lease_until = ").arg(now.plus_seconds(seconds));
    sql.push(" WHERE id = (SELECT id FROM jobs WHERE state IN ('waiting', 'leased') AND run_at <= ").arg(now);
    sql.push(" AND lease_until <= ").arg(now);
    if !kinds.is_empty() {
        sql.push(" AND kind IN ").args(kinds.iter().copied());
    }
    sql.push(" ORDER BY run_at, id LIMIT 1");
    if db.backend == Backend::Postgres {
        // workers do not wait for each other's candidate
        sql.push(" FOR UPDATE SKIP LOCKED");
    }
    sql.push(") RETURNING id, kind, job_key, payload, attempt, error");
    let row = sql.row(db).await?;
    row.map(|row| {
        Ok(LeasedJob {
            id: row.parsed("id")?,
            kind: row.text("kind")?,
            key: row.text("job_key")?,
            payload: row.text("payload")?,
            attempt: row.int("attempt")?,
            error: row.text_or_null("error")?,
        })
    })
    .transpose()
}

async fn extend_lease(db: &mut Db<'_>, job: JobId, attempt: i64, until: Timestamp) -> Result<()> {
    let sql = Sql::new("UPDATE jobs SET lease_until = $1 WHERE id = $2 AND attempt = $3 AND state = 'leased'");
    fenced(db, sql.bind(until).bind(Arg::id(job)).bind(attempt), job, attempt).await
}

async fn finish(db: &mut Db<'_>, job: JobId, attempt: i64, now: Timestamp) -> Result<()> {
    let sql = Sql::new(
        "UPDATE jobs SET state = 'done', finished_at = $1, error = NULL WHERE id = $2 AND attempt = $3 \
         AND state = 'leased'",
    );
    fenced(db, sql.bind(now).bind(Arg::id(job)).bind(attempt), job, attempt).await
}

async fn fail(db: &mut Db<'_>, job: JobId, attempt: i64, error: &str, retry_at: Option<Timestamp>) -> Result<()> {
    let state = if retry_at.is_some() { JobState::Waiting } else { JobState::Failed };
    let sql = Sql::new(
        "UPDATE jobs SET state = $1, error = $2, lease_until = 0, run_at = coalesce($3, run_at) \
         WHERE id = $4 AND attempt = $5 AND state = 'leased'",
    );
    let sql = sql.bind(Arg::word(state)).bind(error).bind(retry_at).bind(Arg::id(job)).bind(attempt);
    fenced(db, sql, job, attempt).await
}

async fn fenced(db: &mut Db<'_>, sql: Sql, job: JobId, attempt: i64) -> Result<()> {
    if sql.run(db).await? == 0 { Err(StoreError::LeaseOver { job, attempt }) } else { Ok(()) }
}

async fn release_leases(db: &mut Db<'_>, worker: &str) -> Result<u64> {
    let sql = Sql::new("UPDATE jobs SET lease_until = 0 WHERE state = 'leased' AND worker = $1");
    sql.bind(worker).run(db).await
}

async fn prune_jobs(db: &mut Db<'_>, before: Timestamp) -> Result<u64> {
    Sql::new("DELETE FROM jobs WHERE state = 'done' AND finished_at < $1").bind(before).run(db).await
}

async fn jobs(db: &mut Db<'_>, wanted: &JobFilter, page: &Page) -> Result<Listed<JobRow>> {
    const LISTING: Listing = Listing {
        select: "id, kind, job_key, payload, state, run_at, attempt, error, finished_at",
        from: "jobs",
        order: &[Key::Text("id")],
        descending: true,
    };
    let mut filter = Filter::new();
    filter.words("state", &wanted.state).eq("kind", wanted.kind.as_deref());
    list(db, &LISTING, &filter, page, read).await
}

fn read(row: &AnyRow) -> Result<JobRow> {
    let state = serde_json::from_value(row.text("state")?.into());
    Ok(JobRow {
        id: row.parsed("id")?,
        kind: row.text("kind")?,
        key: row.text("job_key")?,
        payload: row.text("payload")?,
        state: state.map_err(|error| StoreError::damaged("job", error))?,
        run_at: row.time("run_at")?,
        attempt: row.int("attempt")?,
        error: row.text_or_null("error")?,
        finished_at: row.time_or_null("finished_at")?,
    })
}

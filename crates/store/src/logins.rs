//! Failed logins, counted per name and per address.

use crate::db::Db;
use crate::error::Result;
use crate::sql::{Arg, Cells, Sql};
use hinomi_model::Timestamp;

/// Failed logins under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoginFailures {
    /// How many since the first.
    pub count: i64,
    /// The first one that counts.
    pub first_at: Timestamp,
    /// The last one.
    pub last_at: Timestamp,
}

reads! {
    /// Returns the failures under a key (`user:…`, `address:…`); zero when there are none.
    fn login_failures(key: &str) -> LoginFailures;
}

writes! {
    /// Counts a failure and returns all that count: those after a pause longer than the window begin anew.
    fn count_login_failure(key: &str, now: Timestamp, window_seconds: i64) -> LoginFailures;
    /// Forgets the failures under a key.
    fn clear_login_failures(key: &str) -> ();
    /// Forgets failures older than that; returns how many keys.
    fn prune_login_failures(before: Timestamp) -> u64;
}

async fn login_failures(db: &mut Db<'_>, key: &str) -> Result<LoginFailures> {
    let row = Sql::new("SELECT count, first_at, last_at FROM login_failures WHERE login_key = $1")
        .bind(Arg::indexed(key))
        .row(db)
        .await?;
    row.map_or(Ok(LoginFailures::default()), |row| read(&row))
}

async fn count_login_failure(db: &mut Db<'_>, key: &str, now: Timestamp, window_seconds: i64) -> Result<LoginFailures> {
    let oldest = now.plus_seconds(-window_seconds);
    let row = Sql::new(
        "INSERT INTO login_failures (login_key, count, first_at, last_at) VALUES ($1, 1, $2, $3) \
         ON CONFLICT (login_key) DO UPDATE SET \
         count = CASE WHEN login_failures.last_at < $4 THEN 1 ELSE login_failures.count + 1 END, \
         first_at = CASE WHEN login_failures.last_at < $5 THEN excluded.first_at ELSE login_failures.first_at END, \
         last_at = excluded.last_at RETURNING count, first_at, last_at",
    )
    .bind(Arg::indexed(key))
    .bind(now)
    .bind(now)
    .bind(oldest)
    .bind(oldest)
    .row(db)
    .await?;
    row.map_or(Ok(LoginFailures::default()), |row| read(&row))
}

async fn clear_login_failures(db: &mut Db<'_>, key: &str) -> Result<()> {
    Sql::new("DELETE FROM login_failures WHERE login_key = $1").bind(Arg::indexed(key)).run(db).await?;
    Ok(())
}

async fn prune_login_failures(db: &mut Db<'_>, before: Timestamp) -> Result<u64> {
    Sql::new("DELETE FROM login_failures WHERE last_at < $1").bind(before).run(db).await
}

fn read(row: &sqlx::any::AnyRow) -> Result<LoginFailures> {
    Ok(LoginFailures { count: row.int("count")?, first_at: row.time("first_at")?, last_at: row.time("last_at")? })
}

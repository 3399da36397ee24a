//! Positions of the readers of the ingest log, counters and settings.

use crate::db::Db;
use crate::error::{Result, StoreError};
use crate::sql::{Cells, Sql};

reads! {
    /// Returns how far consumer `name` has read the ingest log; 0 before it began.
    fn offset(name: &str) -> u64;
    /// Returns a setting.
    fn setting(name: &str) -> Option<String>;
}

writes! {
    /// Moves consumer `name` forward to `position`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is further already: another server did the work.
    fn set_offset(name: &str, position: u64) -> ();
    /// Returns the next number of a series (`incident`, `investigation`), from 1.
    fn next_number(series: &str) -> i64;
    /// Sets a setting.
    fn set_setting(name: &str, value: &str) -> ();
}

async fn offset(db: &mut Db<'_>, name: &str) -> Result<u64> {
    let row = Sql::new("SELECT position FROM consumers WHERE name = $1").bind(name).row(db).await?;
    Ok(row.map_or(Ok(0), |row| row.int("position"))? as u64)
}

async fn set_offset(db: &mut Db<'_>, name: &str, position: u64) -> Result<()> {
    let changed = Sql::new(
        "INSERT INTO consumers (name, position) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE \
         SET position = excluded.position WHERE consumers.position <= excluded.position",
    )
    .bind(name)
    .bind(position as i64)
    .run(db)
    .await?;
    if changed == 0 {
        let current = offset(db, name).await? as i64;
        return Err(StoreError::Conflict { what: "consumer", id: name.to_owned(), current });
    }
    Ok(())
}

async fn next_number(db: &mut Db<'_>, series: &str) -> Result<i64> {
    let row = Sql::new(
        "INSERT INTO counters (name, value) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE \
         SET value = counters.value + 1 RETURNING value",
    )
    .bind(series)
    .row(db)
    .await?;
    row.map_or(Ok(1), |row| row.int("value"))
}

async fn setting(db: &mut Db<'_>, name: &str) -> Result<Option<String>> {
    let row = Sql::new("SELECT value FROM settings WHERE name = $1").bind(name).row(db).await?;
    row.map(|row| row.text("value")).transpose()
}

async fn set_setting(db: &mut Db<'_>, name: &str, value: &str) -> Result<()> {
    Sql::new(
        "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .run(db)
    .await?;
    Ok(())
}

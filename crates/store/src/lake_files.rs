//! The catalogue of the lake: which files hold which rows.

use crate::db::Db;
use crate::error::{Result, StoreError};
use crate::sql::{Arg, Cells, Sql};
use hinomi_model::{Table, Timestamp};

/// A file of the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeFileRow {
    /// Path inside the lake's folder.
    pub path: String,
    /// Table of its rows.
    pub table: Table,
    /// UTC day of its rows, `YYYY-MM-DD`.
    pub day: String,
    /// Number of rows.
    pub rows: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// Earliest row.
    pub first: Timestamp,
    /// Latest row.
    pub last: Timestamp,
}

reads! {
    /// Returns every file of the lake.
    fn lake_files() -> Vec<LakeFileRow>;
}

writes! {
    /// Takes files out of the catalogue and puts others in, at once.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when a file to take out is not there (another compaction took it).
    fn replace_lake_files(removed: &[String], added: &[LakeFileRow]) -> ();
}

async fn lake_files(db: &mut Db<'_>) -> Result<Vec<LakeFileRow>> {
    let rows = Sql::new(
        "SELECT path, hunting_table, day, row_count, size_bytes, first_event, last_event FROM lake_files ORDER BY path",
    )
    .rows(db)
    .await?;
    let files = rows.iter().map(|row| {
        let table = row.text("hunting_table")?;
        Ok(LakeFileRow {
            path: row.text("path")?,
            table: Table::from_name(&table)
                .ok_or_else(|| StoreError::Schema(format!("lake file of unknown table {table:?}")))?,
            day: row.text("day")?,
            rows: row.int("row_count")? as u64,
            bytes: row.int("size_bytes")? as u64,
            first: row.time("first_event")?,
            last: row.time("last_event")?,
        })
    });
    files.collect()
}

async fn replace_lake_files(db: &mut Db<'_>, removed: &[String], added: &[LakeFileRow]) -> Result<()> {
    for path in removed {
        let gone = Sql::new("DELETE FROM lake_files WHERE path = $1").bind(path).run(db).await?;
        if gone == 0 {
            return Err(StoreError::NotFound { what: "lake file", id: path.clone() });
        }
    }
    for file in added {
        Sql::new(
            "INSERT INTO lake_files (path, hunting_table, day, row_count, size_bytes, first_event, last_event) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&file.path)
        .bind(file.table.name())
        .bind(&file.day)
        .bind(file.rows as i64)
        .bind(file.bytes as i64)
        .bind(Arg::from(file.first))
        .bind(file.last)
        .run(db)
        .await?;
    }
    Ok(())
}

//! Compaction: many small files of a table and day become one.

use crate::engine::Engine;
use crate::error::{LakeError, Result};
use crate::files::{FileWriter, Held, LakeFile};
use crate::schema::sort_columns;
use datafusion::arrow::array::RecordBatch;
use datafusion::logical_expr::{Expr, ident};
use datafusion::prelude::lit;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// So many small files of one table and day are worth merging.
const SMALL_FILES_MIN: usize = 8;
/// A file with fewer rows is small.
const SMALL_ROWS: u64 = 500_000;
/// Most rows of a merged file: about 100 MB.
const MERGED_ROWS_MAX: u64 = 2_000_000;

/// Files that take the place of others. Nothing changes before the catalogue has it and
/// [`Lake::publish_compaction`](crate::Lake::publish_compaction) is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compaction {
    /// Paths that no longer count.
    pub removed: Vec<String>,
    /// Files with all their rows.
    pub added: Vec<LakeFile>,
}

/// Returns files worth merging: the oldest group there is.
pub(crate) fn plan(files: &[Arc<Held>]) -> Option<Vec<Arc<Held>>> {
    let mut groups: BTreeMap<_, Vec<&Arc<Held>>> = BTreeMap::new();
    for held in files.iter().filter(|held| held.file.rows < SMALL_ROWS) {
        groups.entry((&held.file.day, held.file.table)).or_default().push(held);
    }
    let mut group = groups.into_values().find(|group| group.len() >= SMALL_FILES_MIN)?;
    // names are ordered by time
    group.sort_by(|one, other| one.file.path.cmp(&other.file.path));
    let mut rows = 0;
    let fit = group.into_iter().take_while(|held| {
        rows += held.file.rows;
        rows <= MERGED_ROWS_MAX
    });
    Some(fit.cloned().collect())
}

/// Writes the rows of the files, sorted, into one new file.
pub(crate) async fn merge(engine: &Engine, root: &Path, files: &[Arc<Held>]) -> Result<Compaction> {
    let expected: u64 = files.iter().map(|held| held.file.rows).sum();
    let added = write(engine, root, files, None, expected).await?;
    Ok(Compaction { removed: files.iter().map(|held| held.file.path.clone()).collect(), added: vec![added] })
}

/// Writes a file's rows without those whose id in `column` lies in the range; `None` when it has none
/// of them.
pub(crate) async fn without(
    engine: &Engine,
    root: &Path,
    held: &Arc<Held>,
    column: &str,
    (from, to): &(String, String),
) -> Result<Option<Compaction>> {
    let id = || ident(column);
    let inside = id().gt_eq(lit(from.as_str())).and(id().lt(lit(to.as_str())));
    let file = std::slice::from_ref(held);
    let unwanted = engine.rows(held.file.table, file)?.filter(inside)?.count().await? as u64;
    if unwanted == 0 {
        return Ok(None);
    }
    let left = held.file.rows.saturating_sub(unwanted);
    let mut added = Vec::new();
    if left > 0 {
        // a row without an id is nobody's
        let keep = id().is_null().or(id().lt(lit(from.as_str()))).or(id().gt_eq(lit(to.as_str())));
        added.push(write(engine, root, file, Some(keep), left).await?);
    }
    Ok(Some(Compaction { removed: vec![held.file.path.clone()], added }))
}

/// Writes rows of files of one table and day into one new file, which must get `expected` rows.
async fn write(
    engine: &Engine,
    root: &Path,
    files: &[Arc<Held>],
    keep: Option<Expr>,
    expected: u64,
) -> Result<LakeFile> {
    let first = &files.first().ok_or_else(|| LakeError::BadQuery("nothing to merge".to_owned()))?.file;
    let (table, day) = (first.table, first.day.clone());
    let (key, time) = sort_columns(table);
    let order = vec![ident(key).sort(true, true), ident(time).sort(true, true)];
    let mut rows = engine.rows(table, files)?;
    if let Some(keep) = keep {
        rows = rows.filter(keep)?;
    }
    let mut stream = rows.sort(order)?.execute_stream().await?;

    // Parquet is written by a thread that may block
    let (send, mut receive) = tokio::sync::mpsc::channel::<RecordBatch>(2);
    let root = root.to_owned();
    let write = tokio::task::spawn_blocking(move || {
        let mut writer = FileWriter::begin(&root, table, &day, expected)?;
        let mut rows = 0;
        while let Some(batch) = receive.blocking_recv() {
            rows += batch.num_rows() as u64;
            writer.write(&batch)?;
        }
        // a stream that broke off must not become a file
        if rows == expected { writer.finish().map(Some) } else { writer.abandon().map(|()| None) }
    });
    let mut broken = None;
    while let Some(batch) = stream.next().await {
        match batch {
            Ok(batch) => {
                if send.send(batch).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                broken = Some(error);
                break;
            }
        }
    }
    drop(send);
    let written = write.await.map_err(|error| LakeError::Task(error.to_string()))?;
    if let Some(error) = broken {
        return Err(error.into());
    }
    written?.ok_or_else(|| LakeError::Task(format!("files of {} hold other than {expected} rows", first.path)))
}

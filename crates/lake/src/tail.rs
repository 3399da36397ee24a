//! The hot tail: events that are in no file yet, as Arrow batches.

use crate::error::Result;
use crate::files::{FileWriter, LakeFile, is_day};
use crate::schema::{sort_columns, to_batch};
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::interleave_record_batch;
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use hinomi_model::{Event, Table, Timestamp};
use std::collections::BTreeMap;
use std::path::Path;

/// Rows handed to the writer at once.
const CHUNK_ROWS: usize = 8192;
/// Most days (files) of one table in one flush: a device with a wild clock must not make thousands.
const DAYS_MAX: usize = 32;
/// Day of rows whose own day does not exist in the calendar.
const NO_DAY: &str = "1970-01-01";

/// Some rows of one table.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Position of the ingest log after these rows.
    pub through: u64,
    pub table: Table,
    pub batch: RecordBatch,
}

/// Everything not yet in files, in the order it came.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    parts: Vec<Part>,
    /// Position of the ingest log after the last append, also when that had no events.
    through: Option<u64>,
}

impl Tail {
    pub fn append(&mut self, through: u64, events: &[Event]) {
        self.through = Some(through);
        let mut by_table: BTreeMap<Table, Vec<&Event>> = BTreeMap::new();
        for event in events {
            by_table.entry(event.table).or_default().push(event);
        }
        for (table, events) in by_table {
            self.parts.push(Part { through, table, batch: to_batch(table, &events) });
        }
    }

    /// Returns everything with the position after it; `None` when nothing came since the last flush.
    pub fn snapshot(&self) -> Option<(Vec<Part>, u64)> {
        Some((self.parts.clone(), self.through?))
    }

    /// Lets go of what is in files now.
    pub fn forget(&mut self, through: u64) {
        self.parts.retain(|part| part.through > through);
        if self.through == Some(through) {
            self.through = None;
        }
    }

    pub fn batches(&self, table: Table) -> Vec<RecordBatch> {
        self.parts.iter().filter(|part| part.table == table).map(|part| part.batch.clone()).collect()
    }

    pub fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.batch.num_rows()).sum()
    }
}

/// A row: batch, row in it. In the form Arrow takes.
type Place = (usize, usize);

/// Writes parts into sorted files, one per table and day.
pub(crate) fn write(root: &Path, parts: &[Part]) -> Result<Vec<LakeFile>> {
    let mut by_table: BTreeMap<Table, Vec<&RecordBatch>> = BTreeMap::new();
    for part in parts {
        by_table.entry(part.table).or_default().push(&part.batch);
    }
    let mut files = Vec::new();
    for (table, batches) in by_table {
        for (day, places) in by_day(&batches) {
            files.push(write_file(root, table, &day, &batches, places)?);
        }
    }
    Ok(files)
}

fn by_day(batches: &[&RecordBatch]) -> BTreeMap<String, Vec<Place>> {
    const DAY_MICROS: i64 = 86_400_000_000;
    let mut by_number: BTreeMap<i64, Vec<Place>> = BTreeMap::new();
    for (at, batch) in batches.iter().enumerate() {
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        for (row, micros) in times.values().iter().enumerate() {
            by_number.entry(micros.div_euclid(DAY_MICROS)).or_default().push((at, row));
        }
    }
    // the days with the most rows keep a file of their own
    let mut days: Vec<(i64, Vec<Place>)> = by_number.into_iter().collect();
    days.sort_by_key(|(_, places)| std::cmp::Reverse(places.len()));
    let mut named: BTreeMap<String, Vec<Place>> = BTreeMap::new();
    for (number, places) in days {
        let day = Timestamp::from_micros(number.saturating_mul(DAY_MICROS)).day();
        let day = if is_day(&day) { day } else { NO_DAY.to_owned() };
        let day = match named.last_key_value() {
            Some((newest, _)) if named.len() >= DAYS_MAX && !named.contains_key(&day) => newest.clone(),
            _ => day,
        };
        named.entry(day).or_default().extend(places);
    }
    named
}

fn write_file(
    root: &Path,
    table: Table,
    day: &str,
    batches: &[&RecordBatch],
    mut places: Vec<Place>,
) -> Result<LakeFile> {
    let (first, _) = sort_columns(table);
    let key_column = usize::from(table.column_index(first).unwrap_or_default());
    let keys: Vec<_> = batches.iter().map(|batch| batch.column(key_column).as_string::<i32>()).collect();
    let times: Vec<_> =
        batches.iter().map(|batch| batch.column(0).as_primitive::<TimestampMicrosecondType>()).collect();
    let key = |(batch, row): Place| {
        let text = keys[batch].is_valid(row).then(|| keys[batch].value(row));
        (text, times[batch].value(row))
    };
    // a stable sort: rows of one instant stay in the order they came
    places.sort_by(|one, other| key(*one).cmp(&key(*other)));
    let mut writer = FileWriter::begin(root, table, day, places.len() as u64)?;
    for chunk in places.chunks(CHUNK_ROWS) {
        let rows = interleave_record_batch(batches, chunk)
            .map_err(|error| crate::LakeError::write(root.join(table.name()), error))?;
        writer.write(&rows)?;
    }
    writer.finish()
}

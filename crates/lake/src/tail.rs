//! The hot tail: events that are in no file yet, as Arrow batches.

use crate::error::Result;
use crate::files::{FileWriter, LakeFile, is_day};
use crate::schema::{sort_columns, to_batch};
use datafusion::arrow::array::{Array, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::kernels::cmp::eq;
use datafusion::arrow::compute::{concat_batches, filter_record_batch, interleave_record_batch};
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use hinomi_model::{DeviceId, Event, Table, Timestamp};
use std::collections::BTreeMap;
use std::path::Path;

/// Rows of one part at most after joining: small appends become few parts, and a query costs what its
/// rows cost, not what their number of appends costs.
const PART_ROWS: usize = 8192;
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
    /// Parts up to this position are being written: nothing joins them.
    sealed: Option<u64>,
}

impl Tail {
    pub fn append(&mut self, through: u64, events: &[Event]) {
        self.through = Some(through);
        let mut by_table: BTreeMap<Table, Vec<&Event>> = BTreeMap::new();
        for event in events {
            by_table.entry(event.table).or_default().push(event);
        }
        for (table, events) in by_table {
            self.push(Part { through, table, batch: to_batch(table, &events) });
        }
    }

    /// Adds a part and joins it with those before it that are no larger, so that each row is copied
    /// a few times at most.
    fn push(&mut self, mut part: Part) {
        while let Some(at) = self.parts.iter().rposition(|known| known.table == part.table) {
            let (before, rows) = (&self.parts[at], part.batch.num_rows());
            let open = self.sealed.is_none_or(|sealed| before.through > sealed);
            if !open || before.batch.num_rows() > rows || before.batch.num_rows() + rows > PART_ROWS {
                break;
            }
            // text of one column is limited to 2 GiB in a batch: then they stay two
            let Ok(batch) = concat_batches(part.batch.schema_ref(), [&before.batch, &part.batch]) else { break };
            part.batch = batch;
            self.parts.remove(at);
        }
        self.parts.push(part);
    }

    /// Returns everything with the position after it; `None` when nothing came since the last flush.
    /// What comes from now on stays apart from it.
    pub fn snapshot(&mut self) -> Option<(Vec<Part>, u64)> {
        let through = self.through?;
        self.sealed = Some(through);
        Some((self.parts.clone(), through))
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

/// Keeps the rows of one device. A batch whose table has no devices is kept whole.
pub(crate) fn of_device(table: Table, batches: Vec<RecordBatch>, device: DeviceId) -> Vec<RecordBatch> {
    let Some(column) = table.column_index("DeviceId").map(usize::from) else { return batches };
    let wanted = StringArray::new_scalar(device.to_string());
    let own = |batch: RecordBatch| match eq(batch.column(column), &wanted) {
        Ok(mask) if mask.true_count() == 0 => None,
        Ok(mask) => Some(filter_record_batch(&batch, &mask).unwrap_or(batch)),
        Err(_) => Some(batch),
    };
    batches.into_iter().filter_map(own).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_appends_become_few_parts() {
        let mut tail = Tail::default();
        let event = |micros: i64| Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(micros));
        for number in 0..20_000 {
            tail.append(number, &[event(number as i64)]);
        }
        let parts = tail.batches(Table::DeviceProcessEvents);
        assert!(parts.len() < 32, "{} parts", parts.len());
        let times = parts.iter().flat_map(|part| part.column(0).as_primitive::<TimestampMicrosecondType>().values());
        assert!(times.copied().eq(0..20_000), "rows keep their order");
        // the next rows do not join what is being written
        assert!(tail.snapshot().is_some());
        tail.append(20_000, &[event(20_000)]);
        tail.forget(19_999);
        assert_eq!(tail.rows(), 1);
    }
}

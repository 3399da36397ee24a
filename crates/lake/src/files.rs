//! Files of the lake: `<table>/<day>/<name>.parquet`, written once, never changed.

use crate::error::{LakeError, Result};
use crate::schema::{schema_of, sort_columns};
use datafusion::arrow::array::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::metadata::SortingColumn;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::parquet::schema::types::ColumnPath;
use hinomi_model::{Table, Timestamp};
use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Level 3: measured 43.5 bytes per event at 145,000 events per second and core (design/storage.md §3).
const ZSTD_LEVEL: i32 = 3;
const ROW_GROUP_ROWS: usize = 131_072;
const ROW_GROUP_BYTES: usize = 128 * 1024 * 1024;
/// Suffix of a file while it is written.
const UNFINISHED: &str = "tmp";

/// A file of the lake, as the catalogue knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeFile {
    /// Path inside the lake's folder, `<table>/<day>/<name>.parquet`.
    pub path: String,
    /// Table of its rows.
    pub table: Table,
    /// UTC day it counts for, `YYYY-MM-DD`.
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

/// A file in use. When it no longer counts, it is deleted as soon as the last query lets go of it.
#[derive(Debug)]
pub(crate) struct Held {
    pub file: LakeFile,
    pub full_path: PathBuf,
    doomed: AtomicBool,
}

impl Held {
    pub fn new(root: &Path, file: LakeFile) -> Held {
        let full_path = root.join(&file.path);
        Held { file, full_path, doomed: AtomicBool::new(false) }
    }

    pub fn doom(&self) {
        self.doomed.store(true, Ordering::Relaxed);
    }

    /// Says what is wrong with the file as far as its place on disk tells.
    pub fn check(&self) -> std::result::Result<(), String> {
        if !is_ours(&self.file.path) {
            return Err("its path is not one of the lake".to_owned());
        }
        match fs::metadata(&self.full_path) {
            Ok(found) if found.len() == self.file.bytes => Ok(()),
            Ok(found) => Err(format!("it has {} bytes instead of {}", found.len(), self.file.bytes)),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::Relaxed)
            && let Err(error) = fs::remove_file(&self.full_path)
        {
            // removed at the next start as a file nobody knows
            tracing::warn!(file.path = %self.file.path, "cannot delete lake file {}: {error}", self.file.path);
        }
    }
}

/// True for `YYYY-MM-DD`.
pub(crate) fn is_day(day: &str) -> bool {
    let bytes = day.as_bytes();
    bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

fn is_ours(path: &str) -> bool {
    let mut parts = path.split('/');
    let (table, day, name, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
    let is_name = |name: &str| {
        let stem = name.strip_suffix(".parquet").unwrap_or_default();
        !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    table.and_then(Table::from_name).is_some() && day.is_some_and(is_day) && name.is_some_and(is_name) && rest.is_none()
}

/// Deletes files and unfinished files the catalogue does not know, and folders that are empty then.
/// Returns how many files.
pub(crate) fn remove_orphans(root: &Path, known: &HashSet<&str>) -> Result<usize> {
    let mut removed = 0;
    for table in Table::ALL {
        let Some(days) = entries(&root.join(table.name()))? else { continue };
        for day in days {
            for path in entries(&day)?.unwrap_or_default() {
                let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                let is_file_of_ours = path.extension().is_some_and(|end| end == "parquet" || end == UNFINISHED);
                if is_file_of_ours && !known.contains(relative.as_str()) {
                    fs::remove_file(&path).map_err(|error| LakeError::file(&path, error))?;
                    removed += 1;
                }
            }
            // fails when it is not empty, which is fine
            let _ = fs::remove_dir(&day);
        }
    }
    Ok(removed)
}

fn entries(folder: &Path) -> Result<Option<Vec<PathBuf>>> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(LakeError::file(folder, error)),
    };
    let paths = listing.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>();
    paths.map(Some).map_err(|error| LakeError::file(folder, error))
}

/// Writes one file, row by sorted row. Nothing of it is seen under its name before it is whole and durable.
pub(crate) struct FileWriter {
    root: PathBuf,
    file: LakeFile,
    unfinished: PathBuf,
    writer: ArrowWriter<File>,
}

impl FileWriter {
    /// Begins a file of about `rows` rows.
    pub fn begin(root: &Path, table: Table, day: &str, rows: u64) -> Result<FileWriter> {
        let folder = root.join(table.name()).join(day);
        make_folders(root, &folder)?;
        let name = uuid::Uuid::now_v7().to_string();
        let unfinished = folder.join(format!("{name}.{UNFINISHED}"));
        let out = File::create_new(&unfinished).map_err(|error| LakeError::file(&unfinished, error))?;
        let writer = ArrowWriter::try_new(out, schema_of(table), Some(properties(table, rows)))
            .map_err(|error| LakeError::write(&unfinished, error))?;
        let file = LakeFile {
            path: format!("{}/{day}/{name}.parquet", table.name()),
            table,
            day: day.to_owned(),
            rows: 0,
            bytes: 0,
            first: Timestamp::from_micros(i64::MAX),
            last: Timestamp::from_micros(i64::MIN),
        };
        Ok(FileWriter { root: root.to_owned(), file, unfinished, writer })
    }

    /// Adds rows, which must follow in the order of the table.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        use datafusion::arrow::array::AsArray;
        use datafusion::arrow::datatypes::TimestampMicrosecondType;
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        for micros in times.values() {
            self.file.first = self.file.first.min(Timestamp::from_micros(*micros));
            self.file.last = self.file.last.max(Timestamp::from_micros(*micros));
        }
        self.file.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(|error| LakeError::write(&self.unfinished, error))
    }

    /// Gives up and deletes what was written.
    pub fn abandon(self) -> Result<()> {
        fs::remove_file(&self.unfinished).map_err(|error| LakeError::file(&self.unfinished, error))
    }

    /// Makes the file durable under its name: file first, then the folder that names it.
    pub fn finish(self) -> Result<LakeFile> {
        let FileWriter { root, mut file, unfinished, writer } = self;
        let out = writer.into_inner().map_err(|error| LakeError::write(&unfinished, error))?;
        out.sync_all().map_err(|error| LakeError::file(&unfinished, error))?;
        file.bytes = out.metadata().map_err(|error| LakeError::file(&unfinished, error))?.len();
        let path = root.join(&file.path);
        fs::rename(&unfinished, &path).map_err(|error| LakeError::file(&path, error))?;
        if let Some(folder) = path.parent() {
            sync_folder(folder)?;
        }
        Ok(file)
    }
}

/// Creates a folder and makes its name durable in each folder above, up to the root.
fn make_folders(root: &Path, folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|error| LakeError::file(folder, error))?;
    let above = folder.ancestors().skip(1).take_while(|above| above.starts_with(root));
    for above in above {
        sync_folder(above)?;
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| LakeError::file(folder, error))
}

fn properties(table: Table, rows: u64) -> WriterProperties {
    let zstd = ZstdLevel::try_new(ZSTD_LEVEL).expect("the level exists");
    let (first, second) = sort_columns(table);
    let sorted = [first, second].into_iter().filter_map(|name| table.column_index(name)).map(|column| SortingColumn {
        column_idx: i32::from(column),
        descending: false,
        nulls_first: true,
    });
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(zstd))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_sorting_columns(Some(sorted.collect()));
    // hashes are asked for one by one, and nearly all files lack them
    for column in table.columns().iter().filter(|column| column.name.ends_with("SHA256")) {
        let path = ColumnPath::from(column.name);
        properties = properties
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_max_ndv(path, rows.clamp(64, ROW_GROUP_ROWS as u64));
    }
    properties.build()
}

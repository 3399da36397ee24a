//! Events on disk until the server has them: append-only checksummed segments.
//!
//! [`Spool::append`] gives events their ReportIds and returns after fsync; [`Reader`] hands out
//! what is durable, [`Spool::acknowledge`] deletes whole segments the server has stored. A batch
//! never changes once appended, so sending it twice is the same batch twice.

mod reader;
mod record;
mod renewal;

pub use reader::Reader;
pub use record::SpooledBatch;

use crate::files;
use hinomi_model::{Event, TEXT_BYTES_MAX};
use record::{SEGMENT_HEADER_BYTES, read_segment_header, segment_header};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// Events in one record: bounds what one lost acknowledgement sends again.
const RECORD_EVENTS_MAX: usize = 1_000;
/// Text of the events in one record; a quarter of what a reader accepts unpacked.
const RECORD_TEXT_MAX: usize = 16 * 1024 * 1024;
/// A segment is closed above this size.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;

/// The spool cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The size limit is reached: wait for acknowledgements or drop.
    #[error("spool is full ({bytes} of {bytes_max} bytes)")]
    Full {
        /// Bytes held.
        bytes: u64,
        /// Limit.
        bytes_max: u64,
    },
    /// A file operation failed.
    #[error("{what} {}", path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Events cannot be packed.
    #[error("pack events for the spool")]
    Pack(#[from] hinomi_wire::BatchError),
    /// No random numbers for a generation.
    #[error("draw a spool generation")]
    Random,
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| SpoolError::Io { what, path, source }
}

/// What the spool holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpoolStats {
    /// Events not yet acknowledged.
    pub events: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// The spool; cheap to clone.
#[derive(Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    bytes_max: u64,
    segment_bytes: u64,
    writer: Mutex<Writer>,
    index: Mutex<Index>,
    durable: watch::Sender<u64>,
}

struct Writer {
    file: File,
    /// Bytes of the active segment that are valid.
    len: u64,
    next_id: u64,
}

struct Index {
    generation: u64,
    /// Oldest first; the last one is active. Never empty.
    segments: VecDeque<Segment>,
    acknowledged: u64,
    /// Events lost to damage on disk.
    damaged: u64,
}

#[derive(Debug, Clone)]
struct Segment {
    path: PathBuf,
    first: u64,
    /// Last durable ReportId; `first - 1` when empty.
    last: u64,
    /// Durable bytes.
    len: u64,
}

impl Spool {
    /// Opens the spool in `dir`, cutting a torn tail; makes a new generation when there is none.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn open(dir: &Path, bytes_max: u64) -> Result<Spool, SpoolError> {
        files::private_dir(dir).map_err(io_error("create spool folder", dir))?;
        renewal::finish(dir)?;
        let (generation, mut segments) = find_segments(dir)?;
        if segments.is_empty() {
            let generation = draw_generation()?;
            return Self::assemble(dir, bytes_max, generation, VecDeque::from([create_segment(dir, generation, 1)?]));
        }
        for at in 1..segments.len() {
            segments[at - 1].last = segments[at].first - 1;
        }
        let active = segments.back_mut().expect("checked above");
        recover(active)?;
        Self::assemble(dir, bytes_max, generation, segments)
    }

    fn assemble(dir: &Path, bytes_max: u64, generation: u64, segments: VecDeque<Segment>) -> Result<Spool, SpoolError> {
        let active = segments.back().expect("a spool has an active segment");
        let writer = Writer { file: open_active(active)?, len: active.len, next_id: active.last + 1 };
        let acknowledged = segments.front().map_or(0, |oldest| oldest.first - 1);
        let (durable, _) = watch::channel(active.last);
        let index = Index { generation, segments, acknowledged, damaged: 0 };
        Ok(Spool {
            shared: Arc::new(Shared {
                dir: dir.to_owned(),
                bytes_max,
                segment_bytes: SEGMENT_BYTES.min(bytes_max / 4).max(1),
                writer: Mutex::new(writer),
                index: Mutex::new(index),
                durable,
            }),
        })
    }

    /// Gives `events` their ReportIds, writes them and returns the last id once they are on disk.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// [`SpoolError::Full`] at the size limit, or when the disk fails; nothing is spooled then.
    pub fn append(&self, events: &mut [Event]) -> Result<u64, SpoolError> {
        let mut writer = self.writer();
        if writer.len >= self.shared.segment_bytes {
            self.rotate(&mut writer)?;
        }
        let mut next_id = writer.next_id;
        let mut out = Vec::new();
        for chunk in chunks(events) {
            encode(chunk, &mut next_id, &mut out)?;
        }
        let bytes = self.stats().bytes;
        if bytes + out.len() as u64 > self.shared.bytes_max {
            return Err(SpoolError::Full { bytes, bytes_max: self.shared.bytes_max });
        }
        let path = self.index().segments.back().expect("never empty").path.clone();
        let written = writer.file.write_all(&out).and_then(|()| writer.file.sync_data());
        if let Err(source) = written {
            // cut what may have been written: its ids are given again
            let len = writer.len;
            let restored = writer.file.set_len(len).and_then(|()| writer.file.seek(SeekFrom::Start(len)));
            if restored.is_err() {
                self.rotate(&mut writer)?;
            }
            return Err(io_error("append to spool segment", &path)(source));
        }
        writer.len += out.len() as u64;
        writer.next_id = next_id;
        let mut index = self.index();
        let active = index.segments.back_mut().expect("never empty");
        active.len = writer.len;
        active.last = next_id - 1;
        drop(index);
        self.shared.durable.send_replace(next_id - 1);
        Ok(next_id - 1)
    }

    /// Notes that the server has stored everything up to `through` and deletes what it can.
    ///
    /// # Errors
    /// When a segment cannot be deleted.
    pub fn acknowledge(&self, through: u64) -> Result<(), SpoolError> {
        let mut index = self.index();
        let last = index.segments.back().expect("never empty").last;
        index.acknowledged = index.acknowledged.max(through.min(last));
        while index.segments.len() > 1 && index.segments[0].last <= index.acknowledged {
            let path = index.segments[0].path.clone();
            fs::remove_file(&path).map_err(io_error("delete spool segment", &path))?;
            index.segments.pop_front();
        }
        Ok(())
    }

    /// Begins a new generation, in which the events after `after` come again under new ReportIds:
    /// for a server that knows another past of this spool than its disk does (a restored image, a
    /// restored server, damage). Blocks; survives a crash at any point.
    ///
    /// # Errors
    /// When the disk fails; the old generation is then still in force.
    pub fn renew(&self, after: u64) -> Result<(), SpoolError> {
        let mut writer = self.writer();
        let mut reader = self.reader(after);
        let generation = draw_generation()?;
        let mut fresh = renewal::Renewal::begin(&self.shared.dir, generation, self.shared.segment_bytes)?;
        while let Some(batch) = reader.next_batch()? {
            match hinomi_wire::unpack(&batch.frame, batch.count as usize) {
                Ok(mut events) => {
                    let old = (after + 1).saturating_sub(batch.first) as usize;
                    events.drain(..old.min(events.len()));
                    fresh.add(&mut events)?;
                }
                Err(error) => {
                    tracing::error!(%error, events = batch.count, "a spooled batch cannot be read");
                    self.index().damaged += u64::from(batch.count);
                }
            }
        }
        let segments = fresh.commit()?;
        let active = segments.back().expect("a renewal has at least one segment").clone();
        *writer = Writer { file: open_active(&active)?, len: active.len, next_id: active.last + 1 };
        let mut index = self.index();
        index.generation = generation;
        index.segments = segments;
        index.acknowledged = 0;
        drop(index);
        self.shared.durable.send_replace(active.last);
        Ok(())
    }

    /// Returns the ReportId of the oldest event that may still be on disk.
    pub fn oldest(&self) -> u64 {
        self.index().segments.front().expect("never empty").first
    }

    /// Returns up to where the server has said it stored.
    pub fn acknowledged(&self) -> u64 {
        self.index().acknowledged
    }

    /// Returns the generation.
    pub fn generation(&self) -> u64 {
        self.index().generation
    }

    /// Returns the last durable ReportId, 0 = none yet.
    pub fn last(&self) -> u64 {
        *self.shared.durable.borrow()
    }

    /// Watches the last durable ReportId.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.durable.subscribe()
    }

    /// Reads batches with events after `after`.
    pub fn reader(&self, after: u64) -> Reader {
        Reader::new(self.clone(), after)
    }

    /// Returns what the spool holds.
    pub fn stats(&self) -> SpoolStats {
        let index = self.index();
        let last = index.segments.back().expect("never empty").last;
        SpoolStats {
            events: last.saturating_sub(index.acknowledged),
            bytes: index.segments.iter().map(|segment| segment.len).sum(),
        }
    }

    /// Returns how many events damage on disk has cost.
    pub fn damaged(&self) -> u64 {
        self.index().damaged
    }

    fn rotate(&self, writer: &mut Writer) -> Result<(), SpoolError> {
        let generation = self.generation();
        let fresh = create_segment(&self.shared.dir, generation, writer.next_id)?;
        writer.file = open_active(&fresh)?;
        writer.len = fresh.len;
        self.index().segments.push_back(fresh);
        Ok(())
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.shared.writer.lock().expect("no panic while holding the spool writer")
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.shared.index.lock().expect("no panic while holding the spool index")
    }
}

/// Cuts events into records small enough for every limit of the wire.
fn chunks(mut events: &mut [Event]) -> Vec<&mut [Event]> {
    let mut out = Vec::new();
    while !events.is_empty() {
        let mut text = 0;
        let mut end = 0;
        while end < events.len() && end < RECORD_EVENTS_MAX && text < RECORD_TEXT_MAX {
            text += text_bytes(&events[end]);
            end += 1;
        }
        let (chunk, rest) = events.split_at_mut(end);
        out.push(chunk);
        events = rest;
    }
    out
}

fn text_bytes(event: &Event) -> usize {
    // JSON at most sextuples a byte (control characters); names and quotes are covered by 48
    event.cells().map(|(_, value)| value.as_str().map_or(24, |text| text.len().min(TEXT_BYTES_MAX)) + 48).sum()
}

fn encode(events: &mut [Event], next_id: &mut u64, out: &mut Vec<u8>) -> Result<(), SpoolError> {
    for (offset, event) in events.iter_mut().enumerate() {
        let id = *next_id + offset as u64;
        event.try_set("ReportId", hinomi_model::Value::Long(id as i64));
    }
    let frame = hinomi_wire::pack(events)?;
    if frame.len() > hinomi_wire::BATCH_BYTES_MAX && events.len() > 1 {
        let (left, right) = events.split_at_mut(events.len() / 2);
        encode(left, next_id, out)?;
        return encode(right, next_id, out);
    }
    let batch = SpooledBatch { first: *next_id, count: events.len() as u32, frame };
    batch.encode(out);
    *next_id += events.len() as u64;
    Ok(())
}

fn draw_generation() -> Result<u64, SpoolError> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SpoolError::Random)?;
    // fits a signed 64-bit column of any database, and is never 0
    Ok((u64::from_le_bytes(bytes) >> 1).max(1))
}

fn create_segment(dir: &Path, generation: u64, first: u64) -> Result<Segment, SpoolError> {
    create_segment_as(dir, generation, first, "spool")
}

fn create_segment_as(dir: &Path, generation: u64, first: u64, extension: &str) -> Result<Segment, SpoolError> {
    let path = dir.join(format!("{generation:016x}-{first:020}.{extension}"));
    let create = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(&segment_header(generation, first))?;
        file.sync_all()?;
        files::sync_parent(&path)
    };
    create().map_err(io_error("create spool segment", &path))?;
    Ok(Segment { path, first, last: first - 1, len: SEGMENT_HEADER_BYTES })
}

fn open_active(segment: &Segment) -> Result<File, SpoolError> {
    let open = || -> io::Result<File> {
        let mut file = OpenOptions::new().write(true).open(&segment.path)?;
        file.seek(SeekFrom::Start(segment.len))?;
        Ok(file)
    };
    open().map_err(io_error("open spool segment", &segment.path))
}

/// Finds the segments, oldest first. Files that are not segments are removed.
fn find_segments(dir: &Path) -> Result<(u64, VecDeque<Segment>), SpoolError> {
    let mut found = Vec::new();
    for path in list(dir, "spool")? {
        let header =
            File::open(&path).and_then(|mut file| Ok((read_segment_header(&mut file)?, file.metadata()?.len())));
        match header.map_err(io_error("read spool segment", &path))? {
            (Some((generation, first)), len) if first > 0 => {
                found.push((generation, Segment { path, first, last: first - 1, len }));
            }
            _ => {
                // a segment whose creation was cut short: it never held a durable event
                tracing::warn!(path = %path.display(), "spool file without a valid header is removed");
                fs::remove_file(&path).map_err(io_error("delete spool segment", &path))?;
            }
        }
    }
    let generation = found.first().map_or(0, |(generation, _)| *generation);
    let mut segments: Vec<Segment> = found.into_iter().map(|(_, segment)| segment).collect();
    segments.sort_by_key(|segment| segment.first);
    Ok((generation, segments.into()))
}

fn list(dir: &Path, extension: &str) -> Result<Vec<PathBuf>, SpoolError> {
    let entries: io::Result<Vec<_>> = fs::read_dir(dir).and_then(Iterator::collect);
    let entries = entries.map_err(io_error("read spool folder", dir))?;
    let paths = entries.into_iter().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect())
}

/// Reads the active segment to its last whole record and cuts the rest.
fn recover(active: &mut Segment) -> Result<(), SpoolError> {
    let failed = |source| SpoolError::Io { what: "recover spool segment", path: active.path.clone(), source };
    let file = OpenOptions::new().read(true).write(true).open(&active.path).map_err(failed)?;
    let mut from = BufReader::new(&file);
    from.seek(SeekFrom::Start(SEGMENT_HEADER_BYTES)).map_err(failed)?;
    let mut len = SEGMENT_HEADER_BYTES;
    let mut last = active.first - 1;
    while let Some(batch) = SpooledBatch::decode(&mut from).map_err(failed)? {
        if batch.first != last + 1 {
            break;
        }
        len += batch.bytes();
        last = batch.last();
    }
    if len < active.len {
        tracing::info!(cut_bytes = active.len - len, last_report_id = last, "torn tail of the spool cut");
        file.set_len(len).and_then(|()| file.sync_all()).map_err(failed)?;
    }
    active.len = len;
    active.last = last;
    Ok(())
}

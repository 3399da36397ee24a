//! The ingest log: append-only segment files that make events durable before anyone is answered.
//!
//! A record is `length (u32 LE) · CRC-32 (u32 LE) · payload`; its offset is its position since the
//! log began. Segments are named by their first offset. A torn record at the end (the machine
//! stopped while writing) was never acknowledged and is cut when the log opens; damage anywhere
//! else is an error that names file and place. One thread writes and syncs, taking everything that
//! waits into one sync (group commit).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot, watch};

/// A new segment begins beyond this size.
const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Largest payload of one record.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Records waiting for the writer before appenders wait (backpressure).
const QUEUE_MAX: usize = 256;
const HEADER: usize = 8;

/// The log failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Reading or writing a file failed.
    #[error("ingest log {path}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A record inside the log is damaged.
    #[error("ingest log {path} is damaged at byte {at}")]
    Damaged {
        /// Segment.
        path: PathBuf,
        /// Position of the record.
        at: u64,
    },
    /// The payload is too large.
    #[error("record of {0} bytes exceeds {RECORD_BYTES_MAX}")]
    TooLarge(usize),
    /// The writer has stopped after an error; the server must restart.
    #[error("ingest log writer has stopped")]
    Stopped,
}

/// A payload to append, or none: begin a new segment.
struct Append {
    payload: Option<Vec<u8>>,
    done: oneshot::Sender<u64>,
}

/// The log. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    dir: Arc<PathBuf>,
    queue: mpsc::Sender<Append>,
    /// Offset the next record gets; everything below is durable.
    end: watch::Receiver<u64>,
    segments: Arc<Mutex<Vec<u64>>>,
}

impl Log {
    /// Opens the log of a folder, cutting a torn record at its end. `at_least` is the first offset
    /// a new log may use: consumers may already be beyond an empty folder.
    ///
    /// # Errors
    /// [`LogError`] when files cannot be used or are damaged.
    pub fn open(dir: &Path, at_least: u64) -> Result<Log, LogError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| LogError::Io { path, source }
        };
        fs::create_dir_all(dir).map_err(failed(dir))?;
        let mut firsts = segments(dir)?;
        if firsts.is_empty() {
            firsts.push(at_least);
            create(dir, at_least)?;
        }
        let last = *firsts.last().expect("at least one segment");
        let path = segment_path(dir, last);
        let (records, bytes) = scan(&path, true)?;
        let file = OpenOptions::new().write(true).open(&path).map_err(failed(&path))?;
        file.set_len(bytes).and_then(|()| file.sync_all()).map_err(failed(&path))?;
        let end = last + records;

        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let (ended, end) = watch::channel(end);
        let segments = Arc::new(Mutex::new(firsts));
        let writer =
            Writer { dir: dir.to_owned(), file, path, bytes, end: *end.borrow(), ended, segments: segments.clone() };
        std::thread::Builder::new()
            .name("ingest-log".to_owned())
            .spawn(move || writer.run(waiting))
            .map_err(failed(dir))?;
        Ok(Log { dir: Arc::new(dir.to_owned()), queue, end, segments })
    }

    /// Appends a record and returns its offset once it is on disk.
    ///
    /// # Errors
    /// [`LogError::TooLarge`], or [`LogError::Stopped`] when writing has failed.
    pub async fn append(&self, payload: Vec<u8>) -> Result<u64, LogError> {
        if payload.len() > RECORD_BYTES_MAX {
            return Err(LogError::TooLarge(payload.len()));
        }
        self.order(Some(payload)).await
    }

    /// Begins a new segment, so that [`Log::trim`] can delete everything before it. Returns its first
    /// offset.
    ///
    /// # Errors
    /// [`LogError::Stopped`] when writing has failed.
    pub async fn rotate(&self) -> Result<u64, LogError> {
        self.order(None).await
    }

    async fn order(&self, payload: Option<Vec<u8>>) -> Result<u64, LogError> {
        let (done, offset) = oneshot::channel();
        self.queue.send(Append { payload, done }).await.map_err(|_| LogError::Stopped)?;
        offset.await.map_err(|_| LogError::Stopped)
    }

    /// Offset the next record gets.
    pub fn end(&self) -> u64 {
        *self.end.borrow()
    }

    /// First offset still kept.
    pub fn start(&self) -> u64 {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner).first().copied().unwrap_or_default()
    }

    /// Reads from `offset` on, or from the first record still kept.
    pub fn read_from(&self, offset: u64) -> Reader {
        Reader { log: self.clone(), next: offset.max(self.start()), open: None }
    }

    /// Deletes segments whose records are all below `offset`.
    ///
    /// # Errors
    /// When a file cannot be deleted.
    pub fn trim(&self, offset: u64) -> Result<(), LogError> {
        let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        while segments.len() > 1 && segments[1] <= offset {
            let path = segment_path(&self.dir, segments[0]);
            fs::remove_file(&path).map_err(|source| LogError::Io { path, source })?;
            segments.remove(0);
        }
        Ok(())
    }

    fn segment_of(&self, offset: u64) -> Option<u64> {
        let segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        segments.iter().rev().copied().find(|first| *first <= offset)
    }
}

/// Reads records in order, waiting for new ones.
pub struct Reader {
    log: Log,
    next: u64,
    open: Option<(u64, File, PathBuf)>,
}

impl Reader {
    /// Returns the next record and its offset; waits when there is none yet.
    ///
    /// # Errors
    /// [`LogError`] when a record cannot be read.
    pub async fn next(&mut self) -> Result<(u64, Vec<u8>), LogError> {
        let next = self.next;
        self.log.end.wait_for(|end| *end > next).await.map_err(|_| LogError::Stopped)?;
        self.read()
    }

    /// Returns the next record, or `None` at the end of the log.
    ///
    /// # Errors
    /// [`LogError`] when a record cannot be read.
    pub fn try_next(&mut self) -> Result<Option<(u64, Vec<u8>)>, LogError> {
        if self.next >= self.log.end() { Ok(None) } else { self.read().map(Some) }
    }

    fn read(&mut self) -> Result<(u64, Vec<u8>), LogError> {
        let first = self.log.segment_of(self.next).ok_or(LogError::Stopped)?;
        if self.open.as_ref().is_none_or(|(open, ..)| *open != first) {
            let path = segment_path(&self.log.dir, first);
            let mut file = File::open(&path).map_err(|source| LogError::Io { path: path.clone(), source })?;
            for _ in first..self.next {
                skip_record(&mut file, &path)?;
            }
            self.open = Some((first, file, path));
        }
        let (_, file, path) = self.open.as_mut().expect("opened above");
        let payload = read_record(file, path)?;
        let offset = self.next;
        self.next += 1;
        Ok((offset, payload))
    }
}

struct Writer {
    dir: PathBuf,
    file: File,
    path: PathBuf,
    bytes: u64,
    end: u64,
    ended: watch::Sender<u64>,
    segments: Arc<Mutex<Vec<u64>>>,
}

impl Writer {
    fn run(mut self, mut waiting: mpsc::Receiver<Append>) {
        let mut group = Vec::new();
        while let Some(first) = waiting.blocking_recv() {
            group.push(first);
            // what follows an order for a new segment belongs into that segment
            while group.len() < QUEUE_MAX
                && group.last().is_some_and(|last: &Append| last.payload.is_some())
                && let Ok(next) = waiting.try_recv()
            {
                group.push(next);
            }
            if let Err(error) = self.write(&group) {
                // after a failed sync nothing is known about the file: stop and let the server restart
                tracing::error!(error = %error, "ingest log cannot be written, ingest stops");
                return;
            }
            let mut offset = self.end;
            self.end += group.iter().filter(|append| append.payload.is_some()).count() as u64;
            // whoever has an answer finds the record within the log
            self.ended.send_replace(self.end);
            for append in group.drain(..) {
                // an appender that went away does not need its offset
                let _ = append.done.send(offset);
                offset += u64::from(append.payload.is_some());
            }
        }
    }

    fn write(&mut self, group: &[Append]) -> Result<(), LogError> {
        if self.bytes > SEGMENT_BYTES_MAX {
            self.begin_segment(self.end)?;
        }
        let mut buffer = Vec::new();
        for payload in group.iter().filter_map(|append| append.payload.as_ref()) {
            buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            buffer.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
            buffer.extend_from_slice(payload);
        }
        let write = || -> io::Result<()> {
            let mut file = &self.file;
            file.seek(SeekFrom::Start(self.bytes))?;
            file.write_all(&buffer)?;
            file.sync_data()
        };
        write().map_err(|source| LogError::Io { path: self.path.clone(), source })?;
        self.bytes += buffer.len() as u64;
        if group.last().is_some_and(|last| last.payload.is_none()) {
            self.begin_segment(self.end + group.len() as u64 - 1)?;
        }
        Ok(())
    }

    /// An empty segment stays: it has the name the new one would get.
    fn begin_segment(&mut self, first: u64) -> Result<(), LogError> {
        if self.bytes > 0 {
            self.file = create(&self.dir, first)?;
            self.path = segment_path(&self.dir, first);
            self.bytes = 0;
            self.segments.lock().unwrap_or_else(PoisonError::into_inner).push(first);
        }
        Ok(())
    }
}

fn segment_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.log"))
}

fn create(dir: &Path, first: u64) -> Result<File, LogError> {
    let path = segment_path(dir, first);
    let make = || {
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        file.sync_all()?;
        File::open(dir)?.sync_all()?;
        Ok(file)
    };
    make().map_err(|source| LogError::Io { path: path.clone(), source })
}

fn segments(dir: &Path) -> Result<Vec<u64>, LogError> {
    let failed = |source| LogError::Io { path: dir.to_owned(), source };
    let mut firsts = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if let Some(first) = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse().ok()) {
            firsts.push(first);
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Counts whole records and their bytes. With `cut`, a bad record at the end of the file ends the
/// count; without, it is an error.
fn scan(path: &Path, cut: bool) -> Result<(u64, u64), LogError> {
    let failed = |source| LogError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let (mut records, mut bytes) = (0, 0);
    loop {
        match read_record(&mut file, path) {
            Ok(payload) => {
                records += 1;
                bytes += (HEADER + payload.len()) as u64;
            }
            Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok((records, bytes));
            }
            Err(LogError::Damaged { .. }) if cut => return Ok((records, bytes)),
            Err(error) => return Err(error),
        }
    }
}

fn read_record(file: &mut File, path: &Path) -> Result<Vec<u8>, LogError> {
    let failed = |source| LogError::Io { path: path.to_owned(), source };
    let (length, crc) = read_header(file).map_err(failed)?;
    let damaged =
        |file: &mut File| LogError::Damaged { path: path.to_owned(), at: file.stream_position().unwrap_or_default() };
    if length > RECORD_BYTES_MAX {
        return Err(damaged(file));
    }
    let mut payload = vec![0; length];
    file.read_exact(&mut payload).map_err(failed)?;
    if crc32fast::hash(&payload) != crc {
        return Err(damaged(file));
    }
    Ok(payload)
}

fn skip_record(file: &mut File, path: &Path) -> Result<(), LogError> {
    let skip = |file: &mut File| {
        let (length, _) = read_header(file)?;
        file.seek(SeekFrom::Current(length as i64)).map(|_| ())
    };
    skip(file).map_err(|source| LogError::Io { path: path.to_owned(), source })
}

fn read_header(file: &mut File) -> io::Result<(usize, u32)> {
    let mut header = [0; HEADER];
    file.read_exact(&mut header)?;
    let [a, b, c, d, e, f, g, h] = header;
    Ok((u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn records_survive_reopening_and_a_torn_end_is_cut() {
        let dir = tempfile::tempdir().expect("temp dir");
        let log = Log::open(dir.path(), 7).expect("opens");
        for n in 0..10_u8 {
            assert_eq!(log.append(vec![n; 100]).await.expect("appends"), 7 + u64::from(n));
            assert_eq!(log.end(), 8 + u64::from(n), "what is answered is within the log");
        }
        drop(log);
        let path = segment_path(dir.path(), 7);
        let whole = fs::metadata(&path).expect("there").len();
        for cut in [1, 50, 107] {
            let file = OpenOptions::new().write(true).open(&path).expect("opens");
            file.set_len(whole - cut).expect("cut");
            let log = Log::open(dir.path(), 0).expect("opens");
            assert_eq!(log.end(), 16, "the torn record is gone after cutting {cut} bytes");
            assert_eq!(log.append(vec![9; 100]).await.expect("appends"), 16);
            let mut reader = log.read_from(0);
            for n in 0..10_u8 {
                assert_eq!(reader.next().await.expect("reads"), (7 + u64::from(n), vec![n; 100]));
            }
            assert!(reader.try_next().expect("end").is_none());
        }
    }

    #[tokio::test]
    async fn a_new_segment_lets_everything_before_it_go() {
        let dir = tempfile::tempdir().expect("temp dir");
        let log = Log::open(dir.path(), 0).expect("opens");
        assert_eq!(log.rotate().await.expect("nothing to leave behind"), 0);
        let (one, at, two) = tokio::join!(log.append(vec![1]), log.rotate(), log.append(vec![2]));
        assert_eq!((one.expect("appends"), at.expect("rotates"), two.expect("appends")), (0, 1, 1));
        let at = log.rotate().await.expect("rotates");
        assert_eq!((at, log.rotate().await.expect("empty already")), (2, 2));
        log.append(vec![3]).await.expect("appends");
        log.trim(at).expect("trims");
        assert_eq!(segments(dir.path()).expect("list"), [2]);
        drop(log);
        let log = Log::open(dir.path(), 0).expect("opens");
        assert_eq!((log.end(), log.read_from(0).next().await.expect("reads")), (3, (2, vec![3])));
    }

    #[tokio::test]
    async fn trimming_keeps_what_is_needed() {
        let dir = tempfile::tempdir().expect("temp dir");
        let log = Log::open(dir.path(), 0).expect("opens");
        let big = vec![1; 15 * 1024 * 1024];
        for _ in 0..12 {
            log.append(big.clone()).await.expect("appends");
        }
        let before = segments(dir.path()).expect("list");
        assert!(before.len() >= 2, "{before:?}");
        log.trim(before[1]).expect("trims");
        assert_eq!(log.start(), before[1]);
        assert_eq!(log.read_from(0).next().await.expect("reads").0, before[1]);
        assert!(matches!(log.append(vec![0; RECORD_BYTES_MAX + 1]).await, Err(LogError::TooLarge(_))));
    }
}

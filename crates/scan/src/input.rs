//! Where logs lie: files, folders, archives, archives within archives.

use crate::limits::*;
use crate::read::Block;
use crate::read::sniff::{self, HEAD_BYTES, Kind};
use crate::read::split::{self, Out};
use flate2::read::MultiGzDecoder;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file to read.
#[derive(Debug, Clone)]
pub struct LogFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size, bytes.
    pub size_bytes: u64,
    /// It was named, not found in a folder: that it holds no log is worth telling.
    pub named: bool,
}

/// Lists the files below paths, folders in the order of their names. Links in folders are not followed.
///
/// # Errors
/// When a path that was named cannot be read.
pub fn files(paths: &[PathBuf], bad: &mut dyn FnMut(&Path, String)) -> io::Result<Vec<LogFile>> {
    let mut files = Vec::new();
    for path in paths {
        let meta = fs::metadata(path)
            .map_err(|error| io::Error::new(error.kind(), format!("read {}: {error}", path.display())))?;
        if meta.is_dir() {
            folder(path, 0, &mut files, bad);
        } else {
            files.push(LogFile { path: path.clone(), size_bytes: meta.len(), named: true });
        }
    }
    Ok(files)
}

fn folder(path: &Path, depth: usize, files: &mut Vec<LogFile>, bad: &mut dyn FnMut(&Path, String)) {
    if depth > FOLDER_DEPTH_MAX {
        return bad(path, format!("deeper than {FOLDER_DEPTH_MAX} folders"));
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return bad(path, error.to_string()),
    };
    let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => folder(&entry.path(), depth + 1, files, bad),
            Ok(kind) if kind.is_file() => {
                let size_bytes = entry.metadata().map_or(0, |meta| meta.len());
                files.push(LogFile { path: entry.path(), size_bytes, named: false });
            }
            Ok(_) => {}
            Err(error) => bad(&entry.path(), error.to_string()),
        }
    }
}

/// Takes what is read of the files.
pub trait Sink {
    /// Takes a block of the log called `source`. False: nobody wants more.
    fn block(&mut self, source: &Arc<str>, block: Block) -> bool;
    /// Takes note of something that could not be read.
    fn bad(&mut self, source: &str, place: String, why: String);
    /// A log begins.
    fn log(&mut self);
}

/// Reads one file, counting the bytes read in `bytes`.
pub fn read(file: &LogFile, bytes: &AtomicU64, sink: &mut dyn Sink) {
    let name = file.path.display().to_string();
    let mut opened = match File::open(&file.path) {
        Ok(opened) => opened,
        Err(error) => return sink.bad(&name, String::new(), error.to_string()),
    };
    let mut head = [0; 4];
    let zip = read_start(&mut opened, &mut head).is_ok_and(|read| sniff::kind(&head[..read]) == Kind::Zip);
    let before = bytes.load(Ordering::Relaxed);
    let mut walk = Walk { sink, stopped: false };
    if zip {
        walk.zip(&name, opened, 1);
    } else {
        let mut counted = Counted { inner: opened, bytes };
        walk.stream(&name, &mut counted, 0, file.named);
    }
    // what was left out counts as done
    bytes.store(before + file.size_bytes, Ordering::Relaxed);
}

fn read_start(file: &mut File, head: &mut [u8]) -> io::Result<usize> {
    let read = file.read(head)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(read)
}

struct Walk<'s> {
    sink: &'s mut dyn Sink,
    stopped: bool,
}

struct Named<'w, 's> {
    walk: &'w mut Walk<'s>,
    source: Arc<str>,
}

impl Out for Named<'_, '_> {
    fn block(&mut self, block: Block) -> bool {
        let more = self.walk.sink.block(&self.source, block);
        self.walk.stopped |= !more;
        more
    }
    fn bad(&mut self, place: String, why: String) {
        self.walk.sink.bad(&self.source, place, why);
    }
}

impl Walk<'_> {
    fn stream(&mut self, name: &str, input: &mut dyn Read, depth: usize, named: bool) {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        if let Err(error) = input.take(HEAD_BYTES as u64).read_to_end(&mut head) {
            self.sink.bad(name, String::new(), error.to_string());
            if head.is_empty() {
                return;
            }
        }
        let kind = sniff::kind(&head);
        let mut input = io::Cursor::new(head).chain(input);
        if depth > ARCHIVE_DEPTH_MAX {
            return self.sink.bad(name, String::new(), format!("deeper than {ARCHIVE_DEPTH_MAX} archives"));
        }
        match kind {
            Kind::Log(format) => {
                self.sink.log();
                let mut out = Named { source: Arc::from(name), walk: self };
                if let Err(error) = split::split(format, &mut input, &mut out) {
                    self.sink.bad(name, String::new(), error.to_string());
                }
            }
            Kind::Utf16(big) => {
                let mut text = Utf16 { inner: &mut input, big, pending: Vec::new(), high: None };
                self.stream(name, &mut text, depth + 1, named);
            }
            Kind::Gzip => {
                let counter = AtomicU64::new(0);
                let inner = MultiGzDecoder::new(Counted { inner: input, bytes: &counter });
                self.stream(name, &mut Bounded { inner, given: 0, taken: &counter }, depth + 1, named);
            }
            Kind::Zstd => {
                let counter = AtomicU64::new(0);
                match zstd::Decoder::new(Counted { inner: input, bytes: &counter }) {
                    Ok(inner) => self.stream(name, &mut Bounded { inner, given: 0, taken: &counter }, depth + 1, named),
                    Err(error) => self.sink.bad(name, String::new(), error.to_string()),
                }
            }
            Kind::Tar => self.tar(name, &mut input, depth + 1),
            Kind::Zip => match spool(&mut input) {
                Ok(file) => self.zip(name, file, depth + 1),
                Err(error) => self.sink.bad(name, String::new(), error.to_string()),
            },
            Kind::Empty => {}
            Kind::Unknown if named => {
                self.sink.bad(name, String::new(), "not a log or archive this program reads".to_owned());
            }
            Kind::Unknown => {}
        }
    }

    fn tar(&mut self, name: &str, input: &mut dyn Read, depth: usize) {
        let mut archive = tar::Archive::new(input);
        let entries = match archive.entries() {
            Ok(entries) => entries,
            Err(error) => return self.sink.bad(name, String::new(), error.to_string()),
        };
        for (at, entry) in entries.enumerate() {
            let mut entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.sink.bad(name, format!("file {}", at + 1), error.to_string()),
            };
            if at >= ARCHIVE_FILES_MAX {
                let why = format!("more than {ARCHIVE_FILES_MAX} files, the rest is left out");
                return self.sink.bad(name, String::new(), why);
            }
            if entry.header().entry_type().is_file() {
                let inner = format!("{name}!{}", String::from_utf8_lossy(&entry.path_bytes()));
                self.stream(&inner, &mut entry, depth, false);
            }
            if self.stopped {
                return;
            }
        }
    }

    fn zip(&mut self, name: &str, file: File, depth: usize) {
        let mut archive = match zip::ZipArchive::new(io::BufReader::new(file)) {
            Ok(archive) => archive,
            Err(error) => return self.sink.bad(name, String::new(), error.to_string()),
        };
        for at in 0..archive.len() {
            if at >= ARCHIVE_FILES_MAX {
                let why = format!("more than {ARCHIVE_FILES_MAX} files, the rest is left out");
                return self.sink.bad(name, String::new(), why);
            }
            let entry = match archive.by_index(at) {
                Ok(entry) => entry,
                Err(error) => {
                    self.sink.bad(name, format!("file {}", at + 1), error.to_string());
                    continue;
                }
            };
            // what macOS adds to archives looks like the file it stands beside
            let file = String::from_utf8_lossy(entry.name_raw()).into_owned();
            if entry.is_file() && !file.starts_with("__MACOSX/") {
                let inner = format!("{name}!{file}");
                let packed = AtomicU64::new(entry.compressed_size());
                self.stream(&inner, &mut Bounded { inner: entry, given: 0, taken: &packed }, depth, false);
            }
            if self.stopped {
                return;
            }
        }
    }
}

/// Keeps an archive that needs seeking aside, in a file without a name.
fn spool(input: &mut dyn Read) -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("hinomi-scan-{}-{number}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path)?;
    fs::remove_file(&path)?;
    let copied = io::copy(&mut input.take(SPOOL_BYTES_MAX + 1), &mut file)?;
    if copied > SPOOL_BYTES_MAX {
        return Err(io::Error::other(format!("an archive within an archive is longer than {SPOOL_BYTES_MAX} bytes")));
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// Counts what is read.
struct Counted<'c, R> {
    inner: R,
    bytes: &'c AtomicU64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl<R: io::BufRead> io::BufRead for Counted<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }
    fn consume(&mut self, amount: usize) {
        self.bytes.fetch_add(amount as u64, Ordering::Relaxed);
        self.inner.consume(amount);
    }
}

/// Ends a compressed stream that gives far more than it takes.
struct Bounded<'c, R> {
    inner: R,
    given: u64,
    taken: &'c AtomicU64,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.given += read as u64;
        let taken = self.taken.load(Ordering::Relaxed).max(1);
        if self.given > RATIO_FREE_BYTES && self.given / taken > RATIO_MAX {
            return Err(io::Error::other(format!(
                "gives more than {RATIO_MAX} times what it takes, the rest is left out"
            )));
        }
        Ok(read)
    }
}

/// UTF-16 as UTF-8; what is no character becomes U+FFFD.
struct Utf16<'r> {
    inner: &'r mut dyn Read,
    big: bool,
    pending: Vec<u8>,
    high: Option<u16>,
}

impl Read for Utf16<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.pending.is_empty() {
            let mut units = [0; 4096];
            let mut filled = 0;
            while filled < units.len() {
                match self.inner.read(&mut units[filled..])? {
                    0 => break,
                    read => filled += read,
                }
            }
            if filled == 0 {
                return Ok(0);
            }
            let unit = |pair: &[u8]| match self.big {
                true => u16::from_be_bytes([pair[0], pair[1]]),
                false => u16::from_le_bytes([pair[0], pair[1]]),
            };
            let mut words: Vec<u16> = self.high.take().into_iter().collect();
            words.extend(units[..filled].chunks_exact(2).map(unit).filter(|unit| *unit != 0xfeff));
            // half a pair waits for its other half
            if filled == units.len() {
                self.high = words.pop_if(|last| (0xd800..0xdc00).contains(last));
            }
            let text = char::decode_utf16(words).map(|decoded| decoded.unwrap_or(char::REPLACEMENT_CHARACTER));
            self.pending = text.collect::<String>().into_bytes();
        }
        let count = buffer.len().min(self.pending.len());
        buffer[..count].copy_from_slice(&self.pending[..count]);
        self.pending.drain(..count);
        Ok(count)
    }
}

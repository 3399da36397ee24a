//! Opens archives within the budget.

use super::message::{File, file, legacy_text};
use super::reason::{Limit, Reason};
use super::sniff::Shape;
use super::{NAME_CHARS_MAX, Work, tidy};
use std::io::{Cursor, Read};

/// Most entries an archive may announce before its directory is read at all.
const ENTRIES_MAX: u64 = 10_000;

/// Opens an archive and inspects its files. The reason when not all of it could be seen.
pub(super) fn open(
    work: &mut Work<'_>,
    shape: Shape,
    bytes: &[u8],
    hash: &str,
    path: &str,
    depth: usize,
) -> Result<(), Reason> {
    let container = Container { hash, path, depth };
    match shape {
        Shape::Tar => tar(work, bytes, &container),
        Shape::Gzip => gzip(work, bytes, &container),
        _ => zip(work, bytes, &container, shape == Shape::OfficeZip),
    }
}

struct Container<'c> {
    hash: &'c str,
    path: &'c str,
    depth: usize,
}

impl Container<'_> {
    fn inspect(&self, work: &mut Work<'_>, name: &str, bytes: &[u8]) {
        file(work, File { name, bytes, declared: "", parent: Some(self.hash), path: self.path }, self.depth);
    }
}

/// Remembers the first reason and how many files it and others cost.
#[derive(Default)]
struct Losses {
    count: usize,
    first: Option<Reason>,
}

impl Losses {
    fn add(&mut self, reason: impl Into<Reason>) {
        self.count += 1;
        self.first.get_or_insert_with(|| reason.into());
    }

    fn outcome(self, total: usize) -> Result<(), Reason> {
        match self.first {
            None => Ok(()),
            Some(first) if total <= 1 => Err(first),
            Some(first) => Err(Reason::Partly { lost: self.count, total, first: Box::new(first) }),
        }
    }
}

fn zip(work: &mut Work<'_>, bytes: &[u8], container: &Container<'_>, office: bool) -> Result<(), Reason> {
    match announced_entries(bytes) {
        Some(count) if count > ENTRIES_MAX => return Err(Limit::Entries(count).into()),
        Some(_) => {}
        None => return Err(Reason::Damaged("no directory".to_owned())),
    }
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| Reason::Damaged(error.to_string()))?;
    let total = archive.len();
    let mut losses = Losses::default();
    for index in 0..total {
        let entry = match archive.by_index_raw(index) {
            Ok(entry) => entry,
            Err(error) => {
                losses.add(Reason::Damaged(error.to_string()));
                continue;
            }
        };
        let name = entry_name(entry.name_raw());
        let (skip, encrypted, packed) =
            (entry.is_dir() || (office && !is_embedded(&name)), entry.encrypted(), entry.compressed_size());
        drop(entry);
        if skip {
            continue;
        }
        if encrypted {
            losses.add(Reason::Encrypted { tried: 0 });
            continue;
        }
        let unpacked = match archive.by_index(index) {
            Ok(entry) => work.budget.unpack(entry, packed),
            Err(error) => Err(Reason::Damaged(error.to_string())),
        };
        match unpacked {
            Ok(content) => container.inspect(work, &name, &content),
            Err(reason) => losses.add(reason),
        }
        if !work.budget.in_time() {
            losses.add(Limit::Time);
            break;
        }
    }
    losses.outcome(total)
}

/// Reads the number of entries from the end record (PKWARE APPNOTE 4.3.16), before any memory is
/// taken for a directory the sender wrote.
fn announced_entries(bytes: &[u8]) -> Option<u64> {
    let tail_start = bytes.len().saturating_sub(22 + 65_535);
    let at = bytes[tail_start..].windows(4).rposition(|window| window == b"PK\x05\x06")? + tail_start;
    let count = bytes.get(at + 10..at + 12)?;
    Some(u64::from(u16::from_le_bytes([count[0], count[1]])))
}

/// Parts of an Office document worth a row: embedded files, macros, not the XML around them.
fn is_embedded(name: &str) -> bool {
    let name = name.to_lowercase();
    name.contains("/embeddings/") || name.ends_with(".bin") || name.ends_with(".vbs") || name.ends_with(".exe")
}

/// Name of an entry. Archives made on Japanese Windows carry Shift_JIS without saying so.
fn entry_name(raw: &[u8]) -> String {
    let name = legacy_text(raw).unwrap_or_else(|| String::from_utf8_lossy(raw).into_owned());
    tidy(&name.replace('\\', "/"), NAME_CHARS_MAX)
}

fn tar(work: &mut Work<'_>, bytes: &[u8], container: &Container<'_>) -> Result<(), Reason> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().map_err(|error| Reason::Damaged(error.to_string()))?;
    let mut losses = Losses::default();
    let mut total = 0;
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                losses.add(Reason::Damaged(error.to_string()));
                break;
            }
        };
        total += 1;
        if total as u64 > ENTRIES_MAX || !work.budget.in_time() {
            losses.add(Limit::Entries(total as u64));
            break;
        }
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry_name(&entry.path_bytes());
        // a sparse entry claims any size: what was packed cannot be more than the archive
        match work.budget.unpack(entry, bytes.len() as u64) {
            Ok(content) => container.inspect(work, &name, &content),
            Err(reason) => losses.add(reason),
        }
    }
    losses.outcome(total)
}

fn gzip(work: &mut Work<'_>, bytes: &[u8], container: &Container<'_>) -> Result<(), Reason> {
    let decoder = flate2::read::MultiGzDecoder::new(bytes);
    let named = decoder.header().and_then(|header| header.filename()).map(entry_name);
    let content = work.budget.unpack(decoder.take(u64::MAX), bytes.len() as u64)?;
    let own = container.path.rsplit('/').next().unwrap_or_default();
    let name = named.filter(|name| !name.is_empty()).unwrap_or_else(|| match own.to_lowercase().strip_suffix(".tgz") {
        Some(_) => format!("{}.tar", own.get(..own.len() - 4).unwrap_or("content")),
        None => own.strip_suffix(".gz").unwrap_or("content").to_owned(),
    });
    container.inspect(work, &name, &content);
    Ok(())
}

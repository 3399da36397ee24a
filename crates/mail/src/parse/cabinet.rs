//! Cabinet files ([MS-CAB]). Headers are read here, so that names keep their bytes and every folder is
//! unpacked once, front to back; the `cab` crate unpacks.

use super::Work;
use super::container::{Container, Losses, entry_name};
use super::reason::{Limit, Reason};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

/// Name of the one file a rewritten folder holds.
const WHOLE: &str = "folder";

/// A file as the cabinet lists it.
struct Entry {
    name: String,
    size: u32,
    offset: u32,
}

/// Fixed part of the header.
struct Header {
    folders: u16,
    files: u16,
    files_at: usize,
}

/// Opens a cabinet.
pub(super) fn open(work: &mut Work<'_>, bytes: &[u8], container: &Container<'_>) -> Result<(), Reason> {
    let header = header(bytes).ok_or_else(|| damaged("the header is cut off"))?;
    let mut losses = Losses::default();
    let mut folders: BTreeMap<u16, Vec<Entry>> = BTreeMap::new();
    let mut rest = bytes.get(header.files_at..).unwrap_or_default();
    for _ in 0..header.files {
        if let Err(limit) = losses.see(work) {
            losses.add(limit);
            break;
        }
        let Some((folder, entry)) = entry(&mut rest) else {
            losses.add(damaged("the list of files is cut off"));
            break;
        };
        if folder < header.folders {
            folders.entry(folder).or_default().push(entry);
        } else {
            // 0xfffd to 0xffff: begins or ends in another cabinet of a set
            container.list(work, &entry.name, u64::from(entry.size), false);
            losses.add(Reason::Unsupported("part of a set of cabinets".to_owned()));
        }
    }
    for (folder, mut entries) in folders {
        if !work.budget.in_time() {
            losses.add(Limit::Time);
            break;
        }
        entries.sort_by_key(|entry| entry.offset);
        unpack(work, bytes, folder, &entries, container, &mut losses);
    }
    losses.outcome()
}

/// Unpacks one folder from front to back; a file that overlaps the one before is lost.
fn unpack(
    work: &mut Work<'_>,
    bytes: &[u8],
    folder: u16,
    entries: &[Entry],
    container: &Container<'_>,
    losses: &mut Losses,
) {
    let mut lose = |work: &mut Work<'_>, entry: &Entry, reason: Reason| {
        container.list(work, &entry.name, u64::from(entry.size), false);
        losses.add(reason);
    };
    let opened = cab::Cabinet::new(OneFile::new(bytes, folder));
    let mut cabinet = match opened {
        Ok(cabinet) => cabinet,
        Err(error) => return entries.iter().for_each(|entry| lose(work, entry, Reason::Damaged(error.to_string()))),
    };
    let mut reader = match cabinet.read_file(WHOLE) {
        Ok(reader) => reader,
        Err(error) => return entries.iter().for_each(|entry| lose(work, entry, Reason::Damaged(error.to_string()))),
    };
    let mut at = 0_u64;
    let mut broken: Option<Reason> = None;
    for entry in entries {
        let gap = u64::from(entry.offset).checked_sub(at);
        let content = match (&broken, gap) {
            (Some(reason), _) => Err(reason.clone()),
            (None, None) => Err(damaged("files overlap")),
            (None, Some(gap)) => {
                let skipped = work.budget.skip((&mut reader).take(gap));
                let content = skipped
                    .and_then(|_| work.budget.unpack((&mut reader).take(u64::from(entry.size)), bytes.len() as u64));
                content.and_then(|content| match content.len() == entry.size as usize {
                    true => Ok(content),
                    false => Err(damaged("a file is cut off")),
                })
            }
        };
        match content {
            Ok(content) => {
                at = u64::from(entry.offset) + content.len() as u64;
                container.inspect(work, &entry.name, &content);
            }
            Err(reason) => {
                if gap.is_some() {
                    // the stream stands somewhere inside: nothing behind it can be placed
                    broken.get_or_insert_with(|| reason.clone());
                }
                lose(work, entry, reason);
            }
        }
    }
}

fn header(bytes: &[u8]) -> Option<Header> {
    let word = |at: usize| bytes.get(at..at + 2).map(|two| u16::from_le_bytes([two[0], two[1]]));
    let files_at = bytes.get(16..20).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))?;
    Some(Header { folders: word(26)?, files: word(28)?, files_at: usize::try_from(files_at).ok()? })
}

/// Size, offset in the folder, folder, date, time, attributes, name to a zero byte.
fn entry(rest: &mut &[u8]) -> Option<(u16, Entry)> {
    let (fixed, after) = rest.split_at_checked(16)?;
    let end = after.iter().take(1_024).position(|byte| *byte == 0)?;
    let long = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    *rest = &after[end + 1..];
    let name = entry_name(&after[..end]);
    Some((u16::from_le_bytes([fixed[8], fixed[9]]), Entry { name, size: long(0), offset: long(4) }))
}

/// Fixed part of the header, bytes.
const HEADER_BYTES: usize = 36;

/// The cabinet as the crate sees it: its list of files, put behind the end, has one file, all of one
/// folder.
struct OneFile<'b> {
    pieces: [Vec<u8>; 2],
    bytes: &'b [u8],
    at: u64,
}

impl<'b> OneFile<'b> {
    fn new(bytes: &'b [u8], folder: u16) -> Self {
        let mut head = bytes[..HEADER_BYTES.min(bytes.len())].to_vec();
        let list_at = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        head[16..20].copy_from_slice(&list_at.to_le_bytes());
        head[28..30].copy_from_slice(&1_u16.to_le_bytes());
        // size, offset, folder, date (1 January 2022), time, attributes, name
        let mut list = u32::MAX.to_le_bytes().to_vec();
        list.extend_from_slice(&0_u32.to_le_bytes());
        list.extend_from_slice(&folder.to_le_bytes());
        list.extend_from_slice(&[0x21, 0x54, 0, 0, 0x20, 0]);
        list.extend_from_slice(WHOLE.as_bytes());
        list.push(0);
        OneFile { pieces: [head, list], bytes, at: 0 }
    }

    fn rest(&self) -> &[u8] {
        let at = usize::try_from(self.at).unwrap_or(usize::MAX);
        let [head, list] = &self.pieces;
        if at < head.len() {
            &head[at..]
        } else if at < self.bytes.len() {
            &self.bytes[at..]
        } else {
            list.get(at - self.bytes.len()..).unwrap_or_default()
        }
    }
}

impl Read for OneFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.rest().read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for OneFile<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let end = (self.bytes.len() + self.pieces[1].len()) as u64;
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => end.checked_add_signed(by),
        };
        self.at = at.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

fn damaged(what: &str) -> Reason {
    Reason::Damaged(what.to_owned())
}

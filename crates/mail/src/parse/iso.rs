//! ISO 9660 disk images (ECMA-119) with Joliet names: senders use them because files from them lose
//! the mark of the web. Images with UDF alone are not read.

use super::Work;
use super::container::{Container, Losses, entry_name};
use super::reason::{Limit, Reason};
use std::collections::{HashSet, VecDeque};

const SECTOR: usize = 2_048;
/// Where the descriptors begin, sectors.
const DESCRIPTORS: usize = 16;
/// Most descriptors looked at.
const DESCRIPTORS_MAX: usize = 64;

/// A run of bytes of the image.
#[derive(Clone, Copy)]
struct Extent {
    sector: u32,
    bytes: u32,
}

impl Extent {
    fn of(self, image: &[u8]) -> Option<&[u8]> {
        let start = usize::try_from(self.sector).ok()?.checked_mul(SECTOR)?;
        image.get(start..start.checked_add(usize::try_from(self.bytes).ok()?)?)
    }
}

/// One record of a directory.
struct Record<'i> {
    extent: Extent,
    directory: bool,
    /// The file goes on in the next record.
    continued: bool,
    name: &'i [u8],
}

/// Opens an image: every file of it is inspected.
pub(super) fn open(work: &mut Work<'_>, image: &[u8], container: &Container<'_>) -> Result<(), Reason> {
    let (root, joliet) = root(image).ok_or_else(|| Reason::Damaged("no volume descriptor".to_owned()))?;
    let mut losses = Losses::default();
    let mut visited = HashSet::from([root.sector]);
    let mut waiting = VecDeque::from([(root, String::new())]);
    while let Some((extent, folder)) = waiting.pop_front() {
        let Some(directory) = extent.of(image) else {
            losses.add(cut());
            continue;
        };
        let mut skip = false;
        for record in records(directory) {
            if let Err(limit) = losses.see(work) {
                losses.add(limit);
                return losses.outcome();
            }
            let name = format!("{folder}{}", name(record.name, joliet));
            if record.directory {
                // a directory that names itself or another one twice is read once
                if visited.insert(record.extent.sector) {
                    waiting.push_back((record.extent, format!("{name}/")));
                }
                continue;
            }
            // files over 4 GiB are cut into records: more than any mail holds
            let first_part = !std::mem::replace(&mut skip, record.continued);
            match record.extent.of(image).filter(|_| first_part && !record.continued) {
                Some(content) => match work.budget.spend(content.len() as u64) {
                    Ok(()) => container.inspect(work, &name, content),
                    Err(reason) => losses.add(reason),
                },
                None if first_part => {
                    container.list(work, &name, u64::from(record.extent.bytes), false);
                    losses.add(if record.continued { Limit::Size.into() } else { cut() });
                }
                None => {}
            }
        }
    }
    losses.outcome()
}

fn cut() -> Reason {
    Reason::Damaged("the image is cut off".to_owned())
}

/// The root directory, of the Joliet descriptor when there is one.
fn root(image: &[u8]) -> Option<(Extent, bool)> {
    let mut plain = None;
    for number in 0..DESCRIPTORS_MAX {
        let start = (DESCRIPTORS + number) * SECTOR;
        let Some(descriptor) = image.get(start..start + SECTOR) else { break };
        if &descriptor[1..6] != b"CD001" {
            break;
        }
        match descriptor[0] {
            1 if plain.is_none() => plain = record(&descriptor[156..]).map(|record| (record.extent, false)),
            // escape sequences of UCS-2 levels 1 to 3
            2 if matches!(&descriptor[88..91], b"%/@" | b"%/C" | b"%/E") => {
                if let Some(record) = record(&descriptor[156..]) {
                    return Some((record.extent, true));
                }
            }
            255 => break,
            _ => {}
        }
    }
    plain
}

/// The records of a directory, without itself and its parent.
fn records(directory: &[u8]) -> impl Iterator<Item = Record<'_>> {
    directory.chunks(SECTOR).flat_map(|mut sector| {
        std::iter::from_fn(move || {
            let found = record(sector)?;
            sector = &sector[usize::from(sector[0])..];
            Some(found)
        })
        .filter(|record| !matches!(record.name, [0] | [1]))
    })
}

fn record(bytes: &[u8]) -> Option<Record<'_>> {
    let length = usize::from(*bytes.first()?);
    let bytes = bytes.get(..length).filter(|bytes| bytes.len() > 33)?;
    let long = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let name = bytes.get(33..33 + usize::from(bytes[32]))?;
    // an extended attribute record of so many sectors stands before the content
    let extent = Extent { sector: long(2).saturating_add(u32::from(bytes[1])), bytes: long(10) };
    Some(Record { extent, directory: bytes[25] & 2 != 0, continued: bytes[25] & 0x80 != 0, name })
}

fn name(raw: &[u8], joliet: bool) -> String {
    let name = match joliet {
        true => encoding_rs::UTF_16BE.decode_without_bom_handling(raw).0.into_owned(),
        false => entry_name(raw),
    };
    // version number and the dot of names without extension
    let name = name.rsplit_once(';').map_or(name.as_str(), |(name, _)| name);
    name.trim_end_matches('.').to_owned()
}

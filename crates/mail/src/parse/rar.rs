//! RAR 4 and 5, headers only: there is no free unpacker. Names, sizes and the encrypted flag are
//! listed; files that are merely stored are taken out. Structure after RARLAB's published technical
//! notes ("RAR 5.0 archive format") and, for RAR 4, the notes that come with UnRAR.

use super::Work;
use super::container::{Container, Losses, entry_name};
use super::reason::Reason;

const MARK_4: &[u8] = b"Rar!\x1a\x07\x00";
const MARK_5: &[u8] = b"Rar!\x1a\x07\x01\x00";

/// An entry as its header tells it.
struct Entry<'r> {
    name: String,
    size: u64,
    encrypted: bool,
    directory: bool,
    /// The content, when it is neither compressed nor encrypted nor cut over volumes.
    stored: Option<&'r [u8]>,
}

/// Lists an archive.
pub(super) fn open(work: &mut Work<'_>, bytes: &[u8], container: &Container<'_>) -> Result<(), Reason> {
    if let Some(rest) = bytes.strip_prefix(MARK_5) {
        read(work, container, Headers5 { rest })
    } else if let Some(rest) = bytes.strip_prefix(MARK_4) {
        read(work, container, Headers4 { rest })
    } else {
        Err(Reason::Unsupported("RAR before version 4 or after 5".to_owned()))
    }
}

fn read<'r>(
    work: &mut Work<'_>,
    container: &Container<'_>,
    headers: impl Iterator<Item = Result<Entry<'r>, Reason>>,
) -> Result<(), Reason> {
    let mut losses = Losses::default();
    for entry in headers {
        if let Err(limit) = losses.see(work) {
            losses.add(limit);
            break;
        }
        match entry {
            Ok(entry) if entry.directory => {}
            Ok(Entry { name, size, stored: Some(content), .. }) => match work.budget.spend(size) {
                Ok(()) => container.inspect(work, &name, content),
                Err(reason) => losses.add(reason),
            },
            Ok(entry) => {
                container.list(work, &entry.name, entry.size, entry.encrypted);
                losses.add(match entry.encrypted {
                    true => Reason::Encrypted { tried: 0 },
                    false => Reason::Unsupported("RAR compression".to_owned()),
                });
            }
            Err(reason) => losses.add(reason),
        }
    }
    losses.outcome()
}

fn cut() -> Reason {
    Reason::Damaged("RAR header is cut off".to_owned())
}

/// Headers of version 4.
struct Headers4<'r> {
    rest: &'r [u8],
}

impl<'r> Headers4<'r> {
    /// The next file header; `None` at the end.
    fn step(&mut self) -> Result<Option<Entry<'r>>, Reason> {
        loop {
            let block = self.rest;
            let Some(head) = block.get(..7) else {
                return if block.is_empty() { Ok(None) } else { Err(cut()) };
            };
            let word = |at: usize| block.get(at..at + 2).map(|two| u16::from_le_bytes([two[0], two[1]]));
            let long = |at: usize| {
                block.get(at..at + 4).map(|four| u64::from(u32::from_le_bytes([four[0], four[1], four[2], four[3]])))
            };
            let (kind, flags) = (head[2], u16::from_le_bytes([head[3], head[4]]));
            let size = usize::from(u16::from_le_bytes([head[5], head[6]]));
            let header = block.get(..size).filter(|_| size >= 7).ok_or_else(cut)?;
            let is_file = kind == 0x74;
            let mut packed = if flags & 0x8000 != 0 || is_file { long(7).ok_or_else(cut)? } else { 0 };
            if is_file && flags & 0x100 != 0 {
                packed |= long(32).ok_or_else(cut)? << 32;
            }
            let end = usize::try_from(packed).ok().and_then(|packed| size.checked_add(packed));
            let content = end.and_then(|end| block.get(size..end));
            self.rest = end.and_then(|end| block.get(end..)).unwrap_or_default();
            match kind {
                // main header: 0x80 says that all further headers are encrypted
                0x73 if flags & 0x80 != 0 => {
                    self.rest = b"";
                    return Err(Reason::Encrypted { tried: 0 });
                }
                0x74 => {
                    let (Some(low), Some(name_bytes)) = (long(11), word(26)) else { return Err(cut()) };
                    let mut unpacked = low;
                    let mut name_at = 32;
                    if flags & 0x100 != 0 {
                        unpacked |= long(36).ok_or_else(cut)? << 32;
                        name_at = 40;
                    }
                    let name = header.get(name_at..name_at + usize::from(name_bytes)).ok_or_else(cut)?;
                    let name = if flags & 0x200 != 0 { unicode_name(name) } else { entry_name(name) };
                    let encrypted = flags & 0x04 != 0;
                    let whole = flags & 0x03 == 0 && header.get(25) == Some(&0x30) && packed == unpacked && !encrypted;
                    return Ok(Some(Entry {
                        name,
                        size: unpacked,
                        encrypted,
                        directory: flags & 0xe0 == 0xe0,
                        stored: content.filter(|_| whole),
                    }));
                }
                0x7b => return Ok(None),
                _ => {}
            }
        }
    }
}

impl<'r> Iterator for Headers4<'r> {
    type Item = Result<Entry<'r>, Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        ended_by_damage(step, &mut self.rest)
    }
}

/// What a step gave; nothing is read behind damage.
fn ended_by_damage<'r>(
    step: Result<Option<Entry<'r>>, Reason>,
    rest: &mut &'r [u8],
) -> Option<Result<Entry<'r>, Reason>> {
    if step.is_err() {
        *rest = b"";
    }
    step.transpose()
}

/// RAR 4 packs a Unicode name behind the plain one: two-bit commands choose between a low byte, a low
/// byte with the common high byte, a whole unit, and a run copied from the plain name.
fn unicode_name(raw: &[u8]) -> String {
    let Some(zero) = raw.iter().position(|byte| *byte == 0) else {
        return entry_name(raw);
    };
    let (plain, mut packed) = (&raw[..zero], raw[zero + 1..].iter().copied());
    let Some(high) = packed.next().map(|high| u16::from(high) << 8) else { return entry_name(plain) };
    let mut units: Vec<u16> = Vec::new();
    'commands: while let Some(mut commands) = packed.next() {
        for _ in 0..4 {
            let command = commands >> 6;
            commands <<= 2;
            let Some(byte) = packed.next() else { break 'commands };
            match command {
                0 => units.push(u16::from(byte)),
                1 => units.push(u16::from(byte) | high),
                2 => units.push(u16::from(byte) | packed.next().map_or(0, |upper| u16::from(upper) << 8)),
                _ => {
                    let correction = (byte & 0x80 != 0).then(|| packed.next().unwrap_or_default());
                    for _ in 0..(byte & 0x7f) + 2 {
                        let from = plain.get(units.len()).copied().unwrap_or(b'_');
                        units.push(match correction {
                            Some(correction) => u16::from(from.wrapping_add(correction)) | high,
                            None => u16::from(from),
                        });
                    }
                }
            }
        }
    }
    String::from_utf16_lossy(&units)
}

/// Headers of version 5.
struct Headers5<'r> {
    rest: &'r [u8],
}

impl<'r> Headers5<'r> {
    fn step(&mut self) -> Result<Option<Entry<'r>>, Reason> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let mut block = Fields(self.rest.get(4..).ok_or_else(cut)?);
            let size = block.length()?;
            let header = block.take(size)?;
            let mut fields = Fields(header);
            let (kind, flags) = (fields.number()?, fields.number()?);
            let extra_bytes = if flags & 1 != 0 { fields.length()? } else { 0 };
            let data_bytes = if flags & 2 != 0 { fields.number()? } else { 0 };
            let content = usize::try_from(data_bytes).ok().and_then(|bytes| block.0.split_at_checked(bytes));
            self.rest = content.map_or(&b""[..], |(_, after)| after);
            match kind {
                2 => {
                    let whole = flags & 0x18 == 0;
                    let content = content.map(|(content, _)| content).filter(|_| whole);
                    return Fields::entry(fields, header, extra_bytes, content).map(Some);
                }
                4 => {
                    self.rest = b"";
                    return Err(Reason::Encrypted { tried: 0 });
                }
                5 => return Ok(None),
                _ => {}
            }
        }
    }
}

impl<'r> Iterator for Headers5<'r> {
    type Item = Result<Entry<'r>, Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        ended_by_damage(step, &mut self.rest)
    }
}

/// Fields of a version 5 header.
struct Fields<'r>(&'r [u8]);

impl<'r> Fields<'r> {
    /// A number in groups of seven bits, lowest first.
    fn number(&mut self) -> Result<u64, Reason> {
        let mut number = 0;
        for (index, byte) in self.0.iter().take(10).enumerate() {
            number |= u64::from(byte & 0x7f).checked_shl(index as u32 * 7).unwrap_or_default();
            if byte & 0x80 == 0 {
                self.0 = &self.0[index + 1..];
                return Ok(number);
            }
        }
        Err(cut())
    }

    fn length(&mut self) -> Result<usize, Reason> {
        usize::try_from(self.number()?).map_err(|_| cut())
    }

    fn take(&mut self, count: usize) -> Result<&'r [u8], Reason> {
        let (head, tail) = self.0.split_at_checked(count).ok_or_else(cut)?;
        self.0 = tail;
        Ok(head)
    }

    fn entry(mut self, header: &[u8], extra_bytes: usize, content: Option<&'r [u8]>) -> Result<Entry<'r>, Reason> {
        let flags = self.number()?;
        let size = self.number()?;
        self.number()?; // attributes
        self.take(if flags & 2 != 0 { 4 } else { 0 })?; // time
        self.take(if flags & 4 != 0 { 4 } else { 0 })?; // checksum
        let method = self.number()? >> 7 & 7;
        self.number()?; // system
        let name_bytes = self.length()?;
        let name = entry_name(self.take(name_bytes)?);
        let extra = header.len().checked_sub(extra_bytes).and_then(|at| header.get(at..)).unwrap_or_default();
        let encrypted = has_encryption_record(extra);
        let stored = method == 0 && !encrypted;
        let content = content.filter(|content| stored && content.len() as u64 == size);
        Ok(Entry { name, size, encrypted, directory: flags & 1 != 0, stored: content })
    }
}

/// Looks for the file encryption record (type 1) in the extra area.
fn has_encryption_record(extra: &[u8]) -> bool {
    let mut records = Fields(extra);
    while let Ok(size) = records.length() {
        let Ok(record) = records.take(size) else { return false };
        if Fields(record).number() == Ok(1) {
            return true;
        }
    }
    false
}

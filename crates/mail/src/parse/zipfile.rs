//! ZIP archives and Office documents in their form.

use super::Work;
use super::container::{Container, ENTRIES_MAX, Losses, entry_name};
use super::reason::{Limit, Reason};
use super::url::Location;
use std::io::Cursor;
use zip::ZipArchive;
use zip::result::ZipError;

/// Encrypted entries on which every password is tried before the archive counts as closed.
const ENTRIES_TRIED_MAX: usize = 2;

/// Opens an archive. Of an Office document only embedded files and macros are inspected, and its
/// links read.
pub(super) fn open(work: &mut Work<'_>, bytes: &[u8], container: &Container<'_>, office: bool) -> Result<(), Reason> {
    match announced_entries(bytes) {
        Some(count) if count > ENTRIES_MAX => return Err(Limit::Entries(count).into()),
        Some(_) => {}
        None => return Err(Reason::Damaged("no directory".to_owned())),
    }
    let mut archive = Archive {
        zip: ZipArchive::new(Cursor::new(bytes)).map_err(reason)?,
        password: None,
        tried: 0,
        entries_tried: 0,
    };
    let mut losses = Losses::default();
    for index in 0..archive.zip.len() {
        if let Err(limit) = losses.see(work) {
            losses.add(limit);
            break;
        }
        let entry = match archive.zip.by_index_raw(index) {
            Ok(entry) => entry,
            Err(error) => {
                losses.add(reason(error));
                continue;
            }
        };
        let (name, size) = (entry_name(entry.name_raw()), entry.size());
        let (packed, encrypted, directory) = (entry.compressed_size(), entry.encrypted(), entry.is_dir());
        drop(entry);
        let links = office && has_links(&name);
        if directory || (office && !links && !is_embedded(&name)) {
            continue;
        }
        match archive.unpack(work, index, packed, encrypted) {
            Ok(content) if links => drop(work.urls_in_html(&String::from_utf8_lossy(&content), Location::Attachment)),
            Ok(content) => container.inspect(work, &name, &content),
            Err(reason) => {
                container.list(work, &name, size, encrypted);
                losses.add(reason);
            }
        }
    }
    if archive.password.is_some() {
        container.opened_with_password(work);
    }
    losses.outcome()
}

struct Archive<'b> {
    zip: ZipArchive<Cursor<&'b [u8]>>,
    /// The one that opened an entry.
    password: Option<Vec<u8>>,
    /// Passwords tried.
    tried: usize,
    entries_tried: usize,
}

impl Archive<'_> {
    fn unpack(&mut self, work: &mut Work<'_>, index: usize, packed: u64, encrypted: bool) -> Result<Vec<u8>, Reason> {
        if !encrypted {
            let entry = self.zip.by_index(index).map_err(reason)?;
            return work.budget.unpack(entry, packed);
        }
        if let Some(password) = &self.password {
            let entry = self.zip.by_index_decrypt(index, password).map_err(reason)?;
            return work.budget.unpack(entry, packed);
        }
        let closed = |tried: usize| Reason::Encrypted { tried };
        if self.entries_tried >= ENTRIES_TRIED_MAX {
            return Err(closed(self.tried));
        }
        self.entries_tried += 1;
        let passwords = work.passwords().to_vec();
        self.tried = passwords.len();
        for password in passwords.iter().flat_map(|password| encodings(password)) {
            if !work.budget.in_time() {
                return Err(Limit::Time.into());
            }
            let unpacked = match self.zip.by_index_decrypt(index, &password) {
                Ok(entry) => work.budget.unpack(entry, packed),
                Err(ZipError::InvalidPassword) => continue,
                Err(error) => return Err(reason(error)),
            };
            match unpacked {
                // the check before the content has one or two bytes: a wrong password can pass it,
                // and then the content is damaged
                Err(Reason::Damaged(_)) => {}
                result => {
                    self.password = Some(password);
                    return result;
                }
            }
        }
        Err(closed(self.tried))
    }
}

/// Bytes of a password as programs make them: UTF-8, and Shift_JIS on Japanese Windows.
fn encodings(password: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![password.as_bytes().to_vec()];
    if !password.is_ascii() {
        forms.push(encoding_rs::SHIFT_JIS.encode(password).0.into_owned());
    }
    forms
}

fn reason(error: ZipError) -> Reason {
    match error {
        ZipError::CompressionMethodNotSupported(method) => Reason::Unsupported(format!("ZIP method {method}")),
        ZipError::UnsupportedArchive(what) => Reason::Unsupported(format!("ZIP: {what}")),
        ZipError::InvalidPassword => Reason::Encrypted { tried: 1 },
        other => Reason::Damaged(other.to_string()),
    }
}

/// Reads the number of entries from the end record (PKWARE APPNOTE 4.3.16), before any memory is
/// taken for a directory the sender wrote.
pub(super) fn announced_entries(bytes: &[u8]) -> Option<u64> {
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

/// Parts of an Office document that state addresses: relationships (external targets) and text.
fn has_links(name: &str) -> bool {
    let name = name.to_lowercase();
    let text = ["word/document.xml", "word/footnotes.xml", "word/endnotes.xml", "xl/sharedstrings.xml"];
    name.ends_with(".rels")
        || text.contains(&name.as_str())
        || (name.starts_with("ppt/slides/slide") && name.ends_with(".xml"))
}

//! Documents as far as parsing goes: whether they are encrypted, and the addresses a PDF states
//! openly. What documents do is for the rules to say.

use super::Work;
use super::reason::Reason;
use super::url::Location;

/// Longest string read of a PDF, bytes.
const LITERAL_BYTES_MAX: usize = 4_096;
/// Most link actions read of one PDF.
const PDF_LINKS_MAX: usize = 1_000;

/// Names of streams, in UTF-16, that encrypted Office documents have: the package of the newer formats
/// and the summary of PowerPoint ([MS-OFFCRYPTO] 2.3.4.4, 2.3.5.4).
const ENCRYPTED_STREAMS: &[&[u8]] =
    &[b"E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0", b"E\0n\0c\0r\0y\0p\0t\0e\0d\0S\0u\0m\0m\0a\0r\0y\0"];
/// Streams begin at sectors of this size.
const OLE_SECTOR: usize = 512;

/// An OLE document: "encrypted" when it has a stream only such documents have, or when the first
/// sector of its text says so; "unsupported" for what else holds files.
pub(super) fn ole(bytes: &[u8]) -> Result<(), Reason> {
    let named = ENCRYPTED_STREAMS.iter().any(|name| contains(bytes, name));
    let flagged = bytes.chunks(OLE_SECTOR).any(|sector| is_encrypted_word(sector) || is_encrypted_excel(sector));
    if named || flagged {
        return Err(Reason::Encrypted { tried: 0 });
    }
    // a saved Outlook message: its attachments lie in storages nobody here reads
    if contains(bytes, b"_\0_\0s\0u\0b\0s\0t\0g\x001\0.\x000\0") {
        return Err(Reason::Unsupported("Outlook message (.msg)".to_owned()));
    }
    Ok(())
}

/// The file information block and its flag fEncrypted ([MS-DOC] 2.5.2).
fn is_encrypted_word(sector: &[u8]) -> bool {
    sector.starts_with(b"\xec\xa5") && sector.get(11).is_some_and(|flags| flags & 1 != 0)
}

/// A workbook whose second record is FilePass ([MS-XLS] 2.4.117).
fn is_encrypted_excel(sector: &[u8]) -> bool {
    let Some([0x09, 0x08, length, 0]) = sector.get(..4) else { return false };
    sector.get(4 + usize::from(*length)..).is_some_and(|next| next.starts_with(b"\x2f\0"))
}

/// A PDF: its `/URI (…)` actions; "encrypted" when its trailer says so.
pub(super) fn pdf(work: &mut Work<'_>, bytes: &[u8]) -> Result<(), Reason> {
    let mut rest = bytes;
    for _ in 0..PDF_LINKS_MAX {
        let Some(at) = find(rest, b"/URI") else { break };
        rest = &rest[at + 4..];
        if let Some(text) = rest.trim_ascii_start().strip_prefix(b"(") {
            work.add_url(&literal(text), Location::Attachment);
        }
    }
    if contains(bytes, b"/Encrypt ") || contains(bytes, b"/Encrypt\n") || contains(bytes, b"/Encrypt\r") {
        return Err(Reason::Encrypted { tried: 0 });
    }
    Ok(())
}

/// A literal string (ISO 32000-1, 7.3.4.2) up to its closing parenthesis; escapes are taken as the
/// character they protect, which is all that addresses need.
fn literal(text: &[u8]) -> String {
    let (mut out, mut open) = (Vec::new(), 0);
    let mut rest = text.iter().take(LITERAL_BYTES_MAX);
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' => out.extend(rest.next()),
            b')' if open == 0 => return String::from_utf8_lossy(&out).into_owned(),
            byte => {
                open += match byte {
                    b'(' => 1,
                    b')' => -1,
                    _ => 0,
                };
                out.push(*byte);
            }
        }
    }
    String::new()
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    find(bytes, what).is_some()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

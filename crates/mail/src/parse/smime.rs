//! S/MIME: takes the message out of an opaque-signed or compressed envelope (RFC 8551, RFC 5652,
//! RFC 3274). Signatures are not checked and nothing is decrypted.
//!
//! The BER reader knows tags below 31, definite and indefinite lengths and nothing else: that is all
//! the envelope needs.

use super::Work;
use super::reason::{Limit, Reason};

const SIGNED: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const ENVELOPED: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03";
const ENCRYPTED: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06";
const COMPRESSED: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09";
const AUTH_ENVELOPED: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17";
/// Beginning of the object identifiers above.
const PKCS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01";

/// Tags: class and number as in the first octet, without the "constructed" bit.
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x10;
const SET: u8 = 0x11;
const CONTEXT_0: u8 = 0x80;
const CONSTRUCTED: u8 = 0x20;

/// Levels of values inside each other; a signed message in its usual form needs six.
const DEPTH_MAX: usize = 24;
/// Pieces of one constructed octet string; streams are written in pieces of about 1,000 bytes.
const PIECES_MAX: usize = 100_000;

/// What an envelope holds.
pub(super) enum Envelope {
    /// The signed or unpacked MIME entity.
    Content(Vec<u8>),
    /// Certificates or a detached signature: nothing to look into.
    Nothing,
}

/// True when the bytes begin like a CMS content info (not a PKCS #12 store, which begins with a
/// version).
pub(super) fn is_cms(bytes: &[u8]) -> bool {
    let mut reader = Ber(bytes);
    let Some(outer) = reader.value(0).filter(|value| value.tag == SEQUENCE) else { return false };
    Ber(outer.content).value(0).is_some_and(|id| id.tag == OBJECT_ID && id.content.starts_with(PKCS))
}

/// Opens an envelope.
///
/// # Errors
/// "encrypted" for what only the recipient can read, otherwise what is wrong with it.
pub(super) fn open(work: &mut Work<'_>, bytes: &[u8]) -> Result<Envelope, Reason> {
    let outer = Ber(bytes).expect(SEQUENCE, 0)?;
    let mut info = Ber(outer.content);
    let kind = info.expect(OBJECT_ID, 1)?.content;
    match kind {
        ENVELOPED | AUTH_ENVELOPED | ENCRYPTED => return Err(Reason::Encrypted { tried: 0 }),
        SIGNED | COMPRESSED => {}
        _ => return Err(Reason::Unsupported("CMS content type".to_owned())),
    }
    let content = info.expect(CONTEXT_0, 1)?;
    let body = Ber(content.content).expect(SEQUENCE, 2)?;
    let mut fields = Ber(body.content);
    fields.value(3).ok_or_else(cut)?; // version
    fields.expect(if kind == SIGNED { SET } else { SEQUENCE }, 3)?; // algorithms
    let inner = fields.expect(SEQUENCE, 3)?;
    let mut inner = Ber(inner.content);
    inner.expect(OBJECT_ID, 4)?;
    let Some(explicit) = inner.value(4).filter(|value| value.tag == CONTEXT_0) else { return Ok(Envelope::Nothing) };
    let octets = Ber(explicit.content).expect(OCTET_STRING, 5)?;
    let mut packed = Vec::new();
    octets.collect(&mut packed, &mut 0, 6)?;
    if !work.budget.in_time() {
        return Err(Limit::Time.into());
    }
    if kind == SIGNED {
        return Ok(Envelope::Content(packed));
    }
    let length = packed.len() as u64;
    work.budget.unpack(flate2::read::ZlibDecoder::new(packed.as_slice()), length).map(Envelope::Content)
}

fn cut() -> Reason {
    Reason::Damaged("S/MIME structure is cut off".to_owned())
}

/// One value.
struct Value<'b> {
    /// Without the constructed bit.
    tag: u8,
    constructed: bool,
    content: &'b [u8],
}

impl Value<'_> {
    /// Joins the pieces of an octet string.
    fn collect(&self, out: &mut Vec<u8>, pieces: &mut usize, depth: usize) -> Result<(), Reason> {
        *pieces += 1;
        if depth > DEPTH_MAX || *pieces > PIECES_MAX {
            return Err(Limit::Depth(DEPTH_MAX).into());
        }
        if !self.constructed {
            out.extend_from_slice(self.content);
            return Ok(());
        }
        let mut rest = Ber(self.content);
        while !rest.0.is_empty() {
            rest.expect(OCTET_STRING, depth)?.collect(out, pieces, depth + 1)?;
        }
        Ok(())
    }
}

/// Values one after another.
struct Ber<'b>(&'b [u8]);

impl<'b> Ber<'b> {
    fn expect(&mut self, tag: u8, depth: usize) -> Result<Value<'b>, Reason> {
        let value = self.value(depth).ok_or_else(cut)?;
        if value.tag != tag {
            return Err(Reason::Damaged(format!("S/MIME structure: tag {:#04x} where {tag:#04x} belongs", value.tag)));
        }
        Ok(value)
    }

    /// Takes the next value. A definite length that runs past the end is cut to what is there: mail
    /// that was cut off still shows its beginning.
    fn value(&mut self, depth: usize) -> Option<Value<'b>> {
        let (&first, rest) = self.0.split_first()?;
        if first & 0x1f == 0x1f || depth > DEPTH_MAX {
            return None;
        }
        let (&length, rest) = rest.split_first()?;
        let constructed = first & CONSTRUCTED != 0;
        let (content, rest) = match length {
            0x80 if constructed => {
                let end = indefinite_end(rest)?;
                (&rest[..end], rest.get(end + 2..).unwrap_or_default())
            }
            0..0x80 => split(rest, usize::from(length)),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
                split(rest, digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)))
            }
            _ => return None,
        };
        self.0 = rest;
        Some(Value { tag: first & !CONSTRUCTED, constructed, content })
    }
}

fn split(rest: &[u8], length: usize) -> (&[u8], &[u8]) {
    rest.split_at(length.min(rest.len()))
}

/// Where the end marker of an indefinite value stands, or the end when it was cut off. One pass
/// without recursion: headers inside are walked, a counter holds the open ones.
fn indefinite_end(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut open) = (0, 1_usize);
    while at + 1 < bytes.len() {
        let (first, length) = (bytes[at], bytes[at + 1]);
        if first == 0 && length == 0 {
            open -= 1;
            if open == 0 {
                return Some(at);
            }
            at += 2;
            continue;
        }
        if first & 0x1f == 0x1f {
            return None;
        }
        at += 2;
        match length {
            0x80 if first & CONSTRUCTED != 0 => {
                open += 1;
                if open > DEPTH_MAX {
                    return None;
                }
            }
            0..0x80 => at = at.saturating_add(usize::from(length)),
            0x81..=0x84 => {
                let digits = bytes.get(at..at + usize::from(length & 0x7f))?;
                let length = digits.iter().fold(0_usize, |sum, digit| sum << 8 | usize::from(*digit));
                at = at.saturating_add(digits.len()).saturating_add(length);
            }
            _ => return None,
        }
    }
    Some(bytes.len())
}

//! TNEF (`winmail.dat`): what Outlook wraps attachments and formatted text in when it believes the
//! other side is Outlook too. Reader of our own after the structure in [MS-OXTNEF] and the property
//! types of [MS-OXCDATA] 2.11.1.

use super::charset;
use super::container::{Container, ENTRIES_MAX};
use super::reason::{Limit, Reason};
use super::{Work, rtf};

const SIGNATURE: u32 = 0x223e_9f78;

// attributes ([MS-OXTNEF] 2.1.3.2): type in the upper half, id in the lower
const ATTACH_REND_DATA: u32 = 0x0006_9002;
const ATTACH_TITLE: u32 = 0x0001_8010;
const ATTACH_DATA: u32 = 0x0006_800f;
const ATTACH_PROPERTIES: u32 = 0x0006_9005;
const MESSAGE_PROPERTIES: u32 = 0x0006_9003;
const MESSAGE_BODY: u32 = 0x0002_800c;
const OEM_CODEPAGE: u32 = 0x0006_9007;

// properties ([MS-OXPROPS])
const ATTACH_LONG_FILENAME: u16 = 0x3707;
const ATTACH_FILENAME: u16 = 0x3704;
const DISPLAY_NAME: u16 = 0x3001;
const ATTACH_DATA_PROPERTY: u16 = 0x3701;
const BODY: u16 = 0x1000;
const BODY_HTML: u16 = 0x1013;
const RTF_COMPRESSED: u16 = 0x1009;

/// Most properties of one message or attachment; programs write a few dozen.
const PROPERTIES_MAX: u32 = 4_096;
/// Bytes of the interface id before an embedded message.
const INTERFACE_ID_BYTES: usize = 16;

/// An attachment while its attributes come in.
#[derive(Default)]
struct Part<'t> {
    title: String,
    long_name: String,
    data: &'t [u8],
    embedded: Option<&'t [u8]>,
}

/// Opens a TNEF stream: each attachment and each form of the text becomes a file.
pub(super) fn open(work: &mut Work<'_>, bytes: &[u8], container: &Container<'_>) -> Result<(), Reason> {
    let mut rest = Bytes(bytes);
    if rest.u32() != Some(SIGNATURE) || rest.take(2).is_none() {
        return Err(damaged("no TNEF signature"));
    }
    let mut label = String::new();
    let mut part: Option<Part<'_>> = None;
    let mut count = 0;
    while !rest.0.is_empty() {
        count += 1;
        if count > ENTRIES_MAX {
            return Err(Limit::Entries(count).into());
        }
        if !work.budget.in_time() {
            return Err(Limit::Time.into());
        }
        let Some((attribute, data)) = rest.attribute() else {
            finish(work, container, part);
            return Err(damaged("an attribute is cut off"));
        };
        match attribute {
            OEM_CODEPAGE => label = codepage(Bytes(data).u32().unwrap_or_default()),
            ATTACH_REND_DATA => finish(work, container, part.replace(Part::default())),
            ATTACH_TITLE => part.get_or_insert_default().title = string8(data, &label),
            ATTACH_DATA => part.get_or_insert_default().data = data,
            ATTACH_PROPERTIES => attachment(part.get_or_insert_default(), data, &label),
            MESSAGE_BODY => container.inspect(work, "body.txt", string8(data, &label).as_bytes()),
            MESSAGE_PROPERTIES => texts(work, container, data, &label),
            _ => {}
        }
    }
    finish(work, container, part);
    Ok(())
}

fn finish(work: &mut Work<'_>, container: &Container<'_>, part: Option<Part<'_>>) {
    let Some(part) = part else { return };
    let name = [part.long_name, part.title].into_iter().find(|name| !name.is_empty());
    match (part.embedded, name) {
        (Some(message), name) => {
            let name = format!("{}.tnef", name.as_deref().unwrap_or("message"));
            container.inspect(work, &name, message);
        }
        // begun and cut off
        (None, None) if part.data.is_empty() => {}
        (None, name) => container.inspect(work, name.as_deref().unwrap_or("attachment"), part.data),
    }
}

fn attachment<'t>(part: &mut Part<'t>, data: &'t [u8], label: &str) {
    each_property(data, |id, value| match (id, value) {
        (ATTACH_LONG_FILENAME, value) => part.long_name = value.text(label),
        (ATTACH_FILENAME | DISPLAY_NAME, value) if part.title.is_empty() => part.title = value.text(label),
        (ATTACH_DATA_PROPERTY, Value::Object(bytes)) => {
            let content = bytes.get(INTERFACE_ID_BYTES..).unwrap_or_default();
            if Bytes(content).u32() == Some(SIGNATURE) {
                part.embedded = Some(content);
            } else {
                part.data = content;
            }
        }
        (ATTACH_DATA_PROPERTY, Value::Binary(bytes)) => part.data = bytes,
        _ => {}
    });
}

fn texts(work: &mut Work<'_>, container: &Container<'_>, data: &[u8], label: &str) {
    let mut found: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut broken = None;
    let room = work.limits.file_bytes_max;
    each_property(data, |id, value| match (id, value) {
        (BODY, value) => found.push(("body.txt", value.text(label).into_bytes())),
        (BODY_HTML, Value::Binary(bytes)) => found.push(("body.html", bytes.to_vec())),
        (BODY_HTML, value) => found.push(("body.html", value.text(label).into_bytes())),
        (RTF_COMPRESSED, Value::Binary(bytes)) => match rtf::decompress(bytes, room) {
            Ok(text) => found.push(("body.rtf", text)),
            Err(reason) => broken = Some(reason),
        },
        _ => {}
    });
    for (name, bytes) in found {
        match work.budget.spend(bytes.len() as u64) {
            Ok(()) => container.inspect(work, name, &bytes),
            Err(reason) => broken = Some(reason),
        }
    }
    if let Some(reason) = broken {
        work.note(&format!("{}/body.rtf", container.path), reason);
    }
}

/// A property's value, as far as it matters here.
enum Value<'t> {
    String8(&'t [u8]),
    Unicode(&'t [u8]),
    Binary(&'t [u8]),
    Object(&'t [u8]),
    Number,
}

impl Value<'_> {
    fn text(&self, label: &str) -> String {
        match self {
            Value::String8(bytes) => string8(bytes, label),
            Value::Unicode(bytes) => {
                encoding_rs::UTF_16LE.decode_without_bom_handling(bytes).0.trim_end_matches('\0').to_owned()
            }
            _ => String::new(),
        }
    }
}

fn string8(bytes: &[u8], label: &str) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    charset::decode(&bytes[..end], label)
}

/// Name of a Windows code page for the decoder.
fn codepage(number: u32) -> String {
    match number {
        932 => "shift_jis".to_owned(),
        51932 | 20932 => "euc-jp".to_owned(),
        50220..=50222 => "iso-2022-jp".to_owned(),
        65001 => "utf-8".to_owned(),
        936 => "gbk".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        1250..=1258 => format!("windows-{number}"),
        _ => String::new(),
    }
}

/// Calls `each` with every property that can be read; stops at the first that cannot.
fn each_property<'t>(data: &'t [u8], mut each: impl FnMut(u16, Value<'t>)) {
    let mut rest = Bytes(data);
    let count = rest.u32().unwrap_or_default().min(PROPERTIES_MAX);
    for _ in 0..count {
        let Some((id, value)) = rest.property() else { return };
        each(id, value);
    }
}

/// Bytes being read; every reader takes from the front and answers `None` when there is too little.
struct Bytes<'t>(&'t [u8]);

impl<'t> Bytes<'t> {
    fn take(&mut self, count: usize) -> Option<&'t [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Level, id, length, data, checksum (not checked: programs do not either).
    fn attribute(&mut self) -> Option<(u32, &'t [u8])> {
        self.take(1)?;
        let id = self.u32()?;
        let length = self.u32()? as usize;
        let data = self.take(length)?;
        // the last checksum is missing in some files
        let _ = self.take(2);
        Some((id, data))
    }

    /// Data of a variable length, padded to four bytes.
    fn counted(&mut self) -> Option<&'t [u8]> {
        let length = self.u32()? as usize;
        let data = self.take(length)?;
        let _ = self.take(length.next_multiple_of(4) - length);
        Some(data)
    }

    fn property(&mut self) -> Option<(u16, Value<'t>)> {
        let (kind, id) = (self.u16()?, self.u16()?);
        if id >= 0x8000 {
            // a named property: set, kind of name, number or name
            self.take(16)?;
            if self.u32()? == 0 {
                self.take(4)?;
            } else {
                self.counted()?;
            }
        }
        let many = kind & 0x1000 != 0;
        let width = match kind & 0x0fff {
            0x02 | 0x03 | 0x04 | 0x0a | 0x0b => 4,
            0x05 | 0x06 | 0x07 | 0x14 | 0x40 => 8,
            0x48 => 16,
            variable @ (0x0d | 0x1e | 0x1f | 0x102) => {
                let count = self.u32()?;
                let mut first = None;
                for _ in 0..count {
                    let data = self.counted()?;
                    first.get_or_insert(data);
                }
                let data = first.unwrap_or_default();
                return Some((
                    id,
                    match variable {
                        0x0d => Value::Object(data),
                        0x1e => Value::String8(data),
                        0x1f => Value::Unicode(data),
                        _ => Value::Binary(data),
                    },
                ));
            }
            _ => return None,
        };
        let count = if many { self.u32()? as usize } else { 1 };
        self.take(count.checked_mul(width)?)?;
        Some((id, Value::Number))
    }
}

fn damaged(what: &str) -> Reason {
    Reason::Damaged(what.to_owned())
}

//! The header of a raw mail as it stands: names and unfolded values, topmost first.

/// Longest header section read, bytes.
const SECTION_BYTES_MAX: usize = 256 << 10;
/// Most fields read.
const FIELDS_MAX: usize = 1_000;
/// Longest value kept, bytes.
const VALUE_BYTES_MAX: usize = 16 << 10;

/// One header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Name, lower case.
    pub name: String,
    /// Value in one line, not decoded (untrusted).
    pub value: String,
}

/// Reads the header section of a raw mail. Lines that are no fields are left out.
///
/// ```
/// let fields = hinomi_mail::filters::fields(b"A: 1\r\n 2\r\nb:3\n\nC: body\r\n");
/// let read: Vec<_> = fields.iter().map(|field| (field.name.as_str(), field.value.as_str())).collect();
/// assert_eq!(read, [("a", "1 2"), ("b", "3")]);
/// ```
pub fn fields(raw: &[u8]) -> Vec<Field> {
    let section = &raw[..raw.len().min(SECTION_BYTES_MAX)];
    let mut fields: Vec<Field> = Vec::new();
    for line in section.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let text = String::from_utf8_lossy(line);
        if line[0] == b' ' || line[0] == b'\t' {
            if let Some(last) = fields.last_mut()
                && last.value.len() + text.len() <= VALUE_BYTES_MAX
            {
                last.value.push(' ');
                last.value.push_str(text.trim());
            }
            continue;
        }
        let Some((name, value)) = text.split_once(':') else { continue };
        let name = name.trim_end();
        if fields.len() >= FIELDS_MAX || name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            continue;
        }
        let value = value.trim();
        let value = value[..value.floor_char_boundary(VALUE_BYTES_MAX)].to_owned();
        fields.push(Field { name: name.to_ascii_lowercase(), value });
    }
    fields
}

/// The header section of a raw mail as it stands, without the empty line that ends it, and whether it
/// is all there: at most 256 KiB are read.
pub fn section(raw: &[u8]) -> (String, bool) {
    let read = &raw[..raw.len().min(SECTION_BYTES_MAX)];
    let mut end = 0;
    for line in read.split_inclusive(|byte| *byte == b'\n') {
        if matches!(line, b"\n" | b"\r\n") {
            return (String::from_utf8_lossy(&read[..end]).into_owned(), true);
        }
        end += line.len();
    }
    (String::from_utf8_lossy(read).into_owned(), read.len() == raw.len())
}

/// True when the mail says of itself that it goes to many: a list or a newsletter (RFC 2369, 2919,
/// 3834, 8058).
pub fn is_bulk(fields: &[Field]) -> bool {
    fields.iter().any(|field| match field.name.as_str() {
        "list-unsubscribe" | "list-id" | "list-post" | "feedback-id" => !field.value.is_empty(),
        "precedence" => matches!(field.value.to_ascii_lowercase().as_str(), "bulk" | "list" | "junk"),
        _ => false,
    })
}

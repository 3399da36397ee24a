//! Type of a file by its content.

/// What a file is, as far as taking it apart goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// ZIP archive (not an Office document).
    Zip,
    /// Office document in a ZIP container.
    OfficeZip,
    /// tar archive.
    Tar,
    /// gzip stream.
    Gzip,
    /// A mail.
    Message,
    /// HTML.
    Html,
    /// Other text.
    Text,
    /// An archive we do not open.
    Closed,
    /// Nothing to take apart.
    Opaque,
}

/// Beginnings of files. Source: the formats' own specifications.
const MAGIC: &[(&[u8], &str, Shape)] = &[
    (b"PK\x03\x04", "application/zip", Shape::Zip),
    (b"PK\x05\x06", "application/zip", Shape::Zip),
    (b"\x1f\x8b", "application/gzip", Shape::Gzip),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed", Shape::Closed),
    (b"Rar!\x1a\x07", "application/vnd.rar", Shape::Closed),
    (b"MSCF", "application/vnd.ms-cab-compressed", Shape::Closed),
    (b"\xfd7zXZ\x00", "application/x-xz", Shape::Closed),
    (b"BZh", "application/x-bzip2", Shape::Closed),
    (b"\x28\xb5\x2f\xfd", "application/zstd", Shape::Closed),
    (b"%PDF-", "application/pdf", Shape::Opaque),
    (b"\x7fELF", "application/x-elf", Shape::Opaque),
    (b"MZ", "application/vnd.microsoft.portable-executable", Shape::Opaque),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage", Shape::Opaque),
    (b"\x4c\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut", Shape::Opaque),
    (b"{\\rt", "application/rtf", Shape::Opaque),
    (b"\x89PNG\r\n\x1a\n", "image/png", Shape::Opaque),
    (b"\xff\xd8\xff", "image/jpeg", Shape::Opaque),
    (b"GIF8", "image/gif", Shape::Opaque),
    (b"BM", "image/bmp", Shape::Opaque),
    (b"#!", "text/x-script", Shape::Text),
];

/// Returns the media type and shape of a file. `declared` is the type the mail claims, `name` the
/// name it claims: they only decide between kinds of text.
pub(super) fn sniff(bytes: &[u8], declared: &str, name: &str) -> (String, Shape) {
    for (magic, media_type, shape) in MAGIC {
        if bytes.starts_with(magic) {
            if *shape == Shape::Zip && is_office(bytes) {
                return ("application/vnd.openxmlformats-officedocument".to_owned(), Shape::OfficeZip);
            }
            return ((*media_type).to_owned(), *shape);
        }
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return ("application/x-tar".to_owned(), Shape::Tar);
    }
    if bytes.get(0x8001..0x8006) == Some(b"CD001") {
        return ("application/x-iso9660-image".to_owned(), Shape::Closed);
    }
    let name = name.to_lowercase();
    let has = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if !is_text(bytes) {
        return ("application/octet-stream".to_owned(), Shape::Opaque);
    }
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).to_lowercase();
    if head.contains("<html") || head.contains("<!doctype html") || declared == "text/html" || has(&[".htm", ".html"]) {
        return ("text/html".to_owned(), Shape::Html);
    }
    if declared == "message/rfc822" || has(&[".eml"]) {
        return ("message/rfc822".to_owned(), Shape::Message);
    }
    if has(&[".svg"]) || head.contains("<svg") {
        return ("image/svg+xml".to_owned(), Shape::Html);
    }
    if declared.starts_with("text/") && declared.len() < 64 {
        return (declared.to_owned(), Shape::Text);
    }
    ("text/plain".to_owned(), Shape::Text)
}

/// Office documents begin with this entry, or name it near their start.
fn is_office(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(4096)];
    head.windows(19).any(|window| window == b"[Content_Types].xml")
}

/// True when the beginning has no byte that text does not have.
fn is_text(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(4096)];
    !head.is_empty() && !head.iter().any(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31))
}

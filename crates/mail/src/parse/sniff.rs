//! Type of a file by its content.

use super::{charset, smime, zipfile};

/// What a file is, as far as taking it apart goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// ZIP archive (not an Office document).
    Zip,
    /// Office document in a ZIP container.
    OfficeZip,
    /// 7z archive.
    SevenZip,
    /// tar archive.
    Tar,
    /// gzip stream.
    Gzip,
    /// Cabinet.
    Cabinet,
    /// RAR archive.
    Rar,
    /// ISO 9660 image.
    Iso,
    /// A mail.
    Message,
    /// One piece of a mail.
    Fragment,
    /// A pointer to content elsewhere.
    External,
    /// Cryptographic message (S/MIME).
    Cms,
    /// OpenPGP message.
    Pgp,
    /// Outlook's `winmail.dat`.
    Tnef,
    /// HTML and XML.
    Html,
    /// RTF.
    Rtf,
    /// PDF.
    Pdf,
    /// OLE compound file.
    Ole,
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
    (b"PK\x07\x08", "application/zip", Shape::Zip),
    (b"\x1f\x8b", "application/gzip", Shape::Gzip),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed", Shape::SevenZip),
    (b"Rar!\x1a\x07", "application/vnd.rar", Shape::Rar),
    (b"MSCF\0\0\0\0", "application/vnd.ms-cab-compressed", Shape::Cabinet),
    (b"\x78\x9f\x3e\x22", "application/vnd.ms-tnef", Shape::Tnef),
    (b"\xfd7zXZ\x00", "application/x-xz", Shape::Closed),
    (b"BZh", "application/x-bzip2", Shape::Closed),
    (b"\x28\xb5\x2f\xfd", "application/zstd", Shape::Closed),
    (b"\x60\xea", "application/x-arj", Shape::Closed),
    (b"**ACE**", "application/x-ace-compressed", Shape::Closed),
    (b"vhdxfile", "application/x-vhdx", Shape::Closed),
    (b"conectix", "application/x-vhd", Shape::Closed),
    (b"%PDF-", "application/pdf", Shape::Pdf),
    (b"\x7fELF", "application/x-elf", Shape::Opaque),
    (b"MZ", "application/vnd.microsoft.portable-executable", Shape::Opaque),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage", Shape::Ole),
    (b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d", "application/onenote", Shape::Opaque),
    (b"ITSF", "application/vnd.ms-htmlhelp", Shape::Closed),
    (b"\x4c\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut", Shape::Opaque),
    (b"{\\rt", "application/rtf", Shape::Rtf),
    (b"\x89PNG\r\n\x1a\n", "image/png", Shape::Opaque),
    (b"\xff\xd8\xff", "image/jpeg", Shape::Opaque),
    (b"GIF8", "image/gif", Shape::Opaque),
    (b"BM", "image/bmp", Shape::Opaque),
    (b"-----BEGIN PGP MESSAGE-----", "application/pgp-encrypted", Shape::Pgp),
    (b"<?xml", "text/xml", Shape::Html),
    (b"#!", "text/x-script", Shape::Text),
];

/// Bytes of the beginning in which text is told from other content.
const HEAD_BYTES: usize = 4_096;

/// Returns the media type and shape of a file. `declared` is the type the mail claims, `name` the
/// name it claims: they only decide between kinds of text and of cryptographic messages.
pub(super) fn sniff(bytes: &[u8], declared: &str, name: &str) -> (String, Shape) {
    let found = |media_type: &str, shape| (media_type.to_owned(), shape);
    match declared {
        "message/partial" => return found(declared, Shape::Fragment),
        "message/external-body" => return found(declared, Shape::External),
        _ => {}
    }
    // PDF readers accept up to 1,024 bytes before the mark
    let skipped = &bytes[bytes.iter().take(1_024).position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0)..];
    for (magic, media_type, shape) in MAGIC {
        let loose = matches!(shape, Shape::Pdf | Shape::Rtf | Shape::Html | Shape::Pgp);
        if (if loose { skipped } else { bytes }).starts_with(magic) {
            return match shape {
                Shape::Zip if is_office(bytes) => {
                    found("application/vnd.openxmlformats-officedocument", Shape::OfficeZip)
                }
                Shape::Html if is_svg(bytes) => found("image/svg+xml", Shape::Html),
                _ => found(media_type, *shape),
            };
        }
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return found("application/x-tar", Shape::Tar);
    }
    if bytes.get(0x8001..0x8006) == Some(b"CD001") {
        return found("application/x-iso9660-image", Shape::Iso);
    }
    if bytes.get(0x8001..0x8006) == Some(b"BEA01") {
        return found("application/x-udf-image", Shape::Closed);
    }
    if smime::is_cms(bytes) {
        return found("application/pkcs7-mime", Shape::Cms);
    }
    if zipfile::announced_entries(bytes).is_some_and(|count| count > 0) {
        // something stands before the archive; programs look for the directory at the end
        return found("application/zip", Shape::Zip);
    }
    let name = name.to_lowercase();
    let has = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if !is_text(bytes) {
        return found("application/octet-stream", Shape::Opaque);
    }
    let head = charset::decode(&bytes[..bytes.len().min(HEAD_BYTES)], "").to_lowercase();
    if declared == "message/rfc822" || declared == "message/global" || has(&[".eml"]) {
        return found("message/rfc822", Shape::Message);
    }
    if has(&[".svg"]) || (head.contains("<svg") && !head.contains("<html")) {
        return found("image/svg+xml", Shape::Html);
    }
    if head.contains("<html") || head.contains("<!doctype html") || declared == "text/html" || has(&[".htm", ".html"]) {
        return found("text/html", Shape::Html);
    }
    if declared.starts_with("text/") && declared.len() < 64 {
        return found(declared, Shape::Text);
    }
    found("text/plain", Shape::Text)
}

fn is_svg(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(&bytes[..bytes.len().min(HEAD_BYTES)]).contains("<svg")
}

/// Office documents begin with this entry, or name it near their start.
fn is_office(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    head.windows(19).any(|window| window == b"[Content_Types].xml")
}

/// True when the beginning has no byte that text does not have, or says that it is UTF-16.
fn is_text(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return true;
    }
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    !head.is_empty() && !head.iter().any(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31))
}

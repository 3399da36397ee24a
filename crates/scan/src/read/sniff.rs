//! What a file is, told by its first bytes.

use super::Format;
use super::evtx::{CHUNK_MAGIC, FILE_MAGIC};

/// How many of the first bytes are looked at.
pub const HEAD_BYTES: usize = 16 << 10;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A log.
    Log(Format),
    /// ZIP archive.
    Zip,
    /// gzip stream.
    Gzip,
    /// Zstandard stream.
    Zstd,
    /// tar archive.
    Tar,
    /// No bytes.
    Empty,
    /// Text in UTF-16 with a byte order mark; true = big endian.
    Utf16(bool),
    /// Nothing this program reads.
    Unknown,
}

/// Tells what a file is; `head` are its first [`HEAD_BYTES`] or all of it.
pub fn kind(head: &[u8]) -> Kind {
    if head.is_empty() {
        return Kind::Empty;
    }
    if head.starts_with(FILE_MAGIC) || head.starts_with(CHUNK_MAGIC) {
        return Kind::Log(Format::Evtx);
    }
    // a damaged file header before good chunks
    if head.get(4_096..4_104) == Some(CHUNK_MAGIC) {
        return Kind::Log(Format::Evtx);
    }
    for (magic, kind) in [
        (&b"PK\x03\x04"[..], Kind::Zip),
        (b"PK\x05\x06", Kind::Zip),
        (b"\x1f\x8b", Kind::Gzip),
        (b"\x28\xb5\x2f\xfd", Kind::Zstd),
        (b"\xff\xfe", Kind::Utf16(false)),
        (b"\xfe\xff", Kind::Utf16(true)),
    ] {
        if head.starts_with(magic) {
            return kind;
        }
    }
    if head.get(257..262) == Some(b"ustar") {
        return Kind::Tar;
    }
    text(head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head)).map_or(Kind::Unknown, Kind::Log)
}

fn text(head: &[u8]) -> Option<Format> {
    let start = head.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let head = &head[start..];
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or(head);
    match head[0] {
        b'[' => return Some(Format::JsonValues),
        b'{' => {
            // one object per line: a broken line then costs that line only
            let whole = line.trim_ascii_end().ends_with(b"}") && line.len() < head.len();
            let lone = whole && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
            let long = !head.contains(&b'\n');
            return Some(if lone || long { Format::JsonLines } else { Format::JsonValues });
        }
        _ => {}
    }
    let begins = std::str::from_utf8(&line[..line.len().min(512)]).unwrap_or_default();
    if begins.contains("msg=audit(") && begins.contains("type=") {
        return Some(Format::Audit);
    }
    if begins.starts_with("__CURSOR=") || begins.starts_with("__REALTIME_TIMESTAMP=") {
        return Some(Format::JournalExport);
    }
    syslog(begins.as_bytes()).then_some(Format::Syslog)
}

fn syslog(line: &[u8]) -> bool {
    let line = match line.strip_prefix(b"<") {
        Some(rest) => match rest.iter().take(4).position(|byte| *byte == b'>') {
            Some(end) if rest[..end].iter().all(u8::is_ascii_digit) => &rest[end + 1..],
            _ => return false,
        },
        None => line,
    };
    let digits =
        |range: std::ops::Range<usize>| line.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let bsd = line.get(..3).is_some_and(|month| months.iter().any(|name| name.as_bytes() == month))
        && line.get(6) == Some(&b' ')
        && digits(7..9)
        && line.get(9) == Some(&b':');
    let iso = digits(0..4) && line.get(4) == Some(&b'-') && digits(5..7) && line.get(10) == Some(&b'T');
    bsd || iso || line.starts_with(b"1 2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_tell_what_they_are() {
        let check = |head: &[u8], expected: Kind| assert_eq!(kind(head), expected, "{}", head.escape_ascii());
        check(b"", Kind::Empty);
        check(b"ElfFile\0....", Kind::Log(Format::Evtx));
        check(b"{\"a\":1}\n{\"b\":2}\n", Kind::Log(Format::JsonLines));
        check(b"\xef\xbb\xbf{\"a\":1}\n", Kind::Log(Format::JsonLines));
        check(b"{\n \"a\": 1\n}\n", Kind::Log(Format::JsonValues));
        check(b"\n [ {\"a\":1} ]", Kind::Log(Format::JsonValues));
        check(b"type=SYSCALL msg=audit(1.2:3): a=b\n", Kind::Log(Format::Audit));
        check(b"node=web type=CWD msg=audit(1.2:3): a=b\n", Kind::Log(Format::Audit));
        check(b"Nov 22 12:00:00 web1 sshd[1]: hello\n", Kind::Log(Format::Syslog));
        check(b"<13>Nov  2 12:00:00 web1 sshd: hello\n", Kind::Log(Format::Syslog));
        check(b"2026-11-22T12:00:00Z web1 sshd: hello\n", Kind::Log(Format::Syslog));
        check(b"__CURSOR=s=1\n", Kind::Log(Format::JournalExport));
        check(b"MZ\x90", Kind::Unknown);
        check(b"hello world\n", Kind::Unknown);
        check(b"\xff\xfe{\0", Kind::Utf16(false));
    }
}

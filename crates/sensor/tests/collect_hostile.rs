//! Bytes nobody promised anything about: the readers refuse, they never panic.

use hinomi_sensor::collect::dns::{Question, question};
use hinomi_sensor::collect::record::{HEAD_BYTES, Kind, Record, Tag};
use hinomi_sensor::collect::rows;
use proptest::collection::vec;
use proptest::prelude::*;

fn query(labels: &[&str], kind: u16) -> Vec<u8> {
    let mut packet = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in labels {
        packet.push(label.len() as u8);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend_from_slice(&kind.to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    packet
}

#[test]
fn questions_are_read() {
    let check = |packet: &[u8], expected: Option<(&str, &str)>| {
        let expected = expected.map(|(name, kind)| Question { name: name.to_owned(), kind: kind.to_owned() });
        assert_eq!(question(packet), expected);
    };
    check(&query(&["evil", "example", "com"], 1), Some(("evil.example.com", "A")));
    check(&query(&["xn--wgv71a", "jp"], 65280), Some(("xn--wgv71a.jp", "TYPE65280")));
    check(&query(&[], 2), Some((".", "NS")));
    check(&query(&["a.b", "\u{7}"], 16), Some(("a\\.b.\\007", "TXT")));
    let mut answer = query(&["a"], 1);
    answer[2] |= 0x80;
    check(&answer, None);
    let mut pointer = query(&["a"], 1);
    pointer[12] = 0xc0;
    check(&pointer, None);
    let whole = query(&["evil", "example"], 1);
    (0..whole.len() - 2).for_each(|end| check(&whole[..end], None));
}

fn head(kind: u32) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_BYTES];
    bytes[..4].copy_from_slice(&kind.to_le_bytes());
    bytes
}

fn section(bytes: &mut Vec<u8>, tag: Tag, body: &[u8]) {
    bytes.extend_from_slice(&(tag as u16).to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u16).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[test]
fn records_are_read() {
    let mut bytes = head(1);
    section(&mut bytes, Tag::Exe, b"sh\0bin\0usr\0");
    section(&mut bytes, Tag::Cwd, b"");
    section(&mut bytes, Tag::Args, "sh\0請求書\0\0".as_bytes());
    let record = Record::decode(&bytes).expect("whole");
    assert_eq!(record.kind, Kind::Exec);
    assert_eq!(record.path(Tag::Exe).expect("exe").to_str(), Some("/usr/bin/sh"));
    assert_eq!(record.path(Tag::Cwd).expect("cwd").to_str(), Some("/"));
    assert_eq!(record.args(), ["sh", "請求書", ""]);
    assert!(record.path(Tag::Path).is_none());
    assert!(Record::decode(&bytes[..HEAD_BYTES - 1]).is_none(), "no head");
    assert!(Record::decode(&bytes[..HEAD_BYTES + 8]).is_none(), "section beyond the end");
    assert!(Record::decode(&head(99)).is_none(), "unknown kind");
    let mut unknown = head(2);
    unknown.extend_from_slice(&[200, 0, 0, 0]);
    assert!(Record::decode(&unknown).is_none(), "unknown section");
}

fn use_all(record: &Record<'_>) {
    for tag in [Tag::Exe, Tag::Args, Tag::Name, Tag::Address, Tag::Payload, Tag::Comm] {
        let _ = (record.path(tag), record.text(tag), record.bytes(tag).and_then(question));
    }
    let _ = (rows::command_line(&record.args()), rows::argv_json(&record.args()));
    let _ = record.address().map(|address| rows::ip_type(address.ip));
}

proptest! {
    #[test]
    fn any_packet_is_survived(packet in vec(any::<u8>(), 0..600)) {
        let _ = question(&packet);
    }

    #[test]
    fn any_labels_are_survived(labels in vec(vec(any::<u8>(), 0..64), 0..8), kind in any::<u16>(), cut in 0..400_usize) {
        let mut packet = b"\0\0\0\0\0\x01\0\0\0\0\0\0".to_vec();
        for label in &labels {
            packet.push(label.len() as u8);
            packet.extend_from_slice(label);
        }
        packet.push(0);
        packet.extend_from_slice(&kind.to_be_bytes());
        packet.truncate(cut);
        if let Some(question) = question(&packet) {
            prop_assert!(question.name.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }

    #[test]
    fn any_record_is_survived(kind in 0_u32..14, head_rest in vec(any::<u8>(), HEAD_BYTES - 4), rest in vec(any::<u8>(), 0..300)) {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend(head_rest);
        bytes.extend(rest);
        if let Some(record) = Record::decode(&bytes) {
            use_all(&record);
        }
    }

    #[test]
    fn any_sections_are_survived(kind in 1_u32..13, sections in vec((1_u16..15, vec(any::<u8>(), 0..80), 0_u16..100), 0..6)) {
        let mut bytes = head(kind);
        for (tag, body, len) in sections {
            bytes.extend_from_slice(&tag.to_le_bytes());
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend(body);
        }
        if let Some(record) = Record::decode(&bytes) {
            use_all(&record);
        }
    }

    /// A POSIX shell splits a command line back into the arguments it was made of.
    #[test]
    fn command_lines_are_what_a_shell_reads(argv in vec("[^\u{0}]{0,12}", 1..5)) {
        let line = rows::command_line(&argv);
        let output = std::process::Command::new("/bin/sh").args(["-c", &format!("printf '%s\\0' {line}")]).output()?;
        prop_assert_eq!(String::from_utf8_lossy(&output.stdout), argv.iter().map(|arg| format!("{arg}\0")).collect::<String>());
    }
}

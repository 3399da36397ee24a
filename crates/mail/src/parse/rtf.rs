//! RTF: unpacking of the compressed form Outlook uses, and the text a link may stand in.

use super::reason::{Limit, Reason};

/// What the dictionary begins with ([MS-OXRTFCP] 2.1.2.1).
const DICTIONARY: &[u8] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
const DICTIONARY_BYTES: usize = 4_096;
const COMPRESSED: &[u8] = b"LZFu";
const STORED: &[u8] = b"MELA";

/// Unpacks compressed RTF ([MS-OXRTFCP]), at most `bytes_max` bytes.
pub(super) fn decompress(packed: &[u8], bytes_max: u64) -> Result<Vec<u8>, Reason> {
    let (Some(kind), Some(content)) = (packed.get(8..12), packed.get(16..)) else {
        return Err(Reason::Damaged("compressed RTF is cut off".to_owned()));
    };
    match kind {
        STORED => Ok(content.to_vec()),
        COMPRESSED => Ok(unpack(content, bytes_max)?),
        _ => Err(Reason::Damaged("unknown form of compressed RTF".to_owned())),
    }
}

fn unpack(content: &[u8], bytes_max: u64) -> Result<Vec<u8>, Limit> {
    let mut dictionary = [b' '; DICTIONARY_BYTES];
    dictionary[..DICTIONARY.len()].copy_from_slice(DICTIONARY);
    let mut write = DICTIONARY.len();
    let mut out = Vec::new();
    let mut rest = content.iter();
    while let Some(control) = rest.next() {
        for bit in 0..8 {
            if control >> bit & 1 == 0 {
                let Some(byte) = rest.next() else { return Ok(out) };
                out.push(*byte);
                dictionary[write] = *byte;
                write = (write + 1) % DICTIONARY_BYTES;
                continue;
            }
            let (Some(high), Some(low)) = (rest.next(), rest.next()) else { return Ok(out) };
            let reference = usize::from(*high) << 8 | usize::from(*low);
            let (offset, length) = (reference >> 4, (reference & 0xf) + 2);
            if offset == write {
                return Ok(out);
            }
            for step in 0..length {
                let byte = dictionary[(offset + step) % DICTIONARY_BYTES];
                out.push(byte);
                dictionary[write] = byte;
                write = (write + 1) % DICTIONARY_BYTES;
            }
            if out.len() as u64 > bytes_max {
                return Err(Limit::Size);
            }
        }
    }
    Ok(out)
}

/// Text of RTF good enough to find addresses in: `\'xx` undone, control words and braces become
/// spaces.
pub(super) fn text(rtf: &[u8]) -> String {
    let mut out = Vec::with_capacity(rtf.len());
    let mut rest = rtf;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after.first()) {
            (b'\\', Some(b'\'')) => {
                let digits = after.get(1..3).and_then(|digits| std::str::from_utf8(digits).ok());
                out.push(digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(b' '));
                rest = after.get(3..).unwrap_or_default();
            }
            (b'\\', Some(escaped @ (b'\\' | b'{' | b'}'))) => {
                out.push(*escaped);
                rest = &after[1..];
            }
            (b'\\', _) => {
                let end = after.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
                rest = &after[end.unwrap_or(after.len())..];
                out.push(b' ');
            }
            (b'{' | b'}', _) => out.push(b' '),
            (byte, _) => out.push(*byte),
        }
    }
    super::charset::decode(&out, "windows-1252")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_rtf_is_unpacked() {
        // the worked example of [MS-OXRTFCP] 3.1.1
        let packed = hex::decode(
            "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0",
        )
        .expect("hex");
        let text = decompress(&packed, 1_000).expect("rtf");
        assert_eq!(String::from_utf8_lossy(&text), "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
        assert_eq!(decompress(&packed, 10), Err(Limit::Size.into()));
        assert!(decompress(b"short", 10).is_err());
    }

    #[test]
    fn links_survive() {
        assert!(
            text(br#"{\rtf1 {\field{\*\fldinst HYPERLINK "http://a.example/\'3fb"}}\par}"#)
                .contains("\"http://a.example/?b\"")
        );
    }
}

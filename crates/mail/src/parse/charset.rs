//! Characters from bytes whose label is missing, wrong or right.
//!
//! Order of belief: a byte order mark; escape sequences of ISO-2022-JP; UTF-8 of three characters and
//! more, which no other encoding yields by chance; a label that names an encoding which can fail and
//! does not; shorter UTF-8; Shift_JIS or EUC-JP when what comes out looks Japanese; the label, whatever
//! it is; Windows-1252. A label like `us-ascii` or `iso-8859-1` proves nothing: no byte is wrong in it,
//! and mail programs write it by default.

use encoding_rs::{EUC_JP, Encoding, ISO_2022_JP, SHIFT_JIS, WINDOWS_1252};
use mail_parser::decoders::charsets::map::charset_decoder;

/// Labels seen in mail that the WHATWG table lacks.
const ALIASES: &[(&str, &Encoding)] = &[
    ("cp932", SHIFT_JIS),
    ("shift-jisx0213", SHIFT_JIS),
    ("shift_jis-2004", SHIFT_JIS),
    ("eucjp-win", EUC_JP),
    ("eucjp-ms", EUC_JP),
    ("eucjp", EUC_JP),
    ("euc-jisx0213", EUC_JP),
    ("iso-2022-jp-1", ISO_2022_JP),
    ("iso-2022-jp-2", ISO_2022_JP),
    ("iso-2022-jp-3", ISO_2022_JP),
    ("iso-2022-jp-2004", ISO_2022_JP),
    ("iso-2022-jp-ms", ISO_2022_JP),
    ("cp50220", ISO_2022_JP),
    ("cp50221", ISO_2022_JP),
];

/// Characters beyond ASCII from which on valid UTF-8 is no accident.
const UTF8_CHARS_MIN: usize = 3;

/// Decodes text; `label` is the declared character set, empty when there is none.
pub(super) fn decode(bytes: &[u8], label: &str) -> String {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[mark..]).0.into_owned();
    }
    let label = label.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).to_ascii_lowercase();
    if is_utf7(&label)
        && let Some(decoder) = charset_decoder(label.as_bytes())
    {
        return decoder(bytes);
    }
    if has_escapes(bytes)
        && let Some(text) = faultless(ISO_2022_JP, bytes)
    {
        return text;
    }
    let utf8 = std::str::from_utf8(bytes).ok();
    if let Some(text) = utf8
        && (text.is_ascii() || text.chars().filter(|c| !c.is_ascii()).count() >= UTF8_CHARS_MIN)
    {
        return text.to_owned();
    }
    let declared = encoding(&label);
    if let Some(text) = declared.and_then(|encoding| believed(encoding, bytes)) {
        return text;
    }
    if let Some(text) = utf8 {
        return text.to_owned();
    }
    // under a single-byte label more is asked of a guess: accented text must stay what it is
    let kana_needed = declared.is_some_and(Encoding::is_single_byte) && !is_default(&label);
    if let Some(text) = japanese(bytes, kana_needed) {
        return text;
    }
    match declared {
        Some(encoding) if !is_default(&label) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
        _ => mostly_utf8(bytes).unwrap_or_else(|| WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned()),
    }
}

/// What a label that can fail makes of the bytes, if it does not. Between the Japanese encodings it
/// must also look right: much of one is faultless in the other.
fn believed(encoding: &'static Encoding, bytes: &[u8]) -> Option<String> {
    if encoding.is_single_byte() {
        return None;
    }
    let text = faultless(encoding, bytes)?;
    let doubtful = encoding == SHIFT_JIS || encoding == EUC_JP;
    (!doubtful || looks(&text, false).is_some()).then_some(text)
}

fn encoding(label: &str) -> Option<&'static Encoding> {
    let known = ALIASES.iter().find(|(alias, _)| *alias == label).map(|(_, encoding)| *encoding);
    // without "replacement": a label must not make a whole body unreadable
    known.or_else(|| Encoding::for_label_no_replacement(label.as_bytes()))
}

fn is_utf7(label: &str) -> bool {
    matches!(label, "utf-7" | "unicode-1-1-utf-7" | "x-unicode-2-0-utf-7" | "csutf7" | "csunicode11utf7")
}

/// Labels programs write without looking at the text.
fn is_default(label: &str) -> bool {
    matches!(
        label,
        "" | "us-ascii" | "ascii" | "ansi_x3.4-1968" | "iso-8859-1" | "unknown-8bit" | "x-unknown" | "binary"
    )
}

fn has_escapes(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair[0] == 0x1b && matches!(pair[1], b'$' | b'('))
}

fn faultless(encoding: &'static Encoding, bytes: &[u8]) -> Option<String> {
    encoding.decode_without_bom_handling_and_without_replacement(bytes).map(std::borrow::Cow::into_owned)
}

/// The better of Shift_JIS and EUC-JP, when the result looks like Japanese.
fn japanese(bytes: &[u8], kana_needed: bool) -> Option<String> {
    let candidates = [SHIFT_JIS, EUC_JP].into_iter().filter_map(|encoding| faultless(encoding, bytes));
    let scored = candidates.filter_map(|text| Some((looks(&text, kana_needed)?, text)));
    scored.max_by_key(|(score, _)| *score).map(|(_, text)| text)
}

/// How Japanese a text looks, per thousand of its non-ASCII characters; `None` when it does not.
/// Half-width kana count against it: they are what any high byte becomes in Shift_JIS.
fn looks(text: &str, kana_needed: bool) -> Option<i64> {
    let (mut all, mut kana, mut kanji, mut half, mut odd) = (0_i64, 0_i64, 0_i64, 0_i64, 0_i64);
    for c in text.chars().filter(|c| !c.is_ascii()) {
        all += 1;
        match c {
            '\u{3000}'..='\u{30ff}' => kana += 1,
            '\u{4e00}'..='\u{9fff}' | '\u{ff01}'..='\u{ff5e}' => kanji += 1,
            '\u{ff61}'..='\u{ff9f}' => half += 1,
            _ => odd += 1,
        }
    }
    if all == 0 || (kana_needed && kana * 5 < all) {
        return None;
    }
    let score = (kana * 3 + kanji * 2 - half - odd * 2) * 1_000 / all;
    (score >= 1_000).then_some(score)
}

/// UTF-8 with a few broken characters (cut off, or one foreign byte).
fn mostly_utf8(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let (bad, good) = text.chars().filter(|c| !c.is_ascii()).fold((0, 0), |(bad, good), c| match c {
        char::REPLACEMENT_CHARACTER => (bad + 1, good),
        _ => (bad, good + 1),
    });
    (good >= 4 * bad).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::UTF_8;

    const TEXT: &str = "請求書を送ります。ご確認をお願いします";

    #[test]
    fn japanese_text_is_read_under_any_label() {
        for encoding in [SHIFT_JIS, EUC_JP, ISO_2022_JP, UTF_8] {
            let bytes = encoding.encode(TEXT).0.into_owned();
            for label in
                ["", "us-ascii", "iso-8859-1", "utf-8", encoding.name(), "no-such-set", "iso-2022-kr", "\"Shift_JIS\""]
            {
                assert_eq!(decode(&bytes, label), TEXT, "{} under {label:?}", encoding.name());
            }
        }
        assert_eq!(decode(&SHIFT_JIS.encode("請求書.pdf").0, ""), "請求書.pdf");
        assert_eq!(decode(&SHIFT_JIS.encode("①㈱髙").0, "cp932"), "①㈱髙");
    }

    #[test]
    fn accented_text_stays_what_it_is() {
        for (encoding, text) in
            [(WINDOWS_1252, "café crème à la carte"), (encoding_rs::WINDOWS_1251, "Привет, счёт во вложении")]
        {
            let bytes = encoding.encode(text).0.into_owned();
            assert_eq!(decode(&bytes, encoding.name()), text);
        }
        assert_eq!(decode(b"caf\xe9", ""), "café");
        assert_eq!(decode("naïve über".as_bytes(), "iso-8859-1"), "naïve über");
        assert_eq!(decode(b"\xff\xfeh\0i\0", "us-ascii"), "hi");
        assert_eq!(decode(b"+AGE-b", "utf-7"), "ab");
        let cut = &"日本語のメール".as_bytes()[..20];
        assert!(decode(cut, "").starts_with("日本語のメー"));
    }
}

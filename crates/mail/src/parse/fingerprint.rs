//! What mails of one campaign have in common: a hash of the normalised text and a near-duplicate
//! fingerprint.
//!
//! Normalisation, the same for every text:
//! 1. Full-width ASCII becomes ASCII, invisible characters (zero width, bidirectional controls, soft
//!    hyphen) are dropped, everything is lower case.
//! 2. Words are what stands between white space. A word with `://` in it or beginning with `www.`
//!    becomes `{url}`, one with `@` between other characters `{address}`.
//! 3. Other words are cut into runs of letters and digits; the rest is dropped. A run with a digit in
//!    it becomes `0`. Each Han, kana or Hangul character is a run of its own.

use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Runs read of one text; what follows does not count.
const TOKENS_MAX: usize = 20_000;
/// Runs of one shingle.
const SHINGLE: usize = 3;
/// Texts with fewer runs have no fingerprint: a greeting alone would join everything.
const TOKENS_MIN: usize = 12;

/// Returns the runs of a text, see the module.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in text.split_whitespace() {
        if found.len() >= TOKENS_MAX {
            break;
        }
        let word: String = word.chars().filter(|c| !is_invisible(*c)).map(fold).flat_map(char::to_lowercase).collect();
        if word.contains("://") || word.starts_with("www.") {
            found.push("{url}".to_owned());
        } else if word.trim_matches('@').contains('@') {
            found.push("{address}".to_owned());
        } else {
            runs(&word, &mut found);
        }
    }
    found.truncate(TOKENS_MAX);
    found
}

fn runs(word: &str, found: &mut Vec<String>) {
    let mut run = String::new();
    let flush = |run: &mut String, found: &mut Vec<String>| {
        if run.contains(|c: char| c.is_numeric()) {
            *run = "0".to_owned();
        }
        if !run.is_empty() {
            found.push(std::mem::take(run));
        }
    };
    for c in word.chars() {
        if is_ideograph(c) {
            flush(&mut run, found);
            found.push(c.to_string());
        } else if c.is_alphanumeric() {
            run.push(c);
        } else {
            flush(&mut run, found);
        }
    }
    flush(&mut run, found);
}

/// Full-width ASCII to ASCII (U+FF01 to U+FF5E).
fn fold(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

/// Characters without width or ink that senders strew in to make copies differ.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
        || c.is_control()
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}')
}

/// A text of a mail, normalised.
pub(super) struct Normalised(Vec<String>);

impl Normalised {
    pub(super) fn of(text: &str) -> Self {
        Normalised(tokens(text))
    }

    /// SHA-256 of the runs, joined by spaces, lower-case hex; empty for a text without runs.
    pub(super) fn sha256(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        hex::encode(Sha256::digest(self.0.join(" ")))
    }

    /// SimHash (Charikar 2002; near-duplicate use after Manku, Jain and Das Sarma 2007) over the set
    /// of shingles of three runs: bit n is what most shingle hashes have at n.
    pub(super) fn simhash(&self) -> Option<u64> {
        if self.0.len() < TOKENS_MIN {
            return None;
        }
        let shingles: HashSet<u64> = self.0.windows(SHINGLE).map(shingle_hash).collect();
        let mut votes = [0_i64; 64];
        for hash in shingles {
            for (bit, vote) in votes.iter_mut().enumerate() {
                *vote += if hash >> bit & 1 == 1 { 1 } else { -1 };
            }
        }
        let set = votes.iter().enumerate().filter(|(_, vote)| **vote > 0);
        Some(set.fold(0, |hash, (bit, _)| hash | 1 << bit))
    }
}

/// FNV-1a over the runs and a separator, then the finaliser of SplitMix64, because FNV alone leaves
/// the upper bits of short words alike.
fn shingle_hash(runs: &[String]) -> u64 {
    let bytes = runs.iter().flat_map(|run| run.bytes().chain([0]));
    let mut hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

/// Returns the subject without reply and forward marks, normalised as the text is: what subjects of
/// one campaign or one conversation have in common. Empty when nothing is left.
///
/// ```
/// use hinomi_mail::parse::subject_key;
/// assert_eq!(subject_key("Re: FW: Invoice #4711"), "invoice 0");
/// assert_eq!(subject_key("Ｒｅ：【至急】請求書"), "至 急 請 求 書");
/// ```
pub fn subject_key(subject: &str) -> String {
    let folded: String = subject.chars().map(fold).collect();
    let mut rest = folded.trim_start();
    while let Some((mark, after)) = rest.split_once(':') {
        let known = ["re", "fw", "fwd", "aw", "wg", "sv", "tr", "返信", "転送"];
        let mark = mark.trim().trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '[' | ']' | '^'));
        if !known.contains(&mark.to_lowercase().as_str()) {
            break;
        }
        rest = after.trim_start();
    }
    tokens(rest).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTER: &str = "Dear customer, your parcel could not be delivered. Please confirm your address \
                          within 24 hours at https://post.example/a?id=1 or it will be returned to the sender.";

    #[test]
    fn the_hash_ignores_numbers_addresses_and_layout() {
        let other = LETTER.replace("24", "48").replace("https://post.example/a?id=1", "http://x.test").to_uppercase();
        let other = other.replace(' ', " \n").replace("CUSTOMER", "CUS\u{200b}TOMER");
        assert_eq!(Normalised::of(LETTER).sha256(), Normalised::of(&other).sha256());
        assert_eq!(Normalised::of("１２個　ＡＢＣ").sha256(), Normalised::of("99個 abc").sha256());
        assert_ne!(Normalised::of("abc").sha256(), Normalised::of("abd").sha256());
        assert_eq!(Normalised::of(" \u{200b}!").sha256(), "");
    }

    #[test]
    fn near_texts_have_near_fingerprints() {
        let near = |a: &str, b: &str| {
            let hash = |text: &str| Normalised::of(text).simhash().expect("long enough");
            (hash(a) ^ hash(b)).count_ones()
        };
        let letter = LETTER.repeat(2);
        assert!(near(&letter, &letter.replacen("customer", "Hanako", 1)) <= 10);
        let other = "The board meets on Monday to talk about the budget of the coming year and asks all \
                     heads of department to hand in their figures before Friday noon at the latest.";
        assert!(near(&letter, other) > 20);
        let japanese =
            "平素よりお世話になっております。先日お送りした請求書の振込先口座が変更となりましたのでご確認ください。";
        assert!(near(japanese, &japanese.replace("先日", "昨日")) <= 12);
        assert_eq!(Normalised::of("hello there").simhash(), None);
    }
}

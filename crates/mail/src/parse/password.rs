//! Passwords a mail names for its own attachments.
//!
//! Heuristic: behind every word for "password" the text of the next few lines is searched for what
//! stands in quotes or brackets, else for the first runs of ASCII. Japanese mails write
//! `パスワードは「abc」です`, `パスワード：abc` or the word on one line and the password on the next.

/// Most passwords tried on one archive.
pub(super) const PASSWORDS_MAX: usize = 12;
/// Longest password, characters.
const PASSWORD_CHARS_MAX: usize = 64;
/// Text searched behind each word, characters.
const WINDOW_CHARS: usize = 120;
/// Runs taken behind each word when nothing is quoted.
const RUNS_PER_WORD: usize = 2;

/// Words for "password", lower case.
const WORDS: &[&str] = &[
    "password",
    "passwd",
    "passcode",
    "pass code",
    "passphrase",
    "pass phrase",
    "pwd",
    "p/w",
    "pw",
    "passwort",
    "kennwort",
    "mot de passe",
    "contraseña",
    "パスワード",
    "パスコード",
    "パスフレーズ",
    "解凍パス",
    "開封パス",
    "暗証番号",
    "解凍キー",
    "密码",
    "密碼",
    "비밀번호",
];

/// Opening and closing quotes and brackets.
const QUOTES: &[(char, char)] = &[
    ('「', '」'),
    ('『', '』'),
    ('【', '】'),
    ('［', '］'),
    ('〔', '〕'),
    ('《', '》'),
    ('“', '”'),
    ('‘', '’'),
    ('"', '"'),
    ('\'', '\''),
    ('`', '`'),
    ('[', ']'),
    ('<', '>'),
    ('(', ')'),
    ('（', '）'),
    ('＜', '＞'),
];

/// Finds passwords, most likely first, at most [`PASSWORDS_MAX`].
pub(super) fn find(text: &str) -> Vec<String> {
    let folded: String = text.chars().map(fold).collect();
    let lower: String = folded.chars().map(|c| if c.is_ascii() { c.to_ascii_lowercase() } else { c }).collect();
    let (mut quoted, mut runs): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for word in WORDS {
        // ASCII is folded byte by byte, so places in `lower` are places in `folded`
        for (at, _) in lower.match_indices(word).take(PASSWORDS_MAX) {
            if is_inside_word(&lower, at, word) {
                continue;
            }
            let rest = &folded[at + word.len()..];
            let end = rest.char_indices().nth(WINDOW_CHARS).map_or(rest.len(), |(end, _)| end);
            candidates(&rest[..end], &mut quoted, &mut runs);
        }
    }
    let mut found: Vec<String> = Vec::new();
    for candidate in quoted.into_iter().chain(runs) {
        if found.len() < PASSWORDS_MAX && !found.contains(&candidate) {
            found.push(candidate);
        }
    }
    found
}

/// `pw` in `upward` is no password.
fn is_inside_word(text: &str, at: usize, word: &str) -> bool {
    let ascii = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    word.is_ascii() && (ascii(text[..at].chars().next_back()) || ascii(text[at + word.len()..].chars().next()))
}

fn candidates(window: &str, quoted: &mut Vec<String>, runs: &mut Vec<String>) {
    for (at, open) in window.char_indices() {
        let Some((_, close)) = QUOTES.iter().find(|(known, _)| *known == open) else { continue };
        let inside = &window[at + open.len_utf8()..];
        if let Some(end) = inside.find(*close) {
            push(quoted, &inside[..end]);
        }
        break;
    }
    let words = window.split(|c: char| c.is_whitespace() || !c.is_ascii());
    let words = words.map(|word| word.trim_start_matches([':', '=', '>', '-', '*']));
    let usable = words.filter(|word| !is_filler(word)).take(RUNS_PER_WORD);
    for word in usable {
        push(runs, word.trim_end_matches(['.', ',', ';', ')', ']', '"', '\'', '>']));
        // a sign at the end may belong to the password
        push(runs, word);
    }
}

fn push(list: &mut Vec<String>, candidate: &str) {
    let candidate = candidate.trim();
    let long = candidate.chars().count();
    if (1..=PASSWORD_CHARS_MAX).contains(&long) && !list.iter().any(|known| known == candidate) {
        list.push(candidate.to_owned());
    }
}

/// Words between "password" and the password.
fn is_filler(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| c.is_ascii_punctuation()).to_ascii_lowercase();
    let known = [
        "is",
        "the",
        "for",
        "to",
        "of",
        "this",
        "file",
        "archive",
        "zip",
        "attachment",
        "your",
        "open",
        "document",
        "as",
        "follows",
    ];
    bare.is_empty() || known.contains(&bare.as_str())
}

/// Full-width ASCII and the ideographic space to ASCII.
fn fold(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_found_as_mails_write_them() {
        for (text, wanted) in [
            ("添付ファイルのパスワードは「Abc-123」です。", "Abc-123"),
            ("パスワード：x9!kQ2\nよろしくお願いします", "x9!kQ2"),
            ("解凍パスワードは以下の通りです。\n\n  20261122\n", "20261122"),
            ("ＰＷ：ａｂｃ１２３", "abc123"),
            ("パスワードは「請求書2026」です", "請求書2026"),
            ("The password is: infected.", "infected"),
            ("Password for the archive: \"open sesame\" (without quotes)", "open sesame"),
            ("pw 777", "777"),
            ("pass code => [zx81]", "zx81"),
            ("PASSWORD=secret;", "secret"),
        ] {
            let found = find(text);
            assert!(found.iter().take(4).any(|one| one == wanted), "{text}: {found:?}");
        }
        assert_eq!(find("upward and onward, nothing here"), Vec::<String>::new());
        assert!(find(&"password: a1 b2 c3 ".repeat(1_000)).len() <= PASSWORDS_MAX);
    }
}

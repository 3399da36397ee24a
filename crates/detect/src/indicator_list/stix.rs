//! STIX 2.1 bundles: objects of the type `indicator` with a STIX pattern.
//!
//! A pattern is taken when each of its comparisons alone says what is bad: equalities joined by OR.
//! One that needs several values together (AND, FOLLOWEDBY, WITHIN) would block too much when taken
//! apart, so it is refused.

use super::{ListError, Reading, Said, time};
use hinomi_model::{IndicatorKind, Text};
use serde_json::Value;

/// Longest pattern, bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

pub(super) fn read(bundle: &Value, reading: &mut Reading) -> Result<(), ListError> {
    let objects = match bundle {
        Value::Array(objects) => objects,
        _ => bundle.get("objects").and_then(Value::as_array).ok_or_else(|| {
            ListError(Text::new("this is no STIX bundle: it has no objects", "STIX バンドルではありません"))
        })?,
    };
    for object in objects {
        if object.get("type").and_then(Value::as_str) == Some("indicator") {
            take(object, reading)?;
        }
    }
    Ok(())
}

fn take(object: &Value, reading: &mut Reading) -> Result<(), ListError> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let (place, pattern) = (text("id"), text("pattern"));
    if object.get("revoked").and_then(Value::as_bool) == Some(true) {
        for (path, value) in comparisons(pattern).unwrap_or_default() {
            of_path(&path).into_iter().for_each(|kind| reading.withdraw(kind, &value));
        }
        reading.refuse(place, pattern, "it was revoked", "取り消されています");
        return Ok(());
    }
    let pattern_type = text("pattern_type");
    if !pattern_type.is_empty() && pattern_type != "stix" {
        let en = format!("its pattern is written in {pattern_type:?}");
        reading.refuse(place, pattern, &en, &format!("パターンの形式 {pattern_type:?} には対応していません"));
        return Ok(());
    }
    let comparisons = match comparisons(pattern) {
        Ok(comparisons) => comparisons,
        Err(reason) => {
            reading.refuse_for(place, pattern, reason);
            return Ok(());
        }
    };
    let note = if text("name").is_empty() { text("description") } else { text("name") };
    for (path, value) in comparisons {
        // a subject of STIX is literal
        let value = if path.ends_with(":subject") { value.replace('*', "?") } else { value };
        let Some(kind) = of_path(&path) else {
            let en = format!("nothing here compares {path}");
            reading.refuse(place, &value, &en, &format!("{path} には対応していません"));
            continue;
        };
        let expires_at = time(text("valid_until"));
        let said = Said { kind: Some(kind), note: Some(note.to_owned()), expires_at, ..Said::default() };
        reading.take(place, &value, said)?;
    }
    Ok(())
}

fn of_path(path: &str) -> Option<IndicatorKind> {
    let plain: String = path.to_lowercase().chars().filter(|c| !matches!(c, '\'' | '"' | '-' | '_')).collect();
    Some(match plain.as_str() {
        "file:hashes.sha256" | "artifact:hashes.sha256" => IndicatorKind::FileSha256,
        "file:hashes.sha1" | "artifact:hashes.sha1" => IndicatorKind::FileSha1,
        "file:hashes.md5" | "artifact:hashes.md5" => IndicatorKind::FileMd5,
        "ipv4addr:value" | "ipv6addr:value" => IndicatorKind::Ip,
        "domainname:value" => IndicatorKind::Domain,
        "url:value" => IndicatorKind::Url,
        "emailmessage:subject" => IndicatorKind::SubjectPattern,
        "x509certificate:hashes.sha256" => IndicatorKind::CertificateSha256,
        "emailaddr:value" | "emailmessage:fromref.value" | "emailmessage:senderref.value" => {
            IndicatorKind::SenderAddress
        }
        _ => return None,
    })
}

/// Path and value of each comparison of a pattern of equalities joined by OR.
fn comparisons(pattern: &str) -> Result<Vec<(String, String)>, Text> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(Text::new("its pattern is longer than 1 MiB", "パターンが 1 MiB を超えています"));
    }
    let tokens = tokens(pattern)?;
    let mut at = 0;
    let mut found = Vec::new();
    let together = || {
        Text::new(
            "its pattern needs several values together; each alone would say too much",
            "複数の値の組み合わせを必要とするパターンです",
        )
    };
    let broken = || Text::new("its pattern cannot be read", "パターンを読み取れません");
    loop {
        // one observation: [ comparison OR comparison … ]
        if tokens.get(at) != Some(&Token::Sign('[')) {
            return Err(broken());
        }
        at += 1;
        loop {
            let Some(Token::Word(path)) = tokens.get(at) else { return Err(broken()) };
            match (tokens.get(at + 1), tokens.get(at + 2)) {
                (Some(Token::Sign('=')), Some(Token::Text(value))) => {
                    found.push((path.clone(), value.clone()));
                    at += 3;
                }
                (Some(Token::Word(word)), Some(Token::Text(value))) if word.eq_ignore_ascii_case("ISSUBSET") => {
                    found.push((path.clone(), value.clone()));
                    at += 3;
                }
                (Some(Token::Word(word)), Some(Token::Sign('('))) if word.eq_ignore_ascii_case("IN") => {
                    at += 3;
                    loop {
                        let Some(Token::Text(value)) = tokens.get(at) else { return Err(broken()) };
                        found.push((path.clone(), value.clone()));
                        at += 1;
                        match tokens.get(at) {
                            Some(Token::Sign(',')) => at += 1,
                            Some(Token::Sign(')')) => break at += 1,
                            _ => return Err(broken()),
                        }
                    }
                }
                _ => {
                    return Err(Text::new(
                        "its pattern compares otherwise than for equality",
                        "一致以外の比較を使うパターンです",
                    ));
                }
            }
            match tokens.get(at) {
                Some(Token::Word(word)) if word.eq_ignore_ascii_case("OR") => at += 1,
                Some(Token::Sign(']')) => break at += 1,
                Some(Token::Word(word)) if word.eq_ignore_ascii_case("AND") => return Err(together()),
                _ => return Err(broken()),
            }
        }
        match tokens.get(at) {
            None => return Ok(found),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("OR") => at += 1,
            _ => return Err(together()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

fn tokens(pattern: &str) -> Result<Vec<Token>, Text> {
    let mut tokens = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            c if c.is_whitespace() => {}
            '[' | ']' | '(' | ')' | ',' | '=' | '!' | '<' | '>' => tokens.push(Token::Sign(c)),
            '\'' => tokens.push(Token::Text(quoted(&mut characters)?)),
            c => {
                // a path may hold quoted parts: file:hashes.'SHA-256'
                let mut word = String::from(c);
                while let Some(next) = characters.peek().copied() {
                    match next {
                        '\'' if word.ends_with('.') => {
                            characters.next();
                            word.push_str(&quoted(&mut characters)?);
                        }
                        c if c.is_whitespace() || "[](),=!<>'".contains(c) => break,
                        c => {
                            word.push(c);
                            characters.next();
                        }
                    }
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

fn quoted(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, Text> {
    let mut text = String::new();
    while let Some(c) = characters.next() {
        match c {
            '\\' => text.extend(characters.next()),
            '\'' => return Ok(text),
            c => text.push(c),
        }
    }
    Err(Text::new("a quote in its pattern never ends", "パターンの引用符が閉じられていません"))
}

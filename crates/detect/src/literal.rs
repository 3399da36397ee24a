//! Literals a regular expression cannot match without: they let it sleep until one occurs.

use crate::pattern::lower;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Most alternatives kept.
const LITERALS_MAX: usize = 40;
/// Shortest literal worth a wake-up, bytes.
const BYTES_MIN: usize = 2;

/// Returns lower-cased literals of which at least one occurs in the lower-cased form of every text the
/// expression matches; `None` when there are no useful ones.
pub(crate) fn required(regex: &str, insensitive: bool) -> Option<Vec<String>> {
    let hir = ParserBuilder::new().case_insensitive(insensitive).build().parse(regex).ok()?;
    let found = of(&hir)?;
    (found.iter().all(|literal| literal.len() >= BYTES_MIN)).then_some(found)
}

fn of(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![lower(std::str::from_utf8(&literal.0).ok()?).into_owned()]),
        HirKind::Class(class) => one_letter(class).map(|letter| vec![letter]),
        HirKind::Capture(capture) => of(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min >= 1 => of(&repetition.sub),
        HirKind::Concat(parts) => concat(parts),
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(of(part)?);
                if all.len() > LITERALS_MAX {
                    return None;
                }
            }
            all.sort();
            all.dedup();
            Some(all)
        }
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// The best of the parts: adjacent letters are joined first.
fn concat(parts: &[Hir]) -> Option<Vec<String>> {
    let mut candidates: Vec<Vec<String>> = Vec::new();
    let mut run = String::new();
    for part in parts {
        let single = matches!(part.kind(), HirKind::Literal(_) | HirKind::Class(_)).then(|| of(part)).flatten();
        match single.as_deref() {
            Some([letters]) => run.push_str(letters),
            _ => {
                if !run.is_empty() {
                    candidates.push(vec![std::mem::take(&mut run)]);
                }
                candidates.extend(of(part));
            }
        }
    }
    if !run.is_empty() {
        candidates.push(vec![run]);
    }
    candidates
        .into_iter()
        .max_by_key(|found| (found.iter().map(String::len).min().unwrap_or_default(), std::cmp::Reverse(found.len())))
}

/// The lower-case letter of a class that holds only the cases of one letter.
fn one_letter(class: &Class) -> Option<String> {
    const CASES_MAX: usize = 4;
    let chars: Vec<char> = match class {
        Class::Unicode(class) => {
            class.iter().flat_map(|range| range.start()..=range.end()).take(CASES_MAX + 1).collect()
        }
        Class::Bytes(class) => {
            if !class.is_ascii() {
                return None;
            }
            class.iter().flat_map(|range| range.start()..=range.end()).map(char::from).take(CASES_MAX + 1).collect()
        }
    };
    let mut lowered = chars.iter().map(|c| c.to_lowercase().collect::<String>());
    let first = lowered.next()?;
    (chars.len() <= CASES_MAX && lowered.all(|other| other == first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_of_expressions() {
        for (regex, insensitive, expected) in [
            ("curl", false, Some(vec!["curl"])),
            ("(?i)CuRL", false, Some(vec!["curl"])),
            ("PDF", true, Some(vec!["pdf"])),
            (r"/\.[^/]+$", false, Some(vec!["/."])),
            (r"a+bcd?(ef|gh)", false, Some(vec!["bc"])),
            (r"x?y*", false, None),
            (r"(abc)?", false, None),
            (r"x(ef|gh)", false, Some(vec!["ef", "gh"])),
            (r"(abc|\d)", false, None),
            (r"\|\s*(ba|z)?sh\b", false, Some(vec!["sh"])),
            ("[Kk]ill", false, Some(vec!["kill"])),
            ("[kl]ill", false, Some(vec!["ill"])),
        ] {
            let found = required(regex, insensitive);
            assert_eq!(
                found.as_deref(),
                expected.map(|it| it.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).as_deref(),
                "{regex}"
            );
        }
        // the long s is not lower-cased to s: no literal may be claimed across it
        assert_eq!(required("is", true), None);
    }
}

//! Patterns of subjects: literal text with `*` (any text) and `?` (one character), in any case.

/// Longest pattern, characters.
pub const PATTERN_CHARS_MAX: usize = 256;
/// Fewest characters of a pattern that are no wildcards: shorter ones fit everybody's mail.
pub const LITERALS_MIN: usize = 3;
/// Most patterns in force: each is compared with every subject.
pub const PATTERNS_MAX: usize = 2_000;
/// Characters of a subject that are compared.
const SUBJECT_CHARS_MAX: usize = 1_000;

/// A pattern ready to be compared.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: String,
    characters: Vec<char>,
    /// Its longest literal part: what does not hold it does not fit.
    literal: String,
}

impl Pattern {
    /// Prepares a pattern as [`normal`] writes it.
    pub fn new(text: &str) -> Pattern {
        let parts = text.split(['*', '?']);
        let literal = parts.max_by_key(|part| part.len()).unwrap_or_default().to_owned();
        Pattern { text: text.to_owned(), characters: text.chars().collect(), literal }
    }

    /// The pattern as it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True when a subject, as [`lower`] gives it, fits as a whole.
    pub fn fits(&self, subject: &str) -> bool {
        if !subject.contains(&self.literal) {
            return false;
        }
        let subject: Vec<char> = subject.chars().collect();
        let pattern = &self.characters;
        let (mut at, mut in_pattern) = (0, 0);
        // the last `*` and how much of the subject it has taken
        let mut star: Option<(usize, usize)> = None;
        while at < subject.len() {
            match pattern.get(in_pattern) {
                Some('*') => {
                    star = Some((in_pattern, at));
                    in_pattern += 1;
                }
                Some(wanted) if *wanted == '?' || *wanted == subject[at] => {
                    at += 1;
                    in_pattern += 1;
                }
                _ => {
                    let Some((place, taken)) = star else { return false };
                    star = Some((place, taken + 1));
                    at = taken + 1;
                    in_pattern = place + 1;
                }
            }
        }
        pattern[in_pattern..].iter().all(|rest| *rest == '*')
    }
}

/// A subject as it is compared: lower case, blanks as one space, its beginning.
pub(super) fn lower(subject: &str) -> String {
    let words: Vec<&str> = subject.split_whitespace().collect();
    words.join(" ").to_lowercase().chars().take(SUBJECT_CHARS_MAX).collect()
}

/// A pattern as it is stored: as a subject, with stars that follow each other as one.
pub(super) fn normal(pattern: &str) -> String {
    let mut text = lower(pattern);
    while text.contains("**") {
        text = text.replace("**", "*");
    }
    text
}

/// Characters that are no wildcards and no blanks.
pub(crate) fn literals(pattern: &str) -> usize {
    pattern.chars().filter(|c| !matches!(c, '*' | '?') && !c.is_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, subject, fits) in [
            ("invoice", "Invoice", true),
            ("invoice", "Your invoice", false),
            ("*invoice*", "Your  INVOICE\tis here", true),
            ("invoice ?? of *", "Invoice 42 of May", true),
            ("invoice ?? of *", "invoice 4 of May", false),
            ("**請求書*", "【重要】請求書の件", true),
            ("*a*b*c", "xxaxxbxxbxxc", true),
            ("*a*b*c", "xxaxxbxxbxxcd", false),
            ("re: *", "re:", false),
            ("", "", true),
        ] {
            assert_eq!(Pattern::new(&normal(pattern)).fits(&lower(subject)), fits, "{pattern} {subject}");
        }
    }

    #[test]
    fn the_worst_pattern_ends() {
        let pattern = Pattern::new(&normal(&"*a".repeat(128)));
        let most = "a".repeat(SUBJECT_CHARS_MAX - 1);
        assert!(!pattern.fits(&lower(&format!("{most}b"))));
        assert!(pattern.fits(&lower(&format!("{most}ab"))), "what lies beyond is not compared");
    }
}

//! Texts of rules: wildcards, escapes and how a pattern is compared.

pub(crate) use crate::glob::Glob;

/// A part of a text with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Literal characters.
    Text(String),
    /// `*`: any number of characters.
    Any,
    /// `?`: exactly one character.
    One,
}

/// A text with wildcards, as Sigma writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pattern(pub Vec<Part>);

/// Where a literal must stand in the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Anchor {
    Equals,
    Starts,
    Ends,
    Contains,
}

/// The cheapest way to compare a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `*` alone: the field has a value.
    Present,
    Literal(Anchor, String),
    /// Wildcards inside, and the longest literal that must occur.
    Glob {
        glob: Glob,
        needle: String,
    },
}

impl Pattern {
    /// Reads Sigma's escapes: `\*` and `\?` are literal, `\\` is one backslash, any other backslash
    /// stands for itself.
    pub fn parse(text: &str) -> Self {
        let mut pattern = Pattern::default();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.peek() {
                    Some(&next @ ('*' | '?' | '\\')) => {
                        chars.next();
                        pattern.push(next);
                    }
                    _ => pattern.push('\\'),
                },
                '*' => pattern.any_at_end(),
                '?' => pattern.0.push(Part::One),
                other => pattern.push(other),
            }
        }
        pattern
    }

    /// A text without wildcards.
    pub fn literal(text: impl Into<String>) -> Self {
        let text = text.into();
        Pattern(if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] })
    }

    /// The text, when there are no wildcards in it.
    pub fn as_literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The pattern with its literals in lower case.
    pub fn lowered(&self) -> Pattern {
        let lowered = |part: &Part| match part {
            Part::Text(text) => Part::Text(lower(text).into_owned()),
            other => other.clone(),
        };
        Pattern(self.0.iter().map(lowered).collect())
    }

    pub fn any_at_start(&mut self) {
        if self.0.first() != Some(&Part::Any) {
            self.0.insert(0, Part::Any);
        }
    }

    pub fn any_at_end(&mut self) {
        if self.0.last() != Some(&Part::Any) {
            self.0.push(Part::Any);
        }
    }

    /// Returns how to compare; literals keep their case.
    pub fn shape(&self) -> Shape {
        use Part::{Any, Text};
        match self.0.as_slice() {
            [] => Shape::Literal(Anchor::Equals, String::new()),
            [Any] | [Any, Any] => Shape::Present,
            [Text(text)] => Shape::Literal(Anchor::Equals, text.clone()),
            [Text(text), Any] => Shape::Literal(Anchor::Starts, text.clone()),
            [Any, Text(text)] => Shape::Literal(Anchor::Ends, text.clone()),
            [Any, Text(text), Any] => Shape::Literal(Anchor::Contains, text.clone()),
            parts => Shape::Glob { glob: Glob::new(parts), needle: longest(parts) },
        }
    }

    pub fn push(&mut self, c: char) {
        match self.0.last_mut() {
            Some(Part::Text(text)) => text.push(c),
            _ => self.0.push(Part::Text(c.to_string())),
        }
    }
}

fn longest(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.max_by_key(|text| text.len()).unwrap_or_default().to_owned()
}

/// Lower-cases character by character, so that pattern and value always agree (the whole-text
/// function treats a final sigma differently). Borrows when there is nothing to do.
pub(crate) fn lower(text: &str) -> std::borrow::Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return text.to_ascii_lowercase().into();
        }
        return text.into();
    }
    text.chars().flat_map(char::to_lowercase).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Shape) {
        assert_eq!(Pattern::parse(text).shape(), expected, "{text}");
    }

    #[test]
    fn escapes_and_wildcards() {
        use Anchor::*;
        check("a", Shape::Literal(Equals, "a".into()));
        check("", Shape::Literal(Equals, "".into()));
        check("*", Shape::Present);
        check("**", Shape::Present);
        check("a*", Shape::Literal(Starts, "a".into()));
        check(r"*\cmd.exe", Shape::Literal(Ends, r"\cmd.exe".into()));
        check(r"*\\cmd.exe", Shape::Literal(Ends, r"\cmd.exe".into()));
        check(r"\\\\host\x", Shape::Literal(Equals, r"\\host\x".into()));
        check(r"\\\host", Shape::Literal(Equals, r"\\host".into()));
        check(r"\*a\?", Shape::Literal(Equals, "*a?".into()));
        check(r"a\\*", Shape::Literal(Starts, r"a\".into()));
        check(r"a\\\*", Shape::Literal(Equals, r"a\*".into()));
    }

    #[test]
    fn lower_agrees_with_itself() {
        assert_eq!(lower("ΟΔΟΣ"), lower("οδοσ"));
        assert!(matches!(lower("/usr/bin"), std::borrow::Cow::Borrowed(_)));
    }
}

//! Texts with wildcards, compared without a regular expression: `*` any characters, `?` one.

use crate::pattern::Part;
use memchr::memmem;

/// A text with wildcards in the middle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    /// What stands between the `*`; none is empty.
    segments: Box<[Box<[Part]>]>,
    /// The first segment stands at the start.
    starts: bool,
    /// The last segment stands at the end.
    ends: bool,
}

impl Glob {
    pub fn new(parts: &[Part]) -> Glob {
        let segments = parts.split(|part| *part == Part::Any).filter(|segment| !segment.is_empty());
        Glob {
            segments: segments.map(Into::into).collect(),
            starts: parts.first() != Some(&Part::Any),
            ends: parts.last() != Some(&Part::Any),
        }
    }

    /// Compares by the case as given. Every segment takes its leftmost place: time grows with the length
    /// of the text times that of the pattern at worst.
    pub fn matches(&self, text: &str) -> bool {
        let mut segments = &self.segments[..];
        let mut rest = text;
        if self.starts {
            let Some((first, others)) = segments.split_first() else { return rest.is_empty() };
            let Some(after) = strip(rest, first) else { return false };
            if others.is_empty() {
                return !self.ends || after.is_empty();
            }
            (segments, rest) = (others, after);
        }
        if self.ends {
            let Some((last, others)) = segments.split_last() else { return true };
            let Some(before) = strip_end(rest, last) else { return false };
            (segments, rest) = (others, before);
        }
        for segment in segments {
            match find(rest, segment) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        true
    }
}

/// What follows the segment at the start of the text.
fn strip<'t>(mut text: &'t str, segment: &[Part]) -> Option<&'t str> {
    for part in segment {
        text = match part {
            Part::Text(literal) => text.strip_prefix(literal.as_str())?,
            Part::One | Part::Any => one(text)?,
        };
    }
    Some(text)
}

fn strip_end<'t>(mut text: &'t str, segment: &[Part]) -> Option<&'t str> {
    for part in segment.iter().rev() {
        text = match part {
            Part::Text(literal) => text.strip_suffix(literal.as_str())?,
            Part::One | Part::Any => {
                let mut chars = text.chars();
                chars.next_back()?;
                chars.as_str()
            }
        };
    }
    Some(text)
}

/// What follows the leftmost place of the segment.
fn find<'t>(mut text: &'t str, segment: &[Part]) -> Option<&'t str> {
    let (first, others) = segment.split_first()?;
    let Part::Text(literal) = first else {
        loop {
            match strip(text, segment) {
                Some(after) => return Some(after),
                None => text = one(text)?,
            }
        }
    };
    loop {
        let at = memmem::find(text.as_bytes(), literal.as_bytes())?;
        if let Some(after) = strip(&text[at + literal.len()..], others) {
            return Some(after);
        }
        text = one(&text[at..])?;
    }
}

fn one(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next()?;
    Some(chars.as_str())
}

#[cfg(test)]
mod tests {
    use crate::pattern::{Pattern, Shape};
    use proptest::prelude::*;

    fn as_regex(pattern: &Pattern) -> String {
        use crate::pattern::Part;
        let parts = pattern.0.iter().map(|part| match part {
            Part::Text(text) => regex::escape(text),
            Part::Any => ".*".to_owned(),
            Part::One => ".".to_owned(),
        });
        format!("(?s)\\A{}\\z", parts.collect::<String>())
    }

    proptest! {
        #[test]
        fn agrees_with_a_regular_expression(pattern in "[abé*?]{1,8}", text in "[abé\n]{0,12}") {
            let pattern = Pattern::parse(&pattern);
            if let Shape::Glob { glob, .. } = pattern.shape() {
                let regex = regex::Regex::new(&as_regex(&pattern)).expect("valid");
                prop_assert_eq!(glob.matches(&text), regex.is_match(&text), "{:?} {:?}", pattern, text);
            }
        }
    }
}

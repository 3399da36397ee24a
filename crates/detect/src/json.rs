//! JSON objects into records: what no rule can ask for is skipped, not parsed.

use crate::record::Record;
use sonic_rs::{JsonType, JsonValueTrait, LazyValue};

/// Deepest nesting of objects and lists; what lies deeper is left out and counted.
const DEPTH_MAX: usize = 24;
/// Most values of one list.
const LIST_MAX: usize = 10_000;

/// A line that is no JSON object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object: {0}")]
pub struct JsonError(String);

impl Record {
    /// Adds the fields of a JSON object. Nested names are joined with dots, lists give a field several
    /// values, and so does a key that stands twice: nothing can hide behind a duplicate.
    ///
    /// # Errors
    /// When the bytes are no JSON object in UTF-8; the fields before the mistake stay.
    pub fn read_json(&mut self, object: &[u8]) -> Result<(), JsonError> {
        let mut fields = sonic_rs::to_object_iter(object);
        for field in &mut fields {
            let (name, value) = field.map_err(|error| JsonError(error.to_string()))?;
            self.json(&name, &value, 0);
        }
        Ok(())
    }

    fn json(&mut self, name: &str, value: &LazyValue<'_>, depth: usize) {
        match value.get_type() {
            JsonType::Null => self.push_null(name),
            JsonType::String => {
                let raw = value.as_raw_str();
                let inner = raw.get(1..raw.len() - 1).unwrap_or_default();
                self.write(self.field(name), inner.len(), |text| unescape(inner, text));
            }
            JsonType::Number | JsonType::Boolean => self.push(name, value.as_raw_str()),
            JsonType::Object | JsonType::Array if depth >= DEPTH_MAX => self.leave_out(),
            JsonType::Object => {
                let mut path = String::with_capacity(name.len() + 24);
                for (key, value) in sonic_rs::to_object_iter(value.as_raw_str()).map_while(Result::ok) {
                    path.clear();
                    path.push_str(name);
                    path.push('.');
                    path.push_str(&key);
                    self.json(&path, &value, depth + 1);
                }
            }
            JsonType::Array => {
                let items = sonic_rs::to_array_iter(value.as_raw_str()).map_while(Result::ok);
                for (at, value) in items.enumerate() {
                    if at >= LIST_MAX {
                        self.leave_out();
                        break;
                    }
                    self.json(name, &value, depth + 1);
                }
            }
        }
    }
}

/// Decodes the inside of a JSON string. Half a surrogate pair becomes the replacement character.
fn unescape(mut raw: &str, out: &mut String) {
    while let Some(at) = memchr::memchr(b'\\', raw.as_bytes()) {
        out.push_str(&raw[..at]);
        let mut rest = raw[at + 1..].chars();
        match rest.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let first = unit(&mut rest);
                let c = match first {
                    0xD800..=0xDBFF => {
                        let mut ahead = rest.clone();
                        let low =
                            if (ahead.next(), ahead.next()) == (Some('\\'), Some('u')) { unit(&mut ahead) } else { 0 };
                        if (0xDC00..=0xDFFF).contains(&low) {
                            rest = ahead;
                            char::from_u32(0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00))
                        } else {
                            None
                        }
                    }
                    first => char::from_u32(first),
                };
                out.push(c.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => {}
        }
        raw = rest.as_str();
    }
    out.push_str(raw);
}

/// Four hexadecimal digits.
fn unit(chars: &mut std::str::Chars<'_>) -> u32 {
    (0..4).fold(0, |unit, _| unit << 4 | chars.next().and_then(|c| c.to_digit(16)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::unescape;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decodes_what_was_encoded(text in any::<String>(), units in prop::collection::vec(any::<u16>(), 0..8)) {
            let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            for (raw, expected) in [
                (serde_json::to_string(&text).expect("text"), text.clone()),
                (format!("\"{escaped}\""), String::from_utf16_lossy(&units)),
            ] {
                let mut decoded = String::new();
                unescape(&raw[1..raw.len() - 1], &mut decoded);
                prop_assert_eq!(decoded, expected);
            }
        }
    }
}

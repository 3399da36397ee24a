//! Rule documents as JSON, for tools that take rules apart and ask about the parts.

use crate::yaml::{self, Kind, Node, Style};
use serde_json::Value as Json;

/// Returns the documents of a rule file as JSON, keys in the order they are written. JSON is YAML: what
/// is made of the parts can be loaded as a rule again. Documents behind a mistake are left out.
///
/// ```
/// let documents = hinomi_detect::documents("detection: {sel: {A|contains: x, B: '1', C: 1}, condition: sel}");
/// assert_eq!(documents[0]["detection"]["sel"]["A|contains"], "x");
/// assert_eq!(documents[0]["detection"]["sel"]["B"], "1");
/// assert_eq!(documents[0]["detection"]["sel"]["C"], 1);
/// ```
pub fn documents(yaml: &str) -> Vec<Json> {
    yaml::read(yaml).0.iter().map(json).collect()
}

fn json(node: &Node) -> Json {
    match &node.kind {
        Kind::Map(entries) => {
            let entry = |(key, value): &(Node, Node)| (key.text().unwrap_or_default().to_owned(), json(value));
            Json::Object(entries.iter().map(entry).collect())
        }
        Kind::List(items) => items.iter().map(json).collect(),
        Kind::Scalar { .. } if node.is_null() => Json::Null,
        Kind::Scalar { text, style: Style::Plain } => match text.as_str() {
            "true" => true.into(),
            "false" => false.into(),
            number => match number.parse::<i64>() {
                // a number that is not written as JSON does stays a text
                Ok(value) if value.to_string() == *number => value.into(),
                _ => text.as_str().into(),
            },
        },
        Kind::Scalar { text, .. } => text.as_str().into(),
    }
}

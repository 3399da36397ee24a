//! Tests beside a rule: events that must make it fire and events that must not.

use crate::error::{Fault, RuleError, RuleErrorCode as Code};
use crate::yaml::{self, Kind as Yaml, Node};
use hinomi_model::{Event, Kind, Table, Timestamp, Value};

/// The examples of one rule (`<slug>.test.yml`).
///
/// ```
/// let yaml = "fires:\n- why: a shell\n  event: {Table: DeviceProcessEvents, FileName: sh}\nsilent: []\n";
/// let examples = hinomi_detect::Examples::parse("x.test.yml", yaml).unwrap();
/// assert_eq!(examples.fires[0].event.str("FileName"), Some("sh"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Examples {
    /// Events the rule must fire on.
    pub fires: Vec<Example>,
    /// Events the rule must stay silent on.
    pub silent: Vec<Example>,
}

/// One event of a rule's tests.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// What the event is.
    pub why: String,
    /// The event.
    pub event: Event,
}

impl Examples {
    /// Reads examples from YAML; `path` is for messages. An event is a map of columns with `Table`;
    /// `AdditionalFields` may be a map.
    ///
    /// # Errors
    /// When the text is not such a list, or names an unknown table or column.
    pub fn parse(path: &str, text: &str) -> Result<Examples, RuleError> {
        read(text).map_err(|fault| fault.of(path, text))
    }
}

fn read(text: &str) -> Result<Examples, Fault> {
    let (documents, fault) = yaml::read(text);
    if let Some(fault) = fault {
        return Err(fault);
    }
    let [document] = documents.as_slice() else {
        return Err(Fault::new((1, 1), Code::Structure, "expected one document with the lists fires and silent"));
    };
    for (key, _) in document.map().unwrap_or_default() {
        if !matches!(key.text(), Some("fires" | "silent")) {
            return Err(Fault::new(key.at, Code::Structure, "unknown key").hint("fires, silent"));
        }
    }
    Ok(Examples { fires: examples(document, "fires")?, silent: examples(document, "silent")? })
}

fn examples(document: &Node, key: &str) -> Result<Vec<Example>, Fault> {
    let list = document.get(key).and_then(Node::list);
    let list = list.ok_or_else(|| Fault::new(document.at, Code::Structure, format!("no list {key:?}")))?;
    list.iter().map(example).collect()
}

fn example(node: &Node) -> Result<Example, Fault> {
    let missing = |key: &str| Fault::new(node.at, Code::Structure, format!("the key {key:?} is missing"));
    let why = node.get("why").and_then(Node::text).ok_or_else(|| missing("why"))?.to_owned();
    let columns = node.get("event").and_then(Node::map).ok_or_else(|| missing("event"))?;
    let table = columns.iter().find(|(name, _)| name.text() == Some("Table")).ok_or_else(|| missing("Table"))?;
    let table = table.1.text().and_then(Table::from_name);
    let table = table.ok_or_else(|| Fault::new(node.at, Code::Structure, "no such table"))?;
    let mut event = Event::new(table, Timestamp::default());
    for (name, value) in columns {
        let name_text = name.text().unwrap_or_default();
        if name_text == "Table" {
            continue;
        }
        let column = table.columns().iter().find(|column| column.name == name_text);
        let column = column
            .ok_or_else(|| Fault::new(name.at, Code::Field, format!("{} has no column {name_text:?}", table.name())))?;
        let fault =
            || Fault::new(value.at, Code::Value, format!("{name_text} needs a value of type {:?}", column.kind));
        let value = cell(column.kind, value).ok_or_else(fault)?;
        event.try_set(name_text, value);
    }
    Ok(Example { why, event })
}

fn cell(kind: Kind, node: &Node) -> Option<Value> {
    if kind == Kind::String && node.text().is_none() {
        return Some(Value::String(json(node).to_string()));
    }
    let text = node.text()?;
    Some(match kind {
        Kind::String => Value::String(text.to_owned()),
        Kind::Long => Value::Long(text.parse().ok()?),
        Kind::Bool => Value::Bool(text.parse().ok()?),
        Kind::Datetime => Value::Datetime(Timestamp::parse(text)?),
    })
}

fn json(node: &Node) -> serde_json::Value {
    match &node.kind {
        Yaml::Map(entries) => {
            let entry = |(key, value): &(Node, Node)| (key.text().unwrap_or_default().to_owned(), json(value));
            serde_json::Value::Object(entries.iter().map(entry).collect())
        }
        Yaml::List(items) => items.iter().map(json).collect(),
        Yaml::Scalar { .. } if node.is_null() => serde_json::Value::Null,
        Yaml::Scalar { text, style } => match (style, text.parse::<i64>()) {
            (yaml::Style::Plain, Ok(number)) => number.into(),
            _ => text.as_str().into(),
        },
    }
}

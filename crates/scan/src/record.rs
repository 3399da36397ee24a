//! One event as it was written, flat: names and values.

use hinomi_detect::Class;
use hinomi_model::{Event, Timestamp};
use std::borrow::Cow;
use std::sync::Arc;

/// A value of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// There, without a value.
    Null,
    /// Truth value.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Other number.
    Float(f64),
    /// Text.
    Text(String),
    /// Several values of one field.
    List(Vec<Value>),
}

impl Value {
    /// Returns the value as text; the first of a list, nothing for null.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Value::Null => None,
            Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
            Value::Int(number) => Some(Cow::Owned(number.to_string())),
            Value::Float(number) => Some(Cow::Owned(number.to_string())),
            Value::Text(text) => Some(Cow::Borrowed(text)),
            Value::List(items) => items.first()?.text(),
        }
    }

    /// Returns every value as text.
    pub fn texts(&self) -> Vec<Cow<'_, str>> {
        match self {
            Value::List(items) => items.iter().flat_map(Value::texts).collect(),
            one => one.text().into_iter().collect(),
        }
    }

    /// Returns the value as JSON; text longer than `bytes_max` is cut.
    pub fn json(&self, bytes_max: usize) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(truth) => (*truth).into(),
            Value::Int(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Text(text) => cut(text, bytes_max).into(),
            Value::List(items) => items.iter().map(|item| item.json(bytes_max)).collect(),
        }
    }
}

/// A field of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name, without spaces.
    pub name: Arc<str>,
    /// Its value.
    pub value: Value,
}

/// One event, completed with the names rules use.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub(crate) fields: Vec<Field>,
    /// How many of the fields stood in the log; the others were derived from them.
    pub(crate) own: usize,
    /// When it happened.
    pub time: Option<Timestamp>,
    /// Its number in its log: the record id, or the line.
    pub record_id: Option<u64>,
    /// What it is to rules.
    pub class: Arc<Class>,
    /// The row of a hunting table it is, of our own sensor.
    pub row: Option<Box<Event>>,
}

impl Record {
    /// Returns the value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|field| *field.name == *name).map(|field| &field.value)
    }

    /// Returns the value of a field as text.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name)?.text()
    }

    /// Returns the fields that stood in the log.
    pub fn own_fields(&self) -> &[Field] {
        &self.fields[..self.own.min(self.fields.len())]
    }

    /// Returns every field, also those derived.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Adds a field; a second value of the same name makes a list, so that nothing hides behind a
    /// duplicate.
    pub(crate) fn push(&mut self, name: Arc<str>, value: Value) {
        match self.fields.iter_mut().find(|field| field.name == name) {
            None => self.fields.push(Field { name, value }),
            Some(known) => match &mut known.value {
                Value::List(items) if items.len() < crate::limits::LIST_MAX => items.push(value),
                Value::List(_) => {}
                first => *first = Value::List(vec![std::mem::replace(first, Value::Null), value]),
            },
        }
    }
}

/// Cuts text at a character boundary.
pub(crate) fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

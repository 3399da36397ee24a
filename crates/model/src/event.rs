//! Events: rows of the hunting tables.

use crate::schema::Table;
use crate::time::Timestamp;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    String,
    /// 64-bit signed integer.
    Long,
    /// UTC instant, microseconds.
    Datetime,
    /// Truth value.
    Bool,
}

/// A column of a hunting table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Public name, for example `InitiatingProcessFileName`.
    pub name: &'static str,
    /// Type of its values.
    pub kind: Kind,
}

/// A value of a row. A column that is not set is null.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// UTF-8 text.
    String(String),
    /// 64-bit signed integer.
    Long(i64),
    /// UTC instant.
    Datetime(Timestamp),
    /// Truth value.
    Bool(bool),
}

impl Value {
    /// Returns the text of a string value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the kind of the value.
    pub fn kind(&self) -> Kind {
        match self {
            Value::String(_) => Kind::String,
            Value::Long(_) => Kind::Long,
            Value::Datetime(_) => Kind::Datetime,
            Value::Bool(_) => Kind::Bool,
        }
    }

    /// Returns the value as the text a rule or a person compares.
    pub fn to_text(&self) -> String {
        match self {
            Value::String(text) => text.clone(),
            Value::Long(number) => number.to_string(),
            Value::Datetime(at) => at.to_string(),
            Value::Bool(truth) => truth.to_string(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Long(number)
    }
}
impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Value::Long(i64::from(number))
    }
}
impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Value::Long(i64::from(number))
    }
}
impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Bool(truth)
    }
}
impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Value::Datetime(at)
    }
}

/// One event: a table, its time and the columns that are set.
///
/// In JSON it is one object: `{"Table": "DeviceProcessEvents", "Timestamp": "…", "FileName": "bash", …}`.
/// Columns the table does not have are refused when reading: what the schema lacks belongs into
/// `AdditionalFields`, a JSON object as text.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The table the row belongs to.
    pub table: Table,
    /// When it happened (column `Timestamp`).
    pub timestamp: Timestamp,
    /// (column index in `table.columns()`, value), sorted by index, `Timestamp` excluded.
    row: Vec<(u16, Value)>,
}

/// Longest text kept in one column, bytes. Longer values are cut when set (Linux limits one
/// argument to 128 KiB; command lines beyond 32 KiB carry no more for detection).
pub const TEXT_BYTES_MAX: usize = 32 * 1024;

impl Event {
    /// Builds an empty row of `table` at `timestamp`.
    pub fn new(table: Table, timestamp: Timestamp) -> Self {
        Event { table, timestamp, row: Vec::with_capacity(24) }
    }

    /// Sets a column; text beyond [`TEXT_BYTES_MAX`] is cut at a character boundary.
    ///
    /// # Panics
    /// When the table has no such column or it has another type: a mistake in our own code.
    /// For names from outside use [`Event::try_set`].
    pub fn set(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        let value = value.into();
        assert!(self.try_set(name, value), "{} has no such column {name} of that type", self.table.name());
        self
    }

    /// Sets a column when `value` is present.
    pub fn set_some<V: Into<Value>>(&mut self, name: &str, value: Option<V>) -> &mut Self {
        if let Some(value) = value {
            self.set(name, value);
        }
        self
    }

    /// Sets a column; false when the table has no such column or it has another type.
    pub fn try_set(&mut self, name: &str, mut value: Value) -> bool {
        if name == "Timestamp" {
            let Value::Datetime(at) = value else { return false };
            self.timestamp = at;
            return true;
        }
        let Some(index) = self.table.column_index(name) else { return false };
        if self.table.columns()[usize::from(index)].kind != value.kind() {
            return false;
        }
        if let Value::String(text) = &mut value {
            cut(text, TEXT_BYTES_MAX);
        }
        match self.row.binary_search_by_key(&index, |(at, _)| *at) {
            Ok(at) => self.row[at].1 = value,
            Err(at) => self.row.insert(at, (index, value)),
        }
        true
    }

    /// Returns the value of a column, `None` when it is null or the table lacks it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let index = self.table.column_index(name)?;
        let at = self.row.binary_search_by_key(&index, |(at, _)| *at).ok()?;
        Some(&self.row[at].1)
    }

    /// Returns the value of the column at an index of `table.columns()`.
    pub fn cell(&self, index: u16) -> Option<&Value> {
        let at = self.row.binary_search_by_key(&index, |(at, _)| *at).ok()?;
        Some(&self.row[at].1)
    }

    /// Returns the text of a string column.
    pub fn str(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// Returns the number of a long column.
    pub fn long(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::Long(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the instant of a datetime column.
    pub fn datetime(&self, name: &str) -> Option<Timestamp> {
        match self.get(name)? {
            Value::Datetime(at) => Some(*at),
            _ => None,
        }
    }

    /// Iterates over (column name, value) of the columns that are set, `Timestamp` excluded.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        let columns = self.table.columns();
        self.row.iter().map(move |(index, value)| (columns[usize::from(*index)].name, value))
    }

    /// Iterates over (column index, value), sorted by index, `Timestamp` (index 0) excluded.
    pub fn cells(&self) -> impl Iterator<Item = (u16, &Value)> {
        self.row.iter().map(|(index, value)| (*index, value))
    }

    /// Returns one entry of the JSON object in `AdditionalFields`.
    pub fn additional(&self, name: &str) -> Option<serde_json::Value> {
        let fields: serde_json::Value = serde_json::from_str(self.str("AdditionalFields")?).ok()?;
        fields.get(name).cloned()
    }

    /// Adds one entry to the JSON object in `AdditionalFields`; false when the table lacks the column.
    pub fn set_additional(&mut self, name: &str, value: impl Into<serde_json::Value>) -> bool {
        let mut fields = self
            .str("AdditionalFields")
            .and_then(|text| serde_json::from_str::<serde_json::Map<_, _>>(text).ok())
            .unwrap_or_default();
        fields.insert(name.to_owned(), value.into());
        self.try_set("AdditionalFields", Value::String(serde_json::Value::Object(fields).to_string()))
    }
}

fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}

impl Table {
    /// Returns the table with that public name.
    pub fn from_name(name: &str) -> Option<Table> {
        Table::ALL.iter().copied().find(|table| table.name() == name)
    }

    /// Returns the position of a column in [`Table::columns`]; names are case-sensitive.
    pub fn column_index(self, name: &str) -> Option<u16> {
        // at most 78 short names: comparing lengths first makes this cheaper than a hash
        self.columns().iter().position(|column| column.name == name).map(|at| at as u16)
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.row.len() + 2))?;
        map.serialize_entry("Table", self.table.name())?;
        map.serialize_entry("Timestamp", &self.timestamp)?;
        for (name, value) in self.iter() {
            match value {
                Value::String(text) => map.serialize_entry(name, text)?,
                Value::Long(number) => map.serialize_entry(name, number)?,
                Value::Datetime(at) => map.serialize_entry(name, at)?,
                Value::Bool(truth) => map.serialize_entry(name, truth)?,
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EventVisitor)
    }
}

struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event object whose first key is Table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event, A::Error> {
        let mut table = None;
        let mut early: Vec<(String, serde_json::Value)> = Vec::new();
        let mut event: Option<Event> = None;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == "Table" {
                let name: std::borrow::Cow<'de, str> = map.next_value()?;
                let found =
                    Table::from_name(&name).ok_or_else(|| A::Error::custom(format_args!("unknown table {name:?}")))?;
                if table.replace(found).is_some() {
                    return Err(A::Error::duplicate_field("Table"));
                }
                event = Some(Event::new(found, Timestamp::default()));
                continue;
            }
            let value: serde_json::Value = map.next_value()?;
            match &mut event {
                Some(event) => accept(event, &key, value)?,
                None => early.push((key.into_owned(), value)),
            }
        }
        let mut event = event.ok_or_else(|| A::Error::missing_field("Table"))?;
        for (key, value) in early {
            accept(&mut event, &key, value)?;
        }
        Ok(event)
    }
}

fn accept<E: serde::de::Error>(event: &mut Event, key: &str, value: serde_json::Value) -> Result<(), E> {
    let kind = match key {
        "Timestamp" => Kind::Datetime,
        _ => {
            let index = event
                .table
                .column_index(key)
                .ok_or_else(|| E::custom(format_args!("{} has no column {key:?}", event.table.name())))?;
            event.table.columns()[usize::from(index)].kind
        }
    };
    let value = match (kind, value) {
        (_, serde_json::Value::Null) => return Ok(()),
        (Kind::String, serde_json::Value::String(text)) => Value::String(text),
        // dynamic columns are kept as JSON text
        (Kind::String, other @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) => {
            Value::String(other.to_string())
        }
        (Kind::Long, serde_json::Value::Number(number)) if number.is_i64() => {
            Value::Long(number.as_i64().unwrap_or_default())
        }
        (Kind::Bool, serde_json::Value::Bool(truth)) => Value::Bool(truth),
        (Kind::Datetime, serde_json::Value::String(text)) => Value::Datetime(
            Timestamp::parse(&text).ok_or_else(|| E::custom(format_args!("{key}: not an RFC 3339 time")))?,
        ),
        _ => return Err(E::custom(format_args!("{key}: value is not of type {kind:?}"))),
    };
    event.try_set(key, value);
    Ok(())
}

/// Points at one event of the lake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventRef {
    /// Table of the event.
    pub table: Table,
    /// When it happened.
    pub timestamp: Timestamp,
    /// Device that reported it; none for mail events.
    pub device_id: Option<crate::DeviceId>,
    /// `ReportId` as text: unique per device, or per gateway for mail events.
    pub report_id: String,
}

impl Event {
    /// Returns the pointer to this event.
    pub fn reference(&self) -> EventRef {
        let report_id = match self.get("ReportId") {
            Some(value) => value.to_text(),
            None => String::new(),
        };
        EventRef { table: self.table, timestamp: self.timestamp, device_id: self.device_id(), report_id }
    }

    /// Returns the device of a device event.
    pub fn device_id(&self) -> Option<crate::DeviceId> {
        self.str("DeviceId")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_round_trips() {
        let mut event = Event::new(Table::DeviceFileEvents, Timestamp::from_micros(1_000_001));
        event.set("FileName", "請求書.sh").set("FileSize", 12_i64);
        event.set_additional("Cwd", "/tmp");
        let text = serde_json::to_string(&event).expect("json");
        assert_eq!(serde_json::from_str::<Event>(&text).expect("back"), event);
    }

    #[test]
    fn unknown_columns_and_types_are_refused() {
        for bad in [
            r#"{"Table":"Nope"}"#,
            r#"{"FileName":"x"}"#,
            r#"{"Table":"DeviceFileEvents","Nope":1}"#,
            r#"{"Table":"DeviceFileEvents","FileSize":"1"}"#,
            r#"{"Table":"DeviceFileEvents","Timestamp":"now"}"#,
        ] {
            assert!(serde_json::from_str::<Event>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_column_is_named_once() {
        for table in Table::ALL {
            let mut names: Vec<_> = table.columns().iter().map(|c| c.name.to_lowercase()).collect();
            names.sort();
            let before = names.len();
            names.dedup();
            assert_eq!(names.len(), before, "{}", table.name());
            assert_eq!(table.columns()[0].name, "Timestamp", "{}", table.name());
        }
    }
}

//! Completes events: other names of their fields, their log sources, what those derive.

use crate::limits::{CLASSES_MAX, NAMES_MAX};
use crate::record::{Field, Record, Value};
use hinomi_detect::{Class, LogsourceMap, content};
use hinomi_model::Timestamp;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Fields that tell when an event happened, best first.
const TIMES: [&str; 12] = [
    "TimeCreated_SystemTime",
    "UtcTime",
    "@timestamp",
    "EventTime",
    "TimeCreated",
    "Timestamp",
    "timestamp",
    "eventTime",
    "SystemTime",
    "time",
    "date",
    "EventReceivedTime",
];

/// What one worker remembers between events.
pub struct Completer {
    map: &'static LogsourceMap,
    names: HashMap<Box<str>, Name>,
    classes: HashMap<Vec<u8>, Arc<Class>>,
    /// Names of the deciding fields and of derived ones.
    keys: Vec<Arc<str>>,
}

/// Other names of a field, each with how far it is from the first choice.
type Aliases = Arc<[(Arc<str>, usize)]>;

#[derive(Clone)]
struct Name {
    name: Arc<str>,
    aliases: Aliases,
}

impl Default for Completer {
    fn default() -> Self {
        let map = content::logsources();
        let keys = map.keys().iter().map(|key| Arc::from(key.as_str())).collect();
        Completer { map, names: HashMap::new(), classes: HashMap::new(), keys }
    }
}

impl Completer {
    /// Returns the name of a field as events carry it: without the prefix of a shipper, without spaces.
    pub fn name(&mut self, written: &str) -> Arc<str> {
        if let Some(known) = self.names.get(written) {
            return Arc::clone(&known.name);
        }
        let stripped = self.map.strip(written);
        let name: Arc<str> = stripped.split(' ').collect::<String>().into();
        let aliases = aliases(self.map, &name);
        let known = Name { name: Arc::clone(&name), aliases };
        if self.names.len() < NAMES_MAX {
            self.names.insert(written.into(), known.clone());
            self.names.insert(name.as_ref().into(), known);
        }
        name
    }

    fn aliases(&self, name: &str) -> Aliases {
        self.names.get(name).map_or_else(|| aliases(self.map, name), |known| Arc::clone(&known.aliases))
    }

    /// Completes an event whose own fields are all there.
    pub fn complete(&mut self, record: &mut Record) {
        record.own = record.fields.len();
        // how far from the first choice the fields added here are
        let mut choices: Vec<usize> = Vec::new();
        for at in 0..record.own {
            for (alias, choice) in self.aliases(&record.fields[at].name).iter() {
                let known = record.fields.iter().position(|field| field.name == *alias);
                match known {
                    None => {
                        let value = record.fields[at].value.clone();
                        record.fields.push(Field { name: Arc::clone(alias), value });
                        choices.push(*choice);
                    }
                    // NXLog writes the field, and something else in it
                    Some(known) if known < record.own && &**alias == "EventType" => {
                        if record.fields[known].value == Value::Text("INFO".to_owned()) {
                            record.fields[known].value = record.fields[at].value.clone();
                        }
                    }
                    Some(known) if known >= record.own && *choice < choices[known - record.own] => {
                        record.fields[known].value = record.fields[at].value.clone();
                        choices[known - record.own] = *choice;
                    }
                    Some(_) => {}
                }
            }
        }
        record.class = self.classify(record);
        let class = Arc::clone(&record.class);
        for (name, derive) in &class.fields {
            if record.get(name).is_none() {
                let value = derive.value(|name| record.text(name)).map(|value| Value::Text(value.into_owned()));
                if let Some(value) = value {
                    record.fields.push(Field { name: Arc::from(name.as_str()), value });
                }
            }
        }
        if record.time.is_none() {
            record.time = TIMES.iter().find_map(|name| time(&record.text(name)?));
        }
        if record.record_id.is_none() {
            record.record_id = record.text("EventRecordID").and_then(|id| id.parse().ok());
        }
    }

    fn classify(&mut self, record: &Record) -> Arc<Class> {
        let values: Vec<Vec<Cow<'_, str>>> =
            self.keys.iter().map(|key| record.get(key).map(Value::texts).unwrap_or_default()).collect();
        let mut key = Vec::with_capacity(96);
        for value in values.iter() {
            for text in value {
                key.extend_from_slice(text.as_bytes());
                key.push(0x1f);
            }
            key.push(0x1e);
        }
        if let Some(class) = self.classes.get(&key) {
            return Arc::clone(class);
        }
        let found = self.map.classify(&values);
        // few classes, many keys: equal ones share memory, and what the engine knows of them
        let class = match self.classes.values().find(|known| ***known == found) {
            Some(known) => Arc::clone(known),
            None => Arc::new(found),
        };
        if self.classes.len() < CLASSES_MAX {
            self.classes.insert(key, Arc::clone(&class));
        }
        class
    }
}

fn aliases(map: &LogsourceMap, name: &str) -> Aliases {
    map.aliases(name).iter().map(|(alias, choice)| (Arc::from(alias.as_str()), *choice)).collect()
}

/// Reads a time as logs write it: RFC 3339, with a space for the T, without a zone (UTC), or seconds
/// since 1970.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Some(at) = Timestamp::parse(text) {
        return Some(at);
    }
    if text.len() >= 19 && text.is_ascii() && text.as_bytes()[4] == b'-' {
        let zone = if text.ends_with('Z') || text[19..].contains(['+', '-']) { "" } else { "Z" };
        return Timestamp::parse(&format!("{}T{}{zone}", &text[..10], text[11..].trim_start().replace(" UTC", "")));
    }
    let number: f64 = text.parse().ok()?;
    let micros = match number {
        n if n > 1e17 => n / 1e3,
        n if n > 1e14 => n,
        n if n > 1e11 => n * 1e3,
        n if n > 1e8 => n * 1e6,
        _ => return None,
    };
    Some(Timestamp::from_micros(micros as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_logs() {
        let expected = Timestamp::parse("2020-10-19T03:30:46.416Z");
        for text in
            ["2020-10-19T03:30:46.416Z", "2020-10-19 03:30:46.416", "2020-10-19 03:30:46.416 UTC", "1603078246416"]
        {
            assert_eq!(time(text), expected, "{text}");
        }
        for text in ["", "yesterday", "-1", "2020-13-99 00:00:00", "2020"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn the_first_choice_wins_wherever_it_stands() {
        for order in [["ProviderName", "SourceName"], ["SourceName", "ProviderName"]] {
            let mut completer = Completer::default();
            let mut record = Record::default();
            for name in order {
                record.push(completer.name(name), Value::Text(name.to_owned()));
            }
            completer.complete(&mut record);
            assert_eq!(record.text("Provider_Name").as_deref(), Some("SourceName"));
        }
    }

    #[test]
    fn shippers_names_become_those_of_rules() {
        let mut completer = Completer::default();
        let mut record = Record::default();
        for (name, value) in [
            ("winlog.channel", "Microsoft-Windows-Sysmon/Operational"),
            ("winlog.event_id", "1"),
            ("winlog.event_data.Image", r"C:\Windows\cmd.exe"),
            ("winlog.computer_name", "pc1"),
            ("winlog.record_id", "7"),
            ("@timestamp", "2026-01-02T03:04:05Z"),
        ] {
            let name = completer.name(name);
            record.push(name, Value::Text(value.to_owned()));
        }
        completer.complete(&mut record);
        assert_eq!(record.text("Image").as_deref(), Some(r"C:\Windows\cmd.exe"));
        assert_eq!(record.text("Computer").as_deref(), Some("pc1"));
        assert_eq!(record.record_id, Some(7));
        assert_eq!(record.class.categories, ["process_creation"]);
        assert_eq!(record.own_fields().len(), 6);
        assert!(record.time.is_some());
    }
}

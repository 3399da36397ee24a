//! A row of a hunting table as matchers read it: no copy, no map; `AdditionalFields` is parsed only when
//! a rule asks for one of its keys.

use crate::fields::Target;
use crate::values::Values;
use hinomi_model::{Event, Value};
use serde_json::Value as Json;
use std::cell::OnceCell;

/// Most values of one list in `AdditionalFields` (an `Argv`) that are looked at.
const LIST_MAX: usize = 1_000;

/// One event and the fields the rules of its table use.
pub(crate) struct Row<'e> {
    event: &'e Event,
    targets: &'e [Target],
    additional: OnceCell<Option<Json>>,
}

impl<'e> Row<'e> {
    pub fn new(event: &'e Event, targets: &'e [Target]) -> Self {
        Row { event, targets, additional: OnceCell::new() }
    }

    fn cell<R>(&self, index: u16, look: impl FnOnce(&str) -> R) -> Option<R> {
        Some(match self.event.cell(index)? {
            Value::String(text) => look(text),
            other => look(&other.to_text()),
        })
    }

    fn additional(&self, key: &str) -> Option<&Json> {
        let parse = || serde_json::from_str(self.event.str("AdditionalFields")?).ok();
        self.additional.get_or_init(parse).as_ref()?.get(key)
    }

    fn joined(&self, columns: &[u16], separator: &str, named: bool) -> Option<String> {
        let names = self.event.table.columns();
        let mut joined: Option<String> = None;
        for index in columns {
            self.cell(*index, |text| {
                let joined = joined.get_or_insert_default();
                if !joined.is_empty() {
                    joined.push_str(separator);
                }
                if let (true, Some(column)) = (named, names.get(usize::from(*index))) {
                    joined.push_str(column.name);
                    joined.push('=');
                }
                joined.push_str(text);
            });
        }
        joined
    }
}

impl Values for Row<'_> {
    fn any(&self, slot: u32, mut check: impl FnMut(&str) -> bool) -> bool {
        match &self.targets[slot as usize] {
            Target::Column(index) => self.cell(*index, check).unwrap_or(false),
            Target::Const(text) => check(text),
            Target::Join(columns, separator) => self.joined(columns, separator, false).is_some_and(|text| check(&text)),
            Target::Hashes(columns) => self.joined(columns, ",", true).is_some_and(|text| check(&text)),
            Target::Additional(key) => match self.additional(key) {
                None | Some(Json::Null) => false,
                Some(Json::Array(items)) => items.iter().take(LIST_MAX).any(|item| text(item, &mut check)),
                Some(other) => text(other, &mut check),
            },
            Target::AnyText => self.event.cells().filter_map(|(_, value)| value.as_str()).any(check),
            Target::Named(_) => false,
        }
    }

    fn exists(&self, slot: u32) -> bool {
        match &self.targets[slot as usize] {
            Target::Additional(key) => self.additional(key).is_some(),
            _ => self.any(slot, |_| true),
        }
    }

    fn texts(&self, mut each: impl FnMut(&str)) {
        self.event.cells().filter_map(|(_, value)| value.as_str()).for_each(&mut each);
    }
}

fn text(json: &Json, check: &mut impl FnMut(&str) -> bool) -> bool {
    match json {
        Json::String(text) => check(text),
        other => check(&other.to_string()),
    }
}

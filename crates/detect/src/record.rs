//! An event of any log: names and texts, in one buffer that is used again.

use crate::values::Values;
use std::collections::HashMap;
use std::sync::Arc;

/// Most values of one event; more are counted and left out.
const VALUES_MAX: usize = 100_000;
/// Most bytes of one event.
const BYTES_MAX: usize = 64 << 20;

/// Number of a field name in an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(pub(crate) u32);

/// Names of the fields an engine knows: those of its rules and those it was told of.
#[derive(Debug, Default)]
pub(crate) struct FieldNames {
    pub ids: HashMap<Box<str>, u32>,
    pub count: usize,
}

/// One event of a log, for [`crate::LogEngine`].
///
/// Made by [`crate::LogEngine::record`], filled with [`Record::push`], emptied with [`Record::clear`].
/// A field with several values (a list, or a key that stands twice) matches when one of them does.
/// Values of fields no rule names are kept for keywords.
#[derive(Debug, Clone)]
pub struct Record {
    names: Arc<FieldNames>,
    text: String,
    values: Vec<Value>,
    /// For each field the first and last of its values + 1; 0 = none, `NULL` = there, but null.
    heads: Vec<(u32, u32)>,
    used: Vec<u32>,
    dropped: u64,
}

#[derive(Debug, Clone, Copy)]
struct Value {
    from: u32,
    to: u32,
    /// Next value of the same field + 1.
    next: u32,
}

const NULL: u32 = u32::MAX;

impl Record {
    pub(crate) fn new(names: Arc<FieldNames>) -> Self {
        let heads = vec![(0, 0); names.count];
        Record { names, text: String::new(), values: Vec::new(), heads, used: Vec::new(), dropped: 0 }
    }

    /// Empties the record for the next event; memory is kept.
    pub fn clear(&mut self) {
        self.text.clear();
        self.values.clear();
        for field in self.used.drain(..) {
            self.heads[field as usize] = (0, 0);
        }
    }

    /// Returns the number of a field name, `None` when no rule uses it.
    pub fn field(&self, name: &str) -> Option<FieldId> {
        self.names.ids.get(name).map(|id| FieldId(*id))
    }

    /// Adds a value to a field, by name.
    pub fn push(&mut self, name: &str, value: &str) {
        match self.field(name) {
            Some(field) => self.push_to(field, value),
            None => {
                self.add(value);
            }
        }
    }

    /// Adds a value to a field.
    pub fn push_to(&mut self, field: FieldId, value: &str) {
        let Some(at) = self.add(value) else { return };
        let (first, last) = self.heads[field.0 as usize];
        if first == 0 || first == NULL {
            if first == 0 {
                self.used.push(field.0);
            }
            self.heads[field.0 as usize] = (at, at);
        } else {
            self.values[last as usize - 1].next = at;
            self.heads[field.0 as usize].1 = at;
        }
    }

    /// Says that a field is in the event and null.
    pub fn push_null(&mut self, name: &str) {
        if let Some(FieldId(field)) = self.field(name)
            && self.heads[field as usize].0 == 0
        {
            self.heads[field as usize] = (NULL, NULL);
            self.used.push(field);
        }
    }

    /// Lets `to` have the values of `from` when it has none of its own.
    pub fn alias(&mut self, from: FieldId, to: FieldId) {
        let head = self.heads[from.0 as usize];
        if head.0 != 0 && self.heads[to.0 as usize].0 == 0 {
            self.heads[to.0 as usize] = head;
            self.used.push(to.0);
        }
    }

    /// Puts another value in the place of those a field has.
    pub fn replace(&mut self, field: FieldId, value: &str) {
        self.heads[field.0 as usize] = (0, 0);
        self.push_to(field, value);
    }

    /// Returns the first value of a field.
    pub fn first(&self, field: FieldId) -> Option<&str> {
        self.value(self.heads[field.0 as usize].0)
    }

    /// Returns the first value of a field, by name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.first(self.field(name)?)
    }

    /// Returns how many values were left out because an event was too large, since the record was made.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn add(&mut self, value: &str) -> Option<u32> {
        if self.values.len() >= VALUES_MAX || self.text.len() + value.len() > BYTES_MAX {
            self.dropped += 1;
            return None;
        }
        let from = self.text.len() as u32;
        self.text.push_str(value);
        self.values.push(Value { from, to: self.text.len() as u32, next: 0 });
        Some(self.values.len() as u32)
    }

    fn value(&self, head: u32) -> Option<&str> {
        let value = self.values.get((head as usize).checked_sub(1)?)?;
        self.text.get(value.from as usize..value.to as usize)
    }
}

impl Values for Record {
    fn any(&self, slot: u32, mut check: impl FnMut(&str) -> bool) -> bool {
        let mut head = self.heads.get(slot as usize).map_or(0, |head| head.0);
        while let Some(value) = self.value(head) {
            if check(value) {
                return true;
            }
            head = self.values[head as usize - 1].next;
        }
        false
    }

    fn exists(&self, slot: u32) -> bool {
        self.heads.get(slot as usize).is_some_and(|head| head.0 != 0)
    }

    fn texts(&self, mut each: impl FnMut(&str)) {
        for at in 1..=self.values.len() as u32 {
            if let Some(text) = self.value(at) {
                each(text);
            }
        }
    }
}

//! An event of any log: names and texts, in one buffer that is used again.

use crate::values::{SEPARATOR, Values};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
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
    pub ids: HashMap<Box<str>, u32, BuildHasherDefault<NameHasher>>,
    pub count: usize,
    /// Slot that stands for every text of the event.
    pub anywhere: Option<u32>,
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
        if let Some(at) = self.add(value) {
            self.link(field, at);
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

    /// Adds what `write` writes as a value, to a field if one is given.
    pub(crate) fn write(&mut self, field: Option<FieldId>, bytes_max: usize, write: impl FnOnce(&mut String)) {
        if self.full(bytes_max) {
            return;
        }
        let from = self.text.len() as u32;
        write(&mut self.text);
        let at = self.added(from);
        if let Some(field) = field {
            self.link(field, at);
        }
    }

    /// Gives back memory beyond what the event needs, to keep many records.
    pub fn compact(&mut self) {
        self.text.shrink_to_fit();
        self.values.shrink_to_fit();
    }

    /// Counts a value that is left out.
    pub(crate) fn leave_out(&mut self) {
        self.dropped += 1;
    }

    fn full(&mut self, more: usize) -> bool {
        let full = self.values.len() >= VALUES_MAX || self.text.len() + more > BYTES_MAX;
        self.dropped += u64::from(full);
        full
    }

    fn added(&mut self, from: u32) -> u32 {
        self.values.push(Value { from, to: self.text.len() as u32, next: 0 });
        self.text.push(SEPARATOR);
        self.values.len() as u32
    }

    fn add(&mut self, value: &str) -> Option<u32> {
        if self.full(value.len()) {
            return None;
        }
        let from = self.text.len() as u32;
        self.text.push_str(value);
        Some(self.added(from))
    }

    fn link(&mut self, field: FieldId, at: u32) {
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

    /// True when `check` is true for a text of the event, whatever its field.
    fn any_text(&self, check: impl FnMut(&str) -> bool) -> bool {
        (1..=self.values.len() as u32).filter_map(|at| self.value(at)).any(check)
    }

    fn value(&self, head: u32) -> Option<&str> {
        let value = self.values.get((head as usize).checked_sub(1)?)?;
        self.text.get(value.from as usize..value.to as usize)
    }
}

impl Values for Record {
    fn any(&self, slot: u32, mut check: impl FnMut(&str) -> bool) -> bool {
        if self.names.anywhere == Some(slot) {
            return self.any_text(check);
        }
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
        each(&self.text);
    }
}

/// Hashes field names quickly. A poor spread costs time only, and names are few.
#[derive(Debug, Default)]
pub(crate) struct NameHasher(u64);

impl std::hash::Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = crate::hash::bytes(self.0, bytes);
    }

    fn write_u8(&mut self, _: u8) {
        // the end mark of a text
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

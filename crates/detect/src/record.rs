//! An event of any log: names and texts, in one buffer that is used again.

use crate::values::{SEPARATOR, Values, Wanted};
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
    /// The fields the event has, in the order they came.
    fields: Vec<Field>,
    /// For each field its place in `fields` + 1; 0 = the event does not have it.
    places: Vec<u32>,
    dropped: u64,
}

#[derive(Debug, Clone, Copy)]
struct Field {
    slot: u32,
    /// The first and last of its values + 1; 0 = there, but null.
    first: u32,
    last: u32,
}

#[derive(Debug, Clone, Copy)]
struct Value {
    from: u32,
    to: u32,
    /// Next value of the same field + 1.
    next: u32,
}

impl Record {
    pub(crate) fn new(names: Arc<FieldNames>) -> Self {
        let places = vec![0; names.count];
        Record { names, text: String::new(), values: Vec::new(), fields: Vec::new(), places, dropped: 0 }
    }

    /// Empties the record for the next event; memory is kept.
    pub fn clear(&mut self) {
        self.text.clear();
        self.values.clear();
        for field in self.fields.drain(..) {
            self.places[field.slot as usize] = 0;
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
        if let Some(field) = self.field(name) {
            self.has(field);
        }
    }

    /// Lets `to` have the values of `from` when it has none of its own.
    pub fn alias(&mut self, from: FieldId, to: FieldId) {
        if let (Some(known), None) = (self.known(from.0), self.known(to.0)) {
            let Field { first, last, .. } = *known;
            let field = self.has(to);
            (field.first, field.last) = (first, last);
        }
    }

    /// Puts another value in the place of those a field has.
    pub fn replace(&mut self, field: FieldId, value: &str) {
        let has = self.has(field);
        (has.first, has.last) = (0, 0);
        self.push_to(field, value);
    }

    /// Returns the first value of a field.
    pub fn first(&self, field: FieldId) -> Option<&str> {
        self.value(self.known(field.0)?.first)
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
        self.fields.shrink_to_fit();
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

    fn known(&self, slot: u32) -> Option<&Field> {
        let place = *self.places.get(slot as usize)?;
        self.fields.get((place as usize).checked_sub(1)?)
    }

    /// The field, null when it is new.
    fn has(&mut self, FieldId(slot): FieldId) -> &mut Field {
        let place = &mut self.places[slot as usize];
        if *place == 0 {
            self.fields.push(Field { slot, first: 0, last: 0 });
            *place = self.fields.len() as u32;
        }
        &mut self.fields[*place as usize - 1]
    }

    fn link(&mut self, field: FieldId, at: u32) {
        let field = self.has(field);
        if field.first == 0 {
            field.first = at;
        }
        let before = std::mem::replace(&mut field.last, at);
        if before != 0 {
            self.values[before as usize - 1].next = at;
        }
    }

    /// True when `check` is true for a value of the list that begins at `head`.
    fn any_of(&self, mut head: u32, mut check: impl FnMut(&str) -> bool) -> bool {
        while let Some(value) = self.value(head) {
            if check(value) {
                return true;
            }
            head = self.values[head as usize - 1].next;
        }
        false
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
    fn any(&self, slot: u32, check: impl FnMut(&str) -> bool) -> bool {
        if self.names.anywhere == Some(slot) {
            return self.any_text(check);
        }
        self.known(slot).is_some_and(|field| self.any_of(field.first, check))
    }

    fn exists(&self, slot: u32) -> bool {
        self.known(slot).is_some()
    }

    fn each(&self, wanted: &Wanted, mut look: impl FnMut(usize, &str)) {
        for field in &self.fields {
            let Some(at) = wanted.place(field.slot) else { continue };
            self.any_of(field.first, |value| {
                look(at, value);
                false
            });
        }
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

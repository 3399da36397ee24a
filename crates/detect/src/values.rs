//! An event as matchers read it.

/// Stands between texts that are looked at together; no literal of a rule may hold it.
pub(crate) const SEPARATOR: char = '\u{1e}';

/// The values of an event's fields, by slot.
pub(crate) trait Values {
    /// True when `check` is true for a value of the field; values are tried in order until one is.
    fn any(&self, slot: u32, check: impl FnMut(&str) -> bool) -> bool;
    /// True when the event has the field, even if null.
    fn exists(&self, slot: u32) -> bool;
    /// Calls with the place of a wanted field, and with every value the event has of it.
    fn each(&self, wanted: &Wanted, mut look: impl FnMut(usize, &str)) {
        for (at, slot) in wanted.slots.iter().enumerate() {
            self.any(*slot, |value| {
                look(at, value);
                false
            });
        }
    }
    /// Calls with every text of the event; several may come as one, with [`SEPARATOR`] between them.
    fn texts(&self, each: impl FnMut(&str));
}

/// Fields that are asked for together.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    slots: Vec<u32>,
    /// For each slot its place among `slots` + 1.
    places: Vec<u32>,
}

impl Wanted {
    pub fn new(slots: Vec<u32>) -> Wanted {
        let mut places = vec![0; slots.iter().max().map_or(0, |most| *most as usize + 1)];
        for (slot, place) in slots.iter().zip(1..) {
            places[*slot as usize] = place;
        }
        Wanted { slots, places }
    }

    /// The place of a slot.
    pub fn place(&self, slot: u32) -> Option<usize> {
        (*self.places.get(slot as usize)? as usize).checked_sub(1)
    }
}

//! An event as matchers read it.

/// Stands between texts that are looked at together; no literal of a rule may hold it.
pub(crate) const SEPARATOR: char = '\u{1e}';

/// The values of an event's fields, by slot.
pub(crate) trait Values {
    /// True when `check` is true for a value of the field; values are tried in order until one is.
    fn any(&self, slot: u32, check: impl FnMut(&str) -> bool) -> bool;
    /// True when the event has the field, even if null.
    fn exists(&self, slot: u32) -> bool;
    /// Calls with every text of the event; several may come as one, with [`SEPARATOR`] between them.
    fn texts(&self, each: impl FnMut(&str));
}

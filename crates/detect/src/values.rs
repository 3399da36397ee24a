//! An event as matchers read it.

/// The values of an event's fields, by slot.
pub(crate) trait Values {
    /// True when `check` is true for a value of the field; values are tried in order until one is.
    fn any(&self, slot: u32, check: impl FnMut(&str) -> bool) -> bool;
    /// True when the event has the field, even if null.
    fn exists(&self, slot: u32) -> bool;
    /// Calls with every text of the event.
    fn texts(&self, each: impl FnMut(&str));
}

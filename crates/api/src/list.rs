//! Lists and their cursors.

use serde::{Deserialize, Deserializer, Serialize};

/// Largest page a list answers.
pub const LIMIT_MAX: u32 = 200;
/// Page size when none is asked for.
pub const LIMIT_DEFAULT: u32 = 50;

/// One page of a list, newest or most relevant first unless `sort` says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct List<T> {
    /// The page.
    pub items: Vec<T>,
    /// Cursor of the next page, opaque; none at the end.
    pub next: Option<String>,
    /// How many there are with this filter.
    pub total: i64,
}

impl<T> List<T> {
    /// Builds a list that is complete in one page.
    pub fn whole(items: Vec<T>) -> Self {
        List { total: items.len() as i64, items, next: None }
    }
}

/// Reads a field that may be absent (unchanged), null (cleared) or set.
///
/// # Errors
/// When the value is of another type.
pub fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

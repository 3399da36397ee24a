//! Why a rule fired.

use crate::pool::{Logic, Pool};
use crate::values::Values;
use hinomi_model::MatchedField;

/// Most matched fields told per detection.
const MATCHED_MAX: usize = 20;
/// Longest matched value told, bytes.
const MATCHED_BYTES_MAX: usize = 1_024;

/// Adds the comparisons that hold and were asked to hold; `name` gives the name of a slot.
pub(crate) fn matched(
    logic: &Logic,
    pool: &Pool,
    values: &impl Values,
    name: &dyn Fn(u32) -> String,
    out: &mut Vec<MatchedField>,
) {
    logic.explain(pool, values, &mut |atom| {
        if out.len() >= MATCHED_MAX {
            return;
        }
        let mut told = String::new();
        let (mut first, mut found) = (None, false);
        values.any(atom.slot, |value| {
            first.get_or_insert_with(|| cut(value));
            found = atom.holds_for(value, values);
            if found {
                told = cut(value);
            }
            found
        });
        let value = if found { told } else { first.unwrap_or_default() };
        let matched = MatchedField { field: name(atom.slot), value, pattern: atom.pattern.clone().into() };
        if !out.contains(&matched) {
            out.push(matched);
        }
    });
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(MATCHED_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

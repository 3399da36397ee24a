//! Results on stdout: tables for people, JSON lines for programs.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Exit codes of the command line.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// Nothing found, or a check failed.
    pub const NOTHING: u8 = 1;
    /// Wrong usage or an error.
    pub const ERROR: u8 = 2;
}

/// Prints one object as pretty JSON.
pub fn json<T: Serialize>(value: &T) {
    line(&serde_json::to_string_pretty(value).expect("answers always serialise"));
}

/// Prints items, one JSON object per line, or as a table; returns the exit code.
pub fn list<T: Serialize>(as_json: bool, items: &[T], head: &[&str], row: impl Fn(&T) -> Vec<String>) -> u8 {
    if as_json {
        for item in items {
            line(&serde_json::to_string(item).expect("answers always serialise"));
        }
    } else if !items.is_empty() {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(head);
        if !std::io::stdout().is_terminal() {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        for item in items {
            table.add_row(row(item).into_iter().map(|cell| printable(&cell)));
        }
        line(&table.to_string());
    }
    if items.is_empty() { exit::NOTHING } else { exit::DONE }
}

/// Prints a line; a closed pipe ends the program quietly.
pub fn line(text: &str) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(i32::from(exit::DONE));
    }
}

/// Replaces control characters: names and titles come from attackers and must not drive a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_not_driven_by_names() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}

//! Detections written for people and programs.

pub mod csv;
pub mod html;
pub mod table;

use crate::Detection;
use std::io::{self, Write};

/// Writes one JSON object per line.
///
/// # Errors
/// When writing fails.
pub fn json_line(out: &mut dyn Write, detection: &Detection) -> io::Result<()> {
    serde_json::to_writer(&mut *out, detection)?;
    out.write_all(b"\n")
}

/// Sigma's levels, gravest first.
pub const LEVELS: [&str; 5] = ["critical", "high", "medium", "low", "informational"];

/// Place of a level in [`LEVELS`]; unknown ones count as medium.
pub fn level_order(level: &str) -> usize {
    LEVELS.iter().position(|known| *known == level).unwrap_or(2)
}

/// The host an event is of, as far as the log tells.
pub(crate) fn computer(detection: &Detection) -> &str {
    let text = |name: &str| detection.fields.get(name).and_then(serde_json::Value::as_str);
    ["Computer", "Hostname", "ComputerName", "winlog.computer_name", "DeviceName", "host.name", "node", "_HOSTNAME"]
        .iter()
        .find_map(|name| text(name))
        .unwrap_or_default()
}

//! Detections as CSV (RFC 4180), for spreadsheets.

use crate::Detection;
use crate::report::computer;
use std::io::{self, Write};

const HEAD: [&str; 10] =
    ["time", "level", "title", "rule_id", "tags", "computer", "source", "record_id", "author", "fields"];

/// Writes the line of column names.
///
/// # Errors
/// When writing fails.
pub fn head(out: &mut dyn Write) -> io::Result<()> {
    row(out, &HEAD.map(str::to_owned))
}

/// Writes one detection.
///
/// # Errors
/// When writing fails.
pub fn line(out: &mut dyn Write, detection: &Detection) -> io::Result<()> {
    row(
        out,
        &[
            detection.time.map(|time| time.to_string()).unwrap_or_default(),
            detection.level.clone(),
            detection.title.clone(),
            detection.rule_id.clone(),
            detection.tags.join(" "),
            computer(detection).to_owned(),
            detection.source.to_string(),
            detection.record_id.map(|id| id.to_string()).unwrap_or_default(),
            detection.author.clone(),
            serde_json::to_string(&detection.fields)?,
        ],
    )
}

fn row(out: &mut dyn Write, cells: &[String; 10]) -> io::Result<()> {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        write!(out, "\"{}\"", harmless(cell).replace('"', "\"\""))?;
    }
    out.write_all(b"\r\n")
}

/// A cell that begins like a formula would be run by a spreadsheet (OWASP, "CSV Injection").
fn harmless(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if formula { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_run_nothing() {
        let mut out = Vec::new();
        let mut cells = [const { String::new() }; 10];
        cells[0] = "=cmd|'/C calc'!A0".to_owned();
        cells[1] = "say \"hi\",\nthere".to_owned();
        row(&mut out, &cells).expect("writes");
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(text.starts_with("\"'=cmd|'/C calc'!A0\",\"say \"\"hi\"\",\nthere\","), "{text}");
        assert_eq!(text.matches(',').count(), 10);
    }
}

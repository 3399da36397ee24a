//! `compare`: the (event, rule) pairs of both engines over all events are the same, but for differences a
//! clause of the specification explains (`differences.txt`). `bench`: how fast each is, on one thread, in
//! one run, on the same events with the same log sources.

mod bench;
mod compare;
mod data;
mod peer;

use anyhow::{Result, bail};
use std::process::ExitCode;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(folder) = data::folder() else {
        println!("skipped: data not present");
        return Ok(ExitCode::SUCCESS);
    };
    let json = arguments.iter().any(|argument| argument == "--json");
    match arguments.first().map(String::as_str) {
        Some("compare") => compare::run(&folder),
        Some("bench") => bench::run(&folder, json),
        _ => bail!("compare, or bench [--json]"),
    }
}

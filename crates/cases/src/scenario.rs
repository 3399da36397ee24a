//! Scenarios: stories as folders. One format feeds tests, demos and benchmarks.
//!
//! - `scenario.toml`: title in both languages, and why the story is told.
//! - `events/*.jsonl`: rows of the hunting tables, one JSON object per line, in order of the names.
//! - `mail/*.eml`: mails as the gateway would see them.
//! - `expect.toml`: what it must come to; only tests read it.

use hinomi_model::{Event, MessageId, Text};
use serde::Deserialize;

/// Files of one scenario.
pub const FILES_MAX: usize = 100;
/// Bytes of one scenario, all files together.
pub const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Events of one scenario.
pub const EVENTS_MAX: usize = 20_000;
/// Bytes of one event.
const LINE_BYTES_MAX: usize = 256 * 1024;
/// Characters of a title.
const TITLE_CHARS_MAX: usize = 200;

/// One file of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioFile {
    /// Path inside the folder, with `/`.
    pub path: String,
    /// Content.
    pub content: Vec<u8>,
}

/// A scenario, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Title.
    pub title: Text,
    /// Why the story is told.
    pub why: String,
    /// Events, one list per file.
    pub events: Vec<Vec<Event>>,
    /// Mails: path and raw message.
    pub mails: Vec<ScenarioFile>,
}

/// A scenario cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// A file that every scenario has is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A file has no place in a scenario.
    #[error("{0:?} has no place in a scenario: only scenario.toml, events/*.jsonl and mail/*.eml")]
    Stray(String),
    /// There is nothing to play.
    #[error("there are no events and no mails")]
    Empty,
    /// Too much of something.
    #[error("more than {max} {what}")]
    TooMuch {
        /// `files`, `bytes` or `events`.
        what: &'static str,
        /// Most allowed.
        max: usize,
    },
    /// A place in a file is wrong.
    #[error("{path}:{line}: {reason}")]
    Line {
        /// File.
        path: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    title: Text,
    #[serde(default)]
    why: String,
}

impl Scenario {
    /// Reads a scenario from its files; their order does not matter. `expect.toml` is left out.
    ///
    /// # Errors
    /// [`ScenarioError`] names file and line.
    pub fn read(mut files: Vec<ScenarioFile>) -> Result<Scenario, ScenarioError> {
        let too_much = |what, max| Err(ScenarioError::TooMuch { what, max });
        if files.len() > FILES_MAX {
            return too_much("files", FILES_MAX);
        }
        if files.iter().map(|file| file.content.len()).sum::<usize>() > BYTES_MAX {
            return too_much("bytes", BYTES_MAX);
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let mut head = None;
        let (mut events, mut mails, mut count) = (Vec::new(), Vec::new(), 0);
        for file in files {
            if file.path == "scenario.toml" {
                head = Some(read_head(&file)?);
            } else if is_in(&file.path, "events/", ".jsonl") {
                let read = read_events(&file, EVENTS_MAX - count)?;
                count += read.len();
                events.push(read);
            } else if is_in(&file.path, "mail/", ".eml") {
                mails.push(file);
            } else if file.path != "expect.toml" {
                return Err(ScenarioError::Stray(file.path.chars().take(TITLE_CHARS_MAX).collect()));
            }
        }
        let head = head.ok_or(ScenarioError::Missing("scenario.toml"))?;
        events.retain(|events| !events.is_empty());
        if events.is_empty() && mails.is_empty() {
            return Err(ScenarioError::Empty);
        }
        Ok(Scenario { title: head.title, why: head.why, events, mails })
    }
}

fn is_in(path: &str, folder: &str, end: &str) -> bool {
    path.strip_prefix(folder)
        .and_then(|name| name.strip_suffix(end))
        .is_some_and(|stem| !stem.is_empty() && !stem.contains('/'))
}

fn bad(file: &ScenarioFile, line: usize, reason: impl Into<String>) -> ScenarioError {
    ScenarioError::Line { path: file.path.clone(), line, reason: reason.into() }
}

fn read_head(file: &ScenarioFile) -> Result<Head, ScenarioError> {
    let text = std::str::from_utf8(&file.content).map_err(|_| bad(file, 1, "not UTF-8"))?;
    let head: Head = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        bad(file, line, error.message())
    })?;
    for title in [&head.title.en, &head.title.ja] {
        if title.trim().is_empty() || title.chars().count() > TITLE_CHARS_MAX {
            return Err(bad(file, 1, format!("a title has 1 to {TITLE_CHARS_MAX} characters")));
        }
    }
    Ok(head)
}

fn read_events(file: &ScenarioFile, max: usize) -> Result<Vec<Event>, ScenarioError> {
    let mut events = Vec::new();
    for (index, line) in file.content.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(bad(file, number, format!("longer than {LINE_BYTES_MAX} bytes")));
        }
        if events.len() >= max {
            return Err(ScenarioError::TooMuch { what: "events", max: EVENTS_MAX });
        }
        let event: Event = serde_json::from_slice(line).map_err(|error| bad(file, number, error.to_string()))?;
        if let Some(reason) = without_owner(&event) {
            return Err(bad(file, number, reason));
        }
        events.push(event);
    }
    Ok(events)
}

/// Every event belongs to a device or a message: that is what keeps stories apart.
fn without_owner(event: &Event) -> Option<String> {
    let table = event.table.name();
    let is_id = |column| event.str(column).is_some_and(|id| id.parse::<MessageId>().is_ok());
    let column = match table {
        "DeviceInfo" => return Some("DeviceInfo comes from the server".to_owned()),
        _ if table.starts_with("Device") => "DeviceId",
        _ if table.starts_with("Email") => "NetworkMessageId",
        _ => return Some(format!("{table} is no table of devices or mail")),
    };
    (!is_id(column)).then(|| format!("{column} is not an id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "title = { en = \"A\", ja = \"あ\" }\n";
    const EVENT: &str = r#"{"Table":"DeviceFileEvents","Timestamp":"2026-11-20T00:00:00Z","DeviceId":"00000000-0000-0000-0000-000000000001"}"#;

    fn read(files: &[(&str, &str)]) -> Result<Scenario, String> {
        let file = |(path, text): &(&str, &str)| ScenarioFile { path: (*path).to_owned(), content: (*text).into() };
        Scenario::read(files.iter().map(file).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn files_come_in_order_of_their_names() {
        let scenario = read(&[
            ("mail/a.eml", "Subject: x\n\n"),
            ("events/2.jsonl", &format!("{EVENT}\n\n{EVENT}")),
            ("events/1.jsonl", EVENT),
            ("expect.toml", "incidents = 1"),
            ("scenario.toml", HEAD),
        ])
        .expect("reads");
        assert_eq!(scenario.events.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((scenario.mails.len(), scenario.title.ja.as_str()), (1, "あ"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let line = |text: &str| read(&[("scenario.toml", HEAD), ("events/a.jsonl", &format!("{EVENT}\n{text}"))]);
        for (got, wanted) in [
            (read(&[("scenario.toml", HEAD)]), "there are no events and no mails"),
            (read(&[("events/a.jsonl", EVENT)]), "scenario.toml is missing"),
            (read(&[("scenario.toml", "\ntitel = 1\n")]), "scenario.toml:2: unknown field `titel`"),
            (read(&[("scenario.toml", "title = { en = \"\", ja = \"\" }")]), "scenario.toml:1: a title has"),
            (read(&[("scenario.toml", HEAD), ("events/../a.jsonl", EVENT)]), "has no place in a scenario"),
            (read(&[("scenario.toml", HEAD), ("events/.jsonl", EVENT)]), "has no place in a scenario"),
            (line("{"), "events/a.jsonl:2: EOF"),
            (line(r#"{"Table":"Nope"}"#), "events/a.jsonl:2: unknown table"),
            (line(r#"{"Table":"DeviceFileEvents","DeviceId":"x"}"#), "events/a.jsonl:2: DeviceId is not an id"),
            (line(r#"{"Table":"AlertInfo","AlertId":"x"}"#), "events/a.jsonl:2: AlertInfo is no table"),
            (line(&format!("{EVENT}\n").repeat(EVENTS_MAX)), "more than 20000 events"),
            (line(&" x".repeat(LINE_BYTES_MAX)), "longer than 262144 bytes"),
            (line(&"\n".repeat(BYTES_MAX)), "more than 16777216 bytes"),
        ] {
            let error = got.expect_err(wanted);
            assert!(error.contains(wanted), "{error:?} instead of {wanted:?}");
        }
    }
}

//! Runs the examples beside rules (`<rule>.test.yml`).

use super::fill;
use crate::complete::Completer;
use crate::read;
use hinomi_detect::{Correlator, Engine, Examples, LogEngine, LogOptions, RuleSource, content};
use hinomi_model::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;
use std::io;
use std::path::{Path, PathBuf};

/// Longest file of examples that is read, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the examples of one rule came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The rule file.
    pub path: String,
    /// Examples that did what they should.
    pub passed: usize,
    /// What went wrong, with the example's reason.
    pub failed: Vec<String>,
}

/// Runs the examples of a rule file; `None` when it has none.
///
/// An example is an event under `fires` or `silent`, with `why`: a row of a hunting table (with `Table`),
/// or an event of a log with the names of its log (`Channel`, `EventID`, …). A correlation has several log
/// events in their order under `events`.
///
/// # Errors
/// When a file cannot be read.
pub fn run(rule: &RuleSource) -> io::Result<Option<Outcome>> {
    let path = beside(Path::new(&rule.path));
    let yaml = match std::fs::metadata(&path) {
        Ok(meta) if meta.len() <= FILE_BYTES_MAX => std::fs::read_to_string(&path)?,
        Ok(_) => return Err(io::Error::other(format!("{} is longer than {FILE_BYTES_MAX} bytes", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut outcome = Outcome { path: rule.path.clone(), ..Outcome::default() };
    let documents = hinomi_detect::documents(&yaml);
    let of_logs = documents.first().is_some_and(|document| {
        let events = ["fires", "silent"].iter().filter_map(|key| document[*key].as_array()).flatten();
        events.clone().count() > 0 && events.clone().all(|example| example["event"].get("Table").is_none())
    });
    if of_logs {
        logs(rule, &documents[0], &mut outcome);
    } else {
        rows(rule, &path.display().to_string(), &yaml, &mut outcome);
    }
    Ok(Some(outcome))
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("test.yml")
}

fn rows(rule: &RuleSource, path: &str, yaml: &str, outcome: &mut Outcome) {
    let (engine, errors) = Engine::load(std::slice::from_ref(rule), &content::embedded().fields);
    outcome.failed.extend(errors.iter().map(ToString::to_string));
    let examples = match Examples::parse(path, yaml) {
        Ok(examples) => examples,
        Err(error) => return outcome.failed.push(error.to_string()),
    };
    if !errors.is_empty() {
        return;
    }
    for (list, wanted) in [(&examples.fires, true), (&examples.silent, false)] {
        for example in list {
            outcome.judge(&example.why, !engine.matches(&example.event).is_empty(), wanted);
        }
    }
}

fn logs(rule: &RuleSource, document: &Json, outcome: &mut Outcome) {
    let (engine, errors) = LogEngine::load(std::slice::from_ref(rule), &LogOptions::default());
    if let Some(error) = errors.first() {
        return outcome.failed.push(error.to_string());
    }
    for (key, wanted) in [("fires", true), ("silent", false)] {
        for example in document[key].as_array().into_iter().flatten() {
            let why = example["why"].as_str().unwrap_or_default();
            match fired(&engine, example) {
                Ok(fired) => outcome.judge(why, !fired.is_empty(), wanted),
                Err(error) => outcome.failed.push(format!("{why}: {error}")),
            }
        }
    }
}

/// Gives an engine the event, or the events in their order, of an example over logs, and returns the ids
/// of the rules and correlations that fire.
///
/// # Errors
/// When an event cannot be read.
pub fn fired(engine: &LogEngine, example: &Json) -> Result<Vec<String>, String> {
    let one = std::slice::from_ref(&example["event"]);
    let events = example["events"].as_array().map_or(one, Vec::as_slice);
    let mut completer = Completer::default();
    let (mut event, mut scratch) = (engine.record(), engine.scratch());
    let mut correlations = Correlator::new(Default::default());
    let mut ids = Vec::new();
    let id = |rule: usize| engine.rules()[rule].id.clone();
    for json in events {
        let mut record =
            read::json::event(json.to_string().as_bytes(), &mut completer).map_err(|error| error.to_string())?;
        completer.complete(&mut record);
        let kind = engine.kind(&record.class.log_sources());
        fill(&mut event, &record);
        ids.extend(engine.matches(&event, &kind, &mut scratch).iter().map(|rule| id(*rule as usize)));
        let time = record.time.map_or(0, Timestamp::as_micros);
        ids.extend(engine.correlate(&event, time, &scratch, &mut correlations).iter().map(|found| id(found.rule)));
    }
    ids.extend(engine.finish(&mut correlations).iter().map(|found| id(found.rule)));
    Ok(ids)
}

impl Outcome {
    fn judge(&mut self, why: &str, fires: bool, wanted: bool) {
        match (fires, wanted) {
            (true, false) => self.failed.push(format!("must stay silent, and fires: {why}")),
            (false, true) => self.failed.push(format!("must fire, and stays silent: {why}")),
            _ => self.passed += 1,
        }
    }
}

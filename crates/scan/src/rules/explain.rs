//! Why a rule fires on an event, or why not.
//!
//! The rule is taken apart: each selection, and each comparison of it, is asked on its own with the same
//! engine. A selection is to blame when the rule would fire if only that selection answered otherwise.

use super::fill;
use crate::record::Record;
use hinomi_detect::{LogEngine, LogOptions, RuleSource};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

/// Comparisons of one rule that are asked on their own.
const ASKED_MAX: usize = 2_000;
/// Longest value shown, characters.
const VALUE_CHARS_MAX: usize = 300;

/// What a rule says to one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Id of the rule.
    pub rule_id: String,
    /// It fires.
    pub fires: bool,
    /// The rule is for events of this log source.
    pub applies: bool,
    /// Log source of the rule.
    pub rule_source: String,
    /// Log sources of the event.
    pub event_sources: Vec<String>,
    /// The condition as written.
    pub condition: String,
    /// Selections in the order they are written.
    pub selections: Vec<Selection>,
    /// The first selection that stands in the way, and its first comparison that does.
    pub blame: Option<Blame>,
}

/// One selection of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Selection {
    /// Its name.
    pub name: String,
    /// It is met.
    pub holds: bool,
    /// The rule would fire if this answered otherwise.
    pub decides: bool,
    /// Its comparisons; those of one alternative share a number.
    pub comparisons: Vec<Comparison>,
}

/// One comparison of a selection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Number of the alternative (a list of maps has several), from 1.
    pub alternative: usize,
    /// Field and modifiers as written; `keywords` for words anywhere in the event.
    pub field: String,
    /// What it is compared with, as written.
    pub wanted: String,
    /// What the event has; null when it has no such field.
    pub has: Option<String>,
    /// It is met.
    pub holds: bool,
}

/// What stands in the way of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blame {
    /// The selection.
    pub selection: String,
    /// It is met, and the condition asks that it is not.
    pub met: bool,
    /// The comparison of it, when it is one alone.
    pub comparison: Option<Comparison>,
}

/// Explains a rule on an event. `yaml` is the rule's document.
///
/// # Errors
/// When the text is no rule; the message is for its author.
pub fn explain(path: &str, yaml: &str, id: &str, record: &Record) -> Result<Explanation, String> {
    let rule = document(yaml, id).ok_or_else(|| format!("{path}: no rule {id}"))?;
    let detection = rule.get("detection").and_then(Json::as_object).cloned();
    let detection = detection.ok_or_else(|| format!("{path}: the rule has no detection (correlations have none)"))?;
    let condition = detection.get("condition").map(shown).unwrap_or_default();
    let names: Vec<String> =
        detection.keys().filter(|name| !matches!(name.as_str(), "condition" | "timeframe")).cloned().collect();
    let mut asked = Asked { rule: &rule, record, sources: record.class.log_sources(), count: 0 };
    let (engine, errors) = load(&rule);
    if let Some(error) = errors {
        return Err(error);
    }
    let source = engine.source(0).cloned().unwrap_or_default();
    let applies = asked.sources.iter().any(|has| source.covers(has));
    let fires = asked.ask(detection.clone());
    let mut selections = Vec::new();
    for name in &names {
        let selection = &detection[name.as_str()];
        let holds = asked.ask(only(name, selection.clone()));
        // the same rule with this selection answering otherwise: a field every event lacks is null
        let mut turned = detection.clone();
        turned.insert(name.clone(), json!({"hinomi absent|exists": holds}));
        let decides = !fires && asked.ask(turned);
        selections.push(Selection { name: name.clone(), holds, decides, comparisons: asked.comparisons(selection) });
    }
    let guilty = selections.iter().find(|selection| selection.decides).or_else(|| {
        // no one alone: the first that is not met
        (!fires).then(|| selections.iter().find(|selection| !selection.holds)).flatten()
    });
    let blame = guilty.map(|selection| {
        let wrong = selection.comparisons.iter().find(|comparison| comparison.holds == selection.holds);
        Blame { selection: selection.name.clone(), met: selection.holds, comparison: wrong.cloned() }
    });
    Ok(Explanation {
        rule_id: id.to_owned(),
        fires: fires && applies,
        applies,
        rule_source: source.to_string(),
        event_sources: asked.sources.iter().map(ToString::to_string).collect(),
        condition,
        selections,
        blame,
    })
}

struct Asked<'r> {
    rule: &'r Map<String, Json>,
    record: &'r Record,
    sources: Vec<hinomi_detect::LogSource>,
    count: usize,
}

impl Asked<'_> {
    /// Asks the rule with another detection, whatever its log source.
    fn ask(&mut self, detection: Map<String, Json>) -> bool {
        self.count += 1;
        if self.count > ASKED_MAX {
            return false;
        }
        let mut rule = self.rule.clone();
        rule.insert("detection".to_owned(), Json::Object(detection));
        rule.insert("logsource".to_owned(), json!({"category": "explained"}));
        let (engine, _) = load(&rule);
        let kind = engine.kind(&[hinomi_detect::LogSource::new("", "explained", "")]);
        let (mut event, mut scratch) = (engine.record(), engine.scratch());
        fill(&mut event, self.record);
        !engine.matches(&event, &kind, &mut scratch).is_empty()
    }

    fn comparisons(&mut self, selection: &Json) -> Vec<Comparison> {
        let mut comparisons = Vec::new();
        match selection {
            Json::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.alternative(at + 1, item, &mut comparisons);
                }
            }
            one => self.alternative(1, one, &mut comparisons),
        }
        comparisons
    }

    fn alternative(&mut self, alternative: usize, item: &Json, out: &mut Vec<Comparison>) {
        match item {
            Json::Object(fields) => {
                for (field, value) in fields {
                    let name = field.clone();
                    let alone = Json::Object([(field.clone(), value.clone())].into_iter().collect());
                    let holds = self.ask(only("selection", alone));
                    let plain = name.split('|').next().unwrap_or_default();
                    let has = match plain {
                        "" => None,
                        plain => self.record.get(plain).map(|value| {
                            let texts = value.texts();
                            cut(&if texts.is_empty() { "null".to_owned() } else { texts.join("; ") })
                        }),
                    };
                    let field = if plain.is_empty() { format!("keywords{name}") } else { name };
                    out.push(Comparison { alternative, field, wanted: cut(&shown(value)), has, holds });
                }
            }
            word => {
                let holds = self.ask(only("selection", Json::Array(vec![word.clone()])));
                let wanted = cut(&shown(word));
                out.push(Comparison { alternative, field: "keywords".to_owned(), wanted, has: None, holds });
            }
        }
    }
}

fn only(name: &str, selection: Json) -> Map<String, Json> {
    [(name.to_owned(), selection), ("condition".to_owned(), name.into())].into_iter().collect()
}

/// The document with this id, or the only one.
fn document(yaml: &str, id: &str) -> Option<Map<String, Json>> {
    let mut documents = hinomi_detect::documents(yaml);
    let named = documents.iter().position(|document| document["id"] == id);
    let at = named.or_else(|| (documents.len() == 1).then_some(0))?;
    match documents.swap_remove(at) {
        Json::Object(map) => Some(map),
        _ => None,
    }
}

fn load(rule: &Map<String, Json>) -> (LogEngine, Option<String>) {
    let yaml = Json::Object(rule.clone()).to_string();
    let source = RuleSource { path: "rule".to_owned(), yaml };
    let (engine, errors) = LogEngine::load(&[source], &LogOptions::default());
    (engine, errors.first().map(ToString::to_string))
}

fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn cut(text: &str) -> String {
    let mut chars = text.chars();
    let cut: String = chars.by_ref().take(VALUE_CHARS_MAX).collect();
    if chars.next().is_some() { cut + "…" } else { cut }
}

/// Lines for people; ✓ and ✗ say what is met.
pub fn lines(explanation: &Explanation) -> Vec<String> {
    let mark = |holds: bool| if holds { "✓" } else { "✗" };
    let mut lines = Vec::new();
    if !explanation.applies {
        lines.push(format!("✗ log source: the rule is for {}", explanation.rule_source));
        let sources = explanation.event_sources.join(" | ");
        lines.push(format!("  the event belongs to: {}", if sources.is_empty() { "none" } else { &sources }));
    } else {
        lines.push(format!("✓ log source: {}", explanation.rule_source));
    }
    lines.push(format!("{} condition: {}", mark(explanation.fires), explanation.condition));
    for selection in &explanation.selections {
        lines.push(format!("  {} {}", mark(selection.holds), selection.name));
        let several = selection.comparisons.iter().any(|comparison| comparison.alternative > 1);
        for comparison in &selection.comparisons {
            let alternative = if several { format!("{}. ", comparison.alternative) } else { String::new() };
            lines.push(format!(
                "    {alternative}{} {}: {}",
                mark(comparison.holds),
                comparison.field,
                comparison.wanted
            ));
            if let Some(has) = &comparison.has {
                lines.push(format!("        event: {has}"));
            } else if !comparison.field.starts_with("keywords") {
                lines.push("        event: no such field".to_owned());
            }
        }
    }
    lines
}

//! Our rules over logs (`content/rules/logs`): every one loads, speaks both languages, names known
//! techniques, and its examples hold; what must stay silent raises nothing through another rule either.

use hinomi_detect::{LogEngine, LogOptions, RuleInfo, RuleSource, content};
use hinomi_scan::rules::{RuleSet, examples, set};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Rules that must be there at least, both kinds together (issue: 150).
const RULES_MIN: usize = 150;

fn content_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../content")
}

fn files() -> Vec<RuleSource> {
    set::read(&content_dir().join("rules/logs")).expect("readable rules")
}

fn engine() -> LogEngine {
    let (engine, errors) = LogEngine::load(&files(), &LogOptions::default());
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    engine
}

/// Rules that only serve correlations have no texts of their own.
fn served(rule: &RuleInfo) -> bool {
    rule.level == "informational" && rule.tags.is_empty()
}

#[test]
fn every_rule_loads_and_is_shipped() {
    let engine = engine();
    let shipped = engine.rules().iter().filter(|rule| !served(rule)).count();
    assert_eq!(content::log_rules().len(), files().len());
    assert_eq!(shipped, files().len(), "one rule or correlation per file");
    assert!(shipped + content::embedded().rules.len() >= RULES_MIN, "{shipped} rules over logs");
    let (embedded, _) = LogEngine::load(&content::log_rules(), &LogOptions::default());
    assert!(embedded.rules().iter().map(|rule| &rule.id).eq(engine.rules().iter().map(|rule| &rule.id)));
    let set = RuleSet::load(RuleSet::content());
    assert!(set.errors.is_empty(), "{:?}", set.errors);
    assert!(set.correlates);
}

#[test]
fn every_rule_speaks_both_languages_and_names_known_techniques() {
    let engine = engine();
    let attack = content::attack();
    let japanese = |text: &str| text.chars().any(|c| ('\u{3040}'..='\u{30ff}').contains(&c));
    let mut wrong = Vec::new();
    let mut titles = HashSet::new();
    for rule in engine.rules().iter().filter(|rule| !served(rule)) {
        let mut check = |holds: bool, what: String| {
            if !holds {
                wrong.push(format!("{}: {what}", rule.path));
            }
        };
        check(uuid_like(&rule.id), format!("the id {} is not a UUID", rule.id));
        for text in [&rule.title, &rule.description].into_iter().chain(&rule.next_steps) {
            check(japanese(&text.ja), format!("not Japanese: {}", text.ja));
            check(text.en.is_ascii() && !text.en.is_empty(), format!("not English: {}", text.en));
        }
        check(titles.insert(rule.title.ja.clone()), format!("another rule has the title {}", rule.title.ja));
        check(rule.title.en.chars().count() <= 100, "the title is long".to_owned());
        check((2..=5).contains(&rule.next_steps.len()), "needs two to five next steps".to_owned());
        check(!rule.false_positives.is_empty(), "names no false positives".to_owned());
        check((1..=3).contains(&rule.techniques.len()), "claims one to three techniques".to_owned());
        check(["low", "medium", "high", "critical"].contains(&rule.level.as_str()), format!("level {}", rule.level));
        let mut tactics = HashSet::new();
        for id in &rule.techniques {
            let technique = attack.technique(id);
            let in_force = technique.is_some_and(|it| it.replaced_by.is_none() && !it.deprecated);
            check(in_force, format!("unknown technique {id}"));
            check(technique.is_some_and(|it| !it.name_ja.is_empty()), format!("{id} has no Japanese name"));
            tactics.extend(attack.tactics_of(id));
        }
        for tactic in &rule.tactics {
            check(tactics.contains(tactic), format!("no technique of it serves the tactic {tactic}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn uuid_like(id: &str) -> bool {
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && id.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

#[test]
fn examples_fire_and_stay_silent() {
    let mut wrong = Vec::new();
    for rule in files() {
        match examples::run(&rule).expect("readable examples") {
            Some(outcome) => {
                wrong.extend(outcome.failed.iter().map(|failure| format!("{}: {failure}", rule.path)));
                if outcome.passed < 2 {
                    wrong.push(format!("{}: needs an example that fires and one that does not", rule.path));
                }
            }
            None => wrong.push(format!("{}: no examples beside it", rule.path)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_must_stay_silent_raises_nothing_through_another_rule() {
    let engine = engine();
    let mut wrong = Vec::new();
    for rule in files() {
        let path = Path::new(&rule.path).with_extension("test.yml");
        let yaml = std::fs::read_to_string(&path).expect("examples");
        let documents = hinomi_detect::documents(&yaml);
        let list = |key: &str| documents[0][key].as_array().cloned().unwrap_or_default();
        assert!(!list("fires").is_empty() && !list("silent").is_empty(), "{}", rule.path);
        for example in list("silent") {
            for id in examples::fired(&engine, &example).expect("an event") {
                let other = engine.rule(&id).expect("loaded");
                if ["medium", "high", "critical"].contains(&other.level.as_str()) {
                    wrong.push(format!("{}: {} fires {}", rule.path, example["why"], other.title.en));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

//! Our own content: every rule loads, speaks both languages, names known techniques, and its examples hold.

use hinomi_detect::{Engine, Examples, content};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// Rules of ours that may be looked at for every event of their kind.
const SLEEPLESS_MAX: usize = 5;

fn content_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../content")
}

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("content folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

#[test]
fn every_rule_loads() {
    let content = content::embedded();
    let (engine, errors) = Engine::load(&content.rules, &content.fields);
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    assert_eq!(engine.rules().len(), content.rules.len());
    assert!(engine.rules().len() >= 30, "{} rules", engine.rules().len());
    let sleepless: Vec<&str> = engine.sleepless().into_iter().map(|rule| rule.path.as_str()).collect();
    assert!(sleepless.len() <= SLEEPLESS_MAX, "rules without a literal cost speed: {sleepless:?}");
}

#[test]
fn every_rule_speaks_both_languages_and_names_known_techniques() {
    let engine = content::engine();
    let attack = content::attack();
    let japanese = |text: &str| text.chars().any(|c| ('\u{3040}'..='\u{30ff}').contains(&c));
    let mut wrong = Vec::new();
    for rule in engine.rules() {
        let mut check = |holds: bool, what: String| {
            if !holds {
                wrong.push(format!("{}: {what}", rule.path));
            }
        };
        check(uuid::Uuid::parse_str(&rule.id).is_ok(), format!("the id {} is not a UUID", rule.id));
        for text in [&rule.title, &rule.description].into_iter().chain(&rule.next_steps) {
            check(japanese(&text.ja), format!("not Japanese: {}", text.ja));
            check(text.en.is_ascii() && !text.en.is_empty(), format!("not English: {}", text.en));
        }
        check(rule.title.en.chars().count() <= 100, "the title is long".to_owned());
        check((2..=5).contains(&rule.next_steps.len()), "needs two to five next steps".to_owned());
        check(!rule.false_positives.is_empty(), "names no false positives".to_owned());
        check(!rule.tactics.is_empty() && !rule.techniques.is_empty(), "claims no technique".to_owned());
        for tag in rule.tags.iter().filter_map(|tag| tag.strip_prefix("attack.")) {
            let technique = attack.technique(&tag.to_uppercase());
            let in_force = technique.is_some_and(|it| it.replaced_by.is_none() && !it.deprecated);
            check(in_force || attack.tactic(tag).is_some(), format!("unknown technique or tactic {tag}"));
        }
        let tactics: HashSet<&str> =
            rule.techniques.iter().flat_map(|id| attack.tactics_of(id)).map(String::as_str).collect();
        for tactic in &rule.tactics {
            check(tactics.contains(tactic.as_str()), format!("no technique of it serves the tactic {tactic}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn examples_fire_and_stay_silent() {
    let engine = content::engine();
    let mut paths = Vec::new();
    files(&content_dir().join("rules"), &mut paths);
    let mut examples = BTreeMap::new();
    let mut wrong = Vec::new();
    for path in &paths {
        let name = path.strip_prefix(content_dir()).expect("below").to_string_lossy().replace('\\', "/");
        // crates/scan tests the rules over logs
        if name.starts_with("rules/logs/") {
            continue;
        }
        if let Some(rule) = name.strip_suffix(".test.yml") {
            match Examples::parse(&name, &std::fs::read_to_string(path).expect("readable")) {
                Ok(read) => drop(examples.insert(format!("{rule}.yml"), read)),
                Err(error) => wrong.push(error.to_string()),
            }
        }
    }
    for rule in engine.rules() {
        let Some(examples) = examples.remove(&rule.path) else {
            wrong.push(format!("{}: no tests beside it", rule.path));
            continue;
        };
        if examples.fires.is_empty() || examples.silent.is_empty() {
            wrong.push(format!("{}: needs an event that fires and one that does not", rule.path));
        }
        for (expected, list) in [(true, &examples.fires), (false, &examples.silent)] {
            for example in list {
                let found = engine.evaluate(&example.event);
                let fired = found.iter().find(|detection| detection.rule_id == rule.id);
                if fired.is_some() != expected {
                    wrong
                        .push(format!("{}: expected {expected} for {:?}: {:?}", rule.path, example.why, example.event));
                }
                if fired.is_some_and(|detection| detection.matched.is_empty()) {
                    wrong.push(format!("{}: does not say why it fires", rule.path));
                }
                // an everyday event must not become an alert through another rule either
                if !expected && let Some(other) = found.iter().find(|d| d.severity >= hinomi_model::Severity::Medium) {
                    wrong.push(format!("{}: {:?} fires {}", rule.path, example.why, other.title.en));
                }
            }
        }
    }
    wrong.extend(examples.keys().map(|path| format!("{path}: tests without a rule")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn attack_table_is_whole() {
    let attack = content::attack();
    assert_eq!(attack.tactics().len(), 14);
    assert_eq!(attack.tactics()[0].name, "reconnaissance");
    assert!(attack.tactic_order("initial-access") < attack.tactic_order("execution"));
    assert_eq!(attack.tactics_of("T1547.013"), ["persistence", "privilege-escalation"]);
    assert_eq!(attack.current("T1086").map(|technique| technique.id.as_str()), Some("T1059.001"));
    assert!(attack.tactics_of("T9999").is_empty());
    // ids and tactics of version 19
    assert_eq!(attack.current("T1685.005").map(|technique| technique.id.as_str()), Some("T1070.001"));
    assert_eq!(attack.tactic("defense-impairment").map(|tactic| tactic.id.as_str()), Some("TA0005"));
    // every technique itself, and what our rules claim, has a Japanese name
    let engine = content::engine();
    let claimed: HashSet<&String> = engine.rules().iter().flat_map(|rule| &rule.techniques).collect();
    for technique in attack.techniques().filter(|it| it.replaced_by.is_none() && !it.deprecated) {
        let needed = !technique.id.contains('.') || claimed.contains(&technique.id);
        assert!(!needed || !technique.name_ja.is_empty(), "{} {}", technique.id, technique.name);
    }
    for technique in attack.techniques() {
        assert!(technique.tactics.iter().all(|tactic| attack.tactic(tactic).is_some()), "{}", technique.id);
        let successor = technique.replaced_by.as_deref();
        assert!(successor.is_none_or(|id| attack.technique(id).is_some()), "{}", technique.id);
    }
}

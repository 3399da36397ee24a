//! The public Sigma rules, when their archive lies beside the workspace.

use hinomi_detect::{Engine, RuleSource, content};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

/// Rules that must load: what the tables of this version can hold. Measured, rounded down.
const LOADED_MIN: usize = 2_260;

fn rules() -> Option<Vec<RuleSource>> {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/sigma/sigma-rules.tar.zst");
    let file = std::fs::File::open(archive).ok()?;
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).expect("zstd"));
    let mut rules = Vec::new();
    for entry in archive.entries().expect("tar") {
        let mut entry = entry.expect("tar entry");
        let path = entry.path().expect("path").to_string_lossy().into_owned();
        if path.ends_with(".yml") {
            let mut yaml = String::new();
            entry.read_to_string(&mut yaml).expect("UTF-8");
            rules.push(RuleSource { path, yaml });
        }
    }
    Some(rules)
}

#[test]
fn public_rules_load() {
    let Some(rules) = rules() else {
        println!("skipped: data not present");
        return;
    };
    let started = std::time::Instant::now();
    let (engine, errors) = Engine::load(&rules, &content::embedded().fields);
    let elapsed = started.elapsed();
    let mut codes: BTreeMap<&str, Vec<&hinomi_detect::RuleError>> = BTreeMap::new();
    for error in &errors {
        codes.entry(error.code.name()).or_default().push(error);
    }
    println!(
        "{} of {} rules load in {elapsed:?}, {} comparisons",
        engine.rules().len(),
        rules.len(),
        engine.comparisons()
    );
    for (code, errors) in &codes {
        println!("{code}: {}; for example {}", errors.len(), errors[0]);
    }
    assert_eq!(engine.rules().len() + errors.len(), rules.len());
    assert!(engine.rules().len() >= LOADED_MIN, "{} rules load", engine.rules().len());
    // what is refused is refused because of its source of events, never because of its language
    for code in ["yaml", "structure", "condition", "value", "limit", "duplicate_id", "unsupported", "hinomi"] {
        assert!(!codes.contains_key(code), "{}", codes[code][0]);
    }
    assert!(engine.rules().iter().all(|rule| !rule.author.is_empty()), "the licence asks for the author");
}

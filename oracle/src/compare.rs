//! The differential test.

use crate::data;
use crate::peer::{self, Peer};
use anyhow::{Context, Result};
use hinomi_detect::{Kind, LogEngine, LogOptions, LogSource};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::ExitCode;

/// Differences that are explained: `<rule id> <ours|theirs> <clause and reason>` per line.
const EXPLAINED: &str = include_str!("../differences.txt");

pub fn run(folder: &Path) -> Result<ExitCode> {
    let rules = data::rules(folder)?;
    let (engine, errors) = LogEngine::load(&rules, &LogOptions::default());
    let peer = Peer::load(&rules);
    let ours: BTreeSet<String> = engine.rules().iter().map(|rule| rule.id.clone()).collect();
    let theirs = peer.ids();
    println!("rules: {} in the archive, {} load here ({} refused), {} in rsigma", rules.len(), ours.len(), errors.len(), theirs.len());
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    errors.iter().for_each(|error| *codes.entry(error.code.name()).or_default() += 1);
    println!("refused here: {codes:?}");
    for id in theirs.difference(&ours).take(40) {
        println!("  loads only in rsigma: {id}");
    }
    for id in ours.difference(&theirs).take(40) {
        println!("  loads only here: {id}");
    }
    let explained: BTreeSet<(&str, &str)> = EXPLAINED
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .filter_map(|line| line.split_once(' ').and_then(|(id, rest)| Some((id, rest.split_once(' ')?.0))))
        .collect();
    let (mut record, mut scratch) = (engine.record(), engine.scratch());
    let mut kinds: HashMap<Vec<LogSource>, (Kind, Vec<rsigma_parser::LogSource>)> = HashMap::new();
    let (mut events, mut pairs, mut known) = (0_u64, 0_u64, 0_u64);
    let mut differences: BTreeMap<(String, &str), (u64, String)> = BTreeMap::new();
    for event in data::events(folder)? {
        events += 1;
        let (kind, sources) = kinds
            .entry(event.sources.clone())
            .or_insert_with(|| (engine.kind(&event.sources), peer::sources(&event.sources)));
        record.clear();
        record.read_json(&event.line).context("read an event")?;
        let fired = engine.matches(&record, kind, &mut scratch);
        let fired: BTreeSet<String> = fired.iter().map(|rule| engine.rules()[*rule as usize].id.clone()).collect();
        let value: Value = serde_json::from_slice(&event.line)?;
        let expected = peer.matches(&value, sources);
        pairs += fired.intersection(&expected).count() as u64;
        for (id, side) in fired.difference(&expected).map(|id| (id, "ours")).chain(expected.difference(&fired).map(|id| (id, "theirs"))) {
            // what one side refused to load cannot be compared
            if !ours.contains(id) || !theirs.contains(id) {
                continue;
            }
            if explained.contains(&(id.as_str(), side)) {
                known += 1;
                continue;
            }
            let difference = differences.entry((id.clone(), side)).or_default();
            difference.0 += 1;
            if difference.0 == 1 {
                difference.1 = String::from_utf8_lossy(&event.line).chars().take(2_000).collect();
            }
        }
    }
    println!("events: {events}; pairs the same: {pairs}; explained differences: {known}; others: {}", differences.values().map(|it| it.0).sum::<u64>());
    for ((id, side), (count, line)) in &differences {
        let path = engine.rule(id).map(|rule| rule.path.as_str()).unwrap_or_default();
        println!("{count} only {side}: {id} {path}\n  {line}");
    }
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

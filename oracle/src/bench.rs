//! The benchmark: one thread, one run, both engines, the same events.

use crate::data::{self, Event};
use crate::peer::{self, Peer};
use anyhow::Result;
use hinomi_detect::{Engine, Kind, LogEngine, LogOptions, LogSource, RuleSource, content};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Rounds of our engine, each with an empty memo; the best one counts, as the machine may be busy.
const ROUNDS: usize = 3;
/// Events parsed before they are matched: few enough to stay in the cache, as when each is matched at once.
const PIECE: usize = 256;
/// Events the peer is given per case: it is slower, and its rate does not depend on the number.
const PEER_EVENTS_MAX: usize = 60_000;

pub fn run(folder: &Path, as_json: bool) -> Result<ExitCode> {
    let rules = data::rules(folder)?;
    let before = resident();
    let started = Instant::now();
    let (engine, errors) = LogEngine::load(&rules, &LogOptions::default());
    let load_seconds = started.elapsed().as_secs_f64();
    let loaded_bytes = resident().saturating_sub(before);
    let events = data::events(folder)?;
    let before = resident();
    let started = Instant::now();
    let mut kinds: HashMap<&[LogSource], Kind> = HashMap::new();
    for event in &events {
        kinds.entry(&event.sources).or_insert_with(|| engine.kind(&event.sources));
    }
    let kinds_seconds = started.elapsed().as_secs_f64();
    let kinds_bytes = resident().saturating_sub(before);
    let before = resident();
    let started = Instant::now();
    let peer = Peer::load(&rules);
    let peer_seconds = started.elapsed().as_secs_f64();
    let peer_bytes = resident().saturating_sub(before);
    let load = json!({
        "rules": rules.len(), "loaded": engine.rules().len(), "refused": errors.len(),
        "seconds": load_seconds, "resident_bytes": loaded_bytes,
        "kinds": kinds.len(), "kinds_seconds": kinds_seconds, "kinds_resident_bytes": kinds_bytes,
        "rsigma_seconds": peer_seconds, "rsigma_resident_bytes": peer_bytes,
    });
    if !as_json {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        println!("load: {} of {} rules in {load_seconds:.3} s, {:.1} MB; {} kinds of events in {kinds_seconds:.3} s, {:.1} MB; rsigma {peer_seconds:.3} s, {:.1} MB",
            engine.rules().len(), rules.len(), mb(loaded_bytes), kinds.len(), mb(kinds_bytes), mb(peer_bytes));
    }
    let category = |wanted: &'static str| {
        move |event: &&Event| event.sources.iter().any(|source| source.category.as_deref() == Some(wanted))
    };
    let all: Vec<&Event> = events.iter().collect();
    let processes: Vec<&Event> = events.iter().filter(category("process_creation")).collect();
    let scripts: Vec<&Event> = events.iter().filter(category("ps_script")).collect();
    let mut cases = Vec::new();
    for (name, events) in [("all", &all), ("process_creation", &processes), ("script_blocks", &scripts)] {
        cases.push(case(name, &engine, &kinds, &peer, events, as_json)?);
    }
    cases.push(rows(&rules, as_json));
    if as_json {
        println!("{}", json!({ "load": load, "cases": cases }));
    }
    Ok(ExitCode::SUCCESS)
}

fn case(
    name: &str,
    engine: &LogEngine,
    kinds: &HashMap<&[LogSource], Kind>,
    peer: &Peer,
    events: &[&Event],
    as_json: bool,
) -> Result<Value> {
    let mut record = engine.record();
    let (mut best_match, mut best_both) = (f64::MAX, f64::MAX);
    let mut fired = 0;
    let parsed = |event: &&Event| {
        let mut record = engine.record();
        let _ = record.read_json(&event.line);
        record.compact();
        (record, kinds[event.sources.as_slice()].clone())
    };
    // match only: parsed in pieces
    let mut spent = [0.0; ROUNDS];
    let mut scratches: Vec<_> = (0..ROUNDS).map(|_| engine.scratch()).collect();
    for piece in events.chunks(PIECE) {
        let records: Vec<_> = piece.iter().map(parsed).collect();
        for (spent, scratch) in spent.iter_mut().zip(&mut scratches) {
            let started = cpu_seconds();
            for (record, kind) in &records {
                fired += engine.matches(black_box(record), kind, scratch).len();
            }
            *spent += cpu_seconds() - started;
        }
    }
    best_match = spent.into_iter().fold(best_match, f64::min);
    for _ in 0..ROUNDS {
        let mut scratch = engine.scratch();
        let started = cpu_seconds();
        for event in events {
            record.clear();
            let _ = record.read_json(black_box(&event.line));
            black_box(engine.matches(&record, &kinds[event.sources.as_slice()], &mut scratch).len());
        }
        best_both = best_both.min(cpu_seconds() - started);
    }
    // every nth event, so that the mix is the same
    let step = events.len().div_ceil(PEER_EVENTS_MAX).max(1);
    let sample: Vec<&&Event> = events.iter().step_by(step).collect();
    let (mut peer_match, mut peer_both) = (0.0, 0.0);
    for piece in sample.chunks(PIECE) {
        // the source that says most: rsigma takes one
        let hints: Vec<_> = piece.iter().filter_map(|event| peer::sources(&event.sources).pop()).collect();
        let started = cpu_seconds();
        let values: Vec<Value> = piece.iter().map(|event| serde_json::from_slice(&event.line)).collect::<Result<_, _>>()?;
        let parse = cpu_seconds() - started;
        let started = cpu_seconds();
        for (value, hint) in values.iter().zip(&hints) {
            black_box(peer.count(black_box(value), hint));
        }
        let matching = cpu_seconds() - started;
        peer_match += matching;
        peer_both += parse + matching;
    }
    let rate = |count: usize, seconds: f64| count as f64 / seconds;
    let bytes: usize = events.iter().map(|event| event.line.len()).sum();
    let told = json!({
        "case": name, "events": events.len(), "mean_bytes": bytes / events.len().max(1),
        "fired": fired / ROUNDS,
        "match_per_second": rate(events.len(), best_match), "parse_match_per_second": rate(events.len(), best_both),
        "rsigma_match_per_second": rate(sample.len(), peer_match),
        "rsigma_parse_match_per_second": rate(sample.len(), peer_both),
        "match_ratio": rate(events.len(), best_match) / rate(sample.len(), peer_match),
        "parse_match_ratio": rate(events.len(), best_both) / rate(sample.len(), peer_both),
    });
    if !as_json {
        println!(
            "{name}: {} events of {} bytes, {} firings\n  match only    {:>9.0}/s, rsigma {:>7.0}/s, {:.1} times\n  parse + match {:>9.0}/s, rsigma {:>7.0}/s, {:.1} times",
            events.len(), bytes / events.len().max(1), fired / ROUNDS,
            rate(events.len(), best_match), rate(sample.len(), peer_match), told["match_ratio"].as_f64().unwrap_or_default(),
            rate(events.len(), best_both), rate(sample.len(), peer_both), told["parse_match_ratio"].as_f64().unwrap_or_default(),
        );
    }
    Ok(told)
}

/// Rows of our own sensor: from the examples of our own rules, each with a process of its own.
fn rows(rules: &[RuleSource], as_json: bool) -> Value {
    let mut all = rules.to_vec();
    all.extend(content::embedded().rules.iter().cloned());
    let (engine, _) = Engine::load(&all, &content::embedded().fields);
    let rows = crate::data::rows();
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let started = cpu_seconds();
        for row in &rows {
            black_box(engine.matches(black_box(row)).len());
        }
        best = best.min(cpu_seconds() - started);
    }
    let rate = rows.len() as f64 / best;
    if !as_json {
        println!("sensor rows: {} rows, {} rules\n  match only    {rate:>9.0}/s", rows.len(), engine.rules().len());
    }
    json!({ "case": "sensor_rows", "events": rows.len(), "rules": engine.rules().len(), "match_per_second": rate })
}

/// CPU time of this thread so far.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok()).map_or(f64::NAN, |nanos| nanos / 1e9)
}

/// Memory of this process.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

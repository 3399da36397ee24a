//! `cargo xtask quality detect`: what rules find in labelled logs, and what they claim in ordinary ones.
//!
//! Data: `data/detect` with `labels.json` (its README says where the samples and labels come from).
//! Prints, for public rules alone, with ours, and ours alone: recall per source, techniques claimed per
//! sample, alerts on baseline logs, alerts per attack sample, and the regression cases.
//!
//! Samples are in two halves by a hash of their path: rules are written looking at the first half only,
//! so the second tells what they are worth on samples nobody looked at. `--missed` lists of the first.
//! `--content FOLDER` reads our rules from there instead of those built in.

use hinomi_detect::{RuleSource, content};
use hinomi_model::Language;
use hinomi_scan::report::level_order;
use hinomi_scan::rules::{Detector, RuleSet, set};
use hinomi_scan::{Detection, Options, Progress, run};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Techniques a sample may claim to count for the strict figure (issue: few is better).
const TECHNIQUES_MAX: usize = 6;

#[derive(Debug, serde::Deserialize)]
struct Label {
    source: String,
    path: String,
    #[serde(default)]
    techniques: Vec<String>,
    #[serde(default)]
    rules: Vec<String>,
    match_count: Option<u64>,
    kind: String,
    archive: String,
}

/// What a set of rules came to.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    rules: String,
    rules_loaded: usize,
    rules_failed: usize,
    events: u64,
    seconds: f64,
    /// Events per second of processor time, reading and matching, rule loading apart: EVTX, JSON.
    evtx_per_cpu_second: f64,
    json_per_cpu_second: f64,
    /// Regression cases whose rules all fire, as often as they should.
    regression: (usize, usize),
    sources: BTreeMap<String, Source>,
    baseline: Baseline,
    missed: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
struct Source {
    samples: usize,
    /// Samples with a technique that exists.
    labelled: usize,
    /// Of those, samples where an alert of any level names the technique, its parent or its child.
    strict: usize,
    /// The same, counting alerts of medium and above and samples that claim at most six techniques.
    strict_medium: usize,
    /// (Samples that count so, labelled samples) of the half that rules are written on, and of the other.
    halves: [(usize, usize); 2],
    /// Samples with an alert of any level, of medium and above, of high and above.
    any: usize,
    medium: usize,
    high: usize,
    /// Mean distinct techniques claimed per sample, all levels; medium and above.
    techniques: f64,
    techniques_medium: f64,
    /// Mean alerts (rule and sample) per sample.
    alerts: f64,
}

#[derive(Debug, Default, Serialize)]
struct Baseline {
    samples: usize,
    events: u64,
    medium: usize,
    high: usize,
    /// Every high or critical alert: sample, record, rule, title.
    high_listed: Vec<String>,
    medium_rules: BTreeMap<String, usize>,
}

fn main() {
    let json = std::env::args().any(|word| word == "--json");
    let list = std::env::args().any(|word| word == "--missed");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let Ok(labels) = std::fs::read(data.join("detect/labels.json")) else {
        println!("skipped: data not present ({})", data.display());
        return;
    };
    let labels: Vec<Label> = serde_json::from_slice(&labels).expect("labels.json is as its README says");
    let Some(public) = public_rules(&data) else {
        println!("skipped: public rules not present");
        return;
    };
    let folder = std::env::args().skip_while(|word| word != "--content").nth(1);
    let ours = folder.map_or_else(RuleSet::content, |path| set::read(Path::new(&path)).expect("readable rules"));
    let both = public.iter().chain(&ours).cloned().collect::<Vec<_>>();
    for (name, sources) in [("public", public), ("public and ours", both), ("ours", ours)] {
        let mut outcome = judge(name, sources, &data, &labels);
        if !list {
            outcome.missed.clear();
        }
        match json {
            true => println!("{}", serde_json::to_string(&outcome).expect("plain data")),
            false => show(&outcome),
        }
    }
}

fn public_rules(data: &Path) -> Option<Vec<RuleSource>> {
    let file = std::fs::File::open(data.join("sigma/sigma-rules.tar.zst")).ok()?;
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).ok()?);
    let mut rules = Vec::new();
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        let path = entry.path().ok()?.to_string_lossy().into_owned();
        if path.ends_with(".yml") {
            let mut yaml = String::new();
            entry.read_to_string(&mut yaml).ok()?;
            rules.push(RuleSource { path, yaml });
        }
    }
    Some(rules)
}

fn judge(name: &str, sources: Vec<RuleSource>, data: &Path, labels: &[Label]) -> Outcome {
    let started = std::time::Instant::now();
    let set = RuleSet::load(sources);
    let detector = Detector::new(&set, Language::En);
    let archives: BTreeSet<&str> = labels.iter().map(|label| label.archive.as_str()).collect();
    // sample → (rule → count); samples are files in archives, or zips as a whole
    let mut found: HashMap<String, BTreeMap<String, (Detection, u64)>> = HashMap::new();
    let mut events: HashMap<&str, u64> = HashMap::new();
    // [EVTX, JSON]: events, seconds
    let mut speed = [(0u64, 0f64); 2];
    for archive in &archives {
        let path: PathBuf = data.join("detect").join(archive);
        let (files, _) = run::list(std::slice::from_ref(&path)).expect("the archive is there");
        let progress = Progress::default();
        let before = cpu_seconds();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let summary = run::run(&files, &detector, Options { threads }, &progress, &mut |detection| {
            let (outer, inner) = detection.source.split_once('!').unwrap_or((&detection.source, ""));
            let sample = if archive.ends_with(".zip") { (*archive).to_owned() } else { inner.to_owned() };
            let _ = outer;
            let rules = found.entry(sample).or_default();
            rules.entry(detection.rule_id.clone()).or_insert_with(|| (detection, 0)).1 += 1;
            true
        });
        events.insert(archive, summary.events);
        let kind = &mut speed[usize::from(archive.ends_with(".zip"))];
        *kind = (kind.0 + summary.events, kind.1 + cpu_seconds() - before);
    }
    let mut outcome = Outcome {
        rules: name.to_owned(),
        rules_loaded: set.engine.rules().len(),
        rules_failed: set.errors.len(),
        events: events.values().sum(),
        evtx_per_cpu_second: (speed[0].0 as f64 / speed[0].1.max(0.01)).round(),
        json_per_cpu_second: (speed[1].0 as f64 / speed[1].1.max(0.01)).round(),
        ..Outcome::default()
    };
    let none = BTreeMap::new();
    for label in labels {
        let alerts = found.get(&label.path).unwrap_or(&none);
        match (label.source.as_str(), label.kind.as_str()) {
            ("sigma-regression", _) => outcome.regression(label, alerts),
            (_, "baseline") => outcome.baseline(label, alerts),
            _ => outcome.attack(label, alerts),
        }
    }
    outcome.baseline.events = events.get("baseline.tar.gz").copied().unwrap_or_default();
    for source in outcome.sources.values_mut() {
        let samples = source.samples.max(1) as f64;
        for mean in [&mut source.techniques, &mut source.techniques_medium, &mut source.alerts] {
            *mean = (*mean / samples * 100.0).round() / 100.0;
        }
    }
    outcome.seconds = started.elapsed().as_secs_f64();
    outcome
}

/// Processor time of this process, user and system: proc(5), fields 14 and 15, in hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

type Alerts = BTreeMap<String, (Detection, u64)>;

fn medium(detection: &Detection) -> bool {
    level_order(&detection.level) <= 2
}

fn high(detection: &Detection) -> bool {
    level_order(&detection.level) <= 1
}

/// The half a sample belongs to: a bit of the FNV-1a hash (64 bits) of its path.
fn half(path: &str) -> usize {
    let hash = path
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash >> 32 & 1) as usize
}

/// Techniques in force of alerts.
fn claimed<'a>(alerts: impl Iterator<Item = &'a Detection>) -> BTreeSet<String> {
    let attack = content::attack();
    let ids = alerts.flat_map(|detection| &detection.techniques);
    ids.map(|id| attack.current(id).map_or_else(|| id.clone(), |technique| technique.id.clone())).collect()
}

fn related(a: &str, b: &str) -> bool {
    a == b
        || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'))
        || b.strip_prefix(a).is_some_and(|rest| rest.starts_with('.'))
}

impl Outcome {
    fn regression(&mut self, label: &Label, alerts: &Alerts) {
        let fires = |rule: &String| {
            let count = alerts.get(rule).map_or(0, |(_, count)| *count);
            count > 0 && label.match_count.is_none_or(|wanted| wanted == count)
        };
        self.regression.1 += 1;
        self.regression.0 += usize::from(label.rules.iter().all(fires));
    }

    fn baseline(&mut self, label: &Label, alerts: &Alerts) {
        self.baseline.samples += 1;
        for (detection, count) in alerts.values() {
            let count = *count as usize;
            let told = || format!("{} ×{count} {} ({})", label.path, detection.title, detection.rule_id);
            if high(detection) {
                self.baseline.high += count;
                self.baseline.high_listed.push(told());
            } else if medium(detection) {
                self.baseline.medium += count;
                *self.baseline.medium_rules.entry(detection.title.clone()).or_default() += count;
            }
        }
    }

    fn attack(&mut self, label: &Label, alerts: &Alerts) {
        let attack = content::attack();
        let source = self.sources.entry(label.source.clone()).or_default();
        let all = || alerts.values().map(|(detection, _)| detection);
        let wanted: Vec<String> =
            label.techniques.iter().filter_map(|id| attack.current(id)).map(|technique| technique.id.clone()).collect();
        let every = claimed(all());
        let grave = claimed(all().filter(|detection| medium(detection)));
        let names = |claims: &BTreeSet<String>| wanted.iter().any(|id| claims.iter().any(|claim| related(claim, id)));
        source.samples += 1;
        source.labelled += usize::from(!wanted.is_empty());
        source.strict += usize::from(names(&every));
        let strict_medium = names(&grave) && grave.len() <= TECHNIQUES_MAX;
        source.strict_medium += usize::from(strict_medium);
        let half = half(&label.path);
        source.halves[half].0 += usize::from(strict_medium);
        source.halves[half].1 += usize::from(!wanted.is_empty());
        source.any += usize::from(!alerts.is_empty());
        source.medium += usize::from(all().any(medium));
        source.high += usize::from(all().any(high));
        source.techniques += every.len() as f64;
        source.techniques_medium += grave.len() as f64;
        source.alerts += alerts.len() as f64;
        if !wanted.is_empty() && !strict_medium && half == 0 {
            let why =
                if names(&grave) { format!("{} techniques claimed", grave.len()) } else { "not named".to_owned() };
            self.missed.push(format!("{}: {} ({why})", label.path, wanted.join(" ")));
        }
    }
}

fn show(outcome: &Outcome) {
    println!(
        "\n== {} rules: {} loaded, {} refused; {} events in {:.1} s",
        outcome.rules, outcome.rules_loaded, outcome.rules_failed, outcome.events, outcome.seconds
    );
    println!(
        "events per second of processor time: {:.0} from EVTX, {:.0} from JSON",
        outcome.evtx_per_cpu_second, outcome.json_per_cpu_second
    );
    println!("regression: {} of {} cases", outcome.regression.0, outcome.regression.1);
    let percent =
        |part: usize, whole: usize| format!("{part}/{whole} {:.0} %", 100.0 * part as f64 / whole.max(1) as f64);
    for (name, source) in &outcome.sources {
        println!(
            "{name}: strict any level {}, strict medium+ and at most {TECHNIQUES_MAX} techniques {}",
            percent(source.strict, source.labelled),
            percent(source.strict_medium, source.labelled),
        );
        let [(seen, of_seen), (unseen, of_unseen)] = source.halves;
        println!("  of those the half looked at {}, the other {}", percent(seen, of_seen), percent(unseen, of_unseen));
        println!(
            "  samples with alerts: any {}, medium+ {}, high+ {}; techniques per sample {:.1}, medium+ {:.1}; alerts per sample {:.1}",
            percent(source.any, source.samples),
            percent(source.medium, source.samples),
            percent(source.high, source.samples),
            source.techniques,
            source.techniques_medium,
            source.alerts,
        );
    }
    let baseline = &outcome.baseline;
    println!(
        "baseline: {} logs, {} events: {} medium, {} high",
        baseline.samples, baseline.events, baseline.medium, baseline.high
    );
    for told in &baseline.high_listed {
        println!("  high: {told}");
    }
    for (rule, count) in &baseline.medium_rules {
        println!("  medium: {rule} ×{count}");
    }
    for missed in &outcome.missed {
        println!("  missed: {missed}");
    }
}

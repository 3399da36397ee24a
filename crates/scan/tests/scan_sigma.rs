//! Public rules over public logs: every rule of the regression data fires on its sample; and rules of our
//! own making over every format.

use hinomi_detect::RuleSource;
use hinomi_model::Language;
use hinomi_scan::report::html::Report;
use hinomi_scan::rules::{Detector, RuleSet, explain};
use hinomi_scan::{Completer, Detection, Options, Progress, Summary, read, run};
use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    path.exists().then_some(path)
}

fn public_rules() -> Option<Vec<RuleSource>> {
    let file = fs::File::open(shared("sigma/sigma-rules.tar.zst")?).ok()?;
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

fn scan(set: &RuleSet, paths: &[PathBuf], threads: usize) -> (Summary, Vec<Detection>) {
    let (files, _) = run::list(paths).expect("there");
    let detector = Detector::new(set, Language::En);
    let mut found = Vec::new();
    let summary = run::run(&files, &detector, Options { threads }, &Progress::default(), &mut |detection| {
        found.push(detection);
        true
    });
    found.extend(detector.finish());
    (summary, found)
}

#[test]
fn every_rule_of_the_regression_data_fires() {
    let (Some(rules), Some(archive), Some(labels)) =
        (public_rules(), shared("detect/sigma-regression.tar.gz"), shared("detect/labels.json"))
    else {
        println!("skipped: data not present");
        return;
    };
    let set = RuleSet::load(rules);
    println!("{} rules, {} refused", set.engine.rules().len(), set.errors.len());
    let (summary, found) = scan(&set, &[archive], 2);
    assert_eq!(summary.damaged, 0, "{:?}", summary.problems);
    let mut counts: HashMap<(&str, &str), u64> = HashMap::new();
    for detection in &found {
        let (_, inner) = detection.source.split_once('!').expect("in the archive");
        *counts.entry((inner, &detection.rule_id)).or_default() += 1;
    }
    let labels: Vec<serde_json::Value> = serde_json::from_slice(&fs::read(labels).expect("labels")).expect("JSON");
    let (mut cases, mut wrong) = (0, Vec::new());
    for label in labels.iter().filter(|label| label["source"] == "sigma-regression") {
        cases += 1;
        let path = label["path"].as_str().expect("path");
        for rule in label["rules"].as_array().expect("rules") {
            let count = counts.get(&(path, rule.as_str().expect("id"))).copied().unwrap_or_default();
            let wanted = label["match_count"].as_u64();
            if count == 0 || wanted.is_some_and(|wanted| wanted != count) {
                wrong.push(format!("{path}: {count}, not {wanted:?}"));
            }
        }
    }
    assert_eq!(cases, 101);
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
}

fn rule(id: &str, logsource: &str, detection: &str) -> RuleSource {
    let yaml = format!(
        "title: Rule {id}\nid: {id}\nlevel: high\nauthor: A\ntags: [attack.t1059.001]\nlogsource: {logsource}\ndetection: {detection}\n"
    );
    RuleSource { path: format!("{id}.yml"), yaml }
}

#[test]
fn one_event_meets_rules_of_several_sources() {
    let set = RuleSet::load(vec![
        rule(
            "category",
            "{product: windows, category: process_creation}",
            r"{s: {Image|endswith: '\cmd.exe'}, condition: s}",
        ),
        rule(
            "service",
            "{product: windows, service: security}",
            "{s: {EventID: 4688, NewProcessName|contains: cmd}, condition: s}",
        ),
        rule("product", "{product: windows}", "{keywords: [whoami], condition: keywords}"),
        rule("other", "{product: windows, category: file_event}", r"{s: {Image|endswith: '\cmd.exe'}, condition: s}"),
        rule("linux", "{product: linux, category: process_creation}", r"{s: {Image|endswith: cmd.exe}, condition: s}"),
    ]);
    assert!(set.errors.is_empty(), "{:?}", set.errors);
    let dir = tempfile::tempdir().expect("folder");
    let event = r#"{"Channel":"Security","EventID":4688,"NewProcessName":"C:\\Windows\\System32\\cmd.exe","CommandLine":"cmd /c whoami","Hostname":"pc1","TimeCreated":"2026-01-02 03:04:05"}"#;
    fs::write(dir.path().join("a.json"), format!("{event}\n")).expect("write");
    let (summary, found) = scan(&set, &[dir.path().to_owned()], 2);
    assert_eq!(summary.events, 1);
    let ids: Vec<&str> = found.iter().map(|detection| detection.rule_id.as_str()).collect();
    assert_eq!(ids, ["category", "service", "product"]);
    let json = serde_json::to_value(&found[0]).expect("JSON");
    let keys: Vec<&String> = json.as_object().expect("object").keys().collect();
    assert_eq!(keys, ["rule_id", "title", "level", "tags", "time", "source", "record_id", "fields", "author"]);
    assert_eq!(json["time"], "2026-01-02T03:04:05.000000Z");
    assert_eq!(json["record_id"], 1);
    assert!(json["fields"].get("Image").is_none(), "only what stood in the log");
}

#[test]
fn correlations_count_over_a_whole_run() {
    let base = rule("failed", "{product: windows, service: security}", "{s: {EventID: 4625}, condition: s}");
    let yaml = "title: Many\nid: many\nlevel: high\ncorrelation: {type: event_count, rules: [failed], group-by: [IpAddress], timespan: 5m, condition: {gte: 5}}\n";
    let set = RuleSet::load(vec![base, RuleSource { path: "many.yml".to_owned(), yaml: yaml.to_owned() }]);
    assert!(set.errors.is_empty(), "{:?}", set.errors);
    let dir = tempfile::tempdir().expect("folder");
    let lines: String = (0..12)
        .map(|at| {
            let address = if at % 2 == 0 { "203.0.113.9" } else { "203.0.113.77" };
            let last = if at % 2 == 0 { at } else { at * 10 };
            format!("{{\"Channel\":\"Security\",\"EventID\":4625,\"IpAddress\":\"{address}\",\"@timestamp\":\"2026-01-02T{:02}:{:02}:00Z\"}}\n", 3 + last / 60, last % 60 / 3)
        })
        .collect();
    fs::write(dir.path().join("a.json"), lines).expect("write");
    let (_, found) = scan(&set, &[dir.path().to_owned()], 1);
    let many: Vec<&Detection> = found.iter().filter(|detection| detection.rule_id == "many").collect();
    assert!(!many.is_empty(), "{found:?}");
    assert!(many.iter().any(|detection| detection.fields["IpAddress"] == "203.0.113.9"), "{many:?}");
}

#[test]
fn rows_of_our_own_sensor_meet_our_own_rules() {
    let set = RuleSet::load(RuleSet::content());
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/mail-attachment-linux/events");
    let (summary, found) = scan(&set, &[scenario], 2);
    assert_eq!(summary.damaged, 0, "{:?}", summary.problems);
    assert!(found.len() >= 2, "{} of {} events", found.len(), summary.events);
    assert!(found.iter().all(|detection| detection.time.is_some()));
}

fn record(json: &str) -> hinomi_scan::Record {
    let mut completer = Completer::default();
    let mut record = read::json::event(json.as_bytes(), &mut completer).expect("an event");
    completer.complete(&mut record);
    record
}

#[test]
fn rules_explain_themselves() {
    let rule = rule(
        "r",
        "{product: windows, category: process_creation}",
        r"{selection: {Image|endswith: '\cmd.exe', CommandLine|contains|all: [whoami, /c]}, filter: {User: ['SYSTEM']}, condition: selection and not filter}",
    );
    let explain = |json: &str| explain::explain(&rule.path, &rule.yaml, "r", &record(json)).expect("explained");
    let sysmon = |rest: &str| {
        format!(r#"{{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"Image":"C:\\cmd.exe",{rest}}}"#)
    };
    let hit = explain(&sysmon(r#""CommandLine":"cmd /c whoami","User":"kato""#));
    assert!(hit.fires && hit.applies && hit.blame.is_none(), "{hit:?}");
    // one comparison is not met
    let miss = explain(&sysmon(r#""CommandLine":"cmd /c dir","User":"kato""#));
    let blame = miss.blame.expect("blame");
    assert_eq!((blame.selection.as_str(), blame.met), ("selection", false));
    let comparison = blame.comparison.expect("comparison");
    assert_eq!(comparison.field, "CommandLine|contains|all");
    assert_eq!(comparison.has.as_deref(), Some("cmd /c dir"));
    // a filter stands in the way
    let filtered = explain(&sysmon(r#""CommandLine":"cmd /c whoami","User":"SYSTEM""#));
    let blame = filtered.blame.expect("blame");
    assert_eq!((blame.selection.as_str(), blame.met), ("filter", true));
    // the event is of another source
    let other = explain(r#"{"Channel":"Security","EventID":1}"#);
    assert!(!other.fires && !other.applies);
    assert!(explain::lines(&other)[0].starts_with("✗ log source"));
}

#[test]
fn a_report_of_a_real_attack() {
    let (Some(rules), Some(zip)) =
        (public_rules(), shared("detect/security-datasets/psh_mshta_html_application_execution.zip"))
    else {
        println!("skipped: data not present");
        return;
    };
    let set = RuleSet::load(rules.into_iter().filter(|rule| rule.path.contains("mshta")).collect());
    let (summary, found) = scan(&set, &[zip], 2);
    assert!(!found.is_empty());
    let mut report = Report::default();
    found.into_iter().for_each(|detection| report.add(detection));
    for language in [Language::En, Language::Ja] {
        let mut html = Vec::new();
        let made = hinomi_model::Timestamp::from_micros(0);
        report.write(&mut html, &summary, set.engine.rules().len(), made, language).expect("writes");
        let html = String::from_utf8(html).expect("UTF-8");
        for part in ["<svg", "class=\"matrix\"", "class=\"tree\"", "mshta"] {
            assert!(html.contains(part), "{part}");
        }
    }
}

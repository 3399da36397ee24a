//! The rule language, one case per clause: a rule fragment, an event, and whether it fires.

use hinomi_detect::{Engine, FieldMap, RuleErrorCode, RuleSource, content};
use hinomi_model::{Event, Table, Timestamp};

fn rule(detection: &str) -> String {
    let body: String = detection.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "title: t\nid: r\nlevel: low\nlogsource: {{product: hinomi, service: DeviceProcessEvents}}\ndetection:\n{body}"
    )
}

fn load(yaml: &str) -> (Engine, Vec<hinomi_detect::RuleError>) {
    let source = RuleSource { path: "r.yml".to_owned(), yaml: yaml.to_owned() };
    Engine::load(&[source], &content::embedded().fields)
}

/// `cmd` is the command line; FileName and AccountName are fixed.
fn fires(detection: &str, cmd: &str) -> bool {
    let (engine, errors) = load(&rule(detection));
    assert!(errors.is_empty(), "{}", errors[0]);
    let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(0));
    event
        .set("ProcessCommandLine", cmd)
        .set("FileName", "Tool.EXE")
        .set("AccountName", "tool")
        .set("ProcessId", 42_i64);
    event.set("AdditionalFields", r#"{"Argv":["one","Two words"],"Depth":3,"Empty":""}"#);
    !engine.evaluate(&event).is_empty()
}

fn check(cases: &[(&str, &str, bool)]) {
    let mut wrong = Vec::new();
    for (detection, cmd, expected) in cases {
        if fires(detection, cmd) != *expected {
            wrong.push(format!("expected {expected} for {cmd:?}:\n{detection}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn field(item: &str) -> String {
    format!("sel:\n  {item}\ncondition: sel")
}

fn check_fields(cases: &[(&str, &str, bool)]) {
    let owned: Vec<(String, &str, bool)> =
        cases.iter().map(|(item, cmd, expected)| (field(item), *cmd, *expected)).collect();
    check(&owned.iter().map(|(item, cmd, expected)| (item.as_str(), *cmd, *expected)).collect::<Vec<_>>());
}

#[test]
fn values() {
    check_fields(&[
        // case does not matter unless asked
        ("ProcessCommandLine: CURL", "curl", true),
        ("ProcessCommandLine: curl", "curl x", false),
        ("ProcessCommandLine|cased: CURL", "curl", false),
        ("ProcessCommandLine|contains|cased: cU", "a cUrl", true),
        ("ProcessCommandLine: ÄÖ", "äö", true),
        // lists are or
        ("ProcessCommandLine: [a, b]", "b", true),
        ("ProcessCommandLine: [a, b]", "c", false),
        // wildcards and escapes
        ("ProcessCommandLine: 'a*c'", "abbc", true),
        ("ProcessCommandLine: 'a?c'", "abbc", false),
        ("ProcessCommandLine: 'a?c'", "aXc", true),
        ("ProcessCommandLine: 'A*B?'", "aXXbY", true),
        (r"ProcessCommandLine: 'a\*c'", "a*c", true),
        (r"ProcessCommandLine: 'a\*c'", "abc", false),
        (r"ProcessCommandLine: 'a\\*c'", r"a\bc", true),
        (r"ProcessCommandLine|contains: '\x\y'", r"a\x\y", true),
        ("ProcessCommandLine: '*'", "", true),
        ("ProcessCommandLine: ''", "", true),
        ("ProcessCommandLine: ''", "a", false),
        // null, numbers, lists of the event
        ("SHA256: null", "", true),
        ("FileName: null", "", false),
        ("ProcessId: 42", "", true),
        ("ProcessId|startswith: 4", "", true),
        ("AdditionalFields.Argv|contains: words", "", true),
        ("AdditionalFields.Argv: two words", "", true),
        ("AdditionalFields.Argv: words", "", false),
        ("AdditionalFields.Depth|gte: 3", "", true),
        ("AdditionalFields.Nope: null", "", true),
        ("AdditionalFields.Empty|exists: true", "", true),
    ]);
}

#[test]
fn modifiers() {
    check_fields(&[
        ("ProcessCommandLine|startswith: cu", "curl x", true),
        ("ProcessCommandLine|startswith: rl", "curl x", false),
        ("ProcessCommandLine|endswith: x", "curl X", true),
        ("ProcessCommandLine|contains|all: [a, b]", "b a", true),
        ("ProcessCommandLine|contains|all: [a, b]", "b", false),
        ("ProcessCommandLine|contains|all: ['a*b', c]", "c axxb", true),
        ("ProcessCommandLine|re: '^c.rl$'", "curl", true),
        ("ProcessCommandLine|re: '^c.rl$'", "CURL", false),
        ("ProcessCommandLine|re|i: '^c.rl$'", "CURL", true),
        ("ProcessCommandLine|re|s: 'a.b'", "a\nb", true),
        ("ProcessCommandLine|re: 'a.b'", "a\nb", false),
        ("ProcessCommandLine|re|m: '^b'", "a\nb", true),
        ("ProcessCommandLine|cidr: 10.0.0.0/8", "10.9.9.9", true),
        ("ProcessCommandLine|cidr: [10.0.0.0/8, 'fe80::/10']", "fe80::1", true),
        ("ProcessCommandLine|windash|contains: ' -f'", "rm /f /x", true),
        ("ProcessCommandLine|windash|contains: ' -f'", "rm \u{2012}f", false),
        ("ProcessCommandLine|windash|contains: ' -f'", "rm  \u{2014}f", true),
        ("ProcessCommandLine|windash|contains: ' \u{2013}f'", "rm -f", true),
        ("ProcessCommandLine|base64offset|contains: foobar", "x mb29iYXI", true),
        ("ProcessCommandLine|wide|base64offset|contains: foo", "ZgBvAG8A", true),
        ("ProcessId|lt: 43", "", true),
        ("ProcessId|gt: 42", "", false),
        ("ProcessId|lte: 42", "", true),
        ("ProcessCommandLine|lt: 5", "no number", false),
        ("SHA256|exists: false", "", true),
        ("FileName|exists: false", "", false),
        ("ProcessCommandLine|fieldref: AccountName", "TOOL", true),
        ("ProcessCommandLine|fieldref|cased: AccountName", "TOOL", false),
        ("ProcessCommandLine|fieldref|endswith: AccountName", "my tool", true),
        ("ProcessCommandLine|fieldref|contains: SHA256", "x", false),
        ("ProcessCommandLine|fieldref|neq: AccountName", "x", true),
        ("ProcessCommandLine|neq: [a, b]", "c", true),
        ("ProcessCommandLine|neq: [a, b]", "a", false),
    ]);
}

#[test]
fn windash_needs_a_word_after_the_dash() {
    check_fields(&[
        ("ProcessCommandLine|windash|contains: '-f'", "rm \u{2013}f", true),
        ("ProcessCommandLine|windash|contains: 'a-b'", "a/b", false),
    ]);
}

#[test]
fn structure() {
    check(&[
        // a map is and, a list of maps is or
        ("sel:\n  ProcessCommandLine: a\n  FileName: tool.exe\ncondition: sel", "a", true),
        ("sel:\n  ProcessCommandLine: a\n  FileName: other\ncondition: sel", "a", false),
        ("sel:\n  - ProcessCommandLine: a\n  - FileName: other\ncondition: sel", "a", true),
        // keywords look at every text of the event
        ("kw: [nothing, TOOL.exe]\ncondition: kw", "", true),
        ("kw:\n  '|all': [tool, exe]\ncondition: kw", "", true),
        ("kw:\n  '|all': [tool, absent]\ncondition: kw", "", false),
        ("kw:\n  '|re': 'T..l\\.E'\ncondition: kw", "", true),
        ("kw: one thing\ncondition: kw", "do one thing", true),
        // conditions
        ("a: {ProcessCommandLine: a}\nb: {ProcessCommandLine: b}\ncondition: a or b", "b", true),
        ("a: {ProcessCommandLine: a}\nb: {ProcessCommandLine: b}\ncondition: a and b", "b", false),
        ("a: {ProcessCommandLine: a}\nb: {FileName: tool.exe}\ncondition: not a and b", "b", true),
        ("a: {ProcessCommandLine: a}\nb: {FileName: tool.exe}\ncondition: not (a or b)", "b", false),
        (
            "a: {ProcessCommandLine: a}\nb: {ProcessCommandLine: b}\nc: {ProcessCommandLine: c}\ncondition: a or b and c",
            "a",
            true,
        ),
        ("a: {ProcessCommandLine: a}\ncondition: NOT a", "b", true),
        ("sel_a: {ProcessCommandLine: a}\nsel_b: {ProcessCommandLine: b}\ncondition: 1 of sel_*", "b", true),
        ("sel_a: {ProcessCommandLine: a}\nsel_b: {ProcessCommandLine: b}\ncondition: all of sel_*", "b", false),
        ("sel_a: {ProcessCommandLine: a}\nsel_b: {FileName: tool.exe}\ncondition: all of them", "a", true),
        ("_own: {ProcessCommandLine: z}\nsel_b: {FileName: tool.exe}\ncondition: all of them", "a", true),
        ("sel_a: {ProcessCommandLine: a}\nx_f: {ProcessCommandLine: b}\ncondition: any of *_f", "b", true),
        ("a: {ProcessCommandLine: a}\nb: {ProcessCommandLine: b}\ncondition: [a, b]", "b", true),
    ]);
}

#[test]
fn mistakes_show_place_and_hint() {
    let cases = [
        (
            "sel:\n  ProcessComandLine: a\ncondition: sel",
            RuleErrorCode::Field,
            (7, 5),
            "did you mean ProcessCommandLine?",
        ),
        ("sel:\n  ProcessCommandLine|contain: a\ncondition: sel", RuleErrorCode::Modifier, (7, 24), "known:"),
        ("sel:\n  ProcessCommandLine|re: '(a'\ncondition: sel", RuleErrorCode::Value, (7, 28), "look-around"),
        ("sel:\n  FileName: a\ncondition: sel and fitler", RuleErrorCode::Condition, (8, 22), "there are: sel"),
        ("sel:\n  FileName: a\ncondition: sel and (sel", RuleErrorCode::Condition, (8, 22), ""),
        ("sel:\n  FileName: a\ncondition: sel | count() > 5", RuleErrorCode::Condition, (8, 18), "aggregations"),
        ("sel:\n  FileName: a\ncondition: 1 of other_*", RuleErrorCode::Condition, (8, 19), ""),
        ("sel:\n  FileName: a", RuleErrorCode::Condition, (6, 3), ""),
        ("sel: {}\ncondition: sel", RuleErrorCode::Structure, (6, 8), ""),
        ("sel:\n  FileName: [[a]]\ncondition: sel", RuleErrorCode::Structure, (7, 16), ""),
    ];
    for (detection, code, place, hint) in cases {
        let (engine, errors) = load(&rule(detection));
        assert!(engine.rules().is_empty(), "{detection}");
        let error = &errors[0];
        assert_eq!((error.code, (error.line, error.column)), (code, place), "{error}");
        assert!(error.hint.contains(hint), "{error}");
    }
    let shown = load(&rule(cases[0].0)).1[0].to_string();
    assert_eq!(
        shown,
        "r.yml:7:5: [field] the field \"ProcessComandLine\" is not known for DeviceProcessEvents\n\
         7 |     ProcessComandLine: a\n  |     ^\nhint: did you mean ProcessCommandLine?\n"
    );
}

#[test]
fn one_bad_rule_never_stops_others() {
    let good = rule("sel: {FileName: tool.exe}\ncondition: sel");
    let source = |path: &str, yaml: &str| RuleSource { path: path.to_owned(), yaml: yaml.to_owned() };
    let sources = [
        source("broken.yml", "title: [\n"),
        source("empty.yml", ""),
        source("good.yml", &good),
        source("twice.yml", &good),
        source("two.yml", &format!("{}---\ntitle: x\n", good.replace("id: r", "id: r2"))),
        source("correlation.yml", "title: c\ncorrelation: {type: event_count, rules: [nope]}\n"),
    ];
    let (engine, errors) = Engine::load(&sources, &FieldMap::parse("f.yml", "sources: []").expect("fields"));
    assert_eq!(engine.rules().iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["r", "r2"]);
    let codes: Vec<_> = errors.iter().map(|error| (error.path.as_str(), error.code)).collect();
    assert_eq!(
        codes,
        [
            ("broken.yml", RuleErrorCode::Yaml),
            ("empty.yml", RuleErrorCode::Structure),
            ("twice.yml", RuleErrorCode::DuplicateId),
            ("two.yml", RuleErrorCode::Structure),
            ("correlation.yml", RuleErrorCode::Correlation),
        ]
    );
}

#[test]
fn log_sources_and_platforms() {
    let yaml = |product: &str, category: &str, item: &str| {
        format!(
            "title: t\nid: r\nlogsource: {{product: {product}, category: {category}}}\ndetection: {{sel: {{{item}}}, condition: sel}}\n"
        )
    };
    let mut process = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(0));
    process.set("ActionType", "ProcessCreated").set("FolderPath", "/usr/bin/id").set("ProcessCommandLine", "id");
    let mut windows = process.clone();
    windows.set("FolderPath", r"C:\Windows\id.exe");
    let mut ended = process.clone();
    ended.set("ActionType", "ProcessTerminated");
    let fires = |yaml: &str, event: &Event| {
        let (engine, errors) = load(yaml);
        assert!(errors.is_empty(), "{}", errors[0]);
        engine.evaluate(event).len()
    };
    let linux = yaml("linux", "process_creation", "CommandLine: id");
    assert_eq!([fires(&linux, &process), fires(&linux, &windows), fires(&linux, &ended)], [1, 0, 0]);
    let other = yaml("windows", "process_creation", "CommandLine: id");
    assert_eq!([fires(&other, &process), fires(&other, &windows)], [0, 1]);
    let refused = load(&yaml("solaris", "process_creation", "CommandLine: id"));
    assert_eq!(refused.1[0].code, RuleErrorCode::Logsource);

    let mut connection = Event::new(Table::DeviceNetworkEvents, Timestamp::from_micros(0));
    connection.set("ActionType", "ConnectionRequest").set("RemoteIP", "203.0.113.9").set("RemotePort", 443_i64);
    let outgoing = yaml("linux", "network_connection", "Initiated: 'true', DestinationPort: 443");
    assert_eq!(fires(&outgoing, &connection), 1);
    let incoming = yaml("linux", "network_connection", "Initiated: 'false', DestinationPort: 443");
    assert_eq!(fires(&incoming, &connection), 0);

    process.set("MD5", "AA").set("SHA256", "BB");
    let hashes = yaml("linux", "process_creation", "Hashes|contains: sha256=bb");
    assert_eq!(fires(&hashes, &process), 1);
}

#[test]
fn detections_say_why() {
    let yaml = rule(
        "sel:\n  ProcessCommandLine|contains: [evil, bad]\n  FileName|endswith: .exe\nfilter:\n  AccountName: root\n\
         condition: sel and not filter",
    ) + "tags: [attack.t1059.004, attack.execution]\nauthor: A. Author\nhinomi:\n  title: {en: E, ja: 日}\n  \
         next_steps: [{en: do, ja: する}]\n  severity: high\n  respond: stop\n";
    let (engine, errors) = load(&yaml);
    assert!(errors.is_empty(), "{}", errors[0]);
    let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(0));
    event.set("ProcessCommandLine", "do Evil").set("FileName", "a.exe");
    let [detection] = engine.evaluate(&event).try_into().expect("one");
    let matched: Vec<_> =
        detection.matched.iter().map(|it| (it.field.as_str(), it.value.as_str(), it.pattern.as_str())).collect();
    assert_eq!(matched, [("ProcessCommandLine", "do Evil", "contains: evil"), ("FileName", "a.exe", "endswith: .exe")]);
    assert_eq!((detection.title.ja.as_str(), detection.severity), ("日", hinomi_model::Severity::High));
    assert_eq!((detection.techniques, detection.tactics), (vec!["T1059.004".to_owned()], vec!["execution".to_owned()]));
    let rule = engine.rule("r").expect("loaded");
    assert_eq!((rule.author.as_str(), rule.respond), ("A. Author", hinomi_detect::Respond::Stop));
}

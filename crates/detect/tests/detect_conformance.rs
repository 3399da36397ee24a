//! Conformance with the Sigma specification 2.1.0: cases per clause, each naming the clause.
//!
//! A case is a detection, and events with whether the rule fires. Clauses: `rules` is the rules
//! specification, `modifiers` its appendix, `filters` and `correlations` theirs.

use hinomi_detect::{Correlator, LogEngine, LogOptions, LogSource, RuleErrorCode, RuleSource};

type Case = (&'static str, &'static str, &'static [(&'static str, bool)]);

#[rustfmt::skip]
const CASES: &[Case] = &[
    // ---- values
    ("rules/detection: values are compared without regard to case", "s: {a: FooBar}", &[
        (r#"{"a":"foobar"}"#, true), (r#"{"a":"FOOBAR"}"#, true), (r#"{"a":"foobarx"}"#, false), (r#"{"b":"foobar"}"#, false)]),
    ("rules/detection: case beyond ASCII", "s: {a: ÄÖÜß}", &[(r#"{"a":"äöüß"}"#, true), (r#"{"a":"aou"}"#, false)]),
    ("rules/wildcards: * is any number of characters", "s: {a: 'x*z'}", &[
        (r#"{"a":"xz"}"#, true), (r#"{"a":"X12Z"}"#, true), (r#"{"a":"xzy"}"#, false), (r#"{"a":"x\nz"}"#, true)]),
    ("rules/wildcards: ? is one character", "s: {a: 'x?z'}", &[
        (r#"{"a":"xyz"}"#, true), (r#"{"a":"xz"}"#, false), (r#"{"a":"xyyz"}"#, false), (r#"{"a":"xéz"}"#, true)]),
    ("rules/wildcards: at the start and at the end", "s: {a: '*mid*'}", &[(r#"{"a":"amidb"}"#, true), (r#"{"a":"mid"}"#, true), (r#"{"a":"mi"}"#, false)]),
    ("rules/wildcards: several in one value", r"s: {a: '*\app*\\?oo.exe'}", &[
        (r#"{"a":"C:\\appdata\\zoo.exe"}"#, true), (r#"{"a":"C:\\appdata\\oo.exe"}"#, false)]),
    ("rules/escaping: a backslash before * makes it plain", r"s: {a: 'x\*z'}", &[(r#"{"a":"x*z"}"#, true), (r#"{"a":"xyz"}"#, false)]),
    ("rules/escaping: a backslash before ? makes it plain", r"s: {a: 'x\?z'}", &[(r#"{"a":"x?z"}"#, true), (r#"{"a":"xyz"}"#, false)]),
    ("rules/escaping: a single backslash is plain", r"s: {a: 'x\y'}", &[(r#"{"a":"x\\y"}"#, true), (r#"{"a":"xy"}"#, false)]),
    ("rules/escaping: two backslashes before a wildcard are one, and a wildcard", r"s: {a: 'x\\*z'}", &[
        (r#"{"a":"x\\yz"}"#, true), (r#"{"a":"x\\z"}"#, true), (r#"{"a":"xyz"}"#, false)]),
    ("rules/escaping: three backslashes before a wildcard are one, and a plain *", r"s: {a: 'x\\\*z'}", &[
        (r#"{"a":"x\\*z"}"#, true), (r#"{"a":"x\\yz"}"#, false)]),
    ("rules/escaping: three or four backslashes are two", r"s: {a: ['\\\host', '\\\\server']}", &[
        (r#"{"a":"\\\\host"}"#, true), (r#"{"a":"\\\\server"}"#, true), (r#"{"a":"\\host"}"#, false)]),
    ("rules/values: numbers", "s: {a: 4624}", &[(r#"{"a":4624}"#, true), (r#"{"a":"4624"}"#, true), (r#"{"a":46240}"#, false)]),
    ("rules/values: truth values", "s: {a: true}", &[(r#"{"a":true}"#, true), (r#"{"a":"true"}"#, true), (r#"{"a":false}"#, false)]),
    ("rules/special values: '' is empty", "s: {a: ''}", &[(r#"{"a":""}"#, true), (r#"{"a":"x"}"#, false), (r#"{"a":null}"#, false), ("{}", false)]),
    ("rules/special values: null is no value", "s: {a: null}", &[(r#"{"a":null}"#, true), ("{}", true), (r#"{"a":""}"#, false), (r#"{"a":0}"#, false)]),
    ("rules/special values: not null is a negated selection", "s: {b: x}\nf: {a: null}\ncondition: s and not f", &[
        (r#"{"b":"x","a":1}"#, true), (r#"{"b":"x"}"#, false)]),
    ("rules/values: * alone asks for a value", "s: {a: '*'}", &[(r#"{"a":"x"}"#, true), (r#"{"a":""}"#, true), (r#"{"a":null}"#, false), ("{}", false)]),
    // ---- structure
    ("rules/maps: all entries", "s: {a: x, b: y}", &[(r#"{"a":"x","b":"y"}"#, true), (r#"{"a":"x"}"#, false)]),
    ("rules/lists: one of the values", "s: {a: [x, y]}", &[(r#"{"a":"y"}"#, true), (r#"{"a":"z"}"#, false)]),
    ("rules/lists: one of the maps", "s:\n  - {a: x}\n  - {b: y, c: z}", &[
        (r#"{"a":"x"}"#, true), (r#"{"b":"y","c":"z"}"#, true), (r#"{"b":"y"}"#, false)]),
    ("rules/lists: strings are keywords over the whole event", "s: [alpha, 'be?a']", &[
        (r#"{"any":"has Alpha inside"}"#, true), (r#"{"n":{"deep":"xbetax"}}"#, true), (r#"{"a":"gamma"}"#, false)]),
    ("rules/lists: maps and keywords together", "s:\n  - word\n  - {a: x}", &[(r#"{"z":"the word"}"#, true), (r#"{"a":"x"}"#, true), (r#"{"a":"y"}"#, false)]),
    ("rules/keywords: '|all' asks for every one", "s: {'|all': [alpha, beta]}", &[
        (r#"{"a":"alpha","b":"a beta"}"#, true), (r#"{"a":"alpha"}"#, false)]),
    ("rules/field usage: spaces are stripped", "s: {'New Value': x}", &[(r#"{"NewValue":"x"}"#, true)]),
    ("rules/field usage: names keep their case", "s: {Image: x}", &[(r#"{"Image":"x"}"#, true), (r#"{"image":"x"}"#, false)]),
    ("rules/field usage: nested names", "s: {a.b: x}", &[(r#"{"a":{"b":"x"}}"#, true), (r#"{"a.b":"x"}"#, true), (r#"{"b":"x"}"#, false)]),
    ("rules/values: a field with several values fires when one does", "s: {a: y}", &[(r#"{"a":["x","y"]}"#, true), (r#"{"a":["x"]}"#, false)]),
    ("rules/field existence: exists", "s: {a|exists: true}", &[(r#"{"a":"x"}"#, true), (r#"{"a":null}"#, true), (r#"{"a":""}"#, true), ("{}", false)]),
    ("modifiers/exists: false", "s: {a|exists: false}", &[(r#"{"b":"x"}"#, true), (r#"{"a":null}"#, false), (r#"{"a":"x"}"#, false)]),
    // ---- generic modifiers
    ("modifiers/all", "s: {a|contains|all: [x, y]}", &[(r#"{"a":"y-x"}"#, true), (r#"{"a":"x"}"#, false)]),
    ("modifiers/all: over several values of a field", "s: {a|all: [x, y]}", &[(r#"{"a":["x","y"]}"#, true), (r#"{"a":"x"}"#, false)]),
    ("modifiers/startswith", "s: {a|startswith: adm}", &[(r#"{"a":"Admin"}"#, true), (r#"{"a":"xadm"}"#, false)]),
    ("modifiers/endswith", r"s: {a|endswith: '\cmd.exe'}", &[(r#"{"a":"C:\\CMD.EXE"}"#, true), (r#"{"a":"cmd.exe"}"#, false), (r#"{"a":"\\cmd.exe "}"#, false)]),
    ("modifiers/contains", "s: {a|contains: mid}", &[(r#"{"a":"aMIDb"}"#, true), (r#"{"a":"mi d"}"#, false)]),
    ("modifiers/contains: with a wildcard inside", "s: {a|contains: 'a*b'}", &[(r#"{"a":"xaxxbx"}"#, true), (r#"{"a":"ba"}"#, false)]),
    ("modifiers/contains: literals of one to four bytes", "s: {a|contains: [q, zz, www, ____]}", &[
        (r#"{"a":"aqa"}"#, true), (r#"{"a":"azz"}"#, true), (r#"{"a":"wwwa"}"#, true), (r#"{"a":"_____"}"#, true), (r#"{"a":"z ww ___"}"#, false)]),
    ("modifiers/cased", "s: {a|cased: Foo}", &[(r#"{"a":"Foo"}"#, true), (r#"{"a":"foo"}"#, false)]),
    ("modifiers/cased: with contains", "s: {a|contains|cased: Foo}", &[(r#"{"a":"xFoox"}"#, true), (r#"{"a":"xfoox"}"#, false)]),
    ("modifiers/cased: with wildcards", "s: {a|cased: 'F*o?x'}", &[(r#"{"a":"Fo-oox"}"#, true), (r#"{"a":"fo-oox"}"#, false)]),
    ("modifiers/neq: string", "s: {a|neq: x}", &[(r#"{"a":"y"}"#, true), (r#"{"a":"X"}"#, false)]),
    ("modifiers/neq: none of several", "s: {a|neq: [x, y]}", &[(r#"{"a":"z"}"#, true), (r#"{"a":"y"}"#, false)]),
    ("modifiers/neq: number", "s: {a|neq: 5}", &[(r#"{"a":6}"#, true), (r#"{"a":5}"#, false)]),
    ("modifiers/neq: with contains", "s: {a|contains|neq: mid}", &[(r#"{"a":"x"}"#, true), (r#"{"a":"amidb"}"#, false)]),
    // ---- strings
    ("modifiers/windash: every dash", "s: {a|windash|contains: ' -x'}", &[
        (r#"{"a":"p -x"}"#, true), (r#"{"a":"p /x"}"#, true), (r#"{"a":"p –x"}"#, true), (r#"{"a":"p —x"}"#, true), (r#"{"a":"p ―x"}"#, true), (r#"{"a":"p +x"}"#, false)]),
    ("modifiers/windash: from every dash", "s: {a|windash|contains: [' /x', ' —y']}", &[(r#"{"a":"p -x"}"#, true), (r#"{"a":"p -y"}"#, true)]),
    ("modifiers/windash: all permutations", "s: {a|windash|contains: '-a -b'}", &[(r#"{"a":"p /a –b"}"#, true), (r#"{"a":"p -a b"}"#, false)]),
    ("modifiers/re: case matters", "s: {a|re: 'a.c'}", &[(r#"{"a":"xabcx"}"#, true), (r#"{"a":"ABC"}"#, false)]),
    ("modifiers/re: anchors, classes, quantifiers, groups, alternatives", r"s: {a|re: '^(ab|cd)[0-9]{2,3}[^x]+y?$'}", &[
        (r#"{"a":"cd123zz"}"#, true), (r#"{"a":"ab1z"}"#, false), (r#"{"a":"xab12z"}"#, false)]),
    ("modifiers/re|i", "s: {a|re|i: 'a.c'}", &[(r#"{"a":"ABC"}"#, true)]),
    ("modifiers/re|m", "s: {a|re|m: '^b$'}", &[(r#"{"a":"a\nb\nc"}"#, true), (r#"{"a":"ab"}"#, false)]),
    ("modifiers/re|s", "s: {a|re|s: 'a.b'}", &[(r#"{"a":"a\nb"}"#, true)]),
    ("modifiers/re: dot and newline without s", "s: {a|re: 'a.b'}", &[(r#"{"a":"a\nb"}"#, false)]),
    ("modifiers/re|i|m|s", "s: {a|re|i|m|s: '^A.B$'}", &[(r#"{"a":"x\na\nb"}"#, true)]),
    ("modifiers/re: with all", "s: {a|re|all: ['a+', 'b+']}", &[(r#"{"a":"ab"}"#, true), (r#"{"a":"a"}"#, false)]),
    ("modifiers/base64", "s: {a|base64: foobar}", &[(r#"{"a":"Zm9vYmFy"}"#, true), (r#"{"a":"foobar"}"#, false)]),
    ("modifiers/base64: then contains", "s: {a|base64|contains: foobar}", &[(r#"{"a":"x Zm9vYmFy x"}"#, true)]),
    ("modifiers/base64offset: three shifts", "s: {a|base64offset|contains: foobar}", &[
        (r#"{"a":"xZm9vYmFyx"}"#, true), (r#"{"a":"eGZvb2Jhcg=="}"#, true), (r#"{"a":"eHhmb29iYXI="}"#, true), (r#"{"a":"nothing"}"#, false)]),
    ("modifiers/wide: then base64offset", "s: {a|wide|base64offset|contains: foo}", &[(r#"{"a":"ZgBvAG8A"}"#, true), (r#"{"a":"Zm9v"}"#, false)]),
    ("modifiers/utf16le is wide", "s: {a|utf16le|base64offset|contains: foo}", &[(r#"{"a":"ZgBvAG8A"}"#, true)]),
    ("modifiers/utf16be", "s: {a|utf16be|base64: ab}", &[(r#"{"a":"AGEAYg=="}"#, true)]),
    ("modifiers/utf16: with byte order mark", "s: {a|utf16|base64: a}", &[(r#"{"a":"//5hAA=="}"#, true)]),
    ("modifiers/utf16le: text with zero bytes", "s: {a|utf16le|contains: ab}", &[(r#"{"a":"xa\u0000b\u0000"}"#, true), (r#"{"a":"ab"}"#, false)]),
    // ---- numbers, dates, addresses, references
    ("modifiers/lt", "s: {a|lt: 5}", &[(r#"{"a":4}"#, true), (r#"{"a":5}"#, false), (r#"{"a":"4"}"#, true), (r#"{"a":"x"}"#, false), ("{}", false)]),
    ("modifiers/lte", "s: {a|lte: 5}", &[(r#"{"a":5}"#, true), (r#"{"a":5.5}"#, false)]),
    ("modifiers/gt", "s: {a|gt: 5}", &[(r#"{"a":6}"#, true), (r#"{"a":5}"#, false), (r#"{"a":-6}"#, false)]),
    ("modifiers/gte", "s: {a|gte: 5.5}", &[(r#"{"a":5.5}"#, true), (r#"{"a":5}"#, false)]),
    ("modifiers/minute", "s: {t|minute: 7}", &[(r#"{"t":"2026-03-04T05:07:09Z"}"#, true), (r#"{"t":"2026-03-04T07:05:09Z"}"#, false)]),
    ("modifiers/hour", "s: {t|hour: [4, 5]}", &[(r#"{"t":"2026-03-04 05:07:09"}"#, true), (r#"{"t":"2026-03-04 15:07:09"}"#, false)]),
    ("modifiers/hour: compared", "s: {t|hour|gte: 22}", &[(r#"{"t":"2026-03-04T23:07:09Z"}"#, true), (r#"{"t":"2026-03-04T21:07:09Z"}"#, false)]),
    ("modifiers/day", "s: {t|day: 4}", &[(r#"{"t":"2026-03-04"}"#, true), (r#"{"t":"2026-04-03"}"#, false)]),
    ("modifiers/week", "s: {t|week: 10}", &[(r#"{"t":"2026-03-04"}"#, true), (r#"{"t":"2026-03-10"}"#, false)]),
    ("modifiers/month", "s: {t|month: 3}", &[(r#"{"t":"2026-03-04"}"#, true), (r#"{"t":"2026-04-03"}"#, false)]),
    ("modifiers/year", "s: {t|year: 2026}", &[(r#"{"t":"2026-03-04"}"#, true), (r#"{"t":"later"}"#, false)]),
    ("modifiers/cidr: IPv4", "s: {a|cidr: [10.0.0.0/8, 192.168.7.0/24]}", &[(r#"{"a":"10.1.2.3"}"#, true), (r#"{"a":"192.168.8.1"}"#, false), (r#"{"a":"10"}"#, false)]),
    ("modifiers/cidr: IPv6", "s: {a|cidr: 'fe80::/10'}", &[(r#"{"a":"fe80::1"}"#, true), (r#"{"a":"fc00::1"}"#, false)]),
    ("modifiers/fieldref", "s: {a|fieldref: b}", &[(r#"{"a":"X","b":"x"}"#, true), (r#"{"a":"x","b":"y"}"#, false), (r#"{"a":"x"}"#, false)]),
    ("modifiers/fieldref: with neq", "s: {a|fieldref|neq: b}", &[(r#"{"a":"x","b":"y"}"#, true), (r#"{"a":"x","b":"x"}"#, false)]),
    ("modifiers/fieldref: with endswith", "s: {a|fieldref|endswith: b}", &[(r#"{"a":"my x","b":"x"}"#, true), (r#"{"a":"x my","b":"x"}"#, false)]),
    ("modifiers/expand: each value of a placeholder", "s: {a|expand: '%servers%'}", &[(r#"{"a":"srv01"}"#, true), (r#"{"a":"db"}"#, true), (r#"{"a":"ws1"}"#, false)]),
    ("rules/placeholders: amid text, with other modifiers", "s: {a|expand|contains: 'on %servers%!'}", &[(r#"{"a":"log on SRV7!"}"#, true)]),
    ("rules/placeholders: without expand they are plain", "s: {a: '%servers%'}", &[(r#"{"a":"%servers%"}"#, true), (r#"{"a":"srv01"}"#, false)]),
    ("rules/placeholders: an escaped percent sign is plain", r"s: {a|expand: '\%db%%servers%'}", &[(r#"{"a":"%db%srv1"}"#, true)]),
    // ---- conditions
    ("rules/condition: and, or, not", "x: {a: x}\ny: {b: y}\nz: {c: z}\ncondition: x and y or not z", &[
        (r#"{"a":"x","b":"y","c":"z"}"#, true), (r#"{"c":"z"}"#, false), ("{}", true)]),
    ("rules/condition: or binds least", "x: {a: x}\ny: {b: y}\nz: {c: z}\ncondition: x or y and z", &[
        (r#"{"a":"x"}"#, true), (r#"{"b":"y"}"#, false), (r#"{"b":"y","c":"z"}"#, true)]),
    ("rules/condition: not binds more than and", "x: {a: x}\ny: {b: y}\ncondition: not x and y", &[(r#"{"b":"y"}"#, true), (r#"{"a":"x","b":"y"}"#, false), ("{}", false)]),
    ("rules/condition: brackets", "x: {a: x}\ny: {b: y}\nz: {c: z}\ncondition: (x or y) and z", &[(r#"{"a":"x"}"#, false), (r#"{"a":"x","c":"z"}"#, true)]),
    ("rules/condition: 1 of them", "x: {a: x}\ny: {b: y}\ncondition: 1 of them", &[(r#"{"b":"y"}"#, true), ("{}", false)]),
    ("rules/condition: all of them", "x: {a: x}\ny: {b: y}\ncondition: all of them", &[(r#"{"b":"y"}"#, false), (r#"{"a":"x","b":"y"}"#, true)]),
    ("rules/condition: them leaves out names with _", "x: {a: x}\n_y: {b: y}\ncondition: all of them", &[(r#"{"a":"x"}"#, true)]),
    ("rules/condition: 1 of a pattern", "sel_a: {a: x}\nsel_b: {b: y}\nother: {c: z}\ncondition: 1 of sel_*", &[(r#"{"b":"y"}"#, true), (r#"{"c":"z"}"#, false)]),
    ("rules/condition: all of a pattern, * anywhere", "a_sel_1: {a: x}\nb_sel_2: {b: y}\nother: {c: z}\ncondition: all of *_sel_*", &[
        (r#"{"a":"x","b":"y"}"#, true), (r#"{"a":"x","c":"z"}"#, false)]),
    ("rules/condition: x of", "s1: {a: x}\ns2: {b: y}\ns3: {c: z}\ncondition: 2 of s*", &[
        (r#"{"a":"x","c":"z"}"#, true), (r#"{"a":"x"}"#, false), (r#"{"a":"x","b":"y","c":"z"}"#, true)]),
    ("rules/condition: negated groups", "s: {a: x}\nf1: {b: y}\nf2: {c: z}\ncondition: s and not 1 of f*", &[
        (r#"{"a":"x"}"#, true), (r#"{"a":"x","c":"z"}"#, false)]),
    ("rules/condition: words in any case", "x: {a: x}\ny: {b: y}\ncondition: x AND NOT y", &[(r#"{"a":"x"}"#, true), (r#"{"a":"x","b":"y"}"#, false)]),
    ("rules/condition: a list is or", "x: {a: x}\ny: {b: y}\ncondition: [x, y]", &[(r#"{"b":"y"}"#, true), ("{}", false)]),
    // ---- hostile events
    ("rules/values: a key that stands twice hides nothing", "s: {a: x}", &[(r#"{"a":"x","a":"y"}"#, true), (r#"{"a":"y","a":"x"}"#, true)]),
];

fn indented(detection: &str) -> String {
    let condition = if detection.contains("\ncondition:") { "" } else { "\ncondition: s" };
    format!("{detection}{condition}").lines().map(|line| format!("  {line}\n")).collect()
}

fn options() -> LogOptions {
    let servers = ("servers".to_owned(), vec!["srv*".to_owned(), "db".to_owned()]);
    LogOptions { placeholders: [servers].into(), fields: Vec::new() }
}

fn load(documents: &[&str]) -> (LogEngine, Vec<hinomi_detect::RuleError>) {
    let sources: Vec<_> = (0..)
        .zip(documents)
        .map(|(at, yaml): (u32, _)| RuleSource { path: format!("{at}.yml"), yaml: (*yaml).to_owned() })
        .collect();
    LogEngine::load(&sources, &options())
}

fn rule(name: &str, detection: &str) -> String {
    let detection = indented(detection);
    format!(
        "title: {name}\nid: {name}\nname: {name}\nlevel: low\nlogsource: {{category: test}}\ndetection:\n{detection}"
    )
}

#[test]
fn every_clause() {
    let mut wrong = Vec::new();
    for (clause, detection, events) in CASES {
        let (engine, errors) = load(&[&rule("r", detection)]);
        if let Some(error) = errors.first() {
            wrong.push(format!("{clause}: {error}"));
            continue;
        }
        let kind = engine.kind(&[LogSource::new("", "test", "")]);
        let (mut record, mut scratch) = (engine.record(), engine.scratch());
        // twice: the second time values are remembered
        for (event, expected) in events.iter().chain(*events) {
            record.clear();
            record.read_json(event.as_bytes()).expect("JSON");
            if engine.matches(&record, &kind, &mut scratch).is_empty() == *expected {
                wrong.push(format!("{clause}: {event} must be {expected}\n{detection}"));
            }
            // what only must not hold has nothing to show
            let shows = !["not", "neq", "exists: false"].iter().any(|word| detection.contains(word));
            if *expected && shows && engine.explain(&record, 0).is_empty() {
                wrong.push(format!("{clause}: {event} is not explained"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} clauses:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
    println!("{} clauses, {} events", CASES.len(), CASES.iter().map(|case| case.2.len()).sum::<usize>());
}

#[test]
fn what_the_specification_forbids_is_refused() {
    for (clause, detection, code) in [
        ("modifiers/all: not with a single value", "s: {a|all: x}", RuleErrorCode::Modifier),
        ("modifiers/re: unsupported metacharacters", "s: {a|re: '(?=x)'}", RuleErrorCode::Value),
        ("modifiers: two ways to compare", "s: {a|re|contains: x}", RuleErrorCode::Modifier),
        ("modifiers: i belongs to re", "s: {a|contains|i: x}", RuleErrorCode::Modifier),
        ("modifiers: unknown", "s: {a|near: x}", RuleErrorCode::Modifier),
        (
            "rules/placeholders: what cannot be filled is rejected",
            "s: {a|expand: '%nobody%'}",
            RuleErrorCode::Placeholder,
        ),
        ("modifiers/lt: only numbers", "s: {a|lt: x}", RuleErrorCode::Value),
        ("modifiers/cidr: only networks", "s: {a|cidr: 10.0.0.0/99}", RuleErrorCode::Value),
        ("modifiers/utf16: bytes that are no text", "s: {a|utf16: x}", RuleErrorCode::Modifier),
        ("rules/condition: unknown selection", "s: {a: x}\ncondition: s and t", RuleErrorCode::Condition),
        ("rules/condition: no aggregation", "s: {a: x}\ncondition: s | count() > 5", RuleErrorCode::Condition),
        ("rules/condition: brackets close", "s: {a: x}\ncondition: (s", RuleErrorCode::Condition),
        ("rules/condition: nothing of that name", "s: {a: x}\ncondition: 1 of t*", RuleErrorCode::Condition),
        ("rules/lists: no list in a list", "s: {a: [[x]]}", RuleErrorCode::Structure),
    ] {
        let (engine, errors) = load(&[&rule("bad", detection), &rule("good", "s: {a: x}")]);
        assert_eq!(errors.first().map(|error| error.code), Some(code), "{clause}");
        assert!(errors[0].line > 0 && errors[0].to_string().contains('^'), "{clause}: {}", errors[0]);
        assert_eq!(engine.rules().len(), 1, "{clause}: other rules load");
    }
}

#[test]
fn filters() {
    let cases = [
        ("filters/condition: what must not be", "rules: [r]\n  selection: {b: y}\n  condition: selection", true),
        ("filters/condition: what has to hold", "rules: [r]\n  selection: {b: y}\n  condition: not selection", true),
        ("filters/rules: any", "rules: any\n  selection: {b: y}\n  condition: selection", true),
        ("filters/rules: others are left alone", "rules: [other]\n  selection: {b: y}\n  condition: selection", false),
    ];
    for (clause, block, suppressed) in cases {
        let filter = format!("title: f\nlogsource: {{category: test}}\nfilter:\n  {block}\n");
        let (engine, errors) = load(&[&filter, &rule("r", "s: {a: x}"), &rule("other", "s: {a: z}")]);
        assert!(errors.is_empty(), "{clause}: {}", errors[0]);
        assert_eq!(fired(&engine, r#"{"a":"x"}"#), ["r"], "{clause}");
        assert_eq!(fired(&engine, r#"{"a":"x","b":"y"}"#).is_empty(), suppressed, "{clause}");
    }
    let other = "title: f\nlogsource: {category: elsewhere}\nfilter:\n  rules: [r]\n  selection: {b: y}\n  condition: selection\n";
    let (engine, _) = load(&[other, &rule("r", "s: {a: x}")]);
    assert_eq!(fired(&engine, r#"{"a":"x","b":"y"}"#), ["r"], "filters/logsource: of the same log source only");
    let missing = "title: f\nfilter:\n  rules: [gone]\n  selection: {b: y}\n  condition: selection\n";
    assert_eq!(load(&[missing, &rule("r", "s: {a: x}")]).1[0].code, RuleErrorCode::Correlation);
}

fn fired(engine: &LogEngine, event: &str) -> Vec<String> {
    let (mut record, mut scratch) = (engine.record(), engine.scratch());
    record.read_json(event.as_bytes()).expect("JSON");
    let fired = engine.matches(&record, &engine.kind(&[LogSource::new("", "test", "")]), &mut scratch);
    fired.iter().map(|rule| engine.rules()[*rule as usize].id.clone()).collect()
}

/// Plays (second, event) and returns what is reported: `rule@second` and `correlation@second group`.
fn play(documents: &[&str], events: &[(i64, &str)]) -> Vec<String> {
    let (engine, errors) = load(documents);
    assert!(errors.is_empty(), "{}", errors[0]);
    let kind = engine.kind(&[LogSource::new("", "test", "")]);
    let (mut record, mut scratch) = (engine.record(), engine.scratch());
    let mut state = Correlator::default();
    let mut told = Vec::new();
    let tell = |found: hinomi_detect::Correlated| {
        let group: Vec<_> = found.group.iter().map(|(_, value)| value.as_str()).collect();
        format!("{}@{} {}", engine.rules()[found.rule].id, found.last / 1_000_000, group.join(","))
    };
    for (second, event) in events {
        record.clear();
        record.read_json(event.as_bytes()).expect("JSON");
        let fired = engine.matches(&record, &kind, &mut scratch);
        told.extend(fired.iter().map(|rule| format!("{}@{second}", engine.rules()[*rule as usize].id)));
        // between two events the server may restart
        let (restored, unreadable) = engine.restore(Default::default(), &engine.save(&state));
        assert!(unreadable.is_empty(), "{unreadable:?}");
        state = restored;
        told.extend(engine.correlate(&record, second * 1_000_000, &scratch, &mut state).into_iter().map(tell));
    }
    told.extend(engine.finish(&mut state).into_iter().map(tell));
    told
}

fn correlation(name: &str, body: &str) -> String {
    format!(
        "title: {name}\nid: {name}\nname: {name}\nlevel: high\ncorrelation:\n{}",
        indented(body).replace("  condition: s\n", "")
    )
}

#[test]
fn correlations() {
    let fail = rule("fail", "s: {k: fail}");
    let success = rule("success", "s: {k: success}");
    let many =
        correlation("many", "type: event_count\nrules: [fail]\ngroup-by: [u]\ntimespan: 10s\ncondition: {gte: 3}");
    let f = |user: &str| format!(r#"{{"k":"fail","u":"{user}"}}"#);
    let (ann, bob) = (f("ann"), f("bob"));
    let ok = r#"{"k":"success","u":"ann"}"#;

    // event_count
    assert_eq!(
        play(&[&fail, &many], &[(1, &ann), (2, &bob), (3, &ann), (4, &ann), (5, &ann)]),
        ["many@4 ann"],
        "groups"
    );
    assert!(play(&[&fail, &many], &[(1, &ann), (2, &ann), (13, &ann)]).is_empty(), "timespan");
    assert_eq!(
        play(&[&fail, &many], &[(1, &ann), (9, &ann), (5, &ann)]),
        ["many@9 ann"],
        "out of order within the window"
    );
    assert!(play(&[&fail, &many], &[(1, &ann), (2, &ann), (3, r#"{"k":"fail"}"#)]).is_empty(), "no value, no group");
    let generate = many.replace("timespan", "generate: true\n  timespan");
    assert_eq!(play(&[&fail, &generate], &[(1, &ann)]), ["fail@1"], "generate: rules are reported on their own");
    let range = many.replace("{gte: 3}", "{gt: 1, lte: 2}");
    assert_eq!(
        play(&[&fail, &range], &[(1, &ann), (2, &ann)]),
        ["many@2 ann"],
        "condition: a range, at the end of the window"
    );
    assert!(play(&[&fail, &range], &[(1, &ann), (2, &ann), (3, &ann)]).is_empty(), "condition: beyond the range");
    let none = many.replace("  group-by: [u]\n", "");
    assert_eq!(play(&[&fail, &none], &[(1, &ann), (2, &bob), (3, &ann)]), ["many@3 "], "without groups");

    // value_count
    let hosts = correlation(
        "hosts",
        "type: value_count\nrules: [fail]\ngroup-by: [u]\ntimespan: 1m\ncondition: {field: h, gte: 2}",
    );
    let on = |host: &str| format!(r#"{{"k":"fail","u":"ann","h":"{host}"}}"#);
    assert_eq!(play(&[&fail, &hosts], &[(1, &on("a")), (2, &on("a")), (3, &on("b"))]), ["hosts@3 ann"], "value_count");
    assert!(play(&[&fail, &hosts], &[(1, &on("a")), (70, &on("b"))]).is_empty(), "value_count: timespan");
    let pairs = hosts.replace("field: h", "field: [h, p]");
    let at = |host: &str, port: u16| format!(r#"{{"k":"fail","u":"ann","h":"{host}","p":{port}}}"#);
    assert_eq!(
        play(&[&fail, &pairs], &[(1, &at("a", 1)), (2, &at("a", 1)), (3, &at("a", 2))]),
        ["hosts@3 ann"],
        "several fields"
    );

    // temporal, in any order; temporal_ordered, in theirs
    let both = correlation("both", "type: temporal\nrules: [fail, success]\ngroup-by: [u]\ntimespan: 5m");
    assert_eq!(play(&[&fail, &success, &both], &[(1, ok), (2, &bob), (3, &ann)]), ["both@3 ann"], "temporal");
    let ordered = both.replace("temporal", "temporal_ordered");
    assert!(play(&[&fail, &success, &ordered], &[(1, ok), (3, &ann)]).is_empty(), "temporal_ordered: other order");
    assert_eq!(play(&[&fail, &success, &ordered], &[(1, ok), (3, &ann), (4, ok)]), ["both@4 ann"], "temporal_ordered");
    assert_eq!(
        play(&[&fail, &success, &ordered], &[(4, ok), (3, &ann)]),
        ["both@4 ann"],
        "temporal_ordered: time, not arrival"
    );
    let either = correlation(
        "either",
        "type: temporal\nrules: [fail, success]\ngroup-by: [u]\ntimespan: 5m\ncondition: fail and not success",
    );
    assert_eq!(play(&[&fail, &success, &either], &[(1, &ann)]), ["either@1 ann"], "temporal: a condition over rules");

    // chained: by id or name, with its own groups
    let chain = correlation("chain", "type: temporal_ordered\nrules: [many, success]\ngroup-by: [u]\ntimespan: 1h");
    let events = [(1, ann.as_str()), (2, &ann), (3, &ann), (60, ok)];
    assert_eq!(play(&[&chain, &many, &success, &fail], &events), ["chain@60 ann"], "chained; the inner one is silent");

    // aliases
    let alias = correlation(
        "alias",
        "type: temporal\nrules: [fail, success]\ngroup-by: [who]\ntimespan: 10s\naliases:\n  who: {fail: u, success: user}",
    );
    let elsewhere = r#"{"k":"success","user":"ann"}"#;
    assert_eq!(play(&[&fail, &success, &alias], &[(1, &ann), (2, elsewhere)]), ["alias@2 ann"], "aliases");

    // numbers
    let sent = |bytes: &str| format!(r#"{{"k":"fail","u":"ann","n":{bytes}}}"#);
    for (kind, condition, numbers, expected) in [
        ("value_sum", "{field: n, gt: 100}", ["60", "41", "0"], true),
        ("value_sum", "{field: n, gt: 100}", ["60", "39", "1"], false),
        ("value_avg", "{field: n, gte: 50}", ["20", "80", "50"], true),
        ("value_avg", "{field: n, gte: 50}", ["20", "20", "100"], false),
        ("value_percentile", "{field: n, percentile: 50, gte: 50}", ["1", "50", "1000"], true),
        ("value_percentile", "{field: n, percentile: 50, gte: 50}", ["1", "49", "1000"], false),
        ("value_percentile", "{field: n, lte: 10}", ["1", "10", "1000"], true),
    ] {
        let body = format!("type: {kind}\nrules: [fail]\ngroup-by: [u]\ntimespan: 1d\ncondition: {condition}");
        let events = numbers.map(sent);
        let found = play(&[&fail, &correlation("n", &body)], &[(1, &events[0]), (2, &events[1]), (3, &events[2])]);
        assert_eq!(!found.is_empty(), expected, "{kind} {condition} {numbers:?}: {found:?}");
    }
}

#[test]
fn wrong_correlations_are_refused() {
    let fail = rule("fail", "s: {k: fail}");
    for (clause, body) in [
        ("type: unknown", "type: median\nrules: [fail]\ntimespan: 1m\ncondition: {gte: 1}"),
        ("rules: unknown", "type: event_count\nrules: [gone]\ntimespan: 1m\ncondition: {gte: 1}"),
        ("rules: itself", "type: event_count\nrules: [c]\ntimespan: 1m\ncondition: {gte: 1}"),
        ("timespan: missing", "type: event_count\nrules: [fail]\ncondition: {gte: 1}"),
        ("timespan: unit", "type: event_count\nrules: [fail]\ntimespan: 1M\ncondition: {gte: 1}"),
        ("condition: missing", "type: event_count\nrules: [fail]\ntimespan: 1m"),
        ("condition: no field", "type: value_count\nrules: [fail]\ntimespan: 1m\ncondition: {gte: 1}"),
        ("condition: no bound", "type: value_count\nrules: [fail]\ntimespan: 1m\ncondition: {field: a}"),
        ("unknown key", "type: event_count\nrules: [fail]\ntimespan: 1m\ncondition: {gte: 1}\nwindow: 3"),
    ] {
        let (engine, errors) = load(&[&fail, &correlation("c", body)]);
        assert_eq!((errors.len(), engine.rules().len()), (1, 1), "{clause}");
        assert!(errors[0].line > 1, "{clause}: {}", errors[0]);
    }
}

#[test]
fn correlation_state_is_bounded_and_counted() {
    let fail = rule("fail", "s: {k: fail}");
    let many =
        correlation("many", "type: event_count\nrules: [fail]\ngroup-by: [u]\ntimespan: 1h\ncondition: {gte: 3}");
    let (engine, errors) = load(&[&fail, &many]);
    assert!(errors.is_empty(), "{}", errors[0]);
    let kind = engine.kind(&[LogSource::new("", "test", "")]);
    let limits = hinomi_detect::CorrelationLimits { rule_bytes: 200_000, bytes: 200_000 };
    let (mut record, mut scratch, mut state) = (engine.record(), engine.scratch(), Correlator::new(limits));
    let mut peak = 0;
    let mut observe = |state: &mut Correlator, second: i64, user: &str| {
        record.clear();
        record.push("k", "fail");
        record.push("u", user);
        engine.matches(&record, &kind, &mut scratch);
        engine.correlate(&record, second * 1_000_000, &scratch, state).len()
    };
    for number in 0..20_000 {
        observe(&mut state, number / 100, &format!("user{number}"));
        peak = peak.max(state.bytes());
    }
    assert!(peak < 210_000, "{peak} bytes");
    assert!(state.dropped().memory > 10_000, "{:?}", state.dropped());
    // the newest are still there
    assert_eq!((0..2).map(|_| observe(&mut state, 200, "user19999")).sum::<usize>(), 1);
    observe(&mut state, 50_000, "late");
    observe(&mut state, 1, "late");
    assert_eq!(state.dropped().late, 1);
    engine.finish(&mut state);
    assert!(state.bytes() < 1_000, "{} bytes are left when all is over", state.bytes());
}

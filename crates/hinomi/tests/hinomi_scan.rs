//! `hinomi scan` and `hinomi rules` as they are run: exit codes, streams, forms of output.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hinomi-scan-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("rules")).expect("folder");
    dir
}

fn hinomi(dir: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hinomi"));
    let output = command.current_dir(dir).args(arguments).env_remove("HINOMI_LANGUAGE").stdin(Stdio::null()).output();
    let output = output.expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}

const RULE: &str = r"title: Whoami
id: 11111111-2222-3333-4444-555555555555
level: critical
author: Somebody
tags: [attack.discovery, attack.t1033]
logsource: {product: windows, category: process_creation}
detection: {selection: {Image|endswith: '\whoami.exe'}, condition: selection}
";

const LOG: &str = r#"{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"EventRecordID":41,"Image":"C:\\Windows\\System32\\whoami.exe","CommandLine":"=whoami","ParentImage":"C:\\Windows\\System32\\cmd.exe","Computer":"pc1","UtcTime":"2026-01-02 03:04:05.678"}
{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"Image":"C:\\Windows\\System32\\hostname.exe","UtcTime":"2026-01-02 03:04:06.000"}
{broken
"#;

fn prepared(name: &str) -> PathBuf {
    let dir = folder(name);
    fs::write(dir.join("rules/whoami.yml"), RULE).expect("write");
    fs::write(
        dir.join("rules/broken.yml"),
        RULE.replace("condition: selection}", "condition: nothing}").replace("1111-", "9999-"),
    )
    .expect("write");
    fs::write(dir.join("log.json"), LOG).expect("write");
    dir
}

#[test]
fn detections_on_stdout_talk_on_stderr() {
    let dir = prepared("contract");
    let (code, out, err) = hinomi(&dir, &["scan", "--rules", "rules", "--no-content", "--stats", "log.json"]);
    assert_eq!(code, 0, "{err}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 1, "{out}");
    assert_eq!(lines[0]["rule_id"], "11111111-2222-3333-4444-555555555555");
    assert_eq!(lines[0]["level"], "critical");
    assert_eq!(lines[0]["tags"], serde_json::json!(["attack.discovery", "attack.t1033"]));
    assert_eq!(lines[0]["time"], "2026-01-02T03:04:05.678000Z");
    assert_eq!((&lines[0]["source"], &lines[0]["record_id"]), (&"log.json".into(), &41.into()));
    assert_eq!(lines[0]["fields"]["CommandLine"], "=whoami");
    assert_eq!(lines[0]["author"], "Somebody");
    assert!(err.contains("rule not loaded: rules/broken.yml"), "{err}");
    assert!(err.contains("not read: log.json line 3"), "{err}");
    let stats = err.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok()).expect("stats");
    for (key, value) in [("events", 2), ("detections", 1), ("rules_loaded", 1), ("rules_failed", 1), ("damaged", 1)] {
        assert_eq!(stats[key], value, "{key}: {stats}");
    }
    assert!(stats["seconds"].is_number());
}

#[test]
fn exit_codes() {
    let dir = prepared("codes");
    fs::write(dir.join("quiet.json"), "{\"Channel\":\"System\",\"EventID\":1}\n").expect("write");
    assert_eq!(hinomi(&dir, &["scan", "--rules", "rules", "log.json"]).0, 0);
    assert_eq!(hinomi(&dir, &["scan", "--rules", "rules", "quiet.json"]).0, 1);
    assert_eq!(hinomi(&dir, &["scan", "--no-content", "log.json"]).0, 1, "no rules, nothing found");
    for wrong in [
        &["scan", "--rules", "missing", "log.json"][..],
        &["scan", "missing.json"],
        &["scan"],
        &["scan", "--csv", "--table", "log.json"],
        &["scan", "--html", "no/such/folder.html", "log.json"],
    ] {
        let (code, out, err) = hinomi(&dir, wrong);
        assert_eq!((code, out.as_str()), (2, ""), "{wrong:?}: {err}");
        assert!(!err.is_empty());
    }
}

#[test]
fn forms() {
    let dir = prepared("forms");
    let base = ["scan", "--rules", "rules", "--no-content", "log.json"];
    let with = |more: &[&str]| hinomi(&dir, &[&base[..], more].concat());
    let (_, table, _) = with(&["--table"]);
    assert!(
        table.contains("critical") && table.contains("Whoami") && table.contains("pc1") && !table.contains('\u{1b}')
    );
    let (_, csv, _) = with(&["--csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 2, "{csv}");
    assert!(lines[0].starts_with("\"time\",\"level\""), "{csv}");
    let (code, out, err) = with(&["--html", "report.html", "--lang", "ja"]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    let html = fs::read_to_string(dir.join("report.html")).expect("report");
    assert!(html.contains("lang=\"ja\"") && html.contains("プロセスツリー") && html.contains("whoami.exe"), "{html}");
    assert!(!html.contains("http://") && !html.contains("https://"), "nothing from elsewhere");
}

#[test]
fn rules_are_checked_listed_and_explained() {
    let dir = prepared("rules");
    let (code, out, _) = hinomi(&dir, &["rules", "check", "rules"]);
    assert_eq!(code, 1);
    assert!(out.contains("rules/broken.yml:7:") && out.contains('^'), "{out}");
    assert_eq!(hinomi(&dir, &["rules", "check", "rules/whoami.yml"]).0, 0);
    let (code, out, _) = hinomi(&dir, &["rules", "check", "--json", "rules"]);
    let mistake: Value = serde_json::from_str(out.trim()).expect("JSON");
    assert_eq!((code, &mistake["code"]), (1, &"condition".into()));
    let (code, out, _) = hinomi(&dir, &["rules", "list", "--rules", "rules", "--no-content", "--json"]);
    let listed: Value = serde_json::from_str(out.trim()).expect("JSON");
    assert_eq!((code, &listed["title"], &listed["author"]), (0, &"Whoami".into(), &"Somebody".into()));
    let (code, out, _) = hinomi(&dir, &["rules", "explain", "rules/whoami.yml", "log.json"]);
    assert_eq!(code, 0);
    assert!(out.contains("✓ Image|endswith") && out.contains("log.json:41"), "{out}");
    let (code, out, _) = hinomi(&dir, &["rules", "why-not", "rules/whoami.yml", "log.json"]);
    assert_eq!(code, 1);
    assert!(
        out.contains("✗ Image|endswith") && out.contains("hostname.exe") && out.contains("first obstacle"),
        "{out}"
    );
    let (code, out, _) = hinomi(&dir, &["rules", "coverage", "--rules", "rules", "--no-content", "--lang", "ja"]);
    assert_eq!(code, 0);
    assert!(out.contains("T1033") && out.contains("システムの所有者・利用者の探索"), "{out}");
}

#[test]
fn rules_run_their_examples() {
    let dir = prepared("examples");
    fs::remove_file(dir.join("rules/broken.yml")).expect("removed");
    let event = |image: &str| {
        format!("  event: {{Channel: Microsoft-Windows-Sysmon/Operational, EventID: 1, Image: '{image}'}}\n")
    };
    let examples =
        |fires: &str| format!("fires:\n- why: run\n{}silent:\n- why: another\n{}", event(fires), event(r"C:\a.exe"));
    fs::write(dir.join("rules/whoami.test.yml"), examples(r"C:\whoami.exe")).expect("write");
    let (code, out, _) = hinomi(&dir, &["rules", "test", "rules"]);
    assert_eq!((code, out.trim()), (0, "2 examples passed, 0 failed; 0 rules without examples"));
    fs::write(dir.join("rules/whoami.test.yml"), examples(r"C:\who.exe")).expect("write");
    let (code, out, _) = hinomi(&dir, &["rules", "test", "rules"]);
    assert_eq!(code, 1);
    assert!(out.contains("must fire, and stays silent: run"), "{out}");
    // those that ship with us
    let content = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../content/rules");
    let (code, out, err) = hinomi(&dir, &["rules", "test", content.to_str().expect("path")]);
    assert_eq!(code, 0, "{out}{err}");
}

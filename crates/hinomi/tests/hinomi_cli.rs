//! The command line against a server of its own: exit codes, JSON, tokens, backup and restore.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hinomi-cli-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("folder");
    dir
}

fn hinomi(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hinomi"));
    command.args(arguments).env_remove("HINOMI_TOKEN").env_remove("HINOMI_URL").env_remove("HINOMI_CA");
    command
}

fn run(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("a code"), text(stdout), text(stderr))
}

struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(data: &Path, config: &Path) -> Server {
    let child = hinomi(&["serve"])
        .arg("--data")
        .arg(data)
        .arg("--config")
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let until = Instant::now() + Duration::from_secs(60);
    // a file of another process is that of a server that was killed
    let ready = || -> Option<Value> {
        let ready: Value = serde_json::from_slice(&fs::read(data.join("ready.json")).ok()?).ok()?;
        (ready["pid"] == child.id()).then_some(ready)
    };
    let ready = loop {
        if let Some(ready) = ready() {
            break ready;
        }
        assert!(Instant::now() < until, "the server is not ready");
        std::thread::sleep(Duration::from_millis(50));
    };
    Server { child, url: format!("https://{}", ready["console"].as_str().expect("address")) }
}

fn get(url: &str, authority: &Path, token: &str) -> Value {
    let authority = reqwest::Certificate::from_pem(&fs::read(authority).expect("authority")).expect("certificate");
    let client = reqwest::Client::builder().use_rustls_tls().add_root_certificate(authority).build().expect("client");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let answer = async { client.get(url).bearer_auth(token).send().await?.json().await };
    runtime.block_on(answer).expect("an answer")
}

#[test]
fn configurations_are_checked() {
    let dir = folder("check");
    let config = dir.join("hinomi.toml");
    fs::write(&config, "[gateway]\nenabled = false\n").expect("write");
    let config = config.to_str().expect("path");
    assert_eq!(run(hinomi(&["check", "--config", config])).0, 0);
    fs::write(config, "[gateway]\nenabledd = false\n").expect("write");
    let (code, _, talk) = run(hinomi(&["check", "--config", config]));
    assert_eq!(code, 1);
    assert!(talk.contains("enabledd"), "{talk}");
    let (code, json, _) = run(hinomi(&["check", "--config", config, "--json"]));
    assert_eq!((code, serde_json::from_str::<Value>(&json).expect("JSON")["ok"].clone()), (1, Value::Bool(false)));
    assert_eq!(run(hinomi(&["nonsense"])).0, 2);
    let (code, _, talk) = run(hinomi(&["incidents", "list"]));
    assert_eq!(code, 2);
    assert!(talk.contains("HINOMI_TOKEN"), "{talk}");
    let (_, document, _) = run(hinomi(&["openapi"]));
    assert!(
        document == include_str!("../../../docs/openapi.json"),
        "docs/openapi.json is not what this program prints"
    );
}

#[test]
fn a_server_is_asked_backed_up_and_restored() {
    let dir = folder("serve");
    let (data, config, backup) = (dir.join("data"), dir.join("hinomi.toml"), dir.join("backup"));
    let text = "[listen]\nconsole = \"127.0.0.1:0\"\nsensors = \"127.0.0.1:0\"\n[gateway]\nenabled = false\n\
                [[indicators.feeds]]\nname = \"gone\"\nkind = \"mispFeed\"\nurl = \"http://127.0.0.1:1/\"\n";
    fs::write(&config, text).expect("write");
    let at = |command: &[&str], data: &Path| {
        let mut command = hinomi(command);
        command.arg("--data").arg(data).arg("--config").arg(&config);
        command
    };
    let server = serve(&data, &config);
    let (code, secret, talk) = run(at(&["token", "create", "cli", "--role", "administrator"], &data));
    assert_eq!(code, 0, "{talk}");
    let secret = secret.trim().to_owned();
    let ask = |server: &Server, data: &Path, command: &[&str]| {
        let mut command = hinomi(command);
        command.env("HINOMI_URL", &server.url).env("HINOMI_TOKEN", &secret);
        command.env("HINOMI_CA", data.join("keys/authority.pem"));
        run(command)
    };
    assert_eq!(ask(&server, &data, &["incidents", "list"]), (1, String::new(), String::new()));
    assert_eq!(ask(&server, &data, &["devices", "list", "--json"]).0, 1);
    let (code, out, talk) = ask(&server, &data, &["audit", "verify", "--json"]);
    let audit: Value = serde_json::from_str(&out).expect("JSON");
    assert!(code == 0 && audit["intact"] == true && audit["records"].as_i64() > Some(0), "{out}{talk}");
    let night = dir.join("night.json");
    let change = r#"{"two_persons": ["isolate_device"], "mail": {"hours": [{"days": ["fri"], "from": "22:00", "to": "06:00", "level": "full"}]}}"#;
    fs::write(&night, change).expect("write");
    let file = night.to_str().expect("path");
    let (code, out, talk) = ask(&server, &data, &["automation", "set", file, "--version", "0", "--json"]);
    let policy: Value = serde_json::from_str(&out).expect("JSON");
    assert!(code == 0 && policy["version"] == 1 && policy["changed_by"] == "token:cli", "{out}{talk}");
    let (code, _, talk) = ask(&server, &data, &["automation", "set", file, "--version", "0"]);
    assert!(code == 2 && talk.contains("version_conflict"), "{talk}");
    let (code, out, _) = ask(&server, &data, &["automation", "show"]);
    assert!(code == 0 && out.contains("fri 22:00-06:00") && out.contains("isolate_device"), "{out}");
    let (code, out, _) = ask(&server, &data, &["automation", "preview", "--level", "full", "--file", file, "--json"]);
    let preview: Value = serde_json::from_str(&out).expect("JSON");
    assert!(code == 0 && preview["actions"] == 0, "{out}");
    let (code, _, talk) = ask(&server, &data, &["automation", "preview", "--level", "nonsense"]);
    assert!(code == 2 && talk.contains("nonsense"), "{talk}");
    let (code, _, talk) = ask(&server, &data, &["incidents", "show", "INC-7"]);
    assert_eq!(code, 2);
    assert!(talk.contains("not_found"), "{talk}");
    let list = dir.join("list.csv");
    fs::write(&list, "type,value\ndomain,attacker.test\nsubject,*invoice*\nsubject,**\n").expect("write");
    let list = list.to_str().expect("path");
    let words = ["indicators", "import", list, "--action", "warn", "--mail-domain", "corp.example", "--json"];
    let (code, out, talk) = ask(&server, &data, &words);
    let import: Value = serde_json::from_str(&out).expect("JSON");
    assert!(code == 0 && import["added"] == 2 && import["refused_count"] == 1, "{out}{talk}");
    let (code, out, talk) = ask(&server, &data, &["indicators", "why", "pay[.]attacker[.]test"]);
    assert!(
        code == 0 && out.contains("→ warn domain attacker.test") && out.contains("X-Hinomi-Warning"),
        "{out}{talk}"
    );
    assert!(out.contains("mail:corp.example") && out.contains("- sensor: Not enforced here"), "{out}");
    assert_eq!(ask(&server, &data, &["indicators", "why", "unknown.test"]).0, 1);
    let (code, out, _) = ask(&server, &data, &["indicators", "list", "--json"]);
    let known: Value = serde_json::from_str(out.lines().next().expect("one")).expect("JSON");
    let id = known["id"].as_str().expect("id");
    assert_eq!(code, 0);
    let (code, out, talk) = ask(&server, &data, &["indicators", "look", id, "--days", "3", "--json"]);
    let look: Value = serde_json::from_str(&out).expect("JSON");
    assert!(code == 1 && look["state"] == "done" && look["days_done"] == 3, "{out}{talk}");
    assert_eq!(ask(&server, &data, &["indicators", "looks"]).0, 0);
    assert_eq!(ask(&server, &data, &["indicators", "devices", id]).0, 1, "nothing for sensors");
    let (code, out, talk) = ask(&server, &data, &["indicators", "fetch", "gone", "--dry-run"]);
    assert!(code == 1 && out.contains("failed") && out.contains("manifest.json"), "{out}{talk}");
    assert!(ask(&server, &data, &["indicators", "feeds"]).1.contains("gone"));
    assert_eq!(ask(&server, &data, &["indicators", "feed-runs", "gone", "--json"]).0, 0);
    let (code, line, talk) = run(at(&["enrolment-token", "create", "--note", "PC 1"], &data));
    assert!(code == 0 && line.starts_with("hinomi1."), "{talk}");
    let (code, _, talk) = run({
        let mut command = at(&["backup"], &data);
        command.arg("--to").arg(&backup);
        command
    });
    assert_eq!(code, 0, "{talk}");
    drop(server);

    let other = dir.join("other");
    let restore = |into: &Path| {
        let mut command = at(&["restore"], into);
        command.arg("--from").arg(&backup);
        run(command)
    };
    let (code, _, talk) = restore(&other);
    assert_eq!(code, 0, "{talk}");
    assert_eq!(restore(&other).0, 2, "never over something");
    let server = serve(&other, &config);
    // the token and the authority came along
    assert_eq!(ask(&server, &other, &["actions", "list"]), (1, String::new(), String::new()));
    drop(server);
    let (code, fresh, _) = run(at(&["users", "reset-code"], &other));
    assert!(code == 0 && fresh.trim().len() == 19, "{fresh}");
}

#[test]
fn a_demo_is_played_listed_and_removed() {
    let dir = folder("demo");
    let (data, config) = (dir.join("data"), dir.join("hinomi.toml"));
    let text = "[listen]\nconsole = \"127.0.0.1:0\"\nsensors = \"127.0.0.1:0\"\n[gateway]\nenabled = false\n";
    fs::write(&config, text).expect("write");
    let server = serve(&data, &config);
    let (code, secret, talk) = run({
        let mut command = hinomi(&["token", "create", "cli", "--role", "administrator"]);
        command.arg("--data").arg(&data).arg("--config").arg(&config);
        command
    });
    assert_eq!(code, 0, "{talk}");
    let ask = |arguments: &[&str]| {
        let mut command = hinomi(arguments);
        command.env("HINOMI_URL", &server.url).env("HINOMI_TOKEN", secret.trim());
        command.env("HINOMI_CA", data.join("keys/authority.pem"));
        run(command)
    };
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert_eq!(ask(&["demo", "list"]).0, 1);
    assert_eq!(ask(&["demo", "remove"]).0, 1, "nothing to remove");
    let (code, out, talk) = ask(&["demo"]);
    assert_eq!(code, 0, "{talk}");
    assert!(out.starts_with("INC-") && out.contains("[high]") && out.contains("/incidents/1"), "{out}");
    // an action is declined and ordered again
    let (code, out, talk) = ask(&["actions", "list", "--state", "pendingApproval", "--json"]);
    assert_eq!(code, 0, "{talk}");
    let id = json(out.lines().next().expect("an action"))["id"].as_str().expect("id").to_owned();
    assert_eq!(ask(&["actions", "again", &id]).0, 2, "it waits still");
    let (code, out, talk) = ask(&["actions", "decline", &id, "--json"]);
    assert!(code == 0 && json(&out)["state"] == "declined", "{out}{talk}");
    let (code, _, talk) = ask(&["actions", "decline", &id]);
    assert!(code == 1 && talk.contains("wrong_state"), "{talk}");
    let (code, out, talk) = ask(&["actions", "again", &id, "--json"]);
    assert!(code == 0 && json(&out)["id"] != id.as_str(), "{out}{talk}");
    let (code, out, _) = ask(&["actions", "show", &id]);
    assert!(code == 0 && out.contains("Waits for a person") && out.contains("Ordered again by token:cli"), "{out}");
    // the pivot says the same here and over HTTP
    let hash = "e6a3c7d72a7140858d9fdefe73200fe303797e2829e0a96081424cd5e7260877";
    let (code, out, talk) = ask(&["pivot", hash, "--json"]);
    assert_eq!(code, 0, "{talk}");
    let path = format!("{}/api/v1/pivot?value={hash}", server.url);
    assert_eq!(json(&out), get(&path, &data.join("keys/authority.pem"), secret.trim()));
    assert_eq!(json(&out)["devices"]["items"][0]["name"], "pc-tanaka");
    let (code, out, _) = ask(&["pivot", hash]);
    assert!(code == 0 && out.contains("savedByMailClient") && out.contains("invoice.zip > invoice.sh"), "{out}");
    assert_eq!(ask(&["pivot", "203.0.113.250"]).0, 1, "nobody has seen it");
    let (code, _, talk) = ask(&["pivot", "x", "--type", "nonsense"]);
    assert!(code == 2 && talk.contains("--type nonsense"), "{talk}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/two-attacks-apart");
    let (code, out, talk) = ask(&["demo", "--json", folder.to_str().expect("path")]);
    assert_eq!(code, 0, "{talk}");
    let played = json(&out);
    assert_eq!(
        (&played["demo"]["name"], played["incidents"].as_array().map(Vec::len)),
        (&"two-attacks-apart".into(), Some(2))
    );
    // its two stories are merged by hand and taken apart again
    let (_, listed, _) = ask(&["incidents", "list", "--json"]);
    let mut numbers: Vec<String> = listed.lines().map(|line| json(line)["number"].to_string()).collect();
    numbers.sort_by_key(|number| number.parse::<i64>().expect("a number"));
    let [.., one, two] = numbers.as_slice() else { panic!("two stories in {listed}") };
    let (code, out, talk) = ask(&["incidents", "merge", one, &format!("INC-{two}"), "--comment", "one", "--json"]);
    assert!(code == 0 && json(&out)["took_in"][0].to_string() == *two, "{out}{talk}");
    let (code, out, talk) = ask(&["incidents", "unmerge", two, "--json"]);
    assert!(code == 0 && json(&out)["redirected_to"].is_null(), "{out}{talk}");
    let (code, _, talk) = ask(&["incidents", "unmerge", two]);
    assert!(code == 2 && talk.contains("not_merged"), "{talk}");
    // a tuning rule is drafted from an alert, tried, made, turned off and removed
    let alert = get(&format!("{}/api/v1/alerts", server.url), &data.join("keys/authority.pem"), secret.trim());
    let alert = alert["items"][0]["id"].as_str().expect("an alert").to_owned();
    let (code, draft, talk) = ask(&["tuning", "draft", &alert, "--json"]);
    assert!(code == 0 && json(&draft)["conditions"][0]["field"] == "rule", "{draft}{talk}");
    let file = dir.join("rule.json");
    fs::write(&file, draft).expect("write");
    let file = file.to_str().expect("path");
    let (code, out, talk) = ask(&["tuning", "preview", "--file", file, "--json"]);
    assert!(code == 0 && json(&out)["matches"] == 0, "demos do not count: {out}{talk}");
    assert_eq!(ask(&["tuning", "list"]).0, 1);
    let (code, out, talk) = ask(&["tuning", "add", "--file", file, "--json"]);
    assert!(code == 0 && json(&out)["owner"] == "token:cli", "{out}{talk}");
    let id = json(&out)["id"].as_str().expect("id").to_owned();
    let (code, out, _) = ask(&["tuning", "off", &id]);
    assert!(code == 0 && out.contains("off") && out.contains("rule equals"), "{out}");
    assert_eq!(ask(&["tuning", "list", "--in-force"]).0, 1);
    let when = ["--when", "commandLine contains backup.sh", "--lower", "low", "--days", "30"];
    let (code, out, talk) = ask(&[&["tuning", "add", "--title", "Backups", "--json"], &when[..]].concat());
    assert!(
        code == 0 && json(&out)["action"] == "lowerSeverity" && json(&out)["expires_at"].is_string(),
        "{out}{talk}"
    );
    let (code, _, talk) = ask(&["tuning", "add", "--title", "x", "--when", "colour equals red"]);
    assert!(code == 2 && talk.contains("colour"), "{talk}");
    let (code, _, talk) = ask(&["tuning", "add", "--title", "x", "--when", "device equals ws"]);
    assert!(code == 2 && talk.contains("not only where"), "{talk}");
    assert_eq!(ask(&["tuning", "remove", &id]).0, 0);
    assert_eq!(ask(&["tuning", "list", "--text", "backup", "--json"]).1.lines().count(), 1);
    assert_eq!(ask(&["rules", "server", "quality"]).0, 1, "no alert but those of demos");
    let (_, listed, _) = ask(&["demo", "list", "--json"]);
    assert_eq!(listed.lines().count(), 2);
    let (code, _, talk) = ask(&["demo", "remove"]);
    assert!(code == 2 && talk.contains("--all"), "{talk}");
    let id = played["demo"]["id"].as_str().expect("id").to_owned();
    let (code, out, talk) = ask(&["demo", "remove", &id, "--json"]);
    assert_eq!((code, &json(&out)["removed"]), (0, &id.as_str().into()), "{talk}");
    assert_eq!(ask(&["demo", "remove", &id]).0, 2, "gone is gone");
    assert_eq!(ask(&["demo", "remove", "--all"]).0, 0);
    assert_eq!(ask(&["incidents", "list"]), (1, String::new(), String::new()));

    // folders that are no scenarios say what is wrong and where
    let bad = dir.join("bad");
    let refused = |wanted: &str| {
        let (code, _, talk) = ask(&["demo", bad.to_str().expect("path")]);
        assert!(code == 2 && talk.contains(wanted), "{talk:?} instead of {wanted:?}");
    };
    refused("is not a folder");
    fs::create_dir_all(bad.join("events")).expect("folder");
    refused("has no scenario.toml");
    fs::write(bad.join("scenario.toml"), "title = { en = \"A\", ja = \"B\" }\n").expect("write");
    refused("there are no events and no mails");
    fs::write(bad.join("events/a.jsonl"), "\n{\"Table\":\"Nope\"}\n").expect("write");
    refused("events/a.jsonl:2: unknown table");
    fs::remove_file(bad.join("events/a.jsonl")).expect("remove");
    fs::create_dir_all(bad.join("events/a.jsonl")).expect("folder");
    refused("is not a plain file");
    fs::remove_dir(bad.join("events/a.jsonl")).expect("remove");
    std::os::unix::fs::symlink("/etc/passwd", bad.join("events/a.jsonl")).expect("link");
    refused("is not a plain file");
    assert_eq!(ask(&["demo", "list"]).0, 1, "nothing was played");
}

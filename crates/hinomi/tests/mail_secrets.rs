//! Sealed secrets of mail systems through the command line: set, list, rotate (killed in the middle
//! too), remove, backup and restore; and that nobody ever tells one.

use hinomi_server::secrets::ROTATION_POINTS;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const SECRETS: [(&str, &str); 3] = [
    ("main", "correct horse battery staple"),
    ("tenant", "qX8~client-secret-of-the-app"),
    ("own", "[\"alice@example.test\"]\npassword = \"alices own password\"\n"),
];
const CONFIG: &str = r#"
[[mailboxes]]
users_file = "users"
[mailboxes.imap]
host = "imap.example.test"
master_user = "hinomi"

[[mailboxes]]
name = "tenant"
users_file = "users"
[mailboxes.graph]
tenant = "contoso.example"
client_id = "11111111-2222-3333-4444-555555555555"

[[mailboxes]]
name = "own"
users_file = "users"
[mailboxes.imap]
host = "imap2.example.test"

[[mailboxes]]
name = "files"
users_file = "users"
[mailboxes.maildir]
path = "/var/mail/%u"
"#;

struct Place {
    dir: tempfile::TempDir,
    data: PathBuf,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().expect("temp dir");
        fs::write(dir.path().join("hinomi.toml"), CONFIG).expect("config");
        let data = dir.path().join("data");
        fs::create_dir(&data).expect("data");
        Place { dir, data }
    }

    fn secret(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hinomi"));
        command.args(["mail", "secret"]).args(arguments);
        command.arg("--data").arg(&self.data).arg("--config").arg(self.dir.path().join("hinomi.toml"));
        command.args(["--json"]).env_remove("HINOMI_MAIL_KEY_FILE").env_remove("CREDENTIALS_DIRECTORY");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn set_all(&self) {
        for (name, secret) in SECRETS {
            let (code, told, talk) = run(self.secret(&["set", name]), secret);
            assert_eq!(code, 0, "{talk}");
            assert!(!told.contains(secret) && !talk.contains(secret));
        }
    }

    fn list(&self) -> Vec<Value> {
        let (_, told, talk) = run(self.secret(&["list"]), "");
        for part in leaks() {
            assert!(!told.contains(&part) && !talk.contains(&part), "{part} is told");
        }
        told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// What a worker would get to see.
    fn opened(&self) -> Vec<(String, String)> {
        let store = hinomi_server::secrets::SecretStore::of(&self.data);
        let open = |name: &str| {
            let handed = store.handed(name).expect("read").expect("there");
            handed.sealed.open(name, &handed.key).expect("opens").text().expect("text").to_owned()
        };
        SECRETS.iter().map(|(name, _)| ((*name).to_owned(), open(name))).collect()
    }
}

fn expected() -> Vec<(String, String)> {
    SECRETS.iter().map(|(name, secret)| ((*name).to_owned(), (*secret).to_owned())).collect()
}

/// What must be found nowhere.
fn leaks() -> Vec<String> {
    ["correct horse", "qX8~client-secret", "alices own password"].map(str::to_owned).into()
}

fn run(mut command: Command, input: &str) -> (i32, String, String) {
    let mut child = command.spawn().expect("starts");
    // whoever refuses before reading closes the pipe
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().expect("ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn nothing_leaks_below(folder: &Path) {
    for file in files(folder) {
        let bytes = fs::read(&file).expect("file");
        for part in leaks() {
            let found = bytes.windows(part.len()).any(|window| window == part.as_bytes());
            assert!(!found, "{part:?} is in {}", file.display());
        }
    }
}

#[test]
fn secrets_are_sealed_listed_and_removed() {
    let place = Place::new();
    assert_eq!(run(place.secret(&["list"]), "").0, 1, "nothing yet");
    place.set_all();
    let listed = place.list();
    let told: Vec<(&str, &str)> =
        listed.iter().map(|one| (one["name"].as_str().expect("name"), one["kind"].as_str().expect("kind"))).collect();
    assert_eq!(told, [("main", "password"), ("own", "credentials"), ("tenant", "client_secret")]);
    let keys: Vec<&String> = listed[0].as_object().expect("object").keys().collect();
    assert_eq!(keys, ["name", "kind", "version", "set_at"], "nothing else is told");
    assert_eq!(place.opened(), expected());
    nothing_leaks_below(&place.data);

    for (name, input, reason) in [
        ("nobody", "x", "names no mailboxes"),
        ("files", "x", "needs no secret"),
        ("main", "", "empty"),
        ("main", "two\nlines", "more than one line"),
        ("own", "password = sesame", "list of credentials"),
    ] {
        let (code, _, talk) = run(place.secret(&["set", name]), input);
        assert!(code == 2 && talk.contains(reason) && !talk.contains("sesame"), "{name}: {talk}");
    }
    assert_eq!(place.opened(), expected(), "what was refused changed nothing");
    let audit = fs::read(place.data.join("hinomi.db")).expect("store");
    let wal = fs::read(place.data.join("hinomi.db-wal")).unwrap_or_default();
    let all = String::from_utf8_lossy(&audit).into_owned() + &String::from_utf8_lossy(&wal);
    assert!(all.contains("mail_secret.set"), "it is on record");
    assert_eq!(run(place.secret(&["remove", "own"]), "").0, 0);
    assert_eq!(run(place.secret(&["remove", "own"]), "").0, 1);
    assert_eq!(place.list().len(), 2);
}

#[test]
fn a_rotation_killed_anywhere_leaves_every_secret_readable() {
    for point in ROTATION_POINTS {
        let place = Place::new();
        place.set_all();
        let key = place.data.join("keys/mail.key");
        let before = fs::read(&key).expect("key");
        let mut killed = place.secret(&["rotate"]);
        killed.env("HINOMI_ABORT_AT", point);
        let (code, _, talk) = run(killed, "");
        assert!(code == -1 && talk.contains(point), "{point} is not passed: {talk}");
        assert_eq!(place.opened(), expected(), "killed at {point}");
        assert_eq!(place.list().len(), 3);
        // who changes something next puts it in order
        let (code, _, talk) = run(place.secret(&["set", "main"]), SECRETS[0].1);
        assert_eq!(code, 0, "{point}: {talk}");
        assert!(!place.data.join("keys/mail.key.next").exists(), "{point}");
        assert_eq!(place.opened(), expected(), "settled after {point}");
        let sealed = *point == "secrets.sealed" || *point == "secrets.key_in_force";
        assert_eq!(fs::read(&key).expect("key") != before, sealed, "{point}: which key is in force");
        let (code, told, talk) = run(place.secret(&["rotate"]), "");
        assert_eq!(code, 0, "{talk}");
        let told: Value = serde_json::from_str(&told).expect("JSON");
        assert_eq!(told["secrets"], 3);
        assert_ne!(fs::read(&key).expect("key"), before);
        assert_eq!(place.opened(), expected());
    }
}

#[test]
fn a_master_key_of_ones_own_stays_outside_of_folder_and_backup() {
    let place = Place::new();
    let (old, new) = (place.dir.path().join("old.key"), place.dir.path().join("new.key"));
    fs::write(&old, format!("{}\n", "a7".repeat(32))).expect("key");
    fs::write(&new, [9; 32]).expect("key");
    let with = |key: &Path, arguments: &[&str]| {
        let mut command = place.secret(arguments);
        command.env("HINOMI_MAIL_KEY_FILE", key);
        command
    };
    assert_eq!(run(with(&old, &["set", "main"]), SECRETS[0].1).0, 0);
    assert!(!place.data.join("keys/mail.key").exists());
    let (code, _, talk) = run(with(&old, &["rotate"]), "");
    assert!(code == 2 && talk.contains("--new-key"), "{talk}");
    let new_path = new.to_str().expect("path");
    assert_eq!(run(with(&old, &["rotate", "--new-key", new_path]), "").0, 0);
    let (code, _, talk) = run(with(&old, &["set", "main"]), "x");
    assert!(code == 2 && talk.contains("old.key"), "the old key opens nothing any more: {talk}");
    assert_eq!(run(with(&new, &["set", "main"]), "x").0, 0);
}

#[test]
fn a_backup_carries_them_sealed_and_restores_them() {
    let place = Place::new();
    place.set_all();
    let to = place.dir.path().join("backup");
    let hinomi = |arguments: &[&str], data: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hinomi"));
        command.args(arguments).arg("--data").arg(data).arg("--json").stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (code, told, talk) = run(command, "");
        assert_eq!(code, 0, "{talk}");
        for part in leaks() {
            assert!(!told.contains(&part) && !talk.contains(&part));
        }
        told
    };
    let listing = hinomi(&["backup", "--to", to.to_str().expect("path")], &place.data);
    assert!(listing.contains("data/secrets/mail.json") && listing.contains("data/keys/mail.key"));
    nothing_leaks_below(&to);
    let mut restored = Place::new();
    restored.data = place.dir.path().join("restored");
    hinomi(&["restore", "--from", to.to_str().expect("path")], &restored.data);
    assert_eq!(restored.opened(), expected());
}

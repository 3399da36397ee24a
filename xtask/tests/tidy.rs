//! The house keeps its floors: reads the manifests and refuses sideways and upward edges.

use std::collections::BTreeMap;
use std::path::Path;

/// Floor of each room (ARCHITECTURE.md). A room may depend on lower floors only.
const FLOORS: &[(&str, u8)] = &[
    ("hinomi-model", 0),
    ("hinomi-wire", 1),
    ("hinomi-detect", 1),
    ("hinomi-cases", 1),
    ("hinomi-api", 1),
    ("hinomi-sensor", 2),
    ("hinomi-mail", 2),
    ("hinomi-lake", 2),
    ("hinomi-scan", 2),
    ("hinomi-store", 2),
    ("hinomi-notify", 2),
    ("hinomi-console-assets", 2),
    ("hinomi-server", 3),
    ("hinomi", 4),
];

/// What floor 1 must not know: it does no I/O and reads no clock.
const NOT_BELOW_HANDS: &[&str] =
    &["tokio", "sqlx", "datafusion", "reqwest", "axum", "lettre", "nix", "libc", "tempfile"];

fn manifests() -> Vec<(String, toml::Table)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace");
    let crates = std::fs::read_dir(root.join("crates")).expect("crates");
    crates
        .map(|entry| {
            let path = entry.expect("entry").path().join("Cargo.toml");
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let manifest: toml::Table = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = manifest["package"]["name"].as_str().expect("name").to_owned();
            (name, manifest)
        })
        .collect()
}

fn names(manifest: &toml::Table, section: &str) -> Vec<String> {
    manifest
        .get(section)
        .and_then(|table| table.as_table())
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default()
}

#[test]
fn rooms_depend_downward_only() {
    let floors: BTreeMap<_, _> = FLOORS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, manifest) in manifests() {
        for dependency in names(&manifest, "dependencies") {
            if dependency == "hinomi-testkit" {
                wrong.push(format!("{name} -> {dependency}: testkit is for tests only"));
            }
            let (Some(from), Some(to)) = (floors.get(name.as_str()), floors.get(dependency.as_str())) else { continue };
            if to >= from {
                wrong.push(format!("{name} (floor {from}) -> {dependency} (floor {to})"));
            }
        }
        if name != "hinomi-testkit" && !floors.contains_key(name.as_str()) {
            wrong.push(format!("{name} has no floor"));
        }
    }
    assert!(wrong.is_empty(), "edges against the house rule:\n{}", wrong.join("\n"));
}

#[test]
fn thinking_does_no_input_or_output() {
    let floors: BTreeMap<_, _> = FLOORS.iter().copied().collect();
    for (name, manifest) in manifests() {
        if floors.get(name.as_str()).is_some_and(|floor| *floor <= 1) {
            for dependency in names(&manifest, "dependencies") {
                assert!(!NOT_BELOW_HANDS.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
            }
        }
    }
}

#[test]
fn sensor_and_server_build_without_each_other() {
    let wanted = |name: &str| manifests().into_iter().find(|(found, _)| found == name).expect("there").1;
    let sensor = names(&wanted("hinomi-sensor"), "dependencies");
    for heavy in ["sqlx", "datafusion", "axum", "webauthn-rs", "mail-parser", "hinomi-server"] {
        assert!(!sensor.contains(&heavy.to_owned()), "the sensor must not depend on {heavy}");
    }
    let server = names(&wanted("hinomi-server"), "dependencies");
    for platform in ["libbpf-rs", "hinomi-sensor", "zbus"] {
        assert!(!server.contains(&platform.to_owned()), "the server must not depend on {platform}");
    }
}

#[test]
fn lock_files_name_no_private_registry() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace");
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).expect("Cargo.lock");
    for line in lock.lines().filter(|line| line.starts_with("source = ")) {
        assert_eq!(line, "source = \"registry+https://github.com/rust-lang/crates.io-index\"");
    }
    let npm = std::fs::read_to_string(root.join("console/package-lock.json")).expect("package-lock.json");
    assert!(!npm.contains("\"resolved\": \"http"), "package-lock.json names a registry host");
}

/// Every package of the lock file that is built here has a licence `deny.toml` allows.
#[test]
fn licences_are_allowed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace");
    let text = std::fs::read_to_string(root.join("deny.toml")).expect("deny.toml");
    let deny: toml::Table = text.parse().expect("deny.toml");
    let words = |list: &toml::Value| -> Vec<String> {
        list.as_array().expect("a list").iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    let allowed = words(&deny["licenses"]["allow"]);
    let exceptions: BTreeMap<String, Vec<String>> = deny["licenses"]["exceptions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["crate"].as_str().expect("a crate").to_owned(), words(&one["allow"])))
        .collect();
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root)
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("metadata");
    let mut wrong = Vec::new();
    let used = metadata["resolve"]["nodes"].as_array().expect("nodes");
    let used: std::collections::BTreeSet<_> = used.iter().filter_map(|node| node["id"].as_str()).collect();
    for package in metadata["packages"].as_array().expect("packages") {
        if !used.contains(package["id"].as_str().expect("id")) {
            continue;
        }
        let name = package["name"].as_str().expect("name");
        let Some(licence) = package["license"].as_str() else {
            wrong.push(format!("{name}: no licence named"));
            continue;
        };
        let allowed: Vec<&str> =
            allowed.iter().chain(exceptions.get(name).into_iter().flatten()).map(String::as_str).collect();
        if !may_use(licence, &allowed) {
            wrong.push(format!("{name}: {licence}"));
        }
    }
    assert!(wrong.is_empty(), "licences that deny.toml does not allow:\n{}", wrong.join("\n"));
}

/// True when an SPDX expression (or the older form with a slash for OR) leaves a choice that is allowed.
fn may_use(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let may = any(&words, &mut at, allowed);
    may && at == words.len()
}

fn any(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut may = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        may |= all(words, at, allowed);
    }
    may
}

fn all(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut may = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        may &= one(words, at, allowed);
    }
    may
}

fn one(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let may = any(words, at, allowed);
        *at += 1;
        return may;
    }
    let mut name = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        name = format!("{word} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    allowed.contains(&name.as_str())
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"];
    for (expression, may) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT/GPL-2.0", true),
        ("(MIT OR GPL-2.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND NCSA", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
        ("GPL-2.0 WITH Classpath-exception-2.0", false),
        ("MIT AND", false),
    ] {
        assert_eq!(may_use(expression, &allowed), may, "{expression}");
    }
}

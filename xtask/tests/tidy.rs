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

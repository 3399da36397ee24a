//! The simulated week of `tests/week`: `cargo xtask simulate week [--devices N] [--seed S] [--json]`, one
//! scenario: `cargo xtask scenario PATH [--json]`, and one attack of the week as a new scenario:
//! `cargo bench … --bench simulate -- record KIND PATH`.

#[path = "../tests/scenario/expected.rs"]
mod expected;
#[path = "../tests/scenario/house.rs"]
#[allow(dead_code)]
mod house;
#[path = "../tests/recorded/mod.rs"]
#[allow(dead_code)]
mod recorded;
#[path = "../tests/week/mod.rs"]
mod week;

use anyhow::{Context, Result};
use expected::Expected;
use hinomi_model::Event;
use hinomi_testkit::week::{KINDS, attack};
use house::House;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use week::{Options, run};

/// Most benign events that no rule sees, for every size of fleet.
const BENIGN_MAX: f64 = 20e6;
/// So many unless `--benign N` says otherwise: a week of 20,000 devices stays below twenty minutes on
/// two cores …
const BENIGN_USUAL: f64 = 1e6;
/// … and so many per device, so that small fleets stay quick.
const BENIGN_PER_DEVICE: f64 = 1_000.0;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let json = words.iter().any(|word| word == "--json");
    let plain: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "--json").collect();
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let done = match plain.as_slice() {
        ["week", rest @ ..] => runtime.block_on(week(rest, json)),
        ["scenario", path] => runtime.block_on(scenario(Path::new(path), json)),
        ["record", kind, path] => record(kind, Path::new(path)),
        _ => {
            eprintln!("nothing simulated: say `week`, `scenario PATH` or `record KIND PATH`; kinds: {KINDS:?}");
            return ExitCode::SUCCESS;
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn week(words: &[&str], json: bool) -> Result<bool> {
    let number = |name: &str, default: u64| {
        let at = words.iter().position(|word| *word == name);
        at.and_then(|at| words.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let devices = number("--devices", 300) as usize;
    let options = Options {
        devices,
        seed: number("--seed", 1),
        attacks: number("--attacks", 20) as usize,
        days: number("--days", 7) as i64,
        benign_max: match number("--benign", 0) {
            0 => (devices as f64 * BENIGN_PER_DEVICE).min(BENIGN_USUAL),
            most => (most as f64).min(BENIGN_MAX),
        },
        investigate: !words.contains(&"--no-investigations"),
        talk: !json,
    };
    let report = run(options).await?;
    if !json {
        report.remarks.iter().for_each(|remark| eprintln!("{remark}"));
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(true)
}

/// Plays a folder and tells what came of it; false when that is not what its `expect.toml` says.
async fn scenario(folder: &Path, json: bool) -> Result<bool> {
    let mut house = House::open().await?;
    house.play(folder).await?;
    house.settle().await?;
    let mut told = Vec::new();
    let incidents = house.incidents().await?;
    for incident in &incidents {
        let alerts = house.ctx.store.alerts_of_incident(incident.id).await?;
        let actions = house.actions(incident).await?;
        let investigations = house.investigations(incident).await?;
        told.push(serde_json::json!({
            "title": incident.title,
            "severity": incident.severity,
            "tactics": incident.tactics,
            "techniques": incident.techniques,
            "devices": incident.devices.iter().map(|device| &device.name).collect::<Vec<_>>(),
            "mailboxes": incident.mailboxes,
            "links": incident.alerts.iter().map(|link| link.reason.word()).collect::<Vec<_>>(),
            "alerts": alerts.iter().map(|alert| serde_json::json!({
                "rule": alert.rule_id, "title": alert.title, "severity": alert.severity,
                "status": alert.detection_status, "description": alert.description,
            })).collect::<Vec<_>>(),
            "investigations": investigations.iter().map(|one| one.state).collect::<Vec<_>>(),
            "actions": actions.iter().map(|action| action.spec.kind()).collect::<Vec<_>>(),
        }));
    }
    let differs = match folder.join("expect.toml").exists() {
        true => Expected::read(folder)?.check(&house.ctx, &incidents).await.err().map(|error| format!("{error:#}")),
        false => None,
    };
    house.close().await?;
    let outcome = serde_json::json!({"incidents": told, "differs": differs});
    if json {
        println!("{outcome}");
    } else {
        println!("{outcome:#}");
    }
    Ok(differs.is_none())
}

/// Writes an attack of the week as events of a scenario.
fn record(kind: &str, folder: &Path) -> Result<bool> {
    let attack = attack(kind, 7).with_context(|| format!("no such attack: {kind}; there are {KINDS:?}"))?;
    let mut files: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
    for event in &attack.events {
        let name = event.str("DeviceName").map_or("01-mail".to_owned(), |device| format!("02-{device}"));
        files.entry(name).or_default().push(event);
    }
    let events = folder.join("events");
    std::fs::create_dir_all(&events).with_context(|| events.display().to_string())?;
    for (name, of) in files {
        let mut text = String::new();
        for event in of {
            writeln!(text, "{}", serde_json::to_string(event)?)?;
        }
        std::fs::write(events.join(format!("{name}.jsonl")), text)?;
    }
    Ok(true)
}

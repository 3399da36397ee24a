//! What a million indicators cost: `cargo xtask bench indicators [--json]`. One run takes a list of them
//! in, puts them in force as a server does that starts, and takes sensor events in with none and with all
//! of them, each in a process of its own so that memory can be told apart. Prints one JSON object.

#[path = "ingest/load.rs"]
mod load;

use hinomi_detect::indicator_list::{Defaults, read};
use hinomi_model::{IndicatorAction, IndicatorFormat, IndicatorScope, Severity};
use hinomi_server::app::{App, Ctx, Urls};
use hinomi_server::indicators::{self, import};
use hinomi_store::Replaces;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

const COUNT: u64 = 1_000_000;
const EVENTS: u64 = 200_000;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: u64| {
        let at = words.iter().position(|word| word == name);
        at.and_then(|at| words.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let (count, events) = (number("--count", COUNT), number("--events", EVENTS));
    let Some(part) = words.iter().find_map(|word| word.strip_prefix("--part=")) else {
        let folder = tempfile::tempdir().expect("temporary folder");
        let part = |name: &str| own(name, folder.path(), count, events);
        let (none, import, all) = (part("none"), part("import"), part("all"));
        let rate = |part: &Value| part["analysed_per_s"].as_f64().unwrap_or_default();
        let report = json!({
            "indicators": count, "import": import, "without": none, "with": all,
            "rate_ratio": (rate(&all) / rate(&none) * 1000.0).round() / 1000.0,
        });
        println!("{report}");
        return;
    };
    let folder = words.iter().find_map(|word| word.strip_prefix("--folder=")).expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    println!("{}", runtime.block_on(run(part, Path::new(folder), count, events)));
}

/// Runs a part in a process of its own and returns what it prints.
fn own(part: &str, folder: &Path, count: u64, events: u64) -> Value {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.arg(format!("--part={part}")).arg(format!("--folder={}", folder.display()));
    command.args(["--count", &count.to_string(), "--events", &events.to_string()]);
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{part}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a JSON object")
}

async fn run(part: &str, folder: &Path, count: u64, events: u64) -> Value {
    let data = folder.join(if part == "none" { "none" } else { "all" });
    let urls = Urls { console: "https://hinomi.test".to_owned(), sensors: "https://hinomi.test:8444".to_owned() };
    let config = toml::from_str("").expect("defaults");
    let app = App::open(config, &data, urls, &["localhost".to_owned()]).await.expect("open");
    let ctx: Ctx = Arc::new(app);
    if part == "import" {
        return take_in(&ctx, count).await;
    }
    let begin = Instant::now();
    indicators::load(&ctx).await.expect("load");
    let load_s = begin.elapsed().as_secs_f64();
    assert_eq!(ctx.indicators.get().len() as u64, if part == "none" { 0 } else { count });
    let loaded_mb = load::peak_mb();
    let taken = load::take(&ctx, events).await;
    json!({
        "load_s": rounded(load_s), "loaded_mb": loaded_mb, "events": taken.events,
        "durable_per_s": (taken.events / taken.durable_s).round(),
        "analysed_per_s": (taken.events / taken.analysed_s).round(),
        "per_cpu_s": (taken.events / taken.cpu_s).round(), "peak_mb": load::peak_mb(),
    })
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

/// Takes a list of hashes, domains and addresses in, as a person does who uploads it.
async fn take_in(ctx: &Ctx, count: u64) -> Value {
    let mut text = String::from("type,value,note\n");
    for number in 0..count {
        let note = number % 100;
        let _ = match number % 4 {
            0 | 1 => writeln!(text, "sha256,{:064x},list {note}", u128::from(number) << 60 | 0xfeed),
            2 => writeln!(text, "domain,host-{number}.attacker.test,list {note}"),
            _ => writeln!(text, "ip,2001:db8::{:x}:{:x},list {note}", number >> 16, number & 0xffff),
        };
    }
    let defaults = Defaults {
        action: IndicatorAction::Block,
        severity: Severity::Medium,
        note: String::new(),
        expires_at: None,
        scope: IndicatorScope::default(),
    };
    let begin = Instant::now();
    let list = read(&text, IndicatorFormat::Csv, &defaults).expect("reads");
    let read_s = begin.elapsed().as_secs_f64();
    let order =
        import::Order { name: "bench".to_owned(), by: "bench".to_owned(), replaces: Replaces::Nothing, dry_run: false };
    let taken = import::take(ctx, list, order).await.expect("taken in");
    assert_eq!(taken.added, count, "{:?}", taken.refused);
    json!({
        "bytes": text.len(), "read_s": rounded(read_s), "import_s": rounded(begin.elapsed().as_secs_f64()),
        "peak_mb": load::peak_mb(),
    })
}

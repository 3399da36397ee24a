//! What the collector costs: exec and file churn with it off and on, in turns; its memory and CPU.
//!
//! Prints one JSON object. Latencies are the 10th percentile in microseconds, so that other load on
//! the machine counts little; ratios are on to off. Needs root.

#[path = "../tests/stage/mod.rs"]
mod stage;

use hinomi_sensor::collect::{CollectConfig, Collector, DeviceIdentity};
use nix::sched::{CloneFlags, unshare};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const EXECS: usize = 300;
const CHURNS: usize = 2000;
const STEADY: Duration = Duration::from_secs(10);
const STEADY_RATE: u32 = 50;

fn main() {
    // cargo asks a bench binary for its list when it runs all targets
    if std::env::args().any(|arg| arg == "--list") {
        return;
    }
    unshare(CloneFlags::CLONE_NEWNS).expect("own mount namespace");
    let none: Option<&Path> = None;
    let flags = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
    nix::mount::mount(none, "/", none, flags, none).expect("private mounts");
    let dir = tempfile::tempdir().expect("folder");
    let (mut execs, mut churns) = (Sides::default(), Sides::default());
    let mut drops = BTreeMap::new();
    let events = Arc::new(AtomicU64::new(0));
    for _ in 0..ROUNDS {
        execs.off.push(latency(EXECS, exec));
        churns.off.push(latency(CHURNS, || churn(dir.path())));
        let collector = start(&events);
        execs.on.push(latency(EXECS, exec));
        churns.on.push(latency(CHURNS, || churn(dir.path())));
        drops.extend(collector.drops());
    }
    let collector = start(&events);
    let before = cpu_ticks();
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < STEADY {
        exec();
        number += 1;
        std::thread::park_timeout((Duration::from_secs(1) * number / STEADY_RATE).saturating_sub(begun.elapsed()));
    }
    let busy = cpu_ticks() - before;
    let percent = busy as f64 / begun.elapsed().as_secs_f64();
    drops.extend(collector.drops());
    println!(
        "{}",
        serde_json::json!({
            "exec_us_off": execs.off(), "exec_us_on": execs.on(), "exec_ratio": execs.ratio(),
            "churn_us_off": churns.off(), "churn_us_on": churns.on(), "churn_ratio": churns.ratio(),
            "events": events.load(Ordering::Relaxed), "lost": drops,
            "collector_cpu_percent_at_50_execs_per_second": percent,
            "rss_mib": memory("VmRSS:"), "peak_rss_mib": memory("VmHWM:"),
        })
    );
}

#[derive(Default)]
struct Sides {
    off: Vec<f64>,
    on: Vec<f64>,
}

impl Sides {
    fn off(&self) -> f64 {
        median(&self.off)
    }
    fn on(&self) -> f64 {
        median(&self.on)
    }
    fn ratio(&self) -> f64 {
        self.on() / self.off()
    }
}

fn start(events: &Arc<AtomicU64>) -> Collector {
    let (sink, mut receiver) = tokio::sync::mpsc::channel(8192);
    let events = events.clone();
    std::thread::spawn(move || {
        while receiver.blocking_recv().is_some() {
            events.fetch_add(1, Ordering::Relaxed);
        }
    });
    let scope = std::fs::metadata("/proc/thread-self/ns/mnt").expect("namespace").ino();
    let config = CollectConfig { scope_mount_namespace: Some(scope), ..CollectConfig::default() };
    let identity = DeviceIdentity { device_id: stage::DEVICE.parse().expect("id"), device_name: "bench".to_owned() };
    Collector::start(config, identity, sink).expect("collector starts")
}

fn latency(count: usize, mut work: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..count)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[count / 10]
}

fn exec() {
    assert!(Command::new("/bin/true").status().expect("runs").success());
}

fn churn(dir: &Path) {
    let (first, second) = (dir.join("first"), dir.join("second"));
    std::fs::write(&first, [7_u8; 1024]).expect("write");
    std::fs::rename(&first, &second).expect("rename");
    std::fs::read(&second).expect("read");
    std::fs::remove_file(&second).expect("remove");
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2] * 10.0).round() / 10.0
}

/// Clock ticks (1/100 s) the thread named `collector` has used.
fn cpu_ticks() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("tasks").flatten();
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    let own = stats.filter(|stat| stat.contains("(collector)"));
    own.map(|stat| stat.split_whitespace().skip(13).take(2).filter_map(|word| word.parse::<u64>().ok()).sum::<u64>())
        .sum()
}

fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("line");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).expect("number") / 1024
}

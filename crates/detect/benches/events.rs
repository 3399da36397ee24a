//! Events per second on one thread: our own content over a mix of sensor and mail rows, and, when
//! their archive lies beside the workspace, the public Sigma rules as well.
//!
//! `cargo bench -p hinomi-detect --bench events` (or run the built target); prints one line per case.

use hinomi_detect::{Engine, RuleSource, content};
use hinomi_model::{Event, Table, Timestamp};
use std::hint::black_box;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

const TIME_PER_CASE: Duration = Duration::from_secs(2);

fn main() {
    let own = &content::embedded().rules;
    let mixed = mixed();
    let processes: Vec<Event> = mixed.iter().filter(|e| e.table == Table::DeviceProcessEvents).cloned().collect();
    run("own rules", own, &[("mixed rows", &mixed), ("process rows", &processes)]);
    if let Some(mut public) = public() {
        run("public rules", &public, &[("mixed rows", &mixed), ("process rows", &processes)]);
        public.extend(own.iter().cloned());
        run("public and own rules", &public, &[("mixed rows", &mixed), ("process rows", &processes)]);
    }
}

fn run(name: &str, rules: &[RuleSource], cases: &[(&str, &[Event])]) {
    let started = Instant::now();
    let (engine, errors) = Engine::load(rules, &content::embedded().fields);
    println!(
        "{name}: {} loaded, {} refused, {} comparisons, load {:.3} s",
        engine.rules().len(),
        errors.len(),
        engine.comparisons(),
        started.elapsed().as_secs_f64()
    );
    println!("  {} rules are looked at for every event of their kind", engine.sleepless().len());
    for (case, events) in cases {
        let (mut evaluated, mut fired) = (0_u64, 0_u64);
        let (started, cpu_before) = (Instant::now(), cpu_seconds());
        while started.elapsed() < TIME_PER_CASE {
            for event in *events {
                fired += engine.matches(black_box(event)).len() as u64;
            }
            evaluated += events.len() as u64;
        }
        let rate = evaluated as f64 / started.elapsed().as_secs_f64();
        let per_cpu = evaluated as f64 / (cpu_seconds() - cpu_before);
        let share = fired as f64 * 100.0 / evaluated as f64;
        println!("  {case}: {rate:.0} events/s, {per_cpu:.0} per CPU second, {share:.2} firings per 100 events");
    }
}

/// CPU time of this thread so far; the machine may be busy with other things. NaN where unknown.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok()).map_or(f64::NAN, |nanos| nanos / 1e9)
}

/// Rows as an ordinary Linux endpoint and a gateway write them, in no particular rhythm.
fn mixed() -> Vec<Event> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let programs = [
        ("/usr/bin/bash", "-bash"),
        ("/usr/bin/dash", "/bin/sh -c 'test -x /usr/sbin/anacron || run-parts --report /etc/cron.daily'"),
        ("/usr/bin/git", "git status --porcelain --branch"),
        ("/usr/bin/gcc", "gcc -std=c11 -O2 -Wall -Wextra -Iinclude -c src/parser.c -o build/parser.o"),
        ("/usr/bin/python3.11", "/usr/bin/python3 /usr/bin/unattended-upgrade --download-only"),
        ("/usr/lib/firefox-esr/firefox-esr", "firefox-esr -contentproc -childID 7 -isForBrowser -prefsLen 32768 tab"),
        ("/usr/bin/apt-get", "apt-get install --yes --no-install-recommends postgresql-15"),
        ("/usr/sbin/sshd", "sshd: admin [priv]"),
        ("/usr/bin/curl", "curl --silent --show-error https://deb.example.org/dists/stable/Release"),
        ("/usr/bin/systemctl", "systemctl is-active nginx.service"),
        ("/home/hanako/.cargo/bin/cargo", "cargo build --workspace --release"),
        ("/usr/bin/grep", "grep -rn TODO src include"),
    ];
    let paths =
        ["/home/hanako/src/parser.c", "/var/lib/dpkg/status-new", "/tmp/tmp.Xa81", "/home/hanako/.cache/mozilla/x"];
    let mut events = Vec::new();
    for number in 0..2_000_i64 {
        let (image, command) = programs[next(programs.len())];
        let (parent, parent_command) = programs[next(programs.len())];
        let table = match next(10) {
            0..5 => Table::DeviceProcessEvents,
            5..8 => Table::DeviceFileEvents,
            8 => Table::DeviceNetworkEvents,
            _ => Table::EmailAttachmentInfo,
        };
        let mut event = Event::new(table, Timestamp::from_micros(number));
        if table == Table::EmailAttachmentInfo {
            event.set("ReportId", number.to_string());
        } else {
            event.set("ReportId", number);
        }
        if table == Table::EmailAttachmentInfo {
            event.set("FileName", "minutes-2026-11-22.pdf").set("SHA256", format!("{number:064x}"));
            events.push(event);
            continue;
        }
        event.set("DeviceId", "0197f3a2-6b1e-7c44-9d1a-2f1f5f7a9a10").set("DeviceName", "ws-042");
        event.set("InitiatingProcessFolderPath", parent).set("InitiatingProcessCommandLine", parent_command);
        event.set("InitiatingProcessFileName", parent.rsplit('/').next().unwrap_or_default());
        event.set("InitiatingProcessAccountName", "hanako").set("InitiatingProcessId", 4_000 + number);
        match table {
            Table::DeviceProcessEvents => {
                event.set("ActionType", "ProcessCreated").set("FolderPath", image).set("ProcessCommandLine", command);
                event
                    .set("FileName", image.rsplit('/').next().unwrap_or_default())
                    .set("SHA256", format!("{number:064x}"));
                event.set("AccountName", "hanako").set("ProcessId", 5_000 + number);
                event.set_additional("ProcessCurrentDirectory", "/home/hanako/src");
            }
            Table::DeviceFileEvents => {
                let path = paths[next(paths.len())];
                event.set("ActionType", "FileModified").set("FolderPath", path).set("FileSize", number);
                event.set("FileName", path.rsplit('/').next().unwrap_or_default());
            }
            _ => {
                event.set("ActionType", "ConnectionRequest").set("RemoteIP", "198.51.100.7").set("RemotePort", 443_i64);
                event.set("RemoteIPType", "Public").set("Protocol", "Tcp");
            }
        }
        events.push(event);
    }
    events
}

fn public() -> Option<Vec<RuleSource>> {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/sigma/sigma-rules.tar.zst");
    let file = std::fs::File::open(archive).ok()?;
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).ok()?);
    let mut rules = Vec::new();
    for mut entry in archive.entries().ok()?.flatten() {
        let path = entry.path().ok()?.to_string_lossy().into_owned();
        let mut yaml = String::new();
        if path.ends_with(".yml") && entry.read_to_string(&mut yaml).is_ok() {
            rules.push(RuleSource { path, yaml });
        }
    }
    Some(rules)
}

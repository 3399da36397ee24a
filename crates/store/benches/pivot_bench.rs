//! The pivot over many sightings: `cargo xtask bench pivot [--rows N]`.
//!
//! Fills a SQLite table by the store's own way in steps (growth is printed), then asks for values that
//! are rare, common and absent while another task keeps writing: warm, and cold (the file's pages
//! dropped, a fresh process for every question). Prints one JSON object per line.

#[path = "pivot/rows.rs"]
mod rows;

use hinomi_model::{EntityKey, EntityKind, Sighting};
use hinomi_store::{Seen, Store};
use rows::{HEAD, mix, some_row, value, values};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The table at each step, rows.
const STEPS: [u64; 3] = [1_000_000, 10_000_000, 30_000_000];
/// Rows per transaction when filling.
const BATCH: usize = 20_000;
/// Rows per transaction while asking, as ingest would.
const INGEST_BATCH: usize = 1_000;
/// Lets the writer go to somebody else.
const INGEST_PAUSE: Duration = Duration::from_millis(20);
/// Questions of each kind.
const WARM: u64 = 400;
const COLD: u64 = 100;
/// Devices named in an answer.
const SHOWN: i64 = 200;

struct Options {
    rows: u64,
    folder: Option<PathBuf>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    if let (Some(file), Some(value)) = (after("--file"), after("--ask")) {
        runtime.block_on(ask_once(Path::new(file), value));
        return ExitCode::SUCCESS;
    }
    // `cargo bench --benches` runs every bench: this one only when asked for
    let Some(rows) = after("--rows") else { return ExitCode::SUCCESS };
    let rows = rows.parse().expect("--rows is a number");
    runtime.block_on(run(Options { rows, folder: after("--folder").map(PathBuf::from) }));
    ExitCode::SUCCESS
}

async fn run(options: Options) {
    let folder = tempfile::Builder::new().prefix("hinomi-bench-").tempdir_in("/var/tmp").expect("temporary folder");
    let path = options.folder.unwrap_or_else(|| folder.path().to_owned()).join("state.db");
    let store = Store::open_sqlite(&path).await.expect("open");
    let mut before = store.offset("bench").await.expect("offset");
    for rows in STEPS.into_iter().filter(|step| *step < options.rows).chain([options.rows]) {
        if rows > before {
            fill(&store, &path, before, rows).await;
            before = rows;
        }
    }
    let going = Arc::new(AtomicBool::new(true));
    let writer = tokio::spawn(keep_writing(store.clone(), options.rows, going.clone()));
    for kind in KINDS {
        let questions = |many| (0..many).map(|at| question(kind, at, options.rows)).collect::<Vec<EntityKey>>();
        warm(&store, kind, &questions(WARM)).await;
        cold(&path, kind, &questions(COLD));
    }
    going.store(false, Ordering::Relaxed);
    let (written, seconds) = writer.await.expect("writes");
    println!("{{\"written_while_asking\":{written},\"written_per_s\":{:.0}}}", written as f64 / seconds);
    store.close().await;
}

const KINDS: &[&str] =
    &["rare_file", "common_file", "absent_file", "rare_url", "common_domain", "common_sender", "user"];

fn question(kind: &str, at: u64, rows: u64) -> EntityKey {
    let some = mix(at ^ 0xa5a5);
    let rare = |of: EntityKind| value(of, HEAD + some % (values(of, rows) - HEAD));
    match kind {
        "rare_file" => rare(EntityKind::File),
        "common_file" => value(EntityKind::File, some % HEAD),
        "absent_file" => EntityKey::file(&format!("{:016x}{:048x}", mix(some), 1)),
        "rare_url" => rare(EntityKind::Url),
        "common_domain" => value(EntityKind::Domain, some % HEAD),
        "common_sender" => value(EntityKind::Sender, some % HEAD),
        _ => rare(EntityKind::User),
    }
}

/// What the server asks the sightings for one pivot.
async fn ask(store: &Store, value: &EntityKey) -> Vec<Seen> {
    let devices = store.seen(value, EntityKind::Device, SHOWN).await.expect("devices");
    // accounts are seen on devices only
    if value.kind == EntityKind::User {
        return vec![devices];
    }
    let copies = store.seen(value, EntityKind::MessageCopy, 0).await.expect("copies");
    let messages = store.seen(value, EntityKind::Message, 0).await.expect("messages");
    vec![devices, copies, messages]
}

async fn warm(store: &Store, kind: &str, questions: &[EntityKey]) {
    let mut found = 0;
    for value in questions {
        found += ask(store, value).await.iter().map(|seen| seen.entities).sum::<i64>();
    }
    let mut times = Vec::new();
    for value in questions {
        let begin = Instant::now();
        ask(store, value).await;
        times.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    tell(kind, "warm", times, found);
}

fn cold(path: &Path, kind: &str, questions: &[EntityKey]) {
    let (mut times, mut found) = (Vec::new(), 0);
    for value in questions {
        for end in ["", "-wal"] {
            // gives the kernel's pages of this file back, and nobody else's
            let file = format!("if={}{end}", path.display());
            let done = Command::new("dd").args([&file, "iflag=nocache", "count=0", "status=none"]).status();
            assert!(done.expect("dd runs").success());
        }
        let this = std::env::current_exe().expect("this program");
        let mut command = Command::new(this);
        command.args(["--ask", &value.to_string(), "--file"]).arg(path);
        let output = command.output().expect("runs");
        let text = String::from_utf8(output.stdout).expect("text");
        let (ms, entities) = text.trim().split_once(' ').unwrap_or_else(|| panic!("{text} {:?}", output.stderr));
        times.push(ms.parse().expect("milliseconds"));
        found += entities.parse::<i64>().expect("a number");
    }
    tell(kind, "cold", times, found);
}

async fn ask_once(path: &Path, value: &str) {
    let store = Store::open_sqlite(path).await.expect("open");
    let value: EntityKey = value.parse().expect("a key");
    let begin = Instant::now();
    let answer = ask(&store, &value).await;
    let ms = begin.elapsed().as_secs_f64() * 1000.0;
    println!("{ms:.3} {}", answer.iter().map(|seen| seen.entities).sum::<i64>());
    store.close().await;
}

fn tell(kind: &str, how: &str, mut times: Vec<f64>, found: i64) {
    times.sort_by(f64::total_cmp);
    // nearest rank
    let at = |share: f64| times[(times.len() as f64 * share).ceil() as usize - 1];
    println!(
        "{{\"value\":\"{kind}\",\"cache\":\"{how}\",\"questions\":{},\"p50_ms\":{:.2},\"p99_ms\":{:.2},\"max_ms\":{:.2},\
         \"entities\":{}}}",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        found / times.len() as i64
    );
}

/// Writes like ingest until told to stop; returns the rows and the seconds.
async fn keep_writing(store: Store, rows: u64, going: Arc<AtomicBool>) -> (u64, f64) {
    let begin = Instant::now();
    let mut written = 0;
    while going.load(Ordering::Relaxed) {
        let batch: Vec<Sighting> = (0..INGEST_BATCH).map(|at| some_row(written + at as u64, rows)).collect();
        let mut tx = store.begin().await.expect("begin");
        tx.upsert_sightings(&batch).await.expect("upsert");
        tx.commit().await.expect("commit");
        written += batch.len() as u64;
        tokio::time::sleep(INGEST_PAUSE).await;
    }
    (written, begin.elapsed().as_secs_f64())
}

async fn fill(store: &Store, path: &Path, from: u64, to: u64) {
    let begin = Instant::now();
    let (sender, mut batches) = tokio::sync::mpsc::channel::<Vec<Sighting>>(4);
    let maker = std::thread::spawn(move || {
        let mut batch = Vec::with_capacity(BATCH);
        for sighting in rows::grow(from, to) {
            batch.push(sighting);
            if batch.len() == BATCH {
                let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
                sender.blocking_send(full).expect("taken");
            }
        }
        sender.blocking_send(batch).expect("taken");
    });
    let mut added = 0;
    while let Some(batch) = batches.recv().await {
        added += batch.len();
        let mut tx = store.begin().await.expect("begin");
        assert_eq!(tx.upsert_sightings(&batch).await.expect("upsert"), 0);
        tx.commit().await.expect("commit");
        if added % (BATCH * 100) < BATCH {
            eprintln!("{added} rows added, {:.0} per second", added as f64 / begin.elapsed().as_secs_f64());
        }
    }
    maker.join().expect("rows are made");
    let mut tx = store.begin().await.expect("begin");
    let total = tx.offset("bench-rows").await.expect("offset") + added as u64;
    tx.set_offset("bench-rows", total).await.expect("offset");
    tx.set_offset("bench", to).await.expect("offset");
    tx.commit().await.expect("commit");
    let seconds = begin.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(path).expect("database").len();
    println!(
        "{{\"rows\":{total},\"added\":{added},\"added_per_s\":{:.0},\"file_bytes\":{bytes},\"bytes_per_row\":{:.0}}}",
        added as f64 / seconds,
        bytes as f64 / total as f64
    );
}

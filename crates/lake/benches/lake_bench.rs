//! How fast the lake takes events in and answers: `cargo bench --bench lake_bench [-- EVENTS]`.
//!
//! Prints one JSON object. The events: 500 devices, four days, command lines of about 95 characters,
//! one hash in 67 events new.

use hinomi_lake::{Lake, LakeQuery, Op, Predicate};
use hinomi_model::{Event, Table, Timestamp, Value};
use std::time::Instant;

const DEVICES: u64 = 500;
const BATCH: u64 = 1_000;
const FLUSH: u64 = 200_000;
const DAYS: i64 = 4;

fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let events: u64 = asked.unwrap_or(1_000_000);
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(run(events));
}

async fn run(events: u64) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let lake = Lake::open(folder.path(), vec![]).await.expect("open");
    let (mut append, mut flush) = (0.0, 0.0);
    for batch in 0..events / BATCH {
        let rows: Vec<Event> = (0..BATCH).map(|number| event(batch * BATCH + number, events)).collect();
        let begin = Instant::now();
        lake.append(batch + 1, rows);
        append += begin.elapsed().as_secs_f64();
        if ((batch + 1) * BATCH).is_multiple_of(FLUSH) || batch + 1 == events / BATCH {
            let begin = Instant::now();
            let written = lake.flush().await.expect("flush").expect("there is a tail");
            lake.publish(written);
            flush += begin.elapsed().as_secs_f64();
        }
    }
    let bytes: u64 = lake.files().iter().map(|file| file.bytes).sum();
    let begin = Instant::now();
    let mut merges = 0;
    while let Some(compaction) = lake.compact().await.expect("compact") {
        lake.publish_compaction(compaction);
        merges += 1;
    }
    let compact = begin.elapsed().as_secs_f64();

    let day = LakeQuery {
        device: Some(device(7)),
        from: start(),
        to: start().plus_seconds(86_400),
        ..LakeQuery::of(Table::DeviceProcessEvents)
    };
    let newest = LakeQuery { limit: 50, to: start().plus_seconds(86_400 * DAYS), ..day.clone() };
    let hash = |text: String| LakeQuery {
        predicates: vec![Predicate { column: "SHA256".to_owned(), op: Op::Eq(Value::String(text)) }],
        ..LakeQuery::of(Table::DeviceProcessEvents)
    };
    let text = LakeQuery {
        predicates: vec![Predicate {
            column: "ProcessCommandLine".to_owned(),
            op: Op::Contains("seed=77777".to_owned()),
        }],
        ..LakeQuery::of(Table::DeviceProcessEvents)
    };
    println!("{{\"events\":{events},\"ingest_rows_per_s\":{:.0},", events as f64 / (append + flush));
    println!(
        " \"append_s\":{append:.2},\"flush_s\":{flush:.2},\"bytes_per_event\":{:.1},",
        bytes as f64 / events as f64
    );
    println!(" \"merges\":{merges},\"compact_s\":{compact:.2},");
    for (name, query) in [
        ("device_day", day),
        ("device_newest_50", newest),
        ("hash_present", hash(format!("{:064x}", 7))),
        ("hash_absent", hash("f".repeat(64))),
        ("substring", text),
    ] {
        let (best, rows) = best_of_5(&lake, query).await;
        println!(" \"{name}_ms\":{best:.1},\"{name}_rows\":{rows},");
    }
    println!(" \"files\":{}}}", lake.files().len());
}

async fn best_of_5(lake: &Lake, query: LakeQuery) -> (f64, usize) {
    let (mut best, mut rows) = (f64::MAX, 0);
    for _ in 0..5 {
        let begin = Instant::now();
        rows = lake.query(query.clone()).await.expect("query").len();
        best = best.min(begin.elapsed().as_secs_f64() * 1000.0);
    }
    (best, rows)
}

fn start() -> Timestamp {
    Timestamp::parse("2026-11-22T00:00:00Z").expect("a time")
}

fn device(number: u64) -> hinomi_model::DeviceId {
    format!("00000000-0000-7000-8000-{number:012x}").parse().expect("an id")
}

/// A cheap mixing of numbers, the same in every run.
fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

fn event(number: u64, all: u64) -> Event {
    let seconds = (number as f64 / all as f64 * (86_400 * DAYS - 1) as f64) as i64;
    let chance = mix(number);
    let mut event = Event::new(Table::DeviceProcessEvents, start().plus_seconds(seconds));
    let file = mix(chance % (all / 67).max(1)) % 900;
    event
        .set("DeviceId", device(chance % DEVICES).to_string())
        .set("DeviceName", format!("ws-{}", chance % DEVICES))
        .set("ActionType", "ProcessCreated")
        .set("FileName", format!("tool-{file}"))
        .set("FolderPath", format!("/usr/bin/tool-{file}"))
        .set("SHA256", format!("{:064x}", chance % (all / 67).max(1)))
        .set("ProcessId", (chance % 60_000) as i64)
        .set(
            "ProcessCommandLine",
            format!(
                "/usr/bin/tool-{file} --config /etc/tool/{file}.toml --output /var/tmp/out.log --seed={}",
                chance % 1_000_000
            ),
        )
        .set("ProcessCreationTime", start().plus_seconds(seconds))
        .set("AccountName", format!("user{}", chance % 700))
        .set("InitiatingProcessFileName", "bash")
        .set("InitiatingProcessFolderPath", "/usr/bin/bash")
        .set("InitiatingProcessCommandLine", format!("bash /home/user{}/run.sh", chance % 700))
        .set("InitiatingProcessId", (chance % 50_000) as i64)
        .set("InitiatingProcessSHA256", format!("{:064x}", 1))
        .set("ReportId", number as i64);
    event
}

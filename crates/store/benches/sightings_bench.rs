//! How fast SQLite takes sightings in and answers the pivot:
//! `cargo bench --bench sightings_bench [-- ROWS]`. Prints one JSON object.

use hinomi_model::{EntityKey, EventRef, MessageId, Sighting, SightingStages, Table, Timestamp};
use hinomi_store::{Page, Store};
use std::time::Instant;

const BATCH: u64 = 1_000;
const LOOK_UPS: u64 = 1_000;

fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let rows: u64 = asked.unwrap_or(300_000);
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(run(rows));
}

async fn run(rows: u64) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("state.db");
    let store = Store::open_sqlite(&path).await.expect("open");
    let begin = Instant::now();
    for batch in 0..rows / BATCH {
        let sightings: Vec<_> = (0..BATCH).map(|number| sighting(batch * BATCH + number)).collect();
        let mut tx = store.begin().await.expect("begin");
        tx.upsert_sightings(&sightings).await.expect("upsert");
        tx.set_offset("analyst", batch + 1).await.expect("offset");
        tx.commit().await.expect("commit");
    }
    let upsert = begin.elapsed().as_secs_f64();

    let mut times: Vec<f64> = Vec::new();
    for number in 0..LOOK_UPS {
        let file = file(mix(number) % (rows / 4).max(1));
        let begin = Instant::now();
        store.sighting_summary(&file).await.expect("summary");
        store.sightings(&file, None, &Page::first(50)).await.expect("sightings");
        times.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    store.close().await;
    let bytes = std::fs::metadata(&path).expect("database").len();
    println!(
        "{{\"rows\":{rows},\"upserts_per_s\":{:.0},\"bytes_per_row\":{:.0},",
        rows as f64 / upsert,
        bytes as f64 / rows as f64
    );
    println!(" \"pivot_p50_ms\":{:.3},\"pivot_p99_ms\":{:.3},\"pivot_max_ms\":{:.3}}}", at(0.5), at(0.99), at(1.0));
}

/// A cheap mixing of numbers, the same in every run.
fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

fn file(number: u64) -> EntityKey {
    EntityKey::file(&format!("{:016x}{:048x}", mix(number), number))
}

fn sighting(number: u64) -> Sighting {
    let device = format!("00000000-0000-7000-8000-{:012x}", mix(number) % 500);
    let entity = if number.is_multiple_of(5) {
        let message: MessageId = device.parse().expect("an id");
        EntityKey::message_copy(message, "hana@example.jp")
    } else {
        EntityKey::device(device.parse().expect("an id"))
    };
    let at = Timestamp::from_micros(1_700_000_000_000_000 + number as i64 * 1_000);
    Sighting {
        observable: file(mix(number / 3) % 75_000),
        entity,
        first_seen: at,
        last_seen: at,
        count: 1,
        sample: EventRef {
            table: Table::DeviceFileEvents,
            timestamp: at,
            device_id: None,
            report_id: number.to_string(),
        },
        name: format!("/home/user/downloads/file-{}", number % 1_000),
        account: None,
        stages: SightingStages::default(),
    }
}

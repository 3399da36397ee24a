//! How many sensor events a second the server takes in for good: checked, on disk, in the lake and
//! analysed with every rule. `cargo bench --workspace --bench ingest_bench [-- EVENTS]` prints one JSON
//! object. Left out: TLS and gRPC framing.

#[path = "ingest/load.rs"]
mod load;

use hinomi_server::app::{App, Ctx, Urls};
use std::path::Path;
use std::sync::Arc;

fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let events: u64 = asked.unwrap_or(500_000);
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(run(events));
}

async fn run(events: u64) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let urls = Urls { console: "https://hinomi.test".to_owned(), sensors: "https://hinomi.test:8444".to_owned() };
    let config = toml::from_str("").expect("defaults");
    let app = App::open(config, dir.path(), urls, &["localhost".to_owned()]).await.expect("open");
    let ctx: Ctx = Arc::new(app);
    let taken = load::take(&ctx, events).await;
    let total = taken.events;
    println!(
        "{{\"events\":{total},\"durable_per_s\":{:.0},\"analysed_per_s\":{:.0},\"per_cpu_s\":{:.0},\"peak_mb\":{},\
         \"bytes_per_event\":{:.0}}}",
        total / taken.durable_s,
        total / taken.analysed_s,
        total / taken.cpu_s,
        load::peak_mb(),
        folder_bytes(&dir.path().join("lake")) as f64 / total
    );
}

fn folder_bytes(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

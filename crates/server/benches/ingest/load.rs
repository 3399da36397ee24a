//! The load of the benches of ingest: batches of sensor events into a server without listeners.

use hinomi_model::{DeviceId, Event, Table, Timestamp};
use hinomi_server::app::{ANALYST, Ctx, LAKE};
use hinomi_server::ingest;
use std::time::{Duration, Instant};

const DEVICES: u64 = 200;
const BATCH: u64 = 500;
/// Programs every device runs, and how often (one in so many) an event names a file nobody has seen.
const PROGRAMS: u64 = 400;
const NEW_FILE_EVERY: u64 = 100;

/// What taking events in cost.
pub struct Taken {
    pub events: f64,
    /// Seconds until the last was on disk.
    pub durable_s: f64,
    /// Seconds until the last was analysed.
    pub analysed_s: f64,
    pub cpu_s: f64,
}

/// Takes so many events in and waits until all are analysed and in the lake.
pub async fn take(ctx: &Ctx, events: u64) -> Taken {
    let pipeline = tokio::spawn(ingest::run(ctx.clone()));
    let per_device = events / DEVICES / BATCH * BATCH;
    let frames: Vec<Vec<Vec<u8>>> = (0..DEVICES).map(|device| frames(device, per_device)).collect();
    let (begin, cpu) = (Instant::now(), cpu_seconds());
    let senders = frames.into_iter().enumerate().map(|(device, frames)| {
        let ctx = ctx.clone();
        tokio::spawn(async move {
            for (at, frame) in frames.into_iter().enumerate() {
                let first = at as u64 * BATCH + 1;
                let stored = ctx.ingest.append_sensor(id(device as u64), 1, first, BATCH as usize, &frame).await;
                stored.expect("stored");
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.expect("sent");
    }
    let durable_s = begin.elapsed().as_secs_f64();
    while ctx.store.offset(ANALYST).await.expect("offset") < ctx.ingest.log().end() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (analysed_s, cpu_s) = (begin.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    ctx.stop.cancel();
    pipeline.await.expect("ends").expect("works");
    assert_eq!(ctx.store.offset(LAKE).await.expect("offset"), ctx.ingest.log().end(), "all in the lake");
    Taken { events: (per_device * DEVICES) as f64, durable_s, analysed_s, cpu_s }
}

fn id(device: u64) -> DeviceId {
    format!("00000000-0000-7000-8000-{device:012x}").parse().expect("an id")
}

fn frames(device: u64, count: u64) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for batch in 0..count / BATCH {
        let events: Vec<Event> = (1..=BATCH).map(|n| event(device, batch * BATCH + n)).collect();
        frames.push(hinomi_wire::pack(&events).expect("packs"));
    }
    frames
}

/// A cheap mixing of numbers, the same in every run.
fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

fn event(device: u64, number: u64) -> Event {
    let dice = mix(device << 40 | number);
    let table = match dice % 10 {
        0..4 => Table::DeviceProcessEvents,
        4..8 => Table::DeviceFileEvents,
        _ => Table::DeviceNetworkEvents,
    };
    let (program, parent) = (dice / 10 % PROGRAMS, dice / 10_000 % PROGRAMS);
    let file = if (dice / 7).is_multiple_of(NEW_FILE_EVERY) { dice } else { program };
    let mut event = Event::new(table, Timestamp::from_micros(1_760_000_000_000_000 + number as i64 * 1_000));
    event.set("DeviceId", id(device).to_string()).set("DeviceName", format!("ws-{device:03}"));
    event.set("ReportId", number as i64);
    event
        .set("InitiatingProcessFolderPath", format!("/usr/bin/program-{parent}"))
        .set("InitiatingProcessFileName", format!("program-{parent}"))
        .set("InitiatingProcessSHA256", format!("{:064x}", mix(parent)))
        .set("InitiatingProcessCommandLine", format!("program-{parent} --serve --instance {parent}"))
        .set("InitiatingProcessAccountName", "hanako")
        .set("InitiatingProcessId", (parent + 1_000) as i64);
    match table {
        Table::DeviceProcessEvents => {
            event
                .set("ActionType", "ProcessCreated")
                .set("FolderPath", format!("/usr/bin/program-{program}"))
                .set("FileName", format!("program-{program}"))
                .set("SHA256", format!("{:064x}", mix(file)))
                .set("ProcessCommandLine", format!("program-{program} --check /home/hanako/src/part-{dice}.c"))
                .set("AccountName", "hanako")
                .set("ProcessId", (number % 30_000 + 5_000) as i64);
        }
        Table::DeviceFileEvents => {
            event
                .set("ActionType", "FileModified")
                .set("FolderPath", format!("/home/hanako/.cache/build/{:x}", dice % 50_000))
                .set("FileName", format!("{:x}", dice % 50_000))
                .set("FileSize", (dice % 100_000) as i64);
        }
        _ => {
            event
                .set("ActionType", "ConnectionRequest")
                .set("RemoteIP", format!("198.51.{}.{}", dice / 3 % 4, dice / 5 % 250))
                .set("RemotePort", 443_i64)
                .set("Protocol", "Tcp");
        }
    }
    event
}

/// CPU time of this process so far, seconds.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // utime and stime, proc(5), in ticks of 1/100 s
    [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Most memory this process had, MB.
pub fn peak_mb() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
}

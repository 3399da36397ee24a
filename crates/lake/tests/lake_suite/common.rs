//! Events and short cuts for the tests.

use hinomi_lake::*;
use hinomi_model::*;
use std::path::Path;

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::parse("2026-11-22T10:00:00Z").unwrap().plus_seconds(seconds)
}

pub fn device(number: u64) -> DeviceId {
    format!("00000000-0000-7000-8000-{number:012x}").parse().unwrap()
}

/// A process event of a device; `report_id` tells it from all others.
pub fn process(device_number: u64, report_id: i64, seconds: i64) -> Event {
    let mut event = Event::new(Table::DeviceProcessEvents, at(seconds));
    event
        .set("DeviceId", device(device_number).to_string())
        .set("ActionType", "ProcessCreated")
        .set("FileName", format!("tool-{}", report_id % 7))
        .set("SHA256", format!("{:064x}", report_id))
        .set("ProcessId", report_id + 100)
        .set("ProcessCommandLine", format!("/usr/bin/tool --Number {report_id} 100%_done"))
        .set("ProcessCreationTime", at(seconds - 1))
        .set("ReportId", report_id);
    event
}

/// One event with every column of the table set.
pub fn full(table: Table) -> Event {
    let mut event = Event::new(table, at(7));
    for (index, column) in table.columns().iter().enumerate().skip(1) {
        let number = index as i64;
        let value = match column.kind {
            Kind::String => Value::String(format!("値 {number}\0 of {}", column.name)),
            Kind::Long => Value::Long(if number % 2 == 0 { i64::MIN + number } else { i64::MAX - number }),
            Kind::Datetime => Value::Datetime(Timestamp::from_micros(-number)),
            Kind::Bool => Value::Bool(number % 2 == 0),
        };
        assert!(event.try_set(column.name, value));
    }
    event
}

pub async fn open(root: &Path, files: Vec<LakeFile>) -> Lake {
    Lake::open(root, files).await.unwrap()
}

/// Flushes and publishes, as after a commit of the catalogue.
pub async fn publish(lake: &Lake) -> Vec<LakeFile> {
    let flush = lake.flush().await.unwrap().unwrap();
    let files = flush.files.clone();
    lake.publish(flush);
    files
}

/// Report ids of the process events, oldest first.
pub async fn report_ids(lake: &Lake) -> Vec<i64> {
    let query = LakeQuery { newest_first: false, ..LakeQuery::of(Table::DeviceProcessEvents) };
    let events = lake.query(query).await.unwrap();
    events.iter().map(|event| event.long("ReportId").unwrap()).collect()
}

/// Every Parquet or unfinished file below the folder.
pub fn on_disk(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

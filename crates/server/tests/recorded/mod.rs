//! The recorded events under `scenarios/`, as batches of their sources.

use anyhow::{Context, Result};
use hinomi_model::{Device, Timestamp};
use hinomi_server::demos::{Scenario, read_folder};
use hinomi_server::ingest::{Batch, Source};
use std::path::{Path, PathBuf};

/// Events per batch, as a sensor would send them.
const BATCH_MAX: usize = 7;

/// The folder of all scenarios.
pub fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")
}

/// Reads the batches of a scenario, in the order of its files.
pub fn batches(folder: &Path) -> Result<Vec<Batch>> {
    let scenario = Scenario::read(read_folder(folder)?).with_context(|| folder.display().to_string())?;
    let mut batches = Vec::new();
    for events in scenario.events {
        // a message's rows come in one batch, a sensor's in several
        let size = if events.iter().any(|event| event.device_id().is_none()) { events.len() } else { BATCH_MAX };
        for (n, part) in events.chunks(size.max(1)).enumerate() {
            let source = match part[0].device_id() {
                Some(device_id) => Source::Sensor { device_id, generation: 1, first_report_id: (n * size) as u64 + 1 },
                None => Source::Gateway,
            };
            batches.push(Batch { source, events: part.to_vec() });
        }
    }
    Ok(batches)
}

/// The device a batch comes from, as enrolment would have stored it; none for the gateway.
pub fn device(batch: &Batch, now: Timestamp) -> Option<Device> {
    let Source::Sensor { device_id, .. } = batch.source else { return None };
    Some(Device::new(device_id, batch.events[0].str("DeviceName").unwrap_or_default(), now))
}

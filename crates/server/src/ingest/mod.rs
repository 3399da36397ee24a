//! Ingest: checks what sensors and the gateway hand in, cuts duplicates, makes it durable.

mod log;
mod pipeline;

pub use log::{Log, LogError, Reader};
pub(crate) use pipeline::row;
pub use pipeline::{checkpoint_now, run};

use hinomi_model::{DemoId, DeviceId, Event, Table, Value};
use hinomi_store::{Store, StoreError};
use hinomi_wire::{BATCH_EVENTS_MAX, BatchError};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Who handed events in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// A sensor.
    Sensor {
        /// The device of its certificate.
        device_id: DeviceId,
        /// Generation of its spool.
        generation: u64,
        /// ReportId of the first event of the batch.
        first_report_id: u64,
    },
    /// The mail gateway.
    Gateway,
    /// The journal address.
    Journal,
    /// The server itself.
    Server,
    /// A demo that is played.
    Demo {
        /// Which.
        demo: DemoId,
    },
}

impl Source {
    /// The demo the events belong to; none for everything real.
    pub fn demo(&self) -> Option<DemoId> {
        match self {
            Source::Demo { demo } => Some(*demo),
            _ => None,
        }
    }
}

/// Events of one source, in order.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Who handed them in.
    pub source: Source,
    /// The events.
    pub events: Vec<Event>,
}

/// Events are refused.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The batch cannot be read.
    #[error("read batch")]
    Batch(#[from] BatchError),
    /// A sensor spoke for another device or about mail.
    #[error("event {index}: {what}")]
    Forged {
        /// Position in the batch.
        index: usize,
        /// What is wrong with it.
        what: String,
    },
    /// ReportIds are missing before this batch: acknowledged events never arrive again, so the
    /// sensor must start from `expected`.
    #[error("batch starts at ReportId {first}, expected {expected} or less")]
    Gap {
        /// First ReportId of the batch.
        first: u64,
        /// Next ReportId wanted.
        expected: u64,
    },
    /// The log cannot be written.
    #[error("store events")]
    Log(#[from] LogError),
    /// The store cannot be read.
    #[error("read progress of the sensor")]
    Store(#[from] StoreError),
}

#[derive(Serialize, Deserialize)]
struct Header {
    source: Source,
    count: usize,
}

/// Highest ReportId stored per sensor and spool generation.
pub type Progress = HashMap<(DeviceId, u64), u64>;

/// Progress of one spool; none = not asked the store yet. Its lock lets two connections of one
/// sensor exclude each other while others do not wait.
type Spool = Arc<tokio::sync::Mutex<Option<u64>>>;

/// The way in. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    log: Log,
    store: Store,
    spools: Arc<Mutex<HashMap<(DeviceId, u64), Spool>>>,
    /// The server's own rows that the log held when it was opened, and those since: what was cut
    /// short tells its rows again.
    told: Arc<Mutex<HashSet<RowKey>>>,
}

/// Hash of a row's ReportId: 16 bytes instead of a hundred for each mail ever touched.
type RowKey = [u8; 16];

fn row_key(event: &Event) -> Option<RowKey> {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(event.str("ReportId")?.as_bytes());
    digest[..16].try_into().ok()
}

impl Ingest {
    /// Opens ingest over a log. What the log still holds raises what the store knows of the sensors'
    /// spools.
    ///
    /// # Errors
    /// When log or store cannot be read.
    pub async fn open(log: Log, store: Store) -> Result<Ingest, IngestError> {
        let mut logged = Progress::new();
        let mut told = HashSet::new();
        let mut reader = log.read_from(0);
        while let Some((_, payload)) = reader.try_next()? {
            let Some((Header { source, count }, frame)) = split(&payload) else { continue };
            match source {
                Source::Sensor { device_id, generation, first_report_id } => {
                    let known = logged.entry((device_id, generation)).or_default();
                    *known = (*known).max(first_report_id + count as u64 - 1);
                }
                Source::Server => {
                    let events = hinomi_wire::unpack(frame, count)?;
                    told.extend(events.iter().filter_map(row_key));
                }
                Source::Gateway | Source::Journal | Source::Demo { .. } => {}
            }
        }
        let ingest = Ingest { log, store, spools: Arc::default(), told: Arc::new(Mutex::new(told)) };
        for ((device, generation), through) in logged {
            let spool = ingest.spool(device, generation);
            let mut known = spool.lock().await;
            *known = Some(through.max(ingest.store.sensor_progress(device, generation).await?));
        }
        Ok(ingest)
    }

    /// The log underneath.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The store beside the log.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn spool(&self, device: DeviceId, generation: u64) -> Spool {
        let mut spools = self.spools.lock().unwrap_or_else(PoisonError::into_inner);
        spools.entry((device, generation)).or_default().clone()
    }

    async fn known(&self, spool: &mut Option<u64>, device: DeviceId, generation: u64) -> Result<u64, StoreError> {
        if let Some(through) = spool {
            return Ok(*through);
        }
        let through = self.store.sensor_progress(device, generation).await?;
        *spool = Some(through);
        Ok(through)
    }

    /// Highest ReportId stored of a sensor's spool generation, 0 when none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn stored(&self, device: DeviceId, generation: u64) -> Result<u64, IngestError> {
        let spool = self.spool(device, generation);
        let mut through = spool.lock().await;
        Ok(self.known(&mut through, device, generation).await?)
    }

    /// Everything known of the sensors' spools.
    pub async fn progress(&self) -> Progress {
        let spools = self.spools.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut progress = Progress::new();
        for (key, through) in spools {
            if let Some(through) = *through.lock().await {
                progress.insert(key, through);
            }
        }
        progress
    }

    /// Stores a sensor's batch and returns the highest ReportId now on disk. What was stored
    /// before is cut; a batch that is wholly old is only acknowledged again.
    ///
    /// # Errors
    /// [`IngestError`] for batches that are damaged, forged or leave a gap.
    pub async fn append_sensor(
        &self,
        device: DeviceId,
        generation: u64,
        first: u64,
        count: usize,
        frame: &[u8],
    ) -> Result<u64, IngestError> {
        let mut events = hinomi_wire::unpack(frame, count)?;
        for (index, event) in events.iter().enumerate() {
            check_sensor_event(event, device, first + index as u64)
                .map_err(|what| IngestError::Forged { index, what })?;
        }
        let spool = self.spool(device, generation);
        // held across the append: two connections of one sensor must not both pass the check
        let mut through = spool.lock().await;
        let stored = self.known(&mut through, device, generation).await?;
        if first == 0 || first > stored + 1 {
            return Err(IngestError::Gap { first, expected: stored + 1 });
        }
        let old = (stored + 1 - first).min(events.len() as u64) as usize;
        events.drain(..old);
        if events.is_empty() {
            return Ok(stored);
        }
        let source = Source::Sensor { device_id: device, generation, first_report_id: first + old as u64 };
        let count = events.len();
        let payload = if old == 0 { framed(&source, count, frame) } else { record(&source, &events)? };
        self.log.append(payload).await?;
        let now_stored = stored + count as u64;
        *through = Some(now_stored);
        Ok(now_stored)
    }

    /// Stores events of the gateway or the server and returns the offset of the last record.
    ///
    /// # Errors
    /// [`IngestError::Log`] when they cannot be stored.
    pub async fn append(&self, source: Source, events: Vec<Event>) -> Result<u64, IngestError> {
        let mut offset = self.log.end();
        for part in events.chunks(BATCH_EVENTS_MAX) {
            offset = self.log.append(record(&source, part)?).await?;
        }
        Ok(offset)
    }

    /// Stores rows the server makes of its own work, each of which has a ReportId of its own. Rows
    /// stored before the work was cut short are left out.
    ///
    /// # Errors
    /// [`IngestError::Log`] when they cannot be stored.
    pub async fn append_once(&self, mut events: Vec<Event>) -> Result<(), IngestError> {
        let told = || self.told.lock().unwrap_or_else(PoisonError::into_inner);
        events.retain(|event| row_key(event).is_none_or(|key| !told().contains(&key)));
        let keys: Vec<RowKey> = events.iter().filter_map(row_key).collect();
        self.append(Source::Server, events).await?;
        told().extend(keys);
        Ok(())
    }
}

fn check_sensor_event(event: &Event, device: DeviceId, report_id: u64) -> Result<(), String> {
    if !event.table.name().starts_with("Device") {
        return Err(format!("a sensor cannot report {}", event.table.name()));
    }
    if event.device_id() != Some(device) {
        return Err(format!("DeviceId {:?} is not the sensor's own", event.str("DeviceId").unwrap_or_default()));
    }
    if event.get("ReportId") != Some(&Value::Long(report_id as i64)) {
        return Err(format!("ReportId is not {report_id}"));
    }
    if event.table == Table::DeviceInfo {
        return Err("DeviceInfo comes from the server".to_owned());
    }
    Ok(())
}

/// A record: one line of JSON header, then the zstd frame of the events.
fn record(source: &Source, events: &[Event]) -> Result<Vec<u8>, IngestError> {
    Ok(framed(source, events.len(), &hinomi_wire::pack(events)?))
}

/// A record of a frame that was read and checked.
fn framed(source: &Source, count: usize, frame: &[u8]) -> Vec<u8> {
    let header = Header { source: source.clone(), count };
    let mut payload = serde_json::to_vec(&header).expect("ids and numbers always serialise");
    payload.push(b'\n');
    payload.extend_from_slice(frame);
    payload
}

fn split(payload: &[u8]) -> Option<(Header, &[u8])> {
    let end = payload.iter().position(|byte| *byte == b'\n')?;
    Some((serde_json::from_slice(&payload[..end]).ok()?, &payload[end + 1..]))
}

/// Reads a record back.
fn decode(payload: &[u8]) -> Option<Batch> {
    let (header, frame) = split(payload)?;
    Some(Batch { source: header.source, events: hinomi_wire::unpack(frame, header.count).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hinomi_model::Timestamp;

    fn events(device: DeviceId, first: u64, count: u64) -> Vec<Event> {
        (first..first + count)
            .map(|id| {
                let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(id as i64));
                event.set("DeviceId", device.to_string()).set("ReportId", id as i64);
                event
            })
            .collect()
    }

    async fn open(dir: &std::path::Path) -> Ingest {
        let store = Store::open_sqlite(&dir.join("store.db")).await.expect("store");
        Ingest::open(Log::open(&dir.join("log"), 0).expect("log"), store).await.expect("opens")
    }

    async fn send(ingest: &Ingest, device: DeviceId, first: u64, events: &[Event]) -> Result<u64, IngestError> {
        let frame = hinomi_wire::pack(events).expect("packs");
        ingest.append_sensor(device, 1, first, events.len(), &frame).await
    }

    #[tokio::test]
    async fn replayed_overlapping_and_forged_batches() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (one, two): (DeviceId, DeviceId) = (crate::ids::new(), crate::ids::new());
        let ingest = open(dir.path()).await;
        assert_eq!(send(&ingest, one, 1, &events(one, 1, 10)).await.expect("stored"), 10);
        assert_eq!(send(&ingest, one, 1, &events(one, 1, 10)).await.expect("replayed"), 10);
        assert_eq!(send(&ingest, one, 6, &events(one, 6, 10)).await.expect("overlaps"), 15);
        assert!(matches!(
            send(&ingest, one, 20, &events(one, 20, 1)).await,
            Err(IngestError::Gap { expected: 16, .. })
        ));
        assert!(matches!(send(&ingest, two, 1, &events(one, 1, 1)).await, Err(IngestError::Forged { .. })));
        assert!(matches!(send(&ingest, one, 16, &events(one, 17, 1)).await, Err(IngestError::Forged { .. })));
        let mut mail = Event::new(Table::EmailEvents, Timestamp::default());
        mail.set("NetworkMessageId", "x");
        assert!(matches!(send(&ingest, one, 16, &[mail]).await, Err(IngestError::Forged { .. })));

        let mut reader = ingest.log().read_from(0);
        let mut ids = Vec::new();
        while let Some((_, payload)) = reader.try_next().expect("reads") {
            ids.extend(decode(&payload).expect("decodes").events.iter().filter_map(|event| event.long("ReportId")));
        }
        assert_eq!(ids, (1..=15).collect::<Vec<_>>(), "each event once");

        let again = open(dir.path()).await;
        assert_eq!(again.stored(one, 1).await.expect("known"), 15, "known again from the log alone");
    }
}

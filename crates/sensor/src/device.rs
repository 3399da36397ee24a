//! This device as the sensor holds it: who it is, what can be done on it, how it is.

use crate::channel::ServerAddress;
use crate::collect::{Collector, DeviceIdentity, ProcessTable};
use crate::commands::Refusals;
use crate::notify::Notifier;
use crate::prevent::Prevention;
use crate::respond::isolate::Isolation;
use crate::respond::quarantine::Quarantine;
use crate::rules::Rules;
use crate::scope::Scope;
use crate::spool::Spool;
use crate::system;
use hinomi_model::SensorStatus;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Everything commands and rules act upon.
pub struct Device {
    /// Who it is.
    pub identity: DeviceIdentity,
    /// Where the sensor acts.
    pub scope: Scope,
    /// Where the server is.
    pub address: ServerAddress,
    /// Quarantined files.
    pub quarantine: Quarantine,
    /// The network.
    pub isolation: Isolation,
    /// Blocked files.
    pub prevention: Prevention,
    /// Rules in force.
    pub rules: Rules,
    /// Users.
    pub notifier: Notifier,
    /// Events on disk.
    pub spool: Spool,
    /// What watches; none when it could not start (the reason is then in `collect_error`).
    pub collector: Option<Collector>,
    /// The collector's process tree.
    pub process_table: Option<Arc<ProcessTable>>,
    /// Why nothing is watched.
    pub collect_error: Option<String>,
    /// Refused commands.
    pub refusals: Refusals,
    /// Events dropped before they reached the spool, by reason.
    pub drops: Drops,
    /// Grows with every change the server should know at once.
    pub changes: watch::Sender<u64>,
}

/// Counts lost events by reason.
#[derive(Debug, Default)]
pub struct Drops {
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Drops {
    /// Counts `events` lost for `reason`.
    pub fn add(&self, reason: &str, events: u64) {
        *self.counts.lock().expect("never poisoned").entry(reason.to_owned()).or_default() += events;
    }

    fn snapshot(&self) -> BTreeMap<String, u64> {
        self.counts.lock().expect("never poisoned").clone()
    }
}

impl Device {
    /// Returns the process tree as the collector knows it.
    pub fn processes(&self) -> Option<&ProcessTable> {
        self.process_table.as_deref()
    }

    /// Lets the link send the status at once.
    pub fn status_changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Returns the sensor's state.
    pub fn status(&self) -> SensorStatus {
        let stats = self.spool.stats();
        SensorStatus {
            capabilities: self.capabilities(),
            drops: self.all_drops(),
            spooled_events: stats.events,
            spool_bytes: stats.bytes,
            block_list_version: self.prevention.list().version(),
            rules_version: self.rules.get().version,
            isolated: self.isolation.is_active(),
            logged_on_users: self.notifier.users(),
            ..system::status()
        }
    }

    fn capabilities(&self) -> BTreeMap<String, String> {
        let mut capabilities = match (&self.collector, &self.collect_error) {
            (Some(collector), _) => collector.capabilities(),
            (None, Some(error)) => {
                ["exec", "file", "network", "dns"].map(|name| (name.to_owned(), error.clone())).into()
            }
            (None, None) => BTreeMap::new(),
        };
        capabilities.insert("prevent".to_owned(), self.prevention.capability());
        capabilities.insert("isolate".to_owned(), self.isolation.capability());
        capabilities.insert("notify".to_owned(), self.notifier.capability());
        capabilities.insert("commands".to_owned(), self.refusals.capability());
        capabilities
    }

    fn all_drops(&self) -> BTreeMap<String, u64> {
        let mut drops = self.collector.as_ref().map(Collector::drops).unwrap_or_default();
        drops.extend(self.drops.snapshot());
        drops.insert("spool_damaged".to_owned(), self.spool.damaged());
        for (reason, count) in self.prevention.gaps() {
            drops.insert(reason.to_owned(), count);
        }
        drops.retain(|_, count| *count > 0);
        drops
    }
}

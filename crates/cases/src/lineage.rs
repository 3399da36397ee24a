//! Who started whom: a bounded memory of processes, fed by events.

use crate::places::is_boundary;
use hinomi_model::{DeviceId, Event, ProcessKey, Table, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};

/// Ancestors followed at most. Real chains are below 20; hostile ones may loop.
pub const ANCESTORS_MAX: usize = 32;

/// Text kept of a command line in memory, bytes.
const COMMAND_LINE_BYTES_MAX: usize = 512;

/// What is known of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// The process.
    pub key: ProcessKey,
    /// Its parent.
    pub parent: Option<ProcessKey>,
    /// File name of its image.
    pub file_name: String,
    /// Full path of its image.
    pub path: String,
    /// Command line (cut).
    pub command_line: String,
    /// SHA-256 of its image.
    pub sha256: String,
    /// SHA-256 of the script it was started with.
    #[serde(default)]
    pub script_sha256: String,
    /// Account it runs as.
    pub account: String,
    /// How much is known: 0 named by a grandchild only, 1 by a child, 2 its own exec was seen.
    rank: u8,
}

/// Remembers the processes of all devices, oldest forgotten first.
#[derive(Debug)]
pub struct ProcessIndex {
    known: HashMap<ProcessKey, ProcessFacts>,
    order: VecDeque<ProcessKey>,
    len_max: usize,
}

impl ProcessIndex {
    /// Builds a memory of at most `len_max` processes.
    pub fn new(len_max: usize) -> Self {
        ProcessIndex { known: HashMap::new(), order: VecDeque::new(), len_max: len_max.max(1) }
    }

    /// Learns the processes an event names: its own, its initiating one, and that one's parent.
    pub fn learn(&mut self, event: &Event) {
        let initiating = event.initiating_process();
        if event.table == Table::DeviceProcessEvents
            && matches!(event.str("ActionType"), Some("ProcessCreated" | "ProcessForked"))
            && let Some(key) = event.process()
        {
            let forked = event.str("ActionType") == Some("ProcessForked");
            self.put(ProcessFacts {
                key,
                parent: initiating.filter(|parent| *parent != key),
                file_name: text(event, "FileName"),
                path: text(event, "FolderPath"),
                command_line: cut(text(event, "ProcessCommandLine")),
                sha256: text(event, "SHA256"),
                script_sha256: script(event),
                account: text(event, "AccountName"),
                rank: if forked { 1 } else { 2 },
            });
        }
        let Some(key) = initiating else { return };
        let parent = grandparent(event).filter(|parent| *parent != key);
        self.put(ProcessFacts {
            key,
            parent,
            file_name: text(event, "InitiatingProcessFileName"),
            path: text(event, "InitiatingProcessFolderPath"),
            command_line: cut(text(event, "InitiatingProcessCommandLine")),
            sha256: text(event, "InitiatingProcessSHA256"),
            script_sha256: String::new(),
            account: text(event, "InitiatingProcessAccountName"),
            rank: 1,
        });
        if let Some(parent) = parent {
            self.put(ProcessFacts {
                key: parent,
                parent: None,
                file_name: text(event, "InitiatingProcessParentFileName"),
                path: String::new(),
                command_line: String::new(),
                sha256: String::new(),
                script_sha256: String::new(),
                account: String::new(),
                rank: 0,
            });
        }
    }

    /// Returns what is known of a process.
    pub fn get(&self, key: &ProcessKey) -> Option<&ProcessFacts> {
        self.known.get(key)
    }

    /// Returns the process and its ancestors, nearest first, as far as known; ends at cycles, at a
    /// parent that started after its child, and after [`ANCESTORS_MAX`].
    pub fn lineage(&self, key: &ProcessKey) -> Vec<ProcessFacts> {
        let mut chain: Vec<ProcessFacts> = Vec::new();
        let mut next = Some(*key);
        while let Some(facts) = next.and_then(|key| self.known.get(&key)) {
            let younger_parent = chain.last().is_some_and(|child| facts.key.started_at > child.key.started_at);
            if chain.len() == ANCESTORS_MAX || younger_parent || chain.iter().any(|seen| seen.key == facts.key) {
                break;
            }
            chain.push(facts.clone());
            next = facts.parent;
        }
        chain
    }

    /// Number of processes remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// True when nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Forgets the processes of some devices.
    pub fn forget(&mut self, of: impl Fn(DeviceId) -> bool) {
        self.known.retain(|key, _| !of(key.device_id));
        self.order.retain(|key| !of(key.device_id));
    }

    fn put(&mut self, facts: ProcessFacts) {
        if let Some(known) = self.known.get_mut(&facts.key) {
            // an exec replaces what was known; less is kept only where nothing was known
            if facts.rank >= known.rank && !(facts.rank == known.rank && facts.rank < 2) {
                let parent = facts.parent.or(known.parent);
                *known = ProcessFacts { parent, ..facts };
            } else if known.parent.is_none() {
                known.parent = facts.parent;
            }
            return;
        }
        while self.known.len() >= self.len_max {
            match self.order.pop_front() {
                Some(oldest) => self.known.remove(&oldest),
                None => break,
            };
        }
        self.order.push_back(facts.key);
        self.known.insert(facts.key, facts);
    }
}

/// Returns how much of a lineage belongs to the attack: the process and its ancestors up to, not
/// including, the first boundary program (mail client, browser, service manager, terminal).
/// Returns the number of leading entries of `lineage`, at least 1 when it is not empty.
pub fn attack_root(lineage: &[ProcessFacts]) -> usize {
    let below = lineage.iter().skip(1).take_while(|facts| !is_boundary(&facts.file_name) && facts.key.pid != 1).count();
    below + usize::from(!lineage.is_empty())
}

fn grandparent(event: &Event) -> Option<ProcessKey> {
    Some(ProcessKey {
        device_id: event.device_id()?,
        pid: event.long("InitiatingProcessParentId").filter(|pid| *pid > 0)?,
        started_at: event
            .datetime("InitiatingProcessParentCreationTime")
            .filter(|at| *at > Timestamp::from_micros(0))?,
    })
}

/// The script a process was started with. Reading JSON per event is dear: only when one is named.
fn script(event: &Event) -> String {
    let named = event.str("AdditionalFields").is_some_and(|text| text.contains("ScriptSHA256"));
    let hash = named.then(|| event.additional("ScriptSHA256")).flatten();
    hash.and_then(|hash| hash.as_str().map(str::to_owned)).unwrap_or_default()
}

fn text(event: &Event, column: &str) -> String {
    event.str(column).unwrap_or_default().to_owned()
}

fn cut(mut text: String) -> String {
    if text.len() > COMMAND_LINE_BYTES_MAX {
        let mut end = COMMAND_LINE_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: &str = "00000000-0000-0000-0000-000000000001";

    fn exec(pid: i64, start: i64, name: &str, parent: (i64, i64, &str), grand: (i64, i64, &str)) -> Event {
        let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(start));
        event.set("DeviceId", DEVICE).set("ActionType", "ProcessCreated").set("FileName", name);
        event.set("ProcessId", pid).set("ProcessCreationTime", Timestamp::from_micros(start));
        event.set("InitiatingProcessId", parent.0).set("InitiatingProcessFileName", parent.2);
        event.set("InitiatingProcessCreationTime", Timestamp::from_micros(parent.1));
        event.set("InitiatingProcessParentId", grand.0).set("InitiatingProcessParentFileName", grand.2);
        event.set("InitiatingProcessParentCreationTime", Timestamp::from_micros(grand.1));
        event
    }

    #[test]
    fn the_attack_begins_below_the_mail_client() {
        let mut index = ProcessIndex::new(100);
        index.learn(&exec(20, 200, "sh", (10, 100, "thunderbird"), (5, 50, "gnome-shell")));
        index.learn(&exec(30, 300, "curl", (20, 200, "sh"), (10, 100, "thunderbird")));
        let curl = ProcessKey { pid: 30, ..index.lineage(&key(30, 300))[0].key };
        let chain = index.lineage(&curl);
        assert_eq!(
            chain.iter().map(|f| f.file_name.as_str()).collect::<Vec<_>>(),
            ["curl", "sh", "thunderbird", "gnome-shell"]
        );
        assert_eq!(chain[attack_root(&chain) - 1].file_name, "sh");
    }

    #[test]
    fn cycles_end_and_memory_is_bounded() {
        let mut index = ProcessIndex::new(50);
        index.learn(&exec(1001, 500, "a", (1002, 500, "b"), (1001, 500, "a")));
        index.learn(&exec(1002, 500, "b", (1001, 500, "a"), (1002, 500, "b")));
        assert_eq!(index.lineage(&key(1001, 500)).len(), 2);
        for pid in 2000..3000 {
            index.learn(&exec(pid, pid, "x", (1, 1, "systemd"), (0, 0, "")));
        }
        assert!(index.len() <= 50);
        assert_eq!(attack_root(&[]), 0);
    }

    fn key(pid: i64, start: i64) -> ProcessKey {
        ProcessKey { device_id: DEVICE.parse().expect("uuid"), pid, started_at: Timestamp::from_micros(start) }
    }
}

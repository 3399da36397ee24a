//! What was ordered and what came of it, on disk: a command is never carried out twice, and its
//! result is told until the server has it.

use crate::files;
use hinomi_model::CommandId;
use hinomi_wire::CommandResult;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;

/// Results kept. The server has at most a handful of open commands per device.
const RESULTS_MAX: usize = 256;
const FILE: &str = "commands.json";

/// The ledger; cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    path: PathBuf,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Highest sequence begun.
    sequence: u64,
    entries: VecDeque<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    command_id: CommandId,
    /// None = begun, and the sensor ended before the result was known.
    result: Option<CommandResult>,
    /// The server has it.
    settled: bool,
    /// Grows each time the server asks again.
    #[serde(skip)]
    asked: u32,
}

/// What the ledger knows of a command.
#[derive(Debug, PartialEq)]
pub enum Known {
    /// Nothing.
    New,
    /// Begun, without a result.
    Begun,
    /// Done; its result will be sent again.
    Done,
}

/// A result that has to be sent.
#[derive(Debug, Clone)]
pub struct Unsettled {
    /// The command.
    pub command_id: CommandId,
    /// How often the server asked again; a higher number means: send again.
    pub asked: u32,
    /// What came of it.
    pub result: CommandResult,
}

impl Ledger {
    /// Reads the ledger of a data folder.
    ///
    /// # Errors
    /// When it is damaged: without it a command could be carried out twice, so the sensor must not
    /// start.
    pub fn open(data: &Path) -> io::Result<Ledger> {
        let path = data.join(FILE);
        let state = files::read_json(&path)?.unwrap_or_default();
        Ok(Ledger { path, state: Arc::new(Mutex::new(state)), changed: Arc::default() })
    }

    /// Returns the highest sequence begun.
    pub fn sequence(&self) -> u64 {
        self.state().sequence
    }

    /// Looks a command up; a finished one is marked to be told again.
    pub fn look_up(&self, id: CommandId) -> Known {
        let mut state = self.state();
        let Some(entry) = state.entries.iter_mut().find(|entry| entry.command_id == id) else { return Known::New };
        if entry.result.is_none() {
            return Known::Begun;
        }
        entry.settled = false;
        entry.asked += 1;
        drop(state);
        self.changed.notify_one();
        Known::Done
    }

    /// Notes, durably, that a command begins.
    ///
    /// # Errors
    /// When the note cannot be written; the command must not be carried out then.
    pub fn begin(&self, id: CommandId, sequence: u64) -> io::Result<()> {
        let mut state = self.state();
        let mut next = state.clone();
        next.sequence = next.sequence.max(sequence);
        if !next.entries.iter().any(|entry| entry.command_id == id) {
            next.entries.push_back(Entry { command_id: id, result: None, settled: false, asked: 0 });
            while next.entries.len() > RESULTS_MAX {
                next.entries.pop_front();
            }
        }
        files::write_json(&self.path, &next)?;
        *state = next;
        Ok(())
    }

    /// Notes, durably, what came of a command, and that it has to be told.
    ///
    /// # Errors
    /// When the note cannot be written; the result is told all the same.
    pub fn finish(&self, id: CommandId, result: CommandResult) -> io::Result<()> {
        let mut state = self.state();
        match state.entries.iter_mut().find(|entry| entry.command_id == id) {
            Some(entry) => entry.result = Some(result),
            None => {
                let entry = Entry { command_id: id, result: Some(result), settled: false, asked: 0 };
                state.entries.push_back(entry);
                while state.entries.len() > RESULTS_MAX {
                    state.entries.pop_front();
                }
            }
        }
        self.changed.notify_one();
        files::write_json(&self.path, &*state)
    }

    /// Returns the results the server may not have.
    pub fn unsettled(&self) -> Vec<Unsettled> {
        let state = self.state();
        let open = state.entries.iter().filter(|entry| !entry.settled);
        open.filter_map(|entry| {
            let result = entry.result.clone()?;
            Some(Unsettled { command_id: entry.command_id, asked: entry.asked, result })
        })
        .collect()
    }

    /// Notes that the server has a result. Forgetting this only costs sending it once more.
    pub fn settle(&self, id: CommandId) {
        let mut state = self.state();
        let Some(entry) = state.entries.iter_mut().find(|entry| entry.command_id == id) else { return };
        entry.settled = true;
        if let Err(error) = files::write_json(&self.path, &*state) {
            tracing::warn!(%error, "cannot write the command ledger");
        }
    }

    /// Waits until a result has to be sent.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while holding the ledger")
    }
}

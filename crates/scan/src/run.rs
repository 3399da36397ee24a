//! Runs rules over logs: one thread reads, the others find, results come in the order of the logs.

use crate::complete::Completer;
use crate::detection::Detection;
use crate::input::{self, LogFile, Sink};
use crate::limits::PROBLEMS_MAX;
use crate::read::{self, Block};
use crate::record::Record;
use serde::Serialize;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Decides which rules an event meets. Shared by all threads; each has a state of its own.
pub trait Judge: Sync {
    /// What one thread keeps between events.
    type State;
    /// Makes the state of one thread.
    fn state(&self) -> Self::State;
    /// Calls `hit` for every rule that fires on the event.
    fn judge(&self, state: &mut Self::State, record: &Record, source: &Arc<str>, hit: &mut dyn FnMut(Detection));
}

/// How far a run is. Shared with whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes read of the files.
    pub bytes: AtomicU64,
    /// Events read.
    pub events: AtomicU64,
    /// Detections made.
    pub detections: AtomicU64,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The log.
    pub source: String,
    /// The place in it (`line 7`, `chunk 2`); may be empty.
    pub place: String,
    /// Why.
    pub why: String,
}

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Events read.
    pub events: u64,
    /// Detections made.
    pub detections: u64,
    /// Logs read, those in archives counted one by one.
    pub logs: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Things that could not be read.
    pub damaged: u64,
    /// The first of them, with their text.
    #[serde(skip)]
    pub problems: Vec<Problem>,
}

/// How a run is made.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Threads that find; at least one.
    pub threads: usize,
}

/// Reads the files and hands each detection to `sink`, in the order of the logs. `sink` returns false
/// to end the run.
///
/// Memory does not grow with the input: at most eight blocks per thread are on their way.
pub fn run<J: Judge>(
    files: &[LogFile],
    judge: &J,
    options: Options,
    progress: &Progress,
    sink: &mut dyn FnMut(Detection) -> bool,
) -> Summary {
    let threads = options.threads.max(1);
    let on_the_way = threads * 8;
    let stop = AtomicBool::new(false);
    let logs = AtomicU64::new(0);
    let problems = Mutex::new(Problems::default());
    let (block_sender, block_receiver) = sync_channel::<Work>(on_the_way);
    let (done_sender, done_receiver) = sync_channel::<Done>(on_the_way);
    let (ticket_sender, ticket_receiver) = sync_channel::<()>(on_the_way);
    for _ in 0..on_the_way {
        let _ = ticket_sender.try_send(());
    }
    let block_receiver = Mutex::new(block_receiver);
    let mut detections = 0;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (blocks, done) = (&block_receiver, done_sender.clone());
            let problems = &problems;
            scope.spawn(move || work(blocks, &done, judge, progress, problems));
        }
        drop(done_sender);
        let (stop, logs, problems) = (&stop, &logs, &problems);
        scope.spawn(move || {
            let mut reader = Reader { blocks: block_sender, tickets: ticket_receiver, number: 0, stop, logs, problems };
            for file in files {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                input::read(file, &progress.bytes, &mut reader);
            }
        });
        let mut waiting: BTreeMap<u64, Vec<Detection>> = BTreeMap::new();
        let mut next = 0;
        for done in done_receiver {
            waiting.insert(done.number, done.detections);
            while let Some(found) = waiting.remove(&next) {
                next += 1;
                let _ = ticket_sender.try_send(());
                for detection in found {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    detections += 1;
                    if !sink(detection) {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
    });
    let problems = problems.into_inner().unwrap_or_else(PoisonError::into_inner);
    Summary {
        events: progress.events.load(Ordering::Relaxed),
        detections,
        logs: logs.load(Ordering::Relaxed),
        bytes: files.iter().map(|file| file.size_bytes).sum(),
        damaged: problems.count,
        problems: problems.first,
    }
}

#[derive(Default)]
struct Problems {
    count: u64,
    first: Vec<Problem>,
}

impl Problems {
    fn add(&mut self, source: &str, place: String, why: String) {
        self.count += 1;
        if self.first.len() < PROBLEMS_MAX {
            self.first.push(Problem { source: source.to_owned(), place, why });
        }
    }
}

struct Work {
    number: u64,
    source: Arc<str>,
    block: Block,
}

struct Done {
    number: u64,
    detections: Vec<Detection>,
}

struct Reader<'r> {
    blocks: SyncSender<Work>,
    tickets: Receiver<()>,
    number: u64,
    stop: &'r AtomicBool,
    logs: &'r AtomicU64,
    problems: &'r Mutex<Problems>,
}

impl Sink for Reader<'_> {
    fn block(&mut self, source: &Arc<str>, block: Block) -> bool {
        if self.stop.load(Ordering::Relaxed) || self.tickets.recv().is_err() {
            return false;
        }
        let sent = self.blocks.send(Work { number: self.number, source: Arc::clone(source), block });
        self.number += 1;
        sent.is_ok()
    }

    fn bad(&mut self, source: &str, place: String, why: String) {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).add(source, place, why);
    }

    fn log(&mut self) {
        self.logs.fetch_add(1, Ordering::Relaxed);
    }
}

fn work<J: Judge>(
    blocks: &Mutex<Receiver<Work>>,
    done: &SyncSender<Done>,
    judge: &J,
    progress: &Progress,
    problems: &Mutex<Problems>,
) {
    let mut completer = Completer::default();
    let mut state = judge.state();
    loop {
        let next = blocks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Work { number, source, block }) = next else { return };
        let bad = |place: String, why: String| {
            problems.lock().unwrap_or_else(PoisonError::into_inner).add(&source, place, why);
        };
        let mut found = Vec::new();
        let mut events = 0;
        // a reader that fails on a damaged block must not end the run
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let event = |record: Record| {
                events += 1;
                judge.judge(&mut state, &record, &source, &mut |detection| found.push(detection));
            };
            read::block(block, &mut completer, event, bad);
        }));
        if outcome.is_err() {
            bad(format!("block {number}"), "the reader failed on it; the rest of the block is left out".to_owned());
            (completer, state) = (Completer::default(), judge.state());
        }
        progress.events.fetch_add(events, Ordering::Relaxed);
        progress.detections.fetch_add(found.len() as u64, Ordering::Relaxed);
        if done.send(Done { number, detections: found }).is_err() {
            return;
        }
    }
}

/// Lists the files of paths; what cannot be listed is told with the other problems of the run.
///
/// # Errors
/// When a path that was named cannot be read.
pub fn list(paths: &[std::path::PathBuf]) -> std::io::Result<(Vec<LogFile>, Vec<Problem>)> {
    let mut problems = Vec::new();
    let mut bad = |path: &Path, why: String| {
        problems.push(Problem { source: path.display().to_string(), place: String::new(), why });
    };
    let files = input::files(paths, &mut bad)?;
    Ok((files, problems))
}

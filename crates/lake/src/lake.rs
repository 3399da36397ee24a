//! The lake: files that count, the hot tail, and the steps between them.

use crate::compact::{self, Compaction};
use crate::engine::Engine;
use crate::error::{LakeError, Result};
use crate::files::{Held, LakeFile, remove_orphans};
use crate::query::{self, Answer, LakeQuery, Sources};
use crate::schema::sort_columns;
use crate::tail::{self, Tail};
use hinomi_model::{Event, Table, Timestamp};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Events, past and just now. Cheap to clone.
#[derive(Clone)]
pub struct Lake {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    engine: Engine,
    state: RwLock<State>,
    /// One writer of files at a time.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Arc<Held>>,
    tail: Tail,
    /// Files that cannot be read, with the reason: left out until they are replaced.
    damaged: HashMap<String, String>,
}

/// Files written from the tail, not yet counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flush {
    /// The new files; none when only empty batches came.
    pub files: Vec<LakeFile>,
    /// Position of the ingest log after everything in them.
    pub through: u64,
}

impl Lake {
    /// Opens the lake in folder `root` with the files the catalogue names, and deletes files of ours
    /// the catalogue does not know.
    pub async fn open(root: &Path, files: Vec<LakeFile>) -> Result<Lake> {
        std::fs::create_dir_all(root).map_err(|error| LakeError::file(root, error))?;
        let known: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let orphans = remove_orphans(root, &known)?;
        if orphans > 0 {
            tracing::info!(files = orphans, "deleted {orphans} lake files the catalogue does not know");
        }
        let engine = Engine::new(root)?;
        let files = files.into_iter().map(|file| (file.path.clone(), Arc::new(Held::new(root, file))));
        let state = State { files: files.collect(), ..State::default() };
        let writing = tokio::sync::Mutex::new(());
        Ok(Lake { inner: Arc::new(Inner { root: root.to_owned(), engine, state: RwLock::new(state), writing }) })
    }

    /// Puts events into the tail, where queries see them at once. `through` is the position of the
    /// ingest log after them; it grows from call to call.
    pub fn append(&self, through: u64, events: Vec<Event>) {
        self.write().tail.append(through, &events);
    }

    /// Returns the number of events in the tail.
    pub fn tail_rows(&self) -> usize {
        self.read().tail.rows()
    }

    /// Returns the files that count.
    pub fn files(&self) -> Vec<LakeFile> {
        self.read().files.values().map(|held| held.file.clone()).collect()
    }

    /// Returns the files that could not be read and why.
    pub fn damaged(&self) -> Vec<(String, String)> {
        let mut damaged: Vec<_> = self.read().damaged.clone().into_iter().collect();
        damaged.sort();
        damaged
    }

    /// Writes the tail into durable files that do not count yet; `None` when nothing came since.
    pub async fn flush(&self) -> Result<Option<Flush>> {
        let _writing = self.inner.writing.lock().await;
        let Some((parts, through)) = self.write().tail.snapshot() else { return Ok(None) };
        let root = self.inner.root.clone();
        let write = tokio::task::spawn_blocking(move || tail::write(&root, &parts));
        let files = write.await.map_err(|error| LakeError::Task(error.to_string()))??;
        Ok(Some(Flush { files, through }))
    }

    /// Lets the files of a flush count and drops that part of the tail, in one step for queries. Call
    /// it once the catalogue has them.
    pub fn publish(&self, flush: Flush) {
        let mut state = self.write();
        state.tail.forget(flush.through);
        self.count(&mut state, flush.files);
    }

    /// Merges small files of one table and day into a file that does not count yet; `None` when there
    /// is nothing worth it. Call again until then.
    pub async fn compact(&self) -> Result<Option<Compaction>> {
        let _writing = self.inner.writing.lock().await;
        loop {
            let files: Vec<Arc<Held>> = {
                let state = self.read();
                let sound = state.files.values().filter(|held| !state.damaged.contains_key(&held.file.path));
                sound.cloned().collect()
            };
            let Some(group) = compact::plan(&files) else { return Ok(None) };
            if self.set_aside(&group) > 0 {
                continue;
            }
            match compact::merge(&self.inner.engine, &self.inner.root, &group).await {
                Ok(compaction) => return Ok(Some(compaction)),
                // a damaged file is set aside and the others are planned again
                Err(error) => {
                    if self.probe(&group).await == 0 {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Writes files anew without the events whose id (`DeviceId`, `NetworkMessageId` or `AlertId`) is a
    /// text at or after `range.0` and before `range.1`; `None` when no file has such events. Only files
    /// with events of the time span are looked at, the tail is not: flush first. Files that cannot be
    /// read are left as they are.
    pub async fn without(
        &self,
        range: &(String, String),
        first: Timestamp,
        last: Timestamp,
    ) -> Result<Option<Compaction>> {
        let _writing = self.inner.writing.lock().await;
        let files: Vec<Arc<Held>> = {
            let state = self.read();
            let sound = state.files.values().filter(|held| !state.damaged.contains_key(&held.file.path));
            sound.filter(|held| held.file.first <= last && held.file.last >= first).cloned().collect()
        };
        let mut whole = Compaction { removed: Vec::new(), added: Vec::new() };
        for held in files {
            let (column, _) = sort_columns(held.file.table);
            if !column.ends_with("Id") || self.set_aside(std::slice::from_ref(&held)) > 0 {
                continue;
            }
            let rewritten = compact::without(&self.inner.engine, &self.inner.root, &held, column, range).await;
            match rewritten {
                Ok(None) => {}
                Ok(Some(part)) => {
                    whole.removed.extend(part.removed);
                    whole.added.extend(part.added);
                }
                Err(error) => {
                    if self.probe(std::slice::from_ref(&held)).await == 0 {
                        return Err(error);
                    }
                }
            }
        }
        Ok((!whole.removed.is_empty()).then_some(whole))
    }

    /// Lets a compaction count. Call it once the catalogue has it.
    pub fn publish_compaction(&self, compaction: Compaction) {
        let mut state = self.write();
        for path in &compaction.removed {
            discard(&mut state, path);
        }
        self.count(&mut state, compaction.added);
    }

    /// Returns the paths of files whose day is before `day` (`YYYY-MM-DD`).
    pub fn expired(&self, before_day: &str) -> Vec<String> {
        let state = self.read();
        let expired = state.files.values().filter(|held| held.file.day.as_str() < before_day);
        expired.map(|held| held.file.path.clone()).collect()
    }

    /// Deletes files the catalogue no longer has. Queries that are reading them finish first.
    pub async fn remove(&self, paths: &[String]) {
        let mut state = self.write();
        for path in paths {
            discard(&mut state, path);
        }
    }

    /// Returns the events that fulfil the query. Files that cannot be read are left out and logged;
    /// [`Lake::ask`] names them.
    pub async fn query(&self, query: LakeQuery) -> Result<Vec<Event>> {
        Ok(self.ask(query).await?.events)
    }

    /// Returns the events that fulfil the query, and the files that could not be read.
    pub async fn ask(&self, query: LakeQuery) -> Result<Answer> {
        query::check(&query)?;
        let mut answer = Answer::default();
        for table in &query.tables {
            let (sources, known_damaged) = self.sources(&query, *table);
            answer.damaged.extend(known_damaged);
            let files = sources.files.clone();
            let tail = sources.tail.clone();
            match query::run(&self.inner.engine, &query, sources).await {
                Ok(events) => answer.events.extend(events),
                Err(LakeError::Query(_)) if self.probe(&files).await > 0 => {
                    let (mut sources, now_damaged) = self.sources(&query, *table);
                    // the same tail as before: a flush in between must not double it
                    sources.files.retain(|held| files.iter().any(|file| file.file.path == held.file.path));
                    sources.tail = tail;
                    answer.damaged.extend(now_damaged);
                    answer.events.extend(query::run(&self.inner.engine, &query, sources).await?);
                }
                Err(error) => return Err(error),
            }
        }
        answer.damaged.sort();
        answer.damaged.dedup();
        answer.events = query::merge(&query, answer.events);
        Ok(answer)
    }

    /// Gives every event that fulfils the query to `take`, batch by batch, table by table, in no order and
    /// with no more columns than these and `Timestamp`; there is no limit of rows. Ends early when `take`
    /// says false.
    ///
    /// # Errors
    /// When something cannot be read. Damaged files are set aside then, so that trying again helps.
    pub async fn scan(
        &self,
        query: &LakeQuery,
        columns: &[&str],
        take: &mut (dyn FnMut(Vec<Event>) -> bool + Send),
    ) -> Result<()> {
        query::check(query)?;
        for table in &query.tables {
            let (sources, _) = self.sources(query, *table);
            let files = sources.files.clone();
            match query::scan(&self.inner.engine, query, columns, sources, take).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    self.probe(&files).await;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Picks what a query has to look at in a table, one consistent moment of it.
    fn sources(&self, query: &LakeQuery, table: Table) -> (Sources, Vec<(String, String)>) {
        let (candidates, tail) = {
            let state = self.read();
            let files = state.files.values().filter(|held| {
                let file = &held.file;
                file.table == table && file.first < query.to && file.last >= query.from
            });
            (files.cloned().collect::<Vec<_>>(), state.tail.batches(table))
        };
        // before the engine sees them: planning and statistics cost more than this look
        let tail = match query.device {
            Some(device) => tail::of_device(table, tail, device),
            None => tail,
        };
        self.set_aside(&candidates);
        let state = self.read();
        let (mut files, mut damaged) = (Vec::new(), Vec::new());
        for held in candidates {
            match state.damaged.get(&held.file.path) {
                Some(reason) => damaged.push((held.file.path.clone(), reason.clone())),
                None => files.push(held),
            }
        }
        (Sources { table, files, tail }, damaged)
    }

    /// Sets aside files that are missing or have another size; returns how many are new among them.
    fn set_aside(&self, files: &[Arc<Held>]) -> usize {
        let bad: Vec<_> = files.iter().filter_map(|held| Some((held, held.check().err()?))).collect();
        bad.into_iter().filter(|(held, reason)| self.note_damage(held, reason)).count()
    }

    /// Reads each file on its own and sets aside those that fail; returns how many.
    async fn probe(&self, files: &[Arc<Held>]) -> usize {
        let mut found = 0;
        for held in files {
            let read = async {
                let rows = self.inner.engine.rows(held.file.table, std::slice::from_ref(held))?;
                let mut stream = rows.execute_stream().await?;
                while let Some(batch) = futures::StreamExt::next(&mut stream).await {
                    batch?;
                }
                Ok::<(), LakeError>(())
            };
            if let Err(error) = read.await {
                let reason = match &error {
                    LakeError::Query(source) => source.to_string(),
                    other => other.to_string(),
                };
                found += usize::from(self.note_damage(held, &reason));
            }
        }
        found
    }

    fn note_damage(&self, held: &Held, reason: &str) -> bool {
        let path = &held.file.path;
        let new = self.write().damaged.insert(path.clone(), reason.to_owned()).is_none();
        if new {
            tracing::error!(file.path = %path, "lake file {path} cannot be read and is left out: {reason}");
        }
        new
    }

    fn count(&self, state: &mut State, files: Vec<LakeFile>) {
        for file in files {
            state.files.insert(file.path.clone(), Arc::new(Held::new(&self.inner.root, file)));
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // every change of the state is whole before anything can panic
        self.inner.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.inner.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn discard(state: &mut State, path: &str) {
    state.damaged.remove(path);
    if let Some(held) = state.files.remove(path) {
        held.doom();
    }
}

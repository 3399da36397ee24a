//! Correlation rules: what events of all devices show together.
//!
//! The state lives in memory and is saved in the transaction that moves the analyst's offset: with every
//! group of events while it is small, once a minute when it is large. After a crash the records behind
//! the saved state are read again from the ingest log, so that an event counts exactly once.

use super::finding::{Around, Finding, is_allowed, lineage, subject};
use crate::app::Ctx;
use crate::rules::{Fate, Hits, fate};
use anyhow::{Context, Result};
use hinomi_detect::{Correlated, CorrelationDrops, CorrelationLimits, Correlator, Dropped, Engine};
use hinomi_lake::{LakeQuery, Op, Predicate};
use hinomi_model::{DemoId, DeviceId, Event, EventRef, Table, Timestamp, Value};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// State that is saved with every group of events, bytes.
const SMALL_BYTES_MAX: usize = 64 * 1024;

/// State of the correlation rules of the engine in force.
#[derive(Default)]
pub(crate) struct Correlations {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    engine: Arc<Engine>,
    state: Correlator,
    /// What the log was told of events that were dropped.
    told: Dropped,
}

/// A correlation that fired, and the events that made it fire.
pub(crate) struct Together {
    engine: Arc<Engine>,
    found: Correlated,
    /// The event that completed it, and others of the same group of events.
    at_hand: Vec<Event>,
    demo: Option<DemoId>,
}

impl Correlations {
    /// Works on the state, as that of the rules in force.
    fn with<T>(&self, ctx: &Ctx, work: impl FnOnce(&Arc<Engine>, &mut Correlator) -> T) -> T {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = ctx.rules();
        if !Arc::ptr_eq(&engine, &inner.engine) {
            // other rules: what is the same in both goes on
            let saved = inner.engine.save(&inner.state);
            inner.state = restored(&engine, &saved);
            inner.state.set_unsaved();
            inner.engine = engine;
        }
        let Inner { engine, state, .. } = &mut *inner;
        work(engine, state)
    }

    /// Tells the log what was dropped since it was told last.
    fn tell_drops(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = inner.state.dropped();
        let told = std::mem::replace(&mut inner.told, dropped);
        if dropped == told {
            return;
        }
        let Dropped { late, ungrouped, valueless, crowded, memory } = dropped;
        tracing::warn!(
            late,
            ungrouped,
            valueless,
            crowded,
            memory,
            "correlation rules dropped events (so far): {late} too late, {ungrouped} without a field of group-by, \
             {valueless} without a value, {crowded} too many in a group, {memory} for want of memory"
        );
    }

    /// What was dropped and is kept, by rule.
    pub fn drops(&self, ctx: &Ctx) -> Vec<CorrelationDrops> {
        self.with(ctx, |engine, state| engine.drops(state))
    }
}

fn restored(engine: &Engine, saved: &[(String, String)]) -> Correlator {
    let (state, unreadable) = engine.restore(CorrelationLimits::default(), saved);
    for rule in unreadable {
        // written by this server: only a damaged store gets here
        tracing::error!(rule, "the saved state of correlation {rule} cannot be read and begins anew");
    }
    state
}

/// Reads the saved state.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn load(ctx: &Ctx) -> Result<()> {
    let saved = ctx.store.correlation_states().await.context("read the state of correlations")?;
    let mut inner = ctx.desk.correlations.inner.lock().unwrap_or_else(PoisonError::into_inner);
    inner.engine = ctx.rules();
    inner.state = restored(&inner.engine, &saved);
    Ok(())
}

/// Tells the correlations events in the order of the log, all real or all of one demo.
pub(crate) fn learn(ctx: &Ctx, events: &[Event], demo: Option<DemoId>) -> Vec<Together> {
    let realm = demo.map(|demo| demo.to_string()).unwrap_or_default();
    let indicators = if demo.is_some() { Arc::default() } else { ctx.indicators.get() };
    ctx.desk.correlations.with(ctx, |engine, state| {
        let mut fired = Vec::new();
        if !engine.correlates() {
            return fired;
        }
        let allowed = |event: &&Event| {
            let around = Around::of(ctx, &indicators, event, &[]);
            is_allowed(event, &indicators, around.scene())
        };
        for event in events.iter().filter(|event| !allowed(event)) {
            for found in engine.correlate(event, &realm, state) {
                let mut at_hand: Vec<Event> = events.iter().filter(|other| found.holds(other)).cloned().collect();
                if !found.holds(event) {
                    at_hand.push(event.clone());
                }
                fired.push(Together { engine: Arc::clone(engine), found, at_hand, demo });
            }
        }
        fired
    })
}

/// Tells the correlations the time: those that are answered at the end of their time span.
pub(crate) fn tick(ctx: &Ctx) -> Vec<Together> {
    ctx.desk.correlations.tell_drops();
    ctx.desk.correlations.with(ctx, |engine, state| {
        let found = engine.advance(ctx.now().as_micros(), state);
        let together = |found: Correlated| {
            let demo = found.realm.parse().ok();
            Together { engine: Arc::clone(engine), found, at_hand: Vec::new(), demo }
        };
        found.into_iter().map(together).collect()
    })
}

/// What has to be saved so that the store knows the state as it is now: nothing when it is large and has
/// `time`.
pub(crate) fn changes(ctx: &Ctx, time: bool) -> Option<Vec<(String, String)>> {
    let bytes_max = if time { SMALL_BYTES_MAX } else { usize::MAX };
    ctx.desk.correlations.with(ctx, |engine, state| engine.changes(state, bytes_max))
}

/// Forgets what a demo left.
pub(crate) fn forget(ctx: &Ctx, demo: DemoId) {
    ctx.desk.correlations.with(ctx, |_, state| state.forget(&demo.to_string()));
}

/// Makes findings of what fired: one per event that belongs to it, all of one alert.
///
/// # Errors
/// When the lake cannot be read.
pub(super) async fn findings(ctx: &Ctx, fired: &[Together]) -> Result<(Vec<Finding>, Hits)> {
    let (mut findings, mut hits) = (Vec::new(), Hits::default());
    for together in fired {
        let Together { engine, found, at_hand, demo } = together;
        let dedupe = dedupe(engine, found);
        let events = evidence(ctx, found, at_hand).await?;
        let Some(last) = events.last() else { continue };
        let (fate, entry) = fate(ctx, &ctx.rule_set(), &engine.rules()[found.rule].id, last, *demo).await?;
        hits.add(entry, last.timestamp);
        if matches!(fate, Fate::Nothing | Fate::Counted) {
            continue;
        }
        let test = fate == Fate::Tested;
        for event in events {
            let lineage = match subject(&event) {
                Some(key) => lineage(ctx, key).await?,
                None => Vec::new(),
            };
            let detection = engine.correlated(found, &event);
            let dedupe = Some(dedupe.clone());
            let demo = *demo;
            findings.push(Finding { detection, lineage, status_reason: None, opened: Vec::new(), demo, dedupe, test });
        }
    }
    Ok((findings, hits))
}

/// One alert per rule and group.
fn dedupe(engine: &Engine, found: &Correlated) -> String {
    let mut hash = Sha256::new();
    for (name, value) in &found.group {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((value.len() as u64).to_le_bytes());
        hash.update(value);
    }
    let group: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{}|together:{group}", engine.rules()[found.rule].id)
}

/// The events of a firing, oldest first: those at hand, the others from the lake.
async fn evidence(ctx: &Ctx, found: &Correlated, at_hand: &[Event]) -> Result<Vec<Event>> {
    let mut events: Vec<Event> = at_hand.to_vec();
    let known: BTreeSet<EventRef> = at_hand.iter().map(Event::reference).collect();
    let mut missing: BTreeMap<(Table, Option<DeviceId>), Vec<&EventRef>> = BTreeMap::new();
    for reference in found.evidence.iter().filter(|wanted| !known.contains(wanted)) {
        missing.entry((reference.table, reference.device_id)).or_default().push(reference);
    }
    for ((table, device), references) in missing {
        let times = || references.iter().map(|reference| reference.timestamp.as_micros());
        let (Some(first), Some(last)) = (times().min(), times().max()) else { continue };
        let id = |reference: &&EventRef| match (reference.device_id, reference.report_id.parse()) {
            (Some(_), Ok(number)) => Value::Long(number),
            _ => Value::String(reference.report_id.clone()),
        };
        let op = Op::In(references.iter().map(id).collect());
        let query = LakeQuery {
            device,
            from: Timestamp::from_micros(first),
            to: Timestamp::from_micros(last.saturating_add(1)),
            predicates: vec![Predicate { column: "ReportId".to_owned(), op }],
            ..LakeQuery::of(table)
        };
        let rows = ctx.lake.query(query).await.context("read the events of a correlation")?;
        events.extend(rows.into_iter().filter(|event| references.iter().any(|wanted| event.reference() == **wanted)));
    }
    events.sort_by_key(|event| event.timestamp);
    Ok(events)
}

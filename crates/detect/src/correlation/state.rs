//! The state of all correlations: bounded, counted, saved and restored.

use super::window::{Entry, Fired, Window};
use super::{Correlation, CorrelationKind};
use hinomi_model::EventRef;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};

/// Longest value kept, bytes; longer ones are cut and told apart by a hash.
const VALUE_BYTES_MAX: usize = 256;
/// How long after the end of a window events may still come in, microseconds; at most the window itself.
const LATENESS_MAX: i64 = 300_000_000;
/// Version of the saved form.
const VERSION: u32 = 1;

/// Bounds of what a [`Correlator`] keeps.
#[derive(Debug, Clone, Copy)]
pub struct CorrelationLimits {
    /// Bytes per correlation rule.
    pub rule_bytes: usize,
    /// Bytes in all.
    pub bytes: usize,
}

impl Default for CorrelationLimits {
    fn default() -> Self {
        CorrelationLimits { rule_bytes: 8 << 20, bytes: 64 << 20 }
    }
}

/// Events that could not be counted, with the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Came when their window had long passed.
    pub late: u64,
    /// Lacked a field of `group-by`.
    pub ungrouped: u64,
    /// Lacked the field whose values count, or it was no number.
    pub valueless: u64,
    /// Went because a group had more events than are kept.
    pub crowded: u64,
    /// Went because the memory of a rule or of all was used up.
    pub memory: u64,
}

impl std::ops::AddAssign for Dropped {
    fn add_assign(&mut self, other: Dropped) {
        self.late += other.late;
        self.ungrouped += other.ungrouped;
        self.valueless += other.valueless;
        self.crowded += other.crowded;
        self.memory += other.memory;
    }
}

/// A correlation that fired.
#[derive(Debug, Clone, PartialEq)]
pub struct Correlated {
    /// Index among the engine's rules.
    pub rule: usize,
    /// Fields of `group-by` with the values the events share.
    pub group: Vec<(String, String)>,
    /// Time of the first and the last event, microseconds.
    pub first: i64,
    /// See `first`.
    pub last: i64,
    /// Number of events in the window.
    pub events: usize,
    /// What was counted or measured.
    pub value: f64,
    /// What the events belong to, see [`crate::Engine::correlate`].
    pub realm: String,
    /// The last 50 events, oldest first, as far as they are rows. Of events that are the same to the rule
    /// (the same value, the same rule of a set) only the last.
    pub evidence: Vec<EventRef>,
}

impl Correlated {
    /// True when an event made it fire.
    pub fn holds(&self, event: &hinomi_model::Event) -> bool {
        let time = event.timestamp;
        let mut same = self.evidence.iter().filter(|known| known.timestamp == time).peekable();
        same.peek().is_some() && {
            let reference = event.reference();
            same.any(|known| *known == reference)
        }
    }
}

/// State of the correlations of one engine.
///
/// It reads no clock: time comes with the events, and [`Correlator::advance`] tells it in between.
#[derive(Debug, Default)]
pub struct Correlator {
    limits: CorrelationLimits,
    states: Vec<State>,
    bytes: usize,
    /// Saved states that belong to no correlation any more and are not needed.
    gone: Vec<String>,
}

#[derive(Debug, Default)]
struct State {
    /// By the values of `group-by`, and behind them the realm.
    groups: HashMap<Vec<String>, Window>,
    bytes: usize,
    dropped: Dropped,
    /// Not saved as it is now.
    changed: bool,
}

#[derive(Serialize)]
struct Saving<'s> {
    version: u32,
    dropped: Dropped,
    groups: Vec<(&'s Vec<String>, &'s Window)>,
}

#[derive(Deserialize)]
struct Saved {
    version: u32,
    dropped: Dropped,
    groups: Vec<(Vec<String>, Window)>,
}

/// Gives the text of a field, for an event a rule fired on: (rule, field name).
pub(crate) type Fields<'f> = dyn Fn(usize, &str) -> Option<String> + 'f;

/// An event as correlations see it.
pub(crate) struct Seen<'e> {
    /// Microseconds.
    pub time: i64,
    /// What it belongs to; events of different realms are never looked at together.
    pub realm: &'e str,
    /// The rules it fired.
    pub fired: &'e [u32],
    pub fields: &'e Fields<'e>,
    /// Pointer to it, if it is a row.
    pub reference: Option<&'e dyn Fn() -> EventRef>,
}

impl Correlator {
    /// Builds empty state.
    pub fn new(limits: CorrelationLimits) -> Self {
        Correlator { limits, ..Correlator::default() }
    }

    /// Returns what was dropped so far.
    pub fn dropped(&self) -> Dropped {
        let mut all = Dropped::default();
        self.states.iter().for_each(|state| all += state.dropped);
        all
    }

    /// Returns what the correlation at `at` dropped so far, and about how many bytes its state takes.
    pub(crate) fn of(&self, at: usize) -> (Dropped, usize) {
        self.states.get(at).map(|state| (state.dropped, state.bytes)).unwrap_or_default()
    }

    /// Returns about how many bytes the state takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Says that nothing of this is saved as it is now.
    pub fn set_unsaved(&mut self) {
        self.states.iter_mut().for_each(|state| state.changed = true);
    }

    /// Forgets everything of a realm.
    pub fn forget(&mut self, realm: &str) {
        for at in 0..self.states.len() {
            self.sweep(at, |group, _| !realm.is_empty() && group.last().is_some_and(|last| last == realm));
        }
    }

    /// Takes in an event; `rules` is the number of plain rules of the engine.
    pub(crate) fn observe(&mut self, list: &[Correlation], rules: usize, seen: &Seen<'_>) -> Vec<Correlated> {
        self.states.resize_with(list.len(), State::default);
        // rules and correlations that fired, each with the plain rule whose event it was
        let mut known: HashMap<usize, usize> = seen.fired.iter().map(|rule| (*rule as usize, *rule as usize)).collect();
        let mut out = Vec::new();
        // a correlation stands behind those it refers to
        for (at, correlation) in list.iter().enumerate() {
            let children = correlation.children.iter().enumerate();
            let children: Vec<_> = children.filter_map(|(at, rule)| Some((at, *rule, *known.get(rule)?))).collect();
            if children.is_empty() {
                continue;
            }
            self.states[at].changed = true;
            let leaf = children[0].2;
            let found = self.take(at, correlation, seen, &children);
            if found.iter().any(|(_, fired)| fired.last >= seen.time) {
                known.insert(rules + at, leaf);
            }
            out.extend(found.into_iter().map(|(group, fired)| told(rules + at, correlation, group, fired)));
        }
        out
    }

    fn take(
        &mut self,
        at: usize,
        rule: &Correlation,
        seen: &Seen<'_>,
        children: &[(usize, usize, usize)],
    ) -> Vec<(Vec<String>, Fired)> {
        let Seen { time, fields, .. } = *seen;
        let mut touched: BTreeSet<Vec<String>> = BTreeSet::new();
        let counts_events = !matches!(rule.kind, CorrelationKind::Temporal | CorrelationKind::TemporalOrdered);
        for (child, direct, leaf) in children {
            let group = rule.group_by.iter().map(|field| {
                let name = field.per_rule.get(direct).or_else(|| field.per_rule.get(leaf)).unwrap_or(&field.name);
                fields(*leaf, name).map(short)
            });
            let Some(mut group) = group.collect::<Option<Vec<String>>>() else {
                self.states[at].dropped.ungrouped += 1;
                continue;
            };
            group.push(seen.realm.to_owned());
            // an event that fired several of the rules is one event
            if counts_events && touched.contains(&group) {
                continue;
            }
            let Ok(value) = value_of(rule, *leaf, fields) else {
                self.states[at].dropped.valueless += 1;
                continue;
            };
            let event = seen.reference.map(|reference| Box::new(reference()));
            let entry = Entry { at: time, child: *child as u16, value, event };
            if self.insert(at, rule, &group, entry) {
                touched.insert(group);
            }
        }
        let mut found = Vec::new();
        for group in touched {
            found.extend(self.answer(at, rule, &group, time).into_iter().map(|fired| (group.clone(), fired)));
        }
        self.bound(at);
        found
    }

    fn insert(&mut self, at: usize, rule: &Correlation, group: &[String], entry: Entry) -> bool {
        let state = &mut self.states[at];
        if !state.groups.contains_key(group) {
            let bytes = Window::bytes(group);
            state.groups.insert(group.to_vec(), Window { newest: entry.at, ..Window::default() });
            state.bytes += bytes;
            self.bytes += bytes;
        }
        let Some(window) = state.groups.get_mut(group) else { return false };
        if entry.at < window.newest.saturating_sub(rule.timespan) {
            state.dropped.late += 1;
            return false;
        }
        let came = entry.bytes();
        let newest = window.newest.max(entry.at);
        let replaced = window.insert(rule, entry);
        let expired = if rule.grows() { window.expire(rule.timespan, newest) } else { Vec::new() };
        let crowded = rule.kind != CorrelationKind::ValueCount && !replaced.is_empty();
        state.dropped.crowded += u64::from(crowded && rule.kind != CorrelationKind::EventCount);
        let went: usize = replaced.iter().chain(&expired).map(Entry::bytes).sum();
        state.bytes = (state.bytes + came).saturating_sub(went);
        self.bytes = (self.bytes + came).saturating_sub(went);
        true
    }

    fn answer(&mut self, at: usize, rule: &Correlation, group: &[String], time: i64) -> Vec<Fired> {
        let Some(window) = self.states[at].groups.get_mut(group) else { return Vec::new() };
        let mut gone = Vec::new();
        let found = if rule.grows() {
            // one alarm per time span; a sequence that is complete is used up
            let again = window.fired.is_none_or(|fired| time.abs_diff(fired) > rule.timespan.unsigned_abs());
            let temporal = matches!(rule.kind, CorrelationKind::Temporal | CorrelationKind::TemporalOrdered);
            let found = if again || temporal { window.fires(rule, time) } else { None };
            if let Some(fired) = &found {
                window.fired = Some(fired.last);
                gone.extend(window.entries.drain(..));
            }
            found.into_iter().collect()
        } else {
            let lateness = rule.timespan.min(LATENESS_MAX);
            window.close(rule, window.newest.saturating_sub(lateness), &mut gone)
        };
        self.release(at, &gone);
        found
    }

    fn release(&mut self, at: usize, gone: &[Entry]) {
        let bytes: usize = gone.iter().map(Entry::bytes).sum();
        self.states[at].bytes = self.states[at].bytes.saturating_sub(bytes);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Tells the time: windows that ended are answered, groups that are over are forgotten.
    pub(crate) fn advance(&mut self, list: &[Correlation], rules: usize, now: i64) -> Vec<Correlated> {
        self.states.resize_with(list.len(), State::default);
        let mut out = Vec::new();
        for (at, rule) in list.iter().enumerate() {
            let mut gone = Vec::new();
            let before = out.len();
            if !rule.grows() {
                let lateness = rule.timespan.min(LATENESS_MAX);
                let mut groups: Vec<_> = self.states[at].groups.iter_mut().collect();
                groups.sort_by(|a, b| a.0.cmp(b.0));
                for (group, window) in groups {
                    let found = window.close(rule, now.saturating_sub(lateness), &mut gone);
                    out.extend(found.into_iter().map(|fired| told(rules + at, rule, group.clone(), fired)));
                }
            }
            self.states[at].changed |= !gone.is_empty() || out.len() > before;
            self.release(at, &gone);
            let keep_from = now.saturating_sub(rule.timespan.saturating_mul(2));
            self.sweep(at, |_, window| window.newest < keep_from);
        }
        out
    }

    /// Answers what is open at the end of a finite input.
    pub(crate) fn finish(&mut self, list: &[Correlation], rules: usize) -> Vec<Correlated> {
        self.advance(list, rules, i64::MAX)
    }

    fn sweep(&mut self, at: usize, over: impl Fn(&[String], &Window) -> bool) -> u64 {
        let state = &mut self.states[at];
        let (mut bytes, mut events) = (0, 0);
        state.groups.retain(|group, window| {
            let goes = over(group, window);
            if goes {
                events += window.entries.len() as u64;
                bytes += Window::bytes(group);
                bytes += window.entries.iter().map(Entry::bytes).sum::<usize>();
            }
            !goes
        });
        state.changed |= bytes > 0;
        state.bytes = state.bytes.saturating_sub(bytes);
        self.bytes = self.bytes.saturating_sub(bytes);
        events
    }

    /// Drops the groups that were quiet longest when memory is used up.
    fn bound(&mut self, at: usize) {
        let rule_full = self.states[at].bytes > self.limits.rule_bytes;
        if !rule_full && self.bytes <= self.limits.bytes {
            return;
        }
        // when all memory is used up the largest rule gives
        let largest = (0..self.states.len()).max_by_key(|at| self.states[*at].bytes);
        let at = if rule_full { at } else { largest.unwrap_or(at) };
        let mut newest: Vec<i64> = self.states[at].groups.values().map(|window| window.newest).collect();
        newest.sort_unstable();
        // a quarter goes at once, so that this is rare
        let Some(limit) = newest.get(newest.len() / 4).copied() else { return };
        let events = self.sweep(at, |_, window| window.newest <= limit);
        self.states[at].dropped.memory += events;
    }

    /// The state of every correlation that has any, by key.
    pub(crate) fn save(&self, list: &[Correlation]) -> Vec<(String, String)> {
        list.iter().zip(&self.states).filter_map(|(rule, state)| Some((rule.key.clone(), state.saved()?))).collect()
    }

    /// What has to be saved since the last call; an empty text for what has to be forgotten. Nothing when
    /// it takes more than about `bytes_max` bytes: then it is still to be saved.
    pub(crate) fn changes(&mut self, list: &[Correlation], bytes_max: usize) -> Option<Vec<(String, String)>> {
        self.states.resize_with(list.len(), State::default);
        let changed = || self.states.iter().filter(|state| state.changed);
        if changed().map(|state| state.bytes).sum::<usize>() > bytes_max {
            return None;
        }
        let mut changes: Vec<(String, String)> = self.gone.drain(..).map(|key| (key, String::new())).collect();
        for (rule, state) in list.iter().zip(&mut self.states).filter(|(_, state)| state.changed) {
            changes.push((rule.key.clone(), state.saved().unwrap_or_default()));
            state.changed = false;
        }
        Some(changes)
    }

    /// Restores saved state: of correlations that are gone or were changed nothing is taken. Also returns
    /// the keys of what cannot be read.
    pub(crate) fn restore(
        limits: CorrelationLimits,
        list: &[Correlation],
        saved: &[(String, String)],
    ) -> (Correlator, Vec<String>) {
        let mut this = Correlator::new(limits);
        this.states.resize_with(list.len(), State::default);
        let mut unreadable = Vec::new();
        for (key, text) in saved {
            let Some(at) = list.iter().position(|rule| rule.key == *key) else {
                this.gone.push(key.clone());
                continue;
            };
            match serde_json::from_str::<Saved>(text) {
                Ok(saved) if saved.version == VERSION => this.take_back(at, &list[at], saved),
                _ => unreadable.push(key.clone()),
            }
        }
        (this, unreadable)
    }

    fn take_back(&mut self, at: usize, rule: &Correlation, saved: Saved) {
        self.states[at].dropped = saved.dropped;
        for (group, mut window) in saved.groups {
            window.entries.retain(|entry| usize::from(entry.child) < rule.children.len());
            window.entries.make_contiguous().sort_by_key(|entry| entry.at);
            window.entries.truncate(super::window::ENTRIES_MAX);
            let bytes = Window::bytes(&group) + window.entries.iter().map(Entry::bytes).sum::<usize>();
            self.states[at].bytes += bytes;
            self.bytes += bytes;
            self.states[at].groups.insert(group, window);
        }
        self.bound(at);
    }
}

impl State {
    /// As text, when there is anything to remember.
    fn saved(&self) -> Option<String> {
        if self.groups.is_empty() && self.dropped == Dropped::default() {
            return None;
        }
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(group, _)| *group);
        serde_json::to_string(&Saving { version: VERSION, dropped: self.dropped, groups }).ok()
    }
}

fn told(rule: usize, correlation: &Correlation, mut group: Vec<String>, fired: Fired) -> Correlated {
    let realm = group.pop().unwrap_or_default();
    let group = correlation.group_by.iter().map(|field| field.name.clone()).zip(group).collect();
    let Fired { first, last, events, value, evidence } = fired;
    Correlated { rule, group, first, last, events, value, realm, evidence }
}

/// The counted value: nothing for kinds that count events; an error when it is missing.
fn value_of(rule: &Correlation, leaf: usize, fields: &Fields<'_>) -> Result<Option<Box<str>>, ()> {
    let numeric = match rule.kind {
        CorrelationKind::EventCount | CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => return Ok(None),
        CorrelationKind::ValueCount => false,
        CorrelationKind::ValueSum | CorrelationKind::ValueAvg | CorrelationKind::ValuePercentile => true,
    };
    let texts: Option<Vec<String>> = rule.condition.fields.iter().map(|field| fields(leaf, field)).collect();
    let text = texts.ok_or(())?.join("\u{1f}");
    if numeric && !text.trim().parse::<f64>().is_ok_and(f64::is_finite) {
        return Err(());
    }
    Ok(Some(short(if numeric { text.trim().to_owned() } else { text }).into()))
}

fn short(text: String) -> String {
    if text.len() <= VALUE_BYTES_MAX {
        return text;
    }
    let mut end = VALUE_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…{:016x}", &text[..end], crate::hash::bytes(0, text.as_bytes()))
}

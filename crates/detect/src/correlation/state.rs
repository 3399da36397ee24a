//! The state of all correlations: bounded, counted, saved and restored.

use super::window::{Entry, Fired, Window};
use super::{Correlation, CorrelationKind};
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
}

/// State of the correlations of one engine.
///
/// It reads no clock: time comes with the events, and [`Correlator::advance`] tells it in between.
#[derive(Debug, Default)]
pub struct Correlator {
    limits: CorrelationLimits,
    states: Vec<State>,
    bytes: usize,
    dropped: Dropped,
}

#[derive(Debug, Default)]
struct State {
    groups: HashMap<Vec<String>, Window>,
    bytes: usize,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    dropped: Dropped,
    rules: Vec<(String, Vec<(Vec<String>, Window)>)>,
}

/// Gives the text of a field, for an event a rule fired on: (rule, field name).
pub(crate) type Fields<'f> = dyn Fn(usize, &str) -> Option<String> + 'f;

impl Correlator {
    /// Builds empty state.
    pub fn new(limits: CorrelationLimits) -> Self {
        Correlator { limits, ..Correlator::default() }
    }

    /// Returns what was dropped so far.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Returns about how many bytes the state takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes in an event and the rules it fired; `rules` is the number of plain rules of the engine.
    pub(crate) fn observe(
        &mut self,
        list: &[Correlation],
        rules: usize,
        time: i64,
        fired: &[u32],
        fields: &Fields<'_>,
    ) -> Vec<Correlated> {
        self.states.resize_with(list.len(), State::default);
        // rules and correlations that fired, each with the plain rule whose event it was
        let mut known: HashMap<usize, usize> = fired.iter().map(|rule| (*rule as usize, *rule as usize)).collect();
        let mut out = Vec::new();
        // a correlation stands behind those it refers to
        for (at, correlation) in list.iter().enumerate() {
            let children = correlation.children.iter().enumerate();
            let children: Vec<_> = children.filter_map(|(at, rule)| Some((at, *rule, *known.get(rule)?))).collect();
            if children.is_empty() {
                continue;
            }
            let leaf = children[0].2;
            let found = self.take(at, correlation, time, &children, fields);
            if found.iter().any(|(_, fired)| fired.last >= time) {
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
        time: i64,
        children: &[(usize, usize, usize)],
        fields: &Fields<'_>,
    ) -> Vec<(Vec<String>, Fired)> {
        let mut touched: BTreeSet<Vec<String>> = BTreeSet::new();
        let counts_events = !matches!(rule.kind, CorrelationKind::Temporal | CorrelationKind::TemporalOrdered);
        for (child, direct, leaf) in children {
            let group = rule.group_by.iter().map(|field| {
                let name = field.per_rule.get(direct).or_else(|| field.per_rule.get(leaf)).unwrap_or(&field.name);
                fields(*leaf, name).map(short)
            });
            let Some(group) = group.collect::<Option<Vec<String>>>() else {
                self.dropped.ungrouped += 1;
                continue;
            };
            // an event that fired several of the rules is one event
            if counts_events && touched.contains(&group) {
                continue;
            }
            let Ok(value) = value_of(rule, *leaf, fields) else {
                self.dropped.valueless += 1;
                continue;
            };
            let entry = Entry { at: time, child: *child as u16, value };
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
            let bytes = Window::BYTES + group.iter().map(|part| part.len() + size_of::<String>()).sum::<usize>();
            state.groups.insert(group.to_vec(), Window { newest: entry.at, ..Window::default() });
            state.bytes += bytes;
            self.bytes += bytes;
        }
        let Some(window) = state.groups.get_mut(group) else { return false };
        if entry.at < window.newest.saturating_sub(rule.timespan) {
            self.dropped.late += 1;
            return false;
        }
        let came = entry.bytes();
        let newest = window.newest.max(entry.at);
        let replaced = window.insert(rule, entry);
        let expired = if rule.grows() { window.expire(rule.timespan, newest) } else { Vec::new() };
        let crowded = rule.kind != CorrelationKind::ValueCount && !replaced.is_empty();
        self.dropped.crowded += u64::from(crowded && rule.kind != CorrelationKind::EventCount);
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
            let again = window.fired.is_none_or(|fired| (time - fired).abs() > rule.timespan);
            let temporal = matches!(rule.kind, CorrelationKind::Temporal | CorrelationKind::TemporalOrdered);
            let found = if again || temporal { window.fires(rule, time) } else { None };
            if let Some(fired) = found {
                window.fired = Some(fired.last);
                gone.extend(window.entries.drain(..));
            }
            found.into_iter().collect()
        } else {
            let lateness = rule.timespan.min(LATENESS_MAX);
            window.close(rule, window.newest.saturating_sub(lateness), &mut gone)
        };
        self.forget(at, &gone);
        found
    }

    fn forget(&mut self, at: usize, gone: &[Entry]) {
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
            if !rule.grows() {
                let lateness = rule.timespan.min(LATENESS_MAX);
                let mut groups: Vec<_> = self.states[at].groups.iter_mut().collect();
                groups.sort_by(|a, b| a.0.cmp(b.0));
                for (group, window) in groups {
                    let found = window.close(rule, now.saturating_sub(lateness), &mut gone);
                    out.extend(found.into_iter().map(|fired| told(rules + at, rule, group.clone(), fired)));
                }
            }
            self.forget(at, &gone);
            let keep_from = now.saturating_sub(rule.timespan.saturating_mul(2));
            self.sweep(at, |window| window.newest < keep_from);
        }
        out
    }

    /// Answers what is open at the end of a finite input.
    pub(crate) fn finish(&mut self, list: &[Correlation], rules: usize) -> Vec<Correlated> {
        self.advance(list, rules, i64::MAX)
    }

    fn sweep(&mut self, at: usize, over: impl Fn(&Window) -> bool) -> u64 {
        let state = &mut self.states[at];
        let (mut bytes, mut events) = (0, 0);
        state.groups.retain(|group, window| {
            let goes = over(window);
            if goes {
                events += window.entries.len() as u64;
                bytes += Window::BYTES + group.iter().map(|part| part.len() + size_of::<String>()).sum::<usize>();
                bytes += window.entries.iter().map(Entry::bytes).sum::<usize>();
            }
            !goes
        });
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
        let events = self.sweep(at, |window| window.newest <= limit);
        self.dropped.memory += events;
    }

    pub(crate) fn save(&self, list: &[Correlation]) -> serde_json::Result<Vec<u8>> {
        let saved = list.iter().zip(&self.states).map(|(rule, state)| {
            let mut groups: Vec<_> = state.groups.iter().collect();
            groups.sort_by(|a, b| a.0.cmp(b.0));
            (&rule.key, groups)
        });
        let rules: Vec<_> = saved.collect();
        serde_json::to_vec(&serde_json::json!({ "version": VERSION, "dropped": self.dropped, "rules": rules }))
    }

    pub(crate) fn restore(
        limits: CorrelationLimits,
        list: &[Correlation],
        saved: &[u8],
    ) -> serde_json::Result<Correlator> {
        let saved: Saved = serde_json::from_slice(saved)?;
        let mut this = Correlator::new(limits);
        this.states.resize_with(list.len(), State::default);
        if saved.version != VERSION {
            return Ok(this);
        }
        this.dropped = saved.dropped;
        for (key, groups) in saved.rules {
            let Some(at) = list.iter().position(|rule| rule.key == key) else { continue };
            for (group, mut window) in groups {
                let children = list[at].children.len();
                window.entries.retain(|entry| usize::from(entry.child) < children);
                window.entries.make_contiguous().sort_by_key(|entry| entry.at);
                window.entries.truncate(super::window::ENTRIES_MAX);
                let bytes = Window::BYTES + group.iter().map(|part| part.len() + size_of::<String>()).sum::<usize>();
                let bytes = bytes + window.entries.iter().map(Entry::bytes).sum::<usize>();
                this.states[at].bytes += bytes;
                this.bytes += bytes;
                this.states[at].groups.insert(group, window);
            }
            this.bound(at);
        }
        Ok(this)
    }
}

fn told(rule: usize, correlation: &Correlation, group: Vec<String>, fired: Fired) -> Correlated {
    let group = correlation.group_by.iter().map(|field| field.name.clone()).zip(group).collect();
    Correlated { rule, group, first: fired.first, last: fired.last, events: fired.events, value: fired.value }
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

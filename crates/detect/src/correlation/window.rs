//! The events of one group within one time span.

use super::{Correlation, CorrelationKind};
use crate::expr::{Atom, Expr};
use crate::fields::Target;
use hinomi_model::EventRef;
use serde::{Deserialize, Serialize};
use std::collections::{HashSet, VecDeque};

/// Most events kept per group; one more than the highest count that can be asked for.
pub(super) const ENTRIES_MAX: usize = super::read::COUNT_MAX as usize + 1;

/// Most events told of a firing: the last ones.
const EVIDENCE_MAX: usize = 50;

/// Events of one group, by time.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Window {
    pub entries: VecDeque<Entry>,
    /// Newest time seen, also of events that are gone.
    pub newest: i64,
    /// When it last fired.
    pub fired: Option<i64>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Microseconds.
    pub at: i64,
    /// Position of the rule among the children.
    pub child: u16,
    /// The counted value.
    pub value: Option<Box<str>>,
    /// The event, if it is a row.
    pub event: Option<Box<EventRef>>,
}

/// What a window showed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fired {
    pub first: i64,
    pub last: i64,
    pub events: usize,
    pub value: f64,
    pub evidence: Vec<EventRef>,
}

impl Entry {
    /// Bytes it costs.
    pub fn bytes(&self) -> usize {
        let event = self.event.as_ref().map_or(0, |event| size_of::<EventRef>() + event.report_id.len());
        size_of::<Entry>() + self.value.as_ref().map_or(0, |value| value.len()) + event
    }
}

impl Fired {
    fn of(window: &[&Entry], value: f64) -> Option<Fired> {
        let (first, last) = (window.first()?.at, window.last()?.at);
        let told = &window[window.len().saturating_sub(EVIDENCE_MAX)..];
        let evidence = told.iter().filter_map(|entry| entry.event.as_deref().cloned()).collect();
        Some(Fired { first, last, events: window.len(), value, evidence })
    }
}

impl Window {
    /// Bytes it costs without its entries.
    const BYTES: usize = size_of::<Window>() + 64;

    /// Bytes a group costs without its entries.
    pub fn bytes(group: &[String]) -> usize {
        Window::BYTES + group.iter().map(|part| part.len() + size_of::<String>()).sum::<usize>()
    }

    /// Inserts by time. Returns entries that had to go: more than one group may hold.
    pub fn insert(&mut self, rule: &Correlation, entry: Entry) -> Vec<Entry> {
        let mut gone = Vec::new();
        self.newest = self.newest.max(entry.at);
        // of the same value, or of the same rule when order does not matter, only the latest event counts
        let same: Option<fn(&Entry, &Entry) -> bool> = match rule.kind {
            CorrelationKind::ValueCount if rule.grows() => Some(|a, b| a.value == b.value),
            CorrelationKind::Temporal => Some(|a, b| a.child == b.child),
            _ => None,
        };
        let known = same.and_then(|same| self.entries.iter().position(|other| same(other, &entry)));
        if let Some(at) = known {
            if self.entries[at].at > entry.at {
                gone.push(entry);
                return gone;
            }
            gone.extend(self.entries.remove(at));
        }
        let at = self.entries.partition_point(|other| other.at <= entry.at);
        self.entries.insert(at, entry);
        let counted = rule.condition.bounds.iter().map(|(_, bound)| *bound as usize + 1).max();
        let most = match rule.kind {
            CorrelationKind::EventCount => counted.unwrap_or(ENTRIES_MAX),
            _ => ENTRIES_MAX,
        };
        if self.entries.len() > most {
            gone.extend(self.entries.pop_front());
        }
        gone
    }

    /// Removes what no window with an event at or after `now` can hold.
    pub fn expire(&mut self, timespan: i64, now: i64) -> Vec<Entry> {
        let keep_from = now.saturating_sub(timespan.saturating_mul(2));
        let keep = self.entries.partition_point(|entry| entry.at < keep_from);
        self.entries.drain(..keep).collect()
    }

    /// Looks at every window an event at `at` belongs to, for rules that are answered at once.
    pub fn fires(&self, rule: &Correlation, at: i64) -> Option<Fired> {
        let from = self.entries.partition_point(|entry| entry.at < at);
        let to = self.entries.partition_point(|entry| entry.at <= at.saturating_add(rule.timespan));
        let mut tried = None;
        (from..to).find_map(|end| {
            let last = self.entries[end].at;
            if tried.replace(last) == Some(last) {
                return None;
            }
            self.ending(rule, last)
        })
    }

    fn ending(&self, rule: &Correlation, last: i64) -> Option<Fired> {
        let from = self.entries.partition_point(|entry| entry.at < last.saturating_sub(rule.timespan));
        let to = self.entries.partition_point(|entry| entry.at <= last);
        let window: Vec<&Entry> = self.entries.range(from..to).collect();
        Fired::of(&window, measure(rule, &window)?)
    }

    /// Closes the windows that ended before `now`, for rules that are answered at the end of a window.
    pub fn close(&mut self, rule: &Correlation, now: i64, gone: &mut Vec<Entry>) -> Vec<Fired> {
        let mut fired = Vec::new();
        while let Some(first) = self.entries.front().map(|entry| entry.at) {
            let end = first.saturating_add(rule.timespan);
            if end >= now {
                break;
            }
            let to = self.entries.partition_point(|entry| entry.at <= end);
            let window: Vec<Entry> = self.entries.drain(..to).collect();
            let entries: Vec<&Entry> = window.iter().collect();
            fired.extend(measure(rule, &entries).and_then(|value| Fired::of(&entries, value)));
            gone.extend(window);
        }
        fired
    }
}

/// The value of the window when the condition holds.
fn measure(rule: &Correlation, window: &[&Entry]) -> Option<f64> {
    let numbers = || window.iter().filter_map(|entry| entry.value.as_ref()?.parse::<f64>().ok());
    let value = match rule.kind {
        CorrelationKind::EventCount => window.len() as f64,
        CorrelationKind::ValueCount => {
            window.iter().filter_map(|entry| entry.value.as_deref()).collect::<HashSet<_>>().len() as f64
        }
        CorrelationKind::ValueSum => numbers().sum(),
        CorrelationKind::ValueAvg => {
            let (count, sum) = numbers().fold((0, 0.0), |(count, sum), number| (count + 1, sum + number));
            if count == 0 {
                return None;
            }
            sum / f64::from(count)
        }
        CorrelationKind::ValuePercentile => percentile(numbers().collect(), rule.condition.percentile)?,
        CorrelationKind::Temporal => return temporal(rule, window),
        CorrelationKind::TemporalOrdered => return ordered(rule, window),
    };
    rule.condition.holds(value).then_some(value)
}

/// Linear interpolation between the two nearest ranks.
fn percentile(mut numbers: Vec<f64>, percentile: f64) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let rank = percentile / 100.0 * numbers.len().checked_sub(1)? as f64;
    let (below, above) = (numbers[rank.floor() as usize], numbers[rank.ceil() as usize]);
    Some(below + (above - below) * rank.fract())
}

fn temporal(rule: &Correlation, window: &[&Entry]) -> Option<f64> {
    let seen: HashSet<usize> = window.iter().map(|entry| rule.children[usize::from(entry.child)]).collect();
    let holds = match &rule.condition.expr {
        Some(expr) => told(expr, &seen),
        None if rule.condition.bounds.is_empty() => rule.children.iter().all(|child| seen.contains(child)),
        None => rule.condition.holds(seen.len() as f64),
    };
    holds.then_some(seen.len() as f64)
}

/// A condition over the names of rules.
fn told(expr: &Expr, seen: &HashSet<usize>) -> bool {
    match expr {
        Expr::Const(truth) => *truth,
        Expr::Not(inner) => !told(inner, seen),
        Expr::And(parts) => parts.iter().all(|part| told(part, seen)),
        Expr::Or(parts) => parts.iter().any(|part| told(part, seen)),
        Expr::Atom(atom) => match atom.as_ref() {
            Atom { target: Target::Named(child), .. } => child.parse().is_ok_and(|child| seen.contains(&child)),
            _ => false,
        },
    }
}

/// The rules in their order: for each prefix the events that show it, begun as late as possible.
fn ordered(rule: &Correlation, window: &[&Entry]) -> Option<f64> {
    let mut reached = 0;
    for entry in window {
        let fired = rule.children[usize::from(entry.child)];
        if rule.children.get(reached) == Some(&fired) {
            reached += 1;
        }
    }
    let all = reached == rule.children.len();
    let enough = match rule.condition.bounds.is_empty() {
        true => all,
        false => rule.condition.holds(reached as f64),
    };
    enough.then_some(reached as f64)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles() {
        let numbers = vec![4.0, 1.0, 3.0, 2.0];
        for (rank, expected) in [(0.0, 1.0), (50.0, 2.5), (100.0, 4.0), (25.0, 1.75)] {
            assert_eq!(percentile(numbers.clone(), rank), Some(expected), "{rank}");
        }
        assert_eq!(percentile(Vec::new(), 50.0), None);
    }
}

//! Correlation rules: what several events show together.
//!
//! * [`read`] turns a document into a [`Correlation`].
//! * [`Correlator`] holds the state: per rule and group the events of one window. It is told the rules an
//!   event fired and the event's time; it reads no clock. Its memory is bounded per group, per rule and in
//!   all, what it drops is counted, and it can be saved and restored.

mod read;
mod state;
mod window;

pub(crate) use read::read;
pub(crate) use state::Seen;
pub use state::{Correlated, CorrelationLimits, Correlator, Dropped};

use crate::expr::{Compare, Expr};
use std::collections::HashMap;

/// One correlation rule, compiled.
#[derive(Debug)]
pub(crate) struct Correlation {
    /// Id and a fingerprint of the definition: saved state of another definition is not used.
    pub key: String,
    /// What it counts and for how long, in words: `event_count gte 10 in 5m`.
    pub words: String,
    pub kind: CorrelationKind,
    /// Rules and correlations it refers to, by index: correlations follow the rules.
    pub children: Vec<usize>,
    pub group_by: Vec<GroupField>,
    /// Microseconds.
    pub timespan: i64,
    pub condition: Condition,
    pub generate: bool,
    /// Other correlations use it, and none wants it reported on its own.
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CorrelationKind {
    EventCount,
    ValueCount,
    Temporal,
    TemporalOrdered,
    ValueSum,
    ValueAvg,
    ValuePercentile,
}

/// A field of `group-by`; an alias stands for different fields in different rules.
#[derive(Debug)]
pub(crate) struct GroupField {
    pub name: String,
    pub per_rule: HashMap<usize, String>,
}

/// What has to hold in a window.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    pub bounds: Vec<(Compare, f64)>,
    /// Fields whose values count.
    pub fields: Vec<String>,
    /// From 0 to 100.
    pub percentile: f64,
    /// `rule_a and rule_b`: atoms are fields named by the index of a child.
    pub expr: Option<Expr>,
}

impl Correlation {
    pub fn refers(&self) -> impl Iterator<Item = usize> {
        self.children.iter().copied()
    }

    /// Names of all fields it reads.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let groups = self.group_by.iter();
        let groups = groups.flat_map(|field| field.per_rule.values().chain([&field.name]));
        groups.chain(&self.condition.fields).map(String::as_str)
    }

    pub fn generate(&self) -> bool {
        self.generate
    }

    /// More events can only make it true: it is answered at once. Others are answered when the window ends.
    pub fn grows(&self) -> bool {
        let counts = !matches!(self.kind, CorrelationKind::ValueAvg | CorrelationKind::ValuePercentile);
        let lower = |(compare, _): &(Compare, f64)| matches!(compare, Compare::Greater | Compare::GreaterOrEqual);
        counts && self.condition.bounds.iter().all(lower)
    }
}

impl Condition {
    pub fn holds(&self, value: f64) -> bool {
        self.bounds.iter().all(|(compare, bound)| compare.holds(value, *bound))
    }
}

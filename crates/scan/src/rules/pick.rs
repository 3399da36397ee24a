//! Events of a log worth explaining a rule on.

use super::{State, fill, kind};
use crate::detection::Detection;
use crate::record::Record;
use crate::run::Judge;
use hinomi_detect::LogEngine;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps the events of a run that a rule fires on, or those of its log source.
#[derive(Debug)]
pub struct Pick<'e> {
    engine: &'e LogEngine,
    rule: u32,
    want: Want,
    most: usize,
    kept: Mutex<Vec<(Arc<str>, Record)>>,
}

/// Which events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// The one with this number (record id or line), whatever it is.
    Record(u64),
    /// Those the rule fires on.
    Fires,
    /// Those of the rule's log source that it does not fire on.
    Silent,
}

impl<'e> Pick<'e> {
    /// Keeps at most `most` events for the rule with this index in the engine.
    pub fn new(engine: &'e LogEngine, rule: u32, want: Want, most: usize) -> Self {
        Pick { engine, rule, want, most, kept: Mutex::default() }
    }

    /// Returns what was kept: (log, event).
    pub fn into_kept(self) -> Vec<(Arc<str>, Record)> {
        self.kept.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Judge for Pick<'_> {
    type State = State;

    fn state(&self) -> State {
        State { record: self.engine.record(), scratch: self.engine.scratch(), kinds: HashMap::new() }
    }

    fn judge(&self, state: &mut State, record: &Record, source: &Arc<str>, _: &mut dyn FnMut(Detection)) {
        let wanted = match self.want {
            Want::Record(number) => record.record_id == Some(number),
            want => {
                let kind = kind(self.engine, &record.class, &mut state.kinds);
                fill(&mut state.record, record);
                let fires = self.engine.matches(&state.record, &kind, &mut state.scratch).contains(&self.rule);
                let rule = self.engine.source(self.rule);
                let of_rule = || rule.is_some_and(|rule| record.class.log_sources().iter().any(|has| rule.covers(has)));
                match want {
                    Want::Fires => fires,
                    _ => !fires && of_rule(),
                }
            }
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted && kept.len() < self.most {
            kept.push((Arc::clone(source), record.clone()));
        }
    }
}

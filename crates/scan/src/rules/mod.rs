//! Rules over records: sets of rule files, and what they find.

pub mod coverage;
pub mod examples;
pub mod explain;
pub mod pick;
pub mod set;

use crate::detection::Detection;
use crate::limits::{CLASSES_MAX, SHOWN_BYTES_MAX};
use crate::record::{Record, Value};
use crate::run::Judge;
use hinomi_detect::{Class, Correlated, Correlator, Engine, Kind, LogEngine, LogScratch};
use hinomi_model::{Event, Language, MatchedField, Timestamp};
use serde_json::Map;
pub use set::RuleSet;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Rules ready to run over records of any log and over rows of the hunting tables.
#[derive(Debug)]
pub struct Detector<'s> {
    set: &'s RuleSet,
    language: Language,
    /// The same rules over rows, made when the first row comes.
    rows: OnceLock<Engine>,
    correlations: Mutex<Correlator>,
}

/// What one thread keeps.
#[derive(Debug)]
pub struct State {
    record: hinomi_detect::Record,
    scratch: LogScratch,
    /// Kinds by the address of their class, which is kept so that the address stays its own.
    kinds: HashMap<usize, (Arc<Class>, Kind)>,
}

impl<'s> Detector<'s> {
    /// Makes the rules of a set ready; titles in `language`.
    pub fn new(set: &'s RuleSet, language: Language) -> Self {
        let correlations = Mutex::new(Correlator::new(Default::default()));
        Detector { set, language, rows: OnceLock::new(), correlations }
    }

    /// Answers the correlations that are still open at the end of a run.
    pub fn finish(&self) -> Vec<Detection> {
        let mut correlations = self.correlations.lock().unwrap_or_else(PoisonError::into_inner);
        let open = self.set.engine.finish(&mut correlations);
        open.iter().map(|found| self.correlated(found, &Arc::from(""))).collect()
    }

    fn row(&self, row: &Event, record: &Record, source: &Arc<str>, hit: &mut dyn FnMut(Detection)) {
        let engine =
            self.rows.get_or_init(|| Engine::load(&self.set.sources, &hinomi_detect::content::embedded().fields).0);
        for found in engine.matches(row) {
            hit(Detection::new(found.rule, found.matched, record, source, self.language));
        }
    }

    fn correlated(&self, found: &Correlated, source: &Arc<str>) -> Detection {
        let record = Record { time: Some(Timestamp::from_micros(found.last)), ..Record::default() };
        let rule = &self.set.engine.rules()[found.rule];
        let mut detection = Detection::new(rule, Vec::new(), &record, source, self.language);
        let mut fields = Map::new();
        for (name, value) in &found.group {
            fields.insert(name.clone(), crate::record::cut(value, SHOWN_BYTES_MAX).into());
        }
        fields.insert("Events".to_owned(), found.events.into());
        fields.insert("Value".to_owned(), found.value.into());
        fields.insert("First".to_owned(), Timestamp::from_micros(found.first).to_string().into());
        detection.fields = fields;
        detection
    }
}

impl Judge for Detector<'_> {
    type State = State;

    fn state(&self) -> State {
        let engine = &self.set.engine;
        State { record: engine.record(), scratch: engine.scratch(), kinds: HashMap::new() }
    }

    fn judge(&self, state: &mut State, record: &Record, source: &Arc<str>, hit: &mut dyn FnMut(Detection)) {
        if let Some(row) = &record.row {
            return self.row(row, record, source, hit);
        }
        if record.class.is_empty() {
            return;
        }
        let engine = &self.set.engine;
        let kind = kind(engine, &record.class, &mut state.kinds);
        if kind.rules() == 0 {
            return;
        }
        fill(&mut state.record, record);
        let fired = engine.matches(&state.record, &kind, &mut state.scratch).to_vec();
        for rule in fired {
            let matched: Vec<MatchedField> = engine.explain(&state.record, rule);
            hit(Detection::new(&engine.rules()[rule as usize], matched, record, source, self.language));
        }
        if self.set.correlates {
            let time = record.time.map_or(0, Timestamp::as_micros);
            let mut correlations = self.correlations.lock().unwrap_or_else(PoisonError::into_inner);
            for found in engine.correlate(&state.record, time, &state.scratch, &mut correlations) {
                hit(self.correlated(&found, source));
            }
        }
    }
}

fn kind(engine: &LogEngine, class: &Arc<Class>, kinds: &mut HashMap<usize, (Arc<Class>, Kind)>) -> Kind {
    let address = Arc::as_ptr(class) as usize;
    if let Some((_, kind)) = kinds.get(&address) {
        return kind.clone();
    }
    let kind = engine.kind(&class.log_sources());
    if kinds.len() < CLASSES_MAX {
        kinds.insert(address, (Arc::clone(class), kind.clone()));
    }
    kind
}

/// Gives the engine an event.
pub(crate) fn fill(to: &mut hinomi_detect::Record, record: &Record) {
    to.clear();
    for field in record.fields() {
        push(to, &field.name, &field.value);
    }
}

fn push(to: &mut hinomi_detect::Record, name: &str, value: &Value) {
    match value {
        Value::Null => to.push_null(name),
        Value::List(items) => items.iter().for_each(|item| push(to, name, item)),
        one => {
            if let Some(text) = one.text() {
                to.push(name, &text);
            }
        }
    }
}

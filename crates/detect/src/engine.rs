//! The engine: loads rules, evaluates events.

use crate::{FieldMap, RuleError, RuleInfo, RuleSource};
use hinomi_model::{Detection, Event};
use std::collections::HashMap;

/// Compiled rules. Immutable: a reload builds a new one.
#[derive(Debug, Default)]
pub struct Engine {
    rules: Vec<RuleInfo>,
    by_id: HashMap<String, usize>,
}

impl Engine {
    /// Compiles rules; refused ones come back as errors and never stop the others.
    pub fn load(_sources: &[RuleSource], _fields: &FieldMap) -> (Engine, Vec<RuleError>) {
        (Engine::default(), Vec::new())
    }

    /// Evaluates one event: one detection per rule that fires.
    pub fn evaluate(&self, _event: &Event) -> Vec<Detection> {
        Vec::new()
    }

    /// Returns what the loaded rules say about themselves.
    pub fn rules(&self) -> &[RuleInfo] {
        &self.rules
    }

    /// Returns a loaded rule.
    pub fn rule(&self, id: &str) -> Option<&RuleInfo> {
        self.by_id.get(id).map(|at| &self.rules[*at])
    }
}

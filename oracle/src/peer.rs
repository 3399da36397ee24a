//! rsigma with the same rules and log sources.

use hinomi_detect::{LogSource, RuleSource};
use rsigma_eval::Engine;
use rsigma_eval::event::JsonEvent;
use serde_json::Value;
use std::collections::BTreeSet;

/// The engine, and the rules it loaded.
pub struct Peer {
    engine: Engine,
}

impl Peer {
    pub fn load(rules: &[RuleSource]) -> Peer {
        let mut engine = Engine::new();
        let mut parsed = Vec::new();
        for rule in rules {
            if let Ok(collection) = rsigma_parser::parse_sigma_yaml(&rule.yaml) {
                parsed.extend(collection.rules);
            }
        }
        // one call: the index is built once
        engine.add_rules(parsed.iter());
        Peer { engine }
    }

    pub fn ids(&self) -> BTreeSet<String> {
        self.engine.rules().iter().filter_map(|rule| rule.id.clone()).collect()
    }

    /// Ids of the rules that fire, for every log source of the event.
    pub fn matches(&self, event: &Value, sources: &[rsigma_parser::LogSource]) -> BTreeSet<String> {
        let event = JsonEvent::borrow(event);
        let found = sources.iter().flat_map(|source| self.engine.evaluate_with_logsource(&event, source));
        found.filter_map(|result| result.header.rule_id).collect()
    }

    /// Number of rules that fire, for one log source: what its users do.
    pub fn count(&self, event: &Value, source: &rsigma_parser::LogSource) -> usize {
        self.engine.evaluate_with_logsource(&JsonEvent::borrow(event), source).len()
    }
}

/// The same log sources in its type.
pub fn sources(sources: &[LogSource]) -> Vec<rsigma_parser::LogSource> {
    let source = |source: &LogSource| rsigma_parser::LogSource {
        category: source.category.clone(),
        product: source.product.clone(),
        service: source.service.clone(),
        ..Default::default()
    };
    sources.iter().map(source).collect()
}

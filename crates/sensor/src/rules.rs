//! Rules in force on this device: those that ship, and what the server decided beside them.

use crate::files;
use hinomi_detect::{Engine, RuleSource, content};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

const FILE: &str = "rules.json";
/// Longest text of all rules, bytes: sensors take messages of 16 MiB.
const YAML_BYTES_MAX: usize = 8 << 20;

/// What the server decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Fingerprint of the rest; 0 = nothing was decided.
    pub version: u64,
    /// Rules beside those that ship.
    pub yaml: Vec<String>,
    /// Rules that ship and that nothing follows from.
    pub off: Vec<String>,
}

/// Compiled rules.
pub struct InForce {
    /// The rules.
    pub engine: Arc<Engine>,
    /// Version of the decision.
    pub version: u64,
    /// Rules of the decision that could not be read.
    pub refused: usize,
    off: HashSet<String>,
}

/// The rules of this device; readers keep what they took.
pub struct Rules {
    path: PathBuf,
    current: RwLock<Arc<InForce>>,
}

impl Rules {
    /// Compiles what ships and what was decided last.
    ///
    /// # Errors
    /// When the file of the last decision cannot be read.
    pub fn open(data: &Path) -> io::Result<Rules> {
        let path = data.join(FILE);
        let decision = files::read_json::<Decision>(&path)?.unwrap_or_default();
        Ok(Rules { path, current: RwLock::new(Arc::new(InForce::compile(&decision))) })
    }

    /// Returns the rules in force.
    pub fn get(&self) -> Arc<InForce> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another decision in force, after it is on disk.
    ///
    /// # Errors
    /// When it is too large or cannot be written; the one before stays.
    pub fn replace(&self, decision: &Decision) -> io::Result<Arc<InForce>> {
        if decision.yaml.iter().map(String::len).sum::<usize>() > YAML_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more than 8 MiB of rules"));
        }
        let fresh = Arc::new(InForce::compile(decision));
        files::write_json(&self.path, decision)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
        Ok(fresh)
    }
}

impl InForce {
    fn compile(decision: &Decision) -> InForce {
        let own = decision.yaml.iter().enumerate();
        let own = own.map(|(at, yaml)| RuleSource { path: format!("server:{at}"), yaml: yaml.clone() });
        let (engine, refused) = match decision.yaml.is_empty() {
            true => (content::engine(), 0),
            false => {
                let shipped = content::embedded();
                let sources: Vec<RuleSource> = shipped.rules.iter().cloned().chain(own).collect();
                let (engine, errors) = Engine::load(&sources, &shipped.fields);
                (Arc::new(engine), errors.len())
            }
        };
        InForce { engine, version: decision.version, refused, off: decision.off.iter().cloned().collect() }
    }

    /// True when something may follow from a rule.
    pub fn counts(&self, rule: &str) -> bool {
        !self.off.contains(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hinomi_model::{Event, Table, Timestamp};

    const RULE: &str = "title: t\nid: own\nlevel: high\nlogsource: {product: hinomi, service: DeviceProcessEvents}\n\
                        detection: {s: {FileName: strange}, condition: s}\n";

    fn fires(rules: &Rules) -> bool {
        let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(0));
        event.set("ActionType", "ProcessCreated").set("FileName", "strange");
        rules.get().engine.matches(&event).iter().any(|found| found.rule.id == "own")
    }

    #[test]
    fn a_decision_is_in_force_at_once_and_after_a_restart() {
        let data = tempfile::tempdir().expect("folder");
        let rules = Rules::open(data.path()).expect("opens");
        assert!(!fires(&rules) && rules.get().version == 0);
        let shipped = content::engine().rules()[0].id.clone();
        let decision = Decision { version: 7, yaml: vec![RULE.to_owned()], off: vec![shipped.clone()] };
        assert_eq!(rules.replace(&decision).expect("written").refused, 0);
        for rules in [&rules, &Rules::open(data.path()).expect("opens again")] {
            assert!(fires(rules) && rules.get().version == 7);
            assert!(!rules.get().counts(&shipped) && rules.get().counts("own"));
        }
        // a text that cannot be read is told and stops nothing
        let damaged = Decision { version: 8, yaml: vec![RULE.to_owned(), "title: [".to_owned()], off: Vec::new() };
        assert_eq!(rules.replace(&damaged).expect("written").refused, 1);
        assert!(fires(&rules) && rules.get().counts(&shipped));
        let bomb = Decision { version: 9, yaml: vec!["x".repeat(9 << 20)], off: Vec::new() };
        rules.replace(&bomb).map(|_| ()).expect_err("too large");
        assert_eq!(rules.get().version, 8, "the one before stays");
    }
}

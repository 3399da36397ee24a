//! MITRE ATT&CK: tactics and techniques of the enterprise matrix.

use hinomi_model::Text;
use std::collections::HashMap;

/// A tactic: why an attacker does something.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tactic {
    /// Id, `TA0002`.
    pub id: String,
    /// Name used in tags, rules and alerts, `execution`.
    pub name: String,
    /// Title for people.
    pub title: Text,
}

/// A technique or sub-technique: how an attacker does it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Technique {
    /// Id, `T1059.004`.
    pub id: String,
    /// MITRE's name.
    pub name: String,
    /// Names of the tactics it serves.
    pub tactics: Vec<String>,
    /// The technique that replaces it, when revoked.
    #[serde(default)]
    pub replaced_by: Option<String>,
    /// No longer used by MITRE, without a successor.
    #[serde(default)]
    pub deprecated: bool,
}

/// The table of tactics and techniques.
#[derive(Debug)]
pub struct Attack {
    tactics: Vec<Tactic>,
    techniques: HashMap<String, Technique>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "source")]
    _source: String,
    tactics: Vec<Tactic>,
    techniques: Vec<Technique>,
}

impl Attack {
    /// Reads the table from JSON.
    ///
    /// # Errors
    /// When the text is not such a table.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        let file: File = serde_json::from_str(json)?;
        let techniques = file.techniques.into_iter().map(|technique| (technique.id.clone(), technique)).collect();
        Ok(Attack { tactics: file.tactics, techniques })
    }

    /// Returns the tactics in the order of an attack, as a timeline shows them.
    pub fn tactics(&self) -> &[Tactic] {
        &self.tactics
    }

    /// Returns a tactic by name (`execution`).
    pub fn tactic(&self, name: &str) -> Option<&Tactic> {
        self.tactics.iter().find(|tactic| tactic.name == name)
    }

    /// Returns the place of a tactic in the order of an attack.
    pub fn tactic_order(&self, name: &str) -> Option<usize> {
        self.tactics.iter().position(|tactic| tactic.name == name)
    }

    /// Returns a technique by id (`T1059.004`).
    pub fn technique(&self, id: &str) -> Option<&Technique> {
        self.techniques.get(id)
    }

    /// Returns the technique in force for an id: itself, or what replaced it.
    pub fn current(&self, id: &str) -> Option<&Technique> {
        const HOPS_MAX: usize = 8;
        let mut technique = self.technique(id)?;
        for _ in 0..HOPS_MAX {
            match technique.replaced_by.as_deref().and_then(|next| self.technique(next)) {
                Some(next) => technique = next,
                None => break,
            }
        }
        Some(technique)
    }

    /// Returns the names of the tactics a technique serves; none for an unknown id.
    pub fn tactics_of(&self, technique: &str) -> &[String] {
        self.current(technique).map(|technique| technique.tactics.as_slice()).unwrap_or_default()
    }

    /// Iterates over the techniques in no particular order.
    pub fn techniques(&self) -> impl Iterator<Item = &Technique> {
        self.techniques.values()
    }
}

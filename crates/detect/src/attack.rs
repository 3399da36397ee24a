//! MITRE ATT&CK: tactics and techniques of the enterprise matrix.

use hinomi_model::{Language, Text};
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
    /// Its Japanese name, our own translation; empty when there is none yet.
    #[serde(skip)]
    pub name_ja: String,
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
    /// Ids and tactic names of later versions of ATT&CK → what the table calls them.
    later: HashMap<String, String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "source")]
    _source: String,
    tactics: Vec<Tactic>,
    techniques: Vec<Technique>,
    #[serde(default)]
    later: HashMap<String, String>,
    #[serde(default)]
    japanese: HashMap<String, String>,
}

impl Technique {
    /// Returns the name in a language; MITRE's where there is no translation.
    pub fn title(&self, language: Language) -> &str {
        if language == Language::Ja && !self.name_ja.is_empty() { &self.name_ja } else { &self.name }
    }
}

impl Attack {
    /// Reads the table from JSON.
    ///
    /// # Errors
    /// When the text is not such a table.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        let mut file: File = serde_json::from_str(json)?;
        let mut named = |mut technique: Technique| {
            technique.name_ja = file.japanese.remove(&technique.id).unwrap_or_default();
            (technique.id.clone(), technique)
        };
        let techniques = file.techniques.into_iter().map(&mut named).collect();
        Ok(Attack { tactics: file.tactics, techniques, later: file.later })
    }

    /// Returns the tactics in the order of an attack, as a timeline shows them.
    pub fn tactics(&self) -> &[Tactic] {
        &self.tactics
    }

    /// Returns a tactic by name (`execution`), also by one that a later version of ATT&CK uses.
    pub fn tactic(&self, name: &str) -> Option<&Tactic> {
        let name = self.later.get(name).map_or(name, String::as_str);
        self.tactics.iter().find(|tactic| tactic.name == name)
    }

    /// Returns the place of a tactic in the order of an attack.
    pub fn tactic_order(&self, name: &str) -> Option<usize> {
        self.tactics.iter().position(|tactic| tactic.name == name)
    }

    /// Returns a technique by id (`T1059.004`), also by one that a later version of ATT&CK gave it.
    pub fn technique(&self, id: &str) -> Option<&Technique> {
        self.techniques.get(self.later.get(id).map_or(id, String::as_str))
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

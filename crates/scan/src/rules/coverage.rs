//! What a set of rules covers of ATT&CK.

use hinomi_detect::{RuleInfo, content};
use hinomi_model::{Language, Text};
use serde::Serialize;
use std::collections::BTreeMap;

/// A tactic and the techniques of it that rules name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tactic {
    /// Id, `TA0002`.
    pub id: String,
    /// Title in both languages.
    pub title: Text,
    /// Techniques, with the most rules first.
    pub techniques: Vec<Technique>,
    /// Techniques in force that serve the tactic.
    pub known: usize,
}

/// A technique and how many rules name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Technique {
    /// Id in force, `T1059.001`.
    pub id: String,
    /// MITRE's name.
    pub name: String,
    /// Its Japanese name, our own translation.
    pub name_ja: String,
    /// Rules that name it, under this or an older id.
    pub rules: usize,
    /// Those of level high or critical.
    pub high: usize,
}

/// Returns the matrix of a set of rules; tactics in the order of an attack.
pub fn matrix(rules: &[RuleInfo]) -> Vec<Tactic> {
    let attack = content::attack();
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for rule in rules {
        let mut ids: Vec<&str> =
            rule.techniques.iter().filter_map(|id| attack.current(id)).map(|technique| technique.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let high = matches!(rule.level.as_str(), "high" | "critical");
        for id in ids {
            let count = counts.entry(id).or_default();
            *count = (count.0 + 1, count.1 + usize::from(high));
        }
    }
    let tactic = |tactic: &hinomi_detect::attack::Tactic| {
        let serves = |id: &str| attack.tactics_of(id).contains(&tactic.name);
        let mut techniques: Vec<Technique> = counts
            .iter()
            .filter(|(id, _)| serves(id))
            .map(|(id, (rules, high))| Technique {
                id: (*id).to_owned(),
                name: attack.technique(id).map_or("", |technique| technique.title(Language::En)).to_owned(),
                name_ja: attack.technique(id).map_or("", |technique| technique.title(Language::Ja)).to_owned(),
                rules: *rules,
                high: *high,
            })
            .collect();
        techniques.sort_by(|a, b| b.rules.cmp(&a.rules).then(a.id.cmp(&b.id)));
        let in_force = |known: &&hinomi_detect::attack::Technique| {
            known.replaced_by.is_none() && !known.deprecated && known.tactics.contains(&tactic.name)
        };
        let known = attack.techniques().filter(in_force).count();
        Tactic { id: tactic.id.clone(), title: tactic.title.clone(), techniques, known }
    };
    attack.tactics().iter().map(tactic).collect()
}

/// Returns the matrix as lines of text.
pub fn lines(matrix: &[Tactic], language: Language) -> Vec<String> {
    let mut lines = Vec::new();
    for tactic in matrix {
        let title = if language == Language::Ja { &tactic.title.ja } else { &tactic.title.en };
        lines.push(format!("{} {title}: {} / {}", tactic.id, tactic.techniques.len(), tactic.known));
        for technique in &tactic.techniques {
            let Technique { id, rules, high, name, name_ja } = technique;
            let name = if language == Language::Ja { name_ja } else { name };
            lines.push(format!("  {id:10} {rules:4} ({high:3} high)  {name}"));
        }
    }
    lines
}

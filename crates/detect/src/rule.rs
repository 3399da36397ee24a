//! What a rule says about itself.

use hinomi_model::{Severity, Text};

/// A rule file as text, before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSource {
    /// Where it comes from, for messages (`rules/mail/shell-from-mail-client.yml`).
    pub path: String,
    /// The YAML text; several documents are several rules.
    pub yaml: String,
}

/// What the sensor may do on its own when the rule fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Respond {
    /// Only tell.
    #[default]
    None,
    /// Stop the process tree at once.
    Stop,
}

/// What a loaded rule says about itself: everything but its logic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleInfo {
    /// Its `id`; the path when it has none.
    pub id: String,
    /// Where it came from.
    pub path: String,
    /// Title in both languages (a public rule has one text for both).
    pub title: Text,
    /// What it means.
    pub description: Text,
    /// What an administrator does next, in order.
    pub next_steps: Vec<Text>,
    /// Sigma's level as written.
    pub level: String,
    /// Severity: Sigma's level (critical and high → high) or the override of our block.
    pub severity: Severity,
    /// Tags as written.
    pub tags: Vec<String>,
    /// ATT&CK technique ids (`T1059.004`) from the tags.
    pub techniques: Vec<String>,
    /// ATT&CK tactic names (`execution`), from the tags or else from the techniques; first is the category.
    pub tactics: Vec<String>,
    /// Who wrote it. The licence of public rules asks that alerts show it.
    pub author: String,
    /// Its licence when it names one.
    pub license: String,
    /// Where to read more.
    pub references: Vec<String>,
    /// When it may be wrong.
    pub false_positives: Vec<String>,
    /// What the sensor may do.
    pub respond: Respond,
}

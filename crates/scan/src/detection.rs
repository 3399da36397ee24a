//! What a run finds: a rule and the event it fired on.

use crate::limits::SHOWN_BYTES_MAX;
use crate::record::Record;
use hinomi_detect::RuleInfo;
use hinomi_model::{Language, MatchedField, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// One detection, as `hinomi scan` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detection {
    /// Id of the rule.
    pub rule_id: String,
    /// Its title in the language asked for.
    pub title: String,
    /// Sigma's level as written in the rule.
    pub level: String,
    /// Tags as written in the rule.
    pub tags: Vec<String>,
    /// When the event happened, RFC 3339 UTC; null when the log does not tell.
    pub time: Option<Timestamp>,
    /// The log: path of the file, and after `!` the file in an archive.
    pub source: Arc<str>,
    /// Number of the event in its log: record id, or line.
    pub record_id: Option<u64>,
    /// The fields of the event, long values cut.
    pub fields: Map<String, Json>,
    /// Who wrote the rule: the licence of public rules asks that it is shown.
    pub author: String,
    /// ATT&CK techniques of the rule.
    #[serde(skip)]
    pub techniques: Vec<String>,
    /// ATT&CK tactics of the rule.
    #[serde(skip)]
    pub tactics: Vec<String>,
    /// The fields that made the rule fire.
    #[serde(skip)]
    pub matched: Vec<MatchedField>,
}

impl Detection {
    /// Makes the detection of a rule on an event.
    pub fn new(
        rule: &RuleInfo,
        matched: Vec<MatchedField>,
        record: &Record,
        source: &Arc<str>,
        language: Language,
    ) -> Detection {
        let title = if language == Language::Ja { &rule.title.ja } else { &rule.title.en };
        let fields = record.own_fields().iter();
        Detection {
            rule_id: rule.id.clone(),
            title: title.clone(),
            level: rule.level.clone(),
            tags: rule.tags.clone(),
            time: record.time,
            source: Arc::clone(source),
            record_id: record.record_id,
            fields: fields.map(|field| (field.name.to_string(), field.value.json(SHOWN_BYTES_MAX))).collect(),
            author: rule.author.clone(),
            techniques: rule.techniques.clone(),
            tactics: rule.tactics.clone(),
            matched,
        }
    }
}

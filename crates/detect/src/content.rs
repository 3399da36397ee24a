//! The content that ships with every build: rules, field mapping, ATT&CK table, texts.

use crate::attack::Attack;
use crate::{Engine, FieldMap, LogsourceMap, RuleError, RuleSource};
use hinomi_model::Text;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

mod files {
    include!(concat!(env!("OUT_DIR"), "/content.rs"));
}

/// Folder of the rules over logs.
const LOG_RULES: &str = "rules/logs/";

/// Everything of `content/` that is needed at run time.
#[derive(Debug)]
pub struct Content {
    /// The rules over rows of the hunting tables, by path: what sensor and server load.
    pub rules: Vec<RuleSource>,
    /// The field mapping.
    pub fields: FieldMap,
}

/// Returns the embedded content.
pub fn embedded() -> &'static Content {
    static CONTENT: OnceLock<Content> = OnceLock::new();
    CONTENT.get_or_init(|| {
        let rules = rules(|path| !path.starts_with(LOG_RULES));
        let fields = FieldMap::parse("fields.yml", file("fields.yml")).expect("the embedded mapping is tested");
        Content { rules, fields }
    })
}

/// Returns the rules over events of other products' logs, by path: `hinomi scan` loads them too. A sensor
/// that never sees such events does not pay for them.
pub fn log_rules() -> Vec<RuleSource> {
    rules(|path| path.starts_with(LOG_RULES))
}

fn rules(wanted: impl Fn(&str) -> bool) -> Vec<RuleSource> {
    let chosen = files::FILES.iter().filter(|(path, _)| path.starts_with("rules/") && wanted(path));
    chosen.map(|(path, yaml)| RuleSource { path: (*path).to_owned(), yaml: (*yaml).to_owned() }).collect()
}

/// Compiles the embedded rules anew. A test keeps the errors empty.
pub fn load() -> (Engine, Vec<RuleError>) {
    let content = embedded();
    Engine::load(&content.rules, &content.fields)
}

/// Returns the engine over the embedded rules, compiled at the first call.
pub fn engine() -> Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    Arc::clone(ENGINE.get_or_init(|| Arc::new(load().0)))
}

/// Returns the table of log sources.
pub fn logsources() -> &'static LogsourceMap {
    static MAP: OnceLock<LogsourceMap> = OnceLock::new();
    MAP.get_or_init(|| {
        LogsourceMap::parse("logsources.yml", file("logsources.yml")).expect("the embedded table is tested")
    })
}

/// Returns the ATT&CK table.
pub fn attack() -> &'static Attack {
    static ATTACK: OnceLock<Attack> = OnceLock::new();
    ATTACK.get_or_init(|| Attack::parse(file("attack.json")).expect("the embedded table is tested"))
}

/// Returns a text of `content/texts.json` by key; the key itself when there is none.
pub fn text(key: &str) -> Text {
    static TEXTS: OnceLock<HashMap<String, Text>> = OnceLock::new();
    let texts = TEXTS.get_or_init(|| serde_json::from_str(file("texts.json")).expect("the embedded texts are tested"));
    texts.get(key).cloned().unwrap_or_else(|| Text::same(key))
}

fn file(path: &str) -> &'static str {
    files::FILES.iter().find(|(at, _)| *at == path).map(|(_, text)| *text).expect("content holds the file")
}

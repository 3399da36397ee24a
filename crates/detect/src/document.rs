//! Rule documents: from YAML to what the engine compiles.

use crate::condition;
use crate::content;
use crate::error::{Fault, RuleErrorCode as Code};
use crate::expr::Expr;
use crate::fields::LogSource;
use crate::modifier::Placeholders;
use crate::rule::{Respond, RuleInfo};
use crate::selection::{Names, Selections};
use crate::yaml::{Node, Place};
use hinomi_model::{Severity, Text};

/// Most selections in one rule.
const SELECTIONS_MAX: usize = 200;
/// Longest title and description, characters; longer ones are cut.
const TITLE_CHARS_MAX: usize = 300;
const DESCRIPTION_CHARS_MAX: usize = 4_000;

/// A rule that was read, but for its logic.
pub(crate) struct Rule<'n> {
    pub info: RuleInfo,
    /// Name by which correlations refer to it.
    pub name: Option<String>,
    pub logsource: LogSource,
    pub detection: Detection<'n>,
    /// Where `id` stands, or the document.
    pub id_at: Place,
    /// Where `logsource` stands.
    pub logsource_at: Place,
}

/// Selections and their condition, before field names are resolved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detection<'n> {
    node: &'n Node,
    /// A key that is no selection (`rules` of a filter).
    beside: &'static str,
}

/// What kind of document this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rule,
    Correlation,
    Filter,
}

/// Tells the kind of a document.
pub(crate) fn kind(node: &Node) -> Result<Kind, Fault> {
    if node.map().is_none() {
        return Err(Fault::new(node.at, Code::Structure, "a rule must be a map of keys"));
    }
    if let Some((key, _)) = entry(node, "action") {
        let fault = Fault::new(key.at, Code::Unsupported, "rule collections are not part of Sigma 2");
        return Err(fault.hint("write every rule as a document of its own"));
    }
    Ok(match () {
        () if entry(node, "correlation").is_some() => Kind::Correlation,
        () if entry(node, "filter").is_some() => Kind::Filter,
        () => Kind::Rule,
    })
}

/// Reads a rule.
pub(crate) fn rule<'n>(path: &str, node: &'n Node) -> Result<Rule<'n>, Fault> {
    let info = info(path, node)?;
    let logsource_of = logsource(node)?;
    let detection = Detection { node: need(node, "detection")?, beside: "" };
    Ok(Rule {
        info,
        name: name(node),
        logsource: logsource_of,
        detection,
        id_at: node.get("id").map_or(node.at, |id| id.at),
        logsource_at: entry(node, "logsource").map_or(node.at, |(key, _)| key.at),
    })
}

/// The name by which correlations refer to a document.
pub(crate) fn name(node: &Node) -> Option<String> {
    node.get("name").and_then(Node::text).map(str::to_owned)
}

/// A filter: what must not be, or must be, for the rules it names to fire.
pub(crate) struct Filter<'n> {
    /// Ids, names or titles of rules; `None` = every rule of the log source.
    pub rules: Option<Vec<String>>,
    pub logsource: Option<LogSource>,
    pub detection: Detection<'n>,
    /// Where the names of the rules stand.
    pub rules_at: Place,
}

/// Reads a filter.
pub(crate) fn filter(node: &Node) -> Result<Filter<'_>, Fault> {
    need(node, "title")?;
    let block = need(node, "filter")?;
    let rules = need(block, "rules")?;
    let names = rules.texts();
    if names.is_empty() {
        return Err(Fault::new(rules.at, Code::Correlation, "the filter names no rule").hint("ids, names, or any"));
    }
    let any = names.len() == 1 && names[0].eq_ignore_ascii_case("any");
    Ok(Filter {
        rules: (!any).then_some(names),
        logsource: node.get("logsource").map(|_| logsource(node)).transpose()?,
        detection: Detection { node: block, beside: "rules" },
        rules_at: rules.at,
    })
}

impl Detection<'_> {
    /// Reads the logic, with field names as `names` says.
    pub fn logic(&self, names: Names<'_>, placeholders: &Placeholders) -> Result<Expr, Fault> {
        let detection = self.node;
        let entries =
            detection.map().ok_or_else(|| Fault::new(detection.at, Code::Structure, "detection must be a map"))?;
        if entries.len() > SELECTIONS_MAX {
            return Err(Fault::new(detection.at, Code::Limit, format!("more than {SELECTIONS_MAX} selections")));
        }
        let reader = Selections::new(names, placeholders);
        let mut selections = Vec::new();
        let mut condition = None;
        for (key, value) in entries {
            match key.text().unwrap_or_default() {
                "condition" => condition = Some(value),
                "timeframe" => {
                    return Err(Fault::new(key.at, Code::Unsupported, "timeframe belongs into correlation rules"));
                }
                name if !self.beside.is_empty() && name == self.beside => {}
                name => selections.push((name.to_owned(), reader.read(value)?)),
            }
        }
        let condition =
            condition.ok_or_else(|| Fault::new(detection.at, Code::Condition, "the condition is missing"))?;
        condition::read(condition, &selections)
    }
}

pub(crate) fn info(path: &str, node: &Node) -> Result<RuleInfo, Fault> {
    let text = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default().trim().to_owned();
    let list = |key: &str| node.get(key).map(Node::texts).unwrap_or_default();
    let title = need(node, "title")?;
    let title = title.text().ok_or_else(|| Fault::new(title.at, Code::Structure, "the title must be a text"))?;
    let level = text("level");
    let mut severity = match level.as_str() {
        "critical" | "high" => Severity::High,
        "medium" | "" => Severity::Medium,
        "low" => Severity::Low,
        "informational" => Severity::Informational,
        other => {
            let at = node.get("level").map_or(node.at, |level| level.at);
            let fault = Fault::new(at, Code::Structure, format!("unknown level {other:?}"));
            return Err(fault.hint("informational, low, medium, high or critical"));
        }
    };
    let tags = list("tags");
    let (techniques, tactics) = attack_of(&tags);
    let id = text("id");
    let mut title = Text::same(cut(title.trim(), TITLE_CHARS_MAX));
    let mut description = Text::same(cut(&text("description"), DESCRIPTION_CHARS_MAX));
    let mut next_steps = Vec::new();
    let mut respond = Respond::None;
    if let Some(block) = node.get("hinomi") {
        let ours = hinomi(block)?;
        title = ours.title.unwrap_or(title);
        description = ours.description.unwrap_or(description);
        severity = ours.severity.unwrap_or(severity);
        next_steps = ours.next_steps;
        respond = ours.respond;
    }
    Ok(RuleInfo {
        id: if id.is_empty() { path.to_owned() } else { id },
        path: path.to_owned(),
        title,
        description,
        next_steps,
        level: if level.is_empty() { "medium".to_owned() } else { level },
        severity,
        tags,
        techniques,
        tactics,
        author: text("author"),
        license: text("license"),
        references: list("references"),
        false_positives: list("falsepositives"),
        respond,
    })
}

/// Techniques and tactics of `attack.*` tags. Without a tactic tag the techniques tell the tactics.
fn attack_of(tags: &[String]) -> (Vec<String>, Vec<String>) {
    let table = content::attack();
    let mut techniques: Vec<String> = Vec::new();
    let mut tactics: Vec<String> = Vec::new();
    for tag in tags {
        let Some(name) = tag.to_ascii_lowercase().strip_prefix("attack.").map(|name| name.replace('_', "-")) else {
            continue;
        };
        let (list, known) = match table.technique(&name.to_ascii_uppercase()) {
            Some(technique) => (&mut techniques, Some(&technique.id)),
            None => (&mut tactics, table.tactic(&name).map(|tactic| &tactic.name)),
        };
        if let Some(known) = known.filter(|known| !list.contains(known)) {
            list.push(known.clone());
        }
    }
    if tactics.is_empty() {
        for tactic in techniques.iter().flat_map(|technique| table.tactics_of(technique)) {
            if !tactics.contains(tactic) {
                tactics.push(tactic.clone());
            }
        }
    }
    (techniques, tactics)
}

fn logsource(node: &Node) -> Result<LogSource, Fault> {
    let source = need(node, "logsource")?;
    if source.map().is_none() {
        return Err(Fault::new(source.at, Code::Structure, "logsource must be a map"));
    }
    let text = |key: &str| source.get(key).and_then(Node::text).map(str::to_owned);
    let found = LogSource { category: text("category"), product: text("product"), service: text("service") };
    if found == LogSource::default() {
        let fault = Fault::new(source.at, Code::Logsource, "the log source is empty");
        return Err(fault.hint("name a category, or a product and service"));
    }
    Ok(found)
}

#[derive(Default)]
struct Ours {
    title: Option<Text>,
    description: Option<Text>,
    next_steps: Vec<Text>,
    severity: Option<Severity>,
    respond: Respond,
}

/// Our own block: texts in both languages, next steps, what the sensor may do.
fn hinomi(block: &Node) -> Result<Ours, Fault> {
    let entries = block.map().ok_or_else(|| Fault::new(block.at, Code::Hinomi, "the block hinomi must be a map"))?;
    let mut ours = Ours::default();
    for (key, value) in entries {
        match key.text().unwrap_or_default() {
            "title" => ours.title = Some(both(value)?),
            "description" => ours.description = Some(both(value)?),
            "next_steps" => {
                let steps = value.list();
                let steps = steps.ok_or_else(|| Fault::new(value.at, Code::Hinomi, "next_steps must be a list"))?;
                ours.next_steps = steps.iter().map(both).collect::<Result<_, _>>()?;
            }
            "severity" => {
                let severity = value.text().and_then(|text| text.parse().ok());
                let fault = || Fault::new(value.at, Code::Hinomi, "unknown severity");
                ours.severity = Some(severity.ok_or_else(|| fault().hint("informational, low, medium or high"))?);
            }
            "respond" => {
                ours.respond = match value.text() {
                    Some("none") => Respond::None,
                    Some("stop") => Respond::Stop,
                    _ => return Err(Fault::new(value.at, Code::Hinomi, "respond must be none or stop")),
                }
            }
            other => {
                let fault = Fault::new(key.at, Code::Hinomi, format!("unknown key {other:?} in the block hinomi"));
                return Err(fault.hint("title, description, next_steps, severity, respond"));
            }
        }
    }
    Ok(ours)
}

fn both(node: &Node) -> Result<Text, Fault> {
    let entries = node.map().unwrap_or_default();
    let text = |key: &str| node.get(key).and_then(Node::text).map(|text| cut(text.trim(), DESCRIPTION_CHARS_MAX));
    match (text("en"), text("ja")) {
        (Some(en), Some(ja)) if entries.len() == 2 && !en.is_empty() && !ja.is_empty() => Ok(Text { en, ja }),
        _ => Err(Fault::new(node.at, Code::Hinomi, "the text must be given in en and ja, and in nothing else")),
    }
}

pub(crate) fn entry<'n>(node: &'n Node, name: &str) -> Option<&'n (Node, Node)> {
    node.map()?.iter().find(|(key, _)| key.text() == Some(name))
}

pub(crate) fn need<'n>(node: &'n Node, key: &str) -> Result<&'n Node, Fault> {
    node.get(key)
        .filter(|value| !value.is_null())
        .ok_or_else(|| Fault::new(node.at, Code::Structure, format!("the key {key:?} is missing")))
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

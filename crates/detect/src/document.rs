//! Rule documents: from YAML to what the engine compiles.

use crate::condition;
use crate::content;
use crate::error::{Fault, RuleErrorCode as Code};
use crate::expr::Expr;
use crate::fields::{FieldMap, Logsource, Source};
use crate::rule::{Respond, RuleInfo};
use crate::selection::Selections;
use crate::yaml::Node;
use hinomi_model::{Severity, Text};

/// Most selections in one rule.
const SELECTIONS_MAX: usize = 200;
/// Longest title and description, characters; longer ones are cut.
const TITLE_CHARS_MAX: usize = 300;
const DESCRIPTION_CHARS_MAX: usize = 4_000;

/// A rule that was read: what it says about itself, and its logic per source of events.
pub(crate) struct Document {
    pub info: RuleInfo,
    /// Product the rule is for, `None` = any.
    pub product: Option<String>,
    pub logic: Vec<(Source, Expr)>,
}

/// Reads one document of a rule file.
pub(crate) fn read(path: &str, node: &Node, fields: &FieldMap) -> Result<Document, Fault> {
    if node.map().is_none() {
        return Err(Fault::new(node.at, Code::Structure, "a rule must be a map of keys"));
    }
    for (key, kind) in [("correlation", "correlation rules"), ("filter", "filters"), ("action", "rule collections")] {
        if let Some((key, _)) = entry(node, key) {
            return Err(Fault::new(key.at, Code::Unsupported, format!("{kind} are not supported yet")));
        }
    }
    let info = info(path, node)?;
    let logsource = logsource(node)?;
    let detection = need(node, "detection")?;
    let sources = fields.sources_of(&logsource);
    if sources.is_empty() {
        let at = entry(node, "logsource").map_or(node.at, |(key, _)| key.at);
        let fault = Fault::new(at, Code::Logsource, format!("no events of the log source {}", name(&logsource)));
        return Err(fault.hint("categories: process_creation, file_event, network_connection, dns_query and others"));
    }
    // a rule may stand for several sources; it is refused only when it fits none of them
    let mut logic = Vec::new();
    let mut first_fault = None;
    for source in sources {
        match logic_for(detection, source) {
            Ok(expr) => logic.push((source.clone(), expr)),
            Err(fault) => {
                first_fault.get_or_insert(fault);
            }
        }
    }
    match first_fault {
        Some(fault) if logic.is_empty() => Err(fault),
        _ => Ok(Document { info, product: logsource.product.filter(|product| product != "hinomi"), logic }),
    }
}

fn logic_for(detection: &Node, source: &Source) -> Result<Expr, Fault> {
    let entries =
        detection.map().ok_or_else(|| Fault::new(detection.at, Code::Structure, "detection must be a map"))?;
    if entries.len() > SELECTIONS_MAX {
        return Err(Fault::new(detection.at, Code::Limit, format!("more than {SELECTIONS_MAX} selections")));
    }
    let reader = Selections::new(source);
    let mut selections = Vec::new();
    let mut condition = None;
    for (key, value) in entries {
        match key.text().unwrap_or_default() {
            "condition" => condition = Some(value),
            "timeframe" => {
                return Err(Fault::new(key.at, Code::Unsupported, "timeframe belongs into correlation rules"));
            }
            name => selections.push((name.to_owned(), reader.read(value)?)),
        }
    }
    let condition = condition.ok_or_else(|| Fault::new(detection.at, Code::Condition, "the condition is missing"))?;
    condition::read(condition, &selections)
}

fn info(path: &str, node: &Node) -> Result<RuleInfo, Fault> {
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
    let mut techniques = Vec::new();
    let mut tactics = Vec::new();
    for tag in tags {
        let Some(name) = tag.to_ascii_lowercase().strip_prefix("attack.").map(|name| name.replace('_', "-")) else {
            continue;
        };
        let technique = name.to_ascii_uppercase();
        if table.technique(&technique).is_some() && !techniques.contains(&technique) {
            techniques.push(technique);
        } else if table.tactic(&name).is_some() && !tactics.contains(&name) {
            tactics.push(name);
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

fn logsource(node: &Node) -> Result<Logsource, Fault> {
    let source = need(node, "logsource")?;
    if source.map().is_none() {
        return Err(Fault::new(source.at, Code::Structure, "logsource must be a map"));
    }
    let text = |key: &str| source.get(key).and_then(Node::text).map(str::to_owned);
    let found = Logsource { category: text("category"), product: text("product"), service: text("service") };
    if found == Logsource::default() {
        let fault = Fault::new(source.at, Code::Logsource, "the log source is empty");
        return Err(fault.hint("name a category, or a product and service"));
    }
    Ok(found)
}

fn name(logsource: &Logsource) -> String {
    let part = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name}: {value}"));
    let parts = [
        part("product", &logsource.product),
        part("category", &logsource.category),
        part("service", &logsource.service),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
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

fn entry<'n>(node: &'n Node, name: &str) -> Option<&'n (Node, Node)> {
    node.map()?.iter().find(|(key, _)| key.text() == Some(name))
}

fn need<'n>(node: &'n Node, key: &str) -> Result<&'n Node, Fault> {
    node.get(key)
        .filter(|value| !value.is_null())
        .ok_or_else(|| Fault::new(node.at, Code::Structure, format!("the key {key:?} is missing")))
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

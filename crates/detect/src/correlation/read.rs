//! Correlation documents.

use super::{Condition, Correlation, CorrelationKind, GroupField};
use crate::RuleInfo;
use crate::condition;
use crate::document::{self, entry, need};
use crate::error::{Fault, RuleErrorCode as Code};
use crate::expr::{Atom, Compare, Expr, Test};
use crate::fields::Target;
use crate::hash;
use crate::yaml::Node;
use std::collections::HashMap;

/// Longest time span, days: state has to be kept that long.
const DAYS_MAX: i64 = 31;
/// Most rules and most grouping fields of one correlation.
const RULES_MAX: usize = 100;
const FIELDS_MAX: usize = 20;
/// Highest count that can be asked for: as many events are kept per group.
pub(crate) const COUNT_MAX: f64 = 10_000.0;

pub(crate) struct Read {
    pub info: RuleInfo,
    pub correlation: Correlation,
}

/// Reads a correlation; `names` gives the rules and correlations that can be referred to.
pub(crate) fn read(path: &str, node: &Node, names: &HashMap<String, usize>) -> Result<Read, Fault> {
    let info = document::info(path, node)?;
    let block = need(node, "correlation")?;
    let entries = block.map().ok_or_else(|| wrong(block, "correlation must be a map"))?;
    const KEYS: [&str; 7] = ["type", "rules", "group-by", "timespan", "condition", "aliases", "generate"];
    for (key, _) in entries {
        if !key.text().is_some_and(|key| KEYS.contains(&key)) {
            let message = format!("unknown key {:?} of a correlation", key.text().unwrap_or_default());
            return Err(wrong(key, message).hint(KEYS.join(", ")));
        }
    }
    let kind = kind(need(block, "type")?)?;
    let rules = need(block, "rules")?;
    let labels = rules.texts();
    if labels.is_empty() || labels.len() > RULES_MAX {
        return Err(wrong(rules, format!("a correlation needs 1 to {RULES_MAX} rules")));
    }
    let children = labels.iter().map(|label| named(label, rules, names)).collect::<Result<Vec<_>, _>>()?;
    let condition = condition_of(block, kind, &labels, &children, names)?;
    let timespan = timespan(need(block, "timespan")?)?;
    let group_by = group_by(block, names)?;
    let generate = match block.get("generate").or_else(|| node.get("generate")) {
        None => false,
        Some(value) => match value.text() {
            Some("true") => true,
            Some("false") => false,
            _ => return Err(wrong(value, "generate must be true or false")),
        },
    };
    // by what is written: the numbers of rules are others when other rules are loaded
    let mut shape = String::new();
    for key in ["type", "rules", "group-by", "aliases", "timespan", "condition"] {
        shape.push_str(key);
        written(block.get(key), &mut shape);
    }
    let key = format!("{}:{:016x}", info.id, hash::bytes(0, shape.as_bytes()));
    let words = words(block);
    let correlation = Correlation { key, words, kind, children, group_by, timespan, condition, generate, quiet: false };
    Ok(Read { info, correlation })
}

/// What a node says, wherever it stands.
fn written(node: Option<&Node>, out: &mut String) {
    out.push('(');
    match node {
        None => {}
        Some(node) => match (node.map(), node.list()) {
            (Some(entries), _) => entries.iter().for_each(|(key, value)| {
                written(Some(key), out);
                written(Some(value), out);
            }),
            (_, Some(items)) => items.iter().for_each(|item| written(Some(item), out)),
            _ => out.push_str(node.text().unwrap_or_default()),
        },
    }
    out.push(')');
}

fn words(block: &Node) -> String {
    let text = |key: &str| block.get(key).and_then(Node::text).unwrap_or_default();
    let bounds = block.get("condition").and_then(Node::map).unwrap_or_default();
    let bounds = bounds.iter().filter(|(key, _)| !matches!(key.text(), Some("field" | "percentile")));
    let bounds =
        bounds.map(|(key, value)| format!(" {} {}", key.text().unwrap_or_default(), value.text().unwrap_or_default()));
    let expression = text("condition");
    let gap = if expression.is_empty() { "" } else { " " };
    format!("{}{gap}{expression}{} in {}", text("type"), bounds.collect::<String>(), text("timespan"))
}

fn wrong(node: &Node, message: impl Into<String>) -> Fault {
    Fault::new(node.at, Code::Correlation, message)
}

fn named(label: &str, at: &Node, names: &HashMap<String, usize>) -> Result<usize, Fault> {
    names.get(label).copied().ok_or_else(|| {
        let fault = wrong(at, format!("no rule that is loaded has the id or name {label:?}"));
        fault.hint("load the rule with the correlation; a correlation cannot refer to itself")
    })
}

fn kind(node: &Node) -> Result<CorrelationKind, Fault> {
    Ok(match node.text().unwrap_or_default() {
        "event_count" => CorrelationKind::EventCount,
        "value_count" => CorrelationKind::ValueCount,
        "temporal" => CorrelationKind::Temporal,
        "temporal_ordered" => CorrelationKind::TemporalOrdered,
        "value_sum" => CorrelationKind::ValueSum,
        "value_avg" => CorrelationKind::ValueAvg,
        "value_percentile" => CorrelationKind::ValuePercentile,
        other => {
            let hint = "event_count, value_count, temporal, temporal_ordered, value_sum, value_avg, value_percentile";
            return Err(wrong(node, format!("unknown type {other:?}")).hint(hint));
        }
    })
}

/// `90s`, `5m`, `1h`, `7d` in microseconds.
fn timespan(node: &Node) -> Result<i64, Fault> {
    let text = node.text().unwrap_or_default();
    let unit = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3_600,
        Some(b'd') => 86_400,
        _ => 0,
    };
    let number = text.get(..text.len().saturating_sub(1)).and_then(|digits| digits.parse::<u32>().ok());
    match number.map(|number| i64::from(number) * unit) {
        Some(seconds) if seconds > 0 && seconds <= DAYS_MAX * 86_400 => Ok(seconds * 1_000_000),
        _ => Err(wrong(node, format!("{text:?} is not a time span")).hint("as in 30s, 5m, 1h, 7d; at most 31d")),
    }
}

fn group_by(block: &Node, names: &HashMap<String, usize>) -> Result<Vec<GroupField>, Fault> {
    let mut fields = Vec::new();
    let Some(list) = block.get("group-by") else { return Ok(fields) };
    let texts = list.texts();
    if texts.len() > FIELDS_MAX {
        return Err(wrong(list, format!("more than {FIELDS_MAX} fields")));
    }
    for name in texts {
        let alias = block.get("aliases").and_then(|aliases| aliases.get(&name));
        let mut per_rule = HashMap::new();
        for (rule, field) in alias.and_then(Node::map).unwrap_or_default() {
            let at = named(rule.text().unwrap_or_default(), rule, names)?;
            let field = field.text().ok_or_else(|| wrong(field, "an alias stands for the name of a field"))?;
            per_rule.insert(at, field.to_owned());
        }
        fields.push(GroupField { name, per_rule });
    }
    Ok(fields)
}

fn condition_of(
    block: &Node,
    kind: CorrelationKind,
    labels: &[String],
    children: &[usize],
    names: &HashMap<String, usize>,
) -> Result<Condition, Fault> {
    let temporal = matches!(kind, CorrelationKind::Temporal | CorrelationKind::TemporalOrdered);
    let Some(node) = block.get("condition") else {
        if temporal {
            return Ok(Condition::default());
        }
        return Err(wrong(block, "the condition is missing").hint("as in condition: {gte: 10}"));
    };
    if let (true, Some(_)) = (temporal, node.text()) {
        let child = |label: &String| names.get(label).filter(|at| children.contains(at));
        let atom = |at: &usize| {
            let target = Target::Named(at.to_string());
            Expr::Atom(Box::new(Atom { target, test: Test::Exists, pattern: String::new() }))
        };
        let selections: Vec<_> = labels.iter().filter_map(|label| Some((label.clone(), atom(child(label)?)))).collect();
        return Ok(Condition { expr: Some(condition::read(node, &selections)?), ..Condition::default() });
    }
    let entries = node.map().ok_or_else(|| wrong(node, "the condition must be a map").hint("as in {gte: 10}"))?;
    let mut condition = Condition { percentile: 50.0, ..Condition::default() };
    for (key, value) in entries {
        let number = || value.text().and_then(|text| text.parse::<f64>().ok()).filter(|number| number.is_finite());
        let compare = match key.text().unwrap_or_default() {
            "gt" => Compare::Greater,
            "gte" => Compare::GreaterOrEqual,
            "lt" => Compare::Less,
            "lte" => Compare::LessOrEqual,
            "eq" => Compare::Equal,
            "neq" => Compare::NotEqual,
            "field" => {
                condition.fields = value.texts();
                continue;
            }
            "percentile" => {
                let percentile = number().filter(|number| (0.0..=100.0).contains(number));
                condition.percentile = percentile.ok_or_else(|| wrong(value, "a percentile is 0 to 100"))?;
                continue;
            }
            other => {
                let fault = wrong(key, format!("unknown key {other:?} of the condition"));
                return Err(fault.hint("gt, gte, lt, lte, eq, neq, field, percentile"));
            }
        };
        condition.bounds.push((compare, number().ok_or_else(|| wrong(value, "a number is needed"))?));
    }
    if condition.bounds.is_empty() {
        return Err(wrong(node, "the condition compares nothing").hint("gt, gte, lt, lte, eq or neq"));
    }
    let values = !temporal && kind != CorrelationKind::EventCount;
    if values && condition.fields.is_empty() {
        let at = entry(block, "condition").map_or(block, |(key, _)| key);
        return Err(wrong(at, "the condition does not say which field's values count").hint("field: <name>"));
    }
    let counted = matches!(kind, CorrelationKind::EventCount | CorrelationKind::ValueCount);
    if counted && condition.bounds.iter().any(|(_, bound)| *bound > COUNT_MAX) {
        return Err(Fault::new(node.at, Code::Limit, format!("counts beyond {COUNT_MAX} are not kept")));
    }
    Ok(condition)
}

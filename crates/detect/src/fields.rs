//! Which tables and columns a Sigma log source and its fields mean (`content/fields.yml`).

use crate::error::{Fault, RuleError, RuleErrorCode as Code};
use crate::yaml::{self, Node};
use hinomi_model::{Kind, Table};
use std::collections::BTreeMap;

/// The mapping of Sigma log sources and field names to hunting tables and columns.
///
/// Beside the sources of the file, `product: hinomi` with `service: <table name>` always stands for
/// a hunting table itself. The table's own column names and `AdditionalFields.<key>` are accepted
/// in every source.
#[derive(Debug, Clone, Default)]
pub struct FieldMap {
    pub(crate) sources: Vec<Source>,
}

/// Events that stand for a Sigma log source.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub category: Option<String>,
    pub service: Option<String>,
    /// Products whose events these can be.
    pub products: Vec<String>,
    pub table: Table,
    /// Values of `ActionType`; none = every row of the table.
    pub actions: Vec<String>,
    pub fields: BTreeMap<String, Target>,
}

/// Where the value of a field comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// A column, by index.
    Column(u16),
    /// A key of the JSON object in `AdditionalFields`.
    Additional(String),
    /// Columns that are set, joined (`domain\name`).
    Join(Vec<u16>, String),
    /// `MD5=…,SHA1=…,SHA256=…` of the columns with these names.
    Hashes(Vec<u16>),
    /// Always this value.
    Const(String),
    /// Every text of the event, for keywords.
    AnyText,
    /// A field of a log, by the name rules use.
    Named(String),
}

impl Target {
    /// Name of the field in the hunting table.
    pub fn name(&self, table: Table) -> String {
        let column = |index: &u16| table.columns().get(usize::from(*index)).map_or("", |column| column.name);
        match self {
            Target::Column(index) => column(index).to_owned(),
            Target::Additional(key) => format!("AdditionalFields.{key}"),
            Target::Join(columns, _) | Target::Hashes(columns) => columns.last().map(column).unwrap_or("").to_owned(),
            Target::Const(_) => "ActionType".to_owned(),
            Target::AnyText => "*".to_owned(),
            Target::Named(name) => name.clone(),
        }
    }
}

/// Where events come from: what a rule's `logsource` asks for, and what an event is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogSource {
    /// Kind of event (`process_creation`).
    pub category: Option<String>,
    /// Product that writes it (`windows`).
    pub product: Option<String>,
    /// Log of the product (`security`).
    pub service: Option<String>,
}

impl LogSource {
    /// Builds a log source; empty texts are parts that are not told.
    pub fn new(product: &str, category: &str, service: &str) -> Self {
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        LogSource { category: part(category), product: part(product), service: part(service) }
    }

    /// True when every part this (a rule's) log source names is the same in the event's.
    pub fn covers(&self, event: &LogSource) -> bool {
        let same = |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        same(&self.category, &event.category)
            && same(&self.product, &event.product)
            && same(&self.service, &event.service)
    }
}

impl std::fmt::Display for LogSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [("product", &self.product), ("category", &self.category), ("service", &self.service)];
        let told = parts.into_iter().filter_map(|(name, part)| Some(format!("{name}: {}", part.as_ref()?)));
        f.write_str(&told.collect::<Vec<_>>().join(", "))
    }
}

impl FieldMap {
    /// Reads the mapping from YAML; `path` is for messages.
    ///
    /// # Errors
    /// When the text is not such a mapping or names an unknown table or column.
    pub fn parse(path: &str, text: &str) -> Result<FieldMap, RuleError> {
        read(text).map_err(|fault| fault.of(path, text))
    }

    /// The sources a rule's log source stands for.
    pub(crate) fn sources_of(&self, wanted: &LogSource) -> Vec<usize> {
        let same = |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        self.sources
            .iter()
            .enumerate()
            .filter(|(_, source)| {
                same(&wanted.category, &source.category)
                    && same(&wanted.service, &source.service)
                    && wanted.product.as_ref().is_none_or(|product| source.products.contains(product))
                    // a product alone says too little about which table is meant
                    && (wanted.category.is_some() || wanted.service.is_some())
            })
            .map(|(at, _)| at)
            .collect()
    }
}

impl Source {
    /// Resolves a field name.
    pub fn field(&self, name: &str) -> Option<Target> {
        if let Some(target) = self.fields.get(name) {
            return Some(target.clone());
        }
        if let Some(key) = name.strip_prefix("AdditionalFields.") {
            return Some(Target::Additional(key.to_owned()));
        }
        match self.table.column_index(name)? {
            // the time of the event is not kept as a cell
            0 => None,
            index => Some(Target::Column(index)),
        }
    }

    /// The known field name most like `name`.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let columns = self.table.columns().iter().skip(1).map(|column| column.name);
        let known = self.fields.keys().map(String::as_str).chain(columns);
        let name = name.to_lowercase();
        known
            .map(|known| (distance(&name, &known.to_lowercase()), known))
            .min()
            .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
            .map(|(_, known)| known)
    }
}

fn read(text: &str) -> Result<FieldMap, Fault> {
    let (documents, fault) = yaml::read(text);
    if let Some(fault) = fault {
        return Err(fault);
    }
    let mut map = FieldMap::default();
    for document in &documents {
        let sources = document.get("sources").and_then(Node::list);
        let sources = sources.ok_or_else(|| Fault::new(document.at, Code::Structure, "no list \"sources\""))?;
        for node in sources {
            map.sources.push(source(node)?);
        }
    }
    for table in Table::ALL {
        map.sources.push(Source {
            category: None,
            service: Some(table.name().to_owned()),
            products: vec!["hinomi".to_owned()],
            table: *table,
            actions: Vec::new(),
            fields: BTreeMap::new(),
        });
    }
    Ok(map)
}

fn source(node: &Node) -> Result<Source, Fault> {
    const KEYS: [&str; 6] = ["category", "service", "products", "table", "actions", "fields"];
    let entries = node.map().ok_or_else(|| Fault::new(node.at, Code::Structure, "a source must be a map"))?;
    if let Some((key, _)) = entries.iter().find(|(key, _)| !key.text().is_some_and(|key| KEYS.contains(&key))) {
        return Err(Fault::new(key.at, Code::Structure, "unknown key of a source").hint(KEYS.join(", ")));
    }
    let text = |key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
    let table = text("table").as_deref().and_then(Table::from_name);
    let table = table.ok_or_else(|| Fault::new(node.at, Code::Structure, "no such table"))?;
    let mut fields = BTreeMap::new();
    for (name, value) in node.get("fields").and_then(Node::map).unwrap_or_default() {
        let name = name.text().unwrap_or_default().to_owned();
        fields.insert(name, target(table, value)?);
    }
    Ok(Source {
        category: text("category"),
        service: text("service"),
        products: node.get("products").map(Node::texts).unwrap_or_default(),
        table,
        actions: node.get("actions").map(Node::texts).unwrap_or_default(),
        fields,
    })
}

fn target(table: Table, node: &Node) -> Result<Target, Fault> {
    let column = |node: &Node| {
        let name = node.text().unwrap_or_default();
        let index = table.column_index(name).filter(|index| *index > 0);
        index.ok_or_else(|| Fault::new(node.at, Code::Field, format!("{} has no column {name:?}", table.name())))
    };
    if let Some(name) = node.text() {
        return match name.strip_prefix("AdditionalFields.") {
            Some(key) => Ok(Target::Additional(key.to_owned())),
            None => column(node).map(Target::Column),
        };
    }
    let columns = |list: &Node| list.list().unwrap_or_default().iter().map(column).collect::<Result<Vec<_>, _>>();
    if let Some(list) = node.get("join") {
        let separator = node.get("with").and_then(Node::text).unwrap_or_default().to_owned();
        return Ok(Target::Join(columns(list)?, separator));
    }
    if let Some(list) = node.get("hashes") {
        let columns = columns(list)?;
        let text = |index: &u16| table.columns()[usize::from(*index)].kind == Kind::String;
        return match columns.iter().all(text) {
            true => Ok(Target::Hashes(columns)),
            false => Err(Fault::new(list.at, Code::Field, "hashes must be text columns")),
        };
    }
    match node.get("const").and_then(Node::text) {
        Some(value) => Ok(Target::Const(value.to_owned())),
        None => Err(Fault::new(node.at, Code::Structure, "expected a column, or one of join, hashes, const")),
    }
}

/// Edit distance, for hints. Inputs are short names; long ones are cut.
fn distance(a: &str, b: &str) -> usize {
    const CHARS_MAX: usize = 64;
    let b: Vec<char> = b.chars().take(CHARS_MAX).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(CHARS_MAX).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_name_their_place() {
        let error = FieldMap::parse("f.yml", "sources:\n  - table: DeviceFileEvents\n    fields: {A: Nope}\n");
        let error = error.expect_err("unknown column");
        assert_eq!((error.line, error.column, error.code), (3, 17, Code::Field));
    }

    #[test]
    fn edit_distance() {
        assert_eq!(distance("commandline", "comandline"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}

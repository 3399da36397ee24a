//! Reads the table of log sources.

use super::{Derive, Entry, LogsourceMap, Wanted};
use crate::error::{Fault, RuleError, RuleErrorCode as Code};
use crate::yaml::{self, Node};

const ENTRY_KEYS: [&str; 6] = ["product", "product_from", "category", "service", "when", "fields"];

impl LogsourceMap {
    /// Reads the table from YAML; `path` is for messages.
    ///
    /// # Errors
    /// When the text is not such a table.
    pub fn parse(path: &str, text: &str) -> Result<LogsourceMap, RuleError> {
        read(text).map_err(|fault| fault.of(path, text))
    }

    fn key(&mut self, name: &str) -> usize {
        match self.keys.iter().position(|key| key == name) {
            Some(at) => at,
            None => {
                self.keys.push(name.to_owned());
                self.keys.len() - 1
            }
        }
    }
}

fn read(text: &str) -> Result<LogsourceMap, Fault> {
    let (documents, fault) = yaml::read(text);
    if let Some(fault) = fault {
        return Err(fault);
    }
    let [document] = documents.as_slice() else {
        return Err(Fault::new((1, 1), Code::Structure, "expected one document"));
    };
    let mut map = LogsourceMap::default();
    for (key, value) in document.map().unwrap_or_default() {
        match key.text() {
            Some("strip") => map.strip = value.texts(),
            Some("aliases") => {
                for (canonical, natives) in value.map().unwrap_or_default() {
                    let canonical = canonical.text().unwrap_or_default();
                    for (choice, native) in natives.texts().into_iter().enumerate() {
                        map.aliases
                            .entry(native.to_ascii_lowercase())
                            .or_default()
                            .push((canonical.to_owned(), choice));
                    }
                }
            }
            Some("sources") => {
                let list = value.list();
                let list = list.ok_or_else(|| Fault::new(value.at, Code::Structure, "sources must be a list"))?;
                for node in list {
                    let entry = entry(&mut map, node)?;
                    map.entries.push(entry);
                }
            }
            _ => return Err(Fault::new(key.at, Code::Structure, "unknown key").hint("strip, aliases, sources")),
        }
    }
    Ok(map)
}

fn entry(map: &mut LogsourceMap, node: &Node) -> Result<Entry, Fault> {
    let entries = node.map().ok_or_else(|| Fault::new(node.at, Code::Structure, "a source must be a map"))?;
    if let Some((key, _)) = entries.iter().find(|(key, _)| !key.text().is_some_and(|key| ENTRY_KEYS.contains(&key))) {
        let fault = Fault::new(key.at, Code::Structure, "unknown key of a source");
        return Err(fault.hint(ENTRY_KEYS.join(", ")));
    }
    let texts = |key: &str| node.get(key).map(Node::texts).unwrap_or_default();
    let mut when = Vec::new();
    for (name, values) in node.get("when").and_then(Node::map).unwrap_or_default() {
        let key = map.key(name.text().unwrap_or_default());
        when.push((key, values.texts().into_iter().map(wanted).collect::<Vec<_>>()));
    }
    if when.is_empty() {
        return Err(Fault::new(node.at, Code::Structure, "a source needs a condition in \"when\""));
    }
    let product_from = texts("product_from").first().map(|name| map.key(name));
    let mut fields = Vec::new();
    for (name, value) in node.get("fields").and_then(Node::map).unwrap_or_default() {
        fields.push((name.text().unwrap_or_default().to_owned(), derive(value)?));
    }
    Ok(Entry {
        product: texts("product").into_iter().next(),
        product_from,
        categories: texts("category"),
        services: texts("service"),
        when,
        fields,
    })
}

fn wanted(text: String) -> Wanted {
    if let Some(other) = text.strip_prefix('!') {
        return Wanted::Not(other.to_ascii_lowercase());
    }
    match text.strip_suffix('*') {
        _ if text.is_empty() => Wanted::Missing,
        Some(prefix) => Wanted::Prefix(prefix.to_ascii_lowercase()),
        None => Wanted::Is(text.to_ascii_lowercase()),
    }
}

fn derive(node: &Node) -> Result<Derive, Fault> {
    let pairs = |key: &str| -> Vec<(String, String)> {
        let entries = node.get(key).and_then(Node::map).unwrap_or_default();
        let text = |node: &Node| node.text().unwrap_or_default().to_owned();
        entries.iter().map(|(from, to)| (text(from), text(to))).collect()
    };
    let texts = |key: &str| node.get(key).map(Node::texts).unwrap_or_default();
    if node.map().is_none() {
        let derive = Derive { from: node.texts(), with: None, values: vec![], prefixes: vec![], constant: None };
        return match derive.from.is_empty() {
            true => Err(Fault::new(node.at, Code::Structure, "expected a field, a list of fields or a map")),
            false => Ok(derive),
        };
    }
    let derive = Derive {
        from: [texts("from"), texts("join")].concat(),
        with: node.get("with").and_then(Node::text).map(str::to_owned),
        values: pairs("values"),
        prefixes: pairs("prefixes"),
        constant: node.get("const").and_then(Node::text).map(str::to_owned),
    };
    let known = |key: &str| ["from", "join", "with", "values", "prefixes", "const"].contains(&key);
    let unknown = node.map().unwrap_or_default().iter().find(|(key, _)| !key.text().is_some_and(known));
    match unknown {
        Some((key, _)) => Err(Fault::new(key.at, Code::Structure, "unknown key")),
        None if derive.from.is_empty() && derive.constant.is_none() => {
            Err(Fault::new(node.at, Code::Structure, "expected one of from, join, const"))
        }
        None => Ok(derive),
    }
}

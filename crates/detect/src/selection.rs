//! Selections: the maps and lists below `detection`.

use crate::error::{Fault, RuleErrorCode as Code};
use crate::expr::{Atom, Expr, Test};
use crate::fields::{Source, Target};
use crate::modifier::{Modifiers, Placeholders};
use crate::yaml::{Kind, Node};
use std::cell::Cell;

/// Most comparisons of one rule, after modifiers and repeated selections.
pub(crate) const ATOMS_MAX: usize = 50_000;
/// Longest pattern text kept for explanations, bytes.
const PATTERN_BYTES_MAX: usize = 300;

/// What the field names of a rule mean.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Names<'s> {
    /// Columns of a hunting table.
    Table(&'s Source),
    /// Fields of any log, by the names rules use.
    Log,
}

/// Reads selections.
pub(crate) struct Selections<'s> {
    names: Names<'s>,
    placeholders: &'s Placeholders,
    atoms: Cell<usize>,
}

impl<'s> Selections<'s> {
    pub fn new(names: Names<'s>, placeholders: &'s Placeholders) -> Self {
        Selections { names, placeholders, atoms: Cell::new(0) }
    }

    /// Reads one selection: a map (all of it), or a list of maps and keywords (one of them).
    pub fn read(&self, node: &Node) -> Result<Expr, Fault> {
        match &node.kind {
            Kind::Map(entries) => {
                if entries.is_empty() {
                    return Err(Fault::new(node.at, Code::Structure, "an empty selection"));
                }
                let items = entries.iter().map(|(key, value)| self.item(key, value)).collect::<Result<_, _>>()?;
                Ok(Expr::and(items))
            }
            Kind::List(items) => {
                if items.is_empty() {
                    return Err(Fault::new(node.at, Code::Structure, "an empty selection"));
                }
                let parts = items.iter().map(|item| self.part(item)).collect::<Result<_, _>>()?;
                Ok(Expr::or(parts))
            }
            Kind::Scalar { .. } => self.part(node),
        }
    }

    fn part(&self, node: &Node) -> Result<Expr, Fault> {
        match &node.kind {
            Kind::Map(_) => self.read(node),
            Kind::Scalar { .. } if node.text().is_some() => {
                self.values(&Target::AnyText, &Modifiers::parse(&["contains"], |_| node.at)?, "keyword", node)
            }
            _ => Err(Fault::new(node.at, Code::Structure, "expected a map of fields or a keyword")),
        }
    }

    /// One entry of a map: `Field|modifier|modifier: value or values`.
    fn item(&self, key: &Node, value: &Node) -> Result<Expr, Fault> {
        let text = key.text().unwrap_or_default();
        let mut names: Vec<&str> = text.split('|').collect();
        let field = names.remove(0).trim();
        let offset_of = |index: usize| {
            let before: usize = names.iter().take(index).map(|name| name.len() + 1).sum();
            key.place_in(text.find('|').map_or(0, |first| first + 1) + before)
        };
        let keyword = field.is_empty();
        let mut modifiers = if names.is_empty() { Modifiers::default() } else { Modifiers::parse(&names, offset_of)? };
        if keyword {
            if names.is_empty() {
                return Err(Fault::new(key.at, Code::Field, "a field without a name"));
            }
            modifiers.anywhere();
        }
        let target = if keyword { Target::AnyText } else { self.target(field, key)? };
        let described = if keyword { "keyword".to_owned() } else { names.join("|") };
        self.values(&target, &modifiers, &described, value)
    }

    fn target(&self, field: &str, at: &Node) -> Result<Target, Fault> {
        let source = match self.names {
            Names::Table(source) => source,
            // the specification strips spaces of names that are not mapped
            Names::Log => return Ok(Target::Named(field.replace(' ', ""))),
        };
        source.field(field).ok_or_else(|| {
            let message = format!("the field {field:?} is not known for {}", source.table.name());
            let fault = Fault::new(at.at, Code::Field, message);
            match source.nearest(field) {
                Some(known) => fault.hint(format!("did you mean {known}?")),
                None => fault.hint("use a Sigma field of the log source or a column of the hunting table"),
            }
        })
    }

    fn values(&self, target: &Target, modifiers: &Modifiers, described: &str, node: &Node) -> Result<Expr, Fault> {
        let single = std::slice::from_ref(node);
        let nodes = match &node.kind {
            Kind::List(items) if items.is_empty() => {
                return Err(Fault::new(node.at, Code::Structure, "an empty list of values"));
            }
            Kind::List(items) => items.as_slice(),
            Kind::Map(_) => return Err(Fault::new(node.at, Code::Structure, "expected a value or a list of values")),
            Kind::Scalar { .. } => single,
        };
        if modifiers.all && nodes.len() < 2 {
            let fault = Fault::new(node.at, Code::Modifier, "the modifier \"all\" needs more than one value");
            return Err(fault.hint("leave it out"));
        }
        let values = nodes.iter().map(|node| self.value(target, modifiers, described, node));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let joined = if modifiers.all { Expr::and(values) } else { Expr::or(values) };
        Ok(if modifiers.negated { joined.not() } else { joined })
    }

    fn value(&self, target: &Target, modifiers: &Modifiers, described: &str, node: &Node) -> Result<Expr, Fault> {
        let text = match &node.kind {
            Kind::Scalar { text, .. } => text,
            _ => {
                return Err(Fault::new(
                    node.at,
                    Code::Structure,
                    "lists and maps cannot stand inside a list of values",
                ));
            }
        };
        let pattern = describe(described, node.text().unwrap_or("null"));
        let atom = |test: Test| self.atom(target, test, &pattern, node);
        if modifiers.exists {
            return match text.to_ascii_lowercase().as_str() {
                "true" | "yes" => atom(Test::Exists),
                "false" | "no" => atom(Test::Exists).map(Expr::not),
                _ => Err(Fault::new(node.at, Code::Value, "exists needs true or false")),
            };
        }
        if node.is_null() {
            return atom(Test::Null);
        }
        if modifiers.fieldref {
            let other = self.target(text, node)?;
            return atom(Test::Field { other, anchor: modifiers.anchor(), cased: modifiers.cased });
        }
        let variants = modifiers.tests(text, node.at, self.placeholders)?;
        let variants = variants.into_iter().map(|tests| tests.into_iter().map(atom).collect::<Result<_, _>>());
        Ok(Expr::or(variants.map(|tests| tests.map(Expr::and)).collect::<Result<_, _>>()?))
    }

    fn atom(&self, target: &Target, test: Test, pattern: &str, node: &Node) -> Result<Expr, Fault> {
        self.atoms.set(self.atoms.get() + 1);
        if self.atoms.get() > ATOMS_MAX {
            return Err(Fault::new(node.at, Code::Limit, format!("more than {ATOMS_MAX} comparisons in one rule")));
        }
        Ok(Expr::Atom(Box::new(Atom { target: target.clone(), test, pattern: pattern.to_owned() })))
    }
}

fn describe(modifiers: &str, value: &str) -> String {
    let mut text = if modifiers.is_empty() { value.to_owned() } else { format!("{modifiers}: {value}") };
    if text.len() > PATTERN_BYTES_MAX {
        let mut end = PATTERN_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

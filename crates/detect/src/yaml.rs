//! YAML with positions and limits: the one reader for rules, field mapping and rule tests.
//!
//! Aliases and tags are refused: rules do not need them, and they are how YAML bombs are built.

use crate::error::{Fault, RuleErrorCode as Code};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use std::collections::HashSet;

/// Longest text that is read, bytes. The longest public rule has about 30 kB.
pub(crate) const BYTES_MAX: usize = 512 * 1024;
/// Deepest nesting.
pub(crate) const DEPTH_MAX: usize = 24;
/// Most scalars, lists and maps in one text.
pub(crate) const NODES_MAX: usize = 50_000;

/// Line and column, both from 1.
pub(crate) type Place = (usize, usize);

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub at: Place,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// `plain` = written without quotes on one line, so that an offset in it is a column.
    Scalar {
        text: String,
        style: Style,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Quoted,
    Block,
}

impl Node {
    /// The text of a scalar that is not null.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, style: Style::Plain } => matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"),
            _ => false,
        }
    }

    pub fn list(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn map(&self) -> Option<&[(Node, Node)]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.map()?.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// The place of byte `offset` of a scalar, as exactly as its style allows.
    pub fn place_in(&self, offset: usize) -> Place {
        match &self.kind {
            Kind::Scalar { text, style } if *style != Style::Block && !text.contains('\n') => {
                let before = text.get(..offset).map_or(0, |before| before.chars().count());
                (self.at.0, self.at.1 + before + usize::from(*style == Style::Quoted))
            }
            _ => self.at,
        }
    }

    /// The texts of a list of scalars, or of one scalar.
    pub fn texts(&self) -> Vec<String> {
        match &self.kind {
            Kind::List(items) => items.iter().filter_map(Node::text).map(str::to_owned).collect(),
            _ => self.text().map(str::to_owned).into_iter().collect(),
        }
    }
}

/// Reads every document. Documents before a mistake are kept.
pub(crate) fn read(text: &str) -> (Vec<Node>, Option<Fault>) {
    if text.len() > BYTES_MAX {
        let message = format!("the text has {} bytes", text.len());
        return (Vec::new(), Some(Fault::new((1, 1), Code::Limit, message).hint(format!("at most {BYTES_MAX}"))));
    }
    let mut reader = Reader { parser: Parser::new_from_str(text), nodes: 0 };
    let mut documents = Vec::new();
    loop {
        match reader.document() {
            Ok(Some(node)) => documents.push(node),
            Ok(None) => return (documents, None),
            Err(fault) => return (documents, Some(fault)),
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    nodes: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(scan_fault(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Fault> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(None),
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                event => return self.node(event, span, 0).map(Some),
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Fault> {
        let at = place(&span);
        self.nodes += 1;
        if depth > DEPTH_MAX {
            return Err(Fault::new(at, Code::Limit, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        if self.nodes > NODES_MAX {
            return Err(Fault::new(at, Code::Limit, format!("more than {NODES_MAX} values in one file")));
        }
        let kind = match event {
            Event::Scalar(text, style, _, tag) => {
                refuse_tag(tag.is_some(), at)?;
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                Kind::Scalar { text: text.into_owned(), style }
            }
            Event::SequenceStart(_, tag) => {
                refuse_tag(tag.is_some(), at)?;
                self.list(depth)?
            }
            Event::MappingStart(_, tag) => {
                refuse_tag(tag.is_some(), at)?;
                self.map(depth)?
            }
            Event::Alias(_) => {
                let fault = Fault::new(at, Code::Yaml, "aliases (*name) are not read in rules");
                return Err(fault.hint("write the value out"));
            }
            _ => return Err(Fault::new(at, Code::Yaml, "unexpected end of the document")),
        };
        Ok(Node { at, kind })
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Kind::List(items));
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut names = HashSet::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Kind::Map(entries));
            }
            let key = self.node(event, span, depth + 1)?;
            let Kind::Scalar { text, .. } = &key.kind else {
                return Err(Fault::new(key.at, Code::Yaml, "a key must be a text"));
            };
            if !names.insert(text.clone()) {
                return Err(Fault::new(key.at, Code::Yaml, format!("the key {text:?} stands twice in one map")));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            entries.push((key, value));
        }
    }
}

fn refuse_tag(tagged: bool, at: Place) -> Result<(), Fault> {
    if tagged {
        return Err(Fault::new(at, Code::Yaml, "tags (!name) are not read in rules"));
    }
    Ok(())
}

fn place(span: &Span) -> Place {
    (span.start.line().max(1), span.start.col() + 1)
}

fn scan_fault(error: &ScanError) -> Fault {
    let at = (error.marker().line().max(1), error.marker().col() + 1);
    if error.info().contains("recursion limit") {
        // the scanner looks ahead and may meet the depth before we count it
        return Fault::new(at, Code::Limit, format!("nested deeper than {DEPTH_MAX} levels"));
    }
    Fault::new(at, Code::Yaml, error.info().to_lowercase())
        .hint("check the indentation, and put texts with special characters in single quotes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_text() {
        let (documents, fault) = read("a: 1\nb:\n  - 'x y'\n");
        assert_eq!(fault, None);
        let item = &documents[0].get("b").expect("b").list().expect("list")[0];
        assert_eq!(item.at, (3, 5));
        assert_eq!(item.place_in(2), (3, 8));
    }

    #[test]
    fn bombs_are_refused() {
        let deep = "[".repeat(100);
        let wide = format!("a: [{}]", "1,".repeat(NODES_MAX + 1));
        let alias = "a: &x [1]\nb: *x\n";
        for (text, code) in
            [(deep.as_str(), Code::Limit), (&wide, Code::Limit), (alias, Code::Yaml), ("a: 1\na: 2\n", Code::Yaml)]
        {
            assert_eq!(read(text).1.expect("refused").code, code, "{}", &text[..10]);
        }
    }
}

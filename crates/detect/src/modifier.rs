//! Modifiers: what stands behind `|` in a field name of a rule.

use crate::cidr::Cidr;
use crate::error::{Fault, RuleErrorCode as Code};
use crate::expr::{Compare, Test};
use crate::literal;
use crate::pattern::{Anchor, Part, Pattern, Shape, lower};
use crate::time::Part as TimePart;
use crate::yaml::Place;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::{Regex, RegexBuilder};
use std::collections::BTreeMap;

/// Largest compiled program of one regular expression, bytes.
const REGEX_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest cache of one regular expression while it runs, bytes.
const REGEX_CACHE_BYTES_MAX: usize = 1024 * 1024;
/// Longest regular expression or literal, bytes.
pub(crate) const VALUE_BYTES_MAX: usize = 16 * 1024;
/// Most values one value may become (`windash` and `base64offset` multiply).
const VARIANTS_MAX: usize = 1_000;
/// The dashes that programs accept: hyphen, slash, en dash, em dash, horizontal bar.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// Values of placeholders (`%Servers%`), by name without the percent signs. A value may hold wildcards.
pub type Placeholders = BTreeMap<String, Vec<String>>;

/// What the modifiers of one field ask for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Modifiers {
    /// All values must match, not one of them.
    pub all: bool,
    pub negated: bool,
    pub cased: bool,
    pub exists: bool,
    pub fieldref: bool,
    cidr: bool,
    compare: Option<Compare>,
    time: Option<TimePart>,
    expand: bool,
    regex: Option<RegexFlags>,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, Default)]
struct RegexFlags {
    insensitive: bool,
    multi_line: bool,
    dot_all: bool,
}

/// A change of the value, in the order written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Contains,
    StartsWith,
    EndsWith,
    Windash,
    Utf16 { big: bool, mark: bool },
    Base64,
    Base64Offset,
}

/// A value on its way through the steps.
enum Value {
    Text(Pattern),
    Bytes(Vec<u8>),
}

impl Value {
    /// The text, also of bytes that are text: ASCII in UTF-16 is text with zero bytes in it.
    fn into_text(self) -> Result<Pattern, String> {
        match self {
            Value::Text(pattern) => Ok(pattern),
            Value::Bytes(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Pattern::literal(text)),
                Err(_) => Err("these bytes are no text and must be encoded before they can be compared".to_owned()),
            },
        }
    }
}

impl Modifiers {
    /// Reads the modifiers; `place` gives the place of the one at an index.
    pub fn parse(names: &[&str], place: impl Fn(usize) -> Place) -> Result<Self, Fault> {
        let mut this = Modifiers::default();
        for (index, name) in names.iter().enumerate() {
            this.add(name).map_err(|(message, hint)| Fault::new(place(index), Code::Modifier, message).hint(hint))?;
        }
        // a part of a date may be compared: `hour|gte`
        let compares = this.compare.is_some() || this.time.is_some();
        let alone = [this.cidr, compares, this.regex.is_some(), this.exists, this.fieldref];
        let exclusive = alone.iter().filter(|set| **set).count();
        let steps_allowed = exclusive == 0
            || this.fieldref
                && this.steps.iter().all(|step| matches!(step, Step::Contains | Step::StartsWith | Step::EndsWith));
        if exclusive > 1 || !(this.steps.is_empty() || steps_allowed) {
            let message = format!("the modifiers {:?} cannot stand together", names.join("|"));
            let hint = "re, cidr, exists, fieldref, comparisons and parts of dates each compare in their own way";
            return Err(Fault::new(place(names.len() - 1), Code::Modifier, message).hint(hint));
        }
        Ok(this)
    }

    fn add(&mut self, name: &str) -> Result<(), (String, &'static str)> {
        let step = match name {
            "contains" => Step::Contains,
            "startswith" => Step::StartsWith,
            "endswith" => Step::EndsWith,
            "windash" => Step::Windash,
            "wide" | "utf16le" => Step::Utf16 { big: false, mark: false },
            "utf16be" => Step::Utf16 { big: true, mark: false },
            "utf16" => Step::Utf16 { big: false, mark: true },
            "base64" => Step::Base64,
            "base64offset" => Step::Base64Offset,
            other => return self.add_flag(other),
        };
        self.steps.push(step);
        Ok(())
    }

    fn add_flag(&mut self, name: &str) -> Result<(), (String, &'static str)> {
        match name {
            "all" => self.all = true,
            "cased" => self.cased = true,
            "neq" => self.negated = true,
            "exists" => self.exists = true,
            "fieldref" => self.fieldref = true,
            "cidr" => self.cidr = true,
            "lt" => self.compare = Some(Compare::Less),
            "lte" => self.compare = Some(Compare::LessOrEqual),
            "gt" => self.compare = Some(Compare::Greater),
            "gte" => self.compare = Some(Compare::GreaterOrEqual),
            "re" => self.regex = Some(RegexFlags::default()),
            "i" | "m" | "s" => match &mut self.regex {
                Some(flags) if name == "i" => flags.insensitive = true,
                Some(flags) if name == "m" => flags.multi_line = true,
                Some(flags) => flags.dot_all = true,
                None => return Err((format!("{name:?} is only known behind \"re\""), "write re|i")),
            },
            "expand" => self.expand = true,
            "" => return Err(("an empty modifier".to_owned(), "remove the extra |")),
            other => {
                if let Some(part) = TimePart::from_name(other) {
                    self.time = Some(part);
                    return Ok(());
                }
                let hint = "known: contains, startswith, endswith, all, re, i, m, s, cased, cidr, windash, base64, \
                            base64offset, wide, utf16, utf16le, utf16be, expand, exists, fieldref, neq, lt, lte, gt, gte, \
                            minute, hour, day, week, month, year";
                return Err((format!("unknown modifier {other:?}"), hint));
            }
        }
        Ok(())
    }

    /// Lets plain values stand anywhere in the text, as keywords do.
    pub fn anywhere(&mut self) {
        if !self.cidr
            && self.compare.is_none()
            && self.time.is_none()
            && self.regex.is_none()
            && !self.steps.contains(&Step::Contains)
        {
            self.steps.push(Step::Contains);
        }
    }

    /// The anchor of a field reference.
    pub fn anchor(&self) -> Anchor {
        match self.steps.first() {
            Some(Step::Contains) => Anchor::Contains,
            Some(Step::StartsWith) => Anchor::Starts,
            Some(Step::EndsWith) => Anchor::Ends,
            _ => Anchor::Equals,
        }
    }

    /// Turns one value of the rule into tests: of one list, all must hold.
    pub fn tests(&self, text: &str, at: Place, placeholders: &Placeholders) -> Result<Vec<Vec<Test>>, Fault> {
        if !self.expand {
            return self.tests_of(text, at);
        }
        let mut tests = Vec::new();
        for text in expand(text, at, placeholders)? {
            tests.extend(self.tests_of(&text, at)?);
        }
        Ok(tests)
    }

    fn tests_of(&self, text: &str, at: Place) -> Result<Vec<Vec<Test>>, Fault> {
        let fault = |message: String| Fault::new(at, Code::Value, message);
        if text.len() > VALUE_BYTES_MAX {
            let message = format!("a value has {} bytes", text.len());
            return Err(Fault::new(at, Code::Limit, message).hint(format!("at most {VALUE_BYTES_MAX}")));
        }
        if self.cidr {
            let cidr = Cidr::parse(text).ok_or_else(|| fault(format!("{text:?} is not a network")));
            return cidr.map(|cidr| vec![vec![Test::Cidr(cidr)]]).map_err(|fault| fault.hint("as in 10.0.0.0/8"));
        }
        if self.compare.is_some() || self.time.is_some() {
            let bound = text.trim().parse::<f64>().ok().filter(|bound| bound.is_finite());
            let bound = bound.ok_or_else(|| fault(format!("{text:?} is not a number")))?;
            let compare = self.compare.unwrap_or(Compare::Equal);
            return Ok(vec![vec![match self.time {
                Some(part) => Test::Time(part, compare, bound),
                None => Test::Compare(compare, bound),
            }]]);
        }
        if let Some(flags) = self.regex {
            let regex = Test::Regex(flags.build(text, at)?);
            // a literal the expression needs stands before it, so that it is rarely run
            return Ok(match literal::required(text, flags.insensitive) {
                Some(literals) => {
                    let waits = |text| vec![Test::Literal(Anchor::Contains, text), regex.clone()];
                    literals.into_iter().map(waits).collect()
                }
                None => vec![vec![regex]],
            });
        }
        let mut values = vec![Value::Text(Pattern::parse(text))];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in values {
                step.apply(value, &mut next).map_err(&fault)?;
            }
            if next.len() > VARIANTS_MAX {
                let message = format!("the modifiers make more than {VARIANTS_MAX} values of this one");
                return Err(Fault::new(at, Code::Limit, message));
            }
            values = next;
        }
        values.into_iter().map(|value| self.compare_with(value, at)).collect()
    }

    fn compare_with(&self, value: Value, at: Place) -> Result<Vec<Test>, Fault> {
        let pattern = value
            .into_text()
            .map_err(|message| Fault::new(at, Code::Modifier, message).hint("add base64 or base64offset behind it"))?;
        // both sides are lower-cased by us: the regex crate folds case more widely (ſ and K)
        let shape = if self.cased { pattern.shape() } else { pattern.lowered().shape() };
        Ok(match shape {
            Shape::Present => vec![Test::Present],
            Shape::Literal(anchor, text) if text.is_empty() => vec![Test::Cased(anchor, text)],
            Shape::Literal(anchor, text) => plain(anchor, text, self.cased),
            Shape::Glob { glob, needle } => {
                let mut tests = Vec::new();
                if !needle.is_empty() {
                    tests.push(Test::Literal(Anchor::Contains, lower(&needle).into_owned()));
                }
                tests.push(Test::Glob { glob, cased: self.cased });
                tests
            }
        })
    }
}

/// A literal; when case matters the lower-cased one comes first, as the automata know it.
fn plain(anchor: Anchor, text: String, cased: bool) -> Vec<Test> {
    let lowered = Test::Literal(anchor, lower(&text).into_owned());
    if cased { vec![lowered, Test::Cased(anchor, text)] } else { vec![lowered] }
}

impl RegexFlags {
    fn build(self, text: &str, at: Place) -> Result<Regex, Fault> {
        let mut builder = RegexBuilder::new(text);
        builder.case_insensitive(self.insensitive).multi_line(self.multi_line).dot_matches_new_line(self.dot_all);
        build(&mut builder, at)
    }
}

fn build(builder: &mut RegexBuilder, at: Place) -> Result<Regex, Fault> {
    const NEST_MAX: u32 = 50;
    builder.size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_CACHE_BYTES_MAX).nest_limit(NEST_MAX);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => Fault::new(at, Code::Limit, "the regular expression becomes too large")
            .hint("use smaller repetitions, or contains and endswith"),
        error => {
            // the crate draws several lines; its last one says what is wrong
            let text = error.to_string();
            let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("not a regular expression");
            let message = last.trim().trim_start_matches("error: ").to_owned();
            Fault::new(at, Code::Value, message).hint("look-around and back-references are not part of the language")
        }
    })
}

impl Step {
    fn apply(self, value: Value, out: &mut Vec<Value>) -> Result<(), String> {
        match (self, value) {
            (Step::Contains | Step::StartsWith | Step::EndsWith, value) => {
                let mut pattern = value.into_text()?;
                if self != Step::StartsWith {
                    pattern.any_at_start();
                }
                if self != Step::EndsWith {
                    pattern.any_at_end();
                }
                out.push(Value::Text(pattern));
            }
            (Step::Windash, value) => windash(&value.into_text()?, out),
            (Step::Utf16 { big, mark }, value) => {
                let pattern = value.into_text()?;
                let text = pattern.as_literal().ok_or("wildcards cannot be encoded")?;
                let mark = mark.then_some(0xFEFF_u16);
                let units = mark.into_iter().chain(text.encode_utf16());
                let bytes = units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
                out.push(Value::Bytes(bytes.collect()));
            }
            (Step::Base64 | Step::Base64Offset, value) => {
                let bytes = match value {
                    Value::Bytes(bytes) => bytes,
                    Value::Text(pattern) => {
                        pattern.as_literal().ok_or("wildcards cannot be encoded")?.as_bytes().to_vec()
                    }
                };
                if self == Step::Base64 {
                    out.push(Value::Text(Pattern::literal(STANDARD.encode(bytes))));
                } else {
                    out.extend((0..3).map(|shift| Value::Text(Pattern::literal(shifted(&bytes, shift)))));
                }
            }
        }
        Ok(())
    }
}

/// The characters of the base64 text that do not depend on what stands around the bytes, when they
/// begin at `shift` modulo three.
fn shifted(bytes: &[u8], shift: usize) -> String {
    const FIRST: [usize; 3] = [0, 2, 3];
    const LAST: [usize; 3] = [0, 3, 2];
    let mut padded = vec![b' '; shift];
    padded.extend_from_slice(bytes);
    let encoded = STANDARD.encode(&padded);
    let end = encoded.len() - LAST[padded.len() % 3];
    encoded.get(FIRST[shift]..end).unwrap_or_default().to_owned()
}

/// Every way to write the dashes that begin a word.
fn windash(pattern: &Pattern, out: &mut Vec<Value>) {
    let mut variants = vec![Pattern::default()];
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut before = None;
    for part in &pattern.0 {
        let Part::Text(text) = part else {
            variants.iter_mut().for_each(|variant| variant.0.push(part.clone()));
            before = None;
            continue;
        };
        let chars: Vec<char> = text.chars().collect();
        for (at, c) in chars.iter().enumerate() {
            let starts =
                DASHES.contains(c) && !before.is_some_and(word) && chars.get(at + 1).copied().is_some_and(word);
            if starts && variants.len() * DASHES.len() <= VARIANTS_MAX {
                variants = variants.iter().flat_map(|variant| DASHES.map(|dash| with(variant, dash))).collect();
            } else {
                variants.iter_mut().for_each(|variant| variant.push(*c));
            }
            before = Some(*c);
        }
    }
    out.extend(variants.into_iter().map(Value::Text));
}

fn with(pattern: &Pattern, c: char) -> Pattern {
    let mut pattern = pattern.clone();
    pattern.push(c);
    pattern
}

/// Puts the values of `%placeholders%` into a text; `\%` is a percent sign.
fn expand(text: &str, at: Place, placeholders: &Placeholders) -> Result<Vec<String>, Fault> {
    let mut texts = vec![String::new()];
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let name = rest.strip_prefix('%').and_then(|rest| rest.split_once('%')).map(|(name, _)| name);
        let name =
            name.filter(|name| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c)));
        if let Some(name) = name {
            let values = placeholders.get(name).ok_or_else(|| {
                let fault = Fault::new(at, Code::Placeholder, format!("the placeholder %{name}% has no values"));
                fault.hint("give its values, or write them into the rule")
            })?;
            texts = texts.iter().flat_map(|text| values.iter().map(move |value| format!("{text}{value}"))).collect();
            if texts.len() > VARIANTS_MAX {
                let message = format!("the placeholders make more than {VARIANTS_MAX} values of this one");
                return Err(Fault::new(at, Code::Limit, message));
            }
            rest = &rest[name.len() + 2..];
            continue;
        }
        let (taken, put) = if rest.starts_with("\\%") { (2, '%') } else { (c.len_utf8(), c) };
        texts.iter_mut().for_each(|text| text.push(put));
        rest = &rest[taken..];
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literals(names: &[&str], value: &str) -> Vec<String> {
        let modifiers = Modifiers::parse(names, |_| (1, 1)).expect("modifiers");
        let tests = modifiers.tests(value, (1, 1), &Placeholders::new()).expect("value");
        tests
            .into_iter()
            .map(|tests| match tests.last() {
                Some(Test::Cased(_, text) | Test::Literal(_, text)) => text.clone(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn base64_of_the_specification() {
        assert_eq!(literals(&["base64", "cased"], "foo"), ["Zm9v"]);
        assert_eq!(literals(&["base64offset", "contains", "cased"], "foobar"), ["Zm9vYmFy", "Zvb2Jhc", "mb29iYX"]);
        assert_eq!(literals(&["wide", "base64", "cased"], "ab"), ["YQBiAA=="]);
        assert_eq!(literals(&["utf16", "base64", "cased"], "a"), ["//5hAA=="]);
    }

    #[test]
    fn windash_makes_every_dash() {
        assert_eq!(literals(&["windash", "contains"], " -a b-c").len(), 5);
        assert_eq!(literals(&["windash"], "-a /b").len(), 25);
    }

    #[test]
    fn nonsense_is_refused() {
        for names in [&["containz"][..], &["i"], &["re", "contains"], &["cidr", "lt"], &["hour", "contains"], &[""]] {
            assert!(Modifiers::parse(names, |_| (1, 1)).is_err(), "{names:?}");
        }
        for (names, value) in [
            (&["re"][..], "(a"),
            (&["re"], "(?=a)"),
            (&["re"], "(a{1000}){1000}"),
            (&["cidr"], "10.0.0.0/64"),
            (&["lt"], "many"),
            (&["base64"], "a*"),
            (&["utf16"], "a"),
            (&["hour"], "noon"),
            (&["expand"], "%nobody%"),
        ] {
            let modifiers = Modifiers::parse(names, |_| (1, 1)).expect("modifiers");
            assert!(modifiers.tests(value, (1, 1), &Placeholders::new()).is_err(), "{names:?} {value}");
        }
    }
}

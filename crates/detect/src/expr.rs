//! Logic of a rule: atoms (one field, one test) under and, or, not.

use crate::cidr::Cidr;
use crate::fields::Target;
use crate::pattern::{Anchor, Glob};
use crate::time::Part;
use regex::Regex;

/// A condition over atoms.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    Const(bool),
    Atom(Box<Atom>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
}

/// One field compared with one thing.
#[derive(Debug, Clone)]
pub(crate) struct Atom {
    pub target: Target,
    pub test: Test,
    /// As written in the rule, for explanations: `endswith: /bash`.
    pub pattern: String,
}

/// How a field is compared.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    /// The lower-cased value against a lower-cased, non-empty literal.
    Literal(Anchor, String),
    /// The value against a literal, case matters; also the empty text.
    Cased(Anchor, String),
    /// Wildcards inside; on the lower-cased value unless `cased`.
    Glob {
        glob: Glob,
        cased: bool,
    },
    Regex(Regex),
    Cidr(Cidr),
    Compare(Compare, f64),
    /// A part of a date.
    Time(Part, Compare, f64),
    /// The field has no value: it is missing or null.
    Null,
    /// The field has a value.
    Present,
    /// The field is in the event, even if null.
    Exists,
    /// Another field of the same event.
    Field {
        other: Target,
        anchor: Anchor,
        cased: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Compare {
    pub fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Compare::Equal => value == bound,
            Compare::NotEqual => value != bound,
            Compare::Less => value < bound,
            Compare::LessOrEqual => value <= bound,
            Compare::Greater => value > bound,
            Compare::GreaterOrEqual => value >= bound,
        }
    }
}

impl Anchor {
    /// Compares without regard to what case means.
    pub fn holds(self, value: &str, needle: &str) -> bool {
        match self {
            Anchor::Equals => value == needle,
            Anchor::Starts => value.starts_with(needle),
            Anchor::Ends => value.ends_with(needle),
            Anchor::Contains => value.contains(needle),
        }
    }
}

impl Test {
    /// Distinguishes tests: equal keys on the same field give equal answers.
    pub fn key(&self) -> String {
        match self {
            Test::Literal(anchor, text) => format!("l{} {text}", *anchor as u8),
            Test::Cased(anchor, text) => format!("c{} {text}", *anchor as u8),
            Test::Glob { glob, cased } => format!("g{cased} {glob:?}"),
            Test::Regex(regex) => format!("r {}", regex.as_str()),
            Test::Cidr(cidr) => format!("n{cidr:?}"),
            Test::Compare(compare, bound) => format!("m{compare:?} {bound}"),
            Test::Time(part, compare, bound) => format!("t{part:?} {compare:?} {bound}"),
            Test::Null => "0".to_owned(),
            Test::Present => "1".to_owned(),
            Test::Exists => "2".to_owned(),
            Test::Field { other, anchor, cased } => format!("f{other:?} {anchor:?} {cased}"),
        }
    }

    /// True when one value of the field meets the test; `lowered` is the value in lower case.
    ///
    /// Tests of the field as a whole and of two fields are not answered here.
    pub fn holds(&self, value: &str, lowered: &str) -> bool {
        match self {
            Test::Literal(anchor, text) => anchor.holds(lowered, text),
            Test::Cased(anchor, text) => anchor.holds(value, text),
            Test::Glob { glob, cased: true } => glob.matches(value),
            Test::Glob { glob, cased: false } => glob.matches(lowered),
            Test::Regex(regex) => regex.is_match(value),
            Test::Cidr(cidr) => cidr.contains(value),
            Test::Compare(compare, bound) => number(value).is_some_and(|value| compare.holds(value, *bound)),
            Test::Time(part, compare, bound) => part.of(value).is_some_and(|part| compare.holds(part, *bound)),
            Test::Present | Test::Exists => true,
            Test::Null | Test::Field { .. } => false,
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

impl Expr {
    pub fn and(mut parts: Vec<Expr>) -> Expr {
        match parts.len() {
            0 => Expr::Const(true),
            1 => parts.remove(0),
            _ => Expr::And(parts),
        }
    }

    pub fn or(mut parts: Vec<Expr>) -> Expr {
        match parts.len() {
            0 => Expr::Const(false),
            1 => parts.remove(0),
            _ => Expr::Or(parts),
        }
    }

    pub fn not(self) -> Expr {
        Expr::Not(Box::new(self))
    }

    /// Number of comparisons.
    pub fn size(&self) -> usize {
        match self {
            Expr::Const(_) | Expr::Atom(_) => 1,
            Expr::Not(inner) => inner.size(),
            Expr::And(parts) | Expr::Or(parts) => parts.iter().map(Expr::size).sum(),
        }
    }
}

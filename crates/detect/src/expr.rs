//! Logic of a rule: atoms (one field, one test) under and, or, not.

use crate::cidr::Cidr;
use crate::fields::Target;
use crate::pattern::Anchor;
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
    /// A regular expression on the value, or on the lower-cased value.
    Regex {
        regex: Regex,
        lowered: bool,
    },
    Cidr(Cidr),
    Compare(Compare, f64),
    /// The field has no value.
    Null,
    /// The field has a value.
    Present,
    /// Another field of the same event.
    Field {
        other: Target,
        anchor: Anchor,
        cased: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Compare {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Compare {
    pub fn holds(self, value: f64, bound: f64) -> bool {
        match self {
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
            Test::Literal(anchor, text) => format!("l{anchor:?} {text}"),
            Test::Cased(anchor, text) => format!("c{anchor:?} {text}"),
            Test::Regex { regex, lowered } => format!("r{lowered} {}", regex.as_str()),
            Test::Cidr(cidr) => format!("n{cidr:?}"),
            Test::Compare(compare, bound) => format!("m{compare:?} {bound}"),
            Test::Null => "0".to_owned(),
            Test::Present => "1".to_owned(),
            Test::Field { other, anchor, cased } => format!("f{other:?} {anchor:?} {cased}"),
        }
    }
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
}

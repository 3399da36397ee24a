//! Comparisons and fields of all rules, each kept once.

use crate::expr::{Atom, Expr, Test};
use crate::fields::Target;
use crate::values::Values;
use std::collections::HashMap;

/// The fields and comparisons rules use; matchers refer to them by number.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub targets: Vec<Target>,
    by_target: HashMap<Target, u32>,
    pub atoms: Vec<PoolAtom>,
    by_key: HashMap<(u32, String), u32>,
}

/// One field, by its slot, compared with one thing.
#[derive(Debug)]
pub(crate) struct PoolAtom {
    pub slot: u32,
    pub test: Test,
    /// Slot of the other field of [`Test::Field`].
    pub other: u32,
    /// As written in the first rule that asks for it.
    pub pattern: Box<str>,
}

/// A rule's condition over atoms of the pool.
#[derive(Debug, Clone)]
pub(crate) enum Logic {
    Const(bool),
    Atom(u32),
    And(Box<[Logic]>),
    Or(Box<[Logic]>),
    Not(Box<Logic>),
}

impl Pool {
    /// Numbers a field.
    pub fn slot(&mut self, target: &Target) -> u32 {
        if let Some(slot) = self.by_target.get(target) {
            return *slot;
        }
        let slot = self.targets.len() as u32;
        self.targets.push(target.clone());
        self.by_target.insert(target.clone(), slot);
        slot
    }

    /// Numbers the atoms of a condition and removes what is constant.
    pub fn lower(&mut self, expr: &Expr) -> Logic {
        match expr {
            Expr::Const(truth) => Logic::Const(*truth),
            Expr::Not(inner) => match self.lower(inner) {
                Logic::Const(truth) => Logic::Const(!truth),
                inner => Logic::Not(Box::new(inner)),
            },
            Expr::And(parts) => self.join(parts, false),
            Expr::Or(parts) => self.join(parts, true),
            Expr::Atom(atom) => match (&atom.target, &atom.test) {
                (Target::Const(_), Test::Field { .. } | Test::Null) => Logic::Const(false),
                (Target::Const(text), test) => Logic::Const(test.holds(text, &crate::pattern::lower(text))),
                _ => Logic::Atom(self.atom(atom)),
            },
        }
    }

    /// Joins with or (`decisive` = true) or and (`decisive` = false): a part that is constantly decisive
    /// decides, other constants vanish, nested parts of the same kind are laid flat.
    fn join(&mut self, parts: &[Expr], decisive: bool) -> Logic {
        let mut kept = Vec::with_capacity(parts.len());
        for part in parts {
            match (self.lower(part), decisive) {
                (Logic::Const(truth), _) if truth == decisive => return Logic::Const(decisive),
                (Logic::Const(_), _) => {}
                (Logic::Or(inner), true) | (Logic::And(inner), false) => kept.extend(inner),
                (part, _) => kept.push(part),
            }
        }
        match (kept.len(), decisive) {
            (0, _) => Logic::Const(!decisive),
            (1, _) => kept.remove(0),
            (_, true) => Logic::Or(kept.into()),
            (_, false) => Logic::And(kept.into()),
        }
    }

    fn atom(&mut self, atom: &Atom) -> u32 {
        let slot = self.slot(&atom.target);
        let key = (slot, atom.test.key());
        if let Some(known) = self.by_key.get(&key) {
            return *known;
        }
        let other = match &atom.test {
            Test::Field { other, .. } => self.slot(other),
            _ => 0,
        };
        let id = self.atoms.len() as u32;
        self.atoms.push(PoolAtom { slot, test: atom.test.clone(), other, pattern: atom.pattern.as_str().into() });
        self.by_key.insert(key, id);
        id
    }

    /// Drops what only loading needs.
    pub fn seal(&mut self) {
        self.by_key = HashMap::new();
        self.atoms.shrink_to_fit();
    }
}

impl PoolAtom {
    /// True when the event meets the comparison.
    pub fn holds(&self, values: &impl Values) -> bool {
        match &self.test {
            Test::Null => !values.any(self.slot, |_| true),
            Test::Exists => values.exists(self.slot),
            Test::Present => values.any(self.slot, |_| true),
            _ => values.any(self.slot, |value| self.holds_for(value, values)),
        }
    }

    /// True when one value of the field meets the comparison.
    pub fn holds_for(&self, value: &str, values: &impl Values) -> bool {
        let lower = crate::pattern::lower;
        match &self.test {
            Test::Field { anchor, cased: true, .. } => values.any(self.other, |other| anchor.holds(value, other)),
            Test::Field { anchor, cased: false, .. } => {
                let lowered = lower(value);
                values.any(self.other, |other| anchor.holds(&lowered, &lower(other)))
            }
            test @ (Test::Literal(..) | Test::Glob { cased: false, .. }) => test.holds(value, &lower(value)),
            test => test.holds(value, value),
        }
    }
}

impl Logic {
    /// True when the event meets the condition; slow and plain, for explanations.
    pub fn holds(&self, pool: &Pool, values: &impl Values) -> bool {
        match self {
            Logic::Const(truth) => *truth,
            Logic::Atom(id) => pool.atoms[*id as usize].holds(values),
            Logic::Not(inner) => !inner.holds(pool, values),
            Logic::And(parts) => parts.iter().all(|part| part.holds(pool, values)),
            Logic::Or(parts) => parts.iter().any(|part| part.holds(pool, values)),
        }
    }

    /// Calls with every comparison that holds and was asked to hold.
    pub fn explain(&self, pool: &Pool, values: &impl Values, each: &mut dyn FnMut(&PoolAtom)) {
        match self {
            Logic::Const(_) | Logic::Not(_) => {}
            Logic::Atom(id) => {
                let atom = &pool.atoms[*id as usize];
                if atom.holds(values) {
                    each(atom);
                }
            }
            Logic::And(parts) | Logic::Or(parts) => {
                for part in parts.iter().filter(|part| part.holds(pool, values)) {
                    part.explain(pool, values, each);
                }
            }
        }
    }
}

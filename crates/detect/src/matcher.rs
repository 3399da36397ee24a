//! Rules over one kind of events, compiled: one look at each value, then bits.
//!
//! 1. Per field one [`Index`] over all literals of all rules; what it finds for a value is remembered in a
//!    bounded memo, because events repeat their values.
//! 2. A list of literals (`contains: [a, b, c]`) is one bit: each of its literals sets it.
//! 3. Every rule that can has a *wake set*: bits of which one must be set when it fires, those that seem
//!    rarest. Only awake rules, and the few that have no wake set, are evaluated.
//! 4. A condition is a row of branches over bits. What is not a literal (regular expressions, networks,
//!    numbers) is evaluated when a branch asks for it, at most once per event.

use crate::expr::Test;
use crate::fields::Target;
use crate::index::Index;
use crate::pattern::Anchor;
use crate::pool::{Logic, Pool};
use crate::scratch::Scratch;
use crate::values::{Values, Wanted};
use std::collections::{BTreeMap, HashMap};

/// Rules ready to run.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    /// Fields with literals: which, and the literals of each.
    wanted: Wanted,
    scans: Vec<Scan>,
    /// Literals that may stand anywhere.
    anywhere: Option<Index>,
    bits: u32,
    /// Bits that wake rules.
    wake_mask: Vec<u64>,
    /// For each bit, where its rules begin in `wakes`.
    wake_from: Vec<u32>,
    wakes: Vec<u32>,
    /// Rules without wake set, as words of a bitset.
    always: Vec<u64>,
    rules: Vec<Compiled>,
    nodes: Vec<Node>,
    /// Atoms evaluated on demand.
    lazy: Vec<u32>,
}

#[derive(Debug)]
struct Scan {
    slot: u32,
    index: Index,
}

#[derive(Debug, Clone, Copy)]
struct Compiled {
    /// Index of the rule in the engine.
    rule: u32,
    entry: u32,
}

/// Goes to `yes` or `no`; the first two places are the answers.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// A bit, or a lazy atom when [`LAZY`] is set.
    test: u32,
    yes: u32,
    no: u32,
}

const LAZY: u32 = 1 << 31;
const FALSE: u32 = 0;
const TRUE: u32 = 1;

impl Matcher {
    /// Compiles rules given by their index in the engine.
    pub fn build<'l>(pool: &Pool, rules: impl Iterator<Item = (u32, &'l Logic)>) -> Matcher {
        let mut builder = Builder::new(pool);
        let rules: Vec<(u32, Formula)> = rules.map(|(rule, logic)| (rule, builder.formula(logic))).collect();
        builder.count_uses(&rules);
        for (rule, formula) in rules {
            builder.add(rule, formula);
        }
        builder.finish()
    }

    /// Adds the engine's index of every rule that fires to `fired`, ascending.
    pub fn run(&self, pool: &Pool, values: &impl Values, scratch: &mut Scratch, memo: usize, fired: &mut Vec<u32>) {
        if self.rules.is_empty() {
            return;
        }
        scratch.begin(self.bits as usize, self.lazy.len(), &self.always);
        if let Some(index) = &self.anywhere {
            values.texts(|value| scratch.look_once(index, value));
        }
        values.each(&self.wanted, |at, value| {
            let scan = &self.scans[at];
            scratch.look(memo, scan.slot, &scan.index, value);
        });
        self.wake(scratch);
        for word in 0..scratch.awake.len() {
            let mut awake = scratch.awake[word];
            while awake != 0 {
                let rule = self.rules[word * 64 + awake.trailing_zeros() as usize];
                awake &= awake - 1;
                if self.holds(pool, rule.entry, values, scratch) {
                    fired.push(rule.rule);
                }
            }
        }
    }

    fn wake(&self, scratch: &mut Scratch) {
        let Scratch { bits, awake, .. } = scratch;
        for (word, (set, mask)) in bits.iter().zip(&self.wake_mask).enumerate() {
            let mut waking = set & mask;
            while waking != 0 {
                let bit = word * 64 + waking.trailing_zeros() as usize;
                waking &= waking - 1;
                for rule in &self.wakes[self.wake_from[bit] as usize..self.wake_from[bit + 1] as usize] {
                    awake[*rule as usize / 64] |= 1 << (rule % 64);
                }
            }
        }
    }

    fn holds(&self, pool: &Pool, entry: u32, values: &impl Values, scratch: &mut Scratch) -> bool {
        let mut at = entry;
        while at > TRUE {
            let node = self.nodes[at as usize];
            let truth = if node.test & LAZY == 0 {
                scratch.bits[node.test as usize / 64] >> (node.test % 64) & 1 == 1
            } else {
                let lazy = node.test & !LAZY;
                scratch.lazy(lazy, || pool.atoms[self.lazy[lazy as usize] as usize].holds(values))
            };
            at = if truth { node.yes } else { node.no };
        }
        at == TRUE
    }

    /// Rules without wake set, by their index in the engine.
    pub fn sleepless(&self) -> impl Iterator<Item = u32> {
        let always = |at: &usize| self.always[at / 64] >> (at % 64) & 1 == 1;
        (0..self.rules.len()).filter(always).map(|at| self.rules[at].rule)
    }
}

/// A condition over tests of this matcher.
enum Formula {
    Const(bool),
    Test(u32),
    And(Vec<Formula>),
    Or(Vec<Formula>),
    Not(Box<Formula>),
}

struct Builder<'p> {
    pool: &'p Pool,
    matcher: Matcher,
    /// Literals of each bit: one or a list.
    groups: Vec<Box<[u32]>>,
    by_group: HashMap<Box<[u32]>, u32>,
    by_atom: HashMap<u32, u32>,
    /// How many rules ask for a literal: what many ask for is common in events, too.
    uses: HashMap<u32, u32>,
    /// Rules each bit wakes.
    wakes: Vec<Vec<u32>>,
    always: Vec<u32>,
}

/// Bits of which one must be set, and how often that may be the case, by guess.
struct WakeSet {
    bits: Vec<u32>,
    often: f64,
}

impl<'p> Builder<'p> {
    fn new(pool: &'p Pool) -> Self {
        let mut matcher = Matcher::default();
        let answer = Node { test: 0, yes: 0, no: 0 };
        matcher.nodes = vec![answer, answer];
        Builder {
            pool,
            matcher,
            groups: Vec::new(),
            by_group: HashMap::new(),
            by_atom: HashMap::new(),
            uses: HashMap::new(),
            wakes: Vec::new(),
            always: Vec::new(),
        }
    }

    fn literal(&self, atom: u32) -> Option<(Anchor, &'p str)> {
        match &self.pool.atoms[atom as usize].test {
            Test::Literal(anchor, text) => Some((*anchor, text)),
            _ => None,
        }
    }

    fn formula(&mut self, logic: &Logic) -> Formula {
        match logic {
            Logic::Const(truth) => Formula::Const(*truth),
            Logic::Not(inner) => Formula::Not(Box::new(self.formula(inner))),
            Logic::Atom(atom) if self.literal(*atom).is_some() => Formula::Test(self.group(vec![*atom])),
            Logic::Atom(atom) => {
                let next = self.by_atom.len() as u32;
                let lazy = *self.by_atom.entry(*atom).or_insert(next);
                if lazy == next {
                    self.matcher.lazy.push(*atom);
                }
                Formula::Test(lazy | LAZY)
            }
            Logic::And(parts) => Formula::And(parts.iter().map(|part| self.formula(part)).collect()),
            Logic::Or(parts) => {
                // literals of one field become one bit
                let mut by_slot: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
                let mut formulas = Vec::new();
                for part in parts.iter() {
                    match part {
                        Logic::Atom(atom) if self.literal(*atom).is_some() => {
                            by_slot.entry(self.pool.atoms[*atom as usize].slot).or_default().push(*atom);
                        }
                        part => formulas.push(self.formula(part)),
                    }
                }
                let bits: Vec<Formula> = by_slot.into_values().map(|atoms| Formula::Test(self.group(atoms))).collect();
                formulas.splice(0..0, bits);
                match formulas.len() {
                    1 => formulas.remove(0),
                    _ => Formula::Or(formulas),
                }
            }
        }
    }

    fn group(&mut self, mut atoms: Vec<u32>) -> u32 {
        atoms.sort_unstable();
        atoms.dedup();
        let atoms: Box<[u32]> = atoms.into();
        let next = self.groups.len() as u32;
        let bit = *self.by_group.entry(atoms.clone()).or_insert(next);
        if bit == next {
            self.groups.push(atoms);
            self.wakes.push(Vec::new());
        }
        bit
    }

    fn count_uses(&mut self, rules: &[(u32, Formula)]) {
        let mut bits = Vec::new();
        for (_, formula) in rules {
            bits.clear();
            formula.bits(&mut bits);
            bits.sort_unstable();
            bits.dedup();
            for atom in bits.iter().flat_map(|bit| self.groups[*bit as usize].iter()) {
                *self.uses.entry(*atom).or_default() += 1;
            }
        }
    }

    fn add(&mut self, rule: u32, mut formula: Formula) {
        let at = self.matcher.rules.len() as u32;
        match self.wake_set(&formula) {
            Some(set) => set.bits.iter().for_each(|bit| self.wakes[*bit as usize].push(at)),
            None => self.always.push(at),
        }
        self.order(&mut formula);
        let entry = self.emit(&formula, TRUE, FALSE);
        self.matcher.rules.push(Compiled { rule, entry });
    }

    fn wake_set(&self, formula: &Formula) -> Option<WakeSet> {
        match formula {
            // a rule that can never fire never needs to wake
            Formula::Const(false) => Some(WakeSet { bits: Vec::new(), often: 0.0 }),
            Formula::Const(true) | Formula::Not(_) => None,
            Formula::Test(test) if test & LAZY != 0 => None,
            Formula::Test(bit) => Some(WakeSet { bits: vec![*bit], often: self.often(*bit) }),
            Formula::And(parts) => {
                let found = parts.iter().filter_map(|part| self.wake_set(part));
                found.min_by(|a, b| a.often.total_cmp(&b.often))
            }
            Formula::Or(parts) => {
                let mut all = WakeSet { bits: Vec::new(), often: 0.0 };
                for part in parts {
                    let found = self.wake_set(part)?;
                    all.often += found.often;
                    all.bits.extend(found.bits);
                }
                Some(all)
            }
        }
    }

    /// How often a bit may be set, only to compare with others: long literals few rules ask for are rare.
    fn often(&self, bit: u32) -> f64 {
        let of = |atom: &u32| {
            let length = self.literal(*atom).map_or(1, |(_, text)| text.len().min(40)) as f64;
            f64::from(self.uses.get(atom).copied().unwrap_or(1)) / (length * length)
        };
        self.groups[bit as usize].iter().map(of).sum()
    }

    /// What is cheap and rarely true comes first under and; what is cheap under or.
    fn order(&self, formula: &mut Formula) {
        match formula {
            Formula::Const(_) | Formula::Test(_) => {}
            Formula::Not(inner) => self.order(inner),
            Formula::And(parts) => {
                parts.iter_mut().for_each(|part| self.order(part));
                parts.sort_by(|a, b| {
                    let often = |part| self.wake_set(part).map_or(f64::MAX, |set| set.often);
                    self.cost(a).cmp(&self.cost(b)).then(often(a).total_cmp(&often(b)))
                });
            }
            Formula::Or(parts) => {
                parts.iter_mut().for_each(|part| self.order(part));
                parts.sort_by_key(|part| self.cost(part));
            }
        }
    }

    fn cost(&self, formula: &Formula) -> u32 {
        match formula {
            Formula::Const(_) => 0,
            Formula::Test(test) if test & LAZY == 0 => 0,
            Formula::Test(test) => match &self.pool.atoms[self.matcher.lazy[(test & !LAZY) as usize] as usize].test {
                Test::Null | Test::Present | Test::Exists => 1,
                Test::Literal(..) | Test::Cased(..) | Test::Compare(..) => 2,
                Test::Cidr(_) | Test::Time(..) => 4,
                Test::Field { .. } | Test::Glob { .. } => 8,
                Test::Regex { .. } => 64,
            },
            Formula::Not(inner) => self.cost(inner),
            Formula::And(parts) | Formula::Or(parts) => {
                parts.iter().map(|part| self.cost(part)).fold(0, u32::saturating_add)
            }
        }
    }

    /// Writes the branches of a formula and returns where they begin.
    fn emit(&mut self, formula: &Formula, yes: u32, no: u32) -> u32 {
        match formula {
            Formula::Const(true) => yes,
            Formula::Const(false) => no,
            Formula::Test(test) => {
                self.matcher.nodes.push(Node { test: *test, yes, no });
                self.matcher.nodes.len() as u32 - 1
            }
            Formula::Not(inner) => self.emit(inner, no, yes),
            Formula::And(parts) => parts.iter().rev().fold(yes, |next, part| self.emit(part, next, no)),
            Formula::Or(parts) => parts.iter().rev().fold(no, |next, part| self.emit(part, yes, next)),
        }
    }

    fn finish(mut self) -> Matcher {
        let words = self.groups.len().div_ceil(64);
        self.matcher.bits = self.groups.len() as u32;
        self.matcher.wake_mask = vec![0; words];
        for (bit, rules) in self.wakes.iter_mut().enumerate() {
            rules.dedup();
            self.matcher.wake_from.push(self.matcher.wakes.len() as u32);
            self.matcher.wakes.append(rules);
            if self.matcher.wakes.len() as u32 > self.matcher.wake_from[bit] {
                self.matcher.wake_mask[bit / 64] |= 1 << (bit % 64);
            }
        }
        self.matcher.wake_from.push(self.matcher.wakes.len() as u32);
        self.matcher.always = vec![0; self.matcher.rules.len().div_ceil(64)];
        for rule in &self.always {
            self.matcher.always[*rule as usize / 64] |= 1 << (rule % 64);
        }
        (self.matcher.anywhere, self.matcher.scans) = self.scans();
        self.matcher.wanted = Wanted::new(self.matcher.scans.iter().map(|scan| scan.slot).collect());
        self.matcher
    }

    fn scans(&self) -> (Option<Index>, Vec<Scan>) {
        let mut by_slot: BTreeMap<u32, HashMap<(Anchor, &'p str), Vec<u32>>> = BTreeMap::new();
        for (bit, atoms) in self.groups.iter().enumerate() {
            for atom in atoms.iter() {
                let Some(key) = self.literal(*atom) else { continue };
                let slot = self.pool.atoms[*atom as usize].slot;
                by_slot.entry(slot).or_default().entry(key).or_default().push(bit as u32);
            }
        }
        let (mut anywhere, mut scans) = (None, Vec::new());
        for (slot, literals) in by_slot {
            let literals = literals.into_iter().map(|((anchor, text), bits)| (anchor, text.as_bytes(), bits));
            let index = Index::build(literals.collect());
            match self.pool.targets[slot as usize] {
                Target::AnyText => anywhere = Some(index.for_long_texts()),
                _ => scans.push(Scan { slot, index }),
            }
        }
        (anywhere, scans)
    }
}

impl Formula {
    fn bits(&self, out: &mut Vec<u32>) {
        match self {
            Formula::Const(_) => {}
            Formula::Test(test) if test & LAZY != 0 => {}
            Formula::Test(bit) => out.push(*bit),
            Formula::Not(inner) => inner.bits(out),
            Formula::And(parts) | Formula::Or(parts) => parts.iter().for_each(|part| part.bits(out)),
        }
    }
}

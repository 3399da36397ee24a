//! Compiled rules over one kind of events: automata give literal hits, hits wake rules, awake rules
//! are evaluated.
//!
//! 1. Per field one automaton over all literals of all rules reads each value once.
//! 2. Every rule that can has *witnesses*: literals of which at least one must occur when it fires.
//!    Only rules with a witness among the hits are evaluated, and the few without any.
//! 3. Evaluation reads the hits; other tests (regex, networks, numbers) run at most once per event.

use crate::cidr::Cidr;
use crate::expr::{Atom, Compare, Expr, Test};
use crate::fields::Target;
use crate::pattern::Anchor;
use crate::view::{Field, Val, View};
use aho_corasick::{AhoCorasick, MatchKind};
use hinomi_model::{MatchedField, Table};
use regex::Regex;
use std::collections::HashMap;

/// Most matched fields told per detection.
const MATCHED_MAX: usize = 20;
/// Longest matched value told, bytes.
const MATCHED_BYTES_MAX: usize = 1_024;

/// Rules over one kind of events, ready to run.
#[derive(Debug, Default)]
pub(crate) struct Program {
    atoms: Vec<CompiledAtom>,
    scans: Vec<Scan>,
    rules: Vec<CompiledRule>,
    /// For each atom the rules it is a witness of.
    wakes: Vec<Vec<u32>>,
    /// Rules without witness.
    always: Vec<u32>,
}

#[derive(Debug)]
struct CompiledAtom {
    slot: u32,
    check: Check,
    pattern: String,
}

#[derive(Debug)]
enum Check {
    /// Answered by the automaton of the slot.
    Scanned(Anchor, String),
    Cased(Anchor, String),
    Regex {
        regex: Regex,
        lowered: bool,
    },
    Cidr(Cidr),
    Compare(Compare, f64),
    Null,
    Present,
    Field {
        other: u32,
        anchor: Anchor,
        cased: bool,
    },
}

#[derive(Debug)]
struct Scan {
    slot: u32,
    automaton: AhoCorasick,
    /// For each literal the atoms it decides.
    hits: Vec<Decided>,
}

/// Atoms one literal decides, with where it must stand for each.
type Decided = Vec<(Anchor, u32)>;

#[derive(Debug)]
struct CompiledRule {
    /// Index of the rule in the engine.
    rule: u32,
    logic: Logic,
}

#[derive(Debug)]
enum Logic {
    Const(bool),
    Atom(u32),
    And(Vec<Logic>),
    Or(Vec<Logic>),
    Not(Box<Logic>),
}

/// Builds a program; slots are shared by all programs of a table.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    program: Program,
    by_key: HashMap<(u32, String), u32>,
}

/// The fields all rules of a table use.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    pub targets: Vec<Target>,
    by_target: HashMap<Target, u32>,
}

impl Slots {
    fn intern(&mut self, target: &Target) -> u32 {
        if let Some(slot) = self.by_target.get(target) {
            return *slot;
        }
        let slot = self.targets.len() as u32;
        self.targets.push(target.clone());
        self.by_target.insert(target.clone(), slot);
        slot
    }
}

impl Builder {
    /// Adds a rule, by its index in the engine.
    pub fn add(&mut self, rule: u32, logic: &Expr, slots: &mut Slots) {
        let logic = self.lower(logic, slots);
        self.program.rules.push(CompiledRule { rule, logic });
    }

    fn lower(&mut self, expr: &Expr, slots: &mut Slots) -> Logic {
        match expr {
            Expr::Const(truth) => Logic::Const(*truth),
            Expr::Not(inner) => match self.lower(inner, slots) {
                Logic::Const(truth) => Logic::Const(!truth),
                inner => Logic::Not(Box::new(inner)),
            },
            Expr::And(parts) => self.join(parts, false, slots),
            Expr::Or(parts) => self.join(parts, true, slots),
            Expr::Atom(atom) => match &atom.target {
                Target::Const(text) => Logic::Const(of_const(&atom.test, text)),
                _ => Logic::Atom(self.atom(atom, slots)),
            },
        }
    }

    /// Joins parts with or (`decisive` = true) or and (`decisive` = false): a part that is constantly
    /// decisive decides, other constants vanish. Cheap parts come first.
    fn join(&mut self, parts: &[Expr], decisive: bool, slots: &mut Slots) -> Logic {
        let mut kept = Vec::with_capacity(parts.len());
        for part in parts {
            match self.lower(part, slots) {
                Logic::Const(truth) if truth == decisive => return Logic::Const(decisive),
                Logic::Const(_) => {}
                part => kept.push(part),
            }
        }
        kept.sort_by_cached_key(|part| self.cost(part));
        match (kept.pop(), kept.is_empty(), decisive) {
            (None, _, _) => Logic::Const(!decisive),
            (Some(only), true, _) => only,
            (Some(last), false, true) => Logic::Or(kept.into_iter().chain([last]).collect()),
            (Some(last), false, false) => Logic::And(kept.into_iter().chain([last]).collect()),
        }
    }

    fn cost(&self, logic: &Logic) -> u32 {
        match logic {
            Logic::Const(_) => 0,
            Logic::Atom(atom) => match &self.program.atoms[*atom as usize].check {
                Check::Scanned(..) => 0,
                Check::Null | Check::Present => 1,
                Check::Cased(..) | Check::Compare(..) => 2,
                Check::Cidr(_) => 4,
                Check::Field { .. } => 8,
                Check::Regex { .. } => 64,
            },
            Logic::Not(inner) => self.cost(inner),
            Logic::And(parts) | Logic::Or(parts) => {
                parts.iter().map(|part| self.cost(part)).fold(0, u32::saturating_add)
            }
        }
    }

    fn atom(&mut self, atom: &Atom, slots: &mut Slots) -> u32 {
        let slot = slots.intern(&atom.target);
        let key = (slot, atom.test.key());
        if let Some(known) = self.by_key.get(&key) {
            return *known;
        }
        let check = match &atom.test {
            Test::Literal(anchor, text) => Check::Scanned(*anchor, text.clone()),
            Test::Cased(anchor, text) => Check::Cased(*anchor, text.clone()),
            Test::Regex { regex, lowered } => Check::Regex { regex: regex.clone(), lowered: *lowered },
            Test::Cidr(cidr) => Check::Cidr(*cidr),
            Test::Compare(compare, bound) => Check::Compare(*compare, *bound),
            Test::Null => Check::Null,
            Test::Present => Check::Present,
            Test::Field { other, anchor, cased } => {
                Check::Field { other: slots.intern(other), anchor: *anchor, cased: *cased }
            }
        };
        let id = self.program.atoms.len() as u32;
        self.program.atoms.push(CompiledAtom { slot, check, pattern: atom.pattern.clone() });
        self.by_key.insert(key, id);
        id
    }

    /// Finishes the program. Fails only when the literals are too many for an automaton.
    pub fn finish(self) -> Result<Program, aho_corasick::BuildError> {
        let mut program = self.program;
        program.scans = scans(&program.atoms)?;
        program.wakes = vec![Vec::new(); program.atoms.len()];
        for (at, rule) in program.rules.iter().enumerate() {
            let at = at as u32;
            match witnesses(&program.atoms, &rule.logic) {
                Some(witnesses) => {
                    for atom in witnesses.atoms {
                        let woken = &mut program.wakes[atom as usize];
                        if woken.last() != Some(&at) {
                            woken.push(at);
                        }
                    }
                }
                None => program.always.push(at),
            }
        }
        Ok(program)
    }
}

fn scans(atoms: &[CompiledAtom]) -> Result<Vec<Scan>, aho_corasick::BuildError> {
    let mut by_slot: HashMap<u32, HashMap<&str, Decided>> = HashMap::new();
    for (id, atom) in atoms.iter().enumerate() {
        if let Check::Scanned(anchor, text) = &atom.check {
            by_slot.entry(atom.slot).or_default().entry(text).or_default().push((*anchor, id as u32));
        }
    }
    let mut scans = Vec::with_capacity(by_slot.len());
    for (slot, literals) in by_slot {
        let (texts, hits): (Vec<&str>, Vec<_>) = literals.into_iter().unzip();
        let automaton = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&texts)?;
        scans.push(Scan { slot, automaton, hits });
    }
    scans.sort_by_key(|scan| scan.slot);
    Ok(scans)
}

/// Literals of which at least one must occur, and the length of the shortest: long ones are rare.
struct Witnesses {
    atoms: Vec<u32>,
    shortest: usize,
}

fn witnesses(atoms: &[CompiledAtom], logic: &Logic) -> Option<Witnesses> {
    match logic {
        // a rule that can never fire never needs to wake
        Logic::Const(false) => Some(Witnesses { atoms: Vec::new(), shortest: usize::MAX }),
        Logic::Const(true) | Logic::Not(_) => None,
        Logic::Atom(id) => match &atoms[*id as usize].check {
            Check::Scanned(_, text) => Some(Witnesses { atoms: vec![*id], shortest: text.len() }),
            _ => None,
        },
        Logic::And(parts) => {
            let found = parts.iter().filter_map(|part| witnesses(atoms, part));
            found.max_by_key(|found| (found.shortest, std::cmp::Reverse(found.atoms.len())))
        }
        Logic::Or(parts) => {
            let mut all = Witnesses { atoms: Vec::new(), shortest: usize::MAX };
            for part in parts {
                let found = witnesses(atoms, part)?;
                all.shortest = all.shortest.min(found.shortest);
                all.atoms.extend(found.atoms);
            }
            Some(all)
        }
    }
}

fn of_const(test: &Test, text: &str) -> bool {
    let lowered = crate::pattern::lower(text);
    match test {
        Test::Literal(anchor, needle) => anchor.holds(&lowered, needle),
        Test::Cased(anchor, needle) => anchor.holds(text, needle),
        Test::Regex { regex, lowered: true } => regex.is_match(&lowered),
        Test::Regex { regex, lowered: false } => regex.is_match(text),
        Test::Cidr(cidr) => cidr.contains(text),
        Test::Compare(compare, bound) => text.parse().is_ok_and(|value| compare.holds(value, *bound)),
        Test::Present => true,
        Test::Null | Test::Field { .. } => false,
    }
}

/// What is known about an atom for the event at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    No,
    False,
    True,
}

/// One run of a program over one event.
struct Run<'p, 'v, 'e> {
    program: &'p Program,
    view: &'v View<'e>,
    known: Vec<Known>,
}

impl Program {
    /// Calls `fired` with the index of every rule that fires and the fields that made it.
    pub fn run(
        &self,
        view: &View<'_>,
        table: Table,
        targets: &[Target],
        mut fired: impl FnMut(u32, Vec<MatchedField>),
    ) {
        let mut run = Run { program: self, view, known: vec![Known::No; self.atoms.len()] };
        let mut awake = self.always.clone();
        for scan in &self.scans {
            run.scan(scan, &mut awake);
        }
        awake.sort_unstable();
        awake.dedup();
        for at in awake {
            let rule = &self.rules[at as usize];
            if run.holds(&rule.logic) {
                let mut matched = Vec::new();
                run.explain(&rule.logic, table, targets, &mut matched);
                fired(rule.rule, matched);
            }
        }
    }

    /// Rules without witnesses, by their index in the engine.
    pub fn sleepless(&self) -> impl Iterator<Item = u32> {
        self.always.iter().map(|at| self.rules[*at as usize].rule)
    }

    /// Number of comparisons, for figures.
    pub fn atoms(&self) -> usize {
        self.atoms.len()
    }
}

impl Run<'_, '_, '_> {
    fn scan(&mut self, scan: &Scan, awake: &mut Vec<u32>) {
        for value in self.view.field(scan.slot).values() {
            let text = value.lower();
            for hit in scan.automaton.find_overlapping_iter(text) {
                for (anchor, atom) in &scan.hits[hit.pattern().as_usize()] {
                    let starts = hit.start() == 0;
                    let ends = hit.end() == text.len();
                    let holds = match anchor {
                        Anchor::Contains => true,
                        Anchor::Starts => starts,
                        Anchor::Ends => ends,
                        Anchor::Equals => starts && ends,
                    };
                    let known = &mut self.known[*atom as usize];
                    if holds && *known != Known::True {
                        *known = Known::True;
                        awake.extend_from_slice(&self.program.wakes[*atom as usize]);
                    }
                }
            }
        }
    }

    fn holds(&mut self, logic: &Logic) -> bool {
        match logic {
            Logic::Const(truth) => *truth,
            Logic::Atom(id) => self.atom(*id),
            Logic::Not(inner) => !self.holds(inner),
            Logic::And(parts) => parts.iter().all(|part| self.holds(part)),
            Logic::Or(parts) => parts.iter().any(|part| self.holds(part)),
        }
    }

    fn atom(&mut self, id: u32) -> bool {
        let at = id as usize;
        if self.known[at] == Known::No {
            let holds = self.check(&self.program.atoms[at]);
            self.known[at] = if holds { Known::True } else { Known::False };
        }
        self.known[at] == Known::True
    }

    fn check(&self, atom: &CompiledAtom) -> bool {
        let field = self.view.field(atom.slot);
        match &atom.check {
            Check::Null => matches!(field, Field::Null),
            Check::Present => !matches!(field, Field::Null),
            check => field.values().iter().any(|value| self.holds_for(check, value)),
        }
    }

    fn holds_for(&self, check: &Check, value: &Val<'_>) -> bool {
        match check {
            // the automaton has told all that occur
            Check::Scanned(..) | Check::Null | Check::Present => false,
            Check::Cased(anchor, text) => anchor.holds(value.raw(), text),
            Check::Regex { regex, lowered: true } => regex.is_match(value.lower()),
            Check::Regex { regex, lowered: false } => regex.is_match(value.raw()),
            Check::Cidr(cidr) => cidr.contains(value.raw()),
            Check::Compare(compare, bound) => {
                value.raw().trim().parse::<f64>().is_ok_and(|value| compare.holds(value, *bound))
            }
            Check::Field { other, anchor, cased } => self.view.field(*other).values().iter().any(|other| match cased {
                true => anchor.holds(value.raw(), other.raw()),
                false => anchor.holds(value.lower(), other.lower()),
            }),
        }
    }

    /// Collects the comparisons that hold and were asked to hold.
    fn explain(&mut self, logic: &Logic, table: Table, targets: &[Target], out: &mut Vec<MatchedField>) {
        match logic {
            Logic::Const(_) | Logic::Not(_) => {}
            Logic::And(parts) | Logic::Or(parts) => {
                for part in parts {
                    if self.holds(part) {
                        self.explain(part, table, targets, out);
                    }
                }
            }
            Logic::Atom(id) => {
                if out.len() >= MATCHED_MAX || !self.atom(*id) {
                    return;
                }
                let atom = &self.program.atoms[*id as usize];
                let values = self.view.field(atom.slot).values();
                let value = values.iter().find(|value| values.len() == 1 || self.decides(&atom.check, value));
                let matched = MatchedField {
                    field: targets[atom.slot as usize].name(table),
                    value: value.map(|value| cut(value.raw())).unwrap_or_default(),
                    pattern: atom.pattern.clone(),
                };
                if !out.contains(&matched) {
                    out.push(matched);
                }
            }
        }
    }

    fn decides(&self, check: &Check, value: &Val<'_>) -> bool {
        match check {
            Check::Scanned(anchor, text) => anchor.holds(value.lower(), text),
            check => self.holds_for(check, value),
        }
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(MATCHED_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

//! The engine over events of any log: Sigma's own field names, log sources given from outside.

use crate::correlation::{Correlated, Correlation, CorrelationLimits, Correlator, Seen};
use crate::explain;
use crate::fields::{LogSource, Target};
use crate::loader::{Home, Loader};
use crate::matcher::Matcher;
use crate::modifier::Placeholders;
use crate::pool::{Logic, Pool};
use crate::record::{FieldId, FieldNames, Record};
use crate::scratch::Scratch;
use crate::{RuleError, RuleInfo, RuleSource};
use hinomi_model::MatchedField;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

/// Bytes of values and answers a thread remembers.
const MEMO_BYTES_MAX: usize = 16 << 20;

/// What a [`LogEngine`] needs beside the rules.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Names of fields that are read though no rule may name them (`Channel`, `EventID`).
    pub fields: Vec<String>,
    /// Values of placeholders.
    pub placeholders: Placeholders,
}

/// Compiled rules over events of any log. Immutable, shared between threads.
///
/// ```
/// use hinomi_detect::{LogEngine, LogOptions, LogSource, RuleSource};
/// let yaml = "title: t\nid: r\nlogsource: {product: windows, category: process_creation}\n\
///             detection: {sel: {Image|endswith: '\\whoami.exe'}, condition: sel}\n";
/// let rules = [RuleSource { path: "r.yml".to_owned(), yaml: yaml.to_owned() }];
/// let (engine, errors) = LogEngine::load(&rules, &LogOptions::default());
/// assert!(errors.is_empty());
/// let kind = engine.kind(&[LogSource::new("windows", "process_creation", "sysmon")]);
/// let (mut record, mut scratch) = (engine.record(), engine.scratch());
/// record.push("Image", r"C:\Windows\System32\whoami.exe");
/// assert_eq!(engine.matches(&record, &kind, &mut scratch), [0]);
/// ```
#[derive(Debug)]
pub struct LogEngine {
    /// Rules, then correlations.
    infos: Vec<RuleInfo>,
    by_id: HashMap<String, usize>,
    logic: Vec<Logic>,
    quiet: Vec<bool>,
    /// Some rules are quiet.
    any_quiet: bool,
    /// For each rule its log source among `sources`.
    source_of: Vec<u32>,
    sources: Vec<LogSource>,
    correlations: Vec<Correlation>,
    pool: Pool,
    names: Arc<FieldNames>,
    kinds: RwLock<HashMap<Vec<u32>, Kind>>,
}

/// A kind of events: the rules that apply to a set of log sources, compiled together.
#[derive(Debug, Clone)]
pub struct Kind {
    number: usize,
    rules: usize,
    matcher: Arc<Matcher>,
}

impl LogEngine {
    /// Compiles rules; refused ones come back as errors and never stop the others.
    pub fn load(sources: &[RuleSource], options: &LogOptions) -> (LogEngine, Vec<RuleError>) {
        let mut loader = Loader::new(Home::Log(Pool::default()), &options.placeholders);
        loader.load(sources);
        options.fields.iter().for_each(|name| loader.home.field(name));
        let wanted: Vec<String> = loader.correlations.iter().flat_map(Correlation::fields).map(str::to_owned).collect();
        wanted.iter().for_each(|name| loader.home.field(name));
        let Loader { home, infos, rules, correlations, by_id, errors, .. } = loader;
        let mut pool = match home {
            Home::Log(pool) => pool,
            Home::Tables { .. } => Pool::default(),
        };
        pool.seal();
        let ids = pool.targets.iter().enumerate().filter_map(|(at, target)| match target {
            Target::Named(name) => Some((name.as_str().into(), at as u32)),
            _ => None,
        });
        let anywhere = pool.targets.iter().position(|target| *target == Target::AnyText).map(|at| at as u32);
        let names = Arc::new(FieldNames { ids: ids.collect(), count: pool.targets.len(), anywhere });
        let mut numbers: BTreeMap<LogSource, u32> = BTreeMap::new();
        let mut distinct = Vec::new();
        let (mut logic, mut quiet, mut source_of) = (Vec::new(), Vec::new(), Vec::new());
        for rule in rules {
            let number = *numbers.entry(rule.logsource.clone()).or_insert_with(|| {
                distinct.push(rule.logsource.clone());
                distinct.len() as u32 - 1
            });
            source_of.push(number);
            quiet.push(rule.quiet);
            logic.push(rule.logic.into_iter().next().map_or(Logic::Const(false), |(_, logic)| logic));
        }
        let any_quiet = quiet.contains(&true);
        let kinds = RwLock::default();
        let engine = LogEngine {
            infos,
            by_id,
            logic,
            quiet,
            any_quiet,
            source_of,
            sources: distinct,
            correlations,
            pool,
            names,
            kinds,
        };
        (engine, errors)
    }

    /// Returns the kind of events that belong to all these log sources at once, compiled at the first
    /// call. Keep it: asking again costs a comparison with every log source of the rules.
    pub fn kind(&self, sources: &[LogSource]) -> Kind {
        self.kind_where(|wanted| sources.iter().any(|source| wanted.covers(source)))
    }

    /// Returns the kind of events that the rules with these log sources apply to.
    pub fn kind_where(&self, applies: impl Fn(&LogSource) -> bool) -> Kind {
        let chosen = (0..).zip(&self.sources).filter(|(_, wanted)| applies(wanted));
        let key: Vec<u32> = chosen.map(|(at, _)| at).collect();
        if let Some(kind) = self.kinds.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return kind.clone();
        }
        let rules = self.source_of.iter().zip(&self.logic).enumerate();
        let rules = rules.filter(|(_, (source, _))| key.binary_search(source).is_ok());
        let rules: Vec<_> = rules.map(|(at, (_, logic))| (at as u32, logic)).collect();
        let count = rules.len();
        let matcher = Arc::new(Matcher::build(&self.pool, rules.into_iter()));
        let mut kinds = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
        let number = kinds.len();
        kinds.entry(key).or_insert(Kind { number, rules: count, matcher }).clone()
    }

    /// Makes an empty record for events of this engine.
    pub fn record(&self) -> Record {
        Record::new(Arc::clone(&self.names))
    }

    /// Makes working memory for one thread.
    pub fn scratch(&self) -> LogScratch {
        LogScratch { scratch: Scratch::new(MEMO_BYTES_MAX), fired: Vec::new(), reported: Vec::new() }
    }

    /// Returns the number of a field name, `None` when neither rules nor options name it.
    pub fn field(&self, name: &str) -> Option<FieldId> {
        self.names.ids.get(name).map(|id| FieldId(*id))
    }

    /// Evaluates a record of a kind and returns the indices of the rules that fire, ascending. Rules that
    /// only serve correlations are not among them.
    pub fn matches<'s>(&self, record: &Record, kind: &Kind, scratch: &'s mut LogScratch) -> &'s [u32] {
        scratch.fired.clear();
        kind.matcher.run(&self.pool, record, &mut scratch.scratch, kind.number, &mut scratch.fired);
        if !self.any_quiet {
            return &scratch.fired;
        }
        scratch.reported.clear();
        scratch.reported.extend(scratch.fired.iter().filter(|rule| !self.quiet[**rule as usize]));
        &scratch.reported
    }

    /// Tells the correlations the record that was just evaluated, and its time in microseconds.
    pub fn correlate(
        &self,
        record: &Record,
        time: i64,
        scratch: &LogScratch,
        state: &mut Correlator,
    ) -> Vec<Correlated> {
        if self.correlations.is_empty() || scratch.fired.is_empty() {
            return Vec::new();
        }
        let fields = |_: usize, name: &str| record.get(name).map(str::to_owned);
        let seen = Seen { time, realm: "", fired: &scratch.fired, fields: &fields, reference: None };
        self.reported(state.observe(&self.correlations, self.logic.len(), &seen))
    }

    /// Answers the correlations that are open at the end of the input.
    pub fn finish(&self, state: &mut Correlator) -> Vec<Correlated> {
        self.reported(state.finish(&self.correlations, self.logic.len()))
    }

    /// Saves the state of the correlations: a text per correlation, by key.
    pub fn save(&self, state: &Correlator) -> Vec<(String, String)> {
        state.save(&self.correlations)
    }

    /// Restores saved state; of correlations that are gone or were changed nothing is taken. Also returns
    /// the keys of what cannot be read.
    pub fn restore(&self, limits: CorrelationLimits, saved: &[(String, String)]) -> (Correlator, Vec<String>) {
        Correlator::restore(limits, &self.correlations, saved)
    }

    /// Tells why a rule fires on a record: the comparisons that hold and were asked to hold.
    pub fn explain(&self, record: &Record, rule: u32) -> Vec<MatchedField> {
        let mut matched = Vec::new();
        if let Some(logic) = self.logic.get(rule as usize) {
            let name = |slot: u32| match &self.pool.targets[slot as usize] {
                Target::Named(name) => name.clone(),
                _ => "*".to_owned(),
            };
            explain::matched(logic, &self.pool, record, &name, &mut matched);
        }
        matched
    }

    /// Returns what the rules, and behind them the correlations, say about themselves.
    pub fn rules(&self) -> &[RuleInfo] {
        &self.infos
    }

    /// Returns a loaded rule.
    pub fn rule(&self, id: &str) -> Option<&RuleInfo> {
        self.by_id.get(id).map(|at| &self.infos[*at])
    }

    /// Returns the log source of a rule.
    pub fn source(&self, rule: u32) -> Option<&LogSource> {
        self.source_of.get(rule as usize).map(|at| &self.sources[*at as usize])
    }

    fn reported(&self, mut correlated: Vec<Correlated>) -> Vec<Correlated> {
        correlated.retain(|found| !self.correlations[found.rule - self.logic.len()].quiet);
        correlated
    }
}

impl Kind {
    /// Returns how many rules apply.
    pub fn rules(&self) -> usize {
        self.rules
    }
}

/// Working memory of one thread; never used with another engine.
#[derive(Debug)]
pub struct LogScratch {
    scratch: Scratch,
    /// Rules the last record fired.
    fired: Vec<u32>,
    reported: Vec<u32>,
}

//! From rule files to compiled conditions: rules, then filters over them, then correlations.

use crate::correlation::{self, Correlation};
use crate::document::{self, Detection, Filter, Kind};
use crate::error::{Fault, RuleErrorCode as Code};
use crate::expr::Expr;
use crate::fields::{LogSource, Target};
use crate::modifier::Placeholders;
use crate::pool::{Logic, Pool};
use crate::selection::Names;
use crate::yaml::{self, Node, Place};
use crate::{FieldMap, RuleError, RuleInfo, RuleSource};
use hinomi_model::Table;
use std::collections::HashMap;

/// What the field names of rules mean, and the pools their comparisons go to.
pub(crate) enum Home<'f> {
    /// Hunting tables: a rule may stand for several sources of the map.
    Tables { fields: &'f FieldMap, pools: HashMap<Table, Pool> },
    /// Logs.
    Log(Pool),
}

/// A rule with its condition per source of the field map (logs: always source 0).
pub(crate) struct Loaded {
    pub logsource: LogSource,
    pub logic: Vec<(usize, Logic)>,
    /// Correlations use it, and none wants it reported on its own.
    pub quiet: bool,
    name: Option<String>,
}

pub(crate) struct Loader<'f> {
    pub home: Home<'f>,
    pub placeholders: &'f Placeholders,
    /// What rules and, behind them, correlations say about themselves.
    pub infos: Vec<RuleInfo>,
    pub rules: Vec<Loaded>,
    pub correlations: Vec<Correlation>,
    pub by_id: HashMap<String, usize>,
    pub errors: Vec<RuleError>,
}

/// A document that waits until all rules are known.
struct Waiting {
    source: usize,
    path: String,
    node: Node,
    kind: Kind,
}

impl<'f> Loader<'f> {
    pub fn new(home: Home<'f>, placeholders: &'f Placeholders) -> Self {
        let (infos, rules, correlations) = (Vec::new(), Vec::new(), Vec::new());
        Loader { home, placeholders, infos, rules, correlations, by_id: HashMap::new(), errors: Vec::new() }
    }

    /// Reads all files; what is refused becomes an error and never stops the rest.
    pub fn load(&mut self, sources: &[RuleSource]) {
        let mut waiting = Vec::new();
        for (at, source) in sources.iter().enumerate() {
            self.file(at, source, &mut waiting);
        }
        for filter in waiting.iter().filter(|document| document.kind == Kind::Filter) {
            if let Err(fault) = self.filter(&filter.node) {
                self.refuse(fault, &sources[filter.source]);
            }
        }
        self.correlate(&waiting, sources);
    }

    fn file(&mut self, at: usize, source: &RuleSource, waiting: &mut Vec<Waiting>) {
        let (documents, fault) = yaml::read(&source.yaml);
        let (several, empty) = (documents.len() > 1, documents.is_empty());
        for (number, node) in documents.into_iter().enumerate() {
            let path = if several { format!("{}#{}", source.path, number + 1) } else { source.path.clone() };
            let read = document::kind(&node).and_then(|kind| match kind {
                Kind::Rule => self.rule(&path, &node),
                kind => {
                    waiting.push(Waiting { source: at, path, node, kind });
                    Ok(())
                }
            });
            if let Err(fault) = read {
                self.refuse(fault, source);
            }
        }
        match fault {
            Some(fault) => self.refuse(fault, source),
            None if empty => {
                self.refuse(Fault::new((1, 1), Code::Structure, "the file holds no rule"), source);
            }
            None => {}
        }
    }

    fn refuse(&mut self, fault: Fault, source: &RuleSource) {
        self.errors.push(fault.of(&source.path, &source.yaml));
    }

    fn rule(&mut self, path: &str, node: &Node) -> Result<(), Fault> {
        let rule = document::rule(path, node)?;
        self.unknown_id(&rule.info, rule.id_at)?;
        let logic = self.home.compile(&rule.logsource, rule.logsource_at, rule.detection, self.placeholders)?;
        self.by_id.insert(rule.info.id.clone(), self.rules.len());
        self.infos.push(rule.info);
        self.rules.push(Loaded { logsource: rule.logsource, logic, quiet: false, name: rule.name });
        Ok(())
    }

    fn unknown_id(&self, info: &RuleInfo, at: Place) -> Result<(), Fault> {
        let Some(known) = self.by_id.get(&info.id) else { return Ok(()) };
        let message = format!("another rule has this id: {}", self.infos[*known].path);
        Err(Fault::new(at, Code::DuplicateId, message).hint("give the rule a new UUID"))
    }

    /// The rules a name stands for: an id, or a `name` (names need only be unique per correlation).
    fn named(&self, name: &str) -> Option<usize> {
        let by_name = || self.rules.iter().position(|rule| rule.name.as_deref() == Some(name));
        self.by_id.get(name).copied().or_else(by_name)
    }

    fn filter(&mut self, node: &Node) -> Result<(), Fault> {
        let filter = document::filter(node)?;
        let mut chosen = Vec::new();
        match &filter.rules {
            None => chosen.extend(0..self.rules.len()),
            Some(names) => {
                for name in names {
                    let at = self.named(name).or_else(|| self.infos.iter().position(|info| info.title.en == *name));
                    chosen.push(at.ok_or_else(|| {
                        let message =
                            format!("the filter names {name:?}, and no rule that is loaded has this id or name");
                        Fault::new(filter.rules_at, Code::Correlation, message)
                    })?);
                }
            }
        }
        chosen.sort_unstable();
        chosen.dedup();
        for rule in chosen {
            self.apply(&filter, rule)?;
        }
        Ok(())
    }

    /// The purpose of filters is to suppress. A condition that begins with `not` says what has to hold for
    /// the rule to fire; any other says what must not.
    fn apply(&mut self, filter: &Filter<'_>, rule: usize) -> Result<(), Fault> {
        let loaded = &mut self.rules[rule];
        if filter.logsource.as_ref().is_some_and(|wanted| !wanted.covers(&loaded.logsource)) {
            return Ok(());
        }
        for (source, logic) in &mut loaded.logic {
            let expr = filter.detection.logic(self.home.names(*source), self.placeholders)?;
            let keep = if matches!(expr, Expr::Not(_)) { expr } else { expr.not() };
            let keep = self.home.pool(*source).lower(&keep);
            let was = std::mem::replace(logic, Logic::Const(false));
            *logic = match keep {
                Logic::Const(true) => was,
                keep => Logic::And([was, keep].into()),
            };
        }
        Ok(())
    }

    fn correlate(&mut self, waiting: &[Waiting], sources: &[RuleSource]) {
        let mut names: HashMap<String, usize> = HashMap::new();
        for (at, rule) in self.rules.iter().enumerate() {
            if let Some(name) = &rule.name {
                names.entry(name.clone()).or_insert(at);
            }
        }
        names.extend(self.by_id.iter().map(|(id, at)| (id.clone(), *at)));
        // a correlation may refer to one that stands later: those whose rules are known go first
        let mut open: Vec<&Waiting> = waiting.iter().filter(|document| document.kind == Kind::Correlation).collect();
        loop {
            let mut rest = Vec::new();
            let before = open.len();
            for document in open {
                let base = self.rules.len();
                match correlation::read(&document.path, &document.node, &names) {
                    Ok(read) => {
                        if let Err(fault) = self.unknown_id(&read.info, document.node.at) {
                            self.refuse(fault, &sources[document.source]);
                            continue;
                        }
                        let at = base + self.correlations.len();
                        names.insert(read.info.id.clone(), at);
                        if let Some(name) = document::name(&document.node) {
                            names.insert(name, at);
                        }
                        self.by_id.insert(read.info.id.clone(), at);
                        self.infos.push(read.info);
                        self.correlations.push(read.correlation);
                    }
                    Err(fault) => rest.push((document, fault)),
                }
            }
            if rest.len() == before || rest.is_empty() {
                for (document, fault) in rest {
                    self.refuse(fault, &sources[document.source]);
                }
                break;
            }
            open = rest.into_iter().map(|(document, _)| document).collect();
        }
        self.silence();
    }

    /// Rules that only serve correlations are not reported.
    fn silence(&mut self) {
        let rules = self.rules.len();
        let mut uses: HashMap<usize, bool> = HashMap::new();
        for correlation in &self.correlations {
            for rule in correlation.refers() {
                *uses.entry(rule).or_default() |= correlation.generate();
            }
        }
        for (rule, generate) in uses {
            match self.rules.get_mut(rule) {
                Some(rule) => rule.quiet = !generate,
                None => self.correlations[rule - rules].quiet = !generate,
            }
        }
    }
}

impl Home<'_> {
    fn compile(
        &mut self,
        logsource: &LogSource,
        at: Place,
        detection: Detection<'_>,
        placeholders: &Placeholders,
    ) -> Result<Vec<(usize, Logic)>, Fault> {
        let sources = self.sources(logsource);
        if sources.is_empty() {
            let fault = Fault::new(at, Code::Logsource, format!("no events of the log source {logsource}"));
            return Err(
                fault.hint("categories: process_creation, file_event, network_connection, dns_query and others")
            );
        }
        // a rule may stand for several sources; it is refused only when it fits none of them
        let mut logic = Vec::new();
        let mut first_fault = None;
        for source in sources {
            match detection.logic(self.names(source), placeholders) {
                Ok(expr) => logic.push((source, self.pool(source).lower(&expr))),
                Err(fault) => {
                    first_fault.get_or_insert(fault);
                }
            }
        }
        match first_fault {
            Some(fault) if logic.is_empty() => Err(fault),
            _ => Ok(logic),
        }
    }

    fn sources(&self, logsource: &LogSource) -> Vec<usize> {
        match self {
            Home::Tables { fields, .. } => fields.sources_of(logsource),
            Home::Log(_) => vec![0],
        }
    }

    fn names(&self, source: usize) -> Names<'_> {
        match self {
            Home::Tables { fields, .. } => Names::Table(&fields.sources[source]),
            Home::Log(_) => Names::Log,
        }
    }

    fn pool(&mut self, source: usize) -> &mut Pool {
        match self {
            Home::Tables { fields, pools } => pools.entry(fields.sources[source].table).or_default(),
            Home::Log(pool) => pool,
        }
    }

    /// Numbers a field of logs that no rule may name.
    pub fn field(&mut self, name: &str) {
        if let Home::Log(pool) = self {
            pool.slot(&Target::Named(name.to_owned()));
        }
    }
}

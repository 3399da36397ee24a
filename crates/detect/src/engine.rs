//! The engine over rows of the hunting tables: loads rules, evaluates events.

use crate::correlation::{Correlated, Correlation, CorrelationLimits, Correlator, Dropped, Seen};
use crate::fields::Source;
use crate::indicator::status_of;
use crate::loader::{Home, Loader};
use crate::matcher::Matcher;
use crate::modifier::Placeholders;
use crate::pool::{Logic, Pool};
use crate::row::Row;
use crate::scratch::Scratch;
use crate::values::Values as _;
use crate::{FieldMap, RuleError, RuleInfo, RuleSource, content, explain};
use hinomi_model::{Detection, DetectionSource, Event, MatchedField, Severity, Table};
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Bytes of values and answers a thread remembers.
const MEMO_BYTES_MAX: usize = 2 << 20;

/// Compiled rules over rows of the hunting tables. Immutable: a reload builds a new one.
#[derive(Debug, Default)]
pub struct Engine {
    /// Rules, then correlations.
    infos: Vec<RuleInfo>,
    by_id: HashMap<String, usize>,
    rules: Vec<RuleLogic>,
    correlations: Vec<Correlation>,
    /// Sources of the field map.
    sources: Vec<Source>,
    tables: HashMap<Table, TableRules>,
    spare: Mutex<Vec<Scratch>>,
}

/// A rule that fired, without the copies a [`Detection`] needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match<'r> {
    /// The rule.
    pub rule: &'r RuleInfo,
    /// Fields that matched.
    pub matched: Vec<MatchedField>,
}

/// What a correlation rule dropped so far and keeps now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrelationDrops {
    /// The rule.
    pub rule_id: String,
    /// What it dropped.
    pub dropped: Dropped,
    /// About how many bytes its state takes.
    pub bytes: usize,
}

#[derive(Debug)]
struct RuleLogic {
    /// Condition per source of the field map.
    logic: Vec<(usize, Logic)>,
    platform: Option<Platform>,
    quiet: bool,
}

#[derive(Debug, Default)]
struct TableRules {
    pool: Pool,
    /// Values of `ActionType` that sources ask for.
    actions: Vec<String>,
    /// One matcher per platform (unknown, Linux, Windows) and action (others last), built when first needed.
    matchers: Vec<OnceLock<Matcher>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Platform {
    Linux,
    Windows,
    Other,
}

impl Engine {
    /// Compiles rules; refused ones come back as errors and never stop the others.
    pub fn load(sources: &[RuleSource], fields: &FieldMap) -> (Engine, Vec<RuleError>) {
        Engine::load_with(sources, fields, &Placeholders::new())
    }

    /// Compiles rules whose placeholders have values.
    pub fn load_with(
        sources: &[RuleSource],
        fields: &FieldMap,
        placeholders: &Placeholders,
    ) -> (Engine, Vec<RuleError>) {
        let mut loader = Loader::new(Home::Tables { fields, pools: HashMap::new() }, placeholders);
        loader.load(sources);
        let Loader { home, infos, rules, correlations, by_id, errors, .. } = loader;
        let Home::Tables { pools, .. } = home else { return (Engine::default(), errors) };
        let rules = rules.into_iter().map(|rule| RuleLogic {
            logic: rule.logic,
            platform: rule.logsource.product.as_deref().and_then(platform_named),
            quiet: rule.quiet,
        });
        let tables = pools.into_iter().map(|(table, mut pool)| {
            pool.seal();
            (table, TableRules::new(table, pool, fields))
        });
        let (rules, tables) = (rules.collect(), tables.collect());
        let sources = fields.sources.clone();
        let engine = Engine { infos, by_id, rules, correlations, sources, tables, spare: Mutex::default() };
        (engine, errors)
    }

    /// Evaluates one event: one detection per rule that fires.
    ///
    /// A row `HinomiDetection` of `DeviceEvents` is what a sensor found with the same rules: it becomes
    /// the detection of the named rule, with the status the sensor tells.
    pub fn evaluate(&self, event: &Event) -> Vec<Detection> {
        let mut detections: Vec<Detection> =
            self.matches(event).into_iter().map(|found| found.detection(event)).collect();
        detections.extend(self.told_by_sensor(event));
        detections
    }

    /// Evaluates one event and returns the rules that fire, in the order they were loaded. Rules that
    /// only serve correlations are not among them.
    pub fn matches(&self, event: &Event) -> Vec<Match<'_>> {
        let fired = self.fired(event);
        fired.into_iter().filter(|rule| !self.rules[*rule as usize].quiet).map(|rule| self.told(event, rule)).collect()
    }

    /// True when there are correlation rules.
    pub fn correlates(&self) -> bool {
        !self.correlations.is_empty()
    }

    /// Evaluates one event for the correlations alone and returns those that fired. Only events of the same
    /// `realm` are looked at together.
    pub fn correlate(&self, event: &Event, realm: &str, state: &mut Correlator) -> Vec<Correlated> {
        if self.correlations.is_empty() {
            return Vec::new();
        }
        let fired = self.fired(event);
        if fired.is_empty() {
            return Vec::new();
        }
        let fields = |rule: usize, name: &str| self.text(event, rule, name);
        let reference = || event.reference();
        let time = event.timestamp.as_micros();
        let seen = Seen { time, realm, fired: &fired, fields: &fields, reference: Some(&reference) };
        self.reported(state.observe(&self.correlations, self.rules.len(), &seen))
    }

    /// Tells the correlations the time (microseconds), so that windows without further events end.
    pub fn advance(&self, now: i64, state: &mut Correlator) -> Vec<Correlated> {
        self.reported(state.advance(&self.correlations, self.rules.len(), now))
    }

    /// The detection of a correlation that fired, told by one of its events.
    pub fn correlated(&self, found: &Correlated, event: &Event) -> Detection {
        let group = found.group.iter().map(|(field, value)| MatchedField {
            field: field.clone(),
            value: value.clone(),
            pattern: "group-by".to_owned(),
        });
        let words = self.correlations.get(found.rule - self.rules.len()).map(|rule| rule.words.clone());
        let measured = MatchedField {
            field: "correlation".to_owned(),
            value: found.value.to_string(),
            pattern: words.unwrap_or_default(),
        };
        let matched = group.chain([measured]).collect();
        Match { rule: &self.infos[found.rule], matched }.detection(event)
    }

    /// What each correlation dropped so far and keeps now.
    pub fn drops(&self, state: &Correlator) -> Vec<CorrelationDrops> {
        let of = |(at, info): (usize, &RuleInfo)| {
            let (dropped, bytes) = state.of(at);
            CorrelationDrops { rule_id: info.id.clone(), dropped, bytes }
        };
        self.infos[self.rules.len()..].iter().enumerate().map(of).collect()
    }

    /// Saves the state of the correlations: a text per correlation, by key.
    pub fn save(&self, state: &Correlator) -> Vec<(String, String)> {
        state.save(&self.correlations)
    }

    /// Saves what changed since the last call, unless it takes more than about `bytes_max` bytes; an empty
    /// text for what has to be forgotten.
    pub fn changes(&self, state: &mut Correlator, bytes_max: usize) -> Option<Vec<(String, String)>> {
        state.changes(&self.correlations, bytes_max)
    }

    /// Restores saved state; of correlations that are gone or were changed nothing is taken. Also returns
    /// the keys of what cannot be read.
    pub fn restore(&self, limits: CorrelationLimits, saved: &[(String, String)]) -> (Correlator, Vec<String>) {
        Correlator::restore(limits, &self.correlations, saved)
    }

    /// Returns what the loaded rules, and behind them the correlations, say about themselves.
    pub fn rules(&self) -> &[RuleInfo] {
        &self.infos
    }

    /// Returns a loaded rule.
    pub fn rule(&self, id: &str) -> Option<&RuleInfo> {
        self.by_id.get(id).map(|at| &self.infos[*at])
    }

    /// Returns how many distinct comparisons all rules need.
    pub fn comparisons(&self) -> usize {
        self.tables.values().map(|table| table.pool.atoms.len()).sum()
    }

    /// Returns the rules that have to be looked at for every event of their kind, because nothing they
    /// ask for is a literal. They cost speed.
    pub fn sleepless(&self) -> Vec<&RuleInfo> {
        let mut rules: Vec<u32> = Vec::new();
        for (table, of) in &self.tables {
            for action in 0..=of.actions.len() {
                rules.extend(self.matcher(*table, of, action, None).1.sleepless());
            }
        }
        rules.sort_unstable();
        rules.dedup();
        rules.into_iter().map(|rule| &self.infos[rule as usize]).collect()
    }

    fn reported(&self, mut correlated: Vec<Correlated>) -> Vec<Correlated> {
        correlated.retain(|found| !self.correlations[found.rule - self.rules.len()].quiet);
        correlated
    }

    /// The rules that fire, ascending.
    fn fired(&self, event: &Event) -> Vec<u32> {
        let mut fired = Vec::new();
        let Some(table) = self.tables.get(&event.table) else { return fired };
        let action = event.str("ActionType");
        let action = table.actions.iter().position(|known| Some(known.as_str()) == action);
        let action = action.unwrap_or(table.actions.len());
        let (number, matcher) = self.matcher(event.table, table, action, platform_of(event));
        let row = Row::new(event, &table.pool.targets);
        let taken = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = taken.unwrap_or_else(|| Scratch::new(MEMO_BYTES_MAX));
        // matchers of all tables share one memory
        let memo = number + Table::ALL.iter().position(|known| *known == event.table).unwrap_or(0) * MATCHERS_MAX;
        matcher.run(&table.pool, &row, &mut scratch, memo, &mut fired);
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        fired.dedup();
        fired
    }

    fn matcher<'t>(
        &self,
        name: Table,
        table: &'t TableRules,
        action: usize,
        platform: Option<Platform>,
    ) -> (usize, &'t Matcher) {
        let of_platform = platform.map_or(0, |platform| 1 + platform as usize);
        let number = of_platform * (table.actions.len() + 1) + action;
        let build = || {
            let action = table.actions.get(action);
            let applies = |source: &Source| {
                source.table == name
                    && (source.actions.is_empty() || action.is_some_and(|action| source.actions.contains(action)))
            };
            let rules = self.rules.iter().enumerate().flat_map(|(at, rule)| {
                let same = rule.platform.is_none_or(|wanted| platform.is_none_or(|has| wanted == has));
                let logic = rule.logic.iter().filter(move |(source, _)| same && applies(&self.sources[*source]));
                logic.map(move |(_, logic)| (at as u32, logic))
            });
            Matcher::build(&table.pool, rules)
        };
        (number, table.matchers[number].get_or_init(build))
    }

    fn told(&self, event: &Event, rule: u32) -> Match<'_> {
        let mut matched = Vec::new();
        if let Some(table) = self.tables.get(&event.table) {
            let row = Row::new(event, &table.pool.targets);
            for (source, logic) in &self.rules[rule as usize].logic {
                let source = &self.sources[*source];
                let action = event.str("ActionType").unwrap_or_default();
                let applies = source.actions.is_empty() || source.actions.iter().any(|known| known == action);
                if source.table == event.table && applies && logic.holds(&table.pool, &row) {
                    let name = |slot: u32| table.pool.targets[slot as usize].name(event.table);
                    explain::matched(logic, &table.pool, &row, &name, &mut matched);
                }
            }
        }
        Match { rule: &self.infos[rule as usize], matched }
    }

    /// The text of a field, by the name a rule uses.
    fn text(&self, event: &Event, rule: usize, name: &str) -> Option<String> {
        let sources = self.rules.get(rule)?.logic.iter().map(|(source, _)| &self.sources[*source]);
        let target = sources.filter(|source| source.table == event.table).find_map(|source| source.field(name))?;
        let mut text = None;
        Row::new(event, std::slice::from_ref(&target)).any(0, |value| {
            text = Some(value.to_owned());
            true
        });
        text
    }

    fn told_by_sensor(&self, event: &Event) -> Option<Detection> {
        if event.table != Table::DeviceEvents || event.str("ActionType") != Some("HinomiDetection") {
            return None;
        }
        let id = event.additional("RuleId")?.as_str()?.to_owned();
        let matched = vec![MatchedField {
            field: "AdditionalFields.RuleId".to_owned(),
            value: id.clone(),
            pattern: "sensor".to_owned(),
        }];
        if let Some(rule) = self.rule(&id) {
            let detection = Match { rule, matched }.detection(event);
            return Some(Detection { status: status_of(event), ..detection });
        }
        let severity = event.additional("Severity").and_then(|word| word.as_str()?.parse().ok());
        let indicator = id.starts_with("indicator:");
        Some(Detection {
            rule_id: id,
            title: content::text("sensor.detection.title"),
            description: content::text("sensor.detection.description"),
            next_steps: vec![content::text("sensor.detection.next")],
            severity: severity.unwrap_or(Severity::Medium),
            techniques: Vec::new(),
            tactics: vec!["execution".to_owned()],
            source: if indicator { DetectionSource::CustomTi } else { DetectionSource::Rule },
            status: status_of(event),
            event: event.clone(),
            matched,
        })
    }
}

impl Match<'_> {
    fn detection(self, event: &Event) -> Detection {
        Detection {
            rule_id: self.rule.id.clone(),
            title: self.rule.title.clone(),
            description: self.rule.description.clone(),
            next_steps: self.rule.next_steps.clone(),
            severity: self.rule.severity,
            techniques: self.rule.techniques.clone(),
            tactics: self.rule.tactics.clone(),
            source: DetectionSource::Rule,
            status: status_of(event),
            event: event.clone(),
            matched: self.matched,
        }
    }
}

/// More matchers than one table can have.
const MATCHERS_MAX: usize = 256;

impl TableRules {
    fn new(table: Table, pool: Pool, fields: &FieldMap) -> Self {
        let of_table = fields.sources.iter().filter(|source| source.table == table);
        let mut actions: Vec<String> = of_table.flat_map(|source| source.actions.iter().cloned()).collect();
        actions.sort();
        actions.dedup();
        actions.truncate(MATCHERS_MAX / 4 - 1);
        let platforms = 1 + Platform::Other as usize + 1;
        let matchers = std::iter::repeat_with(OnceLock::new).take(platforms * (actions.len() + 1)).collect();
        TableRules { pool, actions, matchers }
    }
}

fn platform_named(product: &str) -> Option<Platform> {
    match product {
        "hinomi" => None,
        "linux" => Some(Platform::Linux),
        "windows" => Some(Platform::Windows),
        _ => Some(Platform::Other),
    }
}

/// The platform of a device event, told by its paths: rows do not name it.
fn platform_of(event: &Event) -> Option<Platform> {
    let path = event.str("FolderPath").or_else(|| event.str("InitiatingProcessFolderPath"))?;
    match path.as_bytes() {
        [b'/', ..] => Some(Platform::Linux),
        [b'\\', ..] | [_, b':', b'\\', ..] => Some(Platform::Windows),
        _ => None,
    }
}

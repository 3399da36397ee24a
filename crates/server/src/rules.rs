//! Rules in force: those that ship with Hinomi and those written here, with what was decided about each.
//!
//! A change is stored as the next version of the rule's entry, then all rules are compiled and put in
//! force together; nothing is restarted.

use crate::app::Ctx;
use anyhow::{Context, Result};
use hinomi_detect::{Engine, Respond, RuleInfo, RuleSource, content};
use hinomi_model::{DemoId, DeviceId, Event, ManagedRule, RuleEntry, RuleState, Severity, Timestamp};
use hinomi_store::{RuleRow, Store};
use hinomi_wire::Command;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Most rules written here.
pub const OWN_MAX: usize = 2_000;
/// Longest text of a rule, bytes.
pub const YAML_BYTES_MAX: usize = 256 * 1024;

/// Compiled rules and what was decided about them. Immutable: a change makes a new one.
#[derive(Default)]
pub struct RuleSet {
    engine: Arc<Engine>,
    entries: BTreeMap<String, RuleEntry>,
    /// The entry of a rule, by the rule's id.
    entry_of: HashMap<String, String>,
    /// Why entries are not in force.
    problems: HashMap<String, String>,
}

/// What comes of a firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Nothing,
    /// Only counted.
    Counted,
    /// An alert that is marked as a test.
    Tested,
    Alert,
}

impl From<Arc<Engine>> for RuleSet {
    fn from(engine: Arc<Engine>) -> Self {
        RuleSet { engine, ..RuleSet::default() }
    }
}

impl RuleSet {
    /// Compiles the rules that ship and those of the entries.
    pub fn compile(entries: Vec<RuleEntry>) -> RuleSet {
        let own = entries.iter().filter(|entry| entry.state != RuleState::Off);
        let own = own.filter_map(|entry| Some(RuleSource { path: path_of(&entry.id), yaml: entry.yaml.clone()? }));
        let own: Vec<RuleSource> = own.collect();
        let (engine, errors) = match own.is_empty() {
            true => (content::engine(), Vec::new()),
            false => {
                let sources: Vec<RuleSource> = content::embedded().rules.iter().cloned().chain(own).collect();
                let (engine, errors) = Engine::load(&sources, &content::embedded().fields);
                (Arc::new(engine), errors)
            }
        };
        let entries: BTreeMap<String, RuleEntry> = entries.into_iter().map(|entry| (entry.id.clone(), entry)).collect();
        let entry_of = engine.rules().iter().filter_map(|rule| {
            let id = id_of(&rule.path).unwrap_or(&rule.id);
            entries.contains_key(id).then(|| (rule.id.clone(), id.to_owned()))
        });
        let entry_of = entry_of.collect();
        let mut problems: HashMap<String, String> = HashMap::new();
        for error in errors {
            if let Some(id) = id_of(&error.path) {
                problems.entry(id.to_owned()).or_insert_with(|| error.to_string());
            }
        }
        RuleSet { engine, entries, entry_of, problems }
    }

    /// The compiled rules.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Why an entry is not in force.
    pub fn problem(&self, id: &str) -> Option<&str> {
        self.problems.get(id).map(String::as_str)
    }

    /// The entry a rule belongs to; none = nothing was decided about it.
    pub(crate) fn entry(&self, rule: &str) -> Option<&RuleEntry> {
        self.entries.get(self.entry_of.get(rule)?)
    }

    /// Every rule with what was decided, by id. `rows` are the entries with their counts.
    pub fn list(&self, rows: Vec<RuleRow>) -> Vec<ManagedRule> {
        let mut rows: BTreeMap<String, RuleRow> = rows.into_iter().map(|row| (row.entry.id.clone(), row)).collect();
        let mut rules = BTreeMap::new();
        for info in self.engine.rules() {
            let id = id_of(&info.path).unwrap_or(&info.id);
            if let Some(row) = rows.remove(id) {
                rules.insert(id.to_owned(), self.managed(&row, Some(info)));
            } else if id_of(&info.path).is_none() {
                rules.insert(id.to_owned(), untouched(info));
            }
        }
        // what is off or cannot be loaded
        rules.extend(rows.into_iter().map(|(id, row)| (id, self.managed(&row, None))));
        rules.into_values().collect()
    }

    fn managed(&self, row: &RuleRow, info: Option<&RuleInfo>) -> ManagedRule {
        let entry = &row.entry;
        let parsed = match info {
            Some(info) => Some(info.clone()),
            None => entry.yaml.as_deref().and_then(|yaml| alone(&entry.id, yaml)),
        };
        let rule = parsed.as_ref().map(untouched);
        let empty = || ManagedRule {
            id: entry.id.clone(),
            title: hinomi_model::Text::same(&entry.id),
            severity: hinomi_model::Severity::Informational,
            techniques: Vec::new(),
            author: String::new(),
            ships: false,
            state: entry.state,
            device_tags: Vec::new(),
            hits: 0,
            last_hit: None,
            changed_by: None,
            changed_at: None,
            problem: None,
            version: 0,
        };
        ManagedRule {
            id: entry.id.clone(),
            ships: entry.yaml.is_none(),
            state: entry.state,
            device_tags: entry.device_tags.clone(),
            hits: row.hits,
            last_hit: row.last_hit,
            changed_by: Some(entry.changed_by.clone()),
            changed_at: Some(entry.changed_at),
            problem: self.problem(&entry.id).map(str::to_owned),
            version: entry.version,
            ..rule.unwrap_or_else(empty)
        }
    }
}

fn untouched(info: &RuleInfo) -> ManagedRule {
    ManagedRule {
        id: info.id.clone(),
        title: info.title.clone(),
        severity: info.severity,
        techniques: info.techniques.clone(),
        author: info.author.clone(),
        ships: true,
        state: RuleState::Live,
        device_tags: Vec::new(),
        hits: 0,
        last_hit: None,
        changed_by: None,
        changed_at: None,
        problem: None,
        version: 0,
    }
}

/// What a text says about its first rule, read alone.
fn alone(id: &str, yaml: &str) -> Option<RuleInfo> {
    let source = RuleSource { path: path_of(id), yaml: yaml.to_owned() };
    Engine::load(&[source], &content::embedded().fields).0.rules().first().cloned()
}

fn path_of(id: &str) -> String {
    format!("rule:{id}")
}

/// The entry a path names; a file with several rules has `#n` behind it.
fn id_of(path: &str) -> Option<&str> {
    path.strip_prefix("rule:").map(|rest| rest.split('#').next().unwrap_or(rest))
}

/// The id an entry for this text has: that of its first rule.
pub(crate) fn id_in(yaml: &str) -> Option<String> {
    let id = hinomi_detect::documents(yaml).first()?.get("id")?.as_str()?.to_owned();
    let fits = |id: &str| id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    ((1..=64).contains(&id.len()) && fits(&id)).then_some(id)
}

/// Reads the entries from the store and puts the rules in force.
///
/// # Errors
/// When the store cannot be read; the rules before stay.
pub async fn load(ctx: &Ctx) -> Result<()> {
    // changes that cross are put in force in their order
    let _turn = ctx.rule_changes.lock().await;
    let entries = entries(&ctx.store).await?;
    let set = tokio::task::spawn_blocking(move || RuleSet::compile(entries)).await.context("compile rules")?;
    for (id, problem) in &set.problems {
        tracing::error!(rule.id = %id, "rule {id} is not in force: {problem}");
    }
    ctx.set_rules(set);
    Ok(())
}

/// The decisions in force.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn entries(store: &Store) -> Result<Vec<RuleEntry>> {
    let rows = store.rule_entries().await.context("read rules")?;
    Ok(rows.into_iter().map(|row| row.entry).collect())
}

/// What comes of a firing on an event, and the entry it is counted for.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn fate(
    ctx: &Ctx,
    set: &RuleSet,
    rule: &str,
    event: &Event,
    demo: Option<DemoId>,
) -> Result<(Fate, Option<String>)> {
    let Some(entry) = set.entry(rule) else { return Ok((Fate::Alert, None)) };
    if demo.is_some() {
        // a demo plays the same everywhere: with the rules that ship
        return Ok((if entry.yaml.is_some() { Fate::Nothing } else { Fate::Alert }, None));
    }
    if !entry.device_tags.is_empty() {
        let device = match event.device_id() {
            Some(id) => ctx.store.device(id).await?,
            None => None,
        };
        let tags = device.map(|device| device.tags).unwrap_or_default();
        if !entry.device_tags.iter().any(|tag| tags.contains(tag)) {
            return Ok((Fate::Nothing, None));
        }
    }
    let fate = match entry.state {
        RuleState::Off => return Ok((Fate::Nothing, None)),
        RuleState::Draft => Fate::Counted,
        RuleState::Test => Fate::Tested,
        RuleState::Live => Fate::Alert,
    };
    Ok((fate, Some(entry.id.clone())))
}

/// Longest text of rules a sensor gets, bytes; entries beyond are left out and told.
const SENSOR_BYTES_MAX: usize = 4 << 20;
/// How long rules wait for a device that is away, seconds: the next connection gets the current ones anyway.
const COMMAND_SECONDS: i64 = 24 * 3600;

impl RuleSet {
    /// What a device with these tags gets: live rules it can act on, and which of those that ship it must not
    /// act on.
    pub(crate) fn for_sensor(&self, tags: &[String]) -> Command {
        let applies = |entry: &RuleEntry| {
            entry.state == RuleState::Live
                && (entry.device_tags.is_empty() || entry.device_tags.iter().any(|tag| tags.contains(tag)))
        };
        let acts = |entry: &RuleEntry| {
            let own = self.engine.rules().iter().filter(|rule| id_of(&rule.path) == Some(&entry.id));
            own.into_iter().any(|rule| rule.respond == Respond::Stop || rule.severity >= Severity::Medium)
        };
        let (mut yaml, mut off, mut bytes) = (Vec::new(), Vec::new(), 0);
        for entry in self.entries.values() {
            match &entry.yaml {
                None if !applies(entry) => off.push(entry.id.clone()),
                Some(text) if applies(entry) && acts(entry) => {
                    bytes += text.len();
                    if bytes > SENSOR_BYTES_MAX {
                        tracing::warn!(rule.id = %entry.id, "rule {} and those behind it do not fit on sensors", entry.id);
                        break;
                    }
                    yaml.push(text.clone());
                }
                _ => {}
            }
        }
        let mut hash = Sha256::new();
        for text in yaml.iter().chain(&off) {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        let digest = hash.finalize();
        // JSON readers keep 53 bits of a number
        let fingerprint = digest.iter().take(6).fold(1_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let version = if yaml.is_empty() && off.is_empty() { 0 } else { fingerprint };
        Command::SetRules { version, yaml, off }
    }
}

/// Brings a device that has just connected up to date; `has` is the version it has or is being sent.
pub async fn on_connect(ctx: &Ctx, device: DeviceId, has: u64) {
    tell(ctx, device, Some(has)).await;
}

/// Sends connected sensors the rules in force.
pub(crate) async fn publish(ctx: &Ctx) {
    for device in ctx.hub.devices() {
        tell(ctx, device, None).await;
    }
}

/// Sends a device its rules, whatever it has: its tags changed.
pub(crate) async fn publish_to(ctx: &Ctx, device: DeviceId) {
    if ctx.hub.devices().contains(&device) {
        tell(ctx, device, None).await;
    }
}

async fn tell(ctx: &Ctx, device: DeviceId, has: Option<u64>) {
    if let Err(error) = send(ctx, device, has).await {
        tracing::error!(device.id = %device, "rules could not be sent to {device}: {error:#}");
    }
}

async fn send(ctx: &Ctx, device: DeviceId, has: Option<u64>) -> Result<()> {
    let tags = ctx.store.device(device).await?.map(|known| known.tags).unwrap_or_default();
    let command = ctx.rule_set().for_sensor(&tags);
    if !matches!(command, Command::SetRules { version, .. } if Some(version) == has) {
        ctx.hub.send(ctx, device, command, None, ctx.now().plus_seconds(COMMAND_SECONDS)).await?;
    }
    Ok(())
}

/// Firings of entries in a group of events.
#[derive(Debug, Default)]
pub(crate) struct Hits(pub BTreeMap<String, (i64, Timestamp)>);

impl Hits {
    /// Counts a firing.
    pub fn add(&mut self, entry: Option<String>, at: Timestamp) {
        let Some(entry) = entry else { return };
        let (hits, last) = self.0.entry(entry).or_insert((0, at));
        *hits += 1;
        *last = at.max(*last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, level: &str, state: RuleState, tags: &[&str]) -> RuleEntry {
        let yaml = format!(
            "title: t\nid: {id}\nlevel: {level}\nlogsource: {{product: hinomi, service: DeviceProcessEvents}}\n\
             detection: {{s: {{FileName: x}}, condition: s}}\n"
        );
        let device_tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let (changed_by, changed_at) = ("tanaka".to_owned(), Timestamp::from_micros(0));
        RuleEntry { id: id.to_owned(), yaml: Some(yaml), state, device_tags, changed_by, changed_at, version: 1 }
    }

    fn sent(set: &RuleSet, tags: &[&str]) -> (u64, Vec<String>, Vec<String>) {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let Command::SetRules { version, yaml, off } = set.for_sensor(&tags) else { panic!("rules") };
        let ids = yaml.iter().filter_map(|yaml| id_in(yaml)).collect();
        (version, ids, off)
    }

    #[test]
    fn sensors_get_what_they_can_act_on() {
        assert_eq!(sent(&RuleSet::compile(Vec::new()), &[]), (0, Vec::new(), Vec::new()));
        let ships = content::engine().rules()[0].id.clone();
        let off = RuleEntry { yaml: None, ..entry(&ships, "", RuleState::Draft, &[]) };
        let set = RuleSet::compile(vec![
            entry("a-high", "high", RuleState::Live, &[]),
            entry("b-low", "low", RuleState::Live, &[]),
            entry("c-draft", "high", RuleState::Draft, &[]),
            entry("d-servers", "medium", RuleState::Live, &["server"]),
            entry("e-off", "high", RuleState::Off, &[]),
            off,
        ]);
        let (everywhere, ids, off) = sent(&set, &["laptop"]);
        assert_eq!((ids, off), (vec!["a-high".to_owned()], vec![ships]));
        let (servers, ids, _) = sent(&set, &["server"]);
        assert_eq!(ids, ["a-high", "d-servers"]);
        assert!(servers != everywhere && servers < 1 << 53);
    }

    #[test]
    fn a_rule_that_cannot_be_loaded_is_told_and_the_others_run() {
        let mut broken = entry("broken", "high", RuleState::Live, &[]);
        broken.yaml = broken.yaml.map(|yaml| yaml.replace("FileName", "NoField"));
        let set = RuleSet::compile(vec![broken.clone(), entry("fine", "high", RuleState::Live, &[])]);
        assert!(set.problem("broken").is_some_and(|told| told.contains("NoField")), "{:?}", set.problem("broken"));
        assert!(set.engine().rule("fine").is_some() && set.entry("fine").is_some());
        let row = RuleRow { entry: broken, hits: 0, last_hit: None };
        assert!(set.list(vec![row]).iter().any(|rule| rule.id == "broken" && rule.problem.is_some()));
    }
}

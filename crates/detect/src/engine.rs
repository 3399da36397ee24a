//! The engine: loads rules, evaluates events.

use crate::document::{self, Document};
use crate::error::{Fault, RuleErrorCode as Code};
use crate::fields::Source;
use crate::indicator::status_of;
use crate::program::{Builder, Program, Slots};
use crate::view::View;
use crate::{FieldMap, RuleError, RuleInfo, RuleSource, content, yaml};
use hinomi_model::{Detection, DetectionSource, Event, MatchedField, Severity, Table};
use std::collections::HashMap;

/// Compiled rules. Immutable: a reload builds a new one.
#[derive(Debug, Default)]
pub struct Engine {
    rules: Vec<RuleInfo>,
    by_id: HashMap<String, usize>,
    tables: HashMap<Table, TableRules>,
}

/// A rule that fired, without the copies a [`Detection`] needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match<'r> {
    /// The rule.
    pub rule: &'r RuleInfo,
    /// Fields that matched.
    pub matched: Vec<MatchedField>,
}

#[derive(Debug, Default)]
struct TableRules {
    slots: Slots,
    groups: Vec<Group>,
}

/// Rules for the same kind of rows of a table.
#[derive(Debug)]
struct Group {
    /// Values of `ActionType`; none = every row.
    actions: Vec<String>,
    /// Platform the rules are for; `None` = any.
    platform: Option<Platform>,
    program: Program,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Platform {
    Linux,
    Windows,
    Other,
}

impl Engine {
    /// Compiles rules; refused ones come back as errors and never stop the others.
    pub fn load(sources: &[RuleSource], fields: &FieldMap) -> (Engine, Vec<RuleError>) {
        let mut loader = Loader::default();
        for source in sources {
            let (documents, fault) = yaml::read(&source.yaml);
            let several = documents.len() > 1;
            for (at, node) in documents.iter().enumerate() {
                let path = if several { format!("{}#{}", source.path, at + 1) } else { source.path.clone() };
                let added = document::read(&path, node, fields).and_then(|document| loader.add(document, node));
                if let Err(fault) = added {
                    loader.errors.push(fault.of(&source.path, &source.yaml));
                }
            }
            match fault {
                Some(fault) => loader.errors.push(fault.of(&source.path, &source.yaml)),
                None if documents.is_empty() => {
                    let fault = Fault::new((1, 1), Code::Structure, "the file holds no rule");
                    loader.errors.push(fault.of(&source.path, &source.yaml));
                }
                None => {}
            }
        }
        loader.finish()
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

    /// Evaluates one event and returns the rules that fire, in the order they were loaded.
    pub fn matches(&self, event: &Event) -> Vec<Match<'_>> {
        let Some(table) = self.tables.get(&event.table) else { return Vec::new() };
        let view = View::new(event, &table.slots.targets);
        let action = event.str("ActionType");
        let platform = platform_of(event);
        let mut fired: Vec<(u32, Vec<MatchedField>)> = Vec::new();
        for group in &table.groups {
            if group.accepts(action, platform) {
                group.program.run(&view, event.table, &table.slots.targets, |rule, matched| {
                    if fired.iter().all(|(known, _)| *known != rule) {
                        fired.push((rule, matched));
                    }
                });
            }
        }
        fired.sort_by_key(|(rule, _)| *rule);
        fired.into_iter().map(|(rule, matched)| Match { rule: &self.rules[rule as usize], matched }).collect()
    }

    /// Returns what the loaded rules say about themselves.
    pub fn rules(&self) -> &[RuleInfo] {
        &self.rules
    }

    /// Returns a loaded rule.
    pub fn rule(&self, id: &str) -> Option<&RuleInfo> {
        self.by_id.get(id).map(|at| &self.rules[*at])
    }

    /// Returns how many distinct comparisons all rules need.
    pub fn comparisons(&self) -> usize {
        self.tables.values().flat_map(|table| &table.groups).map(|group| group.program.atoms()).sum()
    }

    /// Returns the rules that have to be looked at for every event of their kind, because nothing they
    /// ask for is a literal. They cost speed.
    pub fn sleepless(&self) -> Vec<&RuleInfo> {
        let groups = self.tables.values().flat_map(|table| &table.groups);
        let mut rules: Vec<u32> = groups.flat_map(|group| group.program.sleepless()).collect();
        rules.sort_unstable();
        rules.dedup();
        rules.into_iter().map(|rule| &self.rules[rule as usize]).collect()
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

impl Group {
    fn accepts(&self, action: Option<&str>, platform: Option<Platform>) -> bool {
        let same_platform = match (self.platform, platform) {
            (Some(wanted), Some(has)) => wanted == has,
            _ => true,
        };
        same_platform
            && (self.actions.is_empty()
                || action.is_some_and(|action| self.actions.iter().any(|wanted| wanted == action)))
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

type GroupKey = (Table, Vec<String>, Option<Platform>);

#[derive(Default)]
struct Loader {
    engine: Engine,
    builders: HashMap<GroupKey, Builder>,
    errors: Vec<RuleError>,
}

impl Loader {
    fn add(&mut self, document: Document, node: &yaml::Node) -> Result<(), Fault> {
        let Document { info, product, logic } = document;
        if let Some(known) = self.engine.rule(&info.id) {
            let at = node.get("id").map_or(node.at, |id| id.at);
            let message = format!("another rule has this id: {}", known.path);
            return Err(Fault::new(at, Code::DuplicateId, message).hint("give the rule a new UUID"));
        }
        let rule = self.engine.rules.len();
        let platform = product.map(|product| match product.as_str() {
            "linux" => Platform::Linux,
            "windows" => Platform::Windows,
            _ => Platform::Other,
        });
        for (source, expr) in &logic {
            let Source { table, actions, .. } = source;
            let mut actions = actions.clone();
            actions.sort();
            let slots = &mut self.engine.tables.entry(*table).or_default().slots;
            self.builders.entry((*table, actions, platform)).or_default().add(rule as u32, expr, slots);
        }
        self.engine.by_id.insert(info.id.clone(), rule);
        self.engine.rules.push(info);
        Ok(())
    }

    fn finish(mut self) -> (Engine, Vec<RuleError>) {
        let mut builders: Vec<_> = self.builders.into_iter().collect();
        builders.sort_by(|(a, _), (b, _)| a.cmp(b));
        for ((table, actions, platform), builder) in builders {
            match builder.finish() {
                Ok(program) => {
                    let groups = &mut self.engine.tables.entry(table).or_default().groups;
                    groups.push(Group { actions, platform, program });
                }
                Err(error) => {
                    let message = format!("the rules for {} together are too large: {error}", table.name());
                    self.errors.push(Fault::new((1, 1), Code::Limit, message).of(table.name(), ""));
                }
            }
        }
        (self.engine, self.errors)
    }
}

//! Weak signs: detections that are not worth an alert by themselves, and when several of them are.
//!
//! A rule of low severity, or one of medium severity whose finding is ordinary in this organisation,
//! gives no alert. It is a sign with points, kept with its process tree (or message). An alert is made
//! when the signs of one tree reach [`ENOUGH`] within a day, or those of one account on one device
//! [`ENOUGH_ON_DEVICE`] within an hour; it lists what added up. A sign that belongs to the story of an
//! open alert becomes an alert of that story at once.

use crate::alert::{AlertDraft, FIRINGS_MAX};
use crate::evidence::merge_evidence;
use crate::lineage::{ProcessFacts, attack_root};
use crate::places::is_system_path;
use crate::sighting::{is_sha256, urls_in};
use hinomi_model::{Detection, DetectionSource, EntityKey, Event, MessageId, Severity, Table, Text, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Points at which the signs of one process tree or message are an alert: three different signs none
/// of which is ordinary, or two and something never seen here.
pub const ENOUGH: i64 = 60;
/// Points at which the signs of one account on one device are an alert, whatever their trees.
pub const ENOUGH_ON_DEVICE: i64 = 80;
/// Signs of one tree add up within this time, seconds.
pub const TREE_SECONDS: i64 = 24 * 3600;
/// Signs of one account on one device add up within this time, seconds.
pub const DEVICE_SECONDS: i64 = 3600;
/// Signs in a shell somebody types into belong together when so many seconds lie between them, or when
/// they come from the same thing started there: what is typed for hours is not one thing.
pub const TYPED_SECONDS: i64 = 15 * 60;
/// Signs looked at together.
pub const SIGNS_MAX: u32 = 200;
/// Rule id of alerts made of weak signs.
pub const BEHAVIOUR_RULE: &str = "hinomi-behaviour";

/// What is seen on so many devices (or in so many messages) is ordinary once it is known for
/// [`SETTLED_SECONDS`] …
pub const ORDINARY: i64 = 3;
/// … and at once on so many.
pub const EVERYWHERE: i64 = 50;
/// How long a habit must be known, seconds: a person has had a day to object.
pub const SETTLED_SECONDS: i64 = 24 * 3600;

/// What names of habits "this program starts that one" begin with.
pub const PAIR: &str = "pair|";
/// Characters of a program's name that count in a pair.
const PAIR_NAME_CHARS: usize = 64;

const POINTS_NEW: i64 = 20;
const POINTS_ORDINARY: i64 = 5;
const POINTS_RARE: i64 = 20;
/// A value is new for the organisation for this long, seconds …
const NEW_SECONDS: i64 = 24 * 3600;
/// … and while so few devices have it.
const NEW_DEVICES: i64 = 2;

/// How often the same thing was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Habit {
    /// Devices, or messages, that showed it.
    pub subjects: i64,
    /// Those of them that first showed it longer ago than [`SETTLED_SECONDS`].
    pub settled: i64,
}

impl Habit {
    /// True when the organisation works like this.
    pub fn is_ordinary(&self) -> bool {
        self.settled >= ORDINARY || self.subjects >= EVERYWHERE
    }

    /// True when so many do it that it says nothing any more.
    pub fn is_everywhere(&self) -> bool {
        self.settled >= EVERYWHERE
    }
}

/// Something the organisation has not seen before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RareFact {
    /// The value.
    pub entity: EntityKey,
    /// What is new about it.
    pub text: Text,
}

/// A weak sign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeakSign {
    /// Under this key it is kept once.
    pub key: String,
    /// Process tree or message.
    pub group: String,
    /// Device and account; none for mail.
    pub place: Option<String>,
    /// When.
    pub at: Timestamp,
    /// The organisation works like this.
    pub ordinary: bool,
    /// What nobody had before.
    pub rare: Vec<RareFact>,
    /// What fired.
    pub detection: Detection,
    /// The process and its ancestors.
    pub lineage: Vec<ProcessFacts>,
}

impl WeakSign {
    /// Its points, without what is rare about it.
    pub fn points(&self) -> i64 {
        if self.ordinary { POINTS_ORDINARY } else { POINTS_NEW }
    }
}

/// Tells whether a detection may be weak: a rule's own word, of low severity, or of medium severity
/// and ordinary here. What an indicator, a filter, a sensor or a person says is an alert.
pub fn may_be_weak(detection: &Detection) -> bool {
    detection.source == DetectionSource::Rule && detection.severity <= Severity::Medium
}

/// Tells whether a detection that [`may_be_weak`] is, given how usual it is here.
pub fn is_weak(detection: &Detection, habit: &Habit) -> bool {
    may_be_weak(detection) && (detection.severity < Severity::Medium || habit.is_ordinary())
}

/// Who shows the habit a detection belongs to: a device, or a message.
pub fn habit_subject(event: &Event) -> Option<String> {
    event.str("DeviceId").or(event.str("NetworkMessageId")).map(str::to_owned)
}

/// Names the habit a detection belongs to: rule, program and its parent, and what it is about (host,
/// file); for mail rule, sender and the network it comes from.
pub fn habit_of(detection: &Detection, lineage: &[ProcessFacts]) -> String {
    let event = &detection.event;
    let text = |column: &str| event.str(column).unwrap_or_default();
    let rule = &detection.rule_id;
    if event.device_id().is_none() {
        let sender = text("SenderFromAddress").to_lowercase();
        let network = text("SenderIPv4").rsplit_once('.').map_or("", |(network, _)| network);
        return format!("{rule}|{sender}|{network}");
    }
    let name = |at: usize| lineage.get(at).map_or("", |facts| facts.file_name.as_str());
    let hosts: Vec<String> = hosts_of(detection).into_iter().map(|host| host.value).collect();
    let file = files_of(event, lineage).into_iter().map(|(hash, _)| hash).next().unwrap_or_default();
    format!("{rule}|{}|{}|{}|{file}", name(0), name(1), hosts.join(","))
}

/// Values of a detection that would be worth naming if nobody had them before: files that are no part
/// of the system, names and public addresses it went to.
pub fn novel_values(detection: &Detection, lineage: &[ProcessFacts]) -> Vec<EntityKey> {
    if detection.event.device_id().is_none() {
        return Vec::new();
    }
    let files = files_of(&detection.event, lineage).into_iter().map(|(hash, _)| EntityKey::file(&hash));
    files.chain(hosts_of(detection)).collect()
}

/// Tells what is new about a value that so many devices have had since then; none when it is not.
pub fn rare_fact(
    entity: &EntityKey,
    name: &str,
    devices: i64,
    first: Option<Timestamp>,
    at: Timestamp,
) -> Option<RareFact> {
    let fresh = first.is_none_or(|first| at.micros_since(first) / 1_000_000 <= NEW_SECONDS);
    if !fresh || devices > NEW_DEVICES {
        return None;
    }
    let text = match entity.kind {
        hinomi_model::EntityKind::File => {
            Text::new(format!("program never seen here before: {name}"), format!("初めて見つかったプログラム: {name}"))
        }
        _ => Text::new(
            format!("first connection of the organisation to {}", entity.value),
            format!("組織で初めての接続先: {}", entity.value),
        ),
    };
    Some(RareFact { entity: entity.clone(), text })
}

/// Names the habit "this program starts that one", without numbers in their names. None when one of
/// them has no name.
pub fn pair_of(parent: &str, child: &str) -> Option<String> {
    let plain = |name: &str| -> String {
        let letters =
            name.chars().take(PAIR_NAME_CHARS).map(|letter| if letter.is_ascii_digit() { '#' } else { letter });
        let mut name: String = letters.flat_map(char::to_lowercase).collect();
        while name.contains("##") {
            name = name.replace("##", "#");
        }
        name
    };
    (!parent.is_empty() && !child.is_empty()).then(|| format!("{PAIR}{}|{}", plain(parent), plain(child)))
}

/// The pairs of programs that process events show, with who showed them and when first.
pub fn pairs_in(events: &[Event]) -> BTreeMap<(String, String), Timestamp> {
    let mut pairs = BTreeMap::new();
    let created =
        |event: &&Event| event.table == Table::DeviceProcessEvents && event.str("ActionType") == Some("ProcessCreated");
    for event in events.iter().filter(created) {
        let text = |column: &str| event.str(column).unwrap_or_default();
        let Some(pair) = pair_of(text("InitiatingProcessFileName"), text("FileName")) else { continue };
        let first: &mut Timestamp = pairs.entry((pair, text("DeviceId").to_owned())).or_insert(event.timestamp);
        *first = (*first).min(event.timestamp);
    }
    pairs
}

/// Tells that a program was never started by this one before; `habit` counts with those a day ago as
/// settled.
pub fn rare_pair(child: &ProcessFacts, parent: &ProcessFacts, habit: Habit) -> Option<RareFact> {
    if habit.settled > 0 || habit.subjects > NEW_DEVICES {
        return None;
    }
    let (child_name, parent) = (&child.file_name, &parent.file_name);
    Some(RareFact {
        entity: EntityKey::process(&child.key),
        text: Text::new(
            format!("{parent} was never seen starting {child_name} here before"),
            format!("{parent} による {child_name} の起動は組織で初めて"),
        ),
    })
}

/// Makes a sign of a detection.
pub fn weak_sign(
    detection: &Detection,
    lineage: &[ProcessFacts],
    draft: &AlertDraft,
    ordinary: bool,
    rare: Vec<RareFact>,
) -> WeakSign {
    WeakSign {
        key: draft.dedupe.clone(),
        group: group_of(draft),
        place: draft
            .alert
            .device
            .as_ref()
            .map(|device| format!("{}|{}", device.id, draft.alert.user.as_deref().unwrap_or_default())),
        at: detection.event.timestamp,
        ordinary,
        rare,
        detection: detection.clone(),
        lineage: lineage[..attack_root(lineage)].to_vec(),
    }
}

/// The group whose signs belong to an alert: its process tree, its message, else its own key.
pub fn group_of(draft: &AlertDraft) -> String {
    match (draft.alert.tree_root, draft.alert.device.is_some(), draft.alert.message_id) {
        (Some(root), true, _) => EntityKey::process(&root).to_string(),
        (_, false, Some(message)) => EntityKey::message(message).to_string(),
        _ => draft.dedupe.clone(),
    }
}

/// Groups whose signs become alerts beside this one: its tree and the messages it names.
pub fn groups_of(draft: &AlertDraft) -> Vec<String> {
    let messages = draft.alert.evidence.iter().filter_map(|piece| piece.entity.value.parse::<MessageId>().ok());
    let mut groups: Vec<String> = messages.map(|id| EntityKey::message(id).to_string()).collect();
    groups.push(group_of(draft));
    groups.sort();
    groups.dedup();
    groups
}

/// Adds up signs around the newest: one per rule, and twenty points more for each kind of thing never
/// seen here. Signs that are ordinary count little on a tree and nothing on a device.
fn points<'a>(signs: impl Iterator<Item = &'a WeakSign>) -> i64 {
    let mut rules: Vec<(&str, i64)> = Vec::new();
    let mut kinds: Vec<hinomi_model::EntityKind> = Vec::new();
    for sign in signs {
        match rules.iter_mut().find(|(rule, _)| *rule == sign.detection.rule_id) {
            Some((_, points)) => *points = (*points).max(sign.points()),
            None => rules.push((&sign.detection.rule_id, sign.points())),
        }
        let rare = sign.rare.iter().filter(|_| !sign.ordinary);
        kinds.extend(rare.map(|fact| fact.entity.kind));
    }
    kinds.sort();
    kinds.dedup();
    // one sign is one sign, however new its file is
    let rare = if rules.len() > 1 { kinds.len() as i64 * POINTS_RARE } else { 0 };
    rules.iter().map(|(_, points)| points).sum::<i64>() + rare
}

/// Returns the signs that add up to an alert with `newest`, in order of time; empty when they do not.
/// `tree` are the signs of its group, `device` those of its place; both may hold others.
pub fn adds_up(newest: &WeakSign, tree: &[WeakSign], device: &[WeakSign]) -> Vec<WeakSign> {
    let near = |sign: &WeakSign, seconds: i64| {
        sign.at.micros_since(newest.at).abs() / 1_000_000 <= seconds && sign.key != newest.key
    };
    let with_newest = |signs: &[WeakSign], keep: &dyn Fn(&WeakSign) -> bool| {
        let mut kept: Vec<WeakSign> = signs.iter().filter(|sign| keep(sign)).cloned().collect();
        kept.push(newest.clone());
        kept.sort_by(|one, other| (one.at, &one.key).cmp(&(other.at, &other.key)));
        kept
    };
    let session = newest.lineage.last().is_some_and(is_session);
    let together = |sign: &WeakSign| !session || near(sign, TYPED_SECONDS) || share_below(newest, sign);
    let of_tree = with_newest(tree, &|sign| sign.group == newest.group && near(sign, TREE_SECONDS) && together(sign));
    if points(of_tree.iter()) >= ENOUGH {
        return of_tree;
    }
    if newest.ordinary || newest.place.is_none() {
        return Vec::new();
    }
    let of_device =
        with_newest(device, &|sign| sign.place == newest.place && !sign.ordinary && near(sign, DEVICE_SECONDS));
    if points(of_device.iter()) >= ENOUGH_ON_DEVICE { of_device } else { Vec::new() }
}

/// True when both come from one process below the root of their tree.
fn share_below(one: &WeakSign, other: &WeakSign) -> bool {
    let below = |sign: &WeakSign| sign.lineage.len().saturating_sub(1);
    let others = &other.lineage[..below(other)];
    one.lineage[..below(one)].iter().any(|process| others.iter().any(|theirs| theirs.key == process.key))
}

/// Turns the alert of the newest sign into the alert of all of them: it says what added up.
pub fn behaviour(mut draft: AlertDraft, signs: &[WeakSign], drafts: &[AlertDraft]) -> AlertDraft {
    let total = points(signs.iter());
    let mut titles: Vec<(&Text, i64)> = Vec::new();
    let mut rare: Vec<&Text> = Vec::new();
    for sign in signs {
        if !titles.iter().any(|(title, _)| **title == sign.detection.title) {
            titles.push((&sign.detection.title, sign.points()));
        }
        rare.extend(sign.rare.iter().filter(|_| !sign.ordinary).map(|fact| &fact.text));
    }
    rare.sort_by(|one, other| one.en.cmp(&other.en));
    rare.dedup();
    let told = |language: fn(&Text) -> &str, joint: &str| {
        let added = titles.iter().map(|(title, points)| format!("{} ({points})", language(title)));
        added.chain(rare.iter().map(|fact| language(fact).to_owned())).collect::<Vec<_>>().join(joint)
    };
    let alert = &mut draft.alert;
    alert.title = Text::new("Weak signs add up", "弱い兆候の積み重なり");
    alert.description = Text::new(
        format!("None of these is worth an alert alone; together they have {total} points: {}.", told(|t| &t.en, "; ")),
        format!("単独ではアラートになりませんが、合わせて {total} 点です: {}。", told(|t| &t.ja, "、")),
    );
    alert.rule_id = BEHAVIOUR_RULE.to_owned();
    alert.severity = Severity::Medium;
    draft.dedupe = match alert.tree_root {
        Some(root) => {
            format!("{BEHAVIOUR_RULE}|{}", story_start(signs).unwrap_or_else(|| EntityKey::process(&root).to_string()))
        }
        None => format!("{BEHAVIOUR_RULE}|{}", draft.dedupe),
    };
    for other in drafts {
        let one = &other.alert;
        let known: Vec<_> = alert.why.iter().map(|why| (why.rule_id.clone(), why.event.clone())).collect();
        let more = one.why.iter().filter(|why| !known.contains(&(why.rule_id.clone(), why.event.clone())));
        alert.why.extend(more.cloned().collect::<Vec<_>>());
        merge_evidence(&mut alert.evidence, one.evidence.iter().cloned());
        alert.first_activity = alert.first_activity.min(one.first_activity);
        alert.last_activity = alert.last_activity.max(one.last_activity);
        crate::alert::add_sorted(&mut alert.techniques, &one.techniques);
        draft.links.extend(other.links.iter().cloned());
        draft.entities.extend(other.entities.iter().cloned());
    }
    alert.why.sort_by(|one, other| (one.event.timestamp, &one.event).cmp(&(other.event.timestamp, &other.event)));
    alert.why.truncate(FIRINGS_MAX);
    for keys in [&mut draft.links, &mut draft.entities] {
        keys.sort();
        keys.dedup();
    }
    draft
}

/// What the signs of a shell somebody types into have in common: the process below it they all come
/// from, else the first of them. None when they do not come from such a shell: its tree is their story.
fn story_start(signs: &[WeakSign]) -> Option<String> {
    let first = signs.first()?;
    if !signs.iter().any(|sign| sign.lineage.last().is_some_and(is_session)) {
        return None;
    }
    let below = &first.lineage[..first.lineage.len().saturating_sub(1)];
    let shared =
        |process: &&ProcessFacts| signs.iter().all(|sign| sign.lineage.iter().any(|one| one.key == process.key));
    let start = below.iter().rev().find(shared).map(|process| EntityKey::process(&process.key).to_string());
    Some(start.unwrap_or_else(|| first.key.clone()))
}

/// Returns the shell somebody types into when it is the root of the attack's own part of a lineage: what
/// else is done in it may have nothing to do with this.
pub fn session_of(lineage: &[ProcessFacts]) -> Option<EntityKey> {
    let root = lineage[..attack_root(lineage)].last()?;
    is_session(root).then(|| EntityKey::process(&root.key))
}

/// True for a shell without a script or command: somebody types into it.
fn is_session(facts: &ProcessFacts) -> bool {
    let shell = ["sh", "bash", "dash", "zsh", "ksh", "fish"].contains(&facts.file_name.as_str());
    let mut words = facts.command_line.split_whitespace().skip(1);
    shell && words.all(|word| matches!(word, "-i" | "-l" | "--login"))
}

fn hosts_of(detection: &Detection) -> Vec<EntityKey> {
    let event = &detection.event;
    let mut hosts: Vec<EntityKey> = Vec::new();
    let name = event.str("RemoteUrl").filter(|name| !name.is_empty() && !name.contains("://"));
    match (name, event.str("RemoteIP").filter(|ip| !ip.is_empty())) {
        (Some(name), _) => hosts.push(EntityKey::domain(name)),
        (None, Some(ip)) => hosts.push(EntityKey::ip(ip)),
        _ => {}
    }
    if event.table == Table::DeviceProcessEvents {
        let urls = urls_in(event.str("ProcessCommandLine").unwrap_or_default());
        hosts.extend(urls.iter().filter_map(|url| crate::url_domain(url)).map(|domain| EntityKey::domain(&domain)));
    }
    hosts.sort();
    hosts.dedup();
    hosts
}

/// Hashes and paths of files that are no part of the system: what is run, written or read as a script.
fn files_of(event: &Event, lineage: &[ProcessFacts]) -> Vec<(String, String)> {
    let text = |column: &str| event.str(column).unwrap_or_default().to_owned();
    let mut files = Vec::new();
    if text("AdditionalFields").contains("ScriptSHA256") {
        let script =
            |name| event.additional(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
        files.push((script("ScriptSHA256"), script("ScriptPath")));
    }
    files.push((text("SHA256"), text("FolderPath")));
    files.extend(lineage.first().map(|facts| (facts.sha256.clone(), facts.path.clone())));
    files.retain(|(hash, path)| is_sha256(hash) && !is_system_path(path));
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use hinomi_model::{DetectionStatus, Event, ProcessKey};

    const DEVICE: &str = "00000000-0000-0000-0000-000000000001";

    fn sign(rule: &str, minutes: i64, ordinary: bool, new_file: bool, root: &str) -> WeakSign {
        let at = Timestamp::from_micros(minutes * 60_000_000);
        let detection = Detection {
            rule_id: rule.to_owned(),
            title: Text::same(rule),
            description: Text::default(),
            next_steps: Vec::new(),
            severity: Severity::Low,
            techniques: Vec::new(),
            tactics: Vec::new(),
            source: DetectionSource::Rule,
            status: DetectionStatus::Detected,
            event: Event::new(Table::DeviceProcessEvents, at),
            matched: Vec::new(),
        };
        let file = RareFact { entity: EntityKey::file(&"a".repeat(64)), text: Text::same("new") };
        let facts = serde_json::json!({
            "key": ProcessKey { device_id: DEVICE.parse().expect("id"), pid: 7, started_at: Timestamp::default() },
            "parent": null, "file_name": "bash", "path": "/usr/bin/bash", "command_line": root, "sha256": "",
            "account": "u", "rank": 2,
        });
        WeakSign {
            key: format!("{rule}|{minutes}"),
            group: "process:1".to_owned(),
            place: Some("device|u".to_owned()),
            at,
            ordinary,
            rare: if new_file { vec![file] } else { Vec::new() },
            detection,
            lineage: vec![serde_json::from_value(facts).expect("facts")],
        }
    }

    /// How many signs add up when the last one comes.
    fn added(signs: &[WeakSign]) -> usize {
        let (newest, before) = signs.split_last().expect("signs");
        adds_up(newest, before, before).len()
    }

    #[test]
    fn different_signs_on_one_tree_add_up_and_ordinary_ones_do_not() {
        let of = |rule: &str, minutes| sign(rule, minutes, false, false, "bash x.sh");
        assert_eq!(added(&[of("a", 0), of("b", 1)]), 0, "two are not enough");
        assert_eq!(added(&[of("a", 0), of("b", 1), of("c", 2)]), 3);
        assert_eq!(added(&[of("a", 0), of("a", 1), of("b", 2)]), 0, "the same rule again is the same sign");
        assert_eq!(added(&[of("a", 0), of("b", 600), of("c", 1_300)]), 3, "a tree has a day");
        assert_eq!(added(&[of("a", 0), of("b", 600), of("c", 1_500)]), 0);
        let usual = |rule: &str, minutes| sign(rule, minutes, true, true, "bash x.sh");
        let many: Vec<WeakSign> = (0..8).map(|n| usual(&format!("r{n}"), n)).collect();
        assert_eq!(added(&many), 0, "what the organisation always does");
    }

    #[test]
    fn what_nobody_had_before_counts_but_never_alone() {
        let new = |rule: &str, minutes| sign(rule, minutes, false, true, "bash x.sh");
        assert_eq!(added(&[new("a", 0)]), 0);
        assert_eq!(added(&[new("a", 0), new("b", 1)]), 2, "20 + 20 and 20 for the file");
    }

    #[test]
    fn a_pair_of_programs_is_new_until_the_organisation_knows_it() {
        assert_eq!(pair_of("Python3.11", "sh"), Some("pair|python#.#|sh".to_owned()));
        assert_eq!(pair_of("", "sh"), None);
        let at = |seconds: i64| Timestamp::default().plus_seconds(seconds);
        let event = |device: &str, seconds: i64| {
            let mut event = Event::new(Table::DeviceProcessEvents, at(seconds));
            event.set("ActionType", "ProcessCreated").set("DeviceId", device);
            event.set("InitiatingProcessFileName", "soffice.bin").set("FileName", "sh");
            event
        };
        let pairs = pairs_in(&[event("a", 5), event("b", 7), event("a", 2)]);
        let firsts: Vec<_> =
            pairs.iter().map(|((pair, device), first)| (pair.as_str(), device.as_str(), *first)).collect();
        assert_eq!(firsts, [("pair|soffice.bin|sh", "a", at(2)), ("pair|soffice.bin|sh", "b", at(7))]);
        let process = &sign("a", 0, false, false, "x").lineage[0];
        let habit = |subjects, settled| Habit { subjects, settled };
        assert!(rare_pair(process, process, habit(1, 0)).is_some());
        assert!(rare_pair(process, process, habit(1, 1)).is_none(), "known since yesterday");
        assert!(rare_pair(process, process, habit(3, 0)).is_none(), "three devices do it");
    }

    #[test]
    fn a_shell_somebody_types_into_is_no_story_of_a_day() {
        let typed = |rule: &str, minutes| sign(rule, minutes, false, false, "-bash");
        assert_eq!(added(&[typed("a", 0), typed("b", 5), typed("c", 14)]), 3);
        assert_eq!(added(&[typed("a", 0), typed("b", 60), typed("c", 119)]), 0);
        // two things typed on one day are two alerts, what one program does for hours is one
        let tries = [typed("a", 0), typed("b", 5)];
        assert_ne!(story_start(&tries), story_start(&tries[1..]));
        let below = |mut sign: WeakSign| {
            let mut process = sign.lineage[0].clone();
            process.key.pid = 8;
            process.command_line = "bash x.sh".to_owned();
            sign.lineage.insert(0, process);
            sign
        };
        let program = tries.clone().map(below);
        assert_eq!(added(&[below(typed("a", 0)), below(typed("b", 60)), below(typed("c", 119))]), 3);
        assert_eq!(story_start(&program), story_start(&program[1..]));
        assert_eq!(story_start(&[sign("a", 0, false, false, "bash x.sh")]), None);
    }

    #[test]
    fn a_device_adds_up_within_an_hour_whatever_the_trees() {
        let apart: Vec<WeakSign> = (0..4)
            .map(|n| WeakSign {
                group: format!("process:{n}"),
                ..sign(&format!("r{n}"), n * 10, false, false, "bash x")
            })
            .collect();
        assert_eq!(added(&apart), 4);
        assert_eq!(added(&apart[..3]), 0);
        let late = WeakSign { group: "process:9".to_owned(), ..sign("r3", 100, false, false, "bash x") };
        assert_eq!(added(&[&apart[..3], &[late]].concat()), 0);
    }

    #[test]
    fn a_habit_is_ordinary_when_several_had_it_for_a_day_or_everybody_has_it() {
        let habit = |subjects, settled| Habit { subjects, settled };
        assert!(!habit(49, 2).is_ordinary() && habit(3, 3).is_ordinary() && habit(50, 0).is_ordinary());
        assert!(!habit(64, 49).is_everywhere() && habit(64, 50).is_everywhere());
        let mut detection = sign("a", 0, false, false, "").detection;
        assert!(is_weak(&detection, &habit(1, 0)));
        detection.severity = Severity::Medium;
        assert!(!is_weak(&detection, &habit(1, 0)) && is_weak(&detection, &habit(3, 3)));
        detection.severity = Severity::High;
        assert!(!is_weak(&detection, &habit(64, 64)));
        detection.severity = Severity::Low;
        detection.source = DetectionSource::CustomTi;
        assert!(!is_weak(&detection, &habit(64, 64)), "an indicator is somebody's word");
    }
}

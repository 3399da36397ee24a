//! Steps that collect from devices: the file, its processes, connections, persistence.

use super::{Case, Fact, Outcome, Query, case_files, edge};
use crate::evidence::piece;
use crate::story::{StoryFocus, StoryKind, StoryNode, story};
use crate::{is_system_path, persistence_of};
use hinomi_model::{
    Alert, EntityKey, EntityKind, Evidence, EvidenceRole, IndicatorAction, ProcessKey, Sighting, Text, Verdict,
};
use std::collections::BTreeMap;

/// Files followed by one investigation.
const FILES_MAX: usize = 50;
/// Process trees followed by one investigation.
const TREES_MAX: usize = 8;
/// Seconds before the first event a tree is read from.
const BEFORE_SECONDS: i64 = 600;

/// The files the alerts are about.
pub(crate) fn focus_files(alerts: &[Alert]) -> impl Iterator<Item = &Evidence> {
    alerts.iter().flat_map(|alert| &alert.evidence).filter(|piece| {
        let system = piece.facts.get("path").is_some_and(|path| is_system_path(path));
        piece.entity.kind == EntityKind::File && piece.role != EvidenceRole::Contextual && !system
    })
}

pub(super) fn identify_queries(case: &Case<'_>) -> Vec<Query> {
    let mut queries = Vec::new();
    let mut files: Vec<&EntityKey> = focus_files(case.alerts).map(|piece| &piece.entity).collect();
    files.sort();
    files.dedup();
    for file in files.into_iter().take(FILES_MAX) {
        for by in [EntityKind::Device, EntityKind::MessageCopy] {
            queries.push(Query::Seen { observable: file.clone(), by });
        }
        queries.push(Query::Indicator { entity: file.clone() });
    }
    queries
}

pub(super) fn identify(case: &Case<'_>, facts: &[Fact]) -> Outcome {
    let mut files: BTreeMap<EntityKey, Evidence> = BTreeMap::new();
    for known in focus_files(case.alerts).take(FILES_MAX) {
        files.entry(known.entity.clone()).or_insert_with(|| known.clone());
    }
    let Some(first) = files.values().next().cloned() else {
        return Outcome::skipped("The alert names no file.", "アラートにファイルがありません。");
    };
    let own = case.own_devices();
    let mut outcome = Outcome::done("", "");
    for fact in facts {
        match fact {
            Fact::Seen { observable, by, sightings, total } => {
                let Some(file) = files.get_mut(observable) else { continue };
                let name = if *by == EntityKind::Device { "devices" } else { "copies" };
                file.facts.insert(name.to_owned(), total.to_string());
                // what other devices have among the files of their system came with a package
                let installed = |seen: &&Sighting| {
                    *by == EntityKind::Device && is_system_path(&seen.name) && !own.contains(&seen.entity)
                };
                let installed = sightings.iter().filter(installed).count();
                if installed > 0 {
                    file.facts.insert("installed".to_owned(), installed.to_string());
                }
                if let Some(seen) = sightings.iter().map(|sighting| sighting.first_seen).min() {
                    let known = file.facts.entry("first_seen".to_owned()).or_insert_with(|| seen.to_string());
                    if seen.to_string() < *known {
                        *known = seen.to_string();
                    }
                }
            }
            Fact::Indicator { entity, indicator: Some(indicator) } => {
                let Some(file) = files.get_mut(entity) else { continue };
                let action = match indicator.spec.action {
                    IndicatorAction::BlockAndRemediate => IndicatorAction::Block,
                    other => other,
                };
                file.facts.insert("indicator".to_owned(), action.word());
                let by = &indicator.created_by;
                let (verdict, reason) = match action {
                    IndicatorAction::Block | IndicatorAction::BlockAndRemediate => (
                        Verdict::Malicious,
                        Text::new(
                            format!("On the block list (added by {by})."),
                            format!("ブロック一覧にあります（{by} が登録）。"),
                        ),
                    ),
                    IndicatorAction::Allow => (
                        Verdict::NoThreatsFound,
                        Text::new(format!("Allowed by {by}."), format!("{by} が許可しています。")),
                    ),
                    IndicatorAction::Audit | IndicatorAction::Warn => continue,
                };
                outcome.verdicts.push((entity.clone(), verdict, reason));
            }
            _ => {}
        }
    }
    for alert in case.alerts {
        let device = alert.device.as_ref().map(|device| (EntityKey::device(device.id), device.name.clone()));
        let Some((key, name)) = device else { continue };
        let at = alert.first_activity;
        outcome.evidence.push(piece(key.clone(), name, EvidenceRole::Attacked, &[], at));
        for file in focus_files(std::slice::from_ref(alert)) {
            outcome.edges.push(edge(&key, &file.entity, "had", "で検知"));
        }
        if let Some(user) = &alert.user {
            let entity = EntityKey::user(user);
            outcome.edges.push(edge(&entity, &key, "works on", "が使用"));
            outcome.evidence.push(piece(entity, user.clone(), EvidenceRole::Attacked, &[], at));
        }
    }
    let count = files.len();
    outcome.evidence.extend(files.into_values());
    let devices = first.facts.get("devices").cloned();
    let more = if count > 1 {
        (format!(" and {} more", count - 1), format!(" ほか {} 件", count - 1))
    } else {
        Default::default()
    };
    let seen = |word: &str| {
        let total = facts.iter().find_map(|fact| match fact {
            Fact::Seen { observable, by, total, .. } if *observable == first.entity && by.name() == word => {
                Some(*total)
            }
            _ => None,
        });
        total.unwrap_or_default()
    };
    let (devices, copies) = (devices.unwrap_or_else(|| seen("device").to_string()), seen("messageCopy"));
    outcome.result = Text::new(
        format!("{}{}: seen on {devices} devices and in {copies} message copies.", first.name, more.0),
        format!("{}{}: {devices} 台のデバイス、{copies} 通のメールで確認しました。", first.name, more.1),
    );
    outcome
}

pub(super) fn tree_queries(case: &Case<'_>) -> Vec<Query> {
    let mut queries: Vec<Query> = Vec::new();
    for (root, first) in roots(case) {
        let from = root.started_at.min(first).plus_seconds(-BEFORE_SECONDS);
        queries.push(Query::Tree { root, from, to: case.now.plus_seconds(60) });
    }
    queries
}

/// The process trees of the alerts, oldest first.
pub(super) fn roots(case: &Case<'_>) -> Vec<(ProcessKey, hinomi_model::Timestamp)> {
    let mut roots: BTreeMap<ProcessKey, hinomi_model::Timestamp> = BTreeMap::new();
    for alert in case.alerts {
        if let Some(root) = alert.tree_root {
            let first = roots.entry(root).or_insert(alert.first_activity);
            *first = alert.first_activity.min(*first);
        }
    }
    let mut roots: Vec<_> = roots.into_iter().collect();
    roots.sort_by_key(|(root, first)| (*first, *root));
    roots.truncate(TREES_MAX);
    roots
}

/// The story nodes of every tree among the facts.
fn nodes(facts: &[Fact]) -> Vec<(ProcessKey, StoryNode)> {
    let mut all = Vec::new();
    for fact in facts {
        let Fact::Tree { root, events } = fact else { continue };
        let tree = story(events, &StoryFocus { root: Some(*root), ..StoryFocus::default() });
        // ancestors above the root are context, not part of the attack
        let start = tree.nodes.iter().position(|node| node.key == EntityKey::process(root).to_string()).unwrap_or(0);
        all.extend(tree.nodes.into_iter().skip(start).map(|node| (*root, node)));
    }
    all
}

pub(super) fn no_tree() -> Outcome {
    Outcome::skipped("No process tree belongs to the alert.", "アラートに関わるプロセス ツリーがありません。")
}

pub(super) fn process_tree(case: &Case<'_>, facts: &[Fact]) -> Outcome {
    if roots(case).is_empty() {
        return no_tree();
    }
    let mut outcome = Outcome::done("", "");
    let (mut processes, mut files) = (0, 0);
    for (_, node) in nodes(facts) {
        let Some(entity) = node.entity.clone() else { continue };
        let parent: Option<EntityKey> = node.parent.as_deref().and_then(|parent| parent.parse().ok());
        match node.kind {
            StoryKind::Process => {
                processes += 1;
                process_evidence(&node, &entity, parent.as_ref(), &mut outcome);
            }
            StoryKind::File => {
                let path = node.facts.get("path").cloned().unwrap_or_default();
                if is_system_path(&path) && persistence_of(&path).is_none() {
                    continue;
                }
                files += 1;
                let device = node_device(&node).map(|device| device.to_string()).unwrap_or_default();
                let mut file = piece(
                    entity.clone(),
                    node.name.clone(),
                    EvidenceRole::Created,
                    &[("path", &path), ("device", &device)],
                    node.at,
                );
                file.facts.extend(
                    node.facts
                        .iter()
                        .filter(|(name, _)| *name == "persistence" || *name == "actions")
                        .map(|(k, v)| (k.clone(), v.clone())),
                );
                if let Some(parent) = &parent {
                    outcome.edges.push(edge(parent, &entity, "wrote", "が書き込み"));
                }
                outcome.evidence.push(file);
            }
            _ => {}
        }
    }
    if processes == 0 {
        return Outcome::failed(Text::new(
            "The events of the process tree are not in the lake (yet).",
            "プロセス ツリーのイベントが（まだ）保存されていません。",
        ));
    }
    outcome.result = Text::new(
        format!("{processes} processes, {files} files written."),
        format!("{processes} 個のプロセス、{files} 個のファイル書き込みが見つかりました。"),
    );
    outcome
}

fn process_evidence(node: &StoryNode, entity: &EntityKey, parent: Option<&EntityKey>, outcome: &mut Outcome) {
    let text = |name: &str| node.facts.get(name).map(String::as_str).unwrap_or_default();
    let ended = node.ended_at.map(|at| at.to_string()).unwrap_or_default();
    let facts = [
        ("path", text("path")),
        ("command_line", node.command_line.as_str()),
        ("account", node.user.as_str()),
        ("ended_at", ended.as_str()),
        ("sha256", node.sha256.as_deref().unwrap_or_default()),
    ];
    outcome.evidence.push(piece(entity.clone(), node.name.clone(), EvidenceRole::Suspicious, &facts, node.at));
    if let Some(parent) = parent {
        outcome.edges.push(edge(parent, entity, "started", "が起動"));
    }
    // the image or script that ran, when it is not part of the system
    let script = text("script_path");
    let path = if script.is_empty() { text("path") } else { script };
    if let Some(sha256) = node.sha256.as_deref().filter(|_| !is_system_path(path) && !path.is_empty()) {
        let file = EntityKey::file(sha256);
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
        let device = node_device(node).map(|device| device.to_string()).unwrap_or_default();
        let facts = [("path", path), ("executed", "true"), ("device", device.as_str())];
        outcome.edges.push(edge(&file, entity, "ran as", "を実行"));
        outcome.evidence.push(piece(file, name, EvidenceRole::Suspicious, &facts, node.at));
    }
}

fn node_device(node: &StoryNode) -> Option<hinomi_model::DeviceId> {
    let process = match node.kind {
        StoryKind::Process => node.entity.clone(),
        _ => node.parent.as_deref().and_then(|parent| parent.parse().ok()),
    };
    process.and_then(|key: EntityKey| key.as_process()).map(|key| key.device_id)
}

pub(super) fn network(case: &Case<'_>, facts: &[Fact]) -> Outcome {
    if roots(case).is_empty() {
        return no_tree();
    }
    let command_and_control = case.alerts.iter().any(|alert| alert.category == "command-and-control");
    let role = if command_and_control { EvidenceRole::CommandAndControl } else { EvidenceRole::Destination };
    let mut outcome = Outcome::done("", "");
    let mut names: Vec<String> = Vec::new();
    for (_, node) in nodes(facts).into_iter().filter(|(_, node)| node.kind == StoryKind::Network) {
        let Some(entity) = node.entity.clone() else { continue };
        let port = node.name.rsplit_once(':').map(|(_, port)| port.to_owned()).unwrap_or_default();
        let protocol = node.facts.get("protocol").cloned().unwrap_or_default();
        let role = if entity.kind == EntityKind::Ip && port != "53" { role } else { EvidenceRole::Destination };
        let facts = [("port", port.as_str()), ("protocol", protocol.as_str())];
        if let Some(parent) = node.parent.as_deref().and_then(|parent| parent.parse::<EntityKey>().ok()) {
            outcome.edges.push(edge(&parent, &entity, "connected to", "が接続"));
        }
        outcome.evidence.push(piece(entity, node.name.clone(), role, &facts, node.at));
        if !names.contains(&node.name) {
            names.push(node.name);
        }
    }
    outcome.result = match names.len() {
        0 => Text::new("No connections.", "通信はありません。"),
        n => {
            let shown = names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            Text::new(format!("{n} destinations: {shown}"), format!("{n} 件の通信先: {shown}"))
        }
    };
    outcome
}

pub(super) fn persistence(case: &Case<'_>, facts: &[Fact]) -> Outcome {
    if roots(case).is_empty() {
        return no_tree();
    }
    let mut outcome = Outcome::done("", "");
    let mut found: Vec<String> = Vec::new();
    for (_, node) in nodes(facts).into_iter().filter(|(_, node)| node.kind == StoryKind::File) {
        let path = node.facts.get("path").cloned().unwrap_or_default();
        let (Some(kind), Some(entity)) = (persistence_of(&path), node.entity.clone()) else { continue };
        let actions = node.facts.get("actions").map(String::as_str).unwrap_or_default();
        let device = node_device(&node).map(|device| device.to_string()).unwrap_or_default();
        let word = format!("{kind:?}");
        let facts = [
            ("path", path.as_str()),
            ("persistence", word.as_str()),
            ("technique", kind.technique()),
            ("actions", actions),
            ("device", device.as_str()),
        ];
        let mut file = piece(entity, node.name.clone(), EvidenceRole::Created, &facts, node.at);
        file.verdict = Verdict::Suspicious;
        let text = kind.text();
        file.reason = Text::new(
            format!("Written as {} by the process tree: it would run again.", text.en),
            format!("プロセス ツリーが{}として書き込みました。再び実行される仕掛けです。", text.ja),
        );
        outcome.evidence.push(file);
        found.push(path);
    }
    outcome.result = match found.len() {
        0 => Text::new("No persistence found.", "永続化の仕掛けは見つかりませんでした。"),
        n => {
            Text::new(format!("{n} found: {}", found.join(", ")), format!("{n} 件見つかりました: {}", found.join(", ")))
        }
    };
    outcome
}

pub(super) fn other_devices_queries(case: &Case<'_>) -> Vec<Query> {
    let files = case_files(case).filter(|piece| !piece.facts.contains_key("persistence")).take(FILES_MAX);
    files.map(|piece| Query::Seen { observable: piece.entity.clone(), by: EntityKind::Device }).collect()
}

pub(super) fn other_devices(case: &Case<'_>, facts: &[Fact]) -> Outcome {
    let own = case.own_devices();
    let mut outcome = Outcome::done("", "");
    let mut others: Vec<EntityKey> = Vec::new();
    for fact in facts {
        let Fact::Seen { observable, by: EntityKind::Device, sightings, .. } = fact else { continue };
        for sighting in sightings {
            outcome.edges.push(edge(&sighting.entity, observable, "had", "で検知"));
            if own.contains(&sighting.entity) {
                continue;
            }
            if !others.contains(&sighting.entity) {
                others.push(sighting.entity.clone());
            }
            let facts = [("path", sighting.name.as_str()), ("file", observable.value.as_str())];
            outcome.evidence.push(piece(
                sighting.entity.clone(),
                sighting.entity.value.clone(),
                EvidenceRole::Attacked,
                &facts,
                sighting.first_seen,
            ));
        }
    }
    outcome.result = match others.len() {
        0 => Text::new("On no other device.", "ほかのデバイスにはありません。"),
        n => Text::new(format!("On {n} other devices."), format!("ほかの {n} 台のデバイスにあります。")),
    };
    outcome
}

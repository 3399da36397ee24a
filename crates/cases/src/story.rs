//! The story of an alert: the process tree with files, connections and the mail it came from.

use crate::decode::decoded;
use crate::lineage::ANCESTORS_MAX;
use hinomi_model::{EntityKey, Event, EventRef, MessageCopy, ProcessKey, Severity, Table, Text, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Nodes of one story; the console stays quick up to here.
pub const STORY_NODES_MAX: usize = 2_000;
/// Files or connections shown per process before they fold into one line.
const LEAVES_MAX: usize = 40;
/// Ancestors shown above the attack.
const ANCESTORS_SHOWN_MAX: usize = 6;
/// Mails shown above the tree.
const MAILS_MAX: usize = 5;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StoryKind {
    /// A process.
    Process,
    /// A file.
    File,
    /// A connection or a name asked for.
    Network,
    /// A message.
    Mail,
    /// An account.
    User,
}

/// A node of the story. Names and facts are untrusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoryNode {
    /// Unique within the story.
    pub key: String,
    /// The node it hangs on.
    pub parent: Option<String>,
    /// What it is.
    pub kind: StoryKind,
    /// The entity, for the page of it.
    pub entity: Option<EntityKey>,
    /// File name, address, subject.
    pub name: String,
    /// Command line of a process.
    pub command_line: String,
    /// When it began.
    pub at: Timestamp,
    /// When the process ended.
    pub ended_at: Option<Timestamp>,
    /// Account.
    pub user: String,
    /// SHA-256 of the image or file.
    pub sha256: Option<String>,
    /// Highest severity of the alerts on it.
    pub severity: Option<Severity>,
    /// Technique of that alert.
    pub technique: Option<String>,
    /// Title of that alert.
    pub detection: Option<Text>,
    /// More, by name.
    pub facts: BTreeMap<String, String>,
    /// Devices that had the file or went to the place, when known.
    pub prevalence: Option<i64>,
}

/// Nodes depth first, siblings by time; `truncated` when limits left something out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct StoryTree {
    /// Nodes, parents before children.
    pub nodes: Vec<StoryNode>,
    /// Something was left out.
    pub truncated: bool,
}

/// An alert's firing, to mark the node it fired on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertMark {
    /// Event that fired.
    pub event: EventRef,
    /// Severity of the alert.
    pub severity: Severity,
    /// Technique, may be empty.
    pub technique: String,
    /// Title of the alert.
    pub title: Text,
}

/// What the story is about.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoryFocus<'a> {
    /// The oldest process ascribed to the attack.
    pub root: Option<ProcessKey>,
    /// Firings.
    pub marks: &'a [AlertMark],
    /// Messages that carried a file of the tree.
    pub copies: &'a [MessageCopy],
    /// Devices per SHA-256, address, domain and URL.
    pub prevalence: Option<&'a BTreeMap<String, i64>>,
}

#[derive(Debug, Default, Clone)]
struct Process {
    parent: Option<ProcessKey>,
    name: String,
    path: String,
    command_line: String,
    user: String,
    sha256: String,
    script: Option<(String, String)>,
    image_at: Option<Timestamp>,
    chain: Vec<String>,
    ended_at: Option<Timestamp>,
    exit_code: String,
    mark: Option<Mark>,
}

#[derive(Debug, Clone)]
struct Mark {
    severity: Severity,
    technique: String,
    title: Text,
}

#[derive(Debug)]
struct Leaf {
    kind: StoryKind,
    entity: Option<EntityKey>,
    name: String,
    sha256: Option<String>,
    at: Timestamp,
    count: u64,
    facts: BTreeMap<String, String>,
    mark: Option<Mark>,
}

/// Returns the root and every process the events show below it.
pub fn descendants<'a>(events: impl IntoIterator<Item = &'a Event>, root: ProcessKey) -> BTreeSet<ProcessKey> {
    let mut children: HashMap<ProcessKey, Vec<ProcessKey>> = HashMap::new();
    for event in events {
        if event.table == Table::DeviceProcessEvents
            && event.str("ActionType") != Some("ProcessTerminated")
            && let (Some(child), Some(parent)) = (event.process(), event.initiating_process())
            && child != parent
        {
            children.entry(parent).or_default().push(child);
        }
    }
    let mut found = BTreeSet::from([root]);
    let mut open = vec![root];
    while let Some(next) = open.pop() {
        for child in children.get(&next).into_iter().flatten() {
            if found.insert(*child) {
                open.push(*child);
            }
        }
    }
    found
}

/// Builds the story from a device's events, in any order.
pub fn story<'a>(events: impl IntoIterator<Item = &'a Event>, focus: &StoryFocus<'_>) -> StoryTree {
    let mut events: Vec<&Event> = events.into_iter().collect();
    events.sort_by_key(|event| (event.timestamp, event.long("ReportId")));
    let mut builder = Builder { marks: marks_by_event(focus.marks), ..Builder::default() };
    for event in &events {
        builder.learn(event);
    }
    let mut tree = StoryTree::default();
    builder.mails(focus, &mut tree);
    if let Some(root) = focus.root {
        builder.emit(root, focus, &mut tree);
    }
    tree
}

fn marks_by_event(marks: &[AlertMark]) -> HashMap<EventRef, Mark> {
    let mut by_event: HashMap<EventRef, Mark> = HashMap::new();
    for mark in marks {
        let new = Mark { severity: mark.severity, technique: mark.technique.clone(), title: mark.title.clone() };
        by_event.entry(mark.event.clone()).and_modify(|known| raise(known, &new)).or_insert(new);
    }
    by_event
}

fn raise(known: &mut Mark, new: &Mark) {
    if new.severity > known.severity {
        *known = new.clone();
    }
}

#[derive(Default)]
struct Builder {
    processes: BTreeMap<ProcessKey, Process>,
    leaves: BTreeMap<(ProcessKey, StoryKind, String), Leaf>,
    marks: HashMap<EventRef, Mark>,
}

impl Builder {
    fn learn(&mut self, event: &Event) {
        let mark = self.marks.get(&event.reference()).cloned();
        let initiating = event.initiating_process();
        if let Some(key) = initiating {
            self.learn_initiating(event, key);
        }
        match event.table {
            Table::DeviceProcessEvents => self.learn_process(event, mark),
            Table::DeviceFileEvents => self.learn_file(event, initiating, mark),
            Table::DeviceNetworkEvents => self.learn_network(event, initiating, mark),
            _ => {
                let target = match event.str("ActionType") {
                    Some("ExecBlocked") => return self.learn_file(event, initiating, mark),
                    _ => event.process().or(initiating),
                };
                if let (Some(key), Some(mark)) = (target, mark) {
                    set_mark(&mut self.processes.entry(key).or_default().mark, mark);
                }
            }
        }
    }

    fn learn_initiating(&mut self, event: &Event, key: ProcessKey) {
        let text = |column: &str| event.str(column).unwrap_or_default();
        let process = self.processes.entry(key).or_default();
        if process.image_at.is_none() {
            fill(&mut process.name, text("InitiatingProcessFileName"));
            fill(&mut process.path, text("InitiatingProcessFolderPath"));
            fill(&mut process.command_line, text("InitiatingProcessCommandLine"));
            fill(&mut process.user, text("InitiatingProcessAccountName"));
            fill(&mut process.sha256, text("InitiatingProcessSHA256"));
        }
        let grand = grandparent(event).filter(|grand| *grand != key);
        if process.parent.is_none() {
            process.parent = grand;
        }
        if let Some(grand) = grand {
            let name = text("InitiatingProcessParentFileName").to_owned();
            let known = self.processes.entry(grand);
            let known = known.or_default();
            fill(&mut known.name, &name);
        }
    }

    fn learn_process(&mut self, event: &Event, mark: Option<Mark>) {
        let Some(key) = event.process() else { return };
        let text = |column: &str| event.str(column).unwrap_or_default().to_owned();
        let parent = event.initiating_process().filter(|parent| *parent != key);
        let process = self.processes.entry(key).or_default();
        if let Some(mark) = mark {
            set_mark(&mut process.mark, mark);
        }
        match event.str("ActionType") {
            Some("ProcessTerminated") => {
                process.ended_at = Some(event.timestamp);
                process.exit_code = event.additional("ExitCode").map(|code| code.to_string()).unwrap_or_default();
                fill(&mut process.name, event.str("FileName").unwrap_or_default());
            }
            Some("ProcessForked") => process.parent = parent.or(process.parent),
            _ => {
                process.parent = parent.or(process.parent);
                if process.image_at.is_some() && process.name != text("FileName") {
                    process.chain.push(process.name.clone());
                }
                process.image_at = Some(event.timestamp);
                process.name = text("FileName");
                process.path = text("FolderPath");
                process.command_line = text("ProcessCommandLine");
                process.user = text("AccountName");
                process.sha256 = text("SHA256").to_ascii_lowercase();
                let script = |name| match event.additional(name) {
                    Some(serde_json::Value::String(text)) => text,
                    _ => String::new(),
                };
                if event.str("AdditionalFields").is_some_and(|fields| fields.contains("ScriptPath")) {
                    process.script = Some((script("ScriptPath"), script("ScriptSHA256").to_ascii_lowercase()));
                }
            }
        }
    }

    fn learn_file(&mut self, event: &Event, by: Option<ProcessKey>, mark: Option<Mark>) {
        let Some(by) = by else { return };
        let path = event.str("FolderPath").or(event.str("FileName")).unwrap_or_default().to_owned();
        let sha256 = event.str("SHA256").filter(|text| !text.is_empty()).map(str::to_ascii_lowercase);
        let leaf = self.leaf(by, StoryKind::File, &path, event, mark);
        leaf.name = event.str("FileName").unwrap_or_default().to_owned();
        leaf.facts.insert("path".to_owned(), path.clone());
        let action = event.str("ActionType").unwrap_or_default();
        add_word(&mut leaf.facts, "actions", action);
        if let Some(previous) = event.str("PreviousFolderPath") {
            leaf.facts.insert("previous_path".to_owned(), previous.to_owned());
        }
        if let Some(kind) = crate::persistence_of(&path) {
            leaf.facts.insert("persistence".to_owned(), format!("{kind:?}"));
        }
        if let Some(sha256) = sha256 {
            leaf.entity = Some(EntityKey::file(&sha256));
            leaf.sha256 = Some(sha256);
        }
    }

    fn learn_network(&mut self, event: &Event, by: Option<ProcessKey>, mark: Option<Mark>) {
        let Some(by) = by else { return };
        let address = event.str("RemoteIP").unwrap_or_default().to_owned();
        let name = event.str("RemoteUrl").unwrap_or_default().to_owned();
        let dns = event.str("ActionType").is_some_and(|action| action.starts_with("Dns"));
        let port = event.long("RemotePort").filter(|_| !dns);
        let label = match (dns || address.is_empty(), port) {
            (true, _) if !name.is_empty() => name.clone(),
            (_, Some(port)) if address.contains(':') => format!("[{address}]:{port}"),
            (_, Some(port)) => format!("{address}:{port}"),
            _ => address.clone(),
        };
        if label.is_empty() {
            return;
        }
        let leaf = self.leaf(by, StoryKind::Network, &label, event, mark);
        leaf.name = label;
        leaf.entity = Some(match (dns, name.contains("://"), name.is_empty() || !address.is_empty() && !dns) {
            (_, _, true) => EntityKey::ip(&address),
            (_, true, _) => EntityKey::url(&name),
            _ => EntityKey::domain(&name),
        });
        add_word(&mut leaf.facts, "actions", event.str("ActionType").unwrap_or_default());
        for (fact, column) in [("protocol", "Protocol"), ("address_type", "RemoteIPType")] {
            if let Some(value) = event.str(column) {
                leaf.facts.insert(fact.to_owned(), value.to_owned());
            }
        }
        if !name.is_empty() && !address.is_empty() {
            leaf.facts.insert("remote_name".to_owned(), name);
        }
    }

    fn leaf(&mut self, by: ProcessKey, kind: StoryKind, label: &str, event: &Event, mark: Option<Mark>) -> &mut Leaf {
        let leaf = self.leaves.entry((by, kind, label.to_owned())).or_insert_with(|| Leaf {
            kind,
            entity: None,
            name: String::new(),
            sha256: None,
            at: event.timestamp,
            count: 0,
            facts: BTreeMap::new(),
            mark: None,
        });
        leaf.count += 1;
        leaf.at = leaf.at.min(event.timestamp);
        if let Some(mark) = mark {
            set_mark(&mut leaf.mark, mark);
        }
        leaf
    }

    /// The known parent, unless it began after its child (a reused or forged id).
    fn parent(&self, key: &ProcessKey) -> Option<ProcessKey> {
        let parent = self.processes.get(key)?.parent?;
        (parent.started_at <= key.started_at && self.processes.contains_key(&parent)).then_some(parent)
    }

    fn mails(&self, focus: &StoryFocus<'_>, tree: &mut StoryTree) {
        let mut by_message: BTreeMap<_, Vec<&MessageCopy>> = BTreeMap::new();
        for copy in focus.copies {
            by_message.entry((copy.received_at, copy.message_id)).or_default().push(copy);
        }
        tree.truncated |= by_message.len() > MAILS_MAX;
        for ((at, id), copies) in by_message.into_iter().take(MAILS_MAX) {
            let first = copies[0];
            let mut facts = BTreeMap::from([
                ("sender".to_owned(), first.sender_from.clone()),
                ("copies".to_owned(), copies.len().to_string()),
            ]);
            let files: Vec<&str> = first.attachments.iter().take(10).map(|file| file.name.as_str()).collect();
            facts.insert("attachments".to_owned(), files.join(", "));
            let entity = EntityKey::message(id);
            tree.nodes.push(StoryNode {
                key: entity.to_string(),
                parent: None,
                kind: StoryKind::Mail,
                entity: Some(entity),
                name: first.subject.clone(),
                command_line: String::new(),
                at,
                ended_at: None,
                user: first.recipient.clone(),
                sha256: None,
                severity: None,
                technique: None,
                detection: None,
                facts,
                prevalence: None,
            });
        }
    }

    fn emit(&self, root: ProcessKey, focus: &StoryFocus<'_>, tree: &mut StoryTree) {
        let mut above = Vec::new();
        let mut seen = HashSet::from([root]);
        let mut next = self.parent(&root);
        while let Some(key) =
            next.filter(|key| above.len() < ANCESTORS_SHOWN_MAX.min(ANCESTORS_MAX) && seen.insert(*key))
        {
            above.push(key);
            next = self.parent(&key);
        }
        let mut parent: Option<String> = None;
        for key in above.iter().rev() {
            tree.nodes.push(self.node(key, parent, focus));
            parent = Some(EntityKey::process(key).to_string());
        }
        let mut children: BTreeMap<ProcessKey, Vec<ProcessKey>> = BTreeMap::new();
        for key in self.processes.keys() {
            if let Some(parent) = self.parent(key) {
                children.entry(parent).or_default().push(*key);
            }
        }
        let useful = self.useful(root, &children);
        // depth first; the stack holds what is still to be shown, last first
        let mut open = vec![(root, parent)];
        let mut shown = HashSet::new();
        while let Some((key, parent)) = open.pop() {
            if tree.nodes.len() >= STORY_NODES_MAX {
                tree.truncated = true;
                return;
            }
            if !shown.insert(key) {
                continue;
            }
            tree.nodes.push(self.node(&key, parent, focus));
            self.emit_leaves(&key, focus, tree);
            let name = EntityKey::process(&key).to_string();
            let mut below: Vec<ProcessKey> = children.get(&key).cloned().unwrap_or_default();
            below.retain(|child| useful.contains(child) && !seen.contains(child));
            below.sort_by_key(|child| std::cmp::Reverse((child.started_at, child.pid)));
            open.extend(below.into_iter().map(|child| (child, Some(name.clone()))));
        }
    }

    /// Processes below root that did something: forks that never ran a program, made nothing and
    /// have no such child are left out.
    fn useful(&self, root: ProcessKey, children: &BTreeMap<ProcessKey, Vec<ProcessKey>>) -> HashSet<ProcessKey> {
        let acted: HashSet<ProcessKey> = self.leaves.keys().map(|(by, _, _)| *by).collect();
        let mut order = vec![root];
        let mut seen = HashSet::from([root]);
        let mut at = 0;
        while at < order.len() {
            for child in children.get(&order[at]).into_iter().flatten() {
                if seen.insert(*child) {
                    order.push(*child);
                }
            }
            at += 1;
        }
        let mut useful = HashSet::from([root]);
        for key in order.iter().rev() {
            let process = self.processes.get(key);
            let ran = process.is_some_and(|process| process.image_at.is_some() || process.mark.is_some());
            if ran || acted.contains(key) {
                useful.insert(*key);
            }
            if useful.contains(key)
                && let Some(parent) = self.parent(key)
            {
                useful.insert(parent);
            }
        }
        useful
    }

    fn node(&self, key: &ProcessKey, parent: Option<String>, focus: &StoryFocus<'_>) -> StoryNode {
        let process = self.processes.get(key).cloned().unwrap_or_default();
        let mut facts = BTreeMap::from([("pid".to_owned(), key.pid.to_string())]);
        let mut fact = |name: &str, value: &str| {
            if !value.is_empty() {
                facts.insert(name.to_owned(), value.to_owned());
            }
        };
        fact("path", &process.path);
        fact("decoded", &decoded(&process.command_line).join("\n"));
        fact("exit_code", &process.exit_code);
        fact("exec_chain", &process.chain.join(" → "));
        let mut sha256 = process.sha256.clone();
        if let Some((path, script)) = &process.script {
            fact("script_path", path);
            fact("image_sha256", &process.sha256);
            if !script.is_empty() {
                sha256.clone_from(script);
            }
        }
        let sha256 = Some(sha256).filter(|sha256| !sha256.is_empty());
        let entity = EntityKey::process(key);
        StoryNode {
            key: entity.to_string(),
            parent,
            kind: StoryKind::Process,
            entity: Some(entity),
            name: if process.name.is_empty() { key.pid.to_string() } else { process.name },
            command_line: process.command_line,
            at: key.started_at,
            ended_at: process.ended_at,
            user: process.user,
            prevalence: prevalence(focus, sha256.as_deref()),
            sha256,
            severity: process.mark.as_ref().map(|mark| mark.severity),
            technique: process.mark.as_ref().map(|mark| mark.technique.clone()).filter(|text| !text.is_empty()),
            detection: process.mark.map(|mark| mark.title),
            facts,
        }
    }

    fn emit_leaves(&self, key: &ProcessKey, focus: &StoryFocus<'_>, tree: &mut StoryTree) {
        let parent = EntityKey::process(key).to_string();
        for kind in [StoryKind::File, StoryKind::Network] {
            let range = (*key, kind, String::new())..;
            let mut leaves: Vec<(&String, &Leaf)> = self
                .leaves
                .range(range)
                .take_while(|((by, of, _), _)| by == key && *of == kind)
                .map(|((_, _, label), leaf)| (label, leaf))
                .collect();
            // what fired and what persists comes before what folds away
            leaves.sort_by_key(|(label, leaf)| {
                (leaf.mark.is_none(), !leaf.facts.contains_key("persistence"), leaf.at, (*label).clone())
            });
            let folded = leaves.len().saturating_sub(LEAVES_MAX);
            leaves.truncate(LEAVES_MAX);
            leaves.sort_by_key(|(label, leaf)| (leaf.at, (*label).clone()));
            for (label, leaf) in leaves {
                if tree.nodes.len() >= STORY_NODES_MAX {
                    tree.truncated = true;
                    return;
                }
                tree.nodes.push(leaf_node(&parent, label, leaf, focus));
            }
            if folded > 0 {
                tree.truncated = true;
                tree.nodes.push(fold_node(&parent, kind, folded, key.started_at));
            }
        }
    }
}

fn leaf_node(parent: &str, label: &str, leaf: &Leaf, focus: &StoryFocus<'_>) -> StoryNode {
    let word = if leaf.kind == StoryKind::File { "file" } else { "network" };
    let place = leaf.entity.as_ref().filter(|_| leaf.kind == StoryKind::Network).map(|entity| entity.value.as_str());
    let mut facts = leaf.facts.clone();
    if leaf.count > 1 {
        facts.insert("count".to_owned(), leaf.count.to_string());
    }
    StoryNode {
        key: format!("{parent}#{word}:{label}"),
        parent: Some(parent.to_owned()),
        kind: leaf.kind,
        entity: leaf.entity.clone(),
        name: leaf.name.clone(),
        command_line: String::new(),
        at: leaf.at,
        ended_at: None,
        user: String::new(),
        prevalence: prevalence(focus, leaf.sha256.as_deref().or(place)),
        sha256: leaf.sha256.clone(),
        severity: leaf.mark.as_ref().map(|mark| mark.severity),
        technique: leaf.mark.as_ref().map(|mark| mark.technique.clone()).filter(|text| !text.is_empty()),
        detection: leaf.mark.as_ref().map(|mark| mark.title.clone()),
        facts,
    }
}

fn fold_node(parent: &str, kind: StoryKind, folded: usize, at: Timestamp) -> StoryNode {
    let word = if kind == StoryKind::File { "file" } else { "network" };
    StoryNode {
        key: format!("{parent}#{word}#more"),
        parent: Some(parent.to_owned()),
        kind,
        entity: None,
        name: format!("+{folded}"),
        command_line: String::new(),
        at,
        ended_at: None,
        user: String::new(),
        sha256: None,
        severity: None,
        technique: None,
        detection: None,
        facts: BTreeMap::from([("folded".to_owned(), folded.to_string())]),
        prevalence: None,
    }
}

fn prevalence(focus: &StoryFocus<'_>, value: Option<&str>) -> Option<i64> {
    focus.prevalence?.get(value?).copied()
}

fn set_mark(slot: &mut Option<Mark>, mark: Mark) {
    match slot {
        Some(known) => raise(known, &mark),
        None => *slot = Some(mark),
    }
}

fn fill(slot: &mut String, text: &str) {
    if slot.is_empty() {
        slot.push_str(text);
    }
}

fn add_word(facts: &mut BTreeMap<String, String>, name: &str, word: &str) {
    let words = facts.entry(name.to_owned()).or_default();
    if !word.is_empty() && !words.split(", ").any(|known| known == word) {
        if !words.is_empty() {
            words.push_str(", ");
        }
        words.push_str(word);
    }
}

fn grandparent(event: &Event) -> Option<ProcessKey> {
    Some(ProcessKey {
        device_id: event.device_id()?,
        pid: event.long("InitiatingProcessParentId").filter(|pid| *pid > 0)?,
        started_at: event.datetime("InitiatingProcessParentCreationTime")?,
    })
}

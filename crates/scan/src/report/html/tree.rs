//! The processes of detections, below what started them.

use super::page::class;
use super::{Report, escape, say};
use crate::Detection;
use crate::report::{computer, level_order};
use hinomi_model::Language;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};

/// Processes drawn.
const DRAWN_MAX: usize = 400;
/// Deepest tree drawn.
const DEPTH_MAX: usize = 24;

#[derive(Default)]
struct Process {
    image: String,
    command_line: String,
    host: String,
    parent: Option<String>,
    /// (level, title) of what was found in it.
    found: BTreeMap<(usize, String), String>,
}

pub(super) fn write(report: &Report, out: &mut dyn Write, language: Language) -> io::Result<()> {
    let mut processes: HashMap<String, Process> = HashMap::new();
    let mut order = Vec::new();
    for detection in &report.kept {
        add(detection, &mut processes, &mut order);
    }
    let mut children: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut roots = Vec::new();
    for id in &order {
        match processes[id].parent.as_deref().filter(|parent| processes.contains_key(*parent) && parent != id) {
            Some(parent) => children.entry(parent).or_default().push(id),
            None => roots.push(id.as_str()),
        }
    }
    if roots.is_empty() {
        let none = say(language, "No detection names a process.", "プロセスを含む検出はありません。");
        return writeln!(out, "<p class=\"quiet\">{none}</p>");
    }
    // trees with the gravest finding first
    let gravest = |id: &str| processes[id].found.keys().map(|(order, _)| *order).min().unwrap_or(5);
    let mut drawn = HashSet::new();
    let mut trees: Vec<_> = roots.iter().map(|root| (below(root, &children, &gravest), *root)).collect();
    trees.sort_by_key(|(order, _)| *order);
    writeln!(out, "<ul class=\"tree\">")?;
    for (_, root) in trees {
        draw(root, 0, &processes, &children, &mut drawn, out)?;
        if drawn.len() >= DRAWN_MAX {
            break;
        }
    }
    writeln!(out, "</ul>")?;
    if drawn.len() < processes.len() {
        let text = say(language, "more processes are not drawn", "個のプロセスは省略しています");
        writeln!(out, "<p class=\"quiet\">{} {text}</p>", processes.len() - drawn.len())?;
    }
    Ok(())
}

/// The gravest finding in a tree; walks each process once.
fn below(root: &str, children: &HashMap<&str, Vec<&str>>, gravest: &impl Fn(&str) -> usize) -> usize {
    let (mut open, mut seen, mut least) = (vec![root], HashSet::new(), 5);
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            least = least.min(gravest(id));
            open.extend(children.get(id).into_iter().flatten());
        }
    }
    least
}

fn draw(
    id: &str,
    depth: usize,
    processes: &HashMap<String, Process>,
    children: &HashMap<&str, Vec<&str>>,
    drawn: &mut HashSet<String>,
    out: &mut dyn Write,
) -> io::Result<()> {
    if depth > DEPTH_MAX || drawn.len() >= DRAWN_MAX || !drawn.insert(id.to_owned()) {
        return Ok(());
    }
    let process = &processes[id];
    writeln!(out, "<li><b>{}</b>", escape(&process.image))?;
    if depth == 0 && !process.host.is_empty() {
        writeln!(out, " <span class=\"quiet\">{}</span>", escape(&process.host))?;
    }
    if !process.command_line.is_empty() {
        writeln!(out, "<br><code>{}</code>", escape(&process.command_line.chars().take(600).collect::<String>()))?;
    }
    for ((_, title), level) in &process.found {
        writeln!(out, "<br><span class=\"level {}\">{}</span> {}", class(level), escape(level), escape(title))?;
    }
    let below = children.get(id).map(Vec::as_slice).unwrap_or_default();
    if !below.is_empty() {
        writeln!(out, "<ul>")?;
        for child in below {
            draw(child, depth + 1, processes, children, drawn, out)?;
        }
        writeln!(out, "</ul>")?;
    }
    writeln!(out, "</li>")
}

fn add(detection: &Detection, processes: &mut HashMap<String, Process>, order: &mut Vec<String>) {
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| detection.fields.get(*name));
        found.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default()
    };
    // what rules know of a process, by Sysmon, by the audit log, by the hunting tables
    let image =
        text(&["Image", "NewProcessName", "SourceImage", "FolderPath", "exe", "process.executable", "ProcessName"]);
    if image.is_empty() {
        return;
    }
    let host = computer(detection).to_owned();
    let key = |id: String, image: &str| match id.is_empty() {
        true => format!("{host}\u{1f}{image}"),
        false => format!("{host}\u{1f}{id}"),
    };
    let id = text(&[
        "ProcessGuid",
        "SourceProcessGUID",
        "SourceProcessGuid",
        "NewProcessId",
        "ProcessUniqueId",
        "process.entity_id",
        "pid",
        "ProcessId",
    ]);
    let parent_image =
        text(&["ParentImage", "ParentProcessName", "InitiatingProcessFolderPath", "process.parent.executable"]);
    // the audit log calls the parent's number ProcessId
    let started_by_audit = detection.fields.contains_key("NewProcessId");
    let parent_id = match started_by_audit {
        true => text(&["ProcessId"]),
        false => text(&[
            "ParentProcessGuid",
            "InitiatingProcessUniqueId",
            "process.parent.entity_id",
            "ppid",
            "ParentProcessId",
        ]),
    };
    let own = key(id, &image);
    let parent = (!parent_image.is_empty()).then(|| key(parent_id, &parent_image));
    if let Some(parent) = &parent
        && !processes.contains_key(parent)
    {
        let command_line = text(&["ParentCommandLine", "InitiatingProcessCommandLine", "process.parent.command_line"]);
        let known = Process { image: parent_image, command_line, host: host.clone(), ..Process::default() };
        processes.insert(parent.clone(), known);
        order.push(parent.clone());
    }
    let process = processes.entry(own.clone()).or_insert_with(|| {
        order.push(own);
        Process { image, host, ..Process::default() }
    });
    if process.parent.is_none() {
        process.parent = parent;
    }
    if process.command_line.is_empty() {
        process.command_line = text(&["CommandLine", "ProcessCommandLine", "process.command_line", "proctitle"]);
    }
    process.found.insert((level_order(&detection.level), detection.title.clone()), detection.level.clone());
}

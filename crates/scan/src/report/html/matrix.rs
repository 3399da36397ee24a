//! What was found, by tactic and technique.

use super::page::class;
use super::{Report, escape, of, say};
use crate::report::level_order;
use hinomi_detect::content;
use hinomi_model::Language;
use std::collections::BTreeMap;
use std::io::{self, Write};

pub(super) fn write(report: &Report, out: &mut dyn Write, language: Language) -> io::Result<()> {
    let attack = content::attack();
    // technique in force → (count, gravest level)
    let mut found: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for rule in report.rules.values() {
        for id in &rule.techniques {
            let Some(technique) = attack.current(id) else { continue };
            let entry = found.entry(technique.id.as_str()).or_insert((0, rule.level.as_str()));
            entry.0 += rule.count;
            if level_order(&rule.level) < level_order(entry.1) {
                entry.1 = &rule.level;
            }
        }
    }
    if found.is_empty() {
        let none = say(language, "No rule that fired names a technique.", "検出したルールに手法の指定はありません。");
        return writeln!(out, "<p class=\"quiet\">{none}</p>");
    }
    writeln!(out, "<div class=\"matrix\">")?;
    for tactic in attack.tactics() {
        let serves = |id: &str| attack.tactics_of(id).contains(&tactic.name);
        let mut cells: Vec<_> = found.iter().filter(|(id, _)| serves(id)).collect();
        if cells.is_empty() {
            continue;
        }
        cells.sort_by_key(|(_, (count, level))| (level_order(level), std::cmp::Reverse(*count)));
        writeln!(
            out,
            "<section><h3>{} <span class=\"quiet\">{}</span></h3>",
            escape(of(language, &tactic.title)),
            tactic.id
        )?;
        for (id, (count, level)) in cells {
            let name = attack.technique(id).map_or("", |technique| technique.title(language));
            writeln!(
                out,
                "<p class=\"{}\"><b>{id}</b> {} <span class=\"quiet\">×{count}</span></p>",
                class(level),
                escape(name)
            )?;
        }
        writeln!(out, "</section>")?;
    }
    writeln!(out, "</div>")
}

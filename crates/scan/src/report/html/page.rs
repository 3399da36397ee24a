//! The page as a whole.

use super::{Report, Rule, escape, level_name, matrix, of, say, timeline, tree};
use crate::report::{LEVELS, computer};
use crate::{Detection, Summary};
use hinomi_detect::content;
use hinomi_model::{Language, Timestamp};
use std::io::{self, Write};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Longest value shown in a list, characters; the whole one is in the other outputs.
const VALUE_CHARS_MAX: usize = 600;
/// Problems told on the page.
const PROBLEMS_MAX: usize = 50;

pub(super) fn write(
    report: &Report,
    out: &mut dyn Write,
    summary: &Summary,
    rules_loaded: usize,
    made: Timestamp,
    language: Language,
) -> io::Result<()> {
    let code = say(language, "en", "ja");
    let title = say(language, "Hinomi scan report", "Hinomi スキャンレポート");
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"{code}\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'nonce-hinomi'; base-uri 'none'; form-action 'none'\">\n<style>{STYLE}</style></head><body>"
    )?;
    head(report, out, summary, rules_loaded, made, language)?;
    section(out, "timeline", &say(language, "Timeline", "タイムライン"))?;
    timeline::write(report, out, language)?;
    section(out, "matrix", &say(language, "ATT&CK matrix", "ATT&CK マトリクス"))?;
    matrix::write(report, out, language)?;
    section(out, "trees", &say(language, "Process trees", "プロセスツリー"))?;
    tree::write(report, out, language)?;
    section(out, "detections", &say(language, "Detections by rule", "ルール別の検出"))?;
    list(report, out, language)?;
    problems(out, summary, language)?;
    writeln!(out, "<script nonce=\"hinomi\">{SCRIPT}</script></body></html>")
}

fn section(out: &mut dyn Write, id: &str, title: &str) -> io::Result<()> {
    writeln!(out, "<h2 id=\"{id}\">{}</h2>", escape(title))
}

fn head(
    report: &Report,
    out: &mut dyn Write,
    summary: &Summary,
    rules_loaded: usize,
    made: Timestamp,
    language: Language,
) -> io::Result<()> {
    let say = |en: &str, ja: &str| say(language, en, ja);
    writeln!(out, "<header><h1>{}</h1><p class=\"quiet\">", say("Hinomi scan report", "Hinomi スキャンレポート"))?;
    writeln!(
        out,
        "{} {} · {} {} · {} {} · {} {}</p>",
        say("made", "作成日時"),
        escape(&made.to_string()),
        say("logs", "ログ"),
        summary.logs,
        say("events", "イベント"),
        summary.events,
        say("rules", "ルール"),
        rules_loaded,
    )?;
    let mut counts = [0u64; 5];
    for rule in report.rules.values() {
        counts[super::level_order(&rule.level)] += rule.count;
    }
    writeln!(out, "<ul class=\"counts\"><li><b>{}</b>{}</li>", report.total, say("detections", "検出"))?;
    for (level, count) in LEVELS.iter().zip(counts) {
        writeln!(out, "<li class=\"{level}\"><b>{count}</b>{}</li>", level_name(language, level))?;
    }
    writeln!(out, "</ul><nav>")?;
    for (id, title) in [
        ("timeline", say("Timeline", "タイムライン")),
        ("matrix", say("ATT&CK matrix", "ATT&CK マトリクス")),
        ("trees", say("Process trees", "プロセスツリー")),
        ("detections", say("Detections by rule", "ルール別の検出")),
    ] {
        writeln!(out, "<a href=\"#{id}\">{}</a>", escape(&title))?;
    }
    writeln!(out, "</nav></header>")
}

fn list(report: &Report, out: &mut dyn Write, language: Language) -> io::Result<()> {
    if report.rules.is_empty() {
        let none = say(language, "No rule fired.", "検出したルールはありません。");
        return writeln!(out, "<p class=\"quiet\">{none}</p>");
    }
    let label = say(language, "Filter", "絞り込み");
    writeln!(out, "<p><label>{label} <input id=\"filter\" type=\"search\"></label></p>")?;
    for (id, rule) in report.by_gravity() {
        writeln!(
            out,
            "<details class=\"rule\"><summary><span class=\"level {}\">{}</span> <span class=\"title\">{}</span> \
             <span class=\"quiet\">{} {}</span></summary>",
            class(&rule.level),
            escape(&level_name(language, &rule.level)),
            escape(&rule.title),
            rule.count,
            say(language, "times", "件"),
        )?;
        about(out, id, rule, language)?;
        for at in &rule.listed {
            event(out, &report.kept[*at])?;
        }
        let more = rule.count - rule.listed.len() as u64;
        if more > 0 {
            let text = say(language, "more are not listed", "件は省略しています");
            writeln!(out, "<p class=\"quiet\">{more} {text}</p>")?;
        }
        writeln!(out, "</details>")?;
    }
    Ok(())
}

fn about(out: &mut dyn Write, id: &str, rule: &Rule, language: Language) -> io::Result<()> {
    let attack = content::attack();
    let technique = |id: &String| match attack.technique(id) {
        Some(technique) => format!("{id} {}", technique.title(language)),
        None => id.clone(),
    };
    let tactic = |name: &String| {
        attack.tactic(name).map_or_else(|| name.clone(), |tactic| of(language, &tactic.title).to_owned())
    };
    let words: Vec<String> = rule.tactics.iter().map(tactic).chain(rule.techniques.iter().map(technique)).collect();
    let by = match language {
        Language::Ja => format!("作成者: {}", rule.author),
        Language::En => format!("by {}", rule.author),
    };
    let by = if rule.author.is_empty() { String::new() } else { format!(" · {}", escape(&by)) };
    writeln!(out, "<p class=\"quiet\">{}{by} · {}</p>", escape(id), escape(&words.join(", ")))
}

fn event(out: &mut dyn Write, detection: &Detection) -> io::Result<()> {
    let time = detection.time.map(|time| time.to_string()).unwrap_or_default();
    let record = detection.record_id.map(|id| format!(":{id}")).unwrap_or_default();
    writeln!(
        out,
        "<details class=\"event\"><summary><time>{}</time> <b>{}</b> <span class=\"quiet\">{}{record}</span></summary>",
        escape(&time),
        escape(computer(detection)),
        escape(&detection.source),
    )?;
    if !detection.matched.is_empty() {
        writeln!(out, "<dl class=\"matched\">")?;
        for matched in &detection.matched {
            let (field, value) = (escape(&matched.field), escape(&short(&matched.value)));
            writeln!(out, "<dt>{field}</dt><dd>{value} <i>{}</i></dd>", escape(&short(&matched.pattern)))?;
        }
        writeln!(out, "</dl>")?;
    }
    writeln!(out, "<dl>")?;
    for (name, value) in &detection.fields {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !text.is_empty() {
            writeln!(out, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(&short(&text)))?;
        }
    }
    writeln!(out, "</dl></details>")
}

fn problems(out: &mut dyn Write, summary: &Summary, language: Language) -> io::Result<()> {
    if summary.damaged == 0 {
        return Ok(());
    }
    section(out, "problems", &say(language, "What could not be read", "読み取れなかったもの"))?;
    writeln!(out, "<p>{}</p><ul>", summary.damaged)?;
    for problem in summary.problems.iter().take(PROBLEMS_MAX) {
        let text = format!("{} {}: {}", problem.source, problem.place, problem.why);
        writeln!(out, "<li>{}</li>", escape(&text))?;
    }
    writeln!(out, "</ul>")
}

/// A level as a class of the page; what is no level of Sigma has none.
pub(super) fn class(level: &str) -> &'static str {
    LEVELS.iter().find(|known| **known == level).copied().unwrap_or("unknown")
}

fn short(text: &str) -> String {
    let mut chars = text.chars();
    let cut: String = chars.by_ref().take(VALUE_CHARS_MAX).collect();
    if chars.next().is_some() { cut + "…" } else { cut }
}

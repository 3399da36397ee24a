//! One self-contained HTML file: timeline, ATT&CK matrix, process trees, detections by rule.
//!
//! Nothing is loaded from anywhere; the page's policy forbids it. Every text of a log or a rule is
//! escaped. The page works without its script, which only filters.

mod matrix;
mod page;
mod timeline;
mod tree;

use crate::report::level_order;
use crate::{Detection, Summary};
use hinomi_model::{Language, Text, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

/// Detections kept for the page; all are counted.
const KEPT_MAX: usize = 20_000;
/// Detections listed below one rule.
const LISTED_MAX: usize = 100;
/// Times before 1990 are those of clocks that were never set.
const FIRST: Timestamp = Timestamp::from_micros(631_152_000_000_000);
/// Spans of time counted for the timeline; beyond, they are put together.
const SPANS_MAX: usize = 20_000;

/// Gathers what the page shows; its size does not grow with the number of detections.
#[derive(Debug, Default)]
pub struct Report {
    kept: Vec<Detection>,
    rules: HashMap<String, Rule>,
    timeline: Timeline,
    untimed: u64,
    total: u64,
}

/// Counts per level over time.
#[derive(Debug)]
struct Timeline {
    /// Seconds of one span: 1, or a power of 60 when there were too many.
    span_seconds: i64,
    /// Counts by number of the span since 1970.
    spans: BTreeMap<i64, [u64; 5]>,
}

impl Default for Timeline {
    fn default() -> Self {
        Timeline { span_seconds: 1, spans: BTreeMap::new() }
    }
}

impl Timeline {
    fn add(&mut self, time: Timestamp, level: usize) {
        let second = time.as_micros().div_euclid(1_000_000);
        self.spans.entry(second.div_euclid(self.span_seconds)).or_default()[level] += 1;
        while self.spans.len() > SPANS_MAX {
            self.span_seconds *= 60;
            for (span, counts) in std::mem::take(&mut self.spans) {
                let sums = self.spans.entry(span.div_euclid(60)).or_default();
                sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            }
        }
    }
}

#[derive(Debug)]
struct Rule {
    title: String,
    level: String,
    author: String,
    techniques: Vec<String>,
    tactics: Vec<String>,
    count: u64,
    listed: Vec<usize>,
}

impl Report {
    /// Takes a detection.
    pub fn add(&mut self, detection: Detection) {
        self.total += 1;
        match detection.time {
            // a clock that was never set tells no time
            Some(time) if time >= FIRST => self.timeline.add(time, level_order(&detection.level)),
            _ => self.untimed += 1,
        }
        let rule = self.rules.entry(detection.rule_id.clone()).or_insert_with(|| Rule {
            title: detection.title.clone(),
            level: detection.level.clone(),
            author: detection.author.clone(),
            techniques: detection.techniques.clone(),
            tactics: detection.tactics.clone(),
            count: 0,
            listed: Vec::new(),
        });
        rule.count += 1;
        if self.kept.len() < KEPT_MAX && rule.listed.len() < LISTED_MAX {
            rule.listed.push(self.kept.len());
            self.kept.push(detection);
        }
    }

    /// Writes the page. `made` is when, for its head.
    ///
    /// # Errors
    /// When writing fails.
    pub fn write(
        &self,
        out: &mut dyn Write,
        summary: &Summary,
        rules_loaded: usize,
        made: Timestamp,
        language: Language,
    ) -> io::Result<()> {
        page::write(self, out, summary, rules_loaded, made, language)
    }

    /// Rules that fired, gravest and most frequent first.
    fn by_gravity(&self) -> Vec<(&String, &Rule)> {
        let mut rules: Vec<_> = self.rules.iter().collect();
        rules.sort_by_key(|(id, rule)| (level_order(&rule.level), std::cmp::Reverse(rule.count), (*id).clone()));
        rules
    }
}

/// Escapes a text for HTML, in elements and in quoted attributes. Control characters and those that
/// turn the direction of writing become U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn say(language: Language, en: &str, ja: &str) -> String {
    if language == Language::Ja { ja.to_owned() } else { en.to_owned() }
}

fn of(language: Language, text: &Text) -> &str {
    if language == Language::Ja { &text.ja } else { &text.en }
}

fn level_name(language: Language, level: &str) -> String {
    let ja = match level {
        "critical" => "緊急",
        "high" => "高",
        "low" => "低",
        "informational" => "情報",
        _ => "中",
    };
    say(language, level, ja)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn detection(title: &str, fields: serde_json::Value) -> Detection {
        Detection {
            rule_id: format!("id-{title}"),
            title: title.to_owned(),
            level: "high".to_owned(),
            tags: vec!["attack.t1059.001".to_owned()],
            time: Timestamp::parse("2026-01-02T03:04:05Z"),
            source: Arc::from("a.evtx"),
            record_id: Some(7),
            fields: fields.as_object().cloned().unwrap_or_default(),
            author: "Somebody".to_owned(),
            techniques: vec!["T1059.001".to_owned()],
            tactics: vec!["execution".to_owned()],
            matched: Vec::new(),
        }
    }

    fn page(report: &Report, language: Language) -> String {
        let mut out = Vec::new();
        let made = Timestamp::parse("2026-01-03T00:00:00Z").expect("a time");
        report.write(&mut out, &Summary::default(), 12, made, language).expect("writes");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn nothing_of_a_log_is_markup() {
        let evil = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
        let mut report = Report::default();
        let fields = json!({"Image": evil, "CommandLine": evil, "ProcessGuid": evil, "Computer": evil, "ParentImage": evil, evil: evil});
        let mut made = detection(evil, fields);
        (made.source, made.author, made.level) = (Arc::from(evil), evil.to_owned(), evil.to_owned());
        made.techniques.push(evil.to_owned());
        made.tactics.push(evil.to_owned());
        report.add(made);
        for language in [Language::En, Language::Ja] {
            let html = page(&report, language);
            assert!(!html.contains("<img") && !html.contains("alert(1)</script>"), "{html}");
            assert_eq!(html.matches("<script").count(), 1);
            for outside in ["http://", "https://", "src=", "@import", "url("] {
                assert!(!html.contains(outside) || html.contains("&lt;img src=") && outside == "src=", "{outside}");
            }
        }
    }

    #[test]
    fn both_languages_show_timeline_matrix_and_trees() {
        let mut report = Report::default();
        let parent = json!({"Image": "C:\\a\\word.exe", "ProcessGuid": "{1}", "ParentImage": "C:\\explorer.exe", "ParentProcessGuid": "{0}", "CommandLine": "word x", "Computer": "pc1"});
        let child = json!({"Image": "C:\\a\\powershell.exe", "ProcessGuid": "{2}", "ParentImage": "C:\\a\\word.exe", "ParentProcessGuid": "{1}", "CommandLine": "powershell -enc", "Computer": "pc1"});
        report.add(detection("Parent", parent));
        report.add(detection("Child", child));
        let en = page(&report, Language::En);
        for part in
            ["Timeline", "Process trees", "T1059.001", "PowerShell", "powershell -enc", "explorer.exe", "by Somebody"]
        {
            assert!(en.contains(part), "{part}");
        }
        // the child stands below its parent, which is drawn once
        assert_eq!(en.matches("word x").count(), 2, "once in the tree, once in the list with its fields");
        let ja = page(&report, Language::Ja);
        for part in ["タイムライン", "プロセスツリー", "実行", "lang=\"ja\""] {
            assert!(ja.contains(part), "{part}");
        }
    }

    #[test]
    fn the_timeline_stays_small_and_counts_all() {
        let mut timeline = Timeline::default();
        for at in 0..100_000i64 {
            timeline.add(Timestamp::from_micros(1_700_000_000_000_000 + at * 7_000_000), 2);
        }
        assert!(timeline.spans.len() <= SPANS_MAX && timeline.span_seconds == 60);
        assert_eq!(timeline.spans.values().map(|counts| counts[2]).sum::<u64>(), 100_000);
    }

    #[test]
    fn the_page_does_not_grow_with_the_run() {
        let mut report = Report::default();
        for _ in 0..5_000 {
            report.add(detection("Same", json!({"Image": "x".repeat(500)})));
        }
        assert_eq!(report.kept.len(), LISTED_MAX);
        assert!(page(&report, Language::En).len() < 400_000);
        assert!(page(&report, Language::En).contains("5000"));
    }
}

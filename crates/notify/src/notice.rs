//! What a notification says, whatever carries it.

use crate::words::Words;
use hinomi_model::{Alert, Incident, Language, Severity, Text, Timestamp};

/// Most characters of a subject line; longer titles are cut.
const SUBJECT_CHARS_MAX: usize = 150;
/// Next steps shown (design/console.md §8).
const STEPS_MAX: usize = 3;

/// A notification in one language. Everything in it is untrusted text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Id of the delivery: the same for every try.
    pub id: String,
    /// What happened, one word (`alert`, `escalation`, `digest` …).
    pub kind: &'static str,
    /// When.
    pub at: Timestamp,
    /// Language.
    pub language: Language,
    /// How bad it is; none = not about an alert.
    pub severity: Option<Severity>,
    /// It is about a demo.
    pub is_demo: bool,
    /// Where it happened; empty = nowhere in particular.
    pub place: String,
    /// Title.
    pub title: String,
    /// One sentence.
    pub story: String,
    /// Label and value.
    pub rows: Vec<(String, String)>,
    /// Heading and lines of a list: what was done, what a digest holds.
    pub list: (String, Vec<String>),
    /// What to do next.
    pub steps: Vec<String>,
    /// Words on the button.
    pub open: String,
    /// Address it leads to.
    pub link: String,
    /// Number of the incident.
    pub incident: Option<i64>,
    /// Rule that fired, or the kind: what a SIEM groups by.
    pub class: String,
    /// Why the reader gets this.
    pub why: String,
}

impl Notice {
    /// Subject line: `[Hinomi][High] PC-TANAKA: title (INC-1042)`, without line breaks.
    pub fn subject(&self) -> String {
        let words = Words::of(self.language);
        let demo = if self.is_demo { words.demo } else { "" };
        let severity = self.severity.map_or_else(String::new, |severity| format!("[{}]", words.severity(severity)));
        let place = if self.place.is_empty() { String::new() } else { format!("{}: ", self.place) };
        let number = self.incident.map_or_else(String::new, |number| format!(" (INC-{number})"));
        one_line(&format!("[Hinomi]{demo}{severity} {place}{}{number}", self.title))
    }

    /// Severity as people say it; empty when it has none.
    pub fn severity_word(&self) -> &'static str {
        self.severity.map_or("", |severity| Words::of(self.language).severity(severity))
    }
}

/// The facts of a notification about an alert.
#[derive(Debug, Clone)]
pub struct AlertFacts<'a> {
    /// The alert.
    pub alert: &'a Alert,
    /// Its incident.
    pub incident: &'a Incident,
    /// Names of the techniques in the order of `alert.techniques` (`T1059.004 Unix Shell`).
    pub techniques: Vec<String>,
    /// What was done or waits for approval, one sentence each.
    pub responses: Vec<Text>,
    /// Address of the console without a slash at the end.
    pub console_url: &'a str,
    /// Language of the reader.
    pub language: Language,
    /// False: names of devices, people and mailboxes, and the story that holds them, are left out.
    pub names: bool,
}

impl AlertFacts<'_> {
    /// Puts the facts into words. `kind` as in [`Notice::kind`].
    pub fn notice(&self, id: &str, kind: &'static str, why: &str) -> Notice {
        let (alert, words, language) = (self.alert, Words::of(self.language), self.language);
        let mut rows = Vec::new();
        let mut row = |label: &str, value: Option<String>| {
            // a line break in a name cannot begin a line of its own
            rows.extend(
                value.filter(|value| !value.is_empty()).map(|value| (label.to_owned(), without_controls(&value))),
            );
        };
        if self.names {
            row(words.device, alert.device.as_ref().map(|device| device.name.clone()));
            row(words.user, alert.user.clone());
            row(words.mailboxes, mailboxes(alert, words));
        }
        let time = alert.first_activity.to_string().replace('T', " ").chars().take(19).collect::<String>();
        row(words.time, Some(format!("{time} UTC")));
        row(words.technique, Some(self.techniques.join(", ")));
        row(words.status, Some(words.status_of(alert.detection_status).to_owned()));
        row(words.reason, alert.detection_status_reason.as_ref().map(|reason| reason.get(language).to_owned()));
        if self.names {
            row(words.evidence, evidence(alert));
            row(words.incident, Some(format!("INC-{} {}", self.incident.number, self.incident.title.get(language))));
        }
        let own = |text: &Text| text.get(language).to_owned();
        Notice {
            id: id.to_owned(),
            kind,
            at: alert.first_activity,
            language,
            severity: Some(alert.severity),
            is_demo: self.incident.id.demo().is_some(),
            place: if self.names { place(alert) } else { String::new() },
            title: own(&alert.title),
            story: if self.names { own(&alert.description) } else { String::new() },
            rows,
            list: (words.done.to_owned(), self.responses.iter().map(own).collect()),
            steps: alert.next_steps.iter().take(STEPS_MAX).map(|step| own(&step.text)).collect(),
            open: words.open.to_owned(),
            link: format!("{}/incidents/{}", self.console_url, self.incident.number),
            incident: Some(self.incident.number),
            class: alert.rule_id.clone(),
            why: why.to_owned(),
        }
    }
}

/// Where it happened: the device, else the first mailbox.
fn place(alert: &Alert) -> String {
    match (&alert.device, alert.mailboxes.first()) {
        (Some(device), _) => device.name.clone(),
        (None, Some(mailbox)) => mailbox.clone(),
        (None, None) => "-".to_owned(),
    }
}

fn mailboxes(alert: &Alert, words: &Words) -> Option<String> {
    match alert.mailboxes.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        [first, rest @ ..] => Some(format!("{first} {} {}", words.and_more, rest.len())),
    }
}

fn evidence(alert: &Alert) -> Option<String> {
    use hinomi_model::EntityKind::{File, Process};
    let found = alert.evidence.iter().find(|evidence| evidence.entity.kind == File);
    let found = found.or_else(|| alert.evidence.iter().find(|evidence| evidence.entity.kind == Process))?;
    Some(match found.entity.kind {
        File => format!("{} (SHA-256 {})", found.name, found.entity.value),
        _ => found.name.clone(),
    })
}

/// One line without control characters, at most [`SUBJECT_CHARS_MAX`] characters.
fn one_line(text: &str) -> String {
    cut(&without_controls(text), SUBJECT_CHARS_MAX)
}

fn without_controls(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The first characters of a text, and a sign when there are more.
pub(crate) fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

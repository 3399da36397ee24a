//! Alert mail: facts in, subject, text part and HTML part out.

use hinomi_model::{Alert, DetectionStatus, Incident, Language, Severity};
use minijinja::{AutoEscape, Environment, context};

/// Most characters of a subject line; longer titles are cut.
const SUBJECT_CHARS_MAX: usize = 150;
/// Next steps shown (design/console.md §8).
const STEPS_MAX: usize = 3;

/// The facts of one alert mail.
#[derive(Debug, Clone)]
pub struct AlertMail<'a> {
    /// The alert.
    pub alert: &'a Alert,
    /// Its incident.
    pub incident: &'a Incident,
    /// Names of the techniques in the order of `alert.techniques` (`T1059.004 Unix Shell`).
    pub techniques: Vec<String>,
    /// What was done or waits for approval, one sentence each.
    pub responses: Vec<hinomi_model::Text>,
    /// Address of the console without a slash at the end.
    pub console_url: &'a str,
    /// Language of the recipient.
    pub language: Language,
}

/// A mail ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Subject without line breaks.
    pub subject: String,
    /// Plain text part.
    pub text: String,
    /// HTML part.
    pub html: String,
}

/// Renders the mail in the recipient's language.
///
/// # Errors
/// When a template fails, which a test of every template rules out.
pub fn render(mail: &AlertMail<'_>) -> Result<Rendered, minijinja::Error> {
    let words = Words::of(mail.language);
    let alert = mail.alert;
    let title = alert.title.get(mail.language);
    let severity = words.severity(alert.severity);
    let place = place(alert);
    let number = format!("INC-{}", mail.incident.number);
    let mut rows: Vec<(&str, String)> = Vec::new();
    let mut row = |label, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            rows.push((label, value));
        }
    };
    row(words.device, alert.device.as_ref().map(|device| device.name.clone()));
    row(words.user, alert.user.clone());
    row(words.mailboxes, mailboxes(alert, words));
    row(
        words.time,
        Some(format!(
            "{} UTC",
            alert.first_activity.to_string().replace('T', " ").chars().take(19).collect::<String>()
        )),
    );
    row(words.technique, Some(mail.techniques.join(", ")));
    row(words.status, Some(words.status_of(alert.detection_status).to_owned()));
    row(words.reason, alert.detection_status_reason.as_ref().map(|reason| reason.get(mail.language).to_owned()));
    row(words.evidence, evidence(alert));
    row(words.incident, Some(format!("{number} {}", mail.incident.title.get(mail.language))));
    let own = |text: &hinomi_model::Text| text.get(mail.language).to_owned();
    let responses: Vec<String> = mail.responses.iter().map(own).collect();
    let steps: Vec<String> = alert.next_steps.iter().take(STEPS_MAX).map(|step| own(&step.text)).collect();
    let link = format!("{}/incidents/{}", mail.console_url, mail.incident.number);
    let demo = if mail.incident.id.demo().is_some() { words.demo } else { "" };
    let subject = one_line(&format!("[Hinomi]{demo}[{severity}] {place}: {title} ({number})"));
    let values = context! {
        words => words.for_template(), title => title.to_owned(), severity, place, rows, responses, steps, link,
        story => alert.description.get(mail.language).to_owned(),
        colour => colour(alert.severity), tint => tint(alert.severity),
        lang => if mail.language == Language::Ja { "ja" } else { "en" },
    };
    let mut environment = Environment::new();
    environment
        .set_auto_escape_callback(|name| if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None });
    let html = environment.render_named_str("alert.html", include_str!("../templates/alert.html"), &values)?;
    let text = environment.render_named_str("alert.txt", include_str!("../templates/alert.txt"), &values)?;
    Ok(Rendered { subject, text, html })
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
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match clean.char_indices().nth(SUBJECT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

/// Text colours of design/console.md §7, light theme.
fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::High => "#B3141D",
        Severity::Medium => "#A34700",
        Severity::Low => "#6B5900",
        Severity::Informational => "#3C5570",
    }
}

fn tint(severity: Severity) -> &'static str {
    match severity {
        Severity::High => "#FDE8E8",
        Severity::Medium => "#FFF0DF",
        Severity::Low => "#FBF3CC",
        Severity::Informational => "#E7EDF4",
    }
}

struct Words {
    /// Stands in the subject of a mail about a demo.
    demo: &'static str,
    severities: [&'static str; 4],
    device: &'static str,
    user: &'static str,
    mailboxes: &'static str,
    and_more: &'static str,
    time: &'static str,
    technique: &'static str,
    status: &'static str,
    reason: &'static str,
    evidence: &'static str,
    incident: &'static str,
    statuses: [&'static str; 4],
    done: &'static str,
    next: &'static str,
    open: &'static str,
    why: &'static str,
    severity_label: &'static str,
}

impl Words {
    fn of(language: Language) -> &'static Words {
        match language {
            Language::En => &EN,
            Language::Ja => &JA,
        }
    }

    fn for_template(&self) -> minijinja::Value {
        let Words { done, next, open, why, severity_label, .. } = *self;
        context! { done, next, open, why, severity_label }
    }

    fn severity(&self, severity: Severity) -> &'static str {
        self.severities[severity as usize]
    }

    fn status_of(&self, status: DetectionStatus) -> &'static str {
        match status {
            DetectionStatus::Prevented => self.statuses[0],
            DetectionStatus::Blocked => self.statuses[1],
            DetectionStatus::Detected => self.statuses[2],
            DetectionStatus::Failed => self.statuses[3],
        }
    }
}

const EN: Words = Words {
    demo: "[Demo]",
    severities: ["Informational", "Low", "Medium", "High"],
    device: "Device",
    user: "User",
    mailboxes: "Mailboxes",
    and_more: "and more:",
    time: "Time",
    technique: "Technique",
    status: "Status",
    reason: "Reason",
    evidence: "Evidence",
    incident: "Incident",
    statuses: [
        "Prevented: it never ran",
        "Blocked: it ran and was stopped",
        "Detected: it may still be active",
        "Failed: it could not be stopped",
    ],
    done: "What was done",
    next: "Next steps",
    open: "Open incident",
    why: "You get this mail because your address is listed for this severity in the notification settings of Hinomi.",
    severity_label: "Severity",
};

const JA: Words = Words {
    demo: "[デモ]",
    severities: ["情報", "低", "中", "高"],
    device: "端末",
    user: "ユーザー",
    mailboxes: "メールボックス",
    and_more: "ほか",
    time: "時刻",
    technique: "手法",
    status: "状態",
    reason: "理由",
    evidence: "証拠",
    incident: "インシデント",
    statuses: [
        "防止: 実行されませんでした",
        "ブロック: 実行後に停止しました",
        "検出: まだ動作している可能性があります",
        "失敗: 停止できませんでした",
    ],
    done: "実施した対応",
    next: "次の手順",
    open: "インシデントを開く",
    why: "このメールは、Hinomi の通知設定でこの重大度の宛先に登録されているため送信されました。",
    severity_label: "重大度",
};

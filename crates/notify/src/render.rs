//! A notification as a mail: subject, text part and HTML part.

use crate::notice::Notice;
use crate::words::Words;
use hinomi_model::{Language, Severity};
use minijinja::{AutoEscape, Environment, context};

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

/// Renders a notification as a mail.
///
/// # Errors
/// When a template fails, which a test of every template rules out.
pub fn render(notice: &Notice) -> Result<Rendered, minijinja::Error> {
    let words = Words::of(notice.language);
    let values = context! {
        next => words.next, severity_label => words.severity_label, severity => notice.severity_word(),
        title => &notice.title, place => &notice.place, story => &notice.story, rows => &notice.rows,
        heading => &notice.list.0, list => &notice.list.1, steps => &notice.steps, open => &notice.open,
        link => &notice.link, why => &notice.why,
        colour => notice.severity.map_or("#17202C", colour), tint => notice.severity.map_or("#E7EDF4", tint),
        lang => if notice.language == Language::Ja { "ja" } else { "en" },
    };
    let mut environment = Environment::new();
    environment
        .set_auto_escape_callback(|name| if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None });
    let html = environment.render_named_str("notice.html", include_str!("../templates/notice.html"), &values)?;
    let text = environment.render_named_str("notice.txt", include_str!("../templates/notice.txt"), &values)?;
    Ok(Rendered { subject: notice.subject(), text, html })
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

//! `hinomi tuning`

use crate::client::Client;
use crate::output::{self, exit, line, printable};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use hinomi_api::{List, NewTuningRule, TuningPreview, UpdateTuningRule};
use hinomi_model::{
    AlertId, Language, RuleQuality, Severity, Text, Timestamp, TuningAction, TuningCondition, TuningId, TuningRule,
};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Decide about alerts before they are made: hide, resolve or lower those that are known to be harmless.
#[derive(Debug, Subcommand)]
pub enum Tuning {
    /// List the tuning rules, newest first
    List {
        /// Part of title, comment, owner or a value
        #[arg(long)]
        text: Option<String>,
        /// Only those in force now
        #[arg(long)]
        in_force: bool,
    },
    /// Show a rule
    Show {
        /// Id of the rule
        id: TuningId,
    },
    /// Draft a rule for alerts like this one; with --json as `add --file` and `preview --file` take it
    Draft {
        /// Id of the alert
        alert: AlertId,
    },
    /// Tell what a rule would have done to the alerts of the last 30 days
    Preview(Wanted),
    /// Make a rule
    Add(Wanted),
    /// Put a rule in force
    On {
        /// Id of the rule
        id: TuningId,
    },
    /// Put a rule out of force
    Off {
        /// Id of the rule
        id: TuningId,
    },
    /// Remove a rule; what it hid stays hidden
    Remove {
        /// Id of the rule
        id: TuningId,
    },
}

/// A rule as it is written on the command line or in a file.
#[derive(Debug, Args)]
pub struct Wanted {
    /// The whole rule as JSON, as `draft --json` prints it
    #[arg(long, conflicts_with_all = ["title", "when", "lower", "resolve", "comment", "days"])]
    file: Option<PathBuf>,
    /// What people call it
    #[arg(long, required_unless_present = "file")]
    title: Option<String>,
    /// A condition, 'FIELD OPERATOR VALUE' ('commandLine contains backup.sh'); all of them must hold
    #[arg(long)]
    when: Vec<String>,
    /// Lower the severity to this instead of hiding the alert: informational, low, medium
    #[arg(long, conflicts_with = "resolve")]
    lower: Option<String>,
    /// Resolve the alert as a false positive instead of hiding it
    #[arg(long)]
    resolve: bool,
    /// Why it is there
    #[arg(long, default_value = "")]
    comment: String,
    /// Days it stays in force; without it stays
    #[arg(long)]
    days: Option<i64>,
}

impl Tuning {
    /// Does what is asked.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub async fn run(self, client: &Client, json: bool, language: Language) -> Result<u8> {
        match self {
            Tuning::List { text, in_force } => {
                let mut query: Vec<(&str, String)> = Vec::new();
                query.extend(text.map(|text| ("text", text)));
                query.extend(in_force.then(|| ("in_force", "true".to_owned())));
                let rules: List<TuningRule> = client.get("/tuning", &query).await?;
                let head = ["ACTION", "ON", "TITLE", "HITS", "LAST HIT", "EXPIRES", "OWNER", "ID"];
                Ok(output::list(json, &rules.items, &head, row))
            }
            Tuning::Show { id } => {
                let rule = client.get(&format!("/tuning/{id}"), &[]).await?;
                show(&rule, json);
                Ok(exit::DONE)
            }
            Tuning::Draft { alert } => {
                let draft: NewTuningRule = client.get(&format!("/alerts/{alert}/tuning"), &[]).await?;
                if json {
                    output::json(&draft);
                } else {
                    line(&printable(&draft.title));
                    conditions(&draft.conditions);
                }
                Ok(exit::DONE)
            }
            Tuning::Preview(wanted) => {
                let seen: TuningPreview = client.post("/tuning/preview", &wanted.rule()?).await?;
                tell(&seen, json, language);
                Ok(exit::DONE)
            }
            Tuning::Add(wanted) => {
                let rule = client.post("/tuning", &wanted.rule()?).await?;
                show(&rule, json);
                Ok(exit::DONE)
            }
            Tuning::On { id } => switch(client, id, true, json).await,
            Tuning::Off { id } => switch(client, id, false, json).await,
            Tuning::Remove { id } => {
                let rule = client.delete(&format!("/tuning/{id}")).await?;
                show(&rule, json);
                Ok(exit::DONE)
            }
        }
    }
}

/// Tells how the alerts of detection rules were classified.
///
/// # Errors
/// When the server cannot be reached or says no.
pub async fn quality(client: &Client, json: bool, language: Language) -> Result<u8> {
    let rules: List<RuleQuality> = client.get("/rules/quality", &[]).await?;
    let head = ["FALSE", "ALERTS", "TRUE", "EXPECTED", "FALSE POSITIVE", "OPEN", "TUNED", "TITLE", "RULE"];
    Ok(output::list(json, &rules.items, &head, |rule| {
        let share = rule.false_positive_share.map_or_else(|| "-".to_owned(), |share| format!("{:.0}%", share * 100.0));
        let counts =
            [rule.alerts, rule.true_positive, rule.expected, rule.false_positive, rule.unclassified, rule.tuned];
        let texts = [rule.title.get(language).to_owned(), rule.rule_id.clone()];
        std::iter::once(share).chain(counts.map(|count| count.to_string())).chain(texts).collect()
    }))
}

async fn switch(client: &Client, id: TuningId, enabled: bool, json: bool) -> Result<u8> {
    let change = UpdateTuningRule { enabled: Some(enabled), ..UpdateTuningRule::default() };
    let rule = client.patch(&format!("/tuning/{id}"), &change).await?;
    show(&rule, json);
    Ok(exit::DONE)
}

impl Wanted {
    fn rule(self) -> Result<NewTuningRule> {
        if let Some(file) = &self.file {
            let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            return serde_json::from_str(&text).with_context(|| format!("read the rule in {}", file.display()));
        }
        let severity: Option<Severity> = match &self.lower {
            Some(word) => Some(word.parse().map_err(|error| anyhow::anyhow!("--lower {word}: {error}"))?),
            None => None,
        };
        let action = match (self.resolve, severity) {
            (true, _) => TuningAction::Resolve,
            (false, Some(_)) => TuningAction::LowerSeverity,
            (false, None) => TuningAction::Hide,
        };
        let expires_at = self.days.map(|days| {
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = Timestamp::from_micros(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX));
            now.plus_seconds(days.clamp(0, 36_500) * 24 * 3600)
        });
        Ok(NewTuningRule {
            title: self.title.unwrap_or_default(),
            conditions: self.when.iter().map(|text| condition(text)).collect::<Result<_>>()?,
            action,
            severity,
            enabled: true,
            expires_at,
            owner: None,
            comment: self.comment,
        })
    }
}

fn condition(text: &str) -> Result<TuningCondition> {
    let mut words = text.trim().splitn(3, char::is_whitespace);
    let (Some(field), Some(operator), Some(value)) = (words.next(), words.next(), words.next()) else {
        bail!("--when {text:?}: write 'FIELD OPERATOR VALUE', as in 'fileName equals backup.sh'");
    };
    let wrong = |error: hinomi_model::BadWord| anyhow::anyhow!("--when {text:?}: {error}");
    Ok(TuningCondition {
        field: field.parse().map_err(wrong)?,
        operator: operator.parse().map_err(wrong)?,
        values: vec![value.trim().to_owned()],
    })
}

fn action(rule: &TuningRule) -> String {
    match rule.severity {
        Some(severity) => format!("{} {}", rule.action.word(), severity.word()),
        None => rule.action.word(),
    }
}

fn row(rule: &TuningRule) -> Vec<String> {
    let time = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
    let on = if rule.enabled { "on" } else { "off" };
    vec![
        action(rule),
        on.to_owned(),
        rule.title.clone(),
        rule.hits.to_string(),
        time(rule.last_hit),
        time(rule.expires_at),
        rule.owner.clone(),
        rule.id.to_string(),
    ]
}

fn show(rule: &TuningRule, json: bool) {
    if json {
        return output::json(rule);
    }
    line(&printable(&row(rule).join("  ")));
    conditions(&rule.conditions);
}

fn conditions(conditions: &[TuningCondition]) {
    for condition in conditions {
        let values = condition.values.join(" | ");
        line(&printable(&format!("  {} {} {values}", condition.field.word(), condition.operator.word())));
    }
}

fn tell(seen: &TuningPreview, json: bool, language: Language) {
    if json {
        return output::json(seen);
    }
    let TuningPreview { matches, looked_at, days, devices, .. } = seen;
    line(&match language {
        Language::En => format!("{matches} of {looked_at} alerts of the last {days} days, on {devices} devices"),
        Language::Ja => format!("過去 {days} 日間のアラート {looked_at} 件のうち {matches} 件、デバイス {devices} 台"),
    });
    seen.warnings.iter().for_each(|warning: &Text| line(&printable(&format!("! {}", warning.get(language)))));
    for alert in &seen.alerts {
        let device = alert.device.as_ref().map(|device| device.name.as_str()).unwrap_or_default();
        let cells = [&alert.last_activity.to_string(), &alert.severity.word(), alert.title.get(language), device];
        line(&printable(&format!("  {}", cells.join("  "))));
    }
}

//! Alert mails: which alerts, to whom, and the job that sends them.
//!
//! One job per incident, recipient and severity: an incident is mailed once, again only when its
//! severity rises (design/console.md §8). The job's key makes a repeated enqueue harmless.

use crate::app::Ctx;
use crate::config::NotifyConfig;
use anyhow::{Context, Result, bail};
use hinomi_detect::content;
use hinomi_model::{Action, ActionState, Alert, AlertId, Incident, Text, Timestamp};
use hinomi_notify::{AlertMail, Mailer, SmtpSettings};
use hinomi_store::{ActionFilter, Job, Page};
use serde::{Deserialize, Serialize};

/// Kind of the job.
pub const JOB: &str = "notify";

/// What a notification job has to do.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    alert: AlertId,
    /// Address of the recipient.
    to: String,
}

/// Jobs that tell people about an alert, to be enqueued in the transaction that makes it.
pub fn jobs_for(config: Option<&NotifyConfig>, alert: &Alert, incident: &Incident, now: Timestamp) -> Vec<Job> {
    let Some(config) = config else { return Vec::new() };
    let wanted = config.recipients.iter().filter(|recipient| recipient.severities.contains(&alert.severity));
    wanted
        .map(|recipient| Job {
            kind: JOB.to_owned(),
            key: format!("{}/{}/{}", incident.id, alert.severity.word(), recipient.address),
            payload: serde_json::to_string(&Payload { alert: alert.id, to: recipient.address.clone() })
                .expect("ids and addresses always serialise"),
            run_at: now,
        })
        .collect()
}

/// Sends one alert mail.
///
/// # Errors
/// When the mail server does not take it; the job is tried again.
pub async fn run(ctx: &Ctx, payload: &str) -> Result<()> {
    let payload: Payload = serde_json::from_str(payload).context("read notification job")?;
    let Some(config) = &ctx.config.notify else { return Ok(()) };
    let Some(recipient) = config.recipients.iter().find(|one| one.address == payload.to) else {
        // taken out of the configuration since
        return Ok(());
    };
    let alert = ctx.store.alert(payload.alert).await?.context("the alert is gone")?;
    let incident = ctx.store.incident(alert.incident_id).await?.context("the incident is gone")?;
    let responses = responses(ctx, &incident).await?;
    let mail = AlertMail {
        techniques: alert.techniques.iter().map(|id| technique(id)).collect(),
        alert: &alert,
        incident: &incident,
        responses,
        console_url: &ctx.urls.console,
        language: recipient.language,
    };
    let rendered = hinomi_notify::render(&mail)?;
    let domain = config.from.rsplit('@').next().unwrap_or("hinomi.invalid").trim_end_matches('>');
    let thread = format!("<hinomi-incident-{}@{domain}>", incident.id);
    let message_id = format!("<hinomi-{}-{}@{domain}>", incident.id, alert.severity.word());
    let mailer = Mailer::new(settings(config)?)?;
    match mailer.send(&recipient.address, &rendered, &message_id, &thread).await {
        Ok(sent) => {
            tracing::info!(
                incident.number = incident.number,
                answer = sent.answer,
                "alert mail for INC-{} sent",
                incident.number
            );
            Ok(())
        }
        Err(error) if error.is_temporary() => Err(error.into()),
        Err(error) => bail!("the mail server refuses the alert mail for good: {:#}", anyhow::Error::from(error)),
    }
}

fn settings(config: &NotifyConfig) -> Result<SmtpSettings> {
    let login = match (&config.user, &config.password_file) {
        (Some(user), Some(file)) => {
            let password = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            Some((user.clone(), password.trim_end_matches(['\r', '\n']).to_owned()))
        }
        _ => None,
    };
    Ok(SmtpSettings::parse(&config.smtp, &config.from, login)?)
}

/// `T1059.004 Unix Shell`, or the id alone when the table does not know it.
fn technique(id: &str) -> String {
    match content::attack().technique(id) {
        Some(technique) => format!("{id} {}", technique.name),
        None => id.to_owned(),
    }
}

/// What was done for the incident so far, and what waits.
async fn responses(ctx: &Ctx, incident: &Incident) -> Result<Vec<Text>> {
    let filter = ActionFilter { incident: Some(incident.id), ..Default::default() };
    let actions = ctx.store.actions(&filter, &Page::first(100)).await?.items;
    let of = |wanted: fn(&Action) -> bool| actions.iter().filter(|action| wanted(action)).count();
    let done = of(|action| matches!(action.state, ActionState::Succeeded | ActionState::PartiallySucceeded));
    let waiting = of(|action| action.state == ActionState::PendingApproval);
    let mut texts = Vec::new();
    if done > 0 {
        texts.push(Text::new(
            format!("{done} actions carried out automatically"),
            format!("{done} 件の対応を自動で実施しました"),
        ));
    }
    if waiting > 0 {
        texts.push(Text::new(
            format!("{waiting} actions wait for your approval"),
            format!("{waiting} 件の対応が承認待ちです"),
        ));
    }
    if texts.is_empty() {
        texts.push(Text::new("The automated investigation is running", "自動調査を実行しています"));
    }
    Ok(texts)
}

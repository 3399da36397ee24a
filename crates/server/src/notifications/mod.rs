//! Notifications: what is told outside the console, to whom, when, and what came of it.
//!
//! Rules of the configuration pick channels. A notification is a row (the way out and the log in one)
//! made in the transaction of what it tells; a job sends it at least once, again with growing pauses,
//! always under the same id. The same thing is told to a channel once: an incident is told again only
//! at a higher severity (design/console.md §8). What comes too often waits for a digest.

mod config;
mod send;

pub use config::{About, Channel, ChannelKind, Hours, NotifyConfig, NotifyRecipient, Office, Rule, When};
pub use send::{Tried, resend, test};
pub(crate) use send::{give_up, run};

use crate::app::Ctx;
use crate::ids;
use crate::jobs::Outcome;
use crate::live::LiveEvent;
use anyhow::{Context, Result};
use hinomi_cases::log;
use hinomi_model::{
    Action, ActionId, ActionState, Alert, AlertId, Incident, IncidentStatus, Notification, NotificationId,
    NotificationKind, NotificationState, Severity, Text, Timestamp,
};
use hinomi_store::{Job, StoreError, Tx};
use serde::{Deserialize, Serialize};

/// Kind of the job that sends one notification.
pub const JOB: &str = "notify";
/// Kind of the job that makes the digest of a channel.
pub const DIGEST_JOB: &str = "notify_digest";
/// Kind of the job that looks whether an incident was taken.
pub const ESCALATE_JOB: &str = "notify_escalate";

/// What a channel takes in so long is counted, seconds.
const HOUR: i64 = 3_600;
/// Approvals of one incident are told together, seconds after the first.
const APPROVAL_SECONDS: i64 = 60;
/// A device silent for longer than that over the limit was told about, or before there was a rule, seconds.
const SILENT_NEWS_SECONDS: i64 = 24 * 3_600;
/// The log is kept so long, seconds.
const KEEP_SECONDS: i64 = 90 * 24 * 3_600;

/// What is told, before it is known to whom.
struct News<'a> {
    kind: NotificationKind,
    severity: Option<Severity>,
    incident: Option<i64>,
    subject: String,
    /// The same for the same thing.
    key: String,
    rule: &'a str,
}

/// One notification on its way.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    notification: NotificationId,
}

#[derive(Debug, Serialize, Deserialize)]
struct DigestPayload {
    channel: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct EscalatePayload {
    rule: String,
    alert: AlertId,
}

/// Tells a new alert to whom the rules name, in the transaction that makes it; true when anything is
/// to be done.
pub(crate) async fn tell_alert(
    ctx: &Ctx,
    tx: &mut Tx,
    alert: &Alert,
    incident: &Incident,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(config) = &ctx.config.notify else { return Ok(false) };
    let tags = match &alert.device {
        Some(device) => tx.device(device.id).await?.map(|device| device.tags).unwrap_or_default(),
        None => Vec::new(),
    };
    let mut any = false;
    for rule in rules(config, About::Alerts, now) {
        let is_meant = rule.severities.contains(&alert.severity)
            && (rule.sources.is_empty() || rule.sources.contains(&alert.detection_source))
            && (rule.tags.is_empty() || rule.tags.iter().any(|tag| tags.contains(tag)));
        if !is_meant {
            continue;
        }
        any = true;
        let news = News {
            kind: NotificationKind::Alert,
            severity: Some(alert.severity),
            incident: Some(incident.number),
            subject: alert.id.to_string(),
            key: format!("alert/{}/{}", incident.id, alert.severity.word()),
            rule: &rule.name,
        };
        let held = match rule.when {
            When::AtOnce => false,
            When::OfficeHours => !config.is_office(now),
            When::Digest => true,
        };
        for channel in channels(config, &rule.channels) {
            make(tx, config, &channel, &news, held, now).await?;
        }
        if rule.escalate_minutes > 0 && incident.id.demo().is_none() {
            let payload = EscalatePayload { rule: rule.name.clone(), alert: alert.id };
            let key = format!("escalate/{}/{}/{}", incident.id, rule.name, alert.severity.word());
            let run_at = now.plus_seconds(i64::from(rule.escalate_minutes) * 60);
            enqueue(tx, ESCALATE_JOB, key, &payload, run_at).await?;
        }
    }
    Ok(any)
}

/// Tells about an action that waits for a person: that it does (those of an investigation together), that
/// it expires soon, or that nobody answers.
pub(crate) async fn tell_pending(
    ctx: &Ctx,
    tx: &mut Tx,
    kind: NotificationKind,
    action: &Action,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(config) = &ctx.config.notify else { return Ok(()) };
    if action.state != ActionState::PendingApproval || action.id.demo().is_some() {
        return Ok(());
    }
    let incident = match action.incident_id {
        Some(id) => tx.incident(id).await?.map(|incident| incident.number),
        None => None,
    };
    let about = action.investigation_id.map_or(action.id.to_string(), |investigation| investigation.to_string());
    let (key, rules) = match kind {
        // what was noticed in one look is told together
        NotificationKind::ApprovalExpiring => {
            (format!("expiring/{about}/{now}"), rules_about(config, About::Approvals))
        }
        NotificationKind::ApprovalUnanswered => {
            (format!("unanswered/{about}/{now}"), rules_about(config, About::Approvals))
        }
        // the second person is told too
        _ if !action.approval.given.is_empty() => {
            (format!("approval/{}/second", action.id), rules(config, About::Approvals, now))
        }
        _ => (format!("approval/{about}"), rules(config, About::Approvals, now)),
    };
    for rule in rules {
        let news =
            News { kind, severity: None, incident, subject: action.id.to_string(), key: key.clone(), rule: &rule.name };
        let escalates = kind == NotificationKind::ApprovalUnanswered && !rule.escalate_to.is_empty();
        let held = kind == NotificationKind::Approval && rule.when == When::Digest;
        for channel in channels(config, if escalates { &rule.escalate_to } else { &rule.channels }) {
            make(tx, config, &channel, &news, held, now).await?;
        }
    }
    Ok(())
}

/// Rules about something, whatever the hour.
fn rules_about(config: &NotifyConfig, about: About) -> Vec<Rule> {
    config.all_rules().into_iter().filter(|rule| rule.about.contains(&about)).collect()
}

/// Rules about something that hold now.
fn rules(config: &NotifyConfig, about: About, now: Timestamp) -> Vec<Rule> {
    let is_office = config.is_office(now);
    let holds = |rule: &Rule| {
        rule.about.contains(&about)
            && match rule.hours {
                Hours::Always => true,
                Hours::Office => is_office,
                Hours::Outside => !is_office,
            }
    };
    config.all_rules().into_iter().filter(holds).collect()
}

fn channels(config: &NotifyConfig, names: &[String]) -> Vec<Channel> {
    config.all_channels().into_iter().filter(|channel| names.contains(&channel.name)).collect()
}

/// Makes one notification, once for the same thing and channel.
async fn make(
    tx: &mut Tx,
    config: &NotifyConfig,
    channel: &Channel,
    news: &News<'_>,
    held: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut due = held.then(|| config.next_digest(now));
    let is_limited = news.kind == NotificationKind::Alert && news.severity != Some(Severity::High);
    if due.is_none() && is_limited {
        let told = tx.told_since(&channel.name, now.plus_seconds(-HOUR)).await?;
        if told >= i64::from(channel.per_hour) {
            let left = HOUR - now.as_micros().div_euclid(1_000_000).rem_euclid(HOUR);
            due = Some(config::whole_second(now).plus_seconds(left));
        }
    }
    let notification = Notification {
        id: ids::new(),
        channel: channel.name.clone(),
        rule: news.rule.to_owned(),
        kind: news.kind,
        severity: news.severity,
        incident: news.incident,
        subject: news.subject.clone(),
        state: if due.is_some() { NotificationState::Held } else { NotificationState::Pending },
        created_at: now,
        attempts: 0,
        tried_at: None,
        digest: None,
        answer: String::new(),
    };
    if !tx.add_notification(&notification, &format!("{}/{}", news.key, channel.name)).await? {
        return Ok(());
    }
    match due {
        None => {
            let wait = if news.kind == NotificationKind::Approval { APPROVAL_SECONDS } else { 0 };
            order(tx, &notification, now.plus_seconds(wait)).await
        }
        Some(due) => {
            let payload = DigestPayload { channel: channel.name.clone() };
            enqueue(tx, DIGEST_JOB, format!("digest/{}/{due}", channel.name), &payload, due).await
        }
    }
}

/// Orders the sending of a notification.
async fn order(tx: &mut Tx, notification: &Notification, run_at: Timestamp) -> Result<(), StoreError> {
    let key = format!("notify/{}/{}", notification.id, notification.attempts);
    enqueue(tx, JOB, key, &Payload { notification: notification.id }, run_at).await
}

async fn enqueue(
    tx: &mut Tx,
    kind: &str,
    key: String,
    payload: &impl Serialize,
    run_at: Timestamp,
) -> Result<(), StoreError> {
    let payload = serde_json::to_string(payload).expect("ids and names always serialise");
    tx.enqueue(Job { kind: kind.to_owned(), key, payload, run_at }).await.map(drop)
}

/// Makes the digest of a channel of what it held back; called by its job.
///
/// # Errors
/// When the store cannot be read or written.
pub(crate) async fn run_digest(ctx: &Ctx, payload: &str) -> Result<Outcome> {
    let payload: DigestPayload = serde_json::from_str(payload).context("read digest job")?;
    let mut tx = ctx.store.begin().await?;
    let held = tx.held_notifications(&payload.channel).await?;
    if held.is_empty() {
        return Ok(Outcome::Done);
    }
    let now = ctx.now();
    let digest = Notification {
        id: ids::new(),
        channel: payload.channel,
        rule: String::new(),
        kind: NotificationKind::Digest,
        severity: None,
        incident: None,
        subject: held.len().to_string(),
        state: NotificationState::Pending,
        created_at: now,
        attempts: 0,
        tried_at: None,
        digest: None,
        answer: String::new(),
    };
    tx.add_notification(&digest, &format!("digest/{}", digest.id)).await?;
    for mut one in held {
        one.state = NotificationState::Digested;
        one.digest = Some(digest.id);
        tx.update_notification(&one).await?;
    }
    order(&mut tx, &digest, now).await?;
    tx.commit().await?;
    ctx.jobs.notify_one();
    Ok(Outcome::Done)
}

/// Tells others when nobody has taken an incident in time; called by its job.
///
/// # Errors
/// When the store cannot be read or written.
pub(crate) async fn run_escalate(ctx: &Ctx, payload: &str) -> Result<Outcome> {
    let payload: EscalatePayload = serde_json::from_str(payload).context("read escalation job")?;
    let Some(config) = &ctx.config.notify else { return Ok(Outcome::Done) };
    let Some(rule) = config.all_rules().into_iter().find(|rule| rule.name == payload.rule) else {
        return Ok(Outcome::Done);
    };
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let alert = tx.alert(payload.alert).await?.context("the alert is gone")?;
    let mut incident = tx.incident(alert.incident_id).await?.context("the incident is gone")?;
    let is_open = matches!(incident.status, IncidentStatus::Active | IncidentStatus::AwaitingAction);
    if !is_open || incident.assigned_to.is_some() {
        return Ok(Outcome::Done);
    }
    let now = ctx.now();
    let news = News {
        kind: NotificationKind::Escalation,
        severity: Some(alert.severity),
        incident: Some(incident.number),
        subject: alert.id.to_string(),
        key: format!("escalation/{}/{}", incident.id, alert.severity.word()),
        rule: &rule.name,
    };
    for channel in channels(config, &rule.escalate_to) {
        make(&mut tx, config, &channel, &news, false, now).await?;
    }
    let (minutes, to) = (rule.escalate_minutes, rule.escalate_to.join(", "));
    let text = Text::new(
        format!("Nobody has taken the incident for {minutes} minutes: {to} told"),
        format!("{minutes} 分間担当者が決まらないため、{to} に通知しました"),
    );
    log(&mut incident, now, "system", text);
    tx.put_incident(&incident).await?;
    tx.commit().await?;
    ctx.jobs.notify_one();
    ctx.live.send(LiveEvent {
        event: "incident.updated",
        id: incident.id.to_string(),
        version: incident.version,
        number: Some(incident.number),
        progress: None,
    });
    Ok(Outcome::Done)
}

/// Regular chores: tells silent devices and mail systems that do not answer, and forgets what is old.
///
/// # Errors
/// When the store cannot be read or written.
pub(crate) async fn chores(ctx: &Ctx, now: Timestamp) -> Result<(), StoreError> {
    ctx.store.prune_notifications(now.plus_seconds(-KEEP_SECONDS)).await?;
    let Some(config) = &ctx.config.notify else { return Ok(()) };
    let mut told = Vec::new();
    let rules_of = |about| rules(config, about, now);
    let about_devices = rules_of(About::Devices);
    if !about_devices.is_empty() && config.device_silent_minutes > 0 {
        let until = now.plus_seconds(-i64::from(config.device_silent_minutes) * 60);
        for device in ctx.store.silent_devices(until.plus_seconds(-SILENT_NEWS_SECONDS), until).await? {
            let key = format!("silent/{}/{}", device.id, device.last_seen);
            told.extend(
                about_devices
                    .iter()
                    .map(|rule| (rule, NotificationKind::DeviceSilent, device.id.to_string(), key.clone())),
            );
        }
    }
    let about_connectors = rules_of(About::Connectors);
    let away = ctx.mail.get().filter(|_| !about_connectors.is_empty()).map(|mail| mail.away()).unwrap_or_default();
    let day = now.as_micros().div_euclid(24 * HOUR * 1_000_000);
    if !about_connectors.is_empty() {
        for (name, since) in crate::indicators::feeds::failing(ctx).await? {
            // once, however long it lasts
            let (subject, key) = (format!("feed:{name}"), format!("connector/feed:{name}/{since}"));
            told.extend(
                about_connectors
                    .iter()
                    .map(|rule| (rule, NotificationKind::ConnectorBroken, subject.clone(), key.clone())),
            );
        }
    }
    for name in away {
        let key = format!("connector/{name}/{day}");
        told.extend(
            about_connectors.iter().map(|rule| (rule, NotificationKind::ConnectorBroken, name.to_owned(), key.clone())),
        );
    }
    if told.is_empty() {
        return Ok(());
    }
    let mut tx = ctx.store.begin().await?;
    for (rule, kind, subject, key) in told {
        let news = News { kind, severity: None, incident: None, subject, key, rule: &rule.name };
        for channel in channels(config, &rule.channels) {
            make(&mut tx, config, &channel, &news, rule.when == When::Digest, now).await?;
        }
    }
    tx.commit().await?;
    ctx.jobs.notify_one();
    Ok(())
}

/// Id of the action a notification is about.
fn action_of(notification: &Notification) -> Option<ActionId> {
    notification.subject.parse().ok()
}

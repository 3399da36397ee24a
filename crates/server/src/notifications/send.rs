//! Sending one notification: facts, words, and the answer of the other side.

use super::config::{Channel, NotifyConfig, Target};
use super::{Payload, action_of, order};
use crate::app::Ctx;
use crate::ids;
use crate::jobs::Outcome;
use anyhow::{Context, Result, bail};
use hinomi_detect::content;
use hinomi_model::{
    Action, ActionState, Alert, AlertId, DeviceId, Incident, Notification, NotificationId, NotificationKind,
    NotificationState, Text, Timestamp,
};
use hinomi_notify::{AlertFacts, Mailer, Notice, PlainWords};
use hinomi_store::{ActionFilter, Page, StoreError};

/// Lines of a digest; of more it tells the number.
const DIGEST_LINES_MAX: usize = 50;
/// Characters of an answer that are kept.
const ANSWER_CHARS_MAX: usize = 500;

/// What came of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The other side took it.
    pub ok: bool,
    /// What it answered, or why it could not be asked.
    pub answer: String,
    /// Trying again can help.
    pub temporary: bool,
}

impl Tried {
    fn failed(error: impl Into<anyhow::Error>, temporary: bool) -> Tried {
        Tried { ok: false, answer: format!("{:#}", error.into()), temporary }
    }
}

/// Sends one notification; called by its job, possibly again after a crash.
///
/// # Errors
/// When the other side did not take it and may later; the job is tried again.
pub(crate) async fn run(ctx: &Ctx, payload: &str) -> Result<Outcome> {
    let payload: Payload = serde_json::from_str(payload).context("read notification job")?;
    let Some(mut one) = ctx.store.notification(payload.notification).await? else { return Ok(Outcome::Done) };
    if one.state != NotificationState::Pending {
        return Ok(Outcome::Done);
    }
    let tried = attempt(ctx, &one).await?;
    one.attempts += 1;
    one.tried_at = Some(ctx.now());
    one.state = match &tried {
        None => NotificationState::Dropped,
        Some(tried) if tried.ok => NotificationState::Sent,
        Some(tried) if tried.temporary => NotificationState::Pending,
        Some(_) => NotificationState::Failed,
    };
    one.answer = tried.as_ref().map_or_else(String::new, |tried| tried.answer.chars().take(ANSWER_CHARS_MAX).collect());
    save(ctx, &one).await?;
    match tried {
        Some(tried) if !tried.ok && tried.temporary => bail!("{}: {}", one.channel, one.answer),
        Some(tried) if !tried.ok => tracing::error!(channel = one.channel, "notification refused: {}", one.answer),
        _ => tracing::info!(channel = one.channel, answer = one.answer, "notification {:?}", one.state),
    }
    Ok(Outcome::Done)
}

async fn save(ctx: &Ctx, one: &Notification) -> Result<(), StoreError> {
    let mut tx = ctx.store.begin().await?;
    tx.update_notification(one).await?;
    tx.commit().await
}

/// The job is given up: the notification waits for a person who sends it again.
///
/// # Errors
/// When the store cannot be read or written.
pub(crate) async fn give_up(ctx: &Ctx, payload: &str) -> Result<()> {
    let payload: Payload = serde_json::from_str(payload).context("read notification job")?;
    let Some(mut one) = ctx.store.notification(payload.notification).await? else { return Ok(()) };
    if one.state == NotificationState::Pending {
        one.state = NotificationState::Failed;
        save(ctx, &one).await?;
    }
    Ok(())
}

/// Sends a notification again that was given up; none when there is no such one.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn resend(ctx: &Ctx, id: NotificationId) -> Result<Option<Notification>, StoreError> {
    let mut tx = ctx.store.begin().await?;
    let failed = tx.notification(id).await?.filter(|one| one.state == NotificationState::Failed);
    let Some(mut one) = failed else { return Ok(None) };
    one.state = NotificationState::Pending;
    tx.update_notification(&one).await?;
    order(&mut tx, &one, ctx.now()).await?;
    tx.commit().await?;
    ctx.jobs.notify_one();
    Ok(Some(one))
}

/// Sends a test to a channel, now; none when there is no such channel.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn test(ctx: &Ctx, channel: &str, by: &str) -> Result<Option<Tried>> {
    let Some(config) = &ctx.config.notify else { return Ok(None) };
    if config.all_channels().iter().all(|one| one.name != channel) {
        return Ok(None);
    }
    let now = ctx.now();
    let mut one = Notification {
        id: ids::new(),
        channel: channel.to_owned(),
        rule: String::new(),
        kind: NotificationKind::Test,
        severity: None,
        incident: None,
        subject: by.to_owned(),
        // told now or not at all
        state: NotificationState::Failed,
        created_at: now,
        attempts: 0,
        tried_at: None,
        digest: None,
        answer: String::new(),
    };
    let mut tx = ctx.store.begin().await?;
    tx.add_notification(&one, &format!("test/{}", one.id)).await?;
    tx.commit().await?;
    let tried = attempt(ctx, &one).await?.context("a test is always sent")?;
    one.attempts = 1;
    one.tried_at = Some(ctx.now());
    one.answer = tried.answer.chars().take(ANSWER_CHARS_MAX).collect();
    if tried.ok {
        one.state = NotificationState::Sent;
    }
    save(ctx, &one).await?;
    Ok(Some(tried))
}

/// One try; none when there is nothing to be told any more.
async fn attempt(ctx: &Ctx, one: &Notification) -> Result<Option<Tried>> {
    let Some(config) = &ctx.config.notify else { return Ok(None) };
    let channel = config.all_channels().into_iter().find(|channel| channel.name == one.channel);
    let Some(channel) = channel else {
        return Ok(Some(Tried::failed(anyhow::anyhow!("the channel was taken out of the configuration"), false)));
    };
    let Some(notice) = notice(ctx, one, &channel).await? else { return Ok(None) };
    Ok(Some(deliver(ctx, config, &channel, one, &notice).await))
}

async fn deliver(ctx: &Ctx, config: &NotifyConfig, channel: &Channel, one: &Notification, notice: &Notice) -> Tried {
    let sent = match channel.target() {
        Err(text) => return Tried::failed(anyhow::anyhow!(text), true),
        Ok(Target::Mail(address)) => return mail(config, &address, one, notice).await,
        Ok(Target::Hook(hook)) => {
            let now = ctx.now().as_micros().div_euclid(1_000_000);
            hook.post(notice, now).await.map_err(|error| (error.is_temporary(), anyhow::Error::from(error)))
        }
        Ok(Target::Syslog(syslog)) => {
            syslog.send(notice).await.map_err(|error| (error.is_temporary(), anyhow::Error::from(error)))
        }
    };
    match sent {
        Ok(answer) => Tried { ok: true, answer, temporary: false },
        Err((temporary, error)) => Tried::failed(error, temporary),
    }
}

async fn mail(config: &NotifyConfig, address: &str, one: &Notification, notice: &Notice) -> Tried {
    let settings = match config.smtp() {
        Ok(settings) => settings,
        Err(text) => return Tried::failed(anyhow::anyhow!(text), true),
    };
    let rendered = match hinomi_notify::render(notice) {
        Ok(rendered) => rendered,
        Err(error) => return Tried::failed(error, false),
    };
    let domain = config.from.rsplit('@').next().unwrap_or("hinomi.invalid").trim_end_matches('>');
    let message_id = format!("<hinomi-{}@{domain}>", one.id);
    // one thread per incident
    let thread = one.incident.map_or(message_id.clone(), |number| format!("<hinomi-incident-{number}@{domain}>"));
    let sent = match Mailer::new(settings) {
        Ok(mailer) => mailer.send(address, &rendered, &message_id, &thread).await,
        Err(error) => Err(error),
    };
    match sent {
        Ok(sent) => Tried { ok: true, answer: sent.answer, temporary: false },
        Err(error) => {
            let temporary = error.is_temporary();
            Tried::failed(error, temporary)
        }
    }
}

/// What a notification says in the language of its channel; none when there is nothing to be told any
/// more.
async fn notice(ctx: &Ctx, one: &Notification, channel: &Channel) -> Result<Option<Notice>> {
    let words = PlainWords::of(channel.language);
    let plain = |title: String| Notice {
        id: one.id.to_string(),
        kind: kind(one.kind),
        at: one.created_at,
        language: channel.language,
        severity: None,
        is_demo: false,
        place: String::new(),
        title,
        story: String::new(),
        rows: Vec::new(),
        list: (String::new(), Vec::new()),
        steps: Vec::new(),
        open: words.open.to_owned(),
        link: ctx.urls.console.clone(),
        incident: one.incident,
        class: kind(one.kind).to_owned(),
        why: words.why(&one.rule),
    };
    Ok(Some(match one.kind {
        NotificationKind::Alert | NotificationKind::Escalation => {
            let Some((alert, incident)) = alert_of(ctx, one).await? else { return Ok(None) };
            let mut notice = of_alert(ctx, one, channel, &alert, &incident).await?;
            if one.kind == NotificationKind::Escalation {
                notice.title = format!("{}: {}", words.escalation, notice.title);
            }
            notice
        }
        NotificationKind::Approval | NotificationKind::ApprovalExpiring | NotificationKind::ApprovalUnanswered => {
            let waiting = waiting(ctx, one).await?;
            if waiting.is_empty() {
                return Ok(None);
            }
            let expires = waiting.iter().map(|action| action.expires_at).min().unwrap_or_default();
            let mut notice = plain(match one.kind {
                NotificationKind::ApprovalExpiring => words.expiring(waiting.len()),
                NotificationKind::ApprovalUnanswered => words.unanswered(waiting.len()),
                _ => words.approvals(waiting.len()),
            });
            notice.rows = vec![(words.expires.to_owned(), utc(expires))];
            let names = waiting.iter().map(|action| action.reason.get(channel.language).to_owned());
            notice.list = (words.waiting.to_owned(), if channel.names { names.collect() } else { Vec::new() });
            notice.link = match one.incident {
                Some(number) => format!("{}/incidents/{number}", ctx.urls.console),
                None => format!("{}/actions", ctx.urls.console),
            };
            notice
        }
        NotificationKind::DeviceSilent => {
            let id: DeviceId = one.subject.parse().context("read device id")?;
            let Some(device) = ctx.store.device(id).await?.filter(|device| !device.online) else { return Ok(None) };
            let mut notice = plain(words.silent.to_owned());
            if channel.names {
                notice.place = device.name.clone();
            }
            notice.rows = vec![(words.last_seen.to_owned(), utc(device.last_seen))];
            notice.link = format!("{}/devices/{id}", ctx.urls.console);
            notice
        }
        NotificationKind::ConnectorBroken if one.subject.starts_with("feed:") => {
            let name = &one.subject["feed:".len()..];
            if crate::indicators::feeds::failing(ctx).await?.iter().all(|(failing, _)| failing != name) {
                return Ok(None);
            }
            let mut notice = plain(words.feed.to_owned());
            notice.place = name.to_owned();
            notice.steps = vec![words.feed_step.to_owned()];
            notice.link = format!("{}/indicators", ctx.urls.console);
            notice
        }
        NotificationKind::ConnectorBroken => {
            let is_away = ctx.mail.get().is_some_and(|mail| mail.away().contains(&one.subject.as_str()));
            if !is_away {
                return Ok(None);
            }
            let mut notice = plain(words.connector.to_owned());
            notice.place.clone_from(&one.subject);
            notice.steps = vec![words.connector_step(&one.subject)];
            notice
        }
        NotificationKind::Digest => {
            let told = ctx.store.notifications_of_digest(one.id).await?;
            let mut notice = plain(words.digest(told.len()));
            let mut lines = Vec::new();
            for of in told.iter().take(DIGEST_LINES_MAX) {
                lines.push(line(ctx, of, channel).await?);
            }
            if told.len() > lines.len() {
                lines.push(words.more(told.len() - lines.len()));
            }
            notice.list = (words.held.to_owned(), lines);
            notice.link = format!("{}/incidents", ctx.urls.console);
            notice
        }
        NotificationKind::Test => {
            let mut notice = plain(words.test.to_owned());
            notice.story = words.test_story(&one.subject);
            notice
        }
    }))
}

async fn alert_of(ctx: &Ctx, one: &Notification) -> Result<Option<(Alert, Incident)>> {
    let id: AlertId = one.subject.parse().context("read alert id")?;
    let Some(alert) = ctx.store.alert(id).await? else { return Ok(None) };
    let incident = ctx.store.incident(alert.incident_id).await?;
    Ok(incident.map(|incident| (alert, incident)))
}

async fn of_alert(
    ctx: &Ctx,
    one: &Notification,
    channel: &Channel,
    alert: &Alert,
    incident: &Incident,
) -> Result<Notice> {
    let facts = AlertFacts {
        techniques: alert.techniques.iter().map(|id| technique(id)).collect(),
        alert,
        incident,
        responses: responses(ctx, incident).await?,
        console_url: &ctx.urls.console,
        language: channel.language,
        names: channel.names,
    };
    Ok(facts.notice(&one.id.to_string(), kind(one.kind), &PlainWords::of(channel.language).why(&one.rule)))
}

/// One line of a digest.
async fn line(ctx: &Ctx, one: &Notification, channel: &Channel) -> Result<String> {
    let told = Box::pin(notice(ctx, one, channel)).await?;
    let subject = told.map_or_else(|| kind(one.kind).to_owned(), |notice| notice.subject());
    Ok(format!("{} {}", utc(one.created_at), subject.trim_start_matches("[Hinomi]").trim_start()))
}

/// Actions that wait: those of the incident, or the one itself.
async fn waiting(ctx: &Ctx, one: &Notification) -> Result<Vec<Action>> {
    let Some(id) = action_of(one) else { return Ok(Vec::new()) };
    let Some(action) = ctx.store.action(id).await? else { return Ok(Vec::new()) };
    let is_waiting = |action: &Action| action.state == ActionState::PendingApproval;
    Ok(match action.incident_id {
        Some(incident) => {
            let filter = ActionFilter {
                incident: Some(incident),
                state: vec![ActionState::PendingApproval],
                ..Default::default()
            };
            ctx.store.actions(&filter, &Page::first(50)).await?.items
        }
        None => vec![action].into_iter().filter(is_waiting).collect(),
    })
}

fn kind(kind: NotificationKind) -> &'static str {
    match kind {
        NotificationKind::Alert => "alert",
        NotificationKind::Escalation => "escalation",
        NotificationKind::Approval => "approval",
        NotificationKind::ApprovalExpiring => "approval_expiring",
        NotificationKind::ApprovalUnanswered => "approval_unanswered",
        NotificationKind::DeviceSilent => "device_silent",
        NotificationKind::ConnectorBroken => "connector_broken",
        NotificationKind::Digest => "digest",
        NotificationKind::Test => "test",
    }
}

fn utc(at: Timestamp) -> String {
    format!("{} UTC", at.to_string().replace('T', " ").chars().take(19).collect::<String>())
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

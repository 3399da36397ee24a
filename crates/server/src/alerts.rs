//! Alerts: what people change, and the story behind one.

use crate::actions::record;
use crate::app::Ctx;
use crate::facts;
use crate::live::LiveEvent;
use anyhow::Result;
use hinomi_api::UpdateAlert;
use hinomi_cases::{AlertMark, StoryFocus, StoryTree, is_system_path, log, refresh, sightings};
use hinomi_model::{
    Alert, AlertId, AlertStatus, Comment, DemoId, Determination, EntityKey, EntityKind, Event, EvidenceRole,
    MessageCopy, MessageId, Severity, Text,
};
use hinomi_store::{AlertFilter, Page, StoreError, Tx};
use std::collections::{BTreeMap, BTreeSet};

/// Seconds before and after an alert's activity its story shows.
const STORY_BEFORE_SECONDS: i64 = 600;
const STORY_AFTER_SECONDS: i64 = 3600;
/// Messages a story may begin with.
const STORY_MESSAGES_MAX: usize = 20;
/// Files and addresses of a tree that are looked for in mail.
const JOINING_MAX: usize = 200;
/// Copies a value may be in and still join a mail to a tree: a campaign, not a logo.
const CARRYING_MAX: i64 = 500;
/// Files, and places, whose prevalence is told.
const PREVALENCE_MAX: usize = 50;

/// Changes an alert as a person asks; `expected` is the version that person saw.
///
/// # Errors
/// [`StoreError::Conflict`] when somebody changed it in between.
pub async fn update(
    ctx: &Ctx,
    id: AlertId,
    expected: Option<i64>,
    change: &UpdateAlert,
    by: &str,
) -> Result<Alert, StoreError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let missing = || StoreError::NotFound { what: "alert", id: id.to_string() };
    let mut alert = tx.alert(id).await?.ok_or_else(missing)?;
    let now = ctx.now();
    let mut words: Vec<Text> = Vec::new();
    if let Some(severity) = change.severity {
        alert.severity = severity;
        words.push(word("severity", "重大度", &severity.word()));
    }
    if let Some(status) = change.status {
        alert.status = status;
        words.push(word("status", "状態", &status.word()));
    }
    if let Some(classification) = change.classification {
        alert.classification = classification;
        if !classification.allows(alert.determination) {
            alert.determination = Determination::Unknown;
        }
        words.push(word("classification", "分類", &classification.word()));
    }
    if let Some(determination) = change.determination {
        alert.determination = determination;
        words.push(word("determination", "判断", &determination.word()));
    }
    if let Some(owner) = &change.assigned_to {
        alert.assigned_to.clone_from(owner);
        words.push(word("owner", "担当者", owner.as_deref().unwrap_or("-")));
    }
    if let Some(text) = &change.comment {
        alert.comments.push(Comment { author: by.to_owned(), at: now, text: text.clone() });
        words.push(Text::new("remark", "コメント"));
    }
    alert.updated_at = now;
    let version = expected.unwrap_or(alert.version);
    let alert = tx.update_alert(&alert, version).await?;
    let mut incident_version = None;
    if let Some(mut incident) = tx.incident(alert.incident_id).await? {
        let alerts = tx.alerts_of_incident(incident.id).await?;
        refresh(&mut incident, &alerts);
        let title = &alert.title;
        let changes = |en: bool| {
            words.iter().map(|text| if en { text.en.as_str() } else { text.ja.as_str() }).collect::<Vec<_>>().join(", ")
        };
        let text = Text::new(format!("{}: {}", title.en, changes(true)), format!("{}: {}", title.ja, changes(false)));
        log(&mut incident, now, by, text);
        incident.updated_at = now;
        incident_version = Some((incident.number, tx.put_incident(&incident).await?));
    }
    lower_risk(&mut tx, &alert).await?;
    let detail = serde_json::to_value(change).unwrap_or_default();
    tx.audit(&record(now, by, "alert.update", &format!("alert:{id}"), detail)).await?;
    tx.commit().await?;
    let event = |event, id: String, version, number| LiveEvent { event, id, version, number, progress: None };
    ctx.live.send(event("alert.updated", id.to_string(), alert.version, None));
    if let Some((number, version)) = incident_version {
        ctx.live.send(event("incident.updated", alert.incident_id.to_string(), version, Some(number)));
    }
    Ok(alert)
}

fn word(en: &str, ja: &str, value: &str) -> Text {
    Text::new(format!("{en} {value}"), format!("{ja} {value}"))
}

/// Recomputes the risk of an alert's device from its unresolved alerts.
///
/// # Errors
/// When the store fails.
pub(crate) async fn lower_risk(tx: &mut Tx, alert: &Alert) -> Result<(), StoreError> {
    let Some(reference) = &alert.device else { return Ok(()) };
    let Some(mut device) = tx.device(reference.id).await? else { return Ok(()) };
    let mut risk: Option<Severity> = None;
    for severity in Severity::ALL.iter().rev() {
        let filter = AlertFilter {
            device: Some(reference.id),
            severity: vec![*severity],
            status: vec![AlertStatus::New, AlertStatus::InProgress],
            ..AlertFilter::default()
        };
        if tx.alerts(&filter, &Page::first(1)).await?.total > 0 {
            risk = Some(*severity);
            break;
        }
    }
    if device.risk != risk {
        device.risk = risk;
        tx.put_device(&device).await?;
    }
    Ok(())
}

/// Builds the process tree of an alert with the mail it came from.
///
/// # Errors
/// When lake or store cannot be read.
pub async fn story(ctx: &Ctx, alert: &Alert) -> Result<StoryTree> {
    let events = match alert.tree_root {
        None => Vec::new(),
        Some(root) => {
            let from = root.started_at.min(alert.first_activity).plus_seconds(-STORY_BEFORE_SECONDS);
            let to = alert.last_activity.plus_seconds(STORY_AFTER_SECONDS);
            facts::tree(ctx, root, from, to).await?
        }
    };
    // other alerts of the same tree mark their nodes too
    let alerts = ctx.store.alerts_of_incident(alert.incident_id).await?;
    let marks: Vec<AlertMark> = alerts.iter().flat_map(marks).collect();
    let copies = copies(ctx, alert, &events).await?;
    let mut hashes: BTreeSet<String> = BTreeSet::new();
    for event in &events {
        hashes.extend(event.str("SHA256").map(str::to_ascii_lowercase));
    }
    let places: BTreeSet<EntityKey> = events.iter().flat_map(places).collect();
    let files = hashes.into_iter().take(PREVALENCE_MAX).map(|sha256| EntityKey::file(&sha256));
    let mut prevalence = BTreeMap::new();
    for value in files.chain(places.into_iter().take(PREVALENCE_MAX)) {
        let summary = ctx.store.sighting_summary_within(&value, alert.id.demo()).await?;
        prevalence.insert(value.value, summary.devices);
    }
    let focus = StoryFocus { root: alert.tree_root, marks: &marks, copies: &copies, prevalence: Some(&prevalence) };
    Ok(hinomi_cases::story(&events, &focus))
}

/// Where an event went to.
fn places(event: &Event) -> impl Iterator<Item = EntityKey> {
    let address = event.str("RemoteIP").filter(|text| !text.is_empty()).map(EntityKey::ip);
    let name = event.str("RemoteUrl").filter(|text| !text.is_empty());
    let name = name.map(|text| if text.contains("://") { EntityKey::url(text) } else { EntityKey::domain(text) });
    address.into_iter().chain(name)
}

fn marks(alert: &Alert) -> impl Iterator<Item = AlertMark> + '_ {
    alert.why.iter().map(|why| AlertMark {
        event: why.event.clone(),
        severity: alert.severity,
        technique: alert.techniques.first().cloned().unwrap_or_default(),
        title: alert.title.clone(),
    })
}

/// The copies of the messages an alert speaks about, and of those that a file or address of its tree
/// leads to: also when the mail became known only later, by the journal or in a mailbox.
async fn copies(ctx: &Ctx, alert: &Alert, events: &[Event]) -> Result<Vec<MessageCopy>> {
    let mut ids: BTreeSet<MessageId> = alert.message_id.into_iter().collect();
    let messages = alert.evidence.iter().filter(|piece| piece.entity.kind == EntityKind::Message);
    ids.extend(messages.filter_map(|piece| piece.entity.value.parse::<MessageId>().ok()));
    let known = ids.clone();
    for value in joining(alert, events) {
        ids.extend(carrying(ctx, &value, alert.id.demo()).await?);
    }
    let mut copies = Vec::new();
    // what the alert speaks about comes first, whatever else is found
    for id in known.iter().chain(ids.difference(&known)).take(STORY_MESSAGES_MAX) {
        let found = ctx.store.message_copies(*id).await?;
        let began = found.first().is_some_and(|copy| copy.received_at <= alert.last_activity);
        if began || known.contains(id) {
            copies.extend(found);
        }
    }
    Ok(copies)
}

/// The files and addresses by which a tree may hang on a mail.
fn joining(alert: &Alert, events: &[Event]) -> BTreeSet<EntityKey> {
    let kinds = [EntityKind::File, EntityKind::Url];
    let evidence = alert.evidence.iter().filter(|piece| {
        kinds.contains(&piece.entity.kind) && piece.role != EvidenceRole::Contextual && !is_system_path(&piece.name)
    });
    let mut values: BTreeSet<EntityKey> = evidence.map(|piece| piece.entity.clone()).collect();
    for event in events {
        let own = sightings(event).into_iter().map(|sighting| (sighting.observable, sighting.name));
        values
            .extend(own.filter(|(value, name)| kinds.contains(&value.kind) && !is_system_path(name)).map(|one| one.0));
    }
    values.into_iter().take(JOINING_MAX).collect()
}

/// The messages that carried a value. A value that is in very many mails says nothing.
pub(crate) async fn carrying(ctx: &Ctx, value: &EntityKey, demo: Option<DemoId>) -> Result<Vec<MessageId>, StoreError> {
    let kind = if value.kind == EntityKind::Url { EntityKind::Message } else { EntityKind::MessageCopy };
    let seen = ctx.store.seen(value, kind, CARRYING_MAX).await?;
    if !seen.exact || seen.entities > CARRYING_MAX {
        return Ok(Vec::new());
    }
    let id = |entity: &EntityKey| entity.as_message_copy().map(|(id, _)| id).or_else(|| entity.value.parse().ok());
    let mut ids: Vec<MessageId> = seen.items.iter().filter_map(|sighting| id(&sighting.entity)).collect();
    ids.retain(|id| id.demo() == demo);
    ids.dedup();
    Ok(ids)
}

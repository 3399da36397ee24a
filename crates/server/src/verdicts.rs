//! Verdicts of other scanners: kept, put on the messages they concern, told to the analyst.
//!
//! The rows for the analyst are durable before anything else: a caller that repeats a request under
//! the same key after a crash changes nothing twice.

use crate::app::Ctx;
use crate::ids;
use crate::ingest::Source;
use anyhow::{Context, Result};
use hinomi_mail::parse::Analysis;
use hinomi_model::{EntityKey, EntityKind, Event, FilterVerdict, MailField, MailFilter, MessageCopy, Table, Verdict};
use hinomi_store::{MailVerdictRow, Page, Store, StoreError};
use serde_json::json;

/// Messages one verdict is put on.
const MESSAGES_MAX: usize = 1_000;
/// Messages of one verdict the analyst is told about: they are one wave and become one alert.
const TOLD_MAX: usize = 20;
/// Devices of one verdict the analyst is told about.
const DEVICES_MAX: u32 = 20;
/// Verdicts kept on one message.
const VERDICTS_MAX: usize = 50;
/// Tries to change a message against somebody else who does so too.
const UPDATE_TRIES: usize = 5;

/// What became of a verdict.
pub struct Taken {
    /// As stored.
    pub row: MailVerdictRow,
    /// Messages it concerns.
    pub messages: usize,
    /// Devices it concerns.
    pub devices: usize,
}

/// Takes a verdict in. The same key answers what was stored first.
///
/// # Errors
/// When log or store cannot be written.
pub async fn take(ctx: &Ctx, target: EntityKey, verdict: FilterVerdict, key: Option<String>) -> Result<Taken> {
    let known = match &key {
        Some(key) => ctx.store.mail_verdict_of_key(key).await?,
        None => None,
    };
    let new = known.is_none();
    let row = known.unwrap_or_else(|| MailVerdictRow {
        id: ids::new(),
        target,
        at: ctx.now(),
        idempotency_key: key,
        verdict,
    });
    let messages = concerned(&ctx.store, &row.target).await?;
    let devices = devices(ctx, &row.target).await?;
    if !new {
        return Ok(Taken { row, messages: messages.len(), devices: devices.len() });
    }
    let mut events: Vec<Event> = messages.iter().take(TOLD_MAX).map(|copy| message_event(&row, copy)).collect();
    events.extend(devices.iter().map(|(id, name, file)| device_event(&row, id, name, file)));
    if row.verdict.verdict >= Verdict::Suspicious && !events.is_empty() {
        ctx.ingest.append(Source::Server, events).await.context("store rows about the verdict")?;
    }
    ctx.store.add_mail_verdict(&row).await?;
    for copy in &messages {
        put_on(&ctx.store, copy, &row.verdict).await?;
    }
    Ok(Taken { row, messages: messages.len(), devices: devices.len() })
}

/// One copy of every message that carries the value.
async fn concerned(store: &Store, target: &EntityKey) -> Result<Vec<MessageCopy>, StoreError> {
    let field = match target.kind {
        EntityKind::File => MailField::AttachmentSha256,
        EntityKind::Url => MailField::Url,
        _ => MailField::Message,
    };
    let filter = MailFilter::default().with(field, target.value.as_str());
    let mut found = Vec::new();
    let mut page = Page::first(200);
    loop {
        let explored = store.explore(&filter, &page).await?;
        found.extend(explored.items.into_iter().filter_map(|message| message.copies.into_iter().next()));
        page.after = explored.next;
        if page.after.is_none() || found.len() >= MESSAGES_MAX {
            found.truncate(MESSAGES_MAX);
            return Ok(found);
        }
    }
}

/// Devices that saw the file: id, name, name of the file.
async fn devices(ctx: &Ctx, target: &EntityKey) -> Result<Vec<(String, String, String)>, StoreError> {
    if target.kind != EntityKind::File {
        return Ok(Vec::new());
    }
    let seen = ctx.store.sightings(target, Some(EntityKind::Device), &Page::first(DEVICES_MAX)).await?;
    let mut devices = Vec::new();
    for sighting in seen.items {
        let Some(id) = sighting.entity.as_device() else { continue };
        let name = ctx.store.device(id).await?.map(|device| device.name).unwrap_or_default();
        devices.push((id.to_string(), name, sighting.name));
    }
    Ok(devices)
}

fn message_event(row: &MailVerdictRow, copy: &MessageCopy) -> Event {
    let mut event = Event::new(Table::EmailPostDeliveryEvents, row.at);
    event
        .set("NetworkMessageId", copy.message_id.to_string())
        .set("InternetMessageId", copy.internet_message_id.as_str())
        .set("RecipientEmailAddress", copy.recipient.as_str())
        .set("Action", "None")
        .set("ActionType", "Verdict of another scanner")
        .set("ActionTrigger", "ThirdPartySensors")
        .set("ActionResult", "Success")
        .set("ReportId", format!("{}/{}", row.id, copy.message_id));
    event.set_additional("Filters", json!([row.verdict]));
    match row.target.kind {
        EntityKind::File => drop(event.set_additional("SHA256", row.target.value.as_str())),
        EntityKind::Url => drop(event.set_additional("Url", row.target.value.as_str())),
        _ => {}
    }
    event
}

fn device_event(row: &MailVerdictRow, id: &str, name: &str, file: &str) -> Event {
    let mut event = Event::new(Table::DeviceEvents, row.at);
    let base = file.rsplit(['/', '\\']).next().unwrap_or(file);
    event
        .set("DeviceId", id)
        .set("DeviceName", name)
        .set("ActionType", "ThirdPartyVerdict")
        .set("FileName", base)
        .set("FolderPath", file)
        .set("SHA256", row.target.value.as_str());
    event.set_additional("Filters", json!([row.verdict]));
    event
}

/// Adds a verdict to a message. Every recipient sees it.
async fn put_on(store: &Store, copy: &MessageCopy, verdict: &FilterVerdict) -> Result<(), StoreError> {
    for _ in 0..UPDATE_TRIES {
        let Some(mut known) = store.message(copy.message_id, &copy.recipient).await? else { return Ok(()) };
        if known.filters.contains(verdict) || known.filters.len() >= VERDICTS_MAX {
            return Ok(());
        }
        known.verdict = known.verdict.max(verdict.verdict);
        known.threats.extend(verdict.threat.filter(|_| verdict.verdict >= Verdict::Suspicious));
        known.threats.sort();
        known.threats.dedup();
        known.filters.push(verdict.clone());
        let version = known.version;
        match store.update_message(&known, version).await {
            Err(StoreError::Conflict { .. }) => {}
            other => return other.map(drop),
        }
    }
    Ok(())
}

/// What scanners said earlier about the files and URLs of a mail that comes now.
pub(crate) async fn of_analysis(store: &Store, analysis: &Analysis) -> Vec<FilterVerdict> {
    let files = analysis.files.iter().map(|file| EntityKey::file(&file.attachment.sha256));
    let targets: Vec<EntityKey> = files.chain(analysis.urls.iter().map(|url| EntityKey::url(&url.url))).collect();
    match store.mail_verdicts_of(&targets).await {
        Ok(rows) => rows.into_iter().map(|row| row.verdict).take(VERDICTS_MAX).collect(),
        Err(error) => {
            tracing::error!("verdicts of other scanners cannot be read: {error}");
            Vec::new()
        }
    }
}

/// The address kept of a verdict's target.
pub fn url_target(url: &str) -> Option<EntityKey> {
    hinomi_mail::parse::normalise_url(url).map(|url| EntityKey::url(&url))
}

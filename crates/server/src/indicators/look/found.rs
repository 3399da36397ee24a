//! What a look back found, and telling it.

use crate::analyst::{self, News};
use crate::app::Ctx;
use anyhow::{Context, Result};
use hinomi_detect::{Hit, indicator_detection};
use hinomi_lake::{LakeQuery, Op, Predicate};
use hinomi_model::{
    Detection, DeviceId, Event, EventRef, Indicator, IndicatorAction, IndicatorId, IndicatorLook, LookFound, LookState,
    MatchedField, MessageCopy, MessageId, Table, Text, Timestamp, Value,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Indicators whose places are kept; beyond, a look is cut short.
const INDICATORS_MAX: usize = 10_000;
/// Devices kept per indicator.
const DEVICES_MAX: usize = 1_000;
/// Mailboxes and messages kept per indicator.
const MAIL_MAX: usize = 5_000;
/// Paths kept per device.
const PATHS_MAX: usize = 5;
/// Firings per indicator that become alerts, one per device or sender.
const SAMPLES_MAX: usize = 10;
/// Firings of one look that become alerts: a list may be of values that are everywhere.
const ALERTS_MAX: usize = 200;
/// Indicators, devices and mailboxes shown.
const FOUND_SHOWN: usize = 200;
const PLACES_SHOWN: usize = 100;

/// What is kept of a look while it goes on.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    pub seen: BTreeMap<IndicatorId, Seen>,
}

/// Where an indicator was seen.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Seen {
    pub hits: i64,
    pub first: Timestamp,
    pub last: Timestamp,
    /// Devices, and paths of the file there.
    pub devices: BTreeMap<DeviceId, BTreeSet<String>>,
    pub mailboxes: BTreeSet<String>,
    pub messages: BTreeSet<MessageId>,
    samples: Vec<Sample>,
}

/// A firing that stands for others of the same device or sender.
#[derive(Debug, Serialize, Deserialize)]
struct Sample {
    of: String,
    field: String,
    value: String,
    at: SampleAt,
}

#[derive(Debug, Serialize, Deserialize)]
enum SampleAt {
    Event(EventRef),
    Message(MessageId),
}

/// Where a value was seen.
pub(super) enum Place<'a> {
    Device { device: DeviceId, event: &'a Event },
    Mail { copies: &'a [MessageCopy] },
}

impl Kept {
    pub fn read(text: &str) -> Result<Kept> {
        if text.is_empty() {
            return Ok(Kept::default());
        }
        serde_json::from_str(text).context("read what a look back keeps")
    }

    pub fn write(&self) -> Result<String> {
        serde_json::to_string(self).context("write what a look back keeps")
    }

    /// True when more is found than is kept.
    pub fn is_full(&self) -> bool {
        self.seen.len() >= INDICATORS_MAX
    }

    pub fn add(&mut self, hit: &Hit, matched: MatchedField, place: Place<'_>) {
        let at = match &place {
            Place::Device { event, .. } => event.timestamp,
            Place::Mail { copies } => copies.first().map_or(Timestamp::from_micros(0), |copy| copy.received_at),
        };
        let seen = self.seen.entry(hit.id).or_insert_with(|| Seen {
            hits: 0,
            first: at,
            last: at,
            devices: BTreeMap::new(),
            mailboxes: BTreeSet::new(),
            messages: BTreeSet::new(),
            samples: Vec::new(),
        });
        seen.hits += 1;
        seen.first = seen.first.min(at);
        seen.last = seen.last.max(at);
        let (of, at) = match place {
            Place::Device { device, event } => {
                seen.on_device(device, event, &matched);
                (device.to_string(), SampleAt::Event(event.reference()))
            }
            Place::Mail { copies } => {
                let Some(first) = copies.first() else { return };
                seen.in_mail(first, copies);
                (first.sender_from.clone(), SampleAt::Message(first.message_id))
            }
        };
        if seen.samples.len() < SAMPLES_MAX && seen.samples.iter().all(|sample| sample.of != of) {
            seen.samples.push(Sample { of, field: matched.field, value: matched.value, at });
        }
    }
}

impl Seen {
    fn on_device(&mut self, device: DeviceId, event: &Event, matched: &MatchedField) {
        if self.devices.len() >= DEVICES_MAX && !self.devices.contains_key(&device) {
            return;
        }
        let paths = self.devices.entry(device).or_default();
        // the path of a row is that of the file its own hash names
        let own = ["SHA256", "SHA1", "MD5"].contains(&matched.field.as_str());
        let deleted = event.str("ActionType") == Some("FileDeleted");
        if let Some(path) = event.str("FolderPath").filter(|path| own && !deleted && !path.is_empty())
            && paths.len() < PATHS_MAX
        {
            paths.insert(path.to_owned());
        }
    }

    fn in_mail(&mut self, first: &MessageCopy, copies: &[MessageCopy]) {
        if self.messages.len() < MAIL_MAX {
            self.messages.insert(first.message_id);
        }
        let room = MAIL_MAX.saturating_sub(self.mailboxes.len());
        self.mailboxes.extend(copies.iter().take(room).map(|copy| copy.recipient.clone()));
    }
}

/// Counts and alerts what was found, in one transaction with the end of the comparing.
pub(super) async fn tell(
    ctx: &Ctx,
    look: &mut IndicatorLook,
    kept: &mut Kept,
    known: &HashMap<IndicatorId, Indicator>,
) -> Result<()> {
    kept.seen.retain(|id, _| known.contains_key(id));
    let mut found: Vec<LookFound> = kept.seen.iter().map(|(id, seen)| found(&known[id], seen)).collect();
    // what asks for actions comes first: no more than what is shown is acted on
    let asks = |one: &LookFound| one.action == IndicatorAction::BlockAndRemediate;
    found.sort_by_key(|one| (!asks(one), std::cmp::Reverse(one.hits)));
    let mut detections = Vec::new();
    for one in &found {
        let indicator = &known[&one.id];
        let involved = involved(ctx, indicator).await?;
        for sample in &kept.seen[&one.id].samples {
            if detections.len() < ALERTS_MAX
                && let Some(detection) = detection(ctx, indicator, sample, &involved).await?
            {
                detections.push(detection);
            }
        }
    }
    let later = analyst::prepare(ctx, detections).await?;
    look.found_count = found.len() as i64;
    look.found = found;
    look.state = LookState::Remediating;
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let mut news = News::default();
    let placed = analyst::tell_later(ctx, &mut tx, &later, &mut news).await?;
    for one in &mut look.found {
        let own = placed.iter().filter(|(id, _)| *id == one.id).map(|(_, incident)| *incident);
        one.incidents = own.collect::<BTreeSet<_>>().into_iter().collect();
    }
    for (id, seen) in kept.seen.iter().filter(|_| look.counts) {
        tx.add_indicator_hits(*id, seen.hits, seen.last).await?;
    }
    look.found.truncate(FOUND_SHOWN);
    tx.put_look(look, &kept.write()?).await?;
    tx.commit().await.context("tell what a look back found")?;
    news.send(ctx);
    Ok(())
}

fn found(indicator: &Indicator, seen: &Seen) -> LookFound {
    LookFound {
        id: indicator.id,
        kind: indicator.spec.kind,
        value: indicator.spec.value.clone(),
        action: indicator.spec.action,
        hits: seen.hits,
        first_seen: seen.first,
        last_seen: seen.last,
        devices: seen.devices.keys().take(PLACES_SHOWN).copied().collect(),
        device_count: seen.devices.len() as i64,
        mailboxes: seen.mailboxes.iter().take(PLACES_SHOWN).cloned().collect(),
        mailbox_count: seen.mailboxes.len() as i64,
        incidents: Vec::new(),
        actions: Vec::new(),
        not_ordered: Vec::new(),
    }
}

/// Devices and mailboxes of the incident an indicator came from: they are known, no alert is needed.
async fn involved(ctx: &Ctx, indicator: &Indicator) -> Result<BTreeSet<String>> {
    let Some(id) = indicator.incident_id else { return Ok(BTreeSet::new()) };
    let Some(incident) = ctx.store.incident(id).await? else { return Ok(BTreeSet::new()) };
    let devices = incident.devices.iter().map(|device| device.id.to_string());
    Ok(devices.chain(incident.mailboxes.iter().cloned()).collect())
}

async fn detection(
    ctx: &Ctx,
    indicator: &Indicator,
    sample: &Sample,
    involved: &BTreeSet<String>,
) -> Result<Option<Detection>> {
    let event = match &sample.at {
        SampleAt::Event(_) if involved.contains(&sample.of) => return Ok(None),
        SampleAt::Event(reference) => event(ctx, reference).await?,
        SampleAt::Message(id) => {
            let copies = ctx.store.message_copies(*id).await?;
            if !copies.is_empty() && copies.iter().all(|copy| involved.contains(&copy.recipient)) {
                return Ok(None);
            }
            copies.first().map(|copy| mail_event(copy, sample))
        }
    };
    let Some(event) = event else { return Ok(None) };
    let spec = &indicator.spec;
    let hit = Hit {
        id: indicator.id,
        kind: spec.kind,
        value: spec.value.clone(),
        action: spec.action,
        severity: spec.severity,
        note: spec.note.clone(),
    };
    let matched =
        MatchedField { field: sample.field.clone(), value: sample.value.clone(), pattern: spec.value.clone() };
    let mut detection = indicator_detection(hit, matched, &event);
    let text = detection.description;
    detection.description = Text::new(
        format!("Found by a look back, before the indicator was there: {}", text.en),
        format!("インジケーター登録前の記録をさかのぼって確認しました。{}", text.ja),
    );
    Ok(Some(detection))
}

/// Reads a whole row again.
async fn event(ctx: &Ctx, reference: &EventRef) -> Result<Option<Event>> {
    let id = match (reference.device_id, reference.report_id.parse()) {
        (Some(_), Ok(number)) => Value::Long(number),
        _ => Value::String(reference.report_id.clone()),
    };
    let query = LakeQuery {
        device: reference.device_id,
        from: reference.timestamp,
        to: Timestamp::from_micros(reference.timestamp.as_micros().saturating_add(1)),
        predicates: vec![Predicate { column: "ReportId".to_owned(), op: Op::Eq(id) }],
        ..LakeQuery::of(reference.table)
    };
    Ok(ctx.lake.query(query).await.context("read what a look back found")?.into_iter().next())
}

/// The row of a message, from what is kept of it: its own row may be gone from the lake.
fn mail_event(copy: &MessageCopy, sample: &Sample) -> Event {
    let table = match sample.field.as_str() {
        "SHA256" => Table::EmailAttachmentInfo,
        "Url" => Table::EmailUrlInfo,
        _ => Table::EmailEvents,
    };
    let mut event = Event::new(table, copy.received_at);
    event
        .set("NetworkMessageId", copy.message_id.to_string())
        .set("ReportId", format!("{}/look/{}", copy.message_id, copy.recipient))
        .set(&sample.field, sample.value.as_str());
    if table != Table::EmailUrlInfo {
        event.set("RecipientEmailAddress", copy.recipient.as_str()).set("SenderFromAddress", copy.sender_from.as_str());
    }
    if table == Table::EmailEvents {
        event
            .set("SenderMailFromAddress", copy.sender_mail_from.as_str())
            .set("InternetMessageId", copy.internet_message_id.as_str())
            .set("Subject", copy.subject.as_str());
    }
    event
}

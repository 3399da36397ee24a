//! The pivot: from any value to devices, mailboxes, people, alerts and incidents, in one answer of
//! bounded work.

mod mail;
mod parts;

use crate::app::Ctx;
use hinomi_api::{AlertSummary, Pivot, PivotDevice, PivotDevices, PivotIncident, PivotMessages};
use hinomi_cases::{PivotValue, pivot_reach, pivot_steps, pivot_values};
use hinomi_model::{
    Alert, DeviceId, EntityKey, EntityKind, Indicator, IndicatorAction, IndicatorKind, MessageCopy, MessageId,
    PivotType, Sighting, Timestamp, Verdict,
};
use hinomi_store::{AlertFilter, Page, Seen, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Devices of an answer.
const DEVICES_MAX: i64 = 200;
/// Values looked for on devices: a message may have many files.
const VALUES_MAX: usize = 50;
/// Things that happened, of an answer.
const STEPS_MAX: usize = 500;
/// Alerts of an answer.
const ALERTS_MAX: u32 = 50;
/// People of an answer.
const PEOPLE_MAX: usize = 200;

type Result<T> = std::result::Result<T, StoreError>;

/// Tells where a value leads. `None` when the text cannot be a value (of the type asked for).
///
/// # Errors
/// When the store cannot be read.
pub async fn pivot(ctx: &Ctx, text: &str, forced: Option<PivotType>) -> Result<Option<Pivot>> {
    let values = pivot_values(text, forced);
    let mut first = None;
    for value in &values {
        let mut answer = Work::new(ctx, value).answer().await?;
        answer.could_be = values.iter().map(|one| one.pivot_type).filter(|one| *one != value.pivot_type).collect();
        if answer.known {
            return Ok(Some(answer));
        }
        first.get_or_insert(answer);
    }
    Ok(first)
}

/// Lists the devices that had a file of a message. `None` when there is no such message.
///
/// # Errors
/// When the store cannot be read.
pub async fn message_devices(ctx: &Ctx, id: MessageId) -> Result<Option<PivotDevices>> {
    let value = PivotValue { pivot_type: PivotType::Message, value: id.to_string() };
    let mut work = Work::new(ctx, &value);
    let Some(shared) = ctx.store.message_shared(id).await? else { return Ok(None) };
    work.values = files_of(&shared);
    work.see().await?;
    Ok(Some(work.devices()))
}

fn files_of(copy: &MessageCopy) -> Vec<EntityKey> {
    let files: BTreeSet<&str> = copy.attachments.iter().map(|file| file.sha256.as_str()).collect();
    files.into_iter().map(EntityKey::file).collect()
}

/// One answer while it is made.
struct Work<'a> {
    ctx: &'a Ctx,
    asked: &'a PivotValue,
    /// The entity asked for.
    entity: Option<EntityKey>,
    /// What is looked for on devices.
    values: Vec<EntityKey>,
    /// Devices that are part of the answer without a sighting.
    named: Vec<hinomi_model::Device>,
    seen: Vec<Seen>,
    names: BTreeMap<DeviceId, String>,
    messages: PivotMessages,
    copies: Vec<MessageCopy>,
    people: Vec<hinomi_model::InvolvedPerson>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    truncated: BTreeSet<&'static str>,
}

impl<'a> Work<'a> {
    fn new(ctx: &'a Ctx, asked: &'a PivotValue) -> Self {
        Work {
            ctx,
            asked,
            entity: None,
            values: Vec::new(),
            named: Vec::new(),
            seen: Vec::new(),
            names: BTreeMap::new(),
            messages: PivotMessages { exact: true, ..PivotMessages::default() },
            copies: Vec::new(),
            people: Vec::new(),
            first: None,
            last: None,
            truncated: BTreeSet::new(),
        }
    }

    async fn answer(mut self) -> Result<Pivot> {
        let mut related = self.understand().await?;
        self.find_mail().await?;
        if matches!(self.asked.pivot_type, PivotType::Message | PivotType::InternetMessageId) {
            self.values = self.copies.iter().flat_map(files_of).collect::<BTreeSet<_>>().into_iter().collect();
        }
        self.see().await?;
        self.find_people().await?;
        let (alerts, incidents) = self.cases().await?;
        related.extend(self.related().await?);
        let indicator = self.indicator().await?;
        let judged = alerts.iter().flat_map(|alert| &alert.evidence);
        let judged = judged.filter(|piece| Some(&piece.entity) == self.entity.as_ref()).map(|piece| piece.verdict);
        let verdict = match indicator.as_ref().map(|one| one.spec.action) {
            Some(action) if action.blocks() => Verdict::Malicious,
            Some(IndicatorAction::Allow) => Verdict::NoThreatsFound,
            _ => judged.max().unwrap_or(Verdict::Unknown),
        };
        let sightings: Vec<Sighting> = self.seen.iter().flat_map(|seen| seen.items.clone()).collect();
        let mut steps = pivot_steps(&sightings, &self.copies, &self.names);
        let reach = pivot_reach(&steps);
        if steps.len() > STEPS_MAX {
            steps.truncate(STEPS_MAX);
            self.truncated.insert("steps");
        }
        let devices = self.devices();
        if devices.total > devices.items.len() as i64 || !devices.exact {
            self.truncated.insert("devices");
        }
        let known = devices.total > 0
            || self.messages.total > 0
            || !self.messages.items.is_empty()
            || !alerts.is_empty()
            || !self.people.is_empty()
            || indicator.is_some();
        Ok(Pivot {
            value: self.asked.value.clone(),
            pivot_type: self.asked.pivot_type,
            could_be: Vec::new(),
            entity: self.entity,
            known,
            first_seen: self.first,
            last_seen: self.last,
            verdict,
            indicator,
            reach,
            steps,
            devices,
            messages: self.messages,
            people: self.people,
            related,
            alerts: alerts.into_iter().map(|alert| AlertSummary::new(alert, None)).collect(),
            incidents,
            truncated: self.truncated.into_iter().map(str::to_owned).collect(),
        })
    }

    fn saw(&mut self, first: Option<Timestamp>, last: Option<Timestamp>) {
        self.first = self.first.into_iter().chain(first).min();
        self.last = self.last.max(last);
    }

    /// Looks for the values on devices.
    async fn see(&mut self) -> Result<()> {
        if self.values.len() > VALUES_MAX {
            self.values.truncate(VALUES_MAX);
            self.truncated.insert("devices");
        }
        let of_files =
            self.asked.pivot_type == PivotType::Message || self.asked.pivot_type == PivotType::InternetMessageId;
        for value in self.values.clone() {
            let seen = self.ctx.store.seen(&value, EntityKind::Device, DEVICES_MAX).await?;
            self.saw(seen.first, seen.last);
            // accounts are seen on devices only
            if !of_files && value.kind != EntityKind::User {
                // what the mail index no longer has at its top still tells the first time
                for kind in [EntityKind::MessageCopy, EntityKind::Message] {
                    let in_mail = self.ctx.store.seen(&value, kind, 0).await?;
                    self.saw(in_mail.first, in_mail.last);
                }
            }
            self.seen.push(seen);
        }
        let items = self.seen.iter().flat_map(|seen| &seen.items);
        let ids: BTreeSet<DeviceId> = items.filter_map(|sighting| sighting.entity.as_device()).collect();
        self.names = self.ctx.store.device_names(&ids).await?;
        Ok(())
    }

    fn devices(&self) -> PivotDevices {
        let mut items: Vec<PivotDevice> = self
            .seen
            .iter()
            .flat_map(|seen| &seen.items)
            .filter_map(|sighting| {
                let id = sighting.entity.as_device()?;
                Some(PivotDevice {
                    id,
                    name: self.names.get(&id).cloned().unwrap_or_default(),
                    value: sighting.observable.clone(),
                    called: sighting.name.clone(),
                    first_seen: sighting.first_seen,
                    last_seen: sighting.last_seen,
                    count: sighting.count,
                    account: sighting.account.clone(),
                    stages: sighting.stages.clone(),
                })
            })
            .collect();
        items.extend(self.named.iter().map(|device| PivotDevice {
            id: device.id,
            name: device.name.clone(),
            value: EntityKey::device(device.id),
            called: device.name.clone(),
            first_seen: device.enrolled_at,
            last_seen: device.last_seen,
            count: device.events,
            account: device.status.logged_on_users.first().map(|user| user.to_lowercase()),
            stages: hinomi_model::SightingStages::default(),
        }));
        items.sort_by_key(|one| (one.first_seen, one.id));
        let total = match self.seen.as_slice() {
            // several files of a message: a device that had two counts once
            [_, _, ..] => items.iter().map(|device| device.id).collect::<BTreeSet<_>>().len() as i64,
            seen => seen.iter().map(|one| one.entities).sum::<i64>() + self.named.len() as i64,
        };
        let exact = self.seen.iter().all(|seen| seen.exact)
            && (self.seen.len() < 2 || self.seen.iter().all(|seen| seen.entities == seen.items.len() as i64));
        items.truncate(DEVICES_MAX as usize);
        PivotDevices { items, total, exact }
    }

    async fn cases(&mut self) -> Result<(Vec<Alert>, Vec<PivotIncident>)> {
        let mut alerts: Vec<Alert> = Vec::new();
        for entity in self.spoken_of() {
            let filter = AlertFilter { entity: Some(entity), ..AlertFilter::default() };
            let found = self.ctx.store.alerts(&filter, &Page::first(ALERTS_MAX)).await?;
            if found.total > found.items.len() as i64 {
                self.truncated.insert("alerts");
            }
            alerts.extend(found.items);
        }
        alerts.sort_by_key(|alert| std::cmp::Reverse((alert.last_activity, alert.id)));
        alerts.dedup_by_key(|alert| alert.id);
        if alerts.len() > ALERTS_MAX as usize {
            alerts.truncate(ALERTS_MAX as usize);
            self.truncated.insert("alerts");
        }
        let mut incidents: Vec<PivotIncident> = Vec::new();
        for id in alerts.iter().map(|alert| alert.incident_id).collect::<BTreeSet<_>>() {
            if let Some(incident) = self.ctx.store.incident(id).await? {
                let hinomi_model::Incident { id, number, title, severity, status, .. } = incident;
                incidents.push(PivotIncident { id, number, title, severity, status });
            }
        }
        incidents.sort_by_key(|incident| incident.number);
        Ok((alerts, incidents))
    }

    /// The entities whose alerts belong to the answer.
    fn spoken_of(&self) -> Vec<EntityKey> {
        match self.asked.pivot_type {
            PivotType::MailAddress => {
                vec![EntityKey::sender(&self.asked.value), EntityKey::mailbox(&self.asked.value)]
            }
            PivotType::InternetMessageId => {
                let ids: BTreeSet<MessageId> = self.copies.iter().map(|copy| copy.message_id).collect();
                ids.into_iter().take(VALUES_MAX).map(EntityKey::message).collect()
            }
            _ => self.entity.iter().cloned().collect(),
        }
    }

    async fn indicator(&self) -> Result<Option<Indicator>> {
        let Some(entity) = &self.entity else { return Ok(None) };
        let kind = match entity.kind {
            EntityKind::File => IndicatorKind::FileSha256,
            EntityKind::Url => IndicatorKind::Url,
            EntityKind::Domain => IndicatorKind::Domain,
            EntityKind::Ip => IndicatorKind::Ip,
            EntityKind::Sender => IndicatorKind::SenderAddress,
            _ => return Ok(None),
        };
        let found = self.ctx.store.indicator_of(kind, &entity.value).await?;
        Ok(found.filter(|one| one.spec.expires_at.is_none_or(|end| end > self.ctx.now())))
    }

    async fn find_people(&mut self) -> Result<()> {
        let accounts = self.seen.iter().flat_map(|seen| &seen.items).filter_map(|sighting| sighting.account.as_deref());
        let mut keys: BTreeSet<EntityKey> = accounts.map(EntityKey::user).collect();
        keys.extend(
            self.named.iter().flat_map(|device| &device.status.logged_on_users).map(|user| EntityKey::user(user)),
        );
        keys.extend(self.copies.iter().map(|copy| EntityKey::mailbox(&copy.recipient)));
        match self.asked.pivot_type {
            PivotType::Account => drop(keys.insert(EntityKey::user(&self.asked.value))),
            PivotType::MailAddress => drop(keys.insert(EntityKey::mailbox(&self.asked.value))),
            _ => {}
        }
        let keys: Vec<EntityKey> = keys.into_iter().collect();
        let mut people = self.ctx.store.people_of(&keys).await?;
        if people.len() > PEOPLE_MAX {
            people.truncate(PEOPLE_MAX);
            self.truncated.insert("people");
        }
        let people = people.into_iter().map(|(person, by)| hinomi_model::InvolvedPerson { person, by });
        self.people = people.collect();
        Ok(())
    }
}

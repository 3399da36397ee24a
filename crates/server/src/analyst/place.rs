//! Placing a finding: which alert takes it in, which incident that belongs to, who investigates.

use super::finding::Finding;
use super::{is_mail, weak};
use crate::app::Ctx;
use crate::regroup::move_contents;
use crate::{ids, investigations, tuning};
use anyhow::Result;
use hinomi_cases::{
    AlertContext, AlertDraft, AlertIds, Candidate, DEDUPE_SECONDS, Decision, History, IncidentFacts, Prevalence,
    Subject, absorb, alert_of, attack_root, correlate, correlation_window_seconds, groups_of, is_system_path, log,
    may_be_weak, merge, new_incident, refresh, sightings, urls_in,
};
use hinomi_model::{
    Alert, AlertId, AlertLink, AlertStatus, DEMO_TAG, DemoId, EntityKey, EntityKind, Incident, IncidentId,
    IncidentStatus, MessageCopy, MessageId, Text, Timestamp, TuningAction,
};
use hinomi_store::{Page, Tx};
use std::collections::{BTreeMap, BTreeSet};

/// Alerts looked at when correlating one.
const CANDIDATES_MAX: usize = 100;
/// Messages taken into one alert.
const MESSAGES_MAX: usize = 20;
/// Processes above a firing whose command lines are read for addresses, and addresses taken.
const LINEAGE_MAX: usize = 8;
const URLS_MAX: usize = 16;
/// Sightings read to find them.
const SIGHTINGS_MAX: u32 = 200;
/// A device alone links only within this time, see `correlate`.
const DEVICE_WINDOW_SECONDS: i64 = 3600;

/// A finding in its place.
pub(super) struct Placed {
    pub alert: Alert,
    /// None when the alert is hidden.
    pub incident: Option<Incident>,
    pub redirected: Vec<Incident>,
    pub new: bool,
    /// A tuning rule hides or resolves it.
    pub quiet: bool,
}

/// The message of a mail finding, or the messages that carried the file of an endpoint finding.
pub(super) async fn copies_of(tx: &mut Tx, finding: &Finding, batch: &[MessageCopy]) -> Result<Vec<MessageCopy>> {
    let event = &finding.detection.event;
    if is_mail(event) {
        let Some(id) = event.str("NetworkMessageId").and_then(|id| id.parse::<MessageId>().ok()) else {
            return Ok(Vec::new());
        };
        let own: Vec<MessageCopy> = batch.iter().filter(|copy| copy.message_id == id).cloned().collect();
        return if own.is_empty() { Ok(tx.message_copies(id).await?) } else { Ok(own) };
    }
    let mut messages: BTreeSet<MessageId> = BTreeSet::new();
    for sha256 in files(finding) {
        let page = Page::first(SIGHTINGS_MAX);
        let copies = Some(EntityKind::MessageCopy);
        let seen = tx.sightings_within(&EntityKey::file(&sha256), finding.demo, copies, &page).await?;
        messages.extend(seen.items.iter().filter_map(|sighting| Some(sighting.entity.as_message_copy()?.0)));
    }
    for url in urls(finding) {
        let kind = Some(EntityKind::Message);
        let seen = tx.sightings_within(&EntityKey::url(&url), finding.demo, kind, &Page::first(SIGHTINGS_MAX)).await?;
        // an address in very many mails joins none of them
        if seen.total <= i64::from(SIGHTINGS_MAX) {
            messages.extend(seen.items.iter().filter_map(|sighting| sighting.entity.value.parse::<MessageId>().ok()));
        }
    }
    let mut copies = Vec::new();
    for id in messages.into_iter().take(MESSAGES_MAX) {
        copies.extend(tx.message_copies(id).await?);
    }
    Ok(copies)
}

/// Hashes worth a look into mail: the object, the script, the image of the process.
fn files(finding: &Finding) -> BTreeSet<String> {
    let event = &finding.detection.event;
    let mut files = BTreeSet::new();
    let mut add = |sha256: Option<&str>, path: &str| {
        if let Some(sha256) = sha256.filter(|sha256| sha256.len() == 64 && !is_system_path(path)) {
            files.insert(sha256.to_ascii_lowercase());
        }
    };
    add(event.str("SHA256"), event.str("FolderPath").unwrap_or_default());
    if let Some(script) = event.additional("ScriptSHA256") {
        add(script.as_str(), "");
    }
    finding.opened.iter().for_each(|sha256| add(Some(sha256), ""));
    // what the tree was begun with may be what a mail carried
    for process in &finding.lineage[..attack_root(&finding.lineage)] {
        add(Some(&process.sha256), &process.path);
        add(Some(&process.script_sha256), "");
    }
    files
}

/// Addresses worth a look into mail: those of the event and of the processes above it.
fn urls(finding: &Finding) -> BTreeSet<String> {
    let event = sightings(&finding.detection.event).into_iter().map(|sighting| sighting.observable);
    let own = event.filter(|value| value.kind == EntityKind::Url).map(|value| value.value);
    let lines = finding.lineage.iter().take(LINEAGE_MAX).flat_map(|process| urls_in(&process.command_line));
    own.chain(lines).take(URLS_MAX).collect()
}

/// Lets an open alert take the finding in or makes a new one, and finds its incident; signs that were
/// too weak until now and belong to the story come along. Empty when the finding was already part of
/// its alert, or is a weak sign itself.
pub(super) async fn place(
    ctx: &Ctx,
    tx: &mut Tx,
    finding: &Finding,
    copies: &[MessageCopy],
    now: Timestamp,
) -> Result<Vec<Placed>> {
    let mut draft = draft_of(finding, copies, now);
    // a correlation has added up already; who tests a rule wants to see every firing
    if finding.dedupe.is_none() && !finding.test && may_be_weak(&finding.detection) {
        if tuning::excludes(ctx, tx, &draft, now).await? {
            return Ok(Vec::new());
        }
        let open = open_alert(tx, &draft, now).await?.is_some();
        match weak::weigh(ctx, tx, finding, draft, open, now).await? {
            Some(weighed) => draft = weighed,
            None => return Ok(Vec::new()),
        }
    }
    let groups = groups_of(&draft);
    let mut placed: Vec<Placed> = place_draft(ctx, tx, draft, now).await?.into_iter().collect();
    if placed.iter().any(|one| one.new && !one.quiet && !one.alert.test) {
        for sign in weak::take_of(tx, finding, &groups).await? {
            let copies = copies_of(tx, &sign, &[]).await?;
            let draft = draft_of(&sign, &copies, now);
            placed.extend(place_draft(ctx, tx, draft, now).await?);
        }
    }
    Ok(placed)
}

/// The alert a finding would be.
pub(super) fn draft_of(finding: &Finding, copies: &[MessageCopy], now: Timestamp) -> AlertDraft {
    let context = AlertContext { lineage: &finding.lineage, copies, status_reason: finding.status_reason.as_ref() };
    let ids = AlertIds { alert: ids::within(finding.demo), incident: ids::within(finding.demo) };
    let mut draft = alert_of(&finding.detection, ids, now, &context);
    if let Some(dedupe) = &finding.dedupe {
        draft.dedupe = dedupe.clone();
    }
    if let Some(demo) = finding.demo {
        draft.dedupe = format!("demo:{demo}:{}", draft.dedupe);
    }
    if finding.test {
        draft.alert.test = true;
        draft.dedupe = format!("test:{}", draft.dedupe);
        // a test has an incident of its own, and no other alert joins it
        draft.links.clear();
        draft.entities.clear();
    }
    draft
}

/// The open alert that takes in repeated firings like this.
async fn open_alert(tx: &mut Tx, draft: &AlertDraft, now: Timestamp) -> Result<Option<Alert>> {
    Ok(repeated(tx, draft, now).await?.filter(|alert| alert.status != AlertStatus::Resolved))
}

/// The alert of earlier firings like this, whatever its status.
async fn repeated(tx: &mut Tx, draft: &AlertDraft, now: Timestamp) -> Result<Option<Alert>> {
    match tx.alert_by_dedupe(&draft.dedupe, now).await? {
        Some(id) => Ok(tx.alert(id).await?),
        None => Ok(None),
    }
}

async fn place_draft(ctx: &Ctx, tx: &mut Tx, mut draft: AlertDraft, now: Timestamp) -> Result<Option<Placed>> {
    tuning::apply(ctx, tx, &mut draft, now).await?;
    let quiet = draft.alert.tuned.as_ref().is_some_and(|tuned| tuned.action != TuningAction::LowerSeverity);
    let known = if quiet { repeated(tx, &draft, now).await? } else { open_alert(tx, &draft, now).await? };
    let new = known.is_none();
    if let Some(mut alert) = known {
        if !absorb(&mut alert, &draft, now) {
            return Ok(None);
        }
        draft.alert = alert;
    }
    if quiet {
        return place_quiet(tx, draft, new, now).await.map(Some);
    }
    let own = (!new).then_some(draft.alert.incident_id);
    let (mut incident, redirected) = find_incident(tx, &mut draft, own, now).await?;
    if !draft.alert.test {
        let device = draft.alert.device.as_ref().map(|device| device.id);
        let level = investigations::level(ctx, tx, device, now).await?;
        let start = investigations::Start { level, by_hand: false };
        investigations::attach(tx, &mut draft.alert, &mut incident, start, now).await?;
    }
    draft.alert.version = tx.put_alert(&draft.alert, &draft.entities).await?;
    tx.set_alert_dedupe(&draft.dedupe, draft.alert.id, now.plus_seconds(DEDUPE_SECONDS)).await?;
    let alerts = tx.alerts_of_incident(incident.id).await?;
    refresh(&mut incident, &alerts);
    incident.updated_at = now;
    incident.version = tx.put_incident(&incident).await?;
    Ok(Some(Placed { alert: draft.alert, incident: Some(incident), redirected, new, quiet }))
}

/// Keeps an alert that a tuning rule hides or resolves: it joins nothing, nothing is investigated.
async fn place_quiet(tx: &mut Tx, mut draft: AlertDraft, new: bool, now: Timestamp) -> Result<Placed> {
    let mut incident = match (draft.alert.is_hidden(), new) {
        (true, _) => None,
        (false, true) => Some(resolved_incident(tx, &draft.alert, now).await?),
        (false, false) => tx.incident(draft.alert.incident_id).await?,
    };
    draft.alert.version = tx.put_alert(&draft.alert, &draft.entities).await?;
    tx.set_alert_dedupe(&draft.dedupe, draft.alert.id, now.plus_seconds(DEDUPE_SECONDS)).await?;
    if let Some(incident) = &mut incident {
        refresh(incident, &tx.alerts_of_incident(incident.id).await?);
        incident.updated_at = now;
        incident.version = tx.put_incident(incident).await?;
    }
    Ok(Placed { alert: draft.alert, incident, redirected: Vec::new(), new, quiet: true })
}

/// The incident of an alert that a tuning rule resolved: it is resolved too.
async fn resolved_incident(tx: &mut Tx, alert: &Alert, now: Timestamp) -> Result<Incident> {
    let mut incident = open_incident(tx, alert, now).await?;
    incident.status = IncidentStatus::Resolved;
    incident.classification = alert.classification;
    incident.determination = alert.determination;
    let title = alert.tuned.as_ref().map(|tuned| tuned.title.clone()).unwrap_or_default();
    let text = Text::new(
        format!("Resolved as a false positive by the tuning rule {title}"),
        format!("チューニング ルール「{title}」により誤検知として解決しました"),
    );
    log(&mut incident, now, "system", text);
    Ok(incident)
}

async fn open_incident(tx: &mut Tx, alert: &Alert, now: Timestamp) -> Result<Incident> {
    let number = tx.next_number("incident").await?;
    let mut incident = new_incident(alert.incident_id, number, alert, now);
    if incident.id.demo().is_some() {
        incident.tags.push(DEMO_TAG.to_owned());
    }
    let title = &alert.title;
    log(&mut incident, now, "system", Text::new(format!("Opened by: {}", title.en), format!("起票: {}", title.ja)));
    Ok(incident)
}

/// Finds or makes the incident of an alert, merging incidents the alert proves to be one story.
async fn find_incident(
    tx: &mut Tx,
    draft: &mut AlertDraft,
    own: Option<IncidentId>,
    now: Timestamp,
) -> Result<(Incident, Vec<Incident>)> {
    let decision = decide(tx, draft, own).await?;
    let current = match own {
        Some(id) => tx.incident(id).await?,
        None => None,
    };
    let Decision::Join { incident, reason, shared, linked_to, merge: others } = decision else {
        if let Some(current) = current {
            return Ok((current, Vec::new()));
        }
        return Ok((open_incident(tx, &draft.alert, now).await?, Vec::new()));
    };
    if let Some(current) = current.filter(|current| current.apart.contains(&incident)) {
        // a person took them apart
        return Ok((current, Vec::new()));
    }
    let Some(mut target) = tx.incident(incident).await? else {
        anyhow::bail!("incident {incident} of a correlated alert is gone");
    };
    let mut sources: Vec<IncidentId> = others;
    if let Some(own) = own.filter(|own| *own != incident) {
        sources.push(own);
    }
    sources.retain(|id| *id != incident && !target.apart.contains(id));
    sources.dedup();
    let mut redirected = Vec::new();
    for id in sources {
        if let Some(mut source) = tx.incident(id).await? {
            let moved = move_contents(tx, id, target.id, now).await?;
            merge(&mut target, &mut source, moved, "system", now);
            source.version = tx.put_incident(&source).await?;
            redirected.push(source);
        }
    }
    if target.alerts.iter().all(|link| link.alert_id != draft.alert.id) {
        let link =
            AlertLink { alert_id: draft.alert.id, linked_to: Some(linked_to), reason, shared: Some(shared), at: now };
        target.alerts.push(link);
        let title = draft.alert.title.clone();
        let text = Text::new(
            format!("Joined by: {} ({})", title.en, reason.word()),
            format!("追加: {} ({})", title.ja, reason.word()),
        );
        log(&mut target, now, "system", text);
    }
    draft.alert.incident_id = target.id;
    Ok((target, redirected))
}

pub(super) async fn decide(tx: &mut Tx, draft: &AlertDraft, own: Option<IncidentId>) -> Result<Decision> {
    let subject = subject(&draft.alert);
    let since = subject.first.plus_seconds(-correlation_window_seconds());
    let near = subject.first.plus_seconds(-DEVICE_WINDOW_SECONDS);
    let sharing = tx.open_alerts_sharing(&draft.links, draft.alert.id.demo(), since).await?;
    let mut alerts: BTreeMap<AlertId, Alert> = BTreeMap::new();
    let mut candidates = Vec::new();
    let mut history = History::default();
    for (shared, alert_id, incident_id, last) in sharing {
        let far = shared.kind == EntityKind::Device && last < near;
        if far || alert_id == draft.alert.id || own == Some(incident_id) {
            continue;
        }
        if !alerts.contains_key(&alert_id) {
            if alerts.len() >= CANDIDATES_MAX {
                continue;
            }
            let Some(alert) = tx.alert(alert_id).await? else { continue };
            alerts.insert(alert_id, alert);
        }
        learn_prevalence(tx, &mut history, &shared, draft.alert.id.demo()).await?;
        learn_incident(tx, &mut history, incident_id).await?;
        let Some(alert) = alerts.get(&alert_id) else { continue };
        candidates.push(Candidate { shared, alert_id, incident_id, subject: self::subject(alert) });
    }
    if let Some(own) = own
        && !candidates.is_empty()
    {
        // its own incident takes part: the older of both takes in the other
        learn_incident(tx, &mut history, own).await?;
        let decision = correlate(draft.alert.id, &subject, &candidates, &history);
        return Ok(with_own(decision, own, &history));
    }
    Ok(correlate(draft.alert.id, &subject, &candidates, &history))
}

/// An alert that already has an incident and now proves another to be the same story: the incident
/// with the lower number stays.
fn with_own(decision: Decision, own: IncidentId, history: &History) -> Decision {
    let Decision::Join { incident, reason, shared, linked_to, merge: mut others } = decision else { return decision };
    let number = |id: &IncidentId| history.incidents.get(id).map_or(i64::MAX, |facts| facts.number);
    let owner = |id: &IncidentId| history.incidents.get(id).and_then(|facts| facts.assigned_to.clone());
    if owner(&own).is_some() && owner(&incident).is_some() && owner(&own) != owner(&incident) {
        return Decision::New;
    }
    if number(&own) < number(&incident) {
        others.push(incident);
        return Decision::Join { incident: own, reason, shared, linked_to, merge: others };
    }
    Decision::Join { incident, reason, shared, linked_to, merge: others }
}

async fn learn_prevalence(tx: &mut Tx, history: &mut History, shared: &EntityKey, demo: Option<DemoId>) -> Result<()> {
    let counted = matches!(
        shared.kind,
        EntityKind::File | EntityKind::Ip | EntityKind::Domain | EntityKind::Url | EntityKind::Sender
    );
    if counted && !history.prevalence.contains_key(shared) {
        let summary = tx.sighting_summary_within(shared, demo).await?;
        let prevalence = Prevalence {
            devices: summary.devices,
            copies: summary.copies.max(summary.messages),
            first_seen: summary.first,
        };
        history.prevalence.insert(shared.clone(), prevalence);
    }
    Ok(())
}

async fn learn_incident(tx: &mut Tx, history: &mut History, id: IncidentId) -> Result<()> {
    if !history.incidents.contains_key(&id)
        && let Some(incident) = tx.incident(id).await?
    {
        let facts = IncidentFacts {
            number: incident.number,
            alerts: incident.alerts.len(),
            assigned_to: incident.assigned_to,
            closed: matches!(incident.status, IncidentStatus::Resolved | IncidentStatus::Redirected),
        };
        history.incidents.insert(id, facts);
    }
    Ok(())
}

fn subject(alert: &Alert) -> Subject {
    Subject {
        first: alert.first_activity,
        last: alert.last_activity,
        severity: alert.severity,
        category: alert.category.clone(),
        user: alert.user.clone(),
        root: alert.tree_root.map(|root| EntityKey::process(&root)),
    }
}

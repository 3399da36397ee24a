//! Incidents: names, severity and scope that grow with the story.

use crate::alert::add_sorted;
use crate::timeline::tactic_order;
use hinomi_model::{
    ActionId, Activity, Alert, AlertLink, Classification, CorrelationReason, DetectionStatus, Determination,
    EntityKind, EvidenceRole, Incident, IncidentId, IncidentStatus, InvestigationId, Merged, ServiceSource, Text,
    Timestamp,
};
use std::collections::BTreeSet;

/// Activities kept per incident, newest win.
pub const ACTIVITIES_MAX: usize = 1_000;

/// Builds the incident of a first alert.
pub fn new_incident(id: IncidentId, number: i64, alert: &Alert, now: Timestamp) -> Incident {
    let mut incident = Incident {
        id,
        number,
        title: alert.title.clone(),
        title_by_person: false,
        severity: alert.severity,
        severity_by_person: false,
        status: IncidentStatus::Active,
        classification: Classification::Unknown,
        determination: Determination::Unknown,
        assigned_to: None,
        tags: Vec::new(),
        alerts: vec![AlertLink {
            alert_id: alert.id,
            linked_to: None,
            reason: CorrelationReason::FirstAlert,
            shared: None,
            at: now,
        }],
        devices: Vec::new(),
        users: Vec::new(),
        mailboxes: Vec::new(),
        tactics: Vec::new(),
        techniques: Vec::new(),
        investigations: alert.investigation_id.into_iter().collect(),
        comments: Vec::new(),
        activities: Vec::new(),
        redirected_to: None,
        merged: None,
        apart: Vec::new(),
        took_in: Vec::new(),
        created_at: now,
        updated_at: now,
        first_activity: alert.first_activity,
        last_activity: alert.last_activity,
        version: 1,
    };
    refresh(&mut incident, std::slice::from_ref(alert));
    incident
}

/// Brings scope, times, severity, tactics and (unless a person named it) the title up to date with
/// the incident's alerts, given in any order. A severity a person set stays.
pub fn refresh(incident: &mut Incident, alerts: &[Alert]) {
    let mut techniques = BTreeSet::new();
    let mut tactics = BTreeSet::new();
    for alert in alerts {
        if let Some(device) = &alert.device
            && !incident.devices.iter().any(|known| known.id == device.id)
        {
            incident.devices.push(device.clone());
        }
        if let Some(user) = &alert.user {
            add_sorted(&mut incident.users, std::slice::from_ref(user));
        }
        add_sorted(&mut incident.mailboxes, &alert.mailboxes);
        techniques.extend(alert.techniques.iter().cloned());
        tactics.insert(alert.category.clone());
        if let Some(id) = alert.investigation_id
            && !incident.investigations.contains(&id)
        {
            incident.investigations.push(id);
        }
    }
    incident.devices.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
    incident.techniques = techniques.into_iter().collect();
    incident.tactics = tactics.into_iter().collect();
    incident.tactics.sort_by_key(|tactic| tactic_order(tactic));
    incident.first_activity = alerts.iter().map(|alert| alert.first_activity).min().unwrap_or(incident.first_activity);
    incident.last_activity = alerts.iter().map(|alert| alert.last_activity).max().unwrap_or(incident.last_activity);
    if !incident.severity_by_person {
        incident.severity = alerts.iter().map(|alert| alert.severity).max().unwrap_or(incident.severity);
    }
    if !incident.title_by_person && !alerts.is_empty() {
        incident.title = title(incident, alerts);
    }
}

/// Adds a line to the activity log.
pub fn log(incident: &mut Incident, at: Timestamp, actor: &str, text: Text) {
    if incident.activities.len() >= ACTIVITIES_MAX {
        incident.activities.remove(0);
    }
    incident.activities.push(Activity { at, actor: actor.to_owned(), text });
}

/// Moves the links, tags and investigations of `source` into `target` and closes `source` as
/// redirected; it remembers what came with it. `actions` and `investigations` are those that moved.
/// Comments and activities stay with the source, as in the reference.
pub fn merge(
    target: &mut Incident,
    source: &mut Incident,
    (actions, investigations): (Vec<ActionId>, Vec<InvestigationId>),
    by: &str,
    now: Timestamp,
) {
    let tags = source.tags.iter().filter(|tag| !target.tags.contains(tag)).cloned().collect();
    let (alerts, status) = (source.alerts.clone(), source.status);
    target.took_in.push(source.number);
    source.merged = Some(Merged { at: now, by: by.to_owned(), alerts, tags, actions, investigations, status });
    for link in source.alerts.drain(..) {
        if !target.alerts.iter().any(|known| known.alert_id == link.alert_id) {
            target.alerts.push(link);
        }
    }
    target.alerts.sort_by_key(|link| (link.at, link.alert_id));
    for tag in &source.tags {
        if !target.tags.contains(tag) {
            target.tags.push(tag.clone());
        }
    }
    for id in &source.investigations {
        if !target.investigations.contains(id) {
            target.investigations.push(*id);
        }
    }
    add_sorted(&mut target.mailboxes, &source.mailboxes);
    if target.assigned_to.is_none() {
        target.assigned_to = source.assigned_to.clone();
    }
    source.status = IncidentStatus::Redirected;
    source.redirected_to = Some(target.id);
    source.updated_at = now;
    let (from, to) = (source.number, target.number);
    let text = |n: i64, en: &str, ja: &str| Text::new(format!("{en} INC-{n}"), format!("INC-{n} {ja}"));
    log(source, now, by, text(to, "Merged into", "に統合しました"));
    log(target, now, by, text(from, "Took in", "を統合しました"));
}

/// The automatic name: what began it, where it is, how far it came.
fn title(incident: &Incident, alerts: &[Alert]) -> Text {
    let mut ordered: Vec<&Alert> = alerts.iter().collect();
    ordered.sort_by_key(|alert| (alert.first_activity, alert.id));
    let loudest = ordered.iter().max_by_key(|alert| (alert.severity, std::cmp::Reverse(alert.first_activity)));
    let Some(loudest) = loudest else { return incident.title.clone() };
    let place = place(incident);
    let tactics = incident.tactics.len();
    let prevented = alerts.iter().all(|alert| alert.detection_status == DetectionStatus::Prevented);
    if prevented || tactics < 2 {
        let more = alerts.len() - 1;
        let (en, ja) = match more {
            0 => (String::new(), String::new()),
            n => (format!(" and {n} more"), format!(" ほか {n} 件")),
        };
        return Text::new(
            format!("{}{}{en}", loudest.title.en, place.en),
            format!("{}{}{ja}", place.ja, loudest.title.ja),
        );
    }
    match attachment(alerts) {
        Some(name) => Text::new(
            format!("Multi-stage attack from mail attachment {name}{} ({tactics} tactics)", place.en),
            format!("{}メールの添付ファイル {name} から始まる多段階の攻撃 ({tactics} 戦術)", place.ja),
        ),
        None => Text::new(
            format!("Multi-stage attack{}: {} ({tactics} tactics)", place.en, loudest.title.en),
            format!("{}多段階の攻撃: {} ({tactics} 戦術)", place.ja, loudest.title.ja),
        ),
    }
}

fn place(incident: &Incident) -> Text {
    match (incident.devices.as_slice(), incident.mailboxes.as_slice()) {
        ([], []) => Text::default(),
        ([], [mailbox]) => Text::new(format!(" for {mailbox}"), format!("{mailbox} 宛: ")),
        ([], many) => {
            Text::new(format!(" in {} mailboxes", many.len()), format!("{} 個のメールボックス: ", many.len()))
        }
        ([device], _) => Text::new(format!(" on {}", device.name), format!("{}: ", device.name)),
        (many, _) => Text::new(format!(" on {} devices", many.len()), format!("{} 台のデバイス: ", many.len())),
    }
}

/// The name of a file that came by mail and took part on a device.
fn attachment(alerts: &[Alert]) -> Option<String> {
    let on_device = alerts.iter().any(|alert| alert.service_source == ServiceSource::Endpoint);
    let by_mail = alerts.iter().any(|alert| alert.message_id.is_some());
    if !on_device || !by_mail {
        return None;
    }
    let mut ordered: Vec<&Alert> = alerts.iter().collect();
    ordered.sort_by_key(|alert| (alert.first_activity, alert.id));
    let files = ordered.iter().flat_map(|alert| &alert.evidence).filter(|piece| {
        let carried = piece.role == EvidenceRole::Source || piece.facts.contains_key("file_type");
        piece.entity.kind == EntityKind::File && carried && !piece.name.is_empty()
    });
    files.map(|piece| piece.name.clone()).next()
}

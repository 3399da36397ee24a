//! Taking incidents apart again, and moving alerts from one to another, as people ask.

use crate::incident::{log, refresh};
use hinomi_model::{Alert, AlertId, AlertLink, CorrelationReason, Incident, IncidentStatus, Text, Timestamp};
use std::collections::BTreeSet;

/// A merge can be taken back for so long, seconds: 30 days, as in the reference.
pub const UNMERGE_SECONDS: i64 = 30 * 24 * 3600;

/// Why incidents cannot be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnmergeError {
    /// It was not merged into another, or before merges were remembered.
    #[error("the incident was not merged into another")]
    NotMerged,
    /// More than 30 days ago.
    #[error("the incident was merged more than 30 days ago")]
    TooLate,
    /// Every alert it had is elsewhere by now.
    #[error("none of its alerts is in the incident it was merged into any more")]
    Empty,
}

/// Takes `source` out of `holder`, the incident that has its alerts now: what came with it goes back.
/// The two are never merged again by themselves. Returns the alerts, actions and investigations that go
/// back; the caller moves them and brings both incidents up to date.
///
/// # Errors
/// [`UnmergeError`] tells why not; nothing was changed then.
pub fn unmerge(
    holder: &mut Incident,
    source: &mut Incident,
    by: &str,
    now: Timestamp,
) -> Result<hinomi_model::Merged, UnmergeError> {
    let merged = source.merged.clone().ok_or(UnmergeError::NotMerged)?;
    if source.status != IncidentStatus::Redirected {
        return Err(UnmergeError::NotMerged);
    }
    if now > merged.at.plus_seconds(UNMERGE_SECONDS) {
        return Err(UnmergeError::TooLate);
    }
    let own: BTreeSet<AlertId> = merged.alerts.iter().map(|link| link.alert_id).collect();
    let back: Vec<AlertLink> = holder.alerts.iter().filter(|link| own.contains(&link.alert_id)).cloned().collect();
    if back.is_empty() {
        return Err(UnmergeError::Empty);
    }
    holder.alerts.retain(|link| !own.contains(&link.alert_id));
    holder.took_in.retain(|number| *number != source.number);
    holder.tags.retain(|tag| !merged.tags.contains(tag));
    holder.investigations.retain(|id| !merged.investigations.contains(id));
    source.alerts = back;
    source.investigations.clone_from(&merged.investigations);
    source.status = merged.status;
    source.redirected_to = None;
    source.merged = None;
    keep_apart(holder, source);
    let text = |n: i64, en: &str, ja: &str| Text::new(format!("{en} INC-{n}"), format!("INC-{n} {ja}"));
    log(source, now, by, text(holder.number, "Taken out of", "から分離しました"));
    log(holder, now, by, text(source.number, "Took out", "を分離しました"));
    for incident in [&mut *holder, &mut *source] {
        incident.updated_at = now;
    }
    Ok(merged)
}

/// Remembers that a person took two incidents apart: they are never merged again by themselves.
pub fn keep_apart(one: &mut Incident, other: &mut Incident) {
    for (incident, id) in [(&mut one.apart, other.id), (&mut other.apart, one.id)] {
        if !incident.contains(&id) {
            incident.push(id);
        }
    }
}

/// Moves the links of alerts from one incident to another, for the reason a person names. The incidents
/// stay apart from then on.
pub fn move_links(
    from: &mut Incident,
    to: &mut Incident,
    alerts: &[Alert],
    reason: CorrelationReason,
    by: &str,
    now: Timestamp,
) {
    let ids: BTreeSet<AlertId> = alerts.iter().map(|alert| alert.id).collect();
    from.alerts.retain(|link| !ids.contains(&link.alert_id));
    let linked_to = to.alerts.iter().map(|link| link.alert_id).find(|id| !ids.contains(id));
    for alert in alerts {
        if to.alerts.iter().all(|link| link.alert_id != alert.id) {
            to.alerts.push(AlertLink { alert_id: alert.id, linked_to, reason, shared: None, at: now });
        }
        let title = &alert.title;
        let text = |n: i64, en: &str, ja: &str| {
            Text::new(format!("{}: {en} INC-{n}", title.en), format!("{}: INC-{n} {ja}", title.ja))
        };
        log(to, now, by, text(from.number, "moved here from", "から移動しました"));
        log(from, now, by, text(to.number, "moved to", "へ移動しました"));
    }
    keep_apart(from, to);
    for incident in [&mut *from, &mut *to] {
        incident.updated_at = now;
    }
}

/// Brings the scope of an incident up to date after alerts left it: what only they named goes.
pub fn narrow(incident: &mut Incident, alerts: &[Alert]) {
    incident.devices.clear();
    incident.users.clear();
    if incident.investigations.is_empty() {
        // investigations add mailboxes of their own
        incident.mailboxes.clear();
    }
    refresh(incident, alerts);
}

//! Incidents as people regroup them: merging, taking apart, moving alerts.

use crate::actions::record;
use crate::alerts::lower_risk;
use crate::app::Ctx;
use crate::ids;
use crate::live::LiveEvent;
use hinomi_cases::{INCIDENT_ALERTS_MAX, log, merge, move_links, narrow, new_incident, refresh, unmerge};
use hinomi_model::{
    ActionId, Alert, AlertId, Comment, CorrelationReason, Incident, IncidentId, IncidentStatus, InvestigationId, Text,
    Timestamp,
};
use hinomi_store::{ActionFilter, InvestigationFilter, Page, StoreError, Tx};
use serde_json::json;
use std::collections::BTreeMap;

/// Merges that follow each other.
const REDIRECTS_MAX: usize = 100;

/// Why incidents are not regrouped.
#[derive(Debug, thiserror::Error)]
pub enum RegroupError {
    /// Store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be done as things are.
    #[error("{}", text.en)]
    Refused {
        /// Stable code.
        code: &'static str,
        /// Why.
        text: Text,
    },
}

fn refused(code: &'static str, en: &str, ja: &str) -> RegroupError {
    RegroupError::Refused { code, text: Text::new(en, ja) }
}

/// What moved from one incident to another beside its alerts.
pub(crate) type Moved = (Vec<ActionId>, Vec<InvestigationId>);

/// Gives everything of an incident to another one. Returns which actions and investigations moved.
pub(crate) async fn move_contents(
    tx: &mut Tx,
    from: IncidentId,
    to: IncidentId,
    now: Timestamp,
) -> Result<Moved, StoreError> {
    let (mut moved_actions, mut moved_investigations) = (Vec::new(), Vec::new());
    for mut alert in tx.alerts_of_incident(from).await? {
        alert.incident_id = to;
        alert.updated_at = now;
        tx.put_alert(&alert, &[]).await?;
    }
    let actions = ActionFilter { incident: Some(from), ..ActionFilter::default() };
    for mut action in tx.actions(&actions, &Page::first(200)).await?.items {
        action.incident_id = Some(to);
        moved_actions.push(action.id);
        tx.put_action(&action).await?;
    }
    let filter = InvestigationFilter { incident: Some(from), ..InvestigationFilter::default() };
    for mut investigation in tx.investigations(&filter, &Page::first(200)).await?.items {
        investigation.incident_id = to;
        moved_investigations.push(investigation.id);
        tx.put_investigation(&investigation).await?;
    }
    Ok((moved_actions, moved_investigations))
}

/// Merges incidents into one, as a person asks; `expected` is the version of it that person saw.
///
/// # Errors
/// [`StoreError::Conflict`] when somebody changed it in between, refused when they cannot be one.
pub async fn merge_into(
    ctx: &Ctx,
    target: IncidentId,
    expected: Option<i64>,
    sources: &[IncidentId],
    comment: Option<&str>,
    by: &str,
) -> Result<Incident, RegroupError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let now = ctx.now();
    let mut target = open(&mut tx, target).await?;
    let mut changed = Vec::new();
    for id in sources {
        let mut source = open(&mut tx, *id).await?;
        if source.id == target.id || source.id.demo() != target.id.demo() {
            return Err(refused(
                "not_mergeable",
                "these incidents cannot be one",
                "これらのインシデントは統合できません",
            ));
        }
        if source.alerts.len() + target.alerts.len() > INCIDENT_ALERTS_MAX {
            return Err(refused("too_many", "together they have too many alerts", "統合するとアラートが多すぎます"));
        }
        let moved = move_contents(&mut tx, source.id, target.id, now).await?;
        merge(&mut target, &mut source, moved, by, now);
        target.apart.retain(|known| *known != source.id);
        source.apart.retain(|known| *known != target.id);
        source.version = tx.put_incident(&source).await?;
        changed.push((source.id, source.number, source.version));
    }
    remark(&mut target, comment, by, now);
    let alerts = tx.alerts_of_incident(target.id).await?;
    refresh(&mut target, &alerts);
    target.updated_at = now;
    let version = expected.unwrap_or(target.version);
    let target = tx.update_incident(&target, version).await?;
    let numbers: Vec<i64> = changed.iter().map(|(_, number, _)| *number).collect();
    let detail = json!({ "took_in": numbers, "comment": comment });
    tx.audit(&record(now, by, "incident.merge", &format!("incident:{}", target.number), detail)).await?;
    tx.commit().await?;
    changed.push((target.id, target.number, target.version));
    tell(ctx, changed);
    Ok(target)
}

/// Takes an incident out of the one it was merged into, within 30 days.
///
/// # Errors
/// Refused when it was not merged, too long ago, or nothing of it is left.
pub async fn take_apart(ctx: &Ctx, id: IncidentId, comment: Option<&str>, by: &str) -> Result<Incident, RegroupError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let now = ctx.now();
    let mut source = known(&mut tx, id).await?;
    let mut holder = source.clone();
    for _ in 0..REDIRECTS_MAX {
        let Some(next) = holder.redirected_to else { break };
        holder = known(&mut tx, next).await?;
    }
    let merged = unmerge(&mut holder, &mut source, by, now).map_err(|error| {
        use hinomi_cases::UnmergeError::{Empty, NotMerged, TooLate};
        let ja = match error {
            NotMerged => "このインシデントは統合されていません",
            TooLate => "統合から 30 日を過ぎています",
            Empty => "統合先に、このインシデントのアラートはもうありません",
        };
        refused("not_merged", &error.to_string(), ja)
    })?;
    for link in source.alerts.clone() {
        if let Some(mut alert) = tx.alert(link.alert_id).await? {
            alert.incident_id = source.id;
            alert.updated_at = now;
            tx.put_alert(&alert, &[]).await?;
        }
    }
    for id in &merged.actions {
        if let Some(mut action) = tx.action(*id).await? {
            action.incident_id = Some(source.id);
            tx.put_action(&action).await?;
        }
    }
    for id in &merged.investigations {
        if let Some(mut investigation) = tx.investigation(*id).await? {
            investigation.incident_id = source.id;
            tx.put_investigation(&investigation).await?;
        }
    }
    remark(&mut source, comment, by, now);
    let changed = settle(&mut tx, [&mut holder, &mut source]).await?;
    let detail = json!({ "out_of": holder.number, "comment": comment });
    tx.audit(&record(now, by, "incident.unmerge", &format!("incident:{}", source.number), detail)).await?;
    tx.commit().await?;
    tell(ctx, changed);
    Ok(source)
}

/// Moves alerts into another incident, or into a new one. An incident that is left without alerts is
/// merged into it.
///
/// # Errors
/// Refused when an alert cannot be moved; nothing was changed then.
pub async fn move_alerts(
    ctx: &Ctx,
    ids: &[AlertId],
    to: Option<IncidentId>,
    reason: CorrelationReason,
    comment: Option<&str>,
    by: &str,
) -> Result<Incident, RegroupError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let now = ctx.now();
    let mut by_incident: BTreeMap<IncidentId, Vec<Alert>> = BTreeMap::new();
    for id in ids {
        let missing = || StoreError::NotFound { what: "alert", id: id.to_string() };
        let alert = tx.alert(*id).await?.ok_or_else(missing)?;
        if alert.is_hidden() {
            return Err(refused(
                "hidden",
                "an alert hidden by a tuning rule is in no incident",
                "チューニング ルールで非表示のアラートはインシデントに含まれません",
            ));
        }
        by_incident.entry(alert.incident_id).or_default().push(alert);
    }
    let Some(first) = by_incident.values().flatten().min_by_key(|alert| (alert.first_activity, alert.id)).cloned()
    else {
        return Err(refused("no_alerts", "name at least one alert", "アラートを 1 件以上指定してください"));
    };
    let mut target = match to {
        Some(id) => open(&mut tx, id).await?,
        None => {
            let number = tx.next_number("incident").await?;
            let mut made = new_incident(ids::within(first.id.demo()), number, &first, now);
            // its first alert is linked when it is moved
            made.alerts.clear();
            made.investigations.clear();
            log(&mut made, now, by, Text::new("Opened by hand", "手動で作成しました"));
            made
        }
    };
    let mut changed = Vec::new();
    for (from, mut alerts) in by_incident {
        if from == target.id {
            continue;
        }
        let mut source = open(&mut tx, from).await?;
        let many = target.alerts.len() + alerts.len() > INCIDENT_ALERTS_MAX;
        if many || source.id.demo() != target.id.demo() {
            return Err(refused("not_movable", "the alerts cannot be moved there", "アラートをそこへ移動できません"));
        }
        let why = if target.alerts.is_empty() { CorrelationReason::FirstAlert } else { reason };
        move_links(&mut source, &mut target, &alerts, why, by, now);
        for alert in &mut alerts {
            alert.incident_id = target.id;
            alert.updated_at = now;
            tx.put_alert(alert, &[]).await?;
        }
        let left = tx.alerts_of_incident(source.id).await?;
        if left.is_empty() {
            source.status = IncidentStatus::Redirected;
            source.redirected_to = Some(target.id);
        } else {
            narrow(&mut source, &left);
        }
        source.version = tx.put_incident(&source).await?;
        changed.push((source.id, source.number, source.version));
    }
    remark(&mut target, comment, by, now);
    changed.extend(settle(&mut tx, [&mut target]).await?);
    let detail = json!({ "alerts": ids, "comment": comment, "reason": reason });
    tx.audit(&record(now, by, "alert.move", &format!("incident:{}", target.number), detail)).await?;
    tx.commit().await?;
    tell(ctx, changed);
    Ok(target)
}

/// Brings incidents up to date whose alerts changed, and stores them.
async fn settle<const N: usize>(
    tx: &mut Tx,
    incidents: [&mut Incident; N],
) -> Result<Vec<(IncidentId, i64, i64)>, StoreError> {
    let mut changed = Vec::new();
    for incident in incidents {
        let alerts = tx.alerts_of_incident(incident.id).await?;
        narrow(incident, &alerts);
        incident.version = tx.put_incident(incident).await?;
        changed.push((incident.id, incident.number, incident.version));
        for alert in &alerts {
            lower_risk(tx, alert).await?;
        }
    }
    Ok(changed)
}

fn remark(incident: &mut Incident, comment: Option<&str>, by: &str, now: Timestamp) {
    if let Some(text) = comment.map(str::trim).filter(|text| !text.is_empty()) {
        incident.comments.push(Comment { author: by.to_owned(), at: now, text: text.to_owned() });
    }
}

async fn known(tx: &mut Tx, id: IncidentId) -> Result<Incident, StoreError> {
    tx.incident(id).await?.ok_or_else(|| StoreError::NotFound { what: "incident", id: id.to_string() })
}

/// An incident that was not merged into another.
async fn open(tx: &mut Tx, id: IncidentId) -> Result<Incident, RegroupError> {
    let incident = known(tx, id).await?;
    if incident.status == IncidentStatus::Redirected {
        return Err(refused(
            "redirected",
            "the incident was merged into another",
            "このインシデントは別のインシデントに統合されています",
        ));
    }
    Ok(incident)
}

fn tell(ctx: &Ctx, changed: Vec<(IncidentId, i64, i64)>) {
    for (id, number, version) in changed {
        let number = Some(number);
        ctx.live.send(LiveEvent { event: "incident.updated", id: id.to_string(), version, number, progress: None });
    }
}

//! Incidents: what people change, and what an incident shows together.

use crate::actions::record;
use crate::alerts::lower_risk;
use crate::app::Ctx;
use crate::live::LiveEvent;
use hinomi_api::UpdateIncident;
use hinomi_cases::{log, merge_evidence, refresh};
use hinomi_model::{
    AlertStatus, Classification, Comment, Determination, EntityKind, Evidence, Incident, IncidentId, IncidentStatus,
    MessageCopy, MessageId, RemediationStatus, Text,
};
use hinomi_store::{InvestigationFilter, Page, StoreError, Tx};
use std::collections::BTreeSet;

/// Investigations shown with one incident.
const INVESTIGATIONS_MAX: u32 = 50;
/// Messages shown with one incident.
const MESSAGES_MAX: usize = 200;

/// Changes an incident as a person asks; `expected` is the version that person saw. Resolving it
/// resolves its alerts, assigning it assigns them.
///
/// # Errors
/// [`StoreError::Conflict`] when somebody changed it in between.
pub async fn update(
    ctx: &Ctx,
    id: IncidentId,
    expected: Option<i64>,
    change: &UpdateIncident,
    by: &str,
) -> Result<Incident, StoreError> {
    let _turn = ctx.desk.turn().await;
    let mut tx = ctx.store.begin().await?;
    let missing = || StoreError::NotFound { what: "incident", id: id.to_string() };
    let mut incident = tx.incident(id).await?.ok_or_else(missing)?;
    let now = ctx.now();
    let version = expected.unwrap_or(incident.version);
    let texts = apply(&mut incident, change, by, now);
    for text in texts {
        log(&mut incident, now, by, text);
    }
    let changed = carry_over(&mut tx, &incident, change, now).await?;
    let alerts = tx.alerts_of_incident(id).await?;
    refresh(&mut incident, &alerts);
    incident.updated_at = now;
    let incident = tx.update_incident(&incident, version).await?;
    let detail = serde_json::to_value(change).unwrap_or_default();
    tx.audit(&record(now, by, "incident.update", &format!("incident:{}", incident.number), detail)).await?;
    tx.commit().await?;
    let number = Some(incident.number);
    let event =
        LiveEvent { event: "incident.updated", id: id.to_string(), version: incident.version, number, progress: None };
    ctx.live.send(event);
    for (alert, version) in changed {
        ctx.live.send(LiveEvent { event: "alert.updated", id: alert, version, number: None, progress: None });
    }
    Ok(incident)
}

fn apply(incident: &mut Incident, change: &UpdateIncident, by: &str, now: hinomi_model::Timestamp) -> Vec<Text> {
    let mut texts = Vec::new();
    let mut tell =
        |en: &str, ja: &str, value: &str| texts.push(Text::new(format!("{en}: {value}"), format!("{ja}: {value}")));
    if let Some(title) = &change.title {
        incident.title = Text::same(title.trim());
        incident.title_by_person = true;
        tell("Title", "タイトル", title.trim());
    }
    if let Some(severity) = change.severity {
        incident.severity = severity;
        incident.severity_by_person = true;
        tell("Severity", "重大度", &severity.word());
    }
    if let Some(status) = change.status {
        incident.status = status;
        tell("Status", "状態", &status.word());
    }
    if let Some(classification) = change.classification {
        incident.classification = classification;
        if !classification.allows(incident.determination) {
            incident.determination = Determination::Unknown;
        }
        tell("Classification", "分類", &classification.word());
    }
    if let Some(determination) = change.determination {
        incident.determination = determination;
        tell("Determination", "判断", &determination.word());
    }
    if let Some(owner) = &change.assigned_to {
        incident.assigned_to.clone_from(owner);
        tell("Owner", "担当者", owner.as_deref().unwrap_or("-"));
    }
    if let Some(tags) = &change.tags {
        incident.tags = tags.iter().map(|tag| tag.trim().to_owned()).collect();
        tell("Tags", "タグ", &incident.tags.join(", "));
    }
    if let Some(text) = &change.comment {
        incident.comments.push(Comment { author: by.to_owned(), at: now, text: text.clone() });
        texts.push(Text::new("Wrote a remark", "コメントを追加しました"));
    }
    texts
}

/// What a change of the incident means for its alerts.
async fn carry_over(
    tx: &mut Tx,
    incident: &Incident,
    change: &UpdateIncident,
    now: hinomi_model::Timestamp,
) -> Result<Vec<(String, i64)>, StoreError> {
    let resolves = change.status == Some(IncidentStatus::Resolved);
    if !resolves && change.assigned_to.is_none() {
        return Ok(Vec::new());
    }
    let mut changed = Vec::new();
    for mut alert in tx.alerts_of_incident(incident.id).await? {
        let before = alert.clone();
        if resolves {
            alert.status = AlertStatus::Resolved;
            if alert.classification == Classification::Unknown {
                alert.classification = incident.classification;
                alert.determination = incident.determination;
            }
        }
        if let Some(owner) = &change.assigned_to {
            alert.assigned_to.clone_from(owner);
        }
        if alert != before {
            alert.updated_at = now;
            let version = tx.put_alert(&alert, &[]).await?;
            changed.push((alert.id.to_string(), version));
            lower_risk(tx, &alert).await?;
        }
    }
    Ok(changed)
}

/// Returns the evidence of an incident: what investigations and alerts found, one entry per entity,
/// the worst first.
///
/// # Errors
/// When the store cannot be read.
pub async fn evidence(ctx: &Ctx, incident: &Incident) -> Result<Vec<Evidence>, StoreError> {
    let mut all: Vec<Evidence> = Vec::new();
    let filter = InvestigationFilter { incident: Some(incident.id), ..InvestigationFilter::default() };
    // newest first: what it says about verdict and remediation stands
    for investigation in ctx.store.investigations(&filter, &Page::first(INVESTIGATIONS_MAX)).await?.items {
        merge_evidence(&mut all, investigation.evidence);
    }
    for alert in ctx.store.alerts_of_incident(incident.id).await? {
        merge_evidence(&mut all, alert.evidence);
    }
    all.sort_by(|one, other| {
        let open = |piece: &Evidence| piece.remediation_status == RemediationStatus::PendingApproval;
        (other.verdict, open(other)).cmp(&(one.verdict, open(one))).then(one.first_seen.cmp(&other.first_seen))
    });
    Ok(all)
}

/// Returns the message copies of an incident's story.
///
/// # Errors
/// When the store cannot be read.
pub async fn messages(ctx: &Ctx, incident: &Incident) -> Result<Vec<MessageCopy>, StoreError> {
    let mut ids: BTreeSet<MessageId> = BTreeSet::new();
    for piece in evidence(ctx, incident).await? {
        match piece.entity.kind {
            EntityKind::Message => ids.extend(piece.entity.value.parse::<MessageId>().ok()),
            EntityKind::MessageCopy => ids.extend(piece.entity.as_message_copy().map(|(id, _)| id)),
            _ => {}
        }
    }
    let mut copies = Vec::new();
    for id in ids.into_iter().take(MESSAGES_MAX) {
        copies.extend(ctx.store.message_copies(id).await?);
    }
    copies.sort_by(|one, other| (one.received_at, &one.recipient).cmp(&(other.received_at, &other.recipient)));
    Ok(copies)
}

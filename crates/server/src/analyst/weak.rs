//! Weak signs: kept until they add up or belong to the story of an alert.

use super::finding::Finding;
use super::place::{copies_of, decide, draft_of};
use crate::app::Ctx;
use crate::ids;
use anyhow::Result;
use hinomi_cases::{
    AlertDraft, DEVICE_SECONDS, Decision, Habit, RareFact, SETTLED_SECONDS, SIGNS_MAX, TREE_SECONDS, TYPED_SECONDS,
    WeakSign, adds_up, behaviour, habit_of, habit_subject, is_weak, novel_values, rare_fact, session_of, weak_sign,
};
use hinomi_model::Timestamp;
use hinomi_store::{Tx, WeakSignRow};

/// Habits remembered as seen everywhere; beyond it the store is asked again.
const EVERYWHERE_MAX: usize = 10_000;

/// Weighs a finding that may be weak. Returns the alert to place: its own when it is no weak sign or
/// belongs to the story of an open alert, that of all signs when they add up. None when it is kept.
/// `open`: there is an open alert for just this.
pub(super) async fn weigh(
    ctx: &Ctx,
    tx: &mut Tx,
    finding: &Finding,
    draft: AlertDraft,
    open: bool,
    now: Timestamp,
) -> Result<Option<AlertDraft>> {
    let detection = &finding.detection;
    let at = detection.event.timestamp;
    let demo = finding.demo.map(|demo| format!("demo:{demo}:")).unwrap_or_default();
    let key = format!("{demo}{}", habit_of(detection, &finding.lineage));
    if ctx.desk.everywhere(|known| known.contains(&key)) {
        return Ok(None);
    }
    if let Some(subject) = habit_subject(&detection.event) {
        tx.put_habit(&key, &subject, at).await?;
    }
    let known = tx.habit(&key, at.plus_seconds(-SETTLED_SECONDS)).await?;
    let habit = Habit { subjects: known.subjects, settled: known.settled };
    if habit.is_everywhere() {
        ctx.desk.everywhere(|known| {
            if known.len() >= EVERYWHERE_MAX {
                known.clear();
            }
            known.insert(key)
        });
        return Ok(None);
    }
    let ordinary = habit.is_ordinary();
    if !is_weak(detection, &habit) || (open && !ordinary) {
        return Ok(Some(draft));
    }
    if !ordinary && belongs(tx, finding, &draft).await? {
        return Ok(Some(draft));
    }
    let rare = if ordinary { Vec::new() } else { rare_facts(tx, finding).await? };
    let sign = weak_sign(detection, &finding.lineage, &draft, ordinary, rare);
    let tree = read(tx.weak_signs_of_groups(&[sign.group.clone()], at.plus_seconds(-TREE_SECONDS), SIGNS_MAX).await?);
    let device = match &sign.place {
        Some(place) => {
            let (from, to) = (at.plus_seconds(-DEVICE_SECONDS), at.plus_seconds(DEVICE_SECONDS));
            read(tx.weak_signs_of_place(place, from, to, SIGNS_MAX).await?)
        }
        None => Vec::new(),
    };
    let added = adds_up(&sign, &tree, &device);
    if added.is_empty() {
        tx.put_weak_sign(&row(&sign, finding)?).await?;
        return Ok(None);
    }
    let mut drafts = Vec::new();
    for other in added.iter().filter(|other| other.key != sign.key) {
        let other = finding_of(other, finding);
        let copies = copies_of(tx, &other, &[]).await?;
        drafts.push(draft_of(&other, &copies, now));
    }
    let keys: Vec<String> = added.iter().map(|sign| sign.key.clone()).collect();
    tx.delete_weak_signs(&keys).await?;
    let mut whole = behaviour(draft, &added, &drafts);
    whole.dedupe = format!("{demo}{}", whole.dedupe);
    Ok(Some(whole))
}

/// True when a sign is part of an open alert's story by more than the shell somebody types into.
async fn belongs(tx: &mut Tx, finding: &Finding, draft: &AlertDraft) -> Result<bool> {
    let mut own = draft.clone();
    let session = session_of(&finding.lineage);
    own.links.retain(|link| session.as_ref() != Some(link));
    Ok(matches!(decide(tx, &own, None).await?, Decision::Join { .. }))
}

/// Takes out the signs of these groups that belong to the story of a new alert.
pub(super) async fn take_of(tx: &mut Tx, alert: &Finding, groups: &[String]) -> Result<Vec<Finding>> {
    let at = alert.detection.event.timestamp;
    let mut signs = read(tx.weak_signs_of_groups(groups, at.plus_seconds(-TREE_SECONDS), SIGNS_MAX).await?);
    let session = session_of(&alert.lineage).map(|shell| shell.to_string());
    signs.retain(|sign| {
        let typed = session.as_ref() == Some(&sign.group);
        !sign.ordinary && (!typed || sign.at.micros_since(at).abs() / 1_000_000 <= TYPED_SECONDS)
    });
    let keys: Vec<String> = signs.iter().map(|sign| sign.key.clone()).collect();
    tx.delete_weak_signs(&keys).await?;
    Ok(signs.iter().map(|sign| finding_of(sign, alert)).collect())
}

/// What nobody in the organisation had before.
async fn rare_facts(tx: &mut Tx, finding: &Finding) -> Result<Vec<RareFact>> {
    let mut facts = Vec::new();
    for value in novel_values(&finding.detection, &finding.lineage) {
        let seen = tx.sighting_summary_within(&value, finding.demo).await?;
        let name = finding.lineage.first().map_or("", |process| process.file_name.as_str());
        facts.extend(rare_fact(&value, name, seen.devices, seen.first, finding.detection.event.timestamp));
    }
    Ok(facts)
}

fn finding_of(sign: &WeakSign, like: &Finding) -> Finding {
    Finding {
        detection: sign.detection.clone(),
        lineage: sign.lineage.clone(),
        status_reason: None,
        opened: Vec::new(),
        demo: like.demo,
        dedupe: None,
        test: false,
    }
}

fn row(sign: &WeakSign, finding: &Finding) -> Result<WeakSignRow> {
    Ok(WeakSignRow {
        key: sign.key.clone(),
        id: ids::within::<hinomi_model::AlertId>(finding.demo).to_string(),
        group: sign.group.clone(),
        place: sign.place.clone().unwrap_or_default(),
        at: sign.at,
        doc: serde_json::to_string(sign)?,
    })
}

/// Reads signs; one that cannot be read any more says nothing.
fn read(rows: Vec<WeakSignRow>) -> Vec<WeakSign> {
    rows.iter().filter_map(|row| serde_json::from_str(&row.doc).ok()).collect()
}

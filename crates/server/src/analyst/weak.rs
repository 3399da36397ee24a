//! Weak signs: kept until they add up or belong to the story of an alert.

use super::finding::Finding;
use super::place::{copies_of, decide, draft_of};
use crate::app::Ctx;
use crate::ids;
use anyhow::Result;
use hinomi_cases::{
    AlertDraft, DEVICE_SECONDS, Decision, Habit, RareFact, SETTLED_SECONDS, SIGNS_MAX, TREE_SECONDS, TYPED_SECONDS,
    WeakSign, adds_up, behaviour, habit_of, habit_subject, is_weak, novel_values, pair_of, rare_fact, rare_pair,
    session_of, weak_sign,
};
use hinomi_model::{DemoId, EntityKey, Timestamp};
use hinomi_store::{Tx, WeakSignRow};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Habits remembered as seen everywhere; beyond it the store is asked again.
const EVERYWHERE_MAX: usize = 10_000;
/// Pairs of programs remembered; beyond it all are told to the store again.
const PAIRS_MAX: usize = 20_000;
/// Devices remembered per pair: more make it no more usual.
const PAIR_DEVICES: usize = 64;

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
    let key = of_demo(finding.demo, &habit_of(detection, &finding.lineage));
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
    whole.dedupe = of_demo(finding.demo, &whole.dedupe);
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
    if let [child, parent, ..] = finding.lineage.as_slice()
        && let Some(pair) = pair_of(&parent.file_name, &child.file_name)
    {
        // only of programs the organisation has known for a while: in a new one every pair is new
        let since = finding.detection.event.timestamp.plus_seconds(-SETTLED_SECONDS);
        for program in [child, parent] {
            let seen = tx.sighting_summary_within(&EntityKey::file(&program.sha256), finding.demo).await?;
            if seen.first.is_none_or(|first| first > since) {
                return Ok(facts);
            }
        }
        let known = tx.habit(&of_demo(finding.demo, &pair), since).await?;
        facts.extend(rare_pair(child, parent, Habit { subjects: known.subjects, settled: known.settled }));
    }
    Ok(facts)
}

/// A habit's name: demos have their own.
fn of_demo(demo: Option<DemoId>, habit: &str) -> String {
    demo.map_or_else(|| habit.to_owned(), |demo| format!("demo:{demo}:{habit}"))
}

/// Pairs of programs known to the store, and which devices showed them: what it has to be told once.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    known: HashMap<String, HashSet<u64>>,
}

impl Pairs {
    /// True while the store should be told that a device showed a pair.
    fn is_news(&self, pair: &str, device: &str) -> bool {
        let known = self.known.get(pair);
        known.is_none_or(|devices| devices.len() < PAIR_DEVICES && !devices.contains(&number_of(device)))
    }

    /// Remembers what the store knows now.
    fn learn(&mut self, pair: String, device: &str) {
        if self.known.len() >= PAIRS_MAX && !self.known.contains_key(&pair) {
            self.known.clear();
        }
        let devices = self.known.entry(pair).or_default();
        if devices.len() < PAIR_DEVICES {
            devices.insert(number_of(device));
        }
    }
}

fn number_of(device: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    device.hash(&mut hasher);
    hasher.finish()
}

/// Which program started which, on which device, and when first.
pub(super) type PairsShown = BTreeMap<(String, String), Timestamp>;

/// Notes which program starts which.
pub(super) async fn note_pairs(ctx: &Ctx, tx: &mut Tx, pairs: &PairsShown, demo: Option<DemoId>) -> Result<()> {
    for ((pair, device), at) in pairs {
        let pair = of_demo(demo, pair);
        if ctx.desk.pairs(|known| known.is_news(&pair, device)) {
            tx.put_habit(&pair, device, *at).await?;
        }
    }
    Ok(())
}

/// Remembers pairs once they are stored.
pub(super) fn learn_pairs(ctx: &Ctx, pairs: &PairsShown, demo: Option<DemoId>) {
    for (pair, device) in pairs.keys() {
        ctx.desk.pairs(|known| known.learn(of_demo(demo, pair), device));
    }
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

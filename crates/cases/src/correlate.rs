//! Correlation: does a new alert belong to an incident, and why.
//!
//! Two alerts belong together when they share an entity of a kind that is specific enough, close
//! enough in time. The rule looks at both alerts only, never at the order in which they arrived,
//! so an incident is a connected component: alerts arriving in another order give the same one
//! (alerts that join two incidents merge them).

use hinomi_model::{AlertId, CorrelationReason, EntityKey, EntityKind, IncidentId, Severity, Timestamp};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Alerts of one incident; beyond it new ones open another, so a flood cannot hide in one story.
pub const INCIDENT_ALERTS_MAX: usize = 1_000;

/// Devices a file, address or name may have been seen on to still link alerts of different devices.
const DEVICES_MAX: i64 = 50;
/// Devices an address or name may have been seen on to link alerts days apart.
const FEW_DEVICES: i64 = 5;
/// Message copies a file or sender may have been seen in to still link.
const COPIES_MAX: i64 = 5_000;
/// Hours between alerts that share a process of a tree, and between those that share its root alone.
const TREE_HOURS: i64 = 24;
const ROOT_HOURS: i64 = 2;
/// A value known for longer than this is part of the house, not of an attack.
const FRESH_SECONDS: i64 = 30 * 24 * 3600;

/// How widely a value is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prevalence {
    /// Devices that had it.
    pub devices: i64,
    /// Message copies that carried it.
    pub copies: i64,
    /// First time anybody had it; none when never.
    pub first_seen: Option<Timestamp>,
}

/// The parts of an alert correlation looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// First event.
    pub first: Timestamp,
    /// Last event.
    pub last: Timestamp,
    /// Severity.
    pub severity: Severity,
    /// ATT&CK tactic.
    pub category: String,
    /// Account on the device.
    pub user: Option<String>,
    /// Root of its process tree.
    pub root: Option<EntityKey>,
}

/// An alert that shares an entity with the new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The shared entity.
    pub shared: EntityKey,
    /// The alert.
    pub alert_id: AlertId,
    /// Its incident.
    pub incident_id: IncidentId,
    /// What it is like.
    pub subject: Subject,
}

/// What decides whether incidents may be joined.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IncidentFacts {
    /// Number: the oldest incident takes in the others.
    pub number: i64,
    /// Alerts it has.
    pub alerts: usize,
    /// Owner.
    pub assigned_to: Option<String>,
    /// Resolved or redirected incidents take nothing in.
    pub closed: bool,
}

/// What is known of values and incidents.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// By entity; missing = never seen before.
    pub prevalence: BTreeMap<EntityKey, Prevalence>,
    /// By incident.
    pub incidents: BTreeMap<IncidentId, IncidentFacts>,
}

/// Where an alert belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A story of its own.
    New,
    /// Part of a story.
    Join {
        /// The incident.
        incident: IncidentId,
        /// The named reason.
        reason: CorrelationReason,
        /// The entity both share.
        shared: EntityKey,
        /// The alert it is linked to.
        linked_to: AlertId,
        /// Other incidents the alert proves to be the same story; they merge into `incident`.
        merge: Vec<IncidentId>,
    },
}

/// Returns the widest window of any link, seconds: how far back candidates are looked for.
pub const fn correlation_window_seconds() -> i64 {
    7 * 24 * 3600
}

/// Decides where an alert belongs, given alerts that share one of its link entities.
pub fn correlate(alert: AlertId, subject: &Subject, candidates: &[Candidate], history: &History) -> Decision {
    let mut links: Vec<(u8, i64, &Candidate, CorrelationReason)> = candidates
        .iter()
        .filter(|candidate| candidate.alert_id != alert)
        .filter_map(|candidate| {
            let reason = link(subject, candidate, history)?;
            Some((strength(reason), gap_us(subject, &candidate.subject), candidate, reason))
        })
        .collect();
    links.sort_by_key(|(strength, gap, candidate, _)| (*strength, *gap, candidate.alert_id, candidate.shared.clone()));
    let number = |id: &IncidentId| history.incidents.get(id).map_or(i64::MAX, |facts| facts.number);
    let open = |id: &IncidentId| {
        history.incidents.get(id).is_none_or(|facts| !facts.closed && facts.alerts < INCIDENT_ALERTS_MAX)
    };
    links.retain(|(_, _, candidate, _)| open(&candidate.incident_id));
    let Some((_, _, best, reason)) = links.first() else { return Decision::New };

    let mut incidents: Vec<IncidentId> = links.iter().map(|(_, _, candidate, _)| candidate.incident_id).collect();
    incidents.sort_by_key(|id| (number(id), *id));
    incidents.dedup();
    let owner = |id: &IncidentId| history.incidents.get(id).and_then(|facts| facts.assigned_to.clone());
    // two people who work on two incidents are not merged under each other
    let mut owners: Vec<String> = incidents.iter().filter_map(&owner).collect();
    owners.sort();
    owners.dedup();
    let sum: usize = incidents.iter().filter_map(|id| history.incidents.get(id)).map(|facts| facts.alerts).sum();
    let (incident, merge) = if owners.len() > 1 || sum > INCIDENT_ALERTS_MAX {
        (best.incident_id, Vec::new())
    } else {
        (incidents[0], incidents[1..].to_vec())
    };
    Decision::Join { incident, reason: *reason, shared: best.shared.clone(), linked_to: best.alert_id, merge }
}

/// Why two alerts belong together through one shared entity; none when they do not.
fn link(subject: &Subject, candidate: &Candidate, history: &History) -> Option<CorrelationReason> {
    let other = &candidate.subject;
    let gap_s = gap_us(subject, other) / 1_000_000;
    let devices = || history.prevalence.get(&candidate.shared).map_or(0, |known| known.devices);
    let rare = || {
        let known = history.prevalence.get(&candidate.shared).copied().unwrap_or_default();
        let fresh = known.first_seen.is_none_or(|first| subject.last.micros_since(first) / 1_000_000 <= FRESH_SECONDS);
        fresh && known.devices <= DEVICES_MAX && known.copies <= COPIES_MAX
    };
    const HOUR: i64 = 3600;
    match candidate.shared.kind {
        EntityKind::Process => {
            // nothing but the root: it may be a shell or service in which much happens in a day
            let root = |of: &Subject| of.root.as_ref() == Some(&candidate.shared);
            let hours = if root(subject) && root(other) { ROOT_HOURS } else { TREE_HOURS };
            (gap_s <= hours * HOUR).then_some(CorrelationReason::EventCasualSequence)
        }
        EntityKind::File | EntityKind::Message => {
            (gap_s <= correlation_window_seconds() && rare()).then_some(CorrelationReason::SimilarArtifacts)
        }
        EntityKind::Ip | EntityKind::Domain | EntityKind::Url => {
            // what hardly anybody knows says more, and longer
            let hours = if devices() <= FEW_DEVICES { correlation_window_seconds() / HOUR } else { TREE_HOURS };
            (gap_s <= hours * HOUR && rare()).then_some(CorrelationReason::SharedIndicators)
        }
        EntityKind::Sender => (gap_s <= 24 * HOUR && rare()).then_some(CorrelationReason::SameThreatSource),
        EntityKind::Device => same_asset(subject, other, gap_s).then_some(CorrelationReason::SameAsset),
        _ => None,
    }
}

/// A device alone links only what looks like steps of one attack: both worth acting on, within an
/// hour, under one account, at different stages.
fn same_asset(one: &Subject, other: &Subject, gap_s: i64) -> bool {
    let serious = one.severity >= Severity::Medium && other.severity >= Severity::Medium;
    let one_account = match (&one.user, &other.user) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    serious && one_account && gap_s <= 3600 && one.category != other.category
}

fn gap_us(one: &Subject, other: &Subject) -> i64 {
    let gap = one.first.micros_since(other.last).max(other.first.micros_since(one.last));
    gap.max(0)
}

fn strength(reason: CorrelationReason) -> u8 {
    match reason {
        CorrelationReason::EventCasualSequence => 0,
        CorrelationReason::SimilarArtifacts => 1,
        CorrelationReason::SharedIndicators => 2,
        CorrelationReason::SameThreatSource => 3,
        _ => 4,
    }
}

/// True for a public address, and for names and URLs.
pub(crate) fn is_public_address(entity: &EntityKey) -> bool {
    entity.kind != EntityKind::Ip || is_public(&entity.value)
}

/// True for addresses of the public internet: only they tell attackers apart.
pub(crate) fn is_public(address: &str) -> bool {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(v4)) => {
            let cgnat = v4.octets()[0] == 100 && (64..128).contains(&v4.octets()[1]);
            let local = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified();
            !(local || v4.is_multicast() || v4.is_broadcast() || cgnat)
        }
        Ok(IpAddr::V6(v6)) => {
            let unique_local = v6.segments()[0] & 0xfe00 == 0xfc00;
            let link_local = v6.segments()[0] & 0xffc0 == 0xfe80;
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || unique_local || link_local)
        }
        Err(_) => false,
    }
}

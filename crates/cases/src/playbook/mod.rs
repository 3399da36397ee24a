//! Playbooks: the steps of an automated investigation.
//!
//! What people read and how long a step may take is data (`content/playbooks`); what a step needs
//! to know ([`queries`]) and what follows from it ([`conclude`]) are pure functions, so the house
//! only runs queries, stores outcomes and orders actions.

mod accounts;
mod book;
mod collect;
mod judge;
mod letter;
mod mail;
mod proof;
mod propose;
mod reach;
mod state;

pub use book::{Playbook, PlaybookError, StepName, StepSpec, grow};
pub use judge::{is_active_content, judge};
pub use propose::{COPIES_UNATTENDED_MAX, DEVICES_UNATTENDED_MAX, Proposed, propose};
pub use state::final_state;

use crate::merge_evidence;
use hinomi_model::{
    Action, Alert, Device, DeviceId, EntityKey, EntityKind, Event, Evidence, GraphEdge, Indicator, Investigation,
    MessageCopy, MessageCopyRef, MessageId, ProcessKey, RemediationStatus, Sighting, StepState, Text, Timestamp,
    Verdict,
};
use std::collections::BTreeSet;

/// Rounds of queries one step may ask for.
pub const ROUNDS_MAX: usize = 4;
/// Edges kept of one investigation.
pub const EDGES_MAX: usize = 5_000;

/// Everything a step may look at.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The investigation with the evidence found so far.
    pub investigation: &'a Investigation,
    /// The alerts of the incident.
    pub alerts: &'a [Alert],
    /// Actions of this investigation.
    pub actions: &'a [Action],
    /// The organisation's own mail domains: never blocked as senders.
    pub own_domains: &'a [String],
    /// Now.
    pub now: Timestamp,
}

impl Case<'_> {
    /// The devices the alerts are about.
    fn own_devices(&self) -> BTreeSet<EntityKey> {
        let devices = self.alerts.iter().filter_map(|alert| alert.device.as_ref());
        devices.map(|device| EntityKey::device(device.id)).collect()
    }
}

/// Devices that go to one place beyond which it is everybody's and names nobody.
const WIDE: i64 = 50;

/// Says that a place is used by so many devices that it means nothing; none when it is not.
fn used_widely(place: &EntityKey, devices: i64) -> Option<Text> {
    let text = || {
        Text::new(
            format!("{} is used on {devices} devices: it says nothing.", place.value),
            format!("{} は {devices} 台で使われており、手がかりになりません。", place.value),
        )
    };
    (devices > WIDE).then(text)
}

/// A question to the house.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Query {
    /// The events of a process tree.
    Tree {
        /// Its root.
        root: ProcessKey,
        /// From.
        from: Timestamp,
        /// To.
        to: Timestamp,
    },
    /// Who had a value.
    Seen {
        /// The value.
        observable: EntityKey,
        /// Devices or message copies.
        by: EntityKind,
    },
    /// The copies of a message.
    Copies {
        /// The message.
        message_id: MessageId,
    },
    /// Which mailboxes hold these copies now.
    Locate {
        /// The copies.
        copies: Vec<MessageCopyRef>,
    },
    /// The indicator on a value.
    Indicator {
        /// The value.
        entity: EntityKey,
    },
    /// Who logged on to a device.
    Logons {
        /// The device.
        device: DeviceId,
        /// From.
        from: Timestamp,
        /// To.
        to: Timestamp,
    },
    /// What a device says of itself now, or said last when it is away.
    Device {
        /// The device.
        device: DeviceId,
    },
}

/// Where a copy is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// In this folder.
    Present(String),
    /// Not there.
    Absent,
    /// Could not be asked.
    Failed(Text),
}

/// An answer of the house.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// Events of a tree.
    Tree {
        /// Its root.
        root: ProcessKey,
        /// Events of the tree's processes.
        events: Vec<Event>,
    },
    /// Who had a value.
    Seen {
        /// The value.
        observable: EntityKey,
        /// Devices or message copies.
        by: EntityKind,
        /// Some of them.
        sightings: Vec<Sighting>,
        /// How many there are.
        total: i64,
    },
    /// Copies of a message.
    Copies(Vec<MessageCopy>),
    /// Where copies are.
    Located(Vec<(MessageCopyRef, Presence)>),
    /// The indicator on a value, if any.
    Indicator {
        /// The value.
        entity: EntityKey,
        /// The indicator.
        indicator: Option<Indicator>,
    },
    /// Logons to a device, oldest first.
    Logons {
        /// The device.
        device: DeviceId,
        /// Rows of `DeviceLogonEvents`.
        events: Vec<Event>,
    },
    /// A device; none when it is unknown.
    Device(Option<Box<Device>>),
    /// Could not be answered; the step fails with this reason.
    Failed(Text),
    /// Cannot be answered on this installation; the step is skipped with this reason.
    Missing(Text),
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Done, failed or skipped.
    pub state: StepState,
    /// What it found, or why not.
    pub result: Text,
    /// New evidence.
    pub evidence: Vec<Evidence>,
    /// New edges.
    pub edges: Vec<GraphEdge>,
    /// Verdicts that replace older ones.
    pub verdicts: Vec<(EntityKey, Verdict, Text)>,
    /// Remediation statuses that replace older ones.
    pub statuses: Vec<(EntityKey, RemediationStatus, Option<Text>)>,
    /// Lines for the log.
    pub lines: Vec<Text>,
    /// Devices that could not be asked because they are away.
    pub waits_for: Vec<DeviceId>,
}

impl Outcome {
    pub(crate) fn done(en: impl Into<String>, ja: impl Into<String>) -> Outcome {
        Outcome {
            state: StepState::Done,
            result: Text::new(en, ja),
            evidence: Vec::new(),
            edges: Vec::new(),
            verdicts: Vec::new(),
            statuses: Vec::new(),
            lines: Vec::new(),
            waits_for: Vec::new(),
        }
    }

    pub(crate) fn skipped(en: impl Into<String>, ja: impl Into<String>) -> Outcome {
        Outcome { state: StepState::Skipped, ..Outcome::done(en, ja) }
    }

    /// Builds the outcome of a step that could not finish.
    pub fn failed(reason: Text) -> Outcome {
        Outcome { state: StepState::Failed, result: reason, ..Outcome::done("", "") }
    }

    /// Writes what was found into the investigation.
    pub fn apply(&self, investigation: &mut Investigation) {
        merge_evidence(&mut investigation.evidence, self.evidence.iter().cloned());
        for edge in &self.edges {
            let known = investigation.edges.iter().any(|known| known.from == edge.from && known.to == edge.to);
            if !known && investigation.edges.len() < EDGES_MAX {
                investigation.edges.push(edge.clone());
            }
        }
        for (entity, verdict, reason) in &self.verdicts {
            for piece in investigation.evidence.iter_mut().filter(|piece| piece.entity == *entity) {
                piece.verdict = *verdict;
                piece.reason = reason.clone();
            }
        }
        for (entity, status, detail) in &self.statuses {
            for piece in investigation.evidence.iter_mut().filter(|piece| piece.entity == *entity) {
                piece.remediation_status = *status;
                piece.remediation_detail = detail.clone();
            }
        }
    }
}

/// Returns what a step still has to ask, given the answers so far; empty when it can conclude.
pub fn queries(step: StepName, case: &Case<'_>, facts: &[Fact]) -> Vec<Query> {
    match step {
        StepName::IdentifyFile => first_round(facts, || collect::identify_queries(case)),
        StepName::IdentifyMail => letter::identify_queries(case, facts),
        StepName::Logons => first_round(facts, || accounts::logon_queries(case)),
        StepName::AccountUse => first_round(facts, || accounts::use_queries(case)),
        StepName::SensorState => first_round(facts, || accounts::sensor_queries(case)),
        StepName::FollowLinks => first_round(facts, || letter::follow_queries(case)),
        StepName::SharedDestinations => first_round(facts, || reach::destination_queries(case)),
        StepName::ProcessTree | StepName::Network | StepName::Persistence | StepName::ChangedFiles => {
            first_round(facts, || collect::tree_queries(case))
        }
        StepName::FindMail => mail::find_mail_queries(case, facts),
        StepName::FindTwins => first_round(facts, || mail::find_twins_queries(case)),
        StepName::LiveMailboxes => first_round(facts, || mail::live_queries(case)),
        StepName::OtherDevices => first_round(facts, || collect::other_devices_queries(case)),
        StepName::Judge | StepName::ProposeActions => Vec::new(),
    }
}

/// Concludes a step from its answers. Proposing actions is concluded by the house, which orders
/// them (see [`propose`]).
pub fn conclude(step: StepName, case: &Case<'_>, facts: &[Fact]) -> Outcome {
    for fact in facts {
        match fact {
            Fact::Failed(reason) => return Outcome::failed(reason.clone()),
            Fact::Missing(reason) => return Outcome::skipped(reason.en.clone(), reason.ja.clone()),
            _ => {}
        }
    }
    match step {
        StepName::IdentifyFile => collect::identify(case, facts),
        StepName::IdentifyMail => letter::identify(case, facts),
        StepName::ChangedFiles => reach::changed_files(case, facts),
        StepName::Logons => accounts::logons(case, facts),
        StepName::AccountUse => accounts::account_use(case, facts),
        StepName::SensorState => accounts::sensor_state(case, facts),
        StepName::FollowLinks => letter::follow(case, facts),
        StepName::SharedDestinations => reach::destinations(case, facts),
        StepName::ProcessTree => collect::process_tree(case, facts),
        StepName::Network => collect::network(case, facts),
        StepName::Persistence => collect::persistence(case, facts),
        StepName::FindMail => mail::find_mail(case, facts),
        StepName::FindTwins => mail::find_twins(case, facts),
        StepName::LiveMailboxes => mail::live(case, facts),
        StepName::OtherDevices => collect::other_devices(case, facts),
        StepName::Judge => judge(case),
        StepName::ProposeActions => Outcome::done("", ""),
    }
}

fn first_round(facts: &[Fact], queries: impl FnOnce() -> Vec<Query>) -> Vec<Query> {
    if facts.is_empty() { queries() } else { Vec::new() }
}

pub(crate) fn edge(from: &EntityKey, to: &EntityKey, en: &str, ja: &str) -> GraphEdge {
    GraphEdge { from: from.clone(), to: to.clone(), label: Text::new(en, ja) }
}

/// Files of the investigation that are worth following: not part of the system.
pub(crate) fn case_files<'a>(case: &'a Case<'_>) -> impl Iterator<Item = &'a Evidence> {
    case.investigation.evidence.iter().filter(|piece| {
        piece.entity.kind == EntityKind::File
            && piece.role != hinomi_model::EvidenceRole::Contextual
            && piece.facts.get("path").is_none_or(|path| !crate::is_system_path(path))
    })
}

/// Roots of the process trees of the case.
pub(crate) fn roots_of(case: &Case<'_>) -> Vec<ProcessKey> {
    collect::roots(case).into_iter().map(|(root, _)| root).collect()
}

//! Cases: detections become alerts, alerts become incidents, incidents are investigated.
//!
//! Floor 1: no sockets, files, clocks or randomness. Events, times, ids and history come in,
//! decisions come out; the house (`server`) stores them and acts on them.
//!
//! Main types in the order a datum meets them: [`sightings`] (which entity had which value),
//! [`ProcessIndex`] (who started whom), [`alert_of`] with [`AlertDraft`],
//! [`correlate`] with [`Decision`], [`refresh`] (title, severity, tactics of an incident),
//! [`timeline`], [`story`] (the process tree of an alert) and [`playbook`] (the steps of an
//! automated investigation as data plus pure functions).
//!
//! ```
//! use hinomi_model::{EntityKind, Event, Table, Timestamp};
//! let mut event = Event::new(Table::DeviceNetworkEvents, Timestamp::from_micros(0));
//! event.set("DeviceId", "00000000-0000-0000-0000-000000000001").set("RemoteIP", "198.51.100.7");
//! let seen = hinomi_cases::sightings(&event);
//! assert_eq!(seen[0].observable.kind, EntityKind::Ip);
//! ```

pub mod automation;
pub mod scenario;
mod sighting;

mod places;

mod lineage;

mod message;

mod sensor;

mod evidence;
mod filter;

mod alert;

mod correlate;

mod incident;

mod regroup;

mod timeline;

mod decode;

mod story;

mod weak;

pub mod playbook;

mod remedy;

mod pivot;

mod tuning;

pub use alert::{AlertContext, AlertDraft, AlertIds, DEDUPE_SECONDS, FIRINGS_MAX, absorb, alert_of};
pub(crate) use correlate::is_public_address;
pub use correlate::{
    Candidate, Decision, History, INCIDENT_ALERTS_MAX, IncidentFacts, Prevalence, Subject, correlate,
    correlation_window_seconds,
};
pub use decode::decoded;
pub use evidence::{merge_evidence, worse_status};
pub use filter::filter_detections;
pub use incident::{ACTIVITIES_MAX, log, merge, new_incident, refresh};
pub use lineage::{ANCESTORS_MAX, ProcessFacts, ProcessIndex, attack_root};
pub use message::{message_copies, url_domain};
pub use pivot::{PIVOT_VALUE_CHARS_MAX, PivotValue, pivot_reach, pivot_steps, pivot_values};
pub use places::{
    Persistence, is_boundary, is_mail_client, is_opener, is_system_path, is_temporary_path, persistence_of,
};
pub use regroup::{UNMERGE_SECONDS, UnmergeError, keep_apart, move_links, narrow, unmerge};
pub use remedy::{apply_action, targets_of};
pub use sensor::{exec_blocked, sensor_detection};
pub use sighting::{collect, file_hashes, sightings, urls_in};
pub use story::{AlertMark, STORY_NODES_MAX, StoryFocus, StoryKind, StoryNode, StoryTree, descendants, story};
pub use timeline::{Lane, Marker, Timeline, tactic_title, timeline};
pub use tuning::{
    TUNING_CONDITIONS_MAX, TUNING_VALUE_CHARS_MAX, TUNING_VALUES_MAX, TuningFault, TuningSet, check_tuning,
    is_tampering, suggest_tuning, tune,
};
pub use weak::{
    BEHAVIOUR_RULE, DEVICE_SECONDS, Habit, PAIR, RareFact, SETTLED_SECONDS, SIGNS_MAX, TREE_SECONDS, TYPED_SECONDS,
    WeakSign, adds_up, behaviour, groups_of, habit_of, habit_subject, is_weak, may_be_weak, novel_values, pair_of,
    pairs_in, rare_fact, rare_pair, session_of, weak_sign,
};

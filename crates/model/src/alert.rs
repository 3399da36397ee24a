//! Detections and alerts.

use crate::{
    AlertId, DeviceId, EntityKey, EventRef, IncidentId, InvestigationId, MessageId, ProcessKey, Text, Timestamp,
};
use serde::{Deserialize, Serialize};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// Returns the word as it stands in JSON (camelCase).
            pub fn word(self) -> String {
                match serde_json::to_value(self) {
                    Ok(serde_json::Value::String(word)) => word,
                    _ => String::new(),
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::BadWord;
            fn from_str(text: &str) -> Result<Self, crate::BadWord> {
                serde_json::from_value(serde_json::Value::String(text.to_owned()))
                    .map_err(|_| crate::BadWord { kind: stringify!($name), text: text.to_owned() })
            }
        }
    )*};
}
pub(crate) use words;

/// A text is not a word of an enumeration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadWord {
    /// Name of the enumeration.
    pub kind: &'static str,
    /// The text.
    pub text: String,
}

impl std::fmt::Display for BadWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not a {}: {:?}", self.kind, self.text)
    }
}

impl std::error::Error for BadWord {}

words! {
    /// How bad it is. Ordered: `Informational < Low < Medium < High`.
    Severity {
        /// Not harmful, worth knowing.
        Informational,
        /// Common malware, hack tools, exploration, log clearing.
        Low,
        /// Post-breach behaviour: unusual persistence changes, suspicious execution.
        Medium,
        /// Credential theft, human-operated ransomware, sensor tampering, APT-like behaviour.
        High,
    }
    /// Work on an alert.
    AlertStatus {
        /// Nobody has looked yet.
        New,
        /// Somebody works on it.
        InProgress,
        /// Done.
        Resolved,
    }
    /// What it turned out to be.
    Classification {
        /// Not decided.
        Unknown,
        /// A real attack.
        TruePositive,
        /// Real, but wanted (a test, an application).
        InformationalExpectedActivity,
        /// Not what the rule says.
        FalsePositive,
    }
    /// The finer answer under a classification.
    Determination {
        /// Not decided.
        Unknown,
        /// True positive: attack in several stages.
        MultiStagedAttack,
        /// True positive: an insider.
        MaliciousUserActivity,
        /// True positive: stolen account.
        CompromisedAccount,
        /// True positive: malware.
        Malware,
        /// True positive: phishing.
        Phishing,
        /// True positive: unwanted software.
        UnwantedSoftware,
        /// Expected: security test.
        SecurityTesting,
        /// Expected: line-of-business application.
        LineOfBusinessApplication,
        /// Expected: confirmed by the user.
        ConfirmedActivity,
        /// False positive: not malicious.
        NotMalicious,
        /// False positive: not enough data.
        NotEnoughDataToValidate,
        /// Anything else.
        Other,
    }
    /// What became of the detected file or process, told as it was.
    DetectionStatus {
        /// May still be active.
        Detected,
        /// It ran, then was stopped.
        Blocked,
        /// It never ran, was never written.
        Prevented,
        /// We tried to stop it and could not; the reason stands beside.
        Failed,
    }
    /// Which part of the product saw it.
    ServiceSource {
        /// The sensor on an endpoint.
        Endpoint,
        /// The gateway or mailboxes.
        Mail,
    }
    /// What fired.
    DetectionSource {
        /// A behaviour rule.
        Rule,
        /// An indicator of an administrator.
        CustomTi,
        /// The automated investigation.
        AutomatedInvestigation,
        /// A person.
        Manual,
        /// Another filter or scanner.
        ThirdPartySensors,
    }
    /// What we believe about an entity.
    Verdict {
        /// Not judged or not enough to judge.
        Unknown,
        /// Judged: nothing bad found.
        NoThreatsFound,
        /// Probably bad.
        Suspicious,
        /// Bad.
        Malicious,
    }
    /// What became of an entity of the evidence.
    RemediationStatus {
        /// Nothing to do.
        None,
        /// Still active.
        Active,
        /// An action waits for approval.
        PendingApproval,
        /// A person declined the action.
        Declined,
        /// An action runs.
        Running,
        /// Done.
        Remediated,
        /// Done for some targets.
        PartiallyRemediated,
        /// The action failed.
        Unremediated,
        /// It never ran or was never delivered.
        Prevented,
        /// It was stopped while running.
        Blocked,
        /// No longer there.
        NotFound,
    }
    /// The part an entity plays in an alert.
    EvidenceRole {
        /// Not known.
        Unknown,
        /// Context only.
        Contextual,
        /// Where it came from.
        Source,
        /// Where it went.
        Destination,
        /// Made by the attack.
        Created,
        /// Attacked.
        Attacked,
        /// The attacker's.
        Attacker,
        /// Command and control.
        CommandAndControl,
        /// Suspicious in itself.
        Suspicious,
    }
    /// Why an alert belongs to an incident.
    CorrelationReason {
        /// First alert of the incident.
        FirstAlert,
        /// The same rule fired again on the same entity.
        RepeatedAlertOccurrence,
        /// Same process tree: one event caused the other.
        EventCasualSequence,
        /// One after the other on shared entities.
        EventSequence,
        /// Same file, mail or other artefact.
        SimilarArtifacts,
        /// Same indicator.
        SharedIndicators,
        /// Same device, user or mailbox.
        SameAsset,
        /// Same sender.
        SameThreatSource,
        /// Same campaign.
        SameCampaign,
        /// Close in time.
        TemporalProximity,
    }
}

/// A field of an event that made a rule fire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MatchedField {
    /// Column of the hunting table.
    pub field: String,
    /// Its value (untrusted).
    pub value: String,
    /// What the rule compares it with, as written in the rule.
    pub pattern: String,
}

/// Why something fired: rule, event and the fields that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Why {
    /// Rule id, or `indicator:<id>`.
    pub rule_id: String,
    /// Title of the rule.
    pub title: Text,
    /// The event.
    pub event: EventRef,
    /// Fields that matched.
    pub matched: Vec<MatchedField>,
}

/// A rule or indicator fired on an event. Not yet an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Rule id, or `indicator:<id>`.
    pub rule_id: String,
    /// Title in both languages.
    pub title: Text,
    /// What it means.
    pub description: Text,
    /// What an administrator does next, in order.
    pub next_steps: Vec<Text>,
    /// Severity.
    pub severity: Severity,
    /// ATT&CK technique ids (`T1059.004`).
    pub techniques: Vec<String>,
    /// ATT&CK tactic names as in `reference/attack.json` (`execution`), first is the category.
    pub tactics: Vec<String>,
    /// What fired.
    pub source: DetectionSource,
    /// What became of it, as far as known when it fired.
    pub status: DetectionStatus,
    /// The event that made it fire.
    pub event: crate::Event,
    /// Fields that matched.
    pub matched: Vec<MatchedField>,
}

/// Something a person can do next, if possible as one button.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NextStep {
    /// What to do.
    pub text: Text,
    /// The action that does it, ready to be proposed.
    pub action: Option<crate::ActionSpec>,
}

/// A short pointer at a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceRef {
    /// Id of the device.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
}

/// An entity of an alert, incident or investigation with what we believe and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Evidence {
    /// Key of the entity.
    pub entity: EntityKey,
    /// How people read it: file name, command line, subject (untrusted).
    pub name: String,
    /// More facts, by name (`path`, `command_line`, `subject`, `sender`, …; untrusted).
    pub facts: std::collections::BTreeMap<String, String>,
    /// Its part.
    pub role: EvidenceRole,
    /// What we believe.
    pub verdict: Verdict,
    /// Why we believe it.
    pub reason: Text,
    /// What became of it.
    pub remediation_status: RemediationStatus,
    /// More about the status: action, failure reason.
    pub remediation_detail: Option<Text>,
    /// The action that deals or dealt with it.
    pub action_id: Option<crate::ActionId>,
    /// When first seen in this context.
    pub first_seen: Timestamp,
}

/// A remark of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Comment {
    /// Who wrote it.
    pub author: String,
    /// When.
    pub at: Timestamp,
    /// Text (untrusted), at most 30,000 characters.
    pub text: String,
}

/// Why an alert belongs to its incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertLink {
    /// The alert.
    pub alert_id: AlertId,
    /// The alert it was linked to; none for the first.
    pub linked_to: Option<AlertId>,
    /// The named reason.
    pub reason: CorrelationReason,
    /// The entity both share.
    pub shared: Option<EntityKey>,
    /// When it was linked.
    pub at: Timestamp,
}

/// Detections worth a person's look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Alert {
    /// Id.
    pub id: AlertId,
    /// Its incident.
    pub incident_id: IncidentId,
    /// Title.
    pub title: Text,
    /// Description.
    pub description: Text,
    /// Severity.
    pub severity: Severity,
    /// Work status.
    pub status: AlertStatus,
    /// Classification.
    pub classification: Classification,
    /// Determination.
    pub determination: Determination,
    /// What became of it.
    pub detection_status: DetectionStatus,
    /// Why, above all for `failed`.
    pub detection_status_reason: Option<Text>,
    /// Part of the product.
    pub service_source: ServiceSource,
    /// What fired.
    pub detection_source: DetectionSource,
    /// ATT&CK tactic, the category.
    pub category: String,
    /// ATT&CK technique ids.
    pub techniques: Vec<String>,
    /// Rule id, or `indicator:<id>`.
    pub rule_id: String,
    /// Every firing that is part of this alert, oldest first, at most 100.
    pub why: Vec<Why>,
    /// Firings beyond the kept ones.
    pub why_more: u64,
    /// Made by a rule that is being tested: nobody is notified, nothing is investigated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
    /// What a tuning rule did to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned: Option<crate::Tuned>,
    /// Device, for endpoint alerts.
    pub device: Option<DeviceRef>,
    /// Account on the device.
    pub user: Option<String>,
    /// Recipients, for mail alerts (lower case).
    pub mailboxes: Vec<String>,
    /// The message, for mail alerts.
    pub message_id: Option<MessageId>,
    /// The process that did it.
    pub process: Option<ProcessKey>,
    /// The oldest ancestor of the process tree we ascribe to the attack.
    pub tree_root: Option<ProcessKey>,
    /// Entities.
    pub evidence: Vec<Evidence>,
    /// What to do next, in order.
    pub next_steps: Vec<NextStep>,
    /// The automated investigation.
    pub investigation_id: Option<InvestigationId>,
    /// Owner.
    pub assigned_to: Option<String>,
    /// Remarks.
    pub comments: Vec<Comment>,
    /// When the alert was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// First event.
    pub first_activity: Timestamp,
    /// Last event.
    pub last_activity: Timestamp,
    /// Grows by one with every change (ETag).
    pub version: i64,
}

impl Alert {
    /// True when a tuning rule hides it: it is in no incident.
    pub fn is_hidden(&self) -> bool {
        self.tuned.as_ref().is_some_and(|tuned| tuned.action == crate::TuningAction::Hide)
    }
}

impl Classification {
    /// True when a determination is one of this classification, or none.
    pub fn allows(self, determination: Determination) -> bool {
        use Determination as D;
        let own: &[D] = match self {
            Classification::Unknown => &[],
            Classification::TruePositive => &[
                D::MultiStagedAttack,
                D::MaliciousUserActivity,
                D::CompromisedAccount,
                D::Malware,
                D::Phishing,
                D::UnwantedSoftware,
                D::Other,
            ],
            Classification::InformationalExpectedActivity => {
                &[D::SecurityTesting, D::LineOfBusinessApplication, D::ConfirmedActivity, D::Other]
            }
            Classification::FalsePositive => &[D::NotMalicious, D::NotEnoughDataToValidate, D::Other],
        };
        determination == D::Unknown || own.contains(&determination)
    }
}

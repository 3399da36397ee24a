//! Tuning rules: what an administrator decided about alerts before they are made.

use crate::alert::words;
use crate::{Severity, Timestamp, TuningId};
use serde::{Deserialize, Serialize};

words! {
    /// What of an alert a condition looks at. Values are compared without regard to case.
    TuningField {
        /// Id of the detection rule, or `indicator:<id>`.
        Rule,
        /// Id or name of the device.
        Device,
        /// A tag of the device.
        DeviceTag,
        /// Account on the device.
        User,
        /// SHA-256 of a file or of the image of the process.
        FileSha256,
        /// Name of a file or of the process.
        FileName,
        /// Path of a file or of the image of the process.
        FilePath,
        /// Command line of the process.
        CommandLine,
        /// Name of the parent process.
        ParentName,
        /// Path of the image of the parent process.
        ParentPath,
        /// Command line of the parent process.
        ParentCommandLine,
        /// Address the process talked to, or the mail came from.
        Address,
        /// Domain the process talked to, or of a URL.
        Domain,
        /// URL.
        Url,
        /// Sender of a mail.
        Sender,
        /// Domain of the sender of a mail.
        SenderDomain,
        /// Recipient of a mail.
        Recipient,
        /// Subject of a mail.
        Subject,
    }
    /// How a condition compares.
    TuningOperator {
        /// The whole value.
        Equals,
        /// Anywhere in the value.
        Contains,
        /// The beginning of the value.
        StartsWith,
        /// The end of the value.
        EndsWith,
        /// The whole value; `*` stands for any text, `?` for one character.
        Wildcard,
        /// The address lies in the network (`192.0.2.0/24`); only for addresses.
        Cidr,
    }
    /// What comes of an alert that a rule is for, the strongest first.
    TuningAction {
        /// It is kept and counted, in no incident; nobody is notified, nothing is investigated.
        Hide,
        /// It is made and at once resolved as a false positive, in an incident of its own that is resolved too.
        Resolve,
        /// It has a lower severity.
        LowerSeverity,
    }
}

/// One condition: holds when a value of the alert is like one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TuningCondition {
    /// What it looks at.
    pub field: TuningField,
    /// How it compares.
    pub operator: TuningOperator,
    /// With what: 1 to 20 values, each of 1 to 1,024 characters.
    pub values: Vec<String>,
}

/// A tuning rule: alerts for which every condition holds are hidden, resolved or told as less severe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TuningRule {
    /// Id; older rules have lower ids.
    pub id: TuningId,
    /// What people call it.
    pub title: String,
    /// All of these hold.
    pub conditions: Vec<TuningCondition>,
    /// What comes of the alert.
    pub action: TuningAction,
    /// The new severity, for `lowerSeverity`.
    pub severity: Option<Severity>,
    /// In force, unless it has expired.
    pub enabled: bool,
    /// No longer in force from then on; none = it stays.
    pub expires_at: Option<Timestamp>,
    /// Who answers for it, a login name.
    pub owner: String,
    /// Why it is there.
    pub comment: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who changed it last.
    pub changed_by: String,
    /// When.
    pub changed_at: Timestamp,
    /// Firings it was for since it was made.
    #[serde(default)]
    pub hits: i64,
    /// The last.
    #[serde(default)]
    pub last_hit: Option<Timestamp>,
    /// Grows by one with every change (ETag).
    pub version: i64,
}

impl TuningRule {
    /// True when it counts at that time.
    pub fn in_force(&self, at: Timestamp) -> bool {
        self.enabled && self.expires_at.is_none_or(|end| at < end)
    }
}

/// What a tuning rule did to an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tuned {
    /// The rule.
    pub rule: TuningId,
    /// What it was called then.
    pub title: String,
    /// What it did.
    pub action: TuningAction,
    /// The severity the alert would have had.
    pub severity: Severity,
}

/// How the alerts of one detection rule were classified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RuleQuality {
    /// Rule id, or `indicator:<id>`.
    pub rule_id: String,
    /// Title of its newest alert.
    pub title: crate::Text,
    /// Alerts made in the time.
    pub alerts: i64,
    /// Of these, hidden or resolved by a tuning rule; they count in none of the following.
    pub tuned: i64,
    /// Classified as a true positive.
    pub true_positive: i64,
    /// Classified as expected activity.
    pub expected: i64,
    /// Classified as a false positive.
    pub false_positive: i64,
    /// Not classified.
    pub unclassified: i64,
    /// False positives among the classified, 0 to 1; none when none is classified.
    pub false_positive_share: Option<f64>,
    /// When the last one was made.
    pub last_alert: Timestamp,
}

//! Tuning rules: what is decided about alerts before they are made.

use crate::AlertSummary;
use hinomi_model::{Severity, Text, Timestamp, TuningAction, TuningCondition};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which tuning rules to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct TuningQuery {
    /// True: only those in force now; false: only those that are off or have expired.
    pub in_force: Option<bool>,
    /// Text in title, comment, owner or a value of a condition.
    pub text: Option<String>,
}

/// A tuning rule to be made or tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTuningRule {
    /// What people call it, 1 to 200 characters.
    pub title: String,
    /// All of these hold: 1 to 12.
    pub conditions: Vec<TuningCondition>,
    /// What comes of the alert.
    pub action: TuningAction,
    /// The new severity, for `lowerSeverity`.
    #[serde(default)]
    pub severity: Option<Severity>,
    /// In force.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// No longer in force from then on; none = it stays.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Who answers for it, a login name; left out: whoever makes it.
    #[serde(default)]
    pub owner: Option<String>,
    /// Why it is there, at most 2,000 characters.
    #[serde(default)]
    pub comment: String,
}

fn yes() -> bool {
    true
}

/// Changes a tuning rule. Fields left out stay.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateTuningRule {
    /// Title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// All conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<TuningCondition>>,
    /// What comes of the alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<TuningAction>,
    /// The new severity; null: none.
    #[serde(deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Severity>)]
    pub severity: Option<Option<Severity>>,
    /// In force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// No longer in force from then on; null: it stays.
    #[serde(deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Timestamp>)]
    pub expires_at: Option<Option<Timestamp>>,
    /// Who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Why it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// What a tuning rule would have done to the alerts of the last days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TuningPreview {
    /// How many days back alerts were looked at.
    pub days: i64,
    /// Alerts looked at.
    pub looked_at: i64,
    /// False when there were more alerts than are looked at; the oldest were left out.
    pub complete: bool,
    /// Alerts the rule would have been for.
    pub matches: i64,
    /// Of these, with severity high.
    pub high: i64,
    /// Of these, classified as a true positive.
    pub true_positives: i64,
    /// Of these, with evidence judged malicious.
    pub malicious: i64,
    /// Devices of these.
    pub devices: i64,
    /// Alerts about sensor tampering for which the conditions hold, but whose rule none of them names.
    pub spared: i64,
    /// The matching alerts, true positives and the most severe first, at most 100.
    pub alerts: Vec<AlertSummary>,
    /// What a person should think of before saving.
    pub warnings: Vec<Text>,
}

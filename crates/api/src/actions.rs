//! Actions and indicators.

use crate::Problem;
use hinomi_model::{
    Action, ActionId, ActionSpec, IncidentId, IndicatorAction, IndicatorFormat, IndicatorId, IndicatorScope,
    InvestigationId, Severity, Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Filter of the action centre.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ActionQuery {
    /// States, separated by commas (`pendingApproval,queued,running`).
    pub state: Option<String>,
    /// Incident.
    pub incident: Option<IncidentId>,
    /// Investigation.
    pub investigation: Option<InvestigationId>,
    /// Cursor of the page before.
    pub cursor: Option<String>,
    /// Page size, at most 200.
    pub limit: Option<u32>,
}

/// Orders an action. Send an `Idempotency-Key` header: the same key never acts twice.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAction {
    /// What to do.
    pub spec: ActionSpec,
    /// Why, 1 to 2,000 characters.
    pub reason: String,
    /// Also the forwarded and replied copies of the messages, for actions on mail; see the dry run.
    #[serde(default)]
    pub related: bool,
    /// Incident it belongs to.
    #[serde(default)]
    pub incident_id: Option<IncidentId>,
    /// True: only propose it; somebody approves it later. Otherwise it runs at once.
    #[serde(default)]
    pub propose_only: bool,
}

/// A decision about an action.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Decision {
    /// A remark, at most 2,000 characters.
    pub comment: Option<String>,
}

/// Approves or declines several actions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveActions {
    /// The actions, at most 200.
    pub ids: Vec<ActionId>,
    /// A remark, at most 2,000 characters.
    #[serde(default)]
    pub comment: Option<String>,
}

/// What came of approving or declining several actions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApprovedActions {
    /// One per id, in the order asked.
    pub results: Vec<ApprovedAction>,
}

/// What came of one of several actions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApprovedAction {
    /// The action.
    pub id: ActionId,
    /// The action after it.
    pub action: Option<Action>,
    /// Why it was not.
    pub error: Option<Problem>,
}

/// Filter of the indicators.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct IndicatorQuery {
    /// Kinds, separated by commas.
    pub kind: Option<String>,
    /// What happens, words separated by commas.
    pub action: Option<String>,
    /// Part of the value or note.
    pub text: Option<String>,
    /// Cursor of the page before.
    pub cursor: Option<String>,
    /// Page size, at most 200.
    pub limit: Option<u32>,
}

/// A list of indicators to take in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIndicatorImport {
    /// What the list is called: 1 to 120 characters.
    pub name: String,
    /// The list: a table or one value a line, a STIX 2.1 bundle, a MISP event in JSON.
    pub text: String,
    /// How it is written; told from the content when left out.
    #[serde(default = "auto")]
    pub format: IndicatorFormat,
    /// What happens when a value is seen, where the list does not say it.
    pub action: IndicatorAction,
    /// Severity of alerts, where the list does not say it.
    #[serde(default = "medium")]
    pub severity: Severity,
    /// Why these values are here, where the list does not say it.
    #[serde(default)]
    pub note: String,
    /// When they end; a value that ends earlier keeps its own end.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Where they count; everywhere when left out.
    #[serde(default)]
    pub scope: IndicatorScope,
    /// What the list says about a value that has an indicator counts; otherwise that one stays.
    #[serde(default)]
    pub replace: bool,
    /// Only tell what would happen.
    #[serde(default)]
    pub dry_run: bool,
}

/// A look back to make.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIndicatorLook {
    /// Indicators to look for, 1 to 200.
    pub indicators: Vec<IndicatorId>,
    /// Days to look back, 1 to 365.
    #[serde(default = "thirty")]
    pub days: i64,
}

/// A feed to fetch now.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFeedRun {
    /// Only tell what it would do.
    #[serde(default)]
    pub dry_run: bool,
}

fn thirty() -> i64 {
    30
}

fn auto() -> IndicatorFormat {
    IndicatorFormat::Auto
}

fn medium() -> Severity {
    Severity::Medium
}

/// Value to ask about.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WhyQuery {
    /// A hash, address, domain, URL or sender, also written so that nobody clicks it.
    pub value: String,
}

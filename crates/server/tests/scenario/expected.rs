//! What a scenario must come to: `expect.toml`.

use anyhow::{Context, Result, ensure};
use hinomi_model::{
    Action, Alert, DetectionStatus, EntityKey, Incident, Investigation, InvestigationState, Severity, Verdict,
};
use hinomi_server::app::Ctx;
use hinomi_server::incidents;
use hinomi_store::{ActionFilter, Page};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    pub incidents: usize,
    #[serde(default)]
    pub incident: Vec<ExpectedIncident>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedIncident {
    pub severity: Severity,
    #[serde(default)]
    pub tactics: Vec<String>,
    #[serde(default)]
    pub devices: Vec<String>,
    pub mailboxes: Option<usize>,
    /// Part of the title, in both languages.
    pub title: Option<String>,
    pub alerts: Option<usize>,
    pub investigation: Option<InvestigationState>,
    #[serde(default)]
    pub reasons: Vec<String>,
    #[serde(default)]
    pub statuses: Vec<DetectionStatus>,
    #[serde(default)]
    pub evidence: Vec<ExpectedEvidence>,
    #[serde(default)]
    pub action: Vec<ExpectedAction>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedEvidence {
    pub entity: EntityKey,
    pub verdict: Verdict,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedAction {
    pub kind: String,
    pub count: usize,
}

impl Expected {
    pub fn read(folder: &Path) -> Result<Expected> {
        Ok(toml::from_str(&std::fs::read_to_string(folder.join("expect.toml"))?)?)
    }

    /// Compares with the incidents there are.
    pub async fn check(&self, ctx: &Ctx, found: &[Incident]) -> Result<()> {
        let told: Vec<String> = found.iter().map(|incident| incident.title.en.clone()).collect();
        ensure!(found.len() == self.incidents, "{} incidents: {told:?}", found.len());
        for wanted in &self.incident {
            let devices = |incident: &&Incident| {
                let names: Vec<&str> = incident.devices.iter().map(|device| device.name.as_str()).collect();
                wanted.devices.iter().all(|device| names.contains(&device.as_str()))
            };
            let incident =
                found.iter().find(devices).with_context(|| format!("no incident on {:?}: {told:?}", wanted.devices))?;
            compare(ctx, incident, wanted).await.with_context(|| format!("INC-{}", incident.number))?;
        }
        Ok(())
    }
}

pub async fn actions_of(ctx: &Ctx, incident: &Incident) -> Result<Vec<Action>> {
    let filter = ActionFilter { incident: Some(incident.id), ..ActionFilter::default() };
    Ok(ctx.store.actions(&filter, &Page::first(100)).await?.items)
}

pub async fn investigations_of(ctx: &Ctx, incident: &Incident) -> Result<Vec<Investigation>> {
    let mut found = Vec::new();
    for id in &incident.investigations {
        found.extend(ctx.store.investigation(*id).await?);
    }
    Ok(found)
}

async fn compare(ctx: &Ctx, incident: &Incident, wanted: &ExpectedIncident) -> Result<()> {
    let alerts: Vec<Alert> = ctx.store.alerts_of_incident(incident.id).await?;
    let fired: Vec<&str> = alerts.iter().map(|alert| alert.title.en.as_str()).collect();
    ensure!(incident.severity == wanted.severity, "severity {:?}: {fired:?}", incident.severity);
    for tactic in &wanted.tactics {
        ensure!(incident.tactics.contains(tactic), "no {tactic} in {:?}: {fired:?}", incident.tactics);
    }
    if let Some(count) = wanted.mailboxes {
        ensure!(incident.mailboxes.len() == count, "{} mailboxes", incident.mailboxes.len());
    }
    if let Some(part) = &wanted.title {
        ensure!(incident.title.en.contains(part) && incident.title.ja.contains(part), "title {:?}", incident.title);
    }
    if let Some(count) = wanted.alerts {
        ensure!(alerts.len() == count, "alerts {fired:?}");
    }
    let reasons: Vec<String> = incident.alerts.iter().map(|link| link.reason.word()).collect();
    for reason in &wanted.reasons {
        ensure!(reasons.contains(reason), "no link {reason} in {reasons:?}");
    }
    for status in &wanted.statuses {
        ensure!(alerts.iter().any(|alert| alert.detection_status == *status), "no alert is {status:?}: {fired:?}");
    }
    if let Some(state) = wanted.investigation {
        let states = investigations_of(ctx, incident).await?;
        let told: Vec<_> = states
            .iter()
            .map(|one| (one.state, one.steps.iter().map(|step| (&step.name, &step.result.en)).collect::<Vec<_>>()))
            .collect();
        ensure!(states.iter().any(|one| one.state == state), "investigations {told:?}");
        let linked = alerts.iter().filter(|alert| alert.severity >= Severity::Medium);
        let without: Vec<&str> =
            linked.filter(|alert| alert.investigation_id.is_none()).map(|alert| alert.title.en.as_str()).collect();
        ensure!(without.is_empty(), "alerts have no investigation: {without:?}");
    }
    let evidence = incidents::evidence(ctx, incident).await?;
    for piece in &wanted.evidence {
        let found = evidence.iter().find(|one| one.entity == piece.entity);
        let found = found.with_context(|| format!("{} is no evidence", piece.entity))?;
        ensure!(found.verdict == piece.verdict, "{} is {:?}: {}", piece.entity, found.verdict, found.reason.en);
        ensure!(!found.reason.en.is_empty() && !found.reason.ja.is_empty(), "{} has no reason", piece.entity);
    }
    let actions = actions_of(ctx, incident).await?;
    let kinds: Vec<&str> = actions.iter().map(|action| action.spec.kind()).collect();
    for action in &wanted.action {
        let count = kinds.iter().filter(|kind| **kind == action.kind).count();
        ensure!(count == action.count, "{count} × {}, wanted {}: {kinds:?}", action.kind, action.count);
    }
    Ok(())
}

//! `hinomi incidents`

use crate::client::Client;
use crate::output::{self, exit, line, printable};
use anyhow::{Context, Result};
use clap::Subcommand;
use hinomi_api::{AlertSummary, IncidentDetail, IncidentSummary, MergeIncidents, MoveAlerts, UnmergeIncident};
use hinomi_model::{AlertId, Language};

/// Verbs of incidents.
#[derive(Debug, Subcommand)]
pub enum Incidents {
    /// List incidents, newest activity first
    List {
        /// Statuses, separated by commas
        #[arg(long, default_value = "active,inProgress,awaitingAction")]
        status: String,
        /// Severities, separated by commas
        #[arg(long)]
        severity: Option<String>,
        /// Most incidents to list
        #[arg(long, default_value_t = 100)]
        max: usize,
    },
    /// Show an incident with its alerts
    Show {
        /// Number or id
        id: String,
    },
    /// Merge other incidents into one
    Merge {
        /// Number or id of the one that takes in the others
        id: String,
        /// Numbers of the others, 1 to 5
        #[arg(required = true)]
        others: Vec<String>,
        /// A remark
        #[arg(long)]
        comment: Option<String>,
    },
    /// Take an incident out of the one it was merged into, within 30 days
    Unmerge {
        /// Number or id
        id: String,
        /// A remark
        #[arg(long)]
        comment: Option<String>,
    },
    /// Move alerts to another incident, or to a new one
    Move {
        /// Ids of the alerts
        #[arg(required = true)]
        alerts: Vec<AlertId>,
        /// Number of the incident; without it a new one is made
        #[arg(long)]
        to: Option<String>,
        /// Why they belong there, as in the public schema (sameAsset, similarArtifacts)
        #[arg(long)]
        reason: Option<String>,
        /// A remark
        #[arg(long)]
        comment: Option<String>,
    },
}

impl Incidents {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn run(self, client: &Client, json: bool, language: Language) -> Result<u8> {
        match self {
            Incidents::List { status, severity, max } => {
                let mut query = vec![("status", status)];
                query.extend(severity.map(|severity| ("severity", severity)));
                let incidents = client.list::<IncidentSummary>("/incidents", &query, max).await?.items;
                let head = ["INCIDENT", "SEVERITY", "STATUS", "TITLE", "ALERTS", "WAITING", "LAST ACTIVITY"];
                Ok(output::list(json, &incidents, &head, |incident| {
                    vec![
                        format!("INC-{}", incident.number),
                        incident.severity.word(),
                        incident.status.word(),
                        incident.title.get(language).to_owned(),
                        format!("{}/{}", incident.active_alerts, incident.alert_count),
                        incident.pending_actions.to_string(),
                        incident.last_activity.to_string(),
                    ]
                }))
            }
            Incidents::Show { id } => {
                let id = id.trim_start_matches("INC-").to_owned();
                let incident: IncidentDetail = client.get(&format!("/incidents/{id}"), &[]).await?;
                let alerts = client.list::<AlertSummary>(&format!("/incidents/{id}/alerts"), &[], 1000).await?.items;
                if json {
                    output::json(&serde_json::json!({ "incident": incident, "alerts": alerts }));
                } else {
                    show(&incident, &alerts, language);
                }
                Ok(exit::DONE)
            }
            Incidents::Merge { id, others, comment } => {
                let incidents = others.iter().map(|text| number(text)).collect::<Result<_>>()?;
                let path = format!("/incidents/{}/merge", id.trim_start_matches("INC-"));
                tell(&client.post(&path, &MergeIncidents { incidents, comment }).await?, json, language)
            }
            Incidents::Unmerge { id, comment } => {
                let path = format!("/incidents/{}/unmerge", id.trim_start_matches("INC-"));
                tell(&client.post(&path, &UnmergeIncident { comment }).await?, json, language)
            }
            Incidents::Move { alerts, to, reason, comment } => {
                let incident = to.as_deref().map(number).transpose()?;
                let reason = match reason {
                    Some(word) => Some(word.parse().map_err(|error| anyhow::anyhow!("--reason {word}: {error}"))?),
                    None => None,
                };
                let order = MoveAlerts { alerts, incident, reason, comment };
                tell(&client.post("/alerts/move", &order).await?, json, language)
            }
        }
    }
}

fn number(text: &str) -> Result<i64> {
    text.trim_start_matches("INC-").parse().with_context(|| format!("{text} is no number of an incident"))
}

fn tell(detail: &IncidentDetail, json: bool, language: Language) -> Result<u8> {
    match json {
        true => output::json(detail),
        false => show(detail, &[], language),
    }
    Ok(exit::DONE)
}

fn show(detail: &IncidentDetail, alerts: &[AlertSummary], language: Language) {
    let incident = &detail.incident;
    let devices: Vec<_> = incident.devices.iter().map(|device| device.name.as_str()).collect();
    line(&printable(&format!("INC-{}  {}", incident.number, incident.title.get(language))));
    line(&printable(&format!("severity   {}   status {}", incident.severity.word(), incident.status.word())));
    line(&printable(&format!("devices    {}", devices.join(", "))));
    line(&printable(&format!("users      {}", incident.users.join(", "))));
    line(&printable(&format!("mailboxes  {}", incident.mailboxes.join(", "))));
    line(&printable(&format!("tactics    {}", incident.tactics.join(", "))));
    line(&format!("actions waiting for approval: {}\n", detail.counts.pending_actions));
    let head = ["SEVERITY", "STATUS", "ALERT", "DETECTION", "BECAUSE", "FIRST ACTIVITY"];
    output::list(false, alerts, &head, |alert| {
        vec![
            alert.severity.word(),
            alert.status.word(),
            alert.title.get(language).to_owned(),
            alert.detection_status.word(),
            alert.link.as_ref().map(|link| link.reason.word()).unwrap_or_default(),
            alert.first_activity.to_string(),
        ]
    });
}

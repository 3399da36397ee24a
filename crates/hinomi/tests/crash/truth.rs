//! What a story came to, read from store and lake after the server has stopped.

use anyhow::{Context, Result, ensure};
use hinomi_lake::{Lake, LakeFile, LakeQuery};
use hinomi_model::{ActionState, ReceiptState, Table};
use hinomi_store::{ActionFilter, AuditFilter, IncidentFilter, InvestigationFilter, JobFilter, JobState, Page, Store};
use hinomi_testkit::fleet::{FakeSensor, exactly_once};
use hinomi_wire::Command;
use std::collections::BTreeMap;
use std::path::Path;

/// Counts by name: everything that would show a thing done twice or lost.
#[derive(Debug, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, usize>);

pub struct Truth {
    counts: Counts,
    /// Points at which the server ended.
    pub reached: Vec<String>,
}

impl Truth {
    pub async fn read(store: &Store, data: &Path, sensor: &FakeSensor) -> Result<Truth> {
        let mut counts = BTreeMap::new();
        let mut count = |name: String| *counts.entry(name).or_insert(0_usize) += 1;
        let all = Page::first(200);
        for incident in store.incidents(&IncidentFilter::default(), &all).await?.items {
            count(format!("incident {}", incident.severity.word()));
            for alert in store.alerts_of_incident(incident.id).await? {
                count(format!("alert {} {}", alert.rule_id, alert.severity.word()));
                ensure!(
                    alert.investigation_id.is_some() || alert.severity < hinomi_model::Severity::Medium,
                    "an alert lost its investigation"
                );
            }
        }
        for investigation in store.investigations(&InvestigationFilter::default(), &all).await?.items {
            count(format!("investigation {}", investigation.state.word()));
            for step in &investigation.steps {
                count(format!("step {} {:?}", step.name, step.state));
            }
            for piece in &investigation.evidence {
                count(format!(
                    "evidence {} {:?} {:?}",
                    piece.entity.kind.name(),
                    piece.verdict,
                    piece.remediation_status
                ));
            }
        }
        for action in store.actions(&ActionFilter::default(), &all).await?.items {
            ensure!(
                matches!(action.state, ActionState::Succeeded | ActionState::Undone),
                "{} is {:?}: {:?}",
                action.spec.kind(),
                action.state,
                action.receipts
            );
            count(format!("action {} {:?}", action.spec.kind(), action.state));
            for receipt in &action.receipts {
                // "already done" would be a sensor or a mailbox that was asked twice
                ensure!(
                    matches!(receipt.state, ReceiptState::Done | ReceiptState::Undone),
                    "{}: {receipt:?}",
                    action.spec.kind()
                );
                count(format!("receipt {} {} {:?}", action.spec.kind(), receipt.target.kind.name(), receipt.state));
            }
            for what in ["action.approve", "indicator.add", "indicator.remove", "action.finish"] {
                let filter = AuditFilter {
                    action: Some(what.to_owned()),
                    target: Some(format!("action:{}", action.id)),
                    ..AuditFilter::default()
                };
                let records = store.audit_records(&filter, &all).await?.items.len();
                ensure!(records <= 1, "{what} of {} is {records} times in the audit log", action.spec.kind());
            }
        }
        for indicator in store.indicators_in_force(hinomi_model::Timestamp::from_micros(i64::MAX / 2)).await? {
            count(format!("indicator {}", indicator.spec.kind.word()));
        }
        ensure!(store.verify_audit().await?.first_bad.is_none(), "the audit log is broken");
        let failed = JobFilter { state: vec![JobState::Failed], kind: None };
        let failed = store.jobs(&failed, &all).await?.items;
        ensure!(failed.is_empty(), "jobs were given up: {failed:?}");
        {
            let memory = sensor.memory();
            ensure!(memory.broken.is_empty(), "{:?}", memory.broken);
            for (envelope, _) in &memory.obeyed {
                // a block list is a state with a version, sent until the sensor has it; a step that is run
                // again asks again, which changes nothing
                if !matches!(envelope.command, Command::SetBlockedHashes { .. } | Command::CollectStatus) {
                    let name = serde_json::to_value(&envelope.command)?;
                    let kind = name.as_object().and_then(|fields| Some(fields.values().next()?.to_string()));
                    count(format!("command {}", kind.unwrap_or_else(|| name.to_string())));
                }
            }
            count(format!("block list version {}", memory.block_list_version));
        }
        rows(store, data, sensor, &mut count).await?;
        Ok(Truth { counts: Counts(counts), reached: Vec::new() })
    }

    /// Fails with the first difference to a story without crashes.
    pub fn same_as(&self, whole: &Truth) -> Result<()> {
        let (mine, theirs) = (&self.counts.0, &whole.counts.0);
        let names: std::collections::BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
        let differs = |name: &&String| mine.get(*name) != theirs.get(*name);
        let told: Vec<String> = names
            .into_iter()
            .filter(differs)
            .map(|name| format!("{name}: {:?}, without a crash {:?}", mine.get(name), theirs.get(name)))
            .collect();
        ensure!(told.is_empty(), "after kills at {:?}:\n{}", self.reached, told.join("\n"));
        Ok(())
    }

    pub fn told(&self) -> String {
        let counts: Vec<String> = self.counts.0.iter().map(|(name, count)| format!("{count} × {name}")).collect();
        counts.join("; ")
    }
}

/// Rows of the lake: the sensor's, each once, and one row per mail and act.
async fn rows(store: &Store, data: &Path, sensor: &FakeSensor, count: &mut impl FnMut(String)) -> Result<()> {
    let files = store.lake_files().await?;
    let files = files.into_iter().map(|row| LakeFile {
        path: row.path,
        table: row.table,
        day: row.day,
        rows: row.rows,
        bytes: row.bytes,
        first: row.first,
        last: row.last,
    });
    let lake = Lake::open(&data.join("lake"), files.collect()).await?;
    let mut held = Vec::new();
    for table in Table::ALL {
        for event in lake.query(LakeQuery::of(*table)).await.with_context(|| table.name().to_owned())? {
            if event.device_id() == Some(sensor.device) {
                held.push(event.long("ReportId").unwrap_or_default());
            }
            if table.name().starts_with("Email") {
                let text = |name: &str| event.str(name).unwrap_or_default().to_owned();
                let recipient = text("RecipientEmailAddress");
                count(format!("row {} {recipient} {}", table.name(), text("Action")));
            }
        }
    }
    let through = sensor.memory().events.len() as i64;
    exactly_once("the sensor's rows", held, through)
}

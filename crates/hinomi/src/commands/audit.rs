//! `hinomi audit`

use crate::client::Client;
use crate::output::{self, exit, line};
use anyhow::Result;
use clap::Subcommand;
use hinomi_api::AuditVerification;
use hinomi_model::AuditRecord;

/// Verbs of the audit log.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// List records, newest first
    List {
        /// Who
        #[arg(long)]
        actor: Option<String>,
        /// What (`action.approve`)
        #[arg(long)]
        action: Option<String>,
        /// Most records to list
        #[arg(long, default_value_t = 100)]
        max: usize,
    },
    /// Walk the hash chain; exit code 1 when a record does not fit
    Verify,
}

impl Audit {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn run(self, client: &Client, json: bool) -> Result<u8> {
        match self {
            Audit::List { actor, action, max } => {
                let query = [("actor", actor), ("action", action)];
                let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
                let records = client.list::<AuditRecord>("/audit", &query, max).await?.items;
                let head = ["TIME", "WHO", "WHAT", "ON", "RESULT", "DETAIL"];
                Ok(output::list(json, &records, &head, |record| {
                    vec![
                        record.at.to_string(),
                        record.actor.clone(),
                        record.action.clone(),
                        record.target.clone(),
                        record.result.clone(),
                        record.detail.clone(),
                    ]
                }))
            }
            Audit::Verify => {
                let found: AuditVerification = client.get("/audit/verify", &[]).await?;
                if json {
                    output::json(&found);
                } else {
                    line(&match found.first_bad {
                        None => format!("intact: {} records chain to each other", found.records),
                        Some(position) => format!("NOT intact: record {position} of {} does not fit", found.records),
                    });
                }
                Ok(if found.intact { exit::DONE } else { exit::NOTHING })
            }
        }
    }
}

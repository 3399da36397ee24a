//! `hinomi actions`

use crate::client::Client;
use crate::output::{self, exit};
use anyhow::{Context, Result};
use clap::Subcommand;
use hinomi_api::{ApproveActions, ApprovedActions};
use hinomi_model::{Action, ActionId, Language};

/// Verbs of actions.
#[derive(Debug, Subcommand)]
pub enum Actions {
    /// List actions, newest first
    List {
        /// States, separated by commas (pendingApproval, running, succeeded, …); all when left out
        #[arg(long)]
        state: Option<String>,
        /// Most actions to list
        #[arg(long, default_value_t = 100)]
        max: usize,
    },
    /// Approve actions that wait for it
    Approve {
        /// Ids
        #[arg(required = true)]
        ids: Vec<String>,
        /// A remark for the record
        #[arg(long)]
        comment: Option<String>,
        /// Approve; without it only show what would run
        #[arg(long)]
        yes: bool,
    },
}

impl Actions {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn run(self, client: &Client, json: bool, language: Language) -> Result<u8> {
        match self {
            Actions::List { state, max } => {
                let query: Vec<_> = state.map(|state| ("state", state)).into_iter().collect();
                let actions = client.list::<Action>("/actions", &query, max).await?.items;
                Ok(table(json, &actions, language))
            }
            Actions::Approve { ids, comment, yes: true } => {
                let ids = ids.iter().map(|id| id.parse().with_context(|| format!("{id:?} is not an action id")));
                let ids: Vec<ActionId> = ids.collect::<Result<_>>()?;
                let done: ApprovedActions = client.post("/actions/approve", &ApproveActions { ids, comment }).await?;
                for failed in done.results.iter().filter_map(|one| Some((one.id, one.error.as_ref()?))) {
                    eprintln!("{}: {} ({})", failed.0, output::printable(&failed.1.message_en), failed.1.code);
                }
                let all = done.results.len();
                let actions: Vec<Action> = done.results.into_iter().filter_map(|one| one.action).collect();
                table(json, &actions, language);
                Ok(if actions.len() == all { exit::DONE } else { exit::NOTHING })
            }
            Actions::Approve { ids, .. } => {
                let mut actions = Vec::new();
                for id in &ids {
                    actions.push(client.get::<Action>(&format!("/actions/{id}"), &[]).await?);
                }
                table(json, &actions, language);
                eprintln!("nothing was approved: add --yes to approve these actions");
                Ok(exit::NOTHING)
            }
        }
    }
}

fn table(json: bool, actions: &[Action], language: Language) -> u8 {
    let head = ["ID", "ACTION", "STATE", "TARGETS", "PROPOSED BY", "WHY", "CREATED"];
    output::list(json, actions, &head, |action| {
        vec![
            action.id.to_string(),
            action.spec.kind().to_owned(),
            action.state.word(),
            action.receipts.len().to_string(),
            action.proposed_by.clone(),
            action.reason.get(language).to_owned(),
            action.created_at.to_string(),
        ]
    })
}

//! `hinomi actions`

use crate::client::Client;
use crate::output::{self, exit};
use anyhow::{Context, Result};
use clap::Subcommand;
use hinomi_api::{ApproveActions, ApprovedActions, Decision};
use hinomi_model::{Action, ActionId, Language, Receipt};

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
    /// Decline actions that wait for approval
    Decline {
        /// Ids
        #[arg(required = true)]
        ids: Vec<String>,
        /// A remark for the record
        #[arg(long)]
        comment: Option<String>,
    },
    /// Order an action again that expired, was declined or was withdrawn before it began
    Again(Change),
    /// Show an action with the receipt of every target, late copies too
    Show {
        /// Id
        id: ActionId,
    },
    /// Hold a running action on mail: what was begun is finished, the rest waits
    Pause(Change),
    /// Go on with a held action
    Resume(Change),
    /// Withdraw an action, or stop a running one on mail: what was begun is finished
    Cancel(Change),
    /// Try the targets that failed once more
    Retry(Change),
    /// Undo what an action did, late copies too
    Undo(Change),
    /// Stop treating late copies of an action's mails
    Disarm(Change),
}

/// What the verbs that change one action take.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// Id
    id: ActionId,
    /// A remark for the record
    #[arg(long)]
    comment: Option<String>,
}

impl Change {
    async fn run(self, client: &Client, verb: &str, json: bool, language: Language) -> Result<u8> {
        let path = format!("/actions/{}/{verb}", self.id);
        let action: Action = client.post(&path, &Decision { comment: self.comment }).await?;
        Ok(one(json, &action, language))
    }
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
                decide("approve", &ids, comment, client, json, language).await
            }
            Actions::Decline { ids, comment } => decide("decline", &ids, comment, client, json, language).await,
            Actions::Again(change) => change.run(client, "again", json, language).await,
            Actions::Approve { ids, .. } => {
                let mut actions = Vec::new();
                for id in &ids {
                    actions.push(client.get::<Action>(&format!("/actions/{id}"), &[]).await?);
                }
                table(json, &actions, language);
                eprintln!("nothing was approved: add --yes to approve these actions");
                Ok(exit::NOTHING)
            }
            Actions::Show { id } => {
                let action: Action = client.get(&format!("/actions/{id}"), &[]).await?;
                Ok(one(json, &action, language))
            }
            Actions::Pause(change) => change.run(client, "pause", json, language).await,
            Actions::Resume(change) => change.run(client, "resume", json, language).await,
            Actions::Cancel(change) => change.run(client, "cancel", json, language).await,
            Actions::Retry(change) => change.run(client, "retry", json, language).await,
            Actions::Undo(change) => change.run(client, "undo", json, language).await,
            Actions::Disarm(change) => change.run(client, "disarm", json, language).await,
        }
    }
}

/// Decides about several actions; exit code 1 when one of them could not be.
async fn decide(
    verb: &str,
    ids: &[String],
    comment: Option<String>,
    client: &Client,
    json: bool,
    language: Language,
) -> Result<u8> {
    let ids = ids.iter().map(|id| id.parse().with_context(|| format!("{id:?} is not an action id")));
    let ids: Vec<ActionId> = ids.collect::<Result<_>>()?;
    let done: ApprovedActions = client.post(&format!("/actions/{verb}"), &ApproveActions { ids, comment }).await?;
    for failed in done.results.iter().filter_map(|one| Some((one.id, one.error.as_ref()?))) {
        eprintln!("{}: {} ({})", failed.0, output::printable(&failed.1.message_en), failed.1.code);
    }
    let all = done.results.len();
    let actions: Vec<Action> = done.results.into_iter().filter_map(|one| one.action).collect();
    table(json, &actions, language);
    Ok(if actions.len() == all { exit::DONE } else { exit::NOTHING })
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

/// One action with its receipts.
fn one(json: bool, action: &Action, language: Language) -> u8 {
    if json {
        output::json(action);
        return exit::DONE;
    }
    table(false, std::slice::from_ref(action), language);
    for given in &action.approval.given {
        let of = format!("approved by {} at {} ({} needed)", given.by, given.at, action.approval.needed);
        output::line(&output::printable(&of));
    }
    for note in &action.approval.history {
        let text = format!("{}  {}  {}", note.at, note.by, note.text.get(language));
        output::line(&output::printable(&text));
    }
    if let Some(follow_up) = &action.follow_up {
        let armed = match (&follow_up.disarmed_by, follow_up.disarmed_at) {
            (Some(by), Some(at)) => format!("disarmed by {by} at {at}"),
            _ => format!("armed for late copies until {}", follow_up.until),
        };
        output::line(&output::printable(&armed));
    }
    let row = |late: &str, receipt: &Receipt| {
        let detail = receipt.detail.get(language).to_owned();
        vec![receipt.target.value.clone(), receipt.state.word(), late.to_owned(), detail, receipt.at.to_string()]
    };
    let mut rows: Vec<Vec<String>> = action.receipts.iter().map(|receipt| row("", receipt)).collect();
    let late = action.follow_up.iter().flat_map(|follow_up| &follow_up.receipts);
    rows.extend(late.map(|late| row(&late.cause.word(), &late.receipt)));
    output::list(false, &rows, &["TARGET", "STATE", "LATE", "WHAT HAPPENED", "AT"], Clone::clone);
    exit::DONE
}

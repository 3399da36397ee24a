//! `hinomi mail`

use super::crawl::Crawl;
use super::secret::SecretVerb;
use crate::client::Client;
use crate::output::{self, exit};
use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use hinomi_api::{ConnectorTest, NewAction, TestConnector};
use hinomi_model::{Action, ActionSpec, Language, MessageCopy, MessageCopyRef, MessageRemedy};

/// Most copies one order may name; the server's own limit.
const COPIES_MAX: usize = 5_000;

/// Verbs of mail.
#[derive(Debug, Subcommand)]
pub enum MailVerb {
    /// Work with connectors to mail systems
    #[command(subcommand)]
    Connector(Connector),
    /// Work with the background reading of the mailboxes
    #[command(subcommand)]
    Crawl(Crawl),
    /// Work with the sealed secrets of mail systems, on the server itself
    #[command(subcommand)]
    Secret(SecretVerb),
    /// Do something with every copy of a message
    Remediate {
        /// NetworkMessageId
        message: String,
        /// What to do
        #[arg(long)]
        action: Remedy,
        /// Only these recipients; all when left out
        #[arg(long)]
        recipient: Vec<String>,
        /// Also the sender's own copy
        #[arg(long)]
        senders_copy: bool,
        /// Also forwarded and replied copies within the organisation
        #[arg(long)]
        related: bool,
        /// Why, for the record
        #[arg(long)]
        reason: String,
        /// Only propose it; somebody else approves
        #[arg(long)]
        propose: bool,
        /// Do it; without it only show the copies
        #[arg(long)]
        yes: bool,
    },
}

/// Verbs of connectors.
#[derive(Debug, Subcommand)]
pub enum Connector {
    /// Check a connector with a probe mail: stored, found, moved, removed, put back, deleted
    Test {
        /// Name in the configuration
        name: String,
        /// Mailbox the probe mail goes through
        #[arg(long)]
        mailbox: String,
    },
}

/// What is done with copies of a message.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Remedy {
    /// Into the junk folder
    MoveToJunk,
    /// Out of junk or deleted items into the inbox
    MoveToInbox,
    /// Into the deleted items
    MoveToDeletedItems,
    /// Out of the user's sight; can be put back
    SoftDelete,
    /// For good; needs a fresh proof of presence, so it is only proposed from here
    HardDelete,
    /// Out of the user's sight into quarantine; can be put back
    MoveToQuarantine,
}

impl From<Remedy> for MessageRemedy {
    fn from(remedy: Remedy) -> Self {
        match remedy {
            Remedy::MoveToJunk => MessageRemedy::MoveToJunk,
            Remedy::MoveToInbox => MessageRemedy::MoveToInbox,
            Remedy::MoveToDeletedItems => MessageRemedy::MoveToDeletedItems,
            Remedy::SoftDelete => MessageRemedy::SoftDelete,
            Remedy::HardDelete => MessageRemedy::HardDelete,
            Remedy::MoveToQuarantine => MessageRemedy::MoveToQuarantine,
        }
    }
}

impl MailVerb {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn run(self, client: impl FnOnce() -> Result<Client>, json: bool, language: Language) -> Result<u8> {
        if let MailVerb::Secret(secret) = self {
            return secret.run(json).await;
        }
        let client = &client()?;
        match self {
            MailVerb::Secret(_) => unreachable!("answered above"),
            MailVerb::Connector(Connector::Test { name, mailbox }) => {
                test(client, &name, mailbox, json, language).await
            }
            MailVerb::Crawl(crawl) => crawl.run(client, json).await,
            MailVerb::Remediate { message, action, recipient, senders_copy, related, reason, propose, yes } => {
                let path = format!("/messages/{message}");
                let mut copies = client.list::<MessageCopy>(&path, &[], COPIES_MAX).await?.items;
                copies.retain(|copy| {
                    recipient.is_empty() || recipient.iter().any(|one| one.eq_ignore_ascii_case(&copy.recipient))
                });
                if !yes || copies.is_empty() {
                    let code = shown(json, &copies);
                    eprintln!("nothing was done: add --yes to do it to these copies");
                    return Ok(code.max(exit::NOTHING));
                }
                let targets = copies.into_iter();
                let targets = targets
                    .map(|copy| MessageCopyRef { message_id: copy.message_id, recipient: copy.recipient })
                    .collect();
                let hard = matches!(action, Remedy::HardDelete);
                let spec = ActionSpec::of_remedy(action.into(), targets, senders_copy);
                let order = NewAction { spec, reason, related, incident_id: None, propose_only: propose || hard };
                let action: Action = client.post("/actions", &order).await?;
                match json {
                    true => output::json(&action),
                    false => output::line(&format!("{}  {}", action.id, action.state.word())),
                }
                Ok(exit::DONE)
            }
        }
    }
}

async fn test(client: &Client, name: &str, mailbox: String, json: bool, language: Language) -> Result<u8> {
    let path = format!("/mail/connectors/{name}/test");
    let test: ConnectorTest = client.post(&path, &TestConnector { mailbox }).await?;
    if json {
        output::json(&test);
    } else {
        for step in &test.steps {
            let mark = if step.ok { "ok    " } else { "FAILED" };
            let (what, detail) = (step.what.get(language), step.detail.get(language));
            output::line(&output::printable(&format!("{mark} {what}: {detail}")));
        }
        for missing in &test.missing {
            output::line(&output::printable(&format!("note   {}", missing.get(language))));
        }
    }
    Ok(if test.ok { exit::DONE } else { exit::NOTHING })
}

fn shown(json: bool, copies: &[MessageCopy]) -> u8 {
    let head = ["RECIPIENT", "SUBJECT", "FROM", "LOCATION", "RECEIVED"];
    output::list(json, copies, &head, |copy| {
        vec![
            copy.recipient.clone(),
            copy.subject.clone(),
            copy.sender_from.clone(),
            copy.latest_location.word(),
            copy.received_at.to_string(),
        ]
    })
}

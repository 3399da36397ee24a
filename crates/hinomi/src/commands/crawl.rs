//! `hinomi mail crawl`

use crate::client::Client;
use crate::output::{self, exit};
use anyhow::Result;
use clap::Subcommand;
use hinomi_api::CrawlStatus;

/// Verbs of the crawl.
#[derive(Debug, Subcommand)]
pub enum Crawl {
    /// Tell how far the mailboxes were read in the background
    Status,
}

impl Crawl {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn run(self, client: &Client, json: bool) -> Result<u8> {
        let Crawl::Status = self;
        let status: CrawlStatus = client.get("/mail/crawl", &[]).await?;
        if json {
            output::json(&status);
            return Ok(exit::DONE);
        }
        if !status.enabled {
            eprintln!("the crawl is off: add [crawl] and [[mailboxes]] over IMAP to the configuration");
        }
        output::line(&format!(
            "{} mailboxes, {} read to the end, {} running, {} failed; {} mails read, {} left out",
            status.mailboxes, status.finished, status.running, status.failed, status.mails, status.skipped
        ));
        let head = ["MAILBOX", "STATE", "MAILS", "LEFT OUT", "NEXT", "ERROR"];
        output::list(false, &status.items, &head, |one| {
            vec![
                one.mailbox.clone(),
                one.state.clone(),
                one.mails.to_string(),
                one.skipped.to_string(),
                one.next_at.to_string(),
                one.error.clone().unwrap_or_default(),
            ]
        });
        Ok(exit::DONE)
    }
}

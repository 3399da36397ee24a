//! `hinomi directory`

use crate::client::Client;
use crate::output::{self, exit, line, printable};
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use hinomi_api::DirectoryImport;
use hinomi_model::{DirectoryChange, Language, Person};
use std::path::PathBuf;

/// Verbs of the directory.
#[derive(Debug, Subcommand)]
pub enum Directory {
    /// List people with their accounts and mailboxes
    List {
        /// Words of name, account, address, device or department
        #[arg(long)]
        text: Option<String>,
        /// Most people to list
        #[arg(long, default_value_t = 1000)]
        max: usize,
    },
    /// Take in a CSV file; it takes the place of everything its source said before
    Import {
        /// CSV file whose first row names the columns (name, account, mailbox, addresses …)
        file: PathBuf,
        /// Name of the source
        #[arg(long, default_value = "csv")]
        source: String,
        /// Only tell what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// Read the configured LDAP server now
    Sync,
}

impl Directory {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the file cannot be read or the server says no.
    pub async fn run(self, client: &Client, json: bool, language: Language) -> Result<u8> {
        match self {
            Directory::List { text, max } => {
                let query: Vec<_> = text.map(|text| ("text", text)).into_iter().collect();
                let people = client.list::<Person>("/directory", &query, max).await?.items;
                let head = ["NAME", "ACCOUNTS", "MAILBOX", "ADDRESSES", "DEPARTMENT", "SOURCE"];
                Ok(output::list(json, &people, &head, |person| {
                    vec![
                        person.name.clone(),
                        person.accounts.join(", "),
                        person.mailbox.clone().unwrap_or_default(),
                        person.addresses.len().to_string(),
                        person.department.clone().unwrap_or_default(),
                        person.source.clone(),
                    ]
                }))
            }
            Directory::Import { file, source, dry_run } => {
                let bytes = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
                let body = DirectoryImport { file: STANDARD.encode(bytes), source: Some(source), dry_run };
                let change = client.post("/directory/import", &body).await?;
                Ok(show(&change, json, language))
            }
            Directory::Sync => {
                let change = client.post("/directory/sync", &serde_json::json!({})).await?;
                Ok(show(&change, json, language))
            }
        }
    }
}

fn show(change: &DirectoryChange, json: bool, language: Language) -> u8 {
    if json {
        output::json(change);
        return exit::DONE;
    }
    let japanese = language == Language::Ja;
    let DirectoryChange { added, changed, removed, unchanged, rejected_count, .. } = change;
    let begin = match (change.dry_run, japanese) {
        (true, false) => "Would change: ",
        (true, true) => "変更の予定: ",
        (false, _) => "",
    };
    line(&match japanese {
        true => format!(
            "{begin}追加 {added}、変更 {changed}、削除 {removed}、変更なし {unchanged}、使えない行 {rejected_count}"
        ),
        false => format!(
            "{begin}{added} added, {changed} changed, {removed} removed, {unchanged} unchanged, {rejected_count} rejected"
        ),
    });
    for row in &change.rejected {
        let reason = if japanese { &row.reason.ja } else { &row.reason.en };
        eprintln!("{}: {}", printable(&row.row), printable(reason));
    }
    for column in &change.ignored_columns {
        let text = if japanese { "使われない列" } else { "column not used" };
        eprintln!("{text}: {}", printable(column));
    }
    exit::DONE
}

//! `hinomi rules server`: what is in force on a server.

use crate::client::Client;
use crate::output::{self, exit, line, printable};
use anyhow::{Context, Result};
use clap::Subcommand;
use hinomi_api::{CorrelationStatus, NewRule, UpdateRule};
use hinomi_model::{Language, ManagedRule, RuleEntry, RuleState};
use std::path::PathBuf;

/// Verbs of the rules of a server.
#[derive(Debug, Subcommand)]
pub enum InForce {
    /// List the rules and what comes of them
    List {
        /// States, separated by commas: draft, test, live, off
        #[arg(long)]
        state: Option<String>,
        /// Part of id, title or author
        #[arg(long)]
        text: Option<String>,
        /// Leave out the rules that ship with Hinomi
        #[arg(long)]
        own: bool,
        /// Most rules to list
        #[arg(long, default_value_t = 1000)]
        max: usize,
    },
    /// Add rules: each file is one entry, a draft unless told otherwise
    Add {
        /// Rule files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// What comes of them: draft (counted), test (marked alerts), live, off
        #[arg(long, default_value = "draft")]
        state: String,
        /// Only on devices with this tag; may be given several times
        #[arg(long = "device-tag")]
        device_tags: Vec<String>,
    },
    /// Decide what comes of a rule
    Set {
        /// Id of the rule
        id: String,
        /// draft, test, live, off
        #[arg(long)]
        state: Option<String>,
        /// Only on devices with this tag; may be given several times
        #[arg(long = "device-tag", conflicts_with = "everywhere")]
        device_tags: Vec<String>,
        /// On every device again
        #[arg(long)]
        everywhere: bool,
        /// Another text of the rule
        #[arg(long)]
        file: Option<PathBuf>,
        /// Begin with this version
        #[arg(long)]
        restore: Option<i64>,
    },
    /// Remove a rule; one that ships is as it was delivered again
    Remove {
        /// Id of the rule
        id: String,
    },
    /// List what was decided about a rule
    Versions {
        /// Id of the rule
        id: String,
    },
    /// Tell how the alerts of the rules were classified, and how often they were wrong
    Quality,
    /// Tell what correlation rules keep and what they dropped
    Correlations,
}

impl InForce {
    /// Does what is asked.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub async fn run(self, client: &Client, json: bool, language: Language) -> Result<u8> {
        match self {
            InForce::List { state, text, own, max } => {
                let mut query: Vec<(&str, String)> = Vec::new();
                query.extend(state.map(|state| ("state", state)));
                query.extend(text.map(|text| ("text", text)));
                query.extend(own.then(|| ("ships", "false".to_owned())));
                let rules = client.list::<ManagedRule>("/rules", &query, max).await?.items;
                Ok(output::list(json, &rules, &HEAD, |rule| row(rule, language)))
            }
            InForce::Add { files, state, device_tags } => {
                for file in files {
                    let yaml = read(&file)?;
                    let state = parse(&state)?;
                    let rule: ManagedRule =
                        client.post("/rules", &NewRule { yaml, state, device_tags: device_tags.clone() }).await?;
                    show(&rule, json, language);
                }
                Ok(exit::DONE)
            }
            InForce::Set { id, state, device_tags, everywhere, file, restore } => {
                let device_tags = (everywhere || !device_tags.is_empty()).then_some(device_tags);
                let state = state.as_deref().map(parse).transpose()?;
                let yaml = file.as_ref().map(read).transpose()?;
                let body = UpdateRule { yaml, state, device_tags, restore };
                let rule: ManagedRule = client.patch(&format!("/rules/{id}"), &body).await?;
                show(&rule, json, language);
                Ok(exit::DONE)
            }
            InForce::Remove { id } => {
                let rule: ManagedRule = client.delete(&format!("/rules/{id}")).await?;
                show(&rule, json, language);
                Ok(exit::DONE)
            }
            InForce::Versions { id } => {
                let versions = client.list::<RuleEntry>(&format!("/rules/{id}/versions"), &[], 1000).await?.items;
                Ok(output::list(json, &versions, &["VERSION", "STATE", "DEVICE TAGS", "BY", "AT"], |entry| {
                    let (version, at) = (entry.version.to_string(), entry.changed_at.to_string());
                    vec![version, entry.state.word(), entry.device_tags.join(", "), entry.changed_by.clone(), at]
                }))
            }
            InForce::Quality => super::tuning::quality(client, json, language).await,
            InForce::Correlations => {
                let rules = client.list::<CorrelationStatus>("/rules/correlations", &[], 1000).await?.items;
                let head = ["RULE", "BYTES", "LATE", "UNGROUPED", "VALUELESS", "CROWDED", "MEMORY"];
                Ok(output::list(json, &rules, &head, |rule| {
                    let counts = [rule.bytes, rule.late, rule.ungrouped, rule.valueless, rule.crowded, rule.memory];
                    std::iter::once(rule.rule_id.clone()).chain(counts.map(|count| count.to_string())).collect()
                }))
            }
        }
    }
}

const HEAD: [&str; 7] = ["STATE", "SEVERITY", "TITLE", "HITS", "DEVICE TAGS", "VERSION", "ID"];

fn row(rule: &ManagedRule, language: Language) -> Vec<String> {
    let title = if language == Language::Ja { &rule.title.ja } else { &rule.title.en };
    let (tags, version) = (rule.device_tags.join(", "), rule.version.to_string());
    vec![rule.state.word(), rule.severity.word(), title.clone(), rule.hits.to_string(), tags, version, rule.id.clone()]
}

fn show(rule: &ManagedRule, json: bool, language: Language) {
    match json {
        true => output::json(rule),
        false => line(&printable(&row(rule, language).join("  "))),
    }
}

fn parse(state: &str) -> Result<RuleState> {
    state.parse().map_err(|error| anyhow::anyhow!("{error}")).with_context(|| format!("--state {state}"))
}

fn read(file: &PathBuf) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))
}

//! `hinomi indicators`

use crate::client::Client;
use crate::output::{self, exit, line, printable};
use anyhow::{Context, Result};
use clap::Subcommand;
use hinomi_api::NewIndicatorImport;
use hinomi_model::{
    ImportId, Indicator, IndicatorAction, IndicatorFormat, IndicatorImport, IndicatorWhy, Language, Severity, Timestamp,
};
use std::path::PathBuf;

/// Verbs of indicators.
#[derive(Debug, Subcommand)]
pub enum Indicators {
    /// List the indicators in force
    List {
        /// Kinds, separated by commas: fileSha256, domain, ip …
        #[arg(long)]
        kind: Option<String>,
        /// Part of the value or note
        #[arg(long)]
        text: Option<String>,
        /// Most indicators to list
        #[arg(long, default_value_t = 1000)]
        max: usize,
    },
    /// Tell what decides about a value, and why
    Why {
        /// A hash, address, domain, URL or sender
        value: String,
    },
    /// Take in a list: a table or one value a line, a STIX 2.1 bundle, a MISP event in JSON
    Import {
        /// The list
        file: PathBuf,
        /// What the list is called; the file's name when left out
        #[arg(long)]
        name: Option<String>,
        /// How it is written: auto, csv, stix, misp
        #[arg(long, default_value = "auto")]
        format: String,
        /// What happens where the list does not say it: allow, audit, block
        #[arg(long, default_value = "audit")]
        action: String,
        /// Severity of alerts where the list does not say it
        #[arg(long, default_value = "medium")]
        severity: String,
        /// Why these values are here
        #[arg(long, default_value = "")]
        note: String,
        /// When they end, as 2027-01-31T00:00:00Z
        #[arg(long)]
        expires: Option<String>,
        /// What the list says about a value that has an indicator counts
        #[arg(long)]
        replace: bool,
        /// Only tell what would happen
        #[arg(long)]
        dry_run: bool,
    },
    /// List the lists that were taken in
    Imports {
        /// Most lists to show
        #[arg(long, default_value_t = 100)]
        max: usize,
    },
    /// Take out what a list added
    RemoveImport {
        /// Id of the list
        id: ImportId,
    },
}

impl Indicators {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the file cannot be read or the server says no.
    pub async fn run(self, client: &Client, json: bool, language: Language) -> Result<u8> {
        match self {
            Indicators::List { kind, text, max } => {
                let query = [("kind", kind), ("text", text)];
                let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
                let found = client.list::<Indicator>("/indicators", &query, max).await?.items;
                let head = ["ACTION", "KIND", "VALUE", "SEVERITY", "HITS", "ENDS", "BY", "NOTE"];
                Ok(output::list(json, &found, &head, |one| {
                    vec![
                        one.spec.action.word(),
                        one.spec.kind.word(),
                        one.spec.value.clone(),
                        one.spec.severity.word(),
                        one.hits.to_string(),
                        one.spec.expires_at.map(|at| at.to_string()).unwrap_or_default(),
                        one.created_by.clone(),
                        one.spec.note.clone(),
                    ]
                }))
            }
            Indicators::Why { value } => {
                let why: IndicatorWhy = client.get("/indicators/why", &[("value", value)]).await?;
                let known = !why.considered.is_empty();
                match json {
                    true => output::json(&why),
                    false => explain(&why, language),
                }
                Ok(if known { exit::DONE } else { exit::NOTHING })
            }
            Indicators::Import { file, name, format, action, severity, note, expires, replace, dry_run } => {
                let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
                let own = || file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let ends = |text: &String| Timestamp::parse(text).with_context(|| format!("--expires {text}"));
                let body = NewIndicatorImport {
                    name: name.unwrap_or_else(own),
                    text,
                    format: format.parse::<IndicatorFormat>().with_context(|| format!("--format {format}"))?,
                    action: action.parse::<IndicatorAction>().with_context(|| format!("--action {action}"))?,
                    severity: severity.parse::<Severity>().with_context(|| format!("--severity {severity}"))?,
                    note,
                    expires_at: expires.as_ref().map(ends).transpose()?,
                    replace,
                    dry_run,
                };
                let import: IndicatorImport = client.post("/indicators/imports", &body).await?;
                match json {
                    true => output::json(&import),
                    false => show(&import, language),
                }
                Ok(if import.added + import.changed + import.unchanged > 0 { exit::DONE } else { exit::NOTHING })
            }
            Indicators::Imports { max } => {
                let imports = client.list::<IndicatorImport>("/indicators/imports", &[], max).await?.items;
                let head = ["ID", "NAME", "AT", "BY", "ADDED", "CHANGED", "UNCHANGED", "REFUSED", "REMOVED"];
                Ok(output::list(json, &imports, &head, |one| {
                    vec![
                        one.id.to_string(),
                        one.name.clone(),
                        one.at.to_string(),
                        one.by.clone(),
                        one.added.to_string(),
                        one.changed.to_string(),
                        one.unchanged.to_string(),
                        one.refused_count.to_string(),
                        one.removed_at.map(|at| at.to_string()).unwrap_or_default(),
                    ]
                }))
            }
            Indicators::RemoveImport { id } => {
                let import: IndicatorImport = client.delete(&format!("/indicators/imports/{id}")).await?;
                match json {
                    true => output::json(&import),
                    false => show(&import, language),
                }
                Ok(exit::DONE)
            }
        }
    }
}

fn show(import: &IndicatorImport, language: Language) {
    let IndicatorImport { name, added, changed, unchanged, refused_count, .. } = import;
    let japanese = language == Language::Ja;
    let begin = match (import.dry_run, import.removed_at.is_some(), japanese) {
        (true, _, false) => "would be taken in: ",
        (true, _, true) => "取り込みの予定: ",
        (_, true, false) => "taken out again: ",
        (_, true, true) => "取り消しました: ",
        _ => "",
    };
    line(&printable(&match japanese {
        true => {
            format!("{name}: {begin}追加 {added}、変更 {changed}、変更なし {unchanged}、使えない項目 {refused_count}")
        }
        false => {
            format!("{name}: {begin}added {added}, changed {changed}, unchanged {unchanged}, refused {refused_count}")
        }
    }));
    for refused in &import.refused {
        let why = if japanese { &refused.reason.ja } else { &refused.reason.en };
        line(&printable(&format!("  {} {}: {why}", refused.place, refused.value)));
    }
    if import.beyond_sensors > 0 {
        line(&match japanese {
            true => format!("センサーに配布しきれないファイル ハッシュ: {}", import.beyond_sensors),
            false => format!("file hashes that do not fit on the sensors' list: {}", import.beyond_sensors),
        });
    }
}

fn explain(why: &IndicatorWhy, language: Language) {
    if why.considered.is_empty() {
        line(&printable(&format!("{}: no indicator says anything about it", why.value)));
    }
    for one in &why.considered {
        let reason = if language == Language::Ja { &one.reason.ja } else { &one.reason.en };
        let mark = if why.decided_by == Some(one.id) { "→" } else { " " };
        let places: Vec<String> = one.enforced_by.iter().map(|place| place.word()).collect();
        line(&printable(&format!(
            "{mark} {} {} {} [{}] {reason}",
            one.action.word(),
            one.kind.word(),
            one.value,
            places.join(", ")
        )));
    }
}

//! `hinomi indicators`

use crate::client::Client;
use crate::output::{self, exit, line, printable};
use anyhow::{Context, Result};
use clap::Subcommand;
use hinomi_api::{NewFeedRun, NewIndicatorImport, NewIndicatorLook};
use hinomi_model::{
    FeedRun, FeedRunState, ImportId, Indicator, IndicatorAction, IndicatorFeed, IndicatorFormat, IndicatorId,
    IndicatorImport, IndicatorLook, IndicatorReach, IndicatorScope, IndicatorWhy, Language, LookState, Severity, Text,
    Timestamp,
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
        /// What happens where the list does not say it: allow, audit, warn, block, blockAndRemediate
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
        /// Counts on devices with this tag (may be given several times); everywhere when left out
        #[arg(long = "device-tag")]
        device_tags: Vec<String>,
        /// Counts for mail to this domain (may be given several times); everywhere when left out
        #[arg(long = "mail-domain")]
        mail_domains: Vec<String>,
        /// What the list says about a value that has an indicator counts
        #[arg(long)]
        replace: bool,
        /// Only tell what would happen
        #[arg(long)]
        dry_run: bool,
    },
    /// Compare indicators with the events and mail that are there already
    Look {
        /// Ids of indicators
        #[arg(required = true)]
        ids: Vec<IndicatorId>,
        /// Days to look back
        #[arg(long, default_value_t = 30)]
        days: i64,
        /// Do not wait for the end
        #[arg(long)]
        no_wait: bool,
    },
    /// List looks back and what they found
    Looks {
        /// Most looks to show
        #[arg(long, default_value_t = 20)]
        max: usize,
    },
    /// Tell which devices have an indicator in force, do not have it yet, or cannot
    Devices {
        /// Id of the indicator
        id: IndicatorId,
    },
    /// List the feeds and how they do
    Feeds,
    /// Fetch a feed now
    Fetch {
        /// Name of the feed
        name: String,
        /// Only tell what it would do
        #[arg(long)]
        dry_run: bool,
    },
    /// List what a feed brought
    FeedRuns {
        /// Name of the feed
        name: String,
        /// Most runs to show
        #[arg(long, default_value_t = 20)]
        max: usize,
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
            Indicators::Import {
                file,
                name,
                format,
                action,
                severity,
                note,
                expires,
                device_tags,
                mail_domains,
                replace,
                dry_run,
            } => {
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
                    scope: IndicatorScope { device_tags, mail_domains },
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
            Indicators::Look { ids, days, no_wait } => {
                let body = NewIndicatorLook { indicators: ids, days };
                let mut look: IndicatorLook = client.post("/indicators/looks", &body).await?;
                while !no_wait && !matches!(look.state, LookState::Done | LookState::Failed) {
                    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                    look = client.get(&format!("/indicators/looks/{}", look.id), &[]).await?;
                }
                match json {
                    true => output::json(&look),
                    false => tell_look(&look, language),
                }
                let found = no_wait || look.found_count > 0;
                Ok(if found { exit::DONE } else { exit::NOTHING })
            }
            Indicators::Looks { max } => {
                let looks = client.list::<IndicatorLook>("/indicators/looks", &[], max).await?.items;
                match json {
                    true => looks.iter().for_each(output::json),
                    false => looks.iter().for_each(|look| tell_look(look, language)),
                }
                Ok(if looks.is_empty() { exit::NOTHING } else { exit::DONE })
            }
            Indicators::Devices { id } => {
                let reach: IndicatorReach = client.get(&format!("/indicators/{id}/devices"), &[]).await?;
                match json {
                    true => output::json(&reach),
                    false => tell_reach(&reach, language),
                }
                Ok(if reach.in_force > 0 { exit::DONE } else { exit::NOTHING })
            }
            Indicators::Feeds => {
                let feeds = client.list::<IndicatorFeed>("/indicators/feeds", &[], 1_000).await?.items;
                let head = ["NAME", "KIND", "ACTION", "NEXT", "FAILING SINCE", "LAST", "ADDED", "CHANGED", "REFUSED"];
                let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
                Ok(output::list(json, &feeds, &head, |feed| {
                    let last = feed.last_run.as_ref();
                    vec![
                        feed.name.clone(),
                        feed.kind.word(),
                        feed.action.word(),
                        time(feed.next_at),
                        time(feed.failing_since),
                        last.map(|run| format!("{} {}", run.at, run.state.word())).unwrap_or_default(),
                        last.map(|run| run.added.to_string()).unwrap_or_default(),
                        last.map(|run| run.changed.to_string()).unwrap_or_default(),
                        last.map(|run| run.refused_count.to_string()).unwrap_or_default(),
                    ]
                }))
            }
            Indicators::Fetch { name, dry_run } => {
                let path = format!("/indicators/feeds/{name}/runs");
                let mut run: FeedRun = client.post(&path, &NewFeedRun { dry_run }).await?;
                while matches!(run.state, FeedRunState::Waiting | FeedRunState::Running) {
                    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                    run = client.get(&format!("/indicators/feed-runs/{}", run.id), &[]).await?;
                }
                match json {
                    true => output::json(&run),
                    false => tell_run(&run, language),
                }
                Ok(if run.state == FeedRunState::Failed { exit::NOTHING } else { exit::DONE })
            }
            Indicators::FeedRuns { name, max } => {
                let runs = client.list::<FeedRun>(&format!("/indicators/feeds/{name}/runs"), &[], max).await?.items;
                match json {
                    true => runs.iter().for_each(output::json),
                    false => runs.iter().for_each(|run| tell_run(run, language)),
                }
                Ok(if runs.is_empty() { exit::NOTHING } else { exit::DONE })
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

fn tell_reach(reach: &IndicatorReach, language: Language) {
    let IndicatorReach { in_force, not_yet, cannot, out_of_scope, .. } = reach;
    line(&match language {
        Language::Ja => {
            format!("適用済み {in_force} 台、未適用 {not_yet} 台、適用不可 {cannot} 台、対象外 {out_of_scope} 台")
        }
        Language::En => {
            format!(
                "in force on {in_force} devices, not yet on {not_yet}, cannot on {cannot}, out of scope {out_of_scope}"
            )
        }
    });
    for one in &reach.devices {
        let reason = one.reason.as_ref().map(|text| if language == Language::Ja { &text.ja } else { &text.en });
        let reason = reason.map(String::as_str).unwrap_or_default();
        line(&printable(&format!("  {} {} {} {reason}", one.state.word(), one.id, one.name)));
    }
}

fn tell_run(run: &FeedRun, language: Language) {
    let FeedRun { feed, at, added, changed, unchanged, removed, refused_count, requests, bytes, .. } = run;
    let state = run.state.word();
    let dry = match (run.dry_run, language) {
        (false, _) => "",
        (true, Language::Ja) => " (試行)",
        (true, Language::En) => " (dry run)",
    };
    line(&printable(&match language {
        Language::Ja => format!(
            "{feed} {at} {state}{dry}: 追加 {added}、変更 {changed}、変更なし {unchanged}、取り消し {removed}、\
             使えない項目 {refused_count}、リクエスト {requests}、{bytes} バイト"
        ),
        Language::En => format!(
            "{feed} {at} {state}{dry}: added {added}, changed {changed}, unchanged {unchanged}, taken back {removed}, \
             refused {refused_count}, {requests} requests, {bytes} bytes"
        ),
    }));
    let text = |text: &Text| if language == Language::Ja { text.ja.clone() } else { text.en.clone() };
    if let Some(reason) = &run.reason {
        line(&printable(&format!("  {}", text(reason))));
    }
    for refused in &run.refused {
        line(&printable(&format!("  {} {}: {}", refused.place, refused.value, text(&refused.reason))));
    }
}

fn tell_look(look: &IndicatorLook, language: Language) {
    let IndicatorLook { id, at, state, days_done, days, events, messages, found_count, .. } = look;
    let state = state.word();
    line(&printable(&match language {
        Language::Ja => format!(
            "{id} {at} {state}: {days_done}/{days} 日、イベント {events} 件、メール {messages} 通、該当 {found_count} 件"
        ),
        Language::En => format!(
            "{id} {at} {state}: {days_done} of {days} days, {events} events, {messages} messages, {found_count} seen"
        ),
    }));
    if let Some(reason) = &look.reason {
        line(&printable(if language == Language::Ja { &reason.ja } else { &reason.en }));
    }
    for one in &look.found {
        let (action, kind) = (one.action.word(), one.kind.word());
        let (devices, mailboxes) = (one.device_count, one.mailbox_count);
        let seen = match language {
            Language::Ja => format!("{} 回、デバイス {devices} 台、メールボックス {mailboxes} 個", one.hits),
            Language::En => format!("{} times, {devices} devices, {mailboxes} mailboxes", one.hits),
        };
        line(&printable(&format!("  {action} {kind} {}: {seen}, {}..{}", one.value, one.first_seen, one.last_seen)));
    }
}

fn explain(why: &IndicatorWhy, language: Language) {
    let in_language = |text: &Text| if language == Language::Ja { text.ja.clone() } else { text.en.clone() };
    if why.considered.is_empty() {
        line(&printable(&format!("{}: no indicator says anything about it", why.value)));
        return;
    }
    line(&in_language(&why.precedence));
    for one in &why.considered {
        let mark = if why.decided_by == Some(one.id) { "→" } else { " " };
        let (action, kind, reason) = (one.action.word(), one.kind.word(), in_language(&one.reason));
        line(&printable(&format!("{mark} {action} {kind} {} {reason}", one.value)));
        if !one.scope.is_everything() {
            let tags = one.scope.device_tags.iter().map(|tag| format!("tag:{tag}"));
            let domains = one.scope.mail_domains.iter().map(|domain| format!("mail:{domain}"));
            line(&printable(&format!("    {}", tags.chain(domains).collect::<Vec<_>>().join(" "))));
        }
        for effect in one.effects.iter().filter(|_| !one.ended) {
            let mark = if effect.enforced { "+" } else { "-" };
            line(&printable(&format!("    {mark} {}: {}", effect.place.word(), in_language(&effect.text))));
        }
    }
}

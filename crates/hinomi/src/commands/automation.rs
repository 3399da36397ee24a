//! `hinomi automation`

use crate::client::Client;
use crate::output::{self, exit, line};
use anyhow::{Context, Result};
use clap::Subcommand;
use hinomi_api::{AutomationPreview, PreviewAutomation, PreviewOutcome, UpdateAutomation};
use hinomi_model::{AutomationHours, AutomationPolicy, AutomationScope, Language, Unanswered, UnansweredThen};
use std::path::{Path, PathBuf};

/// Verbs of the automation policy.
#[derive(Debug, Subcommand)]
pub enum Automation {
    /// Show what may happen without a person
    Show,
    /// Change it by a JSON document: what is left out stays
    Set {
        /// File with the change; - reads standard input
        file: PathBuf,
        /// Change only this version of the policy
        #[arg(long)]
        version: Option<i64>,
    },
    /// Tell what a level or a policy would have done with the actions proposed lately
    Preview {
        /// The server's level in place of the present one (full, semiCore, semiTemp, semiAll, none)
        #[arg(long)]
        level: Option<String>,
        /// File with a change of the policy, as for set
        #[arg(long)]
        file: Option<PathBuf>,
        /// Days looked back, at most 90
        #[arg(long, default_value_t = 30)]
        days: u32,
        /// List the actions too
        #[arg(long)]
        list: bool,
    },
}

impl Automation {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn run(self, client: &Client, json: bool, language: Language) -> Result<u8> {
        match self {
            Automation::Show => {
                let policy: AutomationPolicy = client.get("/automation", &[]).await?;
                Ok(show(&policy, json))
            }
            Automation::Set { file, version } => {
                let policy = client.patch_at("/automation", &read(&file)?, version).await?;
                Ok(show(&policy, json))
            }
            Automation::Preview { level, file, days, list } => {
                let level = level.map(|word| word.parse().map_err(|error| anyhow::anyhow!("{error}"))).transpose()?;
                let change = file.as_deref().map(read).transpose()?.unwrap_or_default();
                let body = PreviewAutomation { automation_level: level, change, days };
                let preview: AutomationPreview = client.post("/automation/preview", &body).await?;
                Ok(tell(&preview, json, list, language))
            }
        }
    }
}

fn read(file: &Path) -> Result<UpdateAutomation> {
    let text = match file == Path::new("-") {
        true => std::io::read_to_string(std::io::stdin()).context("read standard input")?,
        false => std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?,
    };
    serde_json::from_str(&text).with_context(|| format!("read {}", file.display()))
}

fn show(policy: &AutomationPolicy, json: bool) -> u8 {
    if json {
        output::json(policy);
        return exit::DONE;
    }
    let mut rows = Vec::new();
    for group in &policy.groups {
        rows.extend(scope(&format!("{} ({})", group.name, group.device_tags.join(", ")), &group.rules));
    }
    rows.extend(scope("devices", &policy.devices));
    rows.extend(scope("mail", &policy.mail));
    output::list(false, &rows, &["WHERE", "WHEN", "LEVEL", "NOBODY ANSWERS"], Clone::clone);
    let list = |entries: &[String]| if entries.is_empty() { "-".to_owned() } else { entries.join(", ") };
    let guards = &policy.guards;
    for (name, value) in [
        ("time zone", policy.time_zone.clone()),
        ("expires after", format!("{} h, told {} h before", policy.expiry_hours, policy.notice_hours)),
        ("two persons", list(&policy.two_persons)),
        ("protected processes", list(&guards.processes)),
        ("protected devices", list(&guards.devices)),
        ("protected tags", list(&guards.device_tags)),
        ("protected mailboxes", list(&guards.mailboxes)),
        ("at most", format!("{} copies, {} devices", guards.copies_max, guards.devices_max)),
        ("version", policy.version.to_string()),
    ] {
        line(&output::printable(&format!("{name:<20} {value}")));
    }
    exit::DONE
}

fn scope(name: &str, scope: &AutomationScope) -> Vec<Vec<String>> {
    let level = |level: Option<hinomi_model::AutomationLevel>| level.map_or("-".to_owned(), |level| level.word());
    let row = |of: &AutomationHours| {
        let days: Vec<String> = of.days.iter().map(|day| day.word()).collect();
        let when = format!("{} {}-{}", days.join(" "), of.from, of.to);
        vec![name.to_owned(), when, level(of.level), of.unanswered.map_or("-".to_owned(), answer)]
    };
    let always = vec![name.to_owned(), "else".to_owned(), level(scope.level), answer(scope.unanswered)];
    scope.hours.iter().map(row).chain([always]).collect()
}

fn answer(unanswered: Unanswered) -> String {
    match unanswered.then {
        UnansweredThen::Wait => "wait".to_owned(),
        then => format!("{} after {} min", then.word(), unanswered.minutes),
    }
}

fn tell(preview: &AutomationPreview, json: bool, list: bool, language: Language) -> u8 {
    if json {
        output::json(preview);
        return exit::DONE;
    }
    let head = ["ACTION", "RUN", "ANSWERED", "WAIT", "RUN UNANSWERED", "EXPIRE", "ESCALATE"];
    output::list(false, &preview.counts, &head, |one| {
        let counts = [one.ran, one.answered, one.waited, one.ran_unanswered, one.expired, one.escalated];
        std::iter::once(one.kind.clone()).chain(counts.map(|count| count.to_string())).collect()
    });
    if list {
        output::list(false, &preview.items, &["ID", "ACTION", "OUTCOME", "AT", "WHY"], |item| {
            let (id, kind) = (item.action.id.to_string(), item.action.spec.kind().to_owned());
            vec![id, kind, word(item.outcome).to_owned(), item.at.to_string(), item.reason.get(language).to_owned()]
        });
    }
    let cut = if preview.cut { ", the newest of more" } else { "" };
    line(&format!("{} actions since {}{cut}", preview.actions, preview.from));
    exit::DONE
}

fn word(outcome: PreviewOutcome) -> &'static str {
    match outcome {
        PreviewOutcome::Ran => "run",
        PreviewOutcome::Answered => "answered",
        PreviewOutcome::Waited => "wait",
        PreviewOutcome::RanUnanswered => "run unanswered",
        PreviewOutcome::Expired => "expire",
        PreviewOutcome::Escalated => "escalate",
    }
}

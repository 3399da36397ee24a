//! `hinomi pivot`

use crate::client::Client;
use crate::output::{self, exit, line, printable};
use anyhow::{Context, Result};
use clap::Args;
use hinomi_api::Pivot;
use hinomi_model::{EntityKey, Language, PivotType};

/// Steps shown as a table.
const STEPS_SHOWN: usize = 40;

/// What to pivot on.
#[derive(Debug, Args)]
pub struct PivotCommand {
    /// A hash, URL, domain, IP address, mail address, Message-ID, account or device
    value: String,
    /// What it is: sha256, sha1, md5, url, domain, ip, mailAddress, internetMessageId, message, account, device
    #[arg(long = "type", value_name = "TYPE")]
    pivot_type: Option<String>,
}

impl PivotCommand {
    /// Asks and prints; exit code 1 when nobody has seen the value.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn run(self, client: &Client, json: bool, language: Language) -> Result<u8> {
        let mut query = vec![("value", self.value)];
        if let Some(word) = self.pivot_type {
            let pivot_type: PivotType = word.parse().with_context(|| format!("--type {word}"))?;
            query.push(("type", pivot_type.word()));
        }
        let pivot: Pivot = client.get("/pivot", &query).await?;
        if json {
            output::json(&pivot);
        } else {
            print(&pivot, language);
        }
        Ok(if pivot.known { exit::DONE } else { exit::NOTHING })
    }
}

fn print(pivot: &Pivot, language: Language) {
    let Pivot { value, devices, messages, .. } = pivot;
    line(&printable(&format!("{} {value}: {}", pivot.pivot_type.word(), pivot.verdict.word())));
    let count = |total: i64, exact: bool| format!("{}{total}", if exact { "" } else { "≥" });
    line(&format!(
        "devices {}, messages {}, people {}, alerts {}",
        count(devices.total, devices.exact),
        count(messages.total, messages.exact),
        pivot.people.len(),
        pivot.alerts.len()
    ));
    let time = |at: Option<hinomi_model::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    if pivot.first_seen.is_some() {
        line(&format!("first seen {}, last seen {}", time(pivot.first_seen), time(pivot.last_seen)));
    }
    table("how far it came", &pivot.reach, &["STAGE", "FIRST", "LAST", "DEVICES", "MAILBOXES"], |reach| {
        let counts = [reach.devices.to_string(), reach.mailboxes.to_string()];
        [vec![reach.stage.word(), reach.first.to_string(), reach.last.to_string()], counts.to_vec()].concat()
    });
    let steps = &pivot.steps[..pivot.steps.len().min(STEPS_SHOWN)];
    table("what happened", steps, &["TIME", "STAGE", "WHERE", "BY", "DETAIL"], |step| {
        let by = step.by.clone().unwrap_or_default();
        vec![step.at.to_string(), step.stage.word(), step.place.clone(), by, step.detail.clone()]
    });
    table("devices", &devices.items, &["NAME", "FIRST", "LAST", "COUNT", "ACCOUNT", "CALLED"], |device| {
        vec![
            device.name.clone(),
            device.first_seen.to_string(),
            device.last_seen.to_string(),
            device.count.to_string(),
            device.account.clone().unwrap_or_default(),
            device.called.clone(),
        ]
    });
    let copies: Vec<_> = messages.items.iter().flat_map(|one| one.copies.iter().map(move |copy| (one, copy))).collect();
    table(
        "mailboxes",
        &copies,
        &["RECEIVED", "MAILBOX", "NOW IN", "SENDER", "SUBJECT", "CARRIED AS"],
        |(one, copy)| {
            let now = copy.folder.clone().unwrap_or_else(|| copy.latest_location.word());
            vec![
                one.received_at.to_string(),
                copy.recipient.clone(),
                now,
                one.sender.clone(),
                one.subject.clone(),
                one.carried_as.join(" > "),
            ]
        },
    );
    table("people", &pivot.people, &["NAME", "DEPARTMENT", "BY"], |found| {
        let by = found.by.iter().map(EntityKey::to_string).collect::<Vec<_>>().join(", ");
        vec![found.person.name.clone(), found.person.department.clone().unwrap_or_default(), by]
    });
    table("related", &pivot.related, &["RELATION", "WHAT", "NAME", "DEVICES"], |one| {
        vec![one.relation.word(), one.entity.to_string(), one.name.clone(), one.devices.to_string()]
    });
    table("incidents", &pivot.incidents, &["NUMBER", "SEVERITY", "STATUS", "TITLE"], |one| {
        let title = if language == Language::Ja { &one.title.ja } else { &one.title.en };
        vec![format!("INC-{}", one.number), one.severity.word(), one.status.word(), title.clone()]
    });
    if pivot.steps.len() > STEPS_SHOWN || !pivot.truncated.is_empty() {
        line(&format!("not everything is shown: {}", pivot.truncated.join(", ")));
    }
}

fn table<T: serde::Serialize>(title: &str, items: &[T], head: &[&str], row: impl Fn(&T) -> Vec<String>) {
    if !items.is_empty() {
        line(&format!("\n{title}"));
        output::list(false, items, head, row);
    }
}

//! `hinomi notifications`

use crate::client::Client;
use crate::output::{self, exit, line};
use anyhow::Result;
use clap::Subcommand;
use hinomi_api::{ChannelTest, NotificationChannels};
use hinomi_model::Notification;
use serde_json::json;

/// Verbs of notifications.
#[derive(Debug, Subcommand)]
pub enum Notifications {
    /// List what was sent, newest first
    List {
        /// States, separated by commas (pending, sent, held, digested, failed, dropped)
        #[arg(long)]
        state: Option<String>,
        /// Channel
        #[arg(long)]
        channel: Option<String>,
        /// Most notifications to list
        #[arg(long, default_value_t = 100)]
        max: usize,
    },
    /// List the channels
    Channels,
    /// Send a test to a channel; exit code 1 when it was not taken
    Test {
        /// Name of the channel
        channel: String,
    },
    /// Send a notification again that was given up
    Resend {
        /// Id
        id: String,
    },
}

impl Notifications {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn run(self, client: &Client, json: bool) -> Result<u8> {
        let head = ["TIME", "CHANNEL", "KIND", "SEVERITY", "INCIDENT", "STATE", "TRIES", "ANSWER", "ID"];
        let row = |one: &Notification| {
            vec![
                one.created_at.to_string(),
                one.channel.clone(),
                one.kind.word(),
                one.severity.map(|severity| severity.word()).unwrap_or_default(),
                one.incident.map(|number| format!("INC-{number}")).unwrap_or_default(),
                one.state.word(),
                one.attempts.to_string(),
                one.answer.clone(),
                one.id.to_string(),
            ]
        };
        match self {
            Notifications::List { state, channel, max } => {
                let query = [("state", state), ("channel", channel)];
                let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
                let items = client.list::<Notification>("/notifications", &query, max).await?.items;
                Ok(output::list(json, &items, &head, row))
            }
            Notifications::Channels => {
                let items = client.get::<NotificationChannels>("/notifications/channels", &[]).await?.items;
                let head = ["NAME", "KIND", "TO", "LANGUAGE", "RULES", "LAST", "ANSWER"];
                Ok(output::list(json, &items, &head, |one| {
                    let last = one.last.as_ref();
                    vec![
                        one.name.clone(),
                        one.kind.clone(),
                        one.place.clone(),
                        format!("{:?}", one.language).to_lowercase(),
                        one.rules.join(", "),
                        last.map(|last| last.state.word()).unwrap_or_default(),
                        last.map(|last| last.answer.clone()).unwrap_or_default(),
                    ]
                }))
            }
            Notifications::Test { channel } => {
                let path = format!("/notifications/channels/{}/test", urlencoded(&channel));
                let tried: ChannelTest = client.post(&path, &json!({})).await?;
                if json {
                    output::json(&tried);
                } else {
                    line(&output::printable(&tried.answer));
                }
                Ok(if tried.ok { exit::DONE } else { exit::NOTHING })
            }
            Notifications::Resend { id } => {
                let one: Notification =
                    client.post(&format!("/notifications/{}/resend", urlencoded(&id)), &json!({})).await?;
                Ok(output::list(json, &[one], &head, row))
            }
        }
    }
}

/// A name as one part of a path.
fn urlencoded(text: &str) -> String {
    let mut path = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => path.push(char::from(byte)),
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
    path
}

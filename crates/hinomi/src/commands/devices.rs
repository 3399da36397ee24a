//! `hinomi devices`

use crate::client::Client;
use crate::output;
use anyhow::Result;
use clap::Subcommand;
use hinomi_model::Device;

/// Verbs of devices.
#[derive(Debug, Subcommand)]
pub enum Devices {
    /// List devices
    List {
        /// Part of the name, an address or a user
        text: Option<String>,
        /// Most devices to list
        #[arg(long, default_value_t = 1000)]
        max: usize,
    },
}

impl Devices {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn run(self, client: &Client, json: bool) -> Result<u8> {
        let Devices::List { text, max } = self;
        let query: Vec<_> = text.map(|text| ("text", text)).into_iter().collect();
        let devices = client.list::<Device>("/devices", &query, max).await?.items;
        let head = ["NAME", "ID", "OS", "HEALTH", "ONLINE", "ISOLATION", "LAST SEEN"];
        Ok(output::list(json, &devices, &head, |device| {
            vec![
                device.name.clone(),
                device.id.to_string(),
                device.status.os_version.clone(),
                device.health.word(),
                if device.online { "yes" } else { "no" }.to_owned(),
                device.isolation.word(),
                device.last_seen.to_string(),
            ]
        }))
    }
}

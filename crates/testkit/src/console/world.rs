//! What is outside the browser: one server, one mail server, devices that replay scenarios.

use super::ConsoleConfig;
use crate::mail::{MailRig, MailRigConfig};
use crate::process::free_address;
use crate::replay::{Replay, now};
use crate::server::ServerProcess;
use crate::story::mails::{SENDER, Sample};
use anyhow::{Context, Result, ensure};
use hinomi_model::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Domain of the organisation in the scenarios and here.
const DOMAINS: [&str; 2] = ["corp.example", "example.test"];
/// Mailboxes of the organisation, and how many the attack reaches.
const MAILBOXES: usize = 14;
const REACHED: usize = 12;
/// Hashes of the script and its archive in `scenarios/mail-attachment-linux`.
const SCRIPT: &str = "e6a3c7d72a7140858d9fdefe73200fe303797e2829e0a96081424cd5e7260877";
const ARCHIVE: &str = "b6d25ecb0051db174e07044f9b2769d8d01fbec8f1cd226c80060b4989353ec5";
/// Longest wait for a mail to arrive.
const SOON: Duration = Duration::from_secs(30);

/// What the script asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// A device of this name enrols with a token. Answers its id.
    Enrol { token: String, name: String },
    /// The mail with the archive is sent to 12 mailboxes. Answers the script's hash.
    Mail,
    /// A device replays what a scenario recorded of it. Answers how many events.
    Play { scenario: String, device: String },
    /// The way to the mail server opens or closes.
    Mailboxes { open: bool },
    /// A device loses or regains its connection.
    Online { device: String, online: bool },
    /// Answers how many mails the 12 mailboxes hold in their inboxes.
    Count,
}

/// Everything that runs.
pub struct World {
    pub server: ServerProcess,
    config: ConsoleConfig,
    dir: tempfile::TempDir,
    rig: MailRig,
    /// Where the server looks for mailboxes; nobody listens there until the way is opened.
    imap: SocketAddr,
    gate: Option<JoinHandle<()>>,
    devices: HashMap<String, Replay>,
    /// What differs between the recordings and this run.
    replace: Vec<(String, String)>,
}

impl World {
    pub async fn start(config: &ConsoleConfig) -> Result<World> {
        let dir = tempfile::Builder::new().prefix("hinomi-console").tempdir()?;
        let milter = free_address()?;
        let rig =
            MailRig::start(MailRigConfig { users: MAILBOXES, milter: Some(milter), ..Default::default() }).await?;
        let imap = free_address()?;
        let mailboxes = mailboxes(dir.path(), &rig, imap)?;
        let mut server =
            ServerProcess::new(&config.binaries.join("hinomi"), &dir.path().join("server"), Some(milter), &mailboxes)?;
        server.start(None).await?;
        Ok(World {
            server,
            config: config.clone(),
            dir,
            rig,
            imap,
            gate: None,
            devices: HashMap::new(),
            replace: vec![(DOMAINS[0].to_owned(), DOMAINS[1].to_owned())],
        })
    }

    pub async fn answer(&mut self, ask: Ask) -> Result<Value> {
        match ask {
            Ask::Enrol { token, name } => {
                let device = Replay::enrol(&token, &self.dir.path().join(&name), &name).await?;
                let id = device.device_id;
                self.devices.insert(name, device);
                Ok(json!(id))
            }
            Ask::Mail => self.mail().await.map(|hash| json!(hash)),
            Ask::Play { scenario, device } => self.play(&scenario, &device).map(|events| json!(events)),
            Ask::Mailboxes { open } => {
                if let Some(gate) = self.gate.take() {
                    gate.abort();
                }
                if open {
                    let listener = TcpListener::bind(self.imap).await.context("open the way to the mail server")?;
                    self.gate = Some(tokio::spawn(forward(listener, self.rig.imap_addr)));
                }
                Ok(Value::Null)
            }
            Ask::Online { device, online } => {
                let device = self.devices.get_mut(&device).context("no such device")?;
                device.disconnect();
                if online {
                    device.connect()?;
                }
                Ok(Value::Null)
            }
            Ask::Count => {
                let mut count = 0;
                for user in &self.rig.users[..REACHED] {
                    count += self.rig.imap(user).await?.count("INBOX").await?;
                }
                Ok(json!(count))
            }
        }
    }

    async fn mail(&mut self) -> Result<String> {
        let sample = Sample::new(SocketAddr::from(([198, 51, 100, 7], 80)))?;
        let hash = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
        let script = hash(&sample.script);
        self.replace.extend([(SCRIPT.to_owned(), script.clone()), (ARCHIVE.to_owned(), hash(&sample.archive))]);
        let reached: Vec<&str> = self.rig.users[..REACHED].iter().map(String::as_str).collect();
        self.rig.send(SENDER, &reached, &sample.mail(reached[0])).await?;
        for mailbox in reached {
            self.rig.wait_for(mailbox, 1, SOON).await?;
        }
        Ok(script)
    }

    fn play(&self, scenario: &str, name: &str) -> Result<usize> {
        let device = self.devices.get(name).context("no such device")?;
        let folder = self.config.workspace.join("scenarios").join(scenario).join("events");
        let recording = recording(folder, name)?;
        let last = recording.lines().filter_map(time_of).max().context("a recording without times")?;
        device.play(&recording, now().as_micros() - last.as_micros(), &self.replace)
    }

    pub async fn stop(mut self, broken: bool) {
        self.devices.clear();
        let ended = self.server.terminate().await;
        if let Some(gate) = self.gate.take() {
            gate.abort();
        }
        if broken || ended.is_err() {
            eprintln!("--- end of the server's log ---\n{}", self.server.log_end());
        }
    }
}

/// The configuration of the mailboxes, reached at `imap`. Writes the master password into `dir`.
fn mailboxes(dir: &Path, rig: &MailRig, imap: SocketAddr) -> Result<String> {
    let password = dir.join("master.password");
    std::fs::write(&password, &rig.master_password)?;
    Ok(format!(
        "[[mailboxes]]\nusers_file = \"{}\"\n\n[mailboxes.imap]\nhost = \"127.0.0.1\"\nport = {}\n\
         tls = \"none\"\nmaster_user = \"{}\"\npassword_file = \"{}\"\n",
        rig.users_file.display(),
        imap.port(),
        rig.master_user,
        password.display()
    ))
}

/// What a scenario recorded of a device; its file carries the device's name.
fn recording(folder: PathBuf, device: &str) -> Result<String> {
    ensure!(folder.is_dir(), "{} is no scenario", folder.display());
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(&format!("-{device}.jsonl")) {
            return Ok(std::fs::read_to_string(path)?);
        }
    }
    anyhow::bail!("{} has nothing of {device}", folder.display())
}

fn time_of(line: &str) -> Option<Timestamp> {
    let value: Value = serde_json::from_str(line).ok()?;
    Timestamp::parse(value["Timestamp"].as_str()?)
}

/// Carries connections over to the mail server until it is dropped.
async fn forward(listener: TcpListener, to: SocketAddr) {
    while let Ok((mut from, _)) = listener.accept().await {
        tokio::spawn(async move {
            if let Ok(mut mail) = TcpStream::connect(to).await {
                let _ = tokio::io::copy_bidirectional(&mut from, &mut mail).await;
            }
        });
    }
}

//! The world of the story: one mail server, one Hinomi server, one endpoint.

use super::StoryConfig;
use super::api::Api;
use super::endpoint::Endpoint;
use super::network::Attacker;
use crate::mail::{MailRig, MailRigConfig};
use crate::process::{free_address, terminate, wait_for};
use anyhow::{Context, Result, bail};
use hinomi_model::{ActionId, AlertId, IncidentId, InvestigationId, MessageId};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Mailboxes of the organisation.
pub const MAILBOXES: usize = 50;
/// Mailboxes the attack reaches.
pub const REACHED: usize = 12;
/// Longest wait for a program to be ready.
const READY: Duration = Duration::from_secs(60);

/// A running Hinomi server.
pub struct Server {
    /// Console and API.
    pub url: String,
    /// Certificate of its authority, PEM.
    pub authority: PathBuf,
    /// One-time code of the first start.
    pub setup_code: String,
    child: Child,
}

/// Everything that runs, and what the steps have learnt so far.
pub struct World {
    pub config: StoryConfig,
    pub dir: PathBuf,
    temporary: Option<tempfile::TempDir>,
    pub rig: MailRig,
    pub server: Server,
    pub api: Api,
    pub attacker: Attacker,
    pub endpoint: Endpoint,
    pub known: Known,
}

/// What the steps have learnt.
#[derive(Default)]
pub struct Known {
    /// The attachment: file inside the archive.
    pub script_sha256: String,
    /// The raw mail.
    pub mail: Vec<u8>,
    /// The message at the gateway.
    pub message: Option<MessageId>,
    /// The incident.
    pub incident: Option<(IncidentId, i64)>,
    /// The first endpoint alert.
    pub alert: Option<AlertId>,
    /// Its investigation.
    pub investigation: Option<InvestigationId>,
    /// The action that removed the mails.
    pub removal: Option<ActionId>,
    /// The mails as they were before removal, by mailbox.
    pub before: Vec<(String, crate::mail::Mail)>,
}

impl World {
    /// Starts everything; what was started is stopped again when a part fails.
    pub async fn start(config: StoryConfig) -> Result<World> {
        let (dir, temporary) = match &config.keep {
            Some(keep) => {
                std::fs::create_dir_all(keep)?;
                (std::path::absolute(keep)?, None)
            }
            None => {
                let temporary = tempfile::Builder::new().prefix("hinomi-story").tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let milter = free_address()?;
        let rig =
            MailRig::start(MailRigConfig { users: MAILBOXES, milter: Some(milter), ..Default::default() }).await?;
        let server = Server::start(&config, &dir, &rig, milter).await?;
        let mut api = Api::new(&server.url, &std::fs::read(&server.authority)?)?;
        api.set_up(&server.setup_code).await?;
        let attacker = Attacker::start().await?;
        let endpoint = Endpoint::start(&config, &dir, &dir.join("sensor.token")).await?;
        let known = Known::default();
        Ok(World { config, dir, temporary, rig, server, api, attacker, endpoint, known })
    }

    /// Address of mailbox `n`, counted from 0.
    pub fn mailbox(&self, n: usize) -> &str {
        &self.rig.users[n]
    }

    /// The mailboxes the attack reaches.
    pub fn reached(&self) -> &[String] {
        &self.rig.users[..REACHED]
    }

    /// The administrators' mailboxes: Japanese and English.
    pub fn administrators(&self) -> [&str; 2] {
        [self.mailbox(MAILBOXES - 2), self.mailbox(MAILBOXES - 1)]
    }

    /// Stops everything; with `broken` the logs are shown.
    pub async fn stop(mut self, broken: bool) {
        self.endpoint.stop().await;
        self.server.stop().await;
        if broken {
            for name in ["server.log", "sensor.log"] {
                let log = std::fs::read_to_string(self.dir.join(name)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                eprintln!("--- end of {name} ---\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
            }
        }
        drop(self.rig);
        drop(self.temporary);
    }
}

impl Server {
    async fn start(config: &StoryConfig, dir: &Path, rig: &MailRig, milter: SocketAddr) -> Result<Server> {
        let (console, sensors) = (free_address()?, free_address()?);
        let url = format!("https://{console}");
        let password = dir.join("master.password");
        std::fs::write(&password, &rig.master_password)?;
        let [japanese, english] = [&rig.users[MAILBOXES - 2], &rig.users[MAILBOXES - 1]];
        let text = format!(
            r#"public_url = "{url}"
sensor_url = "https://{sensors}"

[listen]
console = "{console}"
sensors = "{sensors}"
milter = "{milter}"

[gateway]
own_domains = ["example.test"]
on_failure = "tempfail"

[[mailboxes]]
users_file = "{users}"

[mailboxes.imap]
host = "127.0.0.1"
port = {imap}
tls = "none"
master_user = "{master}"
password_file = "{password}"

[notify]
smtp = "smtp://{smtp}"
from = "hinomi@example.test"

[[notify.recipient]]
address = "{japanese}"
language = "ja"
severities = ["high", "medium"]

[[notify.recipient]]
address = "{english}"
language = "en"
severities = ["high", "medium"]

[investigation]
automation_level = "semiAll"
"#,
            imap = rig.imap_addr.port(),
            master = rig.master_user,
            password = password.display(),
            users = rig.users_file.display(),
            smtp = rig.smtp_addr,
        );
        let file = dir.join("hinomi.toml");
        std::fs::write(&file, text)?;
        let data = dir.join("server");
        let log = std::fs::File::create(dir.join("server.log"))?;
        let mut child = Command::new(config.binaries.join("hinomi"))
            .arg("serve")
            .arg("--data")
            .arg(&data)
            .arg("--config")
            .arg(&file)
            .arg("--write-enrolment-token")
            .arg(dir.join("sensor.token"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("start hinomi serve")?;
        let setup_code = setup_code(&mut child).await?;
        wait_for("the server to be ready", READY, async || Ok(data.join("ready.json").exists().then_some(()))).await?;
        Ok(Server { url, authority: data.join("keys/authority.pem"), setup_code, child })
    }

    async fn stop(&mut self) {
        terminate(&mut self.child).await;
    }
}

/// Reads the one-time code from what the server tells people at its first start; the rest of its
/// output is drained in the background.
async fn setup_code(child: &mut Child) -> Result<String> {
    let output = child.stdout.take().context("no output")?;
    let mut lines = BufReader::new(output).lines();
    let read = async {
        while let Some(line) = lines.next_line().await? {
            // the code is the only word of the line in this form: groups of capitals and digits
            let code = line.split_whitespace().find(|word| {
                word.len() >= 9
                    && word.contains('-')
                    && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-')
            });
            if let Some(code) = code {
                return Ok(code.to_owned());
            }
        }
        bail!("the server ended without a setup code")
    };
    let code = tokio::time::timeout(READY, read).await.context("no setup code")??;
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(code)
}

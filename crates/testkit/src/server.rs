//! The real server program over a data folder of its own: started, killed, started again.

use crate::process::{free_address, terminate, wait_for};
use crate::story::api::Api;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// Longest wait for the program to be ready or to end.
const DEADLINE: Duration = Duration::from_secs(60);

/// A server program. It always listens on the same addresses, so that sensors and browsers find it
/// again after a restart.
pub struct ServerProcess {
    /// Console and API.
    pub url: String,
    /// Milter.
    pub milter: SocketAddr,
    /// Data folder, configuration and log lie here.
    dir: PathBuf,
    program: PathBuf,
    child: Option<Child>,
}

impl ServerProcess {
    /// Prepares a server in `dir`: nothing runs yet. `more` is added to its configuration (TOML).
    pub fn new(program: &Path, dir: &Path, milter: Option<SocketAddr>, more: &str) -> Result<ServerProcess> {
        let (console, sensors) = (free_address()?, free_address()?);
        let listens = milter.is_some();
        let milter = milter.map_or_else(free_address, Ok)?;
        // no public_url: what a person gets who configures nothing
        let url = format!("https://localhost:{}", console.port());
        let text = format!(
            "sensor_url = \"https://{sensors}\"\n\n[listen]\nconsole = \"{console}\"\n\
             sensors = \"{sensors}\"\nmilter = \"{milter}\"\n\n[gateway]\nenabled = {listens}\n\
             own_domains = [\"example.test\", \"corp.example\"]\non_failure = \"tempfail\"\n\n{more}"
        );
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("hinomi.toml"), text)?;
        Ok(ServerProcess { url, milter, dir: dir.to_owned(), program: program.to_owned(), child: None })
    }

    /// Data folder.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Starts the program and waits until it is ready; with `abort_at` it ends at that point.
    pub async fn start(&mut self, abort_at: Option<&str>) -> Result<()> {
        ensure!(self.child.is_none(), "the server runs");
        let file = |name: &str| OpenOptions::new().create(true).append(true).open(self.dir.join(name));
        let mut command = self.command("serve");
        match abort_at {
            Some(point) => command.env("HINOMI_ABORT_AT", point),
            None => command.env_remove("HINOMI_ABORT_AT"),
        };
        let mut child = command.stdin(Stdio::null()).stdout(file("said")?).stderr(file("log")?).spawn()?;
        let pid = child.id().context("the server ended")?;
        let ready = self.data().join("ready.json");
        let lives = wait_for("the server to be ready", DEADLINE, async || {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(Err(status)));
            }
            let Ok(text) = std::fs::read(&ready) else { return Ok(None) };
            let ready: Value = serde_json::from_slice(&text)?;
            ensure!(ready["pid"] == pid, "the ready file names another process");
            Ok(Some(Ok(())))
        })
        .await;
        self.child = Some(child);
        if let Err(status) = lives.with_context(|| self.log_end())? {
            // it may come to its point before it is ready
            ensure!(abort_at.is_some(), "the server ended with {status}\n{}", self.log_end());
        }
        Ok(())
    }

    /// `kill -9`
    pub async fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the server does not run")?;
        child.kill().await?;
        Ok(())
    }

    /// SIGTERM, and waits for its end.
    pub async fn terminate(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the server does not run")?;
        terminate(&mut child).await;
        let status = child.wait().await?;
        ensure!(status.success(), "the server ended with {status}\n{}", self.log_end());
        Ok(())
    }

    /// True when the program has ended by itself; it can be started again then.
    pub fn has_ended(&mut self) -> Result<bool> {
        let ended = match &mut self.child {
            Some(child) => child.try_wait()?.is_some(),
            None => true,
        };
        if ended {
            self.child = None;
        }
        Ok(ended)
    }

    /// The one-time code it told at its first start.
    pub async fn setup_code(&self) -> Result<String> {
        let said = self.dir.join("said");
        wait_for("the one-time code", DEADLINE, async || {
            let text = std::fs::read_to_string(&said)?;
            let line = text.lines().find_map(|line| line.strip_prefix("One-time code"));
            Ok(line.map(|code| code.trim().to_owned()))
        })
        .await
    }

    /// A client that has made and is the first administrator.
    pub async fn set_up(&self) -> Result<Api> {
        let code = self.setup_code().await?;
        let mut api = Api::new(&self.url, &std::fs::read(self.data().join("keys/authority.pem"))?)?;
        api.set_up(&code).await?;
        Ok(api)
    }

    /// Makes a one-time enrolment token.
    pub async fn enrolment_token(&self) -> Result<String> {
        let output = self.command("enrolment-token").arg("create").output().await?;
        ensure!(output.status.success(), "no token: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(&self.program);
        let config = self.dir.join("hinomi.toml");
        command.arg(what).kill_on_drop(true).env("HINOMI_DATA", self.data()).env("HINOMI_CONFIG", config);
        command
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

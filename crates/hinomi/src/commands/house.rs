//! `hinomi serve`, `check`, `backup`, `restore`: the house itself.

use crate::output::{self, exit, line};
use anyhow::{Context, Result};
use clap::Args;
use hinomi_server::backup::{self, Store};
use hinomi_server::config::Config;
use hinomi_server::keys::Keys;
use hinomi_server::mailboxes::worker::MailWorker;
use hinomi_server::serve::{ServeOptions, start};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Which server: its data folder and configuration.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Data folder of the server
    #[arg(long, env = "HINOMI_DATA")]
    pub data: PathBuf,
    /// Configuration file
    #[arg(long, env = "HINOMI_CONFIG")]
    pub config: Option<PathBuf>,
}

impl Place {
    /// Reads the configuration; the data folder comes with it.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub fn config(&self) -> Result<(Config, PathBuf)> {
        Ok((load(self.config.as_deref())?, self.data.clone()))
    }
}

fn load(path: Option<&Path>) -> Result<Config> {
    match path {
        Some(path) => Ok(Config::load(path)?),
        None => Ok(Config::default()),
    }
}

/// Opens the store of a server that exists.
///
/// # Errors
/// When there is no such folder or the store cannot be opened.
pub async fn open_store(config: &Config, data: &Path) -> Result<Store> {
    if !data.is_dir() {
        anyhow::bail!("{} is not a data folder of Hinomi", data.display());
    }
    backup::open_store(config, data).await
}

/// Opens the keys of a server.
///
/// # Errors
/// When they cannot be read.
pub fn open_keys(config: &Config, data: &Path) -> Result<Keys> {
    // the names of the running server's certificate stay as they are
    let names = std::fs::read_to_string(data.join("keys/server.names")).unwrap_or_default();
    let mut hosts: Vec<String> = names.lines().map(str::to_owned).collect();
    if hosts.is_empty() {
        hosts = vec!["localhost".to_owned(), config.listen.console.ip().to_string()];
    }
    Keys::open(data, &hosts)
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// When it cannot start, or a part failed.
pub async fn serve(place: Place, write_enrolment_token: Option<PathBuf>) -> Result<u8> {
    let (config, data) = place.config()?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    // this very program, also when its file was replaced since
    let mail_worker = MailWorker::Program(PathBuf::from("/proc/self/exe"));
    let options = ServeOptions { data: data.clone(), config, write_enrolment_token, mail_worker };
    let running = start(options).await?;
    line(&format!("Console            {}", running.ready.console_url));
    line(&format!("Authority          {}", data.join("keys/authority.pem").display()));
    if let Some(code) = &running.setup_code {
        line(&format!("One-time code      {code}"));
        line("Open the console and enter the code to make the first administrator.");
    }
    let stop = async move {
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
    };
    running.run_until(stop).await?;
    Ok(exit::DONE)
}

/// Checks a configuration file and says what it means.
///
/// # Errors
/// Never: problems are the answer.
pub fn check(path: Option<&Path>, json: bool) -> Result<u8> {
    match load(path) {
        Ok(config) if json => {
            output::json(&serde_json::json!({ "ok": true, "config": config }));
            Ok(exit::DONE)
        }
        Ok(config) => {
            explain(&config);
            Ok(exit::DONE)
        }
        Err(error) => {
            if json {
                output::json(&serde_json::json!({ "ok": false, "error": format!("{error:#}") }));
            } else {
                eprintln!("{error:#}");
            }
            Ok(exit::NOTHING)
        }
    }
}

fn explain(config: &Config) {
    line("The configuration is good.");
    line(&format!("console and API    {} ({})", config.listen.console, config.public_url(config.listen.console)));
    line(&format!("sensors            {} ({})", config.listen.sensors, config.sensor_url(config.listen.sensors)));
    match config.gateway.enabled {
        true => line(&format!("mail gateway       milter on {}", config.listen.milter)),
        false => line("mail gateway       off"),
    }
    line(&format!(
        "store              {}",
        if config.store.url.is_some() { "PostgreSQL" } else { "SQLite in the data folder" }
    ));
    for mailboxes in &config.mailboxes {
        let what = match (&mailboxes.imap, &mailboxes.maildir, &mailboxes.graph) {
            (Some(imap), ..) => {
                let who = imap.master_user.as_deref().unwrap_or("each mailbox with its own credentials");
                format!("{}:{} as {who}", imap.host, imap.port)
            }
            (_, Some(maildir), _) => maildir.path.clone(),
            (.., Some(graph)) => format!("Microsoft 365 tenant {}", graph.tenant),
            _ => "no mail system".to_owned(),
        };
        line(&format!("mailboxes          {}: {what}", mailboxes.name));
    }
    if config.mailboxes.is_empty() {
        line("mailboxes          not connected");
    }
    match &config.notify {
        Some(notify) => line(&format!("alert mails        to {} recipients", notify.recipients.len())),
        None => line("alert mails        off"),
    }
    line(&format!("automation         {}", config.investigation.automation_level.word()));
    line(&format!("events are kept    {} days", config.retention.event_days));
}

/// Writes a backup.
///
/// # Errors
/// When something cannot be read or written.
pub async fn make_backup(place: Place, to: &Path, json: bool) -> Result<u8> {
    let (config, data) = place.config()?;
    let progress = spinner("backing up");
    let manifest = backup::backup(&config, &data, to).await?;
    progress.finish_and_clear();
    if json {
        output::json(&manifest);
    } else {
        line(&format!("{} ({} event files)", to.display(), manifest.event_files));
        eprintln!("it holds the keys of mailboxes and sensors: keep it as safe as the server itself");
    }
    Ok(exit::DONE)
}

/// Restores a backup into an empty data folder.
///
/// # Errors
/// When the folder is not empty or something cannot be read or written.
pub async fn restore(place: Place, from: &Path, json: bool) -> Result<u8> {
    let (config, data) = place.config()?;
    let progress = spinner("restoring");
    let manifest = backup::restore(&config, &data, from).await?;
    progress.finish_and_clear();
    if json {
        output::json(&manifest);
    } else {
        line(&format!("restored the backup of {} into {}", manifest.made_at, data.display()));
    }
    Ok(exit::DONE)
}

fn spinner(what: &'static str) -> indicatif::ProgressBar {
    if !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new_spinner().with_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

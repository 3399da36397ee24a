//! The `hinomi-sensor` program.

use anyhow::Context;
use clap::{Parser, Subcommand};
use hinomi_sensor::agent::{self, Options};
use hinomi_sensor::config::Config;
use hinomi_sensor::{control, enrol, notify, system};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Folder used when none is given.
const DATA: &str = "/var/lib/hinomi-sensor";
/// Longest token file read.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// Endpoint sensor of Hinomi
#[derive(Parser)]
#[command(name = "hinomi-sensor", version)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Enrol this device with a one-time token from the console
    Enrol {
        /// Token, one line
        #[arg(long, env = "HINOMI_ENROL_TOKEN", required_unless_present = "token_file", hide_env_values = true)]
        token: Option<String>,
        /// File that holds the token; `-` reads standard input
        #[arg(long, conflicts_with = "token")]
        token_file: Option<PathBuf>,
        /// Data folder
        #[arg(long, default_value = DATA)]
        data: PathBuf,
    },
    /// Run the sensor in the foreground
    Run {
        /// Data folder
        #[arg(long, default_value = DATA)]
        data: PathBuf,
        /// Configuration file (TOML)
        #[arg(long)]
        config: Option<PathBuf>,
        /// Watch and act only in this mount namespace (inode number, or id of a process in it)
        #[arg(long)]
        scope_mount_namespace: Option<u64>,
        /// Guard this mount instead of every local one; may be repeated
        #[arg(long)]
        prevent_mount: Vec<PathBuf>,
        /// Send made-up events at this rate instead of watching
        #[arg(long, hide = true)]
        synthetic_events: Option<u32>,
    },
    /// Show how the running sensor is
    Status {
        /// Data folder
        #[arg(long, default_value = DATA)]
        data: PathBuf,
        /// Write one JSON object
        #[arg(long)]
        json: bool,
    },
    /// End network isolation with the code shown in the console
    Release {
        /// Code of the isolation
        #[arg(long)]
        code: String,
        /// Data folder
        #[arg(long, default_value = DATA)]
        data: PathBuf,
    },
    /// Become a user and show the message on standard input on their desktop
    #[command(hide = true)]
    ShowNotification {
        #[arg(long)]
        uid: u32,
        #[arg(long)]
        bus: PathBuf,
        #[arg(long)]
        urgent: bool,
    },
}

fn main() -> ExitCode {
    match go(Arguments::parse().what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hinomi-sensor: {}", hinomi_sensor::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn go(what: What) -> anyhow::Result<()> {
    match what {
        What::Enrol { token, token_file, data } => enrol_device(token, token_file.as_deref(), &data),
        What::Run { data, config, scope_mount_namespace, prevent_mount, synthetic_events } => {
            let mut config = match config {
                Some(path) => Config::load(&path)?,
                None => Config::default(),
            };
            config.collect.mount_namespace = scope_mount_namespace.or(config.collect.mount_namespace);
            if !prevent_mount.is_empty() {
                config.prevention.mounts = prevent_mount;
            }
            log();
            runtime()?.block_on(agent::run(Options { data, config, synthetic_events }))
        }
        What::Status { data, json } => show_status(&data, json),
        What::Release { code, data } => {
            control::release(&data, &code)?;
            eprintln!("network restored");
            Ok(())
        }
        What::ShowNotification { uid, bus, urgent } => notify::desktop::helper(uid, &bus, urgent),
    }
}

fn enrol_device(token: Option<String>, file: Option<&Path>, data: &Path) -> anyhow::Result<()> {
    let token = match (token, file) {
        (Some(token), _) => token,
        (None, Some(path)) => {
            let mut text = String::new();
            let source: Box<dyn Read> = match path.to_str() {
                Some("-") => Box::new(std::io::stdin()),
                _ => Box::new(std::fs::File::open(path).with_context(|| format!("open {}", path.display()))?),
            };
            source.take(TOKEN_BYTES_MAX).read_to_string(&mut text)?;
            text
        }
        (None, None) => anyhow::bail!("give --token or --token-file"),
    };
    let identity = runtime()?.block_on(enrol::enrol(&token, data, &system::status()))?;
    eprintln!("enrolled as device {} of {}", identity.device_id, identity.url);
    Ok(())
}

fn show_status(data: &Path, json: bool) -> anyhow::Result<()> {
    let found = control::status(data).with_context(|| format!("ask the sensor of {}", data.display()))?;
    if json {
        println!("{}", serde_json::to_string(&found)?);
        return Ok(());
    }
    let status = &found.status;
    println!("device    {} ({})", found.device_id, status.host_name);
    println!("server    {} ({})", found.url, if found.online { "connected" } else { "not connected" });
    println!("spool     {} events, {} bytes", status.spooled_events, status.spool_bytes);
    println!("isolated  {}", if status.isolated { "yes" } else { "no" });
    println!("blocked   list version {}", status.block_list_version);
    println!("memory    {} MiB", status.memory_bytes / (1024 * 1024));
    for (name, state) in &status.capabilities {
        println!("{name:<9} {state}");
    }
    for (reason, count) in &status.drops {
        println!("lost      {count} ({reason})");
    }
    Ok(())
}

fn log() {
    use std::io::IsTerminal;
    let filter = tracing_subscriber::EnvFilter::try_from_env("HINOMI_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .init();
}

/// Two threads suffice: the sensor's work is waiting.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

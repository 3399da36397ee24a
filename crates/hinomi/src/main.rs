//! The door: `hinomi`, one program for the server and its administrators. No logic of its own.
//!
//! Exit codes: 0 done, 1 nothing found or a check failed, 2 wrong usage or an error. Results go to
//! stdout, talk to stderr; `--json` prints one object, lists one object per line.

mod client;
mod commands;
mod output;

use anyhow::Result;
use clap::{Parser, Subcommand};
use client::{Client, Connection};
use commands::actions::Actions;
use commands::audit::Audit;
use commands::automation::Automation;
use commands::demo::DemoCommand;
use commands::devices::Devices;
use commands::directory::Directory;
use commands::house::{self, Place};
use commands::incidents::Incidents;
use commands::indicators::Indicators;
use commands::mail::MailVerb;
use commands::notifications::Notifications;
use commands::people::{EnrolmentToken, Token, Users};
use commands::pivot::PivotCommand;
use commands::rules::Rules;
use commands::scan::ScanCommand;
use commands::tuning::Tuning;
use hinomi_model::Language;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "hinomi", version, about = "Open-source XDR: endpoints and mail in one story")]
struct Arguments {
    #[command(flatten)]
    connection: Connection,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Language of titles: en or ja
    #[arg(long, visible_alias = "lang", env = "HINOMI_LANGUAGE", default_value = "en", global = true)]
    language: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve {
        #[command(flatten)]
        place: Place,
        /// Write a one-time enrolment token for a sensor on this machine into this file
        #[arg(long)]
        write_enrolment_token: Option<PathBuf>,
    },
    /// Check a configuration file and explain it
    Check {
        /// Configuration file
        #[arg(long, env = "HINOMI_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Work with devices
    #[command(subcommand)]
    Devices(Devices),
    /// Work with the directory of people
    #[command(subcommand)]
    Directory(Directory),
    /// Work with incidents
    #[command(subcommand)]
    Incidents(Incidents),
    /// Work with actions
    #[command(subcommand)]
    Actions(Actions),
    /// Work with indicators: values that are allowed, watched for or blocked
    #[command(subcommand)]
    Indicators(Indicators),
    /// Work with mailboxes
    #[command(subcommand)]
    Mail(MailVerb),
    /// Tell where a value leads: devices, mailboxes, people, alerts
    Pivot(PivotCommand),
    /// Find attacks in event logs, offline: EVTX, JSON, Linux audit, syslog, journal, and archives of them
    ///
    /// Runs Sigma rules and those of Hinomi. Exit code 0: something was found, 1: nothing, 2: an error.
    /// Rules that cannot be loaded and records that cannot be read are told on stderr and are no error.
    Scan(ScanCommand),
    /// Check, test and explain detection rules
    #[command(subcommand)]
    Rules(Rules),
    /// Decide about alerts before they are made: hide, resolve or lower what is known to be harmless
    #[command(subcommand)]
    Tuning(Tuning),
    /// Play a story into the server, so that there is something to see
    ///
    /// Plays a scenario folder (scenario.toml, events/*.jsonl, mail/*.eml), or the built-in story. Nothing
    /// real is touched: devices and mailboxes of a demo do not exist, its actions do nothing.
    Demo(DemoCommand),
    /// Work with notifications
    #[command(subcommand)]
    Notifications(Notifications),
    /// Work with what may happen without a person
    #[command(subcommand)]
    Automation(Automation),
    /// Read and check the audit log
    #[command(subcommand)]
    Audit(Audit),
    /// Work with users
    #[command(subcommand)]
    Users(Users),
    /// Work with API tokens
    #[command(subcommand)]
    Token(Token),
    /// Work with enrolment tokens
    #[command(subcommand)]
    EnrolmentToken(EnrolmentToken),
    /// Back up a server, also while it runs
    Backup {
        #[command(flatten)]
        place: Place,
        /// New folder for the backup
        #[arg(long)]
        to: PathBuf,
    },
    /// Restore a backup into a new data folder
    Restore {
        #[command(flatten)]
        place: Place,
        /// Folder of the backup
        #[arg(long)]
        from: PathBuf,
    },
    /// Talk to one mail system for the server, which starts this by itself
    #[command(hide = true)]
    MailWorker {
        /// Name of the mail system, for whoever lists processes
        name: String,
    },
    /// Print the OpenAPI document
    #[command(hide = true)]
    Openapi,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log();
    // gives up its privileges before it has threads
    if let Command::MailWorker { .. } = arguments.command {
        return hinomi_server::mailboxes::worker::main();
    }
    let code = |result: Result<u8>| match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {}", output::printable(&format!("{error:#}")));
            ExitCode::from(output::exit::ERROR)
        }
    };
    let language = language(&arguments.language);
    // these work on this machine alone
    let arguments = match arguments.command {
        Command::Scan(scan) => return code(scan.run(arguments.json, language)),
        Command::Rules(rules) if !matches!(rules, Rules::Server(_)) => {
            return code(rules.run(arguments.json, language));
        }
        command => Arguments { command, ..arguments },
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: start runtime: {error}");
            return ExitCode::from(output::exit::ERROR);
        }
    };
    code(runtime.block_on(run(arguments)))
}

fn language(name: &str) -> Language {
    if name.starts_with("ja") { Language::Ja } else { Language::En }
}

async fn run(arguments: Arguments) -> Result<u8> {
    let Arguments { connection, json, language, command } = arguments;
    let language = crate::language(&language);
    let client = || Client::new(&connection);
    match command {
        Command::Serve { place, write_enrolment_token } => house::serve(place, write_enrolment_token).await,
        Command::Check { config } => house::check(config.as_deref(), json),
        Command::Notifications(verb) => verb.run(&client()?, json).await,
        Command::Automation(verb) => verb.run(&client()?, json, language).await,
        Command::Audit(verb) => verb.run(&client()?, json).await,
        Command::Devices(devices) => devices.run(&client()?, json).await,
        Command::Directory(directory) => directory.run(&client()?, json, language).await,
        Command::Incidents(incidents) => incidents.run(&client()?, json, language).await,
        Command::Actions(actions) => actions.run(&client()?, json, language).await,
        Command::Indicators(indicators) => indicators.run(&client()?, json, language).await,
        Command::Mail(mail) => mail.run(client, json, language).await,
        Command::Pivot(pivot) => pivot.run(&client()?, json, language).await,
        Command::Demo(demo) => demo.run(&client()?, json, language).await,
        Command::Users(users) => users.run(client, json).await,
        Command::Token(token) => token.run(json).await,
        Command::EnrolmentToken(token) => token.run(json).await,
        Command::Backup { place, to } => house::make_backup(place, &to, json).await,
        Command::Restore { place, from } => house::restore(place, &from, json).await,
        Command::Rules(Rules::Server(rules)) => rules.run(&client()?, json, language).await,
        Command::Tuning(tuning) => tuning.run(&client()?, json, language).await,
        Command::MailWorker { .. } | Command::Scan(_) | Command::Rules(_) => anyhow::bail!("answered before"),
        Command::Openapi => {
            print!("{}", hinomi_api::openapi::text(env!("CARGO_PKG_VERSION")));
            Ok(output::exit::DONE)
        }
    }
}

/// Logs to stderr: for people on a terminal, JSON lines otherwise. `HINOMI_LOG` says how much.
fn start_log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("HINOMI_LOG").unwrap_or_else(|_| EnvFilter::new("info,evtx=off"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_ansi(std::env::var_os("NO_COLOR").is_none()).init();
    } else {
        builder.json().init();
    }
}

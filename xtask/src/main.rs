//! Build, run and test tasks: `cargo xtask up`, `cargo xtask test`, `cargo xtask story`, `cargo xtask bench`,
//! `cargo xtask quality`.
//!
//! Every task says what it does, installs what is missing (naming it) and can be run twice.

mod build;
mod machine;
mod node;
mod test;
mod up;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, run and test Hinomi")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing, build, start server and sensor on this machine; again = restart
    Up {
        /// Folder for everything the running system keeps
        #[arg(long)]
        data: Option<PathBuf>,
        /// Start the server only
        #[arg(long)]
        no_sensor: bool,
    },
    /// Stop what `up` started
    Down {
        /// Folder given to `up`
        #[arg(long)]
        data: Option<PathBuf>,
    },
    /// Run every test; installs what it needs
    Test {
        /// Also the long ones: lints, whole matrices
        #[arg(long)]
        full: bool,
    },
    /// Play the story with real parts, on ports and data of its own
    Story {
        /// Folder for screenshots, mails and logs of the run
        #[arg(long)]
        keep: Option<PathBuf>,
    },
    /// Measure how good something is, over labelled data
    Quality {
        #[command(subcommand)]
        what: Quality,
    },
    /// Compare the detections with rsigma's over all sample events
    Oracle,
    /// Play a whole fleet over a fake clock and see what comes of the attacks in it
    Simulate {
        #[command(subcommand)]
        what: Simulate,
    },
    /// Play a scenario folder and print what came of it; fails when its expect.toml says otherwise
    Scenario {
        /// The folder
        path: PathBuf,
        /// Print nothing but one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Measure; ratios within one run
    Bench {
        #[command(subcommand)]
        what: Option<Bench>,
    },
}

#[derive(Subcommand)]
enum Quality {
    /// What rules find in labelled attacks and claim in ordinary logs: public rules alone, and with ours
    Detect {
        /// Print nothing but one JSON object per set of rules
        #[arg(long)]
        json: bool,
        /// Also list the samples whose technique is not named
        #[arg(long)]
        missed: bool,
        /// Read our own rules from this folder instead of those built in
        #[arg(long)]
        content: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum Simulate {
    /// A week of ordinary work with twenty attacks in it; the last line is the report, one JSON object
    Week {
        /// Print nothing but the report
        #[arg(long)]
        json: bool,
        /// Devices; a quarter as many mailboxes
        #[arg(long, default_value_t = 300)]
        devices: u32,
        /// Everything follows from it
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Most ordinary events that no rule sees; 0 = 1,000 per device up to a million; at most 20 million
        #[arg(long, default_value_t = 0)]
        benign: u64,
    },
}

#[derive(Subcommand)]
enum Bench {
    /// What a million indicators cost: taking them in, starting with them, ingest without and with them
    Indicators {
        /// Print nothing but the JSON object
        #[arg(long)]
        json: bool,
        /// Indicators
        #[arg(long, default_value_t = 1_000_000)]
        count: u64,
        /// Events taken in
        #[arg(long, default_value_t = 200_000)]
        events: u64,
    },
    /// Find, quarantine, restore, expunge and search one mail in many mailboxes, beside doveadm
    MailRemove {
        /// Print nothing but the JSON object
        #[arg(long)]
        json: bool,
        /// Mailboxes
        #[arg(long, default_value_t = 1_000)]
        mailboxes: u32,
        /// Mails in each
        #[arg(long, default_value_t = 100)]
        mails: u32,
        /// Rounds after the warm-up
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// Mailboxes worked on at the same time
        #[arg(long, default_value_t = 8)]
        connections: u32,
        /// Logins one Dovecot process serves; 1 is Dovecot's default
        #[arg(long, default_value_t = 256)]
        logins_per_process: u32,
    },
    /// Ask who had a value, warm and cold, while sightings keep coming in; takes 160 bytes of /var/tmp per row
    Pivot {
        /// Print nothing but the JSON objects
        #[arg(long)]
        json: bool,
        /// Sightings
        #[arg(long, default_value_t = 101_000_000)]
        rows: u64,
    },
    /// Ask the mail explorer for lists, groups and counts
    Explorer {
        /// Print nothing but the JSON objects
        #[arg(long)]
        json: bool,
        /// Message copies
        #[arg(long, default_value_t = 10_000_000)]
        copies: u64,
    },
    /// Detection: events per second on one thread, beside rsigma on the same events
    Detect {
        /// Print nothing but the JSON object
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Up { data, no_sensor } => up::up(&up::data_dir(data)?, !no_sensor).map(|()| ExitCode::SUCCESS),
        Task::Down { data } => up::down(&up::data_dir(data)?).map(|()| ExitCode::SUCCESS),
        Task::Test { full } => test::test(full),
        Task::Story { keep } => story(keep),
        Task::Quality { what: Quality::Detect { json, missed, content } } => {
            let words = [("--json", json), ("--missed", missed)].into_iter().filter(|(_, said)| *said);
            let mut words: Vec<String> = words.map(|(word, _)| word.to_owned()).collect();
            if let Some(folder) = content {
                let folder = std::path::absolute(folder)?;
                words.extend(["--content".to_owned(), folder.display().to_string()]);
            }
            bench(&["--bench", "detect_quality"], &words, json)
        }
        Task::Simulate { what: Simulate::Week { json, devices, seed, benign } } => {
            let mut words = vec!["week".to_owned(), "--devices".to_owned(), devices.to_string()];
            words.extend(["--seed".to_owned(), seed.to_string()]);
            words.extend(["--benign".to_owned(), benign.to_string()]);
            words.extend(json.then(|| "--json".to_owned()));
            bench(&["--bench", "simulate"], &words, json)
        }
        Task::Scenario { path, json } => {
            // cargo runs benches in their package's folder
            let path = path.canonicalize().with_context(|| path.display().to_string())?;
            let mut words = vec!["scenario".to_owned(), path.to_string_lossy().into_owned()];
            words.extend(json.then(|| "--json".to_owned()));
            bench(&["--bench", "simulate"], &words, json)
        }
        Task::Bench { what: None } => bench(&["--benches"], &[], false),
        Task::Bench {
            what: Some(Bench::MailRemove { json, mailboxes, mails, rounds, connections, logins_per_process }),
        } => {
            machine::install(&[machine::MAIL])?;
            let numbers = [
                ("--mailboxes", mailboxes),
                ("--mails", mails),
                ("--rounds", rounds),
                ("--connections", connections),
                ("--logins-per-process", logins_per_process),
            ];
            let words = numbers.into_iter().flat_map(|(name, number)| [name.to_owned(), number.to_string()]);
            let words: Vec<String> = std::iter::once("--mail-remove".to_owned()).chain(words).collect();
            bench(&["--bench", "mail_remove"], &words, json)
        }
        Task::Bench { what: Some(Bench::Indicators { json, count, events }) } => {
            let words = [("--count", count), ("--events", events)];
            let words = words.into_iter().flat_map(|(name, number)| [name.to_owned(), number.to_string()]);
            bench(&["--bench", "indicators_bench"], &words.collect::<Vec<_>>(), json)
        }
        Task::Bench { what: Some(Bench::Pivot { json, rows }) } => {
            bench(&["--bench", "pivot_bench"], &["--rows".to_owned(), rows.to_string()], json)
        }
        Task::Bench { what: Some(Bench::Explorer { json, copies }) } => {
            bench(&["--bench", "explorer_bench"], &[copies.to_string()], json)
        }
        Task::Bench { what: Some(Bench::Detect { json: false }) } => oracle(&["bench"]),
        Task::Bench { what: Some(Bench::Detect { json: true }) } => oracle(&["bench", "--json"]),
        Task::Oracle => oracle(&["compare"]),
    }
}

fn story(keep: Option<PathBuf>) -> Result<ExitCode> {
    machine::install(&[machine::BUILD, machine::RUN, machine::MAIL, machine::BROWSER])?;
    build::everything()?;
    machine::step("playing the story");
    let mut command = Command::new(build::binary("hinomi-story"));
    if let Some(keep) = keep {
        command.arg("--keep").arg(keep);
    }
    let status = command.env("HINOMI_NODE", node::find_or_install()?).status()?;
    Ok(ExitCode::from(status.code().unwrap_or(2) as u8))
}

/// Builds and runs the workspace that holds the other engine, optimised.
fn oracle(words: &[&str]) -> Result<ExitCode> {
    machine::install(&[machine::BUILD])?;
    let mut command = build::cargo();
    command.args(["run", "--quiet", "--release", "--locked", "--manifest-path", "oracle/Cargo.toml", "--"]);
    let status = command.args(words).status()?;
    Ok(ExitCode::from(status.code().unwrap_or(2) as u8))
}

fn bench(which: &[&str], words: &[String], quiet: bool) -> Result<ExitCode> {
    machine::install(&[machine::BUILD, machine::RUN])?;
    // our own crates optimised; the dependencies are those of tests and story
    let mut command = build::cargo();
    command.args(["bench", "--workspace", "--profile", "dev"]).args(which).arg("--").args(words);
    if quiet {
        command.stderr(std::process::Stdio::null());
    }
    let status = command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "3").status()?;
    Ok(ExitCode::from(status.code().unwrap_or(2) as u8))
}

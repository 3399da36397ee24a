//! Build, run and test tasks: `cargo xtask up`, `cargo xtask test`, `cargo xtask story`, `cargo xtask bench`.
//!
//! Every task says what it does, installs what is missing (naming it) and can be run twice.

mod build;
mod machine;
mod node;
mod test;
mod up;

use anyhow::Result;
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
    /// Measure; ratios within one run
    Bench,
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
        Task::Bench => bench(),
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

fn bench() -> Result<ExitCode> {
    machine::install(&[machine::BUILD, machine::RUN])?;
    // our own crates optimised; the dependencies are those of tests and story
    let status = build::cargo()
        .args(["bench", "--workspace", "--benches", "--profile", "dev"])
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "3")
        .status()?;
    Ok(ExitCode::from(status.code().unwrap_or(2) as u8))
}

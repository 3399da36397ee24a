//! `cargo xtask test`: everything, in the order that fails fastest.

use crate::machine::{self, step};
use crate::{build, node};
use anyhow::Result;
use std::process::{Command, ExitCode};

struct Stage {
    name: &'static str,
    passed: bool,
    seconds: u64,
}

/// Runs every test and says at the end which stages failed.
pub fn test(full: bool) -> Result<ExitCode> {
    machine::install(&[machine::BUILD, machine::RUN, machine::MAIL, machine::BROWSER, machine::TEST])?;
    let node = node::find_or_install()?;
    build::console_dependencies(&node)?;
    let mut stages = Vec::new();
    let mut stage = |name: &'static str, command: &mut Command| -> bool {
        step(&format!("test: {name}"));
        let start = std::time::Instant::now();
        let passed = match command.status() {
            Ok(status) => status.success(),
            Err(error) => {
                eprintln!("{name} could not start: {error}");
                false
            }
        };
        stages.push(Stage { name, passed, seconds: start.elapsed().as_secs() });
        passed
    };
    let cargo = |arguments: &[&str]| {
        let mut command = build::cargo();
        command.args(arguments);
        command
    };
    let npm = |script: &str| {
        let mut command = node::npm(&node);
        command.current_dir(build::root().join("console")).args(["run", "--silent", script]);
        command
    };
    stage("format", &mut cargo(&["fmt", "--all", "--check"]));
    stage("console types and build", &mut npm("build"));
    stage("console units", &mut npm("test"));
    if stage("build", &mut cargo(&["build", "--workspace", "--bins", "--tests", "--locked"])) {
        let mut nextest = cargo(&["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
        nextest.env("HINOMI_NODE", &node);
        if full {
            nextest.env("HINOMI_FULL", "1");
        }
        if cargo(&["nextest", "--version"]).output().is_ok_and(|output| output.status.success()) {
            stage("rust", &mut nextest);
        } else {
            // without nextest: the same tests, one crate after the other
            stage(
                "rust",
                cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--lib", "--bins", "--tests"])
                    .env("HINOMI_NODE", &node),
            );
        }
        stage("rust documentation", &mut cargo(&["test", "--workspace", "--locked", "--doc"]));
    }
    let mut browser = npm("e2e");
    if full {
        browser.env("HINOMI_FULL", "1");
    }
    stage("console in Chromium", &mut browser);
    if full {
        let clippy = ["clippy", "--workspace", "--locked"];
        let strict = ["--", "-D", "warnings"];
        stage("clippy", &mut cargo(&[&clippy[..], &["--lib", "--bins"], &strict].concat()));
        // helpers of tests may unwrap as tests do
        let tests = ["--lib", "--tests", "--benches"];
        let strict = [&strict[..], &["-A", "clippy::unwrap_used"]].concat();
        stage("clippy of the tests", &mut cargo(&[&clippy[..], &tests, &strict].concat()));
    }
    report(&stages)
}

fn report(stages: &[Stage]) -> Result<ExitCode> {
    eprintln!();
    for stage in stages {
        eprintln!("{} {:>5} s  {}", if stage.passed { "ok    " } else { "FAILED" }, stage.seconds, stage.name);
    }
    let failed = stages.iter().filter(|stage| !stage.passed).count();
    println!("stages: {} passed, {failed} failed", stages.len() - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

//! Building console and binaries, always with the whole workspace selected, so that features
//! unify the same way and dependencies are compiled once for tests, story and benches.

use crate::machine::{run, step};
use crate::node;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

/// The cargo that runs us, in the workspace, without the variables `cargo run` gave this program:
/// build scripts that watch them (ring's does) would otherwise run again after every plain `cargo`.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let ours =
            name.to_str().is_some_and(|name| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|p| name.starts_with(p)));
        if ours {
            command.env_remove(name);
        }
    }
    command
}

/// Where cargo puts binaries.
pub fn binary(name: &str) -> PathBuf {
    target().join("debug").join(name)
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Builds console and binaries.
pub fn everything() -> Result<()> {
    console()?;
    binaries()
}

/// Builds the binaries.
pub fn binaries() -> Result<()> {
    step("building (the first time takes about 20 minutes on two cores)");
    run(cargo().args(["build", "--workspace", "--bins", "--locked"]))
}

/// Builds the console unless its sources are older than the last build.
pub fn console() -> Result<()> {
    let console = root().join("console");
    let built = modified(&console.join("dist/index.html"));
    let newest = ["src", "index.html", "package-lock.json", "vite.config.ts"]
        .iter()
        .filter_map(|name| newest(&console.join(name)))
        .max();
    if built.is_some() && built >= newest {
        return Ok(());
    }
    let node = node::find_or_install()?;
    console_dependencies(&node)?;
    step("building the console");
    run(node::npm(&node).current_dir(&console).args(["run", "--silent", "build"]))
}

/// Installs the console's packages when the lock file changed.
pub fn console_dependencies(node: &Path) -> Result<()> {
    let console = root().join("console");
    let installed = modified(&console.join("node_modules/.package-lock.json"));
    if installed.is_some() && installed >= modified(&console.join("package-lock.json")) {
        return Ok(());
    }
    step("installing the console's packages");
    run(node::npm(node).current_dir(&console).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))
        .context("npm ci")
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().ok()?.modified().ok()
}

fn newest(path: &Path) -> Option<std::time::SystemTime> {
    let own = modified(path);
    let Ok(entries) = std::fs::read_dir(path) else { return own };
    entries.flatten().filter_map(|entry| newest(&entry.path())).chain(own).max()
}

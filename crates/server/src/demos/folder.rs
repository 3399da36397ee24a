//! Reads a scenario's folder from disk.

use anyhow::{Context, Result, bail, ensure};
use hinomi_cases::scenario::{BYTES_MAX, FILES_MAX, ScenarioFile};
use std::fs;
use std::io::Read;
use std::path::Path;

/// Reads the files of a scenario, sorted by path: `scenario.toml`, `expect.toml` and what lies in
/// `events/` and `mail/`. Links are not followed, hidden files are left out.
///
/// # Errors
/// Names the file that cannot be read or is too much.
pub fn read_folder(folder: &Path) -> Result<Vec<ScenarioFile>> {
    ensure!(folder.is_dir(), "{} is not a folder", folder.display());
    ensure!(folder.join("scenario.toml").is_file(), "{} is not a scenario: it has no scenario.toml", folder.display());
    let mut files = Vec::new();
    let mut room = BYTES_MAX as u64;
    for (inner, wanted) in [("", Some(["scenario.toml", "expect.toml"])), ("events", None), ("mail", None)] {
        let dir = folder.join(inner);
        if !dir.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))? {
            let entry = entry.with_context(|| format!("read {}", dir.display()))?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().with_context(|| format!("{} has a name that is not UTF-8", path.display()))?;
            if name.starts_with('.') || wanted.is_some_and(|wanted| !wanted.contains(&name)) {
                continue;
            }
            let kind = entry.file_type().with_context(|| format!("read {}", path.display()))?;
            ensure!(kind.is_file(), "{} is not a plain file", path.display());
            ensure!(files.len() < FILES_MAX, "{} has more than {FILES_MAX} files", folder.display());
            let content = read(&path, room)?;
            room -= content.len() as u64;
            let path = if inner.is_empty() { name.to_owned() } else { format!("{inner}/{name}") };
            files.push(ScenarioFile { path, content });
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn read(path: &Path, room: u64) -> Result<Vec<u8>> {
    let file = fs::File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut content = Vec::new();
    file.take(room + 1).read_to_end(&mut content).with_context(|| format!("read {}", path.display()))?;
    if content.len() as u64 > room {
        bail!("{}: the scenario is larger than {BYTES_MAX} bytes", path.display());
    }
    Ok(content)
}

//! Sets of rule files.

use hinomi_detect::{LogEngine, LogOptions, Placeholders, RuleError, RuleSource, content};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Longest rule file that is read, bytes. Rules are refused beyond half of it.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most rule files of a set.
const FILES_MAX: usize = 200_000;
const DEPTH_MAX: usize = 32;

/// Rules, compiled.
#[derive(Debug)]
pub struct RuleSet {
    /// The rule files as text.
    pub sources: Vec<RuleSource>,
    /// The rules over records.
    pub engine: LogEngine,
    /// Rules that could not be loaded.
    pub errors: Vec<RuleError>,
    /// Some rules count or order other rules' matches.
    pub correlates: bool,
}

impl RuleSet {
    /// Compiles rule files; refused rules come back in `errors` and never stop the others.
    pub fn load(sources: Vec<RuleSource>) -> RuleSet {
        // read for people even if no rule names them
        let options = LogOptions { fields: Vec::new(), placeholders: Placeholders::new() };
        let (engine, errors) = LogEngine::load(&sources, &options);
        let correlates = sources.iter().any(|source| source.yaml.contains("correlation:"));
        RuleSet { sources, engine, errors, correlates }
    }

    /// Returns the rules that ship with this program.
    pub fn content() -> Vec<RuleSource> {
        content::embedded().rules.iter().cloned().chain(content::log_rules()).collect()
    }

    /// Returns the file a rule stands in.
    pub fn source_of(&self, id: &str) -> Option<&RuleSource> {
        let path = &self.engine.rule(id)?.path;
        // several rules of one file are told apart by a number
        let file = path
            .rsplit_once('#')
            .filter(|(_, number)| number.parse::<usize>().is_ok())
            .map_or(path.as_str(), |(file, _)| file);
        self.sources.iter().find(|source| source.path == *path || source.path == file)
    }
}

/// Reads the rule files (`.yml`, `.yaml`) of a folder and all below, in the order of their names, or one
/// file. Examples beside rules (`*.test.yml`) are left out.
///
/// # Errors
/// When a path cannot be read or is no folder and no file.
pub fn read(path: &Path) -> io::Result<Vec<RuleSource>> {
    let mut found = Vec::new();
    let told = |error: io::Error| io::Error::new(error.kind(), format!("read rules {}: {error}", path.display()));
    let meta = fs::metadata(path).map_err(told)?;
    if meta.is_dir() {
        folder(path, 0, &mut found).map_err(told)?;
    } else {
        found.push(path.to_owned());
    }
    found.iter().map(|path| file(path)).collect()
}

fn folder(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let rule = (name.ends_with(".yml") || name.ends_with(".yaml")) && !name.ends_with(".test.yml");
        if kind.is_dir() && depth < DEPTH_MAX && !name.starts_with('.') {
            folder(&entry.path(), depth + 1, found)?;
        } else if kind.is_file() && rule && found.len() < FILES_MAX {
            found.push(entry.path());
        }
    }
    Ok(())
}

fn file(path: &Path) -> io::Result<RuleSource> {
    let told = |error: io::Error| io::Error::new(error.kind(), format!("read rule {}: {error}", path.display()));
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(told)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(told)?;
    // what is not UTF-8 becomes a mistake of the rule, with its place
    let yaml = String::from_utf8_lossy(&bytes).into_owned();
    Ok(RuleSource { path: path.display().to_string(), yaml })
}

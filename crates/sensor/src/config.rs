//! The sensor's TOML configuration. Unknown keys are refused; every key has a default.

use hinomi_model::Language;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Everything that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Events on disk.
    pub spool: SpoolConfig,
    /// What is watched.
    pub collect: CollectScope,
    /// Rules evaluated on the device.
    pub detection: DetectionConfig,
    /// Blocking of files before they run.
    pub prevention: PreventionConfig,
    /// Network isolation.
    pub isolation: IsolationConfig,
    /// Messages to the users of the device.
    pub notify: NotifyConfig,
}

/// `[spool]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// Most disk space for events the server has not acknowledged, MiB.
    pub size_max_mib: u64,
    /// How long the collector is held back when the spool is full before new events are dropped
    /// (and counted), milliseconds.
    pub full_wait_ms: u64,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        SpoolConfig { size_max_mib: 512, full_wait_ms: 5_000 }
    }
}

/// `[collect]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectScope {
    /// Watch and act only inside this mount namespace: its inode number, or the id of a process
    /// in it. For tests on a shared machine.
    pub mount_namespace: Option<u64>,
}

/// `[detection]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectionConfig {
    /// Evaluate rules on the device.
    pub enabled: bool,
    /// Stop process trees when a rule says so; off = detect only.
    pub stop: bool,
}

impl Default for DetectionConfig {
    fn default() -> Self {
        DetectionConfig { enabled: true, stop: true }
    }
}

/// `[prevention]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PreventionConfig {
    /// Deny execution of blocked hashes.
    pub enabled: bool,
    /// Mounts to guard; empty = every local file system.
    pub mounts: Vec<PathBuf>,
    /// Files above this size are not hashed while their start waits, MiB.
    pub hash_size_max_mib: u64,
    /// Longest wait of a starting program for its verdict; then it is allowed, milliseconds.
    pub deadline_ms: u64,
}

impl Default for PreventionConfig {
    fn default() -> Self {
        PreventionConfig { enabled: true, mounts: Vec::new(), hash_size_max_mib: 256, deadline_ms: 2_000 }
    }
}

/// `[isolation]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IsolationConfig {
    /// Obey isolation commands.
    pub enabled: bool,
}

impl Default for IsolationConfig {
    fn default() -> Self {
        IsolationConfig { enabled: true }
    }
}

/// `[notify]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotifyConfig {
    /// Tell users what was detected and done.
    pub enabled: bool,
    /// Language when a user's session names none.
    pub language: Language,
    /// Where session buses are found.
    pub runtime_dir: PathBuf,
    /// Where terminals are found.
    pub terminal_dir: PathBuf,
}

impl Default for NotifyConfig {
    fn default() -> Self {
        NotifyConfig {
            enabled: true,
            language: Language::En,
            runtime_dir: PathBuf::from("/run/user"),
            terminal_dir: PathBuf::from("/dev/pts"),
        }
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not readable.
    #[error("read configuration {0}")]
    Read(PathBuf, #[source] std::io::Error),
    /// Not valid: the source names line and key.
    #[error("configuration {0} is not valid")]
    Parse(PathBuf, #[source] Box<toml::de::Error>),
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// When it cannot be read or has a mistake.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read(path.to_owned(), source))?;
        toml::from_str(&text).map_err(|source| ConfigError::Parse(path.to_owned(), Box::new(source)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_overrides_and_unknown_keys() {
        let config: Config =
            toml::from_str("[notify]\nlanguage = \"ja\"\n[prevention]\nmounts = [\"/srv\"]").expect("valid");
        assert_eq!(config.notify.language, Language::Ja);
        assert_eq!(config.prevention.mounts, [PathBuf::from("/srv")]);
        assert_eq!(config.spool, SpoolConfig::default());
        let error = toml::from_str::<Config>("[spool]\nsize_mib = 1").expect_err("unknown key").to_string();
        assert!(error.contains("size_mib") && error.contains("line 2"), "{error}");
    }
}

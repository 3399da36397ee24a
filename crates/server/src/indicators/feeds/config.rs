//! `[[indicators.feeds]]`

use hinomi_model::{FeedKind, IndicatorAction, IndicatorScope, Severity};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A feed that is fetched on a schedule.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedConfig {
    /// Its name: 1 to 60 letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// `taxii`, `mispFeed` (a folder with `manifest.json`) or `misp` (an instance).
    pub kind: FeedKind,
    /// TAXII: discovery or API root; MISP feed: the folder; MISP: the instance. `https`, or `http` on this machine.
    pub url: String,
    /// TAXII: ids, aliases or titles of collections; none = all that can be read.
    #[serde(default)]
    pub collections: Vec<String>,
    /// User of basic authentication.
    #[serde(default)]
    pub user: Option<String>,
    /// File that holds the password of the user, readable by the server only.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// File that holds a key: TAXII and MISP feeds send it as a bearer token, MISP as its own.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Authorities to trust, PEM; none = the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Minutes between fetches, 5 to 10,080.
    #[serde(default = "every_minutes")]
    pub every_minutes: u64,
    /// What happens when a value is seen.
    #[serde(default = "audit")]
    pub action: IndicatorAction,
    /// Severity of the alerts.
    #[serde(default = "medium")]
    pub severity: Severity,
    /// Days after which a value that is not named again ends, 1 to 3,650; a feed may name an earlier end.
    #[serde(default = "expires_days")]
    pub expires_days: u32,
    /// Most values of one run, 1 to 1,000,000.
    #[serde(default = "entries_max")]
    pub entries_max: usize,
    /// Where its values count.
    #[serde(default)]
    pub scope: IndicatorScope,
}

fn every_minutes() -> u64 {
    60
}

fn audit() -> IndicatorAction {
    IndicatorAction::Audit
}

fn medium() -> Severity {
    Severity::Medium
}

fn expires_days() -> u32 {
    30
}

fn entries_max() -> usize {
    200_000
}

impl FeedConfig {
    /// Makes relative files relative to a folder.
    pub(crate) fn rebase(&mut self, base: &Path) {
        for file in [&mut self.ca_file, &mut self.password_file, &mut self.key_file].into_iter().flatten() {
            *file = base.join(&*file);
        }
    }

    /// Checks every range; the key and what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        let name = self.name.as_str();
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 60 || !name.chars().all(good) {
            return Err(("indicators.feeds.name", format!("{name:?} is not 1 to 60 letters, digits, - _ .")));
        }
        let url = url::Url::parse(&self.url).map_err(|error| ("indicators.feeds.url", format!("{name}: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(("indicators.feeds.url", format!("{name}: a password belongs into password_file")));
        }
        if url.scheme() != "https" && !(url.scheme() == "http" && is_local(&url)) {
            return Err(("indicators.feeds.url", format!("{name}: {} would be read in clear", self.url)));
        }
        if self.user.is_some() != self.password_file.is_some() {
            return Err(("indicators.feeds.user", format!("{name}: user and password_file belong together")));
        }
        if self.user.is_some() && self.key_file.is_some() {
            return Err(("indicators.feeds.key_file", format!("{name}: either a user or a key")));
        }
        if self.kind == FeedKind::Misp && self.key_file.is_none() {
            return Err(("indicators.feeds.key_file", format!("{name}: a MISP instance wants a key")));
        }
        let ranges = [
            ("indicators.feeds.every_minutes", self.every_minutes, 5..=10_080),
            ("indicators.feeds.expires_days", u64::from(self.expires_days), 1..=3_650),
            ("indicators.feeds.entries_max", self.entries_max as u64, 1..=1_000_000),
        ];
        match ranges.into_iter().find(|(_, value, range)| !range.contains(value)) {
            Some((key, value, range)) => {
                Err((key, format!("{name}: {value} is not in {}..{}", range.start(), range.end())))
            }
            None => Ok(()),
        }
    }
}

/// True for an address of this machine.
pub(super) fn is_local(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

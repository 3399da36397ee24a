//! The configuration file: one TOML file, unknown keys refused, defaults here.
//!
//! Relative paths are relative to the file. Secrets are named by file, never written here.

use crate::directory::LdapConfig;
pub use crate::indicators::config::{FeedConfig, IndicatorsConfig};
pub use crate::notifications::{NotifyConfig, NotifyRecipient};
use crate::secrets::SecretKind;
use hinomi_mail::connector::imap::RootTemplate;
use hinomi_mail::filters::TrustedFilter;
use hinomi_model::AutomationLevel;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Everything the server can be told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Addresses to listen on.
    pub listen: Listen,
    /// Address people use, in links of mails (`https://hinomi.example.jp:8443`). Default: the console
    /// listener, `localhost` for loopback.
    pub public_url: Option<String>,
    /// Address sensors use, in enrolment tokens (`https://hinomi.example.jp:8444`). Default: the sensor listener.
    pub sensor_url: Option<String>,
    /// State store.
    pub store: StoreConfig,
    /// Mail gateway.
    pub gateway: GatewayConfig,
    /// Mailboxes of the organisation; none = no mailbox work. A recipient's mailbox is in the first
    /// whose user list names it.
    pub mailboxes: Vec<MailboxesConfig>,
    /// Processes that talk to the mail systems.
    pub mail_worker: MailWorkerConfig,
    /// LDAP server that knows the people; none = CSV only.
    pub directory: Option<LdapConfig>,
    /// Mailboxes that need special care.
    pub mailbox_marks: MailboxMarks,
    /// Background reading of the IMAP mailboxes; none = not read.
    pub crawl: Option<CrawlConfig>,
    /// Late copies of mails that actions dealt with.
    pub follow_up: FollowUpConfig,
    /// Journal address; none = not served.
    pub journal: Option<JournalConfig>,
    /// Alert mails; none = no mails.
    pub notify: Option<NotifyConfig>,
    /// Automated investigations.
    pub investigation: InvestigationConfig,
    /// What is kept for how long.
    pub retention: RetentionConfig,
    /// Indicators, and feeds that bring them.
    pub indicators: IndicatorsConfig,
}

/// `[listen]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Console and API, TLS.
    pub console: SocketAddr,
    /// Sensors, mutual TLS.
    pub sensors: SocketAddr,
    /// Milter; keep it on loopback or behind a firewall, the protocol has no authentication.
    pub milter: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Listen { console: loopback(8443), sensors: loopback(8444), milter: loopback(8026) }
    }
}

/// `[store]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// `postgres://…`; none = SQLite in the data folder.
    pub url: Option<String>,
}

/// What the gateway answers when it cannot decide in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Deliver (fail-open).
    Deliver,
    /// Ask the sender to try again later (451).
    Tempfail,
}

/// `[gateway]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Listen for the mail server at all.
    pub enabled: bool,
    /// The organisation's own mail domains.
    pub own_domains: Vec<String>,
    /// What happens when the deadline passes or something breaks.
    pub on_failure: OnFailure,
    /// Most milliseconds per message, 100 to 60,000.
    pub deadline_ms: u64,
    /// Largest message inspected, bytes; larger ones are delivered and marked as not inspected.
    pub message_bytes_max: u64,
    /// What happens to a message that a block indicator hits.
    pub on_block: OnBlock,
    /// Filters of the site whose headers are believed, `[[gateway.trusted_filter]]`.
    #[serde(rename = "trusted_filter")]
    pub trusted_filters: Vec<TrustedFilter>,
    /// Names of the organisation's own mail servers as they stand in `Received: … by NAME`; with them
    /// the trusted filters are believed in mail that is read later (journal, crawl) too.
    pub own_servers: Vec<String>,
}

/// What happens to a blocked message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBlock {
    /// Keep it in Hinomi's quarantine.
    Quarantine,
    /// Refuse it (550).
    Reject,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig {
            enabled: true,
            own_domains: Vec::new(),
            on_failure: OnFailure::Deliver,
            deadline_ms: 5_000,
            message_bytes_max: 50 * 1024 * 1024,
            on_block: OnBlock::Quarantine,
            trusted_filters: Vec::new(),
            own_servers: Vec::new(),
        }
    }
}

/// TLS towards the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// No TLS: loopback only.
    None,
    /// TLS from the first byte (port 993).
    #[default]
    Tls,
    /// STARTTLS.
    Starttls,
}

/// `[mail_worker]`: the processes that alone hold the secrets of mail systems and talk to them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailWorkerConfig {
    /// System user (name or number) they run as when the server is root; none = an id of their own that
    /// nobody else has, and for Maildir systems root without any capability but that for files.
    pub user: Option<String>,
}

/// `[[mailboxes]]`: the mailboxes of one mail system, which is named by one of the tables below it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailboxesConfig {
    /// Name, unique: what `hinomi mail connector test` and messages call it.
    #[serde(default = "main_name")]
    pub name: String,
    /// File with one mailbox address per line (or a passwd-style file whose first field is it). A
    /// Microsoft 365 tenant may go without: then its own list of users counts, with all their addresses.
    #[serde(default)]
    pub users_file: Option<PathBuf>,
    /// Mailboxes worked on at the same time, 1 to 64. 8 saturate two cores (design/mail.md §1).
    #[serde(default = "eight")]
    pub connections: usize,
    /// `[mailboxes.imap]`: an IMAP server.
    #[serde(default)]
    pub imap: Option<ImapConfig>,
    /// `[mailboxes.maildir]`: Maildir folders on this machine.
    #[serde(default)]
    pub maildir: Option<MaildirConfig>,
    /// `[mailboxes.graph]`: a Microsoft 365 tenant.
    #[serde(default)]
    pub graph: Option<GraphConfig>,
}

/// `[mailboxes.imap]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImapConfig {
    /// Host of the IMAP server.
    pub host: String,
    /// Port.
    #[serde(default = "imaps")]
    pub port: u16,
    /// TLS.
    #[serde(default)]
    pub tls: MailTls,
    /// Authorities to trust, PEM; none = the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Login of a master user that may act for every mailbox.
    #[serde(default)]
    pub master_user: Option<String>,
    /// Separator between mailbox and master user in the login name; empty = SASL authorisation identity.
    #[serde(default = "asterisk")]
    pub master_separator: String,
    /// Where the master user's own login shows the mailboxes of all, `%u` for each (`user/%u/`): then it
    /// logs in once for many of them (docs/imap-shared.md).
    #[serde(default)]
    pub shared_prefix: Option<String>,
    /// File that holds the master password (a systemd credential); none = the sealed secret of this name
    /// (`hinomi mail secret set`).
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Without a master user: TOML file with the credentials of each mailbox (password or token_file);
    /// none = the sealed secret of this name holds them.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
}

/// `[mailboxes.maildir]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaildirConfig {
    /// Where a mailbox lies: `%u` is its name, `%n` the part before the `@`, `%d` that behind it
    /// (`/var/mail/%d/%n/Maildir`).
    pub path: String,
}

/// `[mailboxes.graph]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphConfig {
    /// Tenant: its id or one of its domains.
    pub tenant: String,
    /// Client id of the app registration.
    pub client_id: String,
    /// File that holds the client secret (a systemd credential); none, and no certificate_file = the
    /// sealed secret of this name holds one or the other.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// Instead of a secret: PEM file with the RSA key and certificate of the app registration.
    #[serde(default)]
    pub certificate_file: Option<PathBuf>,
    /// Login service; another one in national clouds.
    #[serde(default = "graph_login")]
    pub login_url: String,
    /// Graph with its version; another one in national clouds.
    #[serde(default = "graph_base")]
    pub graph_url: String,
    /// Authorities to trust, PEM; none = the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

fn graph_login() -> String {
    "https://login.microsoftonline.com".to_owned()
}

fn graph_base() -> String {
    "https://graph.microsoft.com/v1.0".to_owned()
}

fn main_name() -> String {
    "main".to_owned()
}

fn imaps() -> u16 {
    993
}

fn asterisk() -> String {
    "*".to_owned()
}

fn eight() -> usize {
    8
}

/// `[mailbox_marks]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailboxMarks {
    /// Addresses whose mail is removed only after a person has looked.
    pub protected: Vec<String>,
    /// Addresses several people read.
    pub shared: Vec<String>,
}

/// `[crawl]`: reads every mailbox of the IMAP systems in the background; the table may be empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrawlConfig {
    /// Mailboxes read at the same time, 1 to 16.
    pub parallel: usize,
    /// Most mails read a second, over all mailboxes, 1 to 1,000.
    pub mails_per_second: u32,
    /// Seconds between two looks into a mailbox, 1 to 604,800.
    pub every_seconds: u64,
    /// Larger mails are left out and counted, bytes.
    pub mail_bytes_max: u64,
}

impl Default for CrawlConfig {
    fn default() -> Self {
        CrawlConfig { parallel: 2, mails_per_second: 50, every_seconds: 900, mail_bytes_max: 50 * 1024 * 1024 }
    }
}

/// `[follow_up]`: the same mail that is delivered or moved back after an action is treated like the rest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FollowUpConfig {
    /// Hours an action stays armed for late copies, 0 to 720; 0 = not at all.
    pub hours: u32,
    /// Seconds until the mailboxes are looked into the first time, 1 to 86,400; the pauses double. What
    /// gateway, journal and crawl see is dealt with at once.
    pub first_look_seconds: u32,
}

impl Default for FollowUpConfig {
    fn default() -> Self {
        FollowUpConfig { hours: 48, first_look_seconds: 300 }
    }
}

/// `[journal]`: takes copies of mails by LMTP (docs/mail-journal.md).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Where LMTP is served; keep it on loopback or behind a firewall, the protocol has no authentication.
    pub listen: SocketAddr,
    /// Domain of the journal address, lower case.
    pub domain: String,
}

impl Default for JournalConfig {
    fn default() -> Self {
        JournalConfig { listen: SocketAddr::from(([127, 0, 0, 1], 8024)), domain: "journal.invalid".to_owned() }
    }
}

/// `[investigation]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InvestigationConfig {
    /// What may run without a person, unless settings or a device say otherwise.
    pub automation_level: AutomationLevel,
}

impl Default for InvestigationConfig {
    fn default() -> Self {
        InvestigationConfig { automation_level: AutomationLevel::SemiAll }
    }
}

/// `[retention]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Days of events kept in the lake, 1 to 3,650.
    pub event_days: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        RetentionConfig { event_days: 180 }
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read configuration {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown key or a wrong type; the text shows the line.
    #[error("configuration {path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        message: String,
    },
    /// A value is out of its range.
    #[error("configuration: {key}: {message}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

impl MailboxesConfig {
    /// What the sealed secret of this mail system is, or may be; empty = it needs none.
    pub fn secret_kinds(&self) -> &'static [SecretKind] {
        match (&self.imap, &self.graph) {
            (Some(imap), _) if imap.master_user.is_some() => &[SecretKind::Password],
            (Some(_), _) => &[SecretKind::Credentials],
            (None, Some(_)) => &[SecretKind::ClientSecret, SecretKind::Certificate],
            (None, None) => &[],
        }
    }

    /// The file the secret is read from instead of the sealed store.
    pub fn secret_file(&self) -> Option<&Path> {
        let imap = self.imap.as_ref().and_then(|imap| imap.password_file.as_ref().or(imap.credentials_file.as_ref()));
        let graph = || {
            let graph = self.graph.as_ref()?;
            graph.secret_file.as_ref().or(graph.certificate_file.as_ref())
        };
        imap.or_else(graph).map(PathBuf::as_path)
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, key and line.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let mut config: Config = toml::from_str(&text)
            .map_err(|error| ConfigError::Parse { path: path.to_owned(), message: error.to_string() })?;
        let base = path.parent().unwrap_or(Path::new("."));
        for mailboxes in &mut config.mailboxes {
            mailboxes.users_file = mailboxes.users_file.as_ref().map(|file| base.join(file));
            if let Some(imap) = &mut mailboxes.imap {
                for file in [&mut imap.ca_file, &mut imap.password_file, &mut imap.credentials_file] {
                    *file = file.as_ref().map(|file| base.join(file));
                }
            }
            if let Some(graph) = &mut mailboxes.graph {
                for file in [&mut graph.ca_file, &mut graph.secret_file, &mut graph.certificate_file] {
                    *file = file.as_ref().map(|file| base.join(file));
                }
            }
        }
        if let Some(directory) = &mut config.directory {
            directory.rebase(base);
        }
        if let Some(notify) = &mut config.notify {
            notify.rebase(base);
        }
        config.indicators.rebase(base);
        config.check()?;
        Ok(config)
    }

    /// Checks every range.
    ///
    /// # Errors
    /// The first value out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let bad = |key, message: String| Err(ConfigError::Value { key, message });
        if !(100..=60_000).contains(&self.gateway.deadline_ms) {
            return bad("gateway.deadline_ms", format!("{} is not in 100..60000", self.gateway.deadline_ms));
        }
        if !(1..=3_650).contains(&self.retention.event_days) {
            return bad("retention.event_days", format!("{} is not in 1..3650", self.retention.event_days));
        }
        self.check_mailboxes()?;
        if let Some(crawl) = &self.crawl {
            let ranges = [
                ("crawl.parallel", crawl.parallel as u64, 1..=16),
                ("crawl.mails_per_second", u64::from(crawl.mails_per_second), 1..=1_000),
                ("crawl.every_seconds", crawl.every_seconds, 1..=604_800),
            ];
            if let Some((key, value, range)) = ranges.into_iter().find(|(_, value, range)| !range.contains(value)) {
                return bad(key, format!("{value} is not in {}..{}", range.start(), range.end()));
            }
        }
        let late = &self.follow_up;
        if late.hours > 720 {
            return bad("follow_up.hours", format!("{} is not in 0..720", late.hours));
        }
        if !(1..=86_400).contains(&late.first_look_seconds) {
            return bad("follow_up.first_look_seconds", format!("{} is not in 1..86400", late.first_look_seconds));
        }
        if let Some(Err((key, message))) = self.notify.as_ref().map(NotifyConfig::check) {
            return bad(key, message);
        }
        if let Some(Err((key, message))) = self.directory.as_ref().map(LdapConfig::check) {
            return bad(key, message);
        }
        if let Err((key, message)) = self.indicators.check() {
            return bad(key, message);
        }
        if let Some(url) = &self.store.url
            && !url.starts_with("postgres://")
        {
            return bad("store.url", "must begin with postgres://".to_owned());
        }
        for (key, url) in [("public_url", &self.public_url), ("sensor_url", &self.sensor_url)] {
            if let Some(url) = url
                && (!url.starts_with("https://") || url::Url::parse(url).is_err())
            {
                return bad(key, format!("{url:?} is not an https:// address"));
            }
        }
        Ok(())
    }

    fn check_mailboxes(&self) -> Result<(), ConfigError> {
        let bad = |key, message: String| Err(ConfigError::Value { key, message });
        let mut names = std::collections::BTreeSet::new();
        for mailboxes in &self.mailboxes {
            let name = mailboxes.name.as_str();
            if name.is_empty() || name.len() > 60 || !names.insert(name) {
                return bad("mailboxes.name", format!("{name:?} is empty, too long or there twice"));
            }
            if !(1..=64).contains(&mailboxes.connections) {
                return bad("mailboxes.connections", format!("{} is not in 1..64", mailboxes.connections));
            }
            let kinds = [mailboxes.imap.is_some(), mailboxes.maildir.is_some(), mailboxes.graph.is_some()];
            if kinds.into_iter().filter(|is_there| *is_there).count() != 1 {
                return bad(
                    "mailboxes",
                    format!("{name:?} needs exactly one of [mailboxes.imap], [mailboxes.maildir], [mailboxes.graph]"),
                );
            }
            if mailboxes.graph.is_none() && mailboxes.users_file.is_none() {
                return bad("mailboxes", format!("{name:?} needs a users_file"));
            }
            if let Some(graph) = &mailboxes.graph
                && graph.secret_file.is_some()
                && graph.certificate_file.is_some()
            {
                return bad("mailboxes.graph", format!("{name:?} takes either secret_file or certificate_file"));
            }
            let Some(imap) = &mailboxes.imap else { continue };
            if imap.master_user.is_some() && imap.credentials_file.is_some() {
                return bad("mailboxes.imap", format!("{name:?} takes either master_user or credentials_file"));
            }
            if imap.master_user.is_none() && imap.password_file.is_some() {
                return bad("mailboxes.imap", format!("{name:?}: password_file is for a master_user"));
            }
            if let Some(prefix) = &imap.shared_prefix {
                if imap.master_user.is_none() {
                    return bad("mailboxes.imap", format!("{name:?}: shared_prefix is for a master_user"));
                }
                if RootTemplate::parse(prefix).is_err() {
                    let wanted = "shared_prefix must begin with a fixed name, hold %u (or %n) and end with a separator";
                    return bad("mailboxes.imap", format!("{name:?}: {wanted}, as in \"user/%u/\""));
                }
            }
            let local = matches!(imap.host.as_str(), "localhost" | "127.0.0.1" | "::1");
            if imap.tls == MailTls::None && !local {
                return bad("mailboxes.imap.tls", format!("\"none\" would send passwords to {} in clear", imap.host));
            }
        }
        Ok(())
    }

    /// Address people use, when the console listens on `bound`. Loopback is told as `localhost`:
    /// browsers have passkeys for names only.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        let host = if bound.ip().is_loopback() { "localhost".to_owned() } else { host(bound) };
        told(&self.public_url, &host, bound.port())
    }

    /// Address sensors use, when they are listened for on `bound`.
    pub fn sensor_url(&self, bound: SocketAddr) -> String {
        told(&self.sensor_url, &host(bound), bound.port())
    }
}

fn host(bound: SocketAddr) -> String {
    if bound.is_ipv6() { format!("[{}]", bound.ip()) } else { bound.ip().to_string() }
}

fn told(given: &Option<String>, host: &str, port: u16) -> String {
    given.clone().unwrap_or_else(|| format!("https://{host}:{port}")).trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().expect("temp file");
        std::fs::write(file.path(), text).expect("write");
        Config::load(file.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn empty_is_the_default() {
        let config = load("").expect("loads");
        assert_eq!(config.public_url(config.listen.console), "https://localhost:8443");
        assert_eq!(config.sensor_url(config.listen.sensors), "https://127.0.0.1:8444");
        assert_eq!(config.public_url("[2001:db8::1]:8443".parse().expect("address")), "https://[2001:db8::1]:8443");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("consol = 1", "unknown field `consol`"),
            ("[listen]\nconsole = \"nowhere\"", "line 2"),
            ("[gateway]\ndeadline_ms = 1", "gateway.deadline_ms"),
            ("[store]\nurl = \"mysql://x\"", "store.url"),
            ("public_url = \"http://x\"", "public_url"),
            ("[directory]\nurl=\"ldap://dc.example.jp\"\nbase_dn=\"dc=x\"", "in clear"),
            ("[directory]\nurl=\"ldaps://dc\"\nbase_dn=\"dc=x\"\nbind_dn=\"cn=x\"", "belong together"),
            (
                "[[mailboxes]]\nusers_file=\"u\"\n[mailboxes.imap]\nhost=\"imap.example.jp\"\ntls=\"none\"\nmaster_user=\"m\"\npassword_file=\"p\"",
                "in clear",
            ),
            ("[[mailboxes]]\nusers_file=\"u\"", "exactly one of"),
            ("[[mailboxes]]\n[mailboxes.maildir]\npath=\"/m/%u\"", "needs a users_file"),
            (
                "[[mailboxes]]\nusers_file=\"u\"\n[mailboxes.imap]\nhost=\"localhost\"\nmaster_user=\"m\"\ncredentials_file=\"c\"",
                "either master_user",
            ),
            (
                "[[mailboxes]]\nusers_file=\"u\"\n[mailboxes.imap]\nhost=\"localhost\"\npassword_file=\"p\"",
                "is for a master_user",
            ),
            (
                "[[mailboxes]]\nusers_file=\"u\"\n[mailboxes.imap]\nhost=\"localhost\"\nshared_prefix=\"user/%u/\"",
                "shared_prefix is for a master_user",
            ),
            (
                "[[mailboxes]]\nusers_file=\"u\"\n[mailboxes.imap]\nhost=\"localhost\"\nmaster_user=\"m\"\nshared_prefix=\"user/\"",
                "as in \"user/%u/\"",
            ),
            (
                "[[mailboxes]]\nusers_file=\"u\"\n[mailboxes.maildir]\npath=\"/m/%u\"\n[[mailboxes]]\nusers_file=\"u\"\n[mailboxes.maildir]\npath=\"/m/%u\"",
                "there twice",
            ),
        ] {
            let error = load(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

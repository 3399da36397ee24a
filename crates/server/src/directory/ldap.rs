//! Reading people by LDAP, protected by TLS, page by page.

use super::draft::Draft;
use super::{DirectoryError, PEOPLE_MAX, csv};
use crate::outside::SYSTEM_AUTHORITIES;
use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest reading.
const READ_TIMEOUT: Duration = Duration::from_secs(1_800);
/// Bit of `userAccountControl`: the account is disabled (Microsoft, MS-ADTS 2.2.16).
const ACCOUNT_DISABLED: u32 = 0x2;

/// What kind of server it is; decides the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// OpenLDAP and others with `inetOrgPerson`.
    #[default]
    Openldap,
    /// Active Directory.
    ActiveDirectory,
}

/// `[directory]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LdapConfig {
    /// `ldaps://host` (TLS), or `ldap://host` with `starttls`.
    pub url: String,
    /// What kind of server it is: `openldap` or `active_directory`.
    #[serde(default)]
    pub kind: Kind,
    /// TLS after StartTLS.
    #[serde(default)]
    pub starttls: bool,
    /// Authorities to trust, PEM; none = the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Name to log in with; none = nobody (anonymous).
    #[serde(default)]
    pub bind_dn: Option<String>,
    /// File that holds the password, readable by root only.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Where to begin (`ou=people,dc=example,dc=jp`).
    pub base_dn: String,
    /// Which entries are people; the default depends on the kind.
    #[serde(default)]
    pub filter: Option<String>,
    /// Entries per page, 1 to 1,000.
    #[serde(default = "page_size")]
    pub page_size: i32,
    /// Minutes between readings, 5 to 10,080.
    #[serde(default = "every_minutes")]
    pub every_minutes: u64,
    /// NetBIOS name of the domain: accounts are then also known as `DOMAIN\name`.
    #[serde(default)]
    pub account_domain: Option<String>,
    /// Names of attributes; those left out are the defaults of the kind.
    #[serde(default)]
    pub attributes: Attributes,
}

/// `[directory.attributes]`: which attributes say what. A list is read in order, all of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Attributes {
    /// What stays when everything else changes. Defaults: `entryUUID`; `objectGUID`.
    pub key: Option<String>,
    /// Name; the first that is there. Defaults: `displayName`, `cn`.
    pub name: Option<Vec<String>>,
    /// Accounts. Defaults: `uid`; `sAMAccountName`, `userPrincipalName`.
    pub accounts: Option<Vec<String>>,
    /// Security identifier. Defaults: `sambaSID`; `objectSid`.
    pub sid: Option<String>,
    /// Mailbox; the first value. Default: `mail`.
    pub mailbox: Option<String>,
    /// Further addresses. Defaults: `mail`, `mailLocalAddress`, `mailAlternateAddress`; `proxyAddresses`.
    pub addresses: Option<Vec<String>>,
    /// Devices. Defaults: none.
    pub devices: Option<Vec<String>>,
    /// Department. Defaults: `departmentNumber`; `department`.
    pub department: Option<String>,
    /// Job title. Default: `title`.
    pub title: Option<String>,
    /// Tells whether the account is disabled: `userAccountControl`, or any attribute that is `TRUE`.
    pub disabled: Option<String>,
}

fn page_size() -> i32 {
    500
}

fn every_minutes() -> u64 {
    60
}

/// Attributes with the defaults of the kind filled in.
struct Mapping {
    key: String,
    name: Vec<String>,
    accounts: Vec<String>,
    sid: String,
    mailbox: String,
    addresses: Vec<String>,
    devices: Vec<String>,
    department: String,
    title: String,
    disabled: Option<String>,
}

impl Mapping {
    fn of(config: &LdapConfig) -> Self {
        let active = config.kind == Kind::ActiveDirectory;
        let by_kind = |open: &str, windows: &str| if active { windows } else { open }.to_owned();
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let own = config.attributes.clone();
        let accounts: &[&str] = if active { &["sAMAccountName", "userPrincipalName"] } else { &["uid"] };
        let addresses: &[&str] =
            if active { &["proxyAddresses"] } else { &["mail", "mailLocalAddress", "mailAlternateAddress"] };
        Mapping {
            key: own.key.unwrap_or_else(|| by_kind("entryUUID", "objectGUID")),
            name: own.name.unwrap_or_else(|| list(&["displayName", "cn"])),
            accounts: own.accounts.unwrap_or_else(|| list(accounts)),
            sid: own.sid.unwrap_or_else(|| by_kind("sambaSID", "objectSid")),
            mailbox: own.mailbox.unwrap_or_else(|| "mail".to_owned()),
            addresses: own.addresses.unwrap_or_else(|| list(addresses)),
            devices: own.devices.unwrap_or_default(),
            department: own.department.unwrap_or_else(|| by_kind("departmentNumber", "department")),
            title: own.title.unwrap_or_else(|| "title".to_owned()),
            disabled: own.disabled.or_else(|| active.then(|| "userAccountControl".to_owned())),
        }
    }

    fn all(&self) -> Vec<String> {
        let single = [&self.key, &self.sid, &self.mailbox, &self.department, &self.title];
        let lists = [&self.name, &self.accounts, &self.addresses, &self.devices];
        let mut all: Vec<String> =
            single.into_iter().chain(lists.into_iter().flatten()).chain(&self.disabled).cloned().collect();
        all.sort();
        all.dedup();
        all
    }
}

impl LdapConfig {
    /// Makes relative files relative to a folder.
    pub(crate) fn rebase(&mut self, base: &Path) {
        for file in [&mut self.ca_file, &mut self.password_file].into_iter().flatten() {
            *file = base.join(&*file);
        }
    }

    /// Checks every range; the key and what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        let url = url::Url::parse(&self.url).map_err(|error| ("directory.url", error.to_string()))?;
        let local = url.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
        match url.scheme() {
            "ldaps" if self.starttls => return Err(("directory.starttls", "ldaps:// is TLS already".to_owned())),
            "ldap" if !self.starttls && !local => {
                return Err((
                    "directory.url",
                    "would send people and password in clear: use ldaps:// or starttls".to_owned(),
                ));
            }
            "ldap" | "ldaps" => {}
            other => return Err(("directory.url", format!("{other:?} is neither ldaps nor ldap"))),
        }
        if !(1..=1_000).contains(&self.page_size) {
            return Err(("directory.page_size", format!("{} is not in 1..1000", self.page_size)));
        }
        if !(5..=10_080).contains(&self.every_minutes) {
            return Err(("directory.every_minutes", format!("{} is not in 5..10080", self.every_minutes)));
        }
        if self.bind_dn.is_some() != self.password_file.is_some() {
            return Err(("directory.bind_dn", "bind_dn and password_file belong together".to_owned()));
        }
        Ok(())
    }

    fn filter(&self) -> &str {
        let default = match self.kind {
            Kind::Openldap => "(objectClass=inetOrgPerson)",
            Kind::ActiveDirectory => "(&(objectCategory=person)(objectClass=user))",
        };
        self.filter.as_deref().unwrap_or(default)
    }
}

/// Reads every person of a directory.
pub(super) async fn read(config: &LdapConfig) -> Result<Vec<Draft>, DirectoryError> {
    match tokio::time::timeout(READ_TIMEOUT, read_all(config)).await {
        Ok(read) => read,
        Err(_) => Err(failed(config, "read", "it takes longer than 30 minutes")),
    }
}

async fn read_all(config: &LdapConfig) -> Result<Vec<Draft>, DirectoryError> {
    let settings = LdapConnSettings::new()
        .set_conn_timeout(CONNECT_TIMEOUT)
        .set_starttls(config.starttls)
        .set_config(Arc::new(tls(config)?));
    let (connection, mut ldap) =
        LdapConnAsync::with_settings(settings, &config.url).await.map_err(|e| failed(config, "reach", e))?;
    let driver = tokio::spawn(async move {
        // what breaks here shows in the answers
        let _ = connection.drive().await;
    });
    let read = async {
        if let (Some(name), Some(file)) = (&config.bind_dn, &config.password_file) {
            let text = std::fs::read_to_string(file);
            let text = text.map_err(|error| failed(config, &format!("read {} for", file.display()), error))?;
            let password = text.lines().next().unwrap_or_default();
            if password.is_empty() {
                // a server takes an empty password for an anonymous login and says yes (RFC 4513, 5.1.2)
                return Err(failed(config, "log in to", format!("{} is empty", file.display())));
            }
            let bound = ldap.with_timeout(ANSWER_TIMEOUT).simple_bind(name, password).await;
            bound.and_then(ldap3::LdapResult::success).map_err(|error| failed(config, "log in to", error))?;
        }
        search(config, &mut ldap).await
    };
    let read = read.await;
    // the answer is complete or the connection broken; either way there is nothing to wait for
    let _ = ldap.unbind().await;
    driver.abort();
    read
}

async fn search(config: &LdapConfig, ldap: &mut ldap3::Ldap) -> Result<Vec<Draft>, DirectoryError> {
    let mapping = Mapping::of(config);
    let adapters: Vec<Box<dyn Adapter<_, _>>> =
        vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(config.page_size))];
    let searched = ldap
        .with_timeout(ANSWER_TIMEOUT)
        .streaming_search_with(adapters, &config.base_dn, Scope::Subtree, config.filter(), mapping.all())
        .await;
    let mut found = searched.map_err(|error| failed(config, "search", error))?;
    let mut drafts = Vec::new();
    while let Some(entry) = found.next().await.map_err(|error| failed(config, "search", error))? {
        if drafts.len() >= PEOPLE_MAX {
            return Err(failed(config, "search", "more than 1,000,000 people"));
        }
        drafts.push(draft(&SearchEntry::construct(entry), &mapping, config.account_domain.as_deref()));
    }
    let ended: Result<_, LdapError> = found.finish().await.success();
    ended.map_err(|error| failed(config, "search", error))?;
    Ok(drafts)
}

fn draft(entry: &SearchEntry, mapping: &Mapping, domain: Option<&str>) -> Draft {
    let texts = |name: &str| {
        let found = entry.attrs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, values)| values.clone()).unwrap_or_default()
    };
    let first = |name: &str| texts(name).into_iter().next();
    let mut accounts: Vec<String> = mapping.accounts.iter().flat_map(|name| texts(name)).collect();
    if let Some(domain) = domain {
        let plain: Vec<String> = accounts.iter().filter(|name| !name.contains(['@', '\\'])).cloned().collect();
        accounts.extend(plain.iter().map(|name| format!("{domain}\\{name}")));
    }
    let addresses = mapping.addresses.iter().flat_map(|name| texts(name));
    let disabled = mapping.disabled.as_deref().and_then(first).is_some_and(|value| match value.parse::<u32>() {
        Ok(control) => control & ACCOUNT_DISABLED != 0,
        Err(_) => value.eq_ignore_ascii_case("true"),
    });
    Draft {
        row: entry.dn.chars().take(300).collect(),
        key: first_bytes(entry, &mapping.key).map(|bytes| readable(&bytes)).unwrap_or_default(),
        name: mapping.name.iter().find_map(|name| first(name)).unwrap_or_default(),
        accounts,
        sids: first_bytes(entry, &mapping.sid).and_then(|bytes| sid(&bytes)).into_iter().collect(),
        mailbox: first(&mapping.mailbox),
        addresses: addresses.filter_map(|value| csv::address(&value)).collect(),
        devices: mapping.devices.iter().flat_map(|name| texts(name)).collect(),
        department: first(&mapping.department),
        title: first(&mapping.title),
        disabled,
    }
}

/// First value of an attribute. A binary one that happens to be UTF-8 is filed among the texts.
fn first_bytes(entry: &SearchEntry, name: &str) -> Option<Vec<u8>> {
    let binary = entry.bin_attrs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    if let Some((_, values)) = binary {
        return values.first().cloned();
    }
    let text = entry.attrs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    text.and_then(|(_, values)| values.first()).map(|value| value.clone().into_bytes())
}

/// A key as text: as it is when readable, else hexadecimal.
fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.len() != 16 && !text.chars().any(char::is_control) => text.to_owned(),
        // objectGUID: 16 bytes, readable only by chance
        _ => hex::encode(bytes),
    }
}

/// A security identifier as people write it; binary form after Microsoft, MS-DTYP 2.4.2.2.
fn sid(bytes: &[u8]) -> Option<String> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && text.starts_with("S-1-")
    {
        return Some(text.to_owned());
    }
    let (head, rest) = bytes.split_at_checked(8)?;
    if head[0] != 1 || rest.len() != usize::from(head[1]) * 4 || head[1] > 15 {
        return None;
    }
    let authority = head[2..].iter().fold(0u64, |all, byte| all << 8 | u64::from(*byte));
    let parts = rest.chunks_exact(4).map(|part| u32::from_le_bytes([part[0], part[1], part[2], part[3]]));
    Some(parts.fold(format!("S-1-{authority}"), |text, part| format!("{text}-{part}")))
}

/// TLS with the configured authorities.
fn tls(config: &LdapConfig) -> Result<rustls::ClientConfig, DirectoryError> {
    let file = config.ca_file.as_deref().unwrap_or(Path::new(SYSTEM_AUTHORITIES));
    let unreadable = |error: std::io::Error| failed(config, &format!("read {} for", file.display()), error);
    let pem = std::fs::read(file).map_err(unreadable)?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut pem.as_slice()) {
        roots
            .add(certificate.map_err(unreadable)?)
            .map_err(|error| failed(config, &format!("use {} for", file.display()), error))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions");
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn failed(
    config: &LdapConfig,
    attempt: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> DirectoryError {
    DirectoryError::Ldap { attempt: format!("{attempt} directory {}", config.url), source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_names_become_readable() {
        let bytes = [1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0x51, 4, 0, 0];
        assert_eq!(sid(&bytes).as_deref(), Some("S-1-5-21-1-2-3-1105"));
        assert_eq!(sid(b"S-1-5-21-7").as_deref(), Some("S-1-5-21-7"));
        assert_eq!(sid(&bytes[..20]), None);
        assert_eq!(readable(b"0123456789abcdef"), "30313233343536373839616263646566");
        assert_eq!(readable(b"b5f2c4d8-uuid"), "b5f2c4d8-uuid");
    }

    #[test]
    fn an_entry_of_active_directory_is_understood() {
        let config: LdapConfig = toml::from_str(
            "url = \"ldaps://dc.example.test\"\nkind = \"active_directory\"\nbase_dn = \"dc=example,dc=test\"\naccount_domain = \"EXAMPLE\"",
        )
        .expect("config");
        config.check().expect("sound");
        let texts = [
            ("sAMAccountName", vec!["ann"]),
            ("userPrincipalName", vec!["ann@example.test"]),
            ("mail", vec!["Ann@example.test"]),
            ("proxyAddresses", vec!["SMTP:Ann@example.test", "smtp:a@example.test", "X500:/o=x"]),
            ("userAccountControl", vec!["514"]),
            ("cn", vec!["Ann"]),
        ];
        let attrs = texts
            .into_iter()
            .map(|(name, values)| (name.to_owned(), values.into_iter().map(str::to_owned).collect()))
            .collect();
        let entry = SearchEntry {
            dn: "cn=ann".to_owned(),
            attrs,
            bin_attrs: [("objectGUID".to_owned(), vec![vec![0xff; 16]])].into(),
        };
        let draft = draft(&entry, &Mapping::of(&config), config.account_domain.as_deref());
        assert_eq!(draft.accounts, ["ann", "ann@example.test", "EXAMPLE\\ann"]);
        assert_eq!(draft.addresses, ["Ann@example.test", "a@example.test"]);
        assert_eq!(draft.key, "ff".repeat(16));
        assert!(draft.disabled);
    }
}

//! One mail system of the configuration: its connector, its mailboxes.

use super::credentials::FileCredentials;
use super::directory::DirectoryFile;
use crate::config::{GraphConfig, ImapConfig, MailTls, MailboxesConfig};
use anyhow::{Context, Result};
use hinomi_mail::connector::Connector;
use hinomi_mail::connector::imap::{Access, ImapConnector};
use hinomi_mail::connector::maildir::MaildirConnector;
use hinomi_mail::graph::{Credential, GraphConnector, Limits as GraphLimits, Settings, SigningKey, SystemClock};
use hinomi_mail::imap::{Limits as ImapLimits, Security, Server, Trust};
use hinomi_mail::parse::Limits;
use hinomi_mail::remediate::Engine;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A mail system and the mailboxes it holds.
pub struct System {
    /// Name in the configuration.
    pub name: String,
    /// Works on its mailboxes.
    pub engine: Engine,
    /// The same system when it is IMAP, for reading whole mailboxes.
    pub imap: Option<Arc<ImapConnector>>,
    /// Which mailboxes there are.
    pub directory: DirectoryFile,
}

impl System {
    /// Builds the access from its configuration.
    ///
    /// # Errors
    /// When a password or the authorities cannot be read, or no kind of system is named.
    pub fn from_config(config: &MailboxesConfig, own_domains: Vec<String>) -> Result<System> {
        let mut imap = None;
        let connector: Arc<dyn Connector> = match (&config.imap, &config.maildir, &config.graph) {
            (Some(server), None, None) => {
                Arc::clone(imap.insert(Arc::new(imap_connector(server, config.connections)?))) as Arc<dyn Connector>
            }
            (None, Some(maildir), None) => Arc::new(MaildirConnector::new(&maildir.path, config.connections)?),
            (None, None, Some(graph)) => Arc::new(graph_connector(graph)?),
            _ => anyhow::bail!("mailboxes {:?} name no mail system or several", config.name),
        };
        Ok(System {
            name: config.name.clone(),
            engine: Engine::new(connector, Limits::default()),
            imap,
            directory: DirectoryFile { path: config.users_file.clone(), own_domains },
        })
    }
}

fn imap_connector(config: &ImapConfig, connections: usize) -> Result<ImapConnector> {
    let trust = match (config.tls, &config.ca_file) {
        (MailTls::None, _) => Trust::nobody(),
        (_, Some(file)) => Trust::file(file)?,
        (_, None) => Trust::system()?,
    };
    let security = match config.tls {
        MailTls::None => Security::None,
        MailTls::Tls => Security::Tls,
        MailTls::Starttls => Security::StartTls,
    };
    let server =
        Server { host: config.host.clone(), port: config.port, security, trust, limits: ImapLimits::default() };
    let access = match (&config.master_user, &config.password_file, &config.credentials_file) {
        (Some(user), Some(file), None) => {
            Access::Master { user: user.clone(), separator: config.master_separator.clone(), password: secret(file)? }
        }
        (None, None, Some(file)) => Access::Own(Arc::new(FileCredentials::open(file)?)),
        _ => anyhow::bail!("an IMAP server needs either master_user and password_file or credentials_file"),
    };
    Ok(ImapConnector::new(server, access, connections))
}

fn graph_connector(config: &GraphConfig) -> Result<GraphConnector> {
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()));
    let credential = match (&config.secret_file, &config.certificate_file) {
        (Some(file), None) => Credential::Secret(secret(file)?),
        (None, Some(file)) => {
            let pem = read(file)?;
            Credential::Certificate(SigningKey::from_pem(&pem, &pem)?)
        }
        _ => anyhow::bail!("Microsoft Graph needs either secret_file or certificate_file"),
    };
    let authorities_pem = config.ca_file.as_deref().map(|file| read(file).map(String::into_bytes)).transpose()?;
    let settings = Settings {
        tenant: config.tenant.clone(),
        client_id: config.client_id.clone(),
        credential,
        login_url: config.login_url.parse().context("read login_url")?,
        graph_url: config.graph_url.parse().context("read graph_url")?,
        authorities_pem,
        limits: GraphLimits::default(),
    };
    Ok(GraphConnector::new(settings, Arc::new(SystemClock))?)
}

/// Reads a secret file: its first line.
fn secret(path: &Path) -> Result<String> {
    let shown: PathBuf = path.to_owned();
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", shown.display()))?;
    let line = text.lines().next().unwrap_or_default().to_owned();
    anyhow::ensure!(!line.is_empty(), "{} is empty", shown.display());
    Ok(line)
}

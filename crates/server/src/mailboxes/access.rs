//! Connectors with the secret that lets them in.

use super::credentials::{Entries, FileCredentials};
use crate::config::{GraphConfig, ImapConfig, MailTls, MailboxesConfig};
use crate::secrets::{Handed, Hidden, SecretKind};
use anyhow::{Context, Result};
use hinomi_mail::connector::Connector;
use hinomi_mail::connector::imap::{Access, ImapConnector, RootTemplate};
use hinomi_mail::connector::maildir::MaildirConnector;
use hinomi_mail::graph::{Credential, GraphConnector, Limits as GraphLimits, Settings, SigningKey, SystemClock};
use hinomi_mail::imap::{Limits as ImapLimits, Security, Server, Trust};
use hinomi_mail::worker::Served;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest file of a secret read, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A mail system one can get into.
pub struct Opened {
    /// Its connector.
    pub served: Served,
    /// Folders with files that are read again later: credentials that change, tokens.
    pub reads: Vec<PathBuf>,
}

/// Opens the way into a mail system: with its secret file, or with what was handed over.
///
/// # Errors
/// When the secret cannot be opened, a file cannot be read, or there is no secret.
pub fn open(config: &MailboxesConfig, handed: Option<&Handed>) -> Result<Opened> {
    let sealed = handed.map(|handed| handed.sealed.open(&config.name, &handed.key)).transpose()?;
    let kind = handed.map(|handed| handed.sealed.kind);
    let secret = kind.zip(sealed);
    let mut reads = Vec::new();
    let served = match (&config.imap, &config.maildir, &config.graph) {
        (Some(server), None, None) => {
            let connector = Arc::new(imap_connector(config, server, secret, &mut reads)?);
            Served { connector: Arc::clone(&connector) as Arc<dyn Connector>, whole: Some(connector), tenant: None }
        }
        (None, Some(maildir), None) => {
            let connector = MaildirConnector::new(&maildir.path, config.connections)?;
            Served { connector: Arc::new(connector), whole: None, tenant: None }
        }
        (None, None, Some(graph)) => {
            let connector = Arc::new(graph_connector(&config.name, graph, secret)?);
            Served {
                connector: Arc::clone(&connector) as Arc<dyn Connector>,
                whole: Some(Arc::clone(&connector) as _),
                tenant: Some(connector),
            }
        }
        _ => anyhow::bail!("mailboxes {:?} name no mail system or several", config.name),
    };
    Ok(Opened { served, reads })
}

/// What is said when a mail system has no secret.
pub fn no_secret(name: &str) -> String {
    format!("no secret is stored for the mail system {name:?}: set it with `hinomi mail secret set {name}`")
}

type Secret = Option<(SecretKind, Hidden)>;

fn imap_connector(
    mailboxes: &MailboxesConfig,
    config: &ImapConfig,
    secret: Secret,
    reads: &mut Vec<PathBuf>,
) -> Result<ImapConnector> {
    let name = &mailboxes.name;
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
    let access = match &config.master_user {
        Some(user) => {
            let password = match (&config.password_file, secret) {
                (Some(file), _) => first_line(file)?,
                (None, Some((SecretKind::Password, password))) => password,
                (None, _) => anyhow::bail!(no_secret(name)),
            };
            let password = password.text().ok().context("the password is no text")?.to_owned();
            let user = user.clone();
            match &config.shared_prefix {
                Some(prefix) => Access::Shared { user, password, root: RootTemplate::parse(prefix)? },
                None => Access::Master { user, separator: config.master_separator.clone(), password },
            }
        }
        None => match (&config.credentials_file, secret) {
            (Some(file), _) => {
                let (credentials, folders) = FileCredentials::open(file)?;
                reads.extend(folders);
                Access::Own(Arc::new(credentials))
            }
            (None, Some((SecretKind::Credentials, text))) => {
                let entries = Entries::parse(text.text().ok().context("the credentials are no text")?)?;
                reads.extend(entries.token_folders(Path::new("/")));
                Access::Own(Arc::new(entries))
            }
            (None, _) => anyhow::bail!(no_secret(name)),
        },
    };
    Ok(ImapConnector::new(server, access, mailboxes.connections))
}

fn graph_connector(name: &str, config: &GraphConfig, secret: Secret) -> Result<GraphConnector> {
    let text =
        |hidden: &Hidden| Ok::<_, anyhow::Error>(hidden.text().ok().context("the secret is no text")?.to_owned());
    let certificate = |pem: &Hidden| {
        let pem = pem.text().ok().context("the certificate is not PEM")?;
        Ok::<_, anyhow::Error>(Credential::Certificate(SigningKey::from_pem(pem, pem)?))
    };
    let credential = match (&config.secret_file, &config.certificate_file, secret) {
        (Some(file), None, _) => Credential::Secret(text(&first_line(file)?)?),
        (None, Some(file), _) => certificate(&read(file)?)?,
        (None, None, Some((SecretKind::ClientSecret, secret))) => Credential::Secret(text(&secret)?),
        (None, None, Some((SecretKind::Certificate, pem))) => certificate(&pem)?,
        _ => anyhow::bail!(no_secret(name)),
    };
    let authorities = |file: &Path| std::fs::read(file).with_context(|| format!("read {}", file.display()));
    let settings = Settings {
        tenant: config.tenant.clone(),
        client_id: config.client_id.clone(),
        credential,
        login_url: config.login_url.parse().context("read login_url")?,
        graph_url: config.graph_url.parse().context("read graph_url")?,
        authorities_pem: config.ca_file.as_deref().map(authorities).transpose()?,
        limits: GraphLimits::default(),
    };
    Ok(GraphConnector::new(settings, Arc::new(SystemClock))?)
}

/// Reads a secret file whole.
fn read(path: &Path) -> Result<Hidden> {
    let read = || {
        let size = std::fs::metadata(path)?.len();
        if size > FILE_BYTES_MAX { Err(std::io::Error::other("the file is too big")) } else { std::fs::read(path) }
    };
    Ok(Hidden::from(read().with_context(|| format!("read {}", path.display()))?))
}

/// Reads a secret file: its first line.
fn first_line(path: &Path) -> Result<Hidden> {
    let text = read(path)?;
    let line = text.text().ok().and_then(|text| text.lines().next()).unwrap_or_default();
    anyhow::ensure!(!line.is_empty(), "{} is empty", path.display());
    Ok(Hidden::from(line))
}

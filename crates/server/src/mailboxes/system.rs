//! One mail system of the configuration: its connector, its mailboxes.

use super::access;
use super::directory::DirectoryFile;
use crate::config::MailboxesConfig;
use crate::secrets::Handed;
use anyhow::Result;
use hinomi_mail::connector::imap::ImapConnector;
use hinomi_mail::parse::Limits;
use hinomi_mail::remediate::Engine;
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
    /// When a secret or the authorities cannot be read, or no kind of system is named.
    pub fn from_config(config: &MailboxesConfig, own_domains: Vec<String>, handed: Option<&Handed>) -> Result<System> {
        let opened = access::open(config, handed)?;
        Ok(System {
            name: config.name.clone(),
            engine: Engine::new(opened.connector, Limits::default()),
            imap: opened.imap,
            directory: DirectoryFile { path: config.users_file.clone(), own_domains },
        })
    }
}

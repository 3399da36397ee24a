//! Mailboxes as Maildir folders on this machine (Maildir++: folders are `.Name` beside `cur`).
//!
//! The server must run with the rights of whoever owns the mails; symbolic links are never followed,
//! because the owner of a mailbox may have put them there. An IMAP server over the same folders
//! (Dovecot, Courier) notices every change by itself.

mod files;
mod mailbox;

use super::{Connector, ConnectorError, Mailbox};
use futures::future::BoxFuture;
use mailbox::MaildirMailbox;
use std::path::PathBuf;

/// Mailboxes below one path.
#[derive(Debug)]
pub struct MaildirConnector {
    template: String,
    concurrency: usize,
}

/// The template of a Maildir connector cannot name mailboxes.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an absolute path with %u or %n in it")]
pub struct BadTemplate(String);

impl MaildirConnector {
    /// Builds a connector. In `template`, `%u` stands for the mailbox, `%n` for its part before the
    /// `@` and `%d` for that behind it.
    ///
    /// # Errors
    /// When the template is not an absolute path or names no mailbox.
    pub fn new(template: &str, concurrency: usize) -> Result<Self, BadTemplate> {
        let names_mailbox = template.contains("%u") || template.contains("%n");
        if !template.starts_with('/') || !names_mailbox {
            return Err(BadTemplate(template.to_owned()));
        }
        Ok(MaildirConnector { template: template.to_owned(), concurrency: concurrency.max(1) })
    }

    fn path(&self, mailbox: &str) -> Result<PathBuf, ConnectorError> {
        let (local, domain) = mailbox.rsplit_once('@').unwrap_or((mailbox, ""));
        let safe = |part: &str| !part.starts_with('.') && !part.contains(['/', '\0']);
        if mailbox.is_empty() || !safe(mailbox) || !safe(local) || !safe(domain) {
            return Err(ConnectorError::refused(format!("{mailbox:?} cannot be the name of a folder")));
        }
        let path = self.template.replace("%u", mailbox).replace("%n", local).replace("%d", domain);
        Ok(PathBuf::from(path))
    }
}

impl Connector for MaildirConnector {
    fn open<'a>(&'a self, mailbox: &'a str) -> BoxFuture<'a, Result<Box<dyn Mailbox>, ConnectorError>> {
        Box::pin(async move {
            let mailbox = MaildirMailbox::open(self.path(mailbox)?, mailbox).await?;
            Ok(Box::new(mailbox) as Box<dyn Mailbox>)
        })
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }
}

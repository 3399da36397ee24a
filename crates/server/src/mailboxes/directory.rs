//! The user list: which mailboxes there are, and whose is which address.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Longest user list read, bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Names of the mailboxes, as the mail server's login knows them.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    names: HashSet<String>,
    own_domains: Vec<String>,
}

/// Where the list is; read anew for each piece of work, so that new mailboxes are known at once.
#[derive(Debug, Clone)]
pub struct DirectoryFile {
    /// The file: one address per line, or passwd-style with the name in the first field.
    pub path: PathBuf,
    /// The organisation's own domains: names without a domain are mailboxes of these.
    pub own_domains: Vec<String>,
}

impl DirectoryFile {
    /// Reads the list.
    ///
    /// # Errors
    /// When the file cannot be read or is too big.
    pub async fn read(&self) -> Result<Directory, std::io::Error> {
        let size = tokio::fs::metadata(&self.path).await?.len();
        if size > FILE_BYTES_MAX {
            return Err(std::io::Error::other(format!("user list {} is too big", shown(&self.path))));
        }
        let bytes = tokio::fs::read(&self.path).await?;
        Ok(Directory::parse(&String::from_utf8_lossy(&bytes), &self.own_domains))
    }
}

fn shown(path: &Path) -> std::path::Display<'_> {
    path.display()
}

impl Directory {
    /// Reads a list; empty lines and lines that begin with `#` are skipped.
    pub fn parse(text: &str, own_domains: &[String]) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let names = lines.filter_map(|line| line.split(':').next()).map(|name| name.trim().to_lowercase());
        let own_domains = own_domains.iter().map(|domain| domain.to_lowercase()).collect();
        Directory { names: names.filter(|name| !name.is_empty()).collect(), own_domains }
    }

    /// Returns the mailbox of a recipient: the address itself, without a `+detail`, or the part
    /// before the `@` when the list holds names and the domain is our own.
    pub fn mailbox(&self, recipient: &str) -> Option<String> {
        let recipient = recipient.to_lowercase();
        let (local, domain) = recipient.rsplit_once('@').unwrap_or((&recipient, ""));
        let plain = local.split('+').next().unwrap_or(local);
        let ours = self.own_domains.is_empty() || self.own_domains.iter().any(|own| own == domain);
        let mut tries = vec![recipient.clone(), format!("{plain}@{domain}")];
        if ours {
            tries.extend([local.to_owned(), plain.to_owned()]);
        }
        tries.into_iter().find(|name| self.names.contains(name))
    }

    /// Names of all mailboxes, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.names.iter().cloned().collect();
        names.sort();
        names
    }

    /// Number of mailboxes.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True when the list names no mailbox.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

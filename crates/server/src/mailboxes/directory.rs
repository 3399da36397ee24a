//! The user list: which mailboxes there are, and whose is which address.

use super::tenant::TenantUsers;
use anyhow::Result;
use hinomi_mail::connector::Owner;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Longest user list read, bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Names of the mailboxes, as the mail server's login knows them.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    names: HashSet<String>,
    /// Mailboxes by further addresses of their owners.
    aliases: HashMap<String, String>,
    own_domains: Vec<String>,
}

/// Where the list of a mail system comes from.
#[derive(Debug)]
pub enum UserList {
    /// A file.
    File(DirectoryFile),
    /// The system itself.
    Tenant(TenantUsers),
}

impl UserList {
    /// Reads the list.
    ///
    /// # Errors
    /// When the file cannot be read, or the system cannot be asked and was not for a day.
    pub async fn read(&self) -> Result<Directory> {
        match self {
            UserList::File(file) => Ok(file.read().await?),
            UserList::Tenant(users) => users.read().await,
        }
    }
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
        Directory { names: names.filter(|name| !name.is_empty()).collect(), own_domains, ..Directory::default() }
    }

    /// Makes a list of the mailboxes a mail system knows. An address two of them claim is nobody's alias.
    pub fn of_owners(owners: &[Owner], own_domains: &[String]) -> Self {
        let names: HashSet<String> = owners.iter().map(|owner| owner.mailbox.to_lowercase()).collect();
        let mut claims: HashMap<String, Option<String>> = HashMap::new();
        for owner in owners {
            let mailbox = owner.mailbox.to_lowercase();
            for address in owner.addresses.iter().map(|address| address.to_lowercase()) {
                let claim = claims.entry(address).or_insert_with(|| Some(mailbox.clone()));
                if claim.as_ref() != Some(&mailbox) {
                    *claim = None;
                }
            }
        }
        let aliases = claims.into_iter().filter_map(|(address, mailbox)| Some((address, mailbox?)));
        let aliases = aliases.filter(|(address, _)| !names.contains(address)).collect();
        let own_domains = own_domains.iter().map(|domain| domain.to_lowercase()).collect();
        Directory { names, aliases, own_domains }
    }

    /// Returns the mailbox of a recipient: that of the address itself, without a `+detail`, or of the
    /// part before the `@` when the list holds names and the domain is our own.
    pub fn mailbox(&self, recipient: &str) -> Option<String> {
        let recipient = recipient.to_lowercase();
        let (local, domain) = recipient.rsplit_once('@').unwrap_or((&recipient, ""));
        let plain = local.split('+').next().unwrap_or(local);
        let ours = self.own_domains.is_empty() || self.own_domains.iter().any(|own| own == domain);
        let mut tries = vec![recipient.clone(), format!("{plain}@{domain}")];
        if ours {
            tries.extend([local.to_owned(), plain.to_owned()]);
        }
        tries.into_iter().find_map(|name| match self.aliases.get(&name) {
            Some(mailbox) => Some(mailbox.clone()),
            None => self.names.get(&name).cloned(),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_addresses_lead_to_the_mailbox_of_their_owner() {
        let owner = |mailbox: &str, addresses: &[&str]| Owner {
            mailbox: mailbox.to_owned(),
            addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
        };
        let owners = [
            owner("ann@x.test", &["Ann.Lee@x.test", "sales@x.test", "ben@x.test"]),
            owner("ben@x.test", &["ben@x.test", "sales@x.test"]),
            // the login name need not be an address
            owner("c17@tenant.test", &["cho@x.test"]),
        ];
        let list = Directory::of_owners(&owners, &["x.test".to_owned()]);
        for (address, mailbox) in [
            ("ann.lee@X.test", Some("ann@x.test")),
            ("ann.lee+news@x.test", Some("ann@x.test")),
            ("cho@x.test", Some("c17@tenant.test")),
            // an own name goes before another's alias, and what two claim is nobody's
            ("ben@x.test", Some("ben@x.test")),
            ("sales@x.test", None),
            ("nobody@x.test", None),
        ] {
            assert_eq!(list.mailbox(address).as_deref(), mailbox, "{address}");
        }
        assert_eq!(list.names(), ["ann@x.test", "ben@x.test", "c17@tenant.test"]);
    }
}

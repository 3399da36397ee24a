//! People of the organisation: whose account and whose mailbox is whose.

use crate::{EntityKey, EntityKind, Timestamp};
use serde::{Deserialize, Serialize};

/// A person of a directory with everything that names them on devices and in mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Person {
    /// `source/key`; the key is what stays when name and address change.
    pub id: String,
    /// Directory it was read from (`ldap`, `csv`, …).
    pub source: String,
    /// Name as people read it.
    pub name: String,
    /// Accounts on devices as [`EntityKind::User`] writes them (`name`, `domain\name`, `name@domain`),
    /// lower case.
    pub accounts: Vec<String>,
    /// Security identifiers of the accounts (`S-1-5-21-…`).
    #[serde(default)]
    pub sids: Vec<String>,
    /// Mailbox: the primary address, lower case.
    pub mailbox: Option<String>,
    /// Every address mail reaches this person at, lower case, the mailbox's first.
    pub addresses: Vec<String>,
    /// Names of devices the directory assigns, lower case.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Department.
    #[serde(default)]
    pub department: Option<String>,
    /// Job title.
    #[serde(default)]
    pub title: Option<String>,
    /// The account may not log in.
    #[serde(default)]
    pub disabled: bool,
    /// When this was last different.
    pub changed_at: Timestamp,
}

impl Person {
    /// Keys of the entities that are this person: accounts and mailboxes.
    pub fn keys(&self) -> Vec<EntityKey> {
        let accounts = self.accounts.iter().map(|account| EntityKey::user(account));
        accounts.chain(self.addresses.iter().map(|address| EntityKey::mailbox(address))).collect()
    }

    /// True when both say the same about the person, whenever it was read.
    pub fn says_the_same(&self, other: &Person) -> bool {
        Person { changed_at: other.changed_at, ..self.clone() } == *other
    }
}

/// A person of an incident and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InvolvedPerson {
    /// The person.
    pub person: Person,
    /// Accounts and mailboxes of the incident that are theirs.
    pub by: Vec<EntityKey>,
}

/// What reading a directory changed, or would change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DirectoryChange {
    /// Directory that was read.
    pub source: String,
    /// Only looked at, nothing stored.
    pub dry_run: bool,
    /// People that are new.
    pub added: usize,
    /// People about whom something is different.
    pub changed: usize,
    /// People that are gone.
    pub removed: usize,
    /// People as they were.
    pub unchanged: usize,
    /// Rows that could not be used, at most 100.
    pub rejected: Vec<RejectedRow>,
    /// All rows that could not be used.
    pub rejected_count: usize,
    /// Columns of the file that mean nothing to us.
    #[serde(default)]
    pub ignored_columns: Vec<String>,
}

/// A row of a directory that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RejectedRow {
    /// Line of the file, from 1, or name of the entry.
    pub row: String,
    /// What is wrong with it.
    pub reason: crate::Text,
}

/// Returns the forms under which an entity may be found in a directory, most exact first; empty for
/// entities that are no people. An account of a domain is also looked for by its plain name, a
/// mailbox also without its `+detail`.
pub fn directory_values(key: &EntityKey) -> Vec<String> {
    let value = key.value.to_lowercase();
    match key.kind {
        EntityKind::User => match value.rsplit_once('\\') {
            Some((_, plain)) => vec![value.clone(), plain.to_owned()],
            None => vec![value],
        },
        EntityKind::Mailbox => match value.rsplit_once('@') {
            Some((local, domain)) if local.contains('+') => {
                let plain = local.split('+').next().unwrap_or(local);
                vec![value.clone(), format!("{plain}@{domain}")]
            }
            _ => vec![value],
        },
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_looked_for_in_their_forms() {
        assert_eq!(directory_values(&EntityKey::user("EXAMPLE\\Ann")), ["example\\ann", "ann"]);
        assert_eq!(directory_values(&EntityKey::user("ann")), ["ann"]);
        assert_eq!(
            directory_values(&EntityKey::mailbox("Ann+news@Example.test")),
            ["ann+news@example.test", "ann@example.test"]
        );
        assert!(directory_values(&EntityKey::ip("192.0.2.1")).is_empty());
    }
}

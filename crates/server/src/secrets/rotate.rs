//! A new master key: everything is sealed anew, all or nothing.
//!
//! With a key of our own: the new key is written beside the old one, the file of secrets is replaced
//! by one sealed with it (that moment decides), the new key takes the old one's place. Who reads in
//! between finds the key by the id the file names. Killed anywhere, the next `set` or `rotate` ends or
//! forgets the rotation; readers need nothing of that.

use super::master::{self, Master, Masters};
use super::{Contents, SecretStore};
use crate::abort::end_at;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Points between the steps at which a test ends the process.
pub const ROTATION_POINTS: &[&str] =
    &["secrets.locked", "secrets.key_written", "secrets.sealed", "secrets.key_in_force"];

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Rotated {
    /// Secrets that were sealed anew.
    pub secrets: usize,
    /// Id of the master key in force.
    pub key: String,
}

impl SecretStore {
    /// Seals everything with a new master key. `new_key` names the file of a key given from outside;
    /// whoever gave the old one must put the new one in its place afterwards.
    ///
    /// # Errors
    /// When something cannot be read, opened or written; the old key is in force then.
    pub fn rotate(&self, new_key: Option<&Path>) -> Result<Rotated> {
        let _lock = self.lock()?;
        end_at("secrets.locked");
        let (contents, old) = self.read_settled()?.context("no secret is sealed here")?;
        let new = match (&self.masters, new_key) {
            (Masters::Given(_), Some(path)) => master::given(path)?,
            (Masters::Own { next, .. }, None) => {
                let new = Master::random();
                new.write(next)?;
                new
            }
            (Masters::Given(path), None) => {
                anyhow::bail!("the master key comes from {}: name the new one with --new-key", path.display())
            }
            (Masters::Own { now, .. }, Some(_)) => {
                anyhow::bail!("the master key is our own ({}): --new-key is for keys given from outside", now.display())
            }
        };
        end_at("secrets.key_written");
        let mut secrets = BTreeMap::new();
        for (name, sealed) in &contents.secrets {
            secrets.insert(name.clone(), sealed.again(&old, &new, name)?);
        }
        let rotated = Rotated { secrets: secrets.len(), key: new.id() };
        self.write(&Contents { format: contents.format, key: new.id(), secrets })?;
        end_at("secrets.sealed");
        self.masters.settle(Some(&rotated.key))?;
        end_at("secrets.key_in_force");
        Ok(rotated)
    }
}

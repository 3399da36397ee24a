//! Sightings: which entity had to do with which value, the table behind every pivot.

use crate::{EntityKey, EventRef, Timestamp};
use serde::{Deserialize, Serialize};

/// A value was seen in connection with an entity: a file on a device, a file in a message copy, a
/// sender in a message copy.
///
/// `observable` is the value asked for (file, ip, domain, url, sender, message, user), `entity` the
/// one that had it (device, message copy).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Sighting {
    /// The value.
    pub observable: EntityKey,
    /// Who had it.
    pub entity: EntityKey,
    /// First time.
    pub first_seen: Timestamp,
    /// Last time.
    pub last_seen: Timestamp,
    /// How often.
    pub count: i64,
    /// One of the events.
    pub sample: EventRef,
    /// How it was called there: path on a device, attachment name in a message (untrusted).
    pub name: String,
    /// First account seen with it on a device, lower case.
    #[serde(default)]
    pub account: Option<String>,
    /// What happened to it there, on a device.
    #[serde(default)]
    pub stages: SightingStages,
}

/// What happened to a value on a device, and when. All empty: it was only seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SightingStages {
    /// First time the file was written.
    pub saved_at: Option<Timestamp>,
    /// File name of the program that wrote it then.
    pub saved_by: Option<String>,
    /// First time the file ran, as a program or as the script of one.
    pub executed_at: Option<Timestamp>,
    /// First time a process connected to the address, or asked for the name.
    pub connected_at: Option<Timestamp>,
    /// First time it was prevented.
    pub blocked_at: Option<Timestamp>,
    /// Last time the file was deleted.
    pub deleted_at: Option<Timestamp>,
}

impl SightingStages {
    /// Takes in what another sighting of the same value on the same device says.
    pub fn merge(&mut self, other: &SightingStages) {
        if other.saved_at.is_some_and(|at| self.saved_at.is_none_or(|known| at < known)) {
            self.saved_at = other.saved_at;
            self.saved_by.clone_from(&other.saved_by);
        }
        let first = |one: Option<Timestamp>, two: Option<Timestamp>| one.into_iter().chain(two).min();
        self.executed_at = first(self.executed_at, other.executed_at);
        self.connected_at = first(self.connected_at, other.connected_at);
        self.blocked_at = first(self.blocked_at, other.blocked_at);
        self.deleted_at = self.deleted_at.max(other.deleted_at);
    }
}

/// The hashes of one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileHashes {
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// SHA-1, lower-case hex.
    pub sha1: Option<String>,
    /// MD5, lower-case hex.
    pub md5: Option<String>,
}

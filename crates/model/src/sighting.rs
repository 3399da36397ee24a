//! Sightings: which entity had to do with which value, the table behind every pivot.

use crate::{EntityKey, EventRef, Timestamp};
use serde::{Deserialize, Serialize};

/// A value was seen in connection with an entity: a file on a device, a file in a message copy, a
/// sender in a message copy.
///
/// `observable` is the value asked for (file, ip, domain, url, sender, message), `entity` the one
/// that had it (device, message copy).
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
}

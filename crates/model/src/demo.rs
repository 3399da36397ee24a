//! Demos: scenarios played into a running server, told apart from everything real by their ids.
//!
//! Every id made for a demo is a UUID of version 8 (RFC 9562 §5.8: the layout is free): its first 48
//! bits are those of the demo (milliseconds since 1970 when it was played), its third group is
//! `8de0`, the rest tells one thing from another. Ids of real things are of version 7. So an id
//! alone says whether it belongs to a demo and to which, in memory, in a column and in a file.

use crate::alert::words;
use crate::{DemoId, Text, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// [`DemoId::MARK`] as it stands in the text of an id, from the 15th character on.
pub const DEMO_MARK: &str = "8de0";
/// Tag of devices and incidents of a demo.
pub const DEMO_TAG: &str = "demo";

impl DemoId {
    /// Third group of every id of a demo: its seventh and eighth byte.
    pub const MARK: [u8; 2] = [0x8d, 0xe0];

    /// Builds the id of a demo played at that time; two of one millisecond are the same.
    pub fn at(at: Timestamp) -> DemoId {
        let millis = at.as_micros().div_euclid(1_000).max(0) as u64;
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        DemoId(Uuid::from_bytes(bytes)).canonical()
    }

    /// Returns the demo an id belongs to; none for everything real.
    pub fn of(id: Uuid) -> Option<DemoId> {
        (id.as_bytes()[6..8] == DemoId::MARK).then(|| DemoId(id).canonical())
    }

    /// Returns the demo of a text that begins with an id (`id/recipient`).
    pub fn of_text(text: &str) -> Option<DemoId> {
        DemoId::of(Uuid::try_parse(text.get(..36)?).ok()?)
    }

    /// Makes a fresh id of any kind one of this demo; its last 64 bits stay.
    pub fn adopt(self, fresh: Uuid) -> Uuid {
        let mut bytes = *self.0.as_bytes();
        bytes[8..].copy_from_slice(&fresh.as_bytes()[8..]);
        Uuid::from_bytes(bytes)
    }

    /// Returns the bounds of the texts that begin with an id of this demo: at or after the first,
    /// before the second, in the order of bytes.
    pub fn range(self) -> (String, String) {
        let text = self.0.to_string();
        // what follows the third group is a hyphen; the next character of ASCII is the full stop
        (text[..19].to_owned(), format!("{}.", &text[..18]))
    }

    /// Returns the bounds of byte strings that begin with an id of this demo, like [`DemoId::range`].
    pub fn byte_range(self) -> ([u8; 8], [u8; 8]) {
        let mut from = [0; 8];
        from.copy_from_slice(&self.0.as_bytes()[..8]);
        let mut to = from;
        to[7] += 1;
        (from, to)
    }

    fn canonical(self) -> DemoId {
        let mut bytes = *self.0.as_bytes();
        bytes[6..8].copy_from_slice(&DemoId::MARK);
        bytes[8..].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0]);
        DemoId(Uuid::from_bytes(bytes))
    }
}

words! {
    /// How far a demo is.
    DemoState {
        /// Its events are being handed in.
        Playing,
        /// All its events are in the ingest log.
        Played,
        /// Its events could not be handed in, or the server stopped while it was played.
        Failed,
        /// It is being removed; goes on after a restart.
        Removing,
    }
}

/// A scenario played into this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Demo {
    /// Id; every id of the demo begins like it.
    pub id: DemoId,
    /// Name of the scenario (`mail-attachment-linux`).
    pub name: String,
    /// Title of the scenario.
    pub title: Text,
    /// How far it is.
    pub state: DemoState,
    /// Who played it.
    pub played_by: String,
    /// When.
    pub played_at: Timestamp,
    /// Time of its first event.
    pub first_event: Timestamp,
    /// Time of its last event.
    pub last_event: Timestamp,
    /// Its events.
    pub events: u64,
    /// Its devices.
    pub devices: u64,
    /// Its messages.
    pub messages: u64,
    /// Position of the ingest log after its last event.
    pub through: u64,
    /// Why playing or the last attempt to remove it failed.
    pub failure: Option<String>,
    /// Grows by one with every change.
    pub version: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeviceId;

    #[test]
    fn an_id_tells_its_demo() {
        let demo = DemoId::at(Timestamp::from_micros(1_790_000_000_123_456));
        assert_eq!(demo.to_string(), "01a0c450-6c7b-8de0-8000-000000000000");
        let fresh = Uuid::from_u128(0x0192_0000_0000_7abc_9abc_def0_1234_5678);
        let device = DeviceId(demo.adopt(fresh));
        assert_eq!(device.to_string(), "01a0c450-6c7b-8de0-9abc-def012345678");
        assert_eq!((device.demo(), DemoId::of(demo.0), DeviceId(fresh).demo()), (Some(demo), Some(demo), None));
        assert_eq!(DemoId::of_text(&format!("{device}/a@example.org")), Some(demo));
        for other in ["", "short", "héhéhéhéhéhéhéhéhéhéhéhéhéhéhéhéhéhéhé", &fresh.to_string()] {
            assert_eq!(DemoId::of_text(other), None, "{other}");
        }
        assert_eq!(&device.to_string()[14..18], DEMO_MARK);
    }

    #[test]
    fn the_range_holds_this_demo_and_no_other() {
        let at = |millis: i64| DemoId::at(Timestamp::from_micros(millis * 1_000));
        let (from, to) = at(1_790_000_000_123).range();
        let inside = |text: String| from <= text && text < to;
        let last = at(1_790_000_000_123).adopt(Uuid::from_bytes([0xff; 16]));
        assert!(inside(at(1_790_000_000_123).to_string()) && inside(format!("{last}/z@example.org")));
        for other in [at(1_790_000_000_122), at(1_790_000_000_124)] {
            let last = other.adopt(Uuid::from_bytes([0xff; 16]));
            assert!(!inside(other.to_string()) && !inside(last.to_string()));
        }
    }
}

//! The words of Hinomi: events, entities, ids, verdicts, alerts, incidents, investigations, actions.
//!
//! Floor 0: plain data with serde and nothing else. No clocks, sockets, files or randomness; whoever
//! creates a value passes in its time and id. Enumerations are spelled as in the public schema of the
//! commercial reference, so that public clients and queries fit.
//!
//! ```
//! use hinomi_model::{Event, Table, Timestamp};
//! let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(0));
//! event.set("FileName", "bash");
//! assert_eq!(event.str("FileName"), Some("bash"));
//! ```

mod action;
mod alert;
mod automation;
mod demo;
mod device;
mod directory;
mod entity;
mod event;
mod id;
mod incident;
mod indicator;
mod indicator_feed;
mod indicator_look;
mod investigation;
mod mail_filter;
mod message;
mod notification;
mod people;
mod pivot;
mod rule;
mod schema;
mod sighting;
mod text;
mod time;
mod tuning;

pub use action::*;
pub use alert::*;
pub use automation::*;
pub use demo::*;
pub use device::*;
pub use directory::*;
pub use entity::*;
pub use event::*;
pub use id::*;
pub use incident::*;
pub use indicator::*;
pub use indicator_feed::*;
pub use indicator_look::*;
pub use investigation::*;
pub use mail_filter::*;
pub use message::*;
pub use notification::*;
pub use people::*;
pub use pivot::*;
pub use rule::*;
pub use schema::Table;
pub use sighting::*;
pub use text::*;
pub use time::*;
pub use tuning::*;

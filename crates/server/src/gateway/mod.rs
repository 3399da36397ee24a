//! The mail gateway: every message is analysed, written down durably and judged by the indicators
//! in force before the mail server takes it.
//!
//! A message an indicator blocks is refused (550) or, by setting, quarantined: a copy with its
//! envelope goes into the vault, the mail server is told "accepted" and drops it, so that the sender
//! learns nothing. A quarantined message stays in the vault until it is released or deleted.

pub(crate) mod events;
mod judge;
mod serve;

pub(crate) use judge::hits;
pub use judge::{Gateway, GatewayOptions, QuarantinedMail, quarantine_key};
pub use serve::serve;

//! Mail systems behind a process of their own: the mail worker.
//!
//! The secrets of mail systems and the parsers of what mail servers answer live in a worker process
//! without privileges; the server sees a [`RemoteConnector`] like any other connector. Both ends speak
//! frames ([`frame`]) over a socket pair and believe each other nothing: every length is checked,
//! answers must fit their questions.
//!
//! When a worker dies, whatever was asked of it fails as passing: the engine asks again, by what
//! journal, vault and mailbox show. What a worker did and could not tell any more is therefore neither
//! lost nor done twice.

pub mod frame;
mod link;
pub mod message;
mod remote;
mod serve;

pub use frame::FrameError;
pub use link::Link;
pub use remote::{RemoteConnector, Workers};
pub use serve::{Served, refuse, serve};

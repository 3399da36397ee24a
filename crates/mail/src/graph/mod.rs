//! Microsoft 365 mailboxes through Microsoft Graph.
//!
//! [`Client`] carries requests: token, host check, retries as the service asks for them, limits on
//! sizes, requests of several mailboxes sent together (`$batch`). [`Graph`] names the calls.
//! [`GraphConnector`] makes a [`crate::connector::Connector`] of them.
//!
//! Proved against a stub of ours whose answers are checked against Microsoft's public schema; not run
//! against the service (docs/microsoft365.md).

mod api;
mod batch;
mod client;
mod clock;
mod connector;
mod error;
mod settings;
mod tenant;
mod token;
mod types;
mod walk;

pub use api::{DeltaPage, Graph, Link, TraceQuery, Within};
pub use client::Client;
pub use clock::{Clock, SystemClock};
pub use connector::GraphConnector;
pub use error::GraphError;
pub use settings::{Credential, Limits, Settings, SigningKey};
pub use types::{Flag, MailFolder, Message, Moved, Trace, User};

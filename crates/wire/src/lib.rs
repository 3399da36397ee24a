//! The sensor protocol: enrolment, batches, acknowledgements, signed commands, versions.
//!
//! Main types: the generated [`proto`] messages and services, [`Batch`](proto::Batch) packing by
//! [`pack`] and [`unpack`], [`Command`] with [`CommandEnvelope`], signed by [`sign`] and opened by
//! [`open`], and the [`EnrolmentToken`]. Floor 1: no sockets, clocks or randomness here; keys and
//! times are passed in.

mod batch;
mod command;
mod token;

/// Generated messages and services of `hinomi.sensor.v1`.
#[allow(missing_docs, clippy::all, clippy::unwrap_used)]
pub mod proto {
    tonic::include_proto!("hinomi.sensor.v1");
}

pub use batch::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, BatchError, EVENTS_BYTES_MAX, pack, unpack};
pub use command::{Command, CommandEnvelope, CommandError, CommandResult, open, sign};
pub use token::{EnrolmentToken, TokenError};

/// Version of the protocol, sent in Hello and Welcome. A server talks to equal versions only and
/// says which one it wants in the status text.
pub const PROTOCOL_VERSION: u32 = 1;

//! The Hinomi sensor: collects what happens on an endpoint, detects, prevents, spools and responds.
//!
//! How an event walks: [`collect`] turns kernel events into rows of the hunting tables →
//! [`pipeline`] lets [`judge`] look at each and writes them to the [`spool`] → [`link`] sends them
//! and gets acknowledgements and signed commands → [`commands`] carries those out through
//! [`respond`] and [`prevent`] → [`notify`] tells the users of the device.
//!
//! What it does not do: listen on the network, obey anything that is not signed by its server.

pub mod agent;
pub mod channel;
mod clock;
pub mod collect;
pub mod commands;
pub mod config;
pub mod control;
pub mod device;
pub mod enrol;
mod files;
pub mod identity;
pub mod judge;
pub mod link;
pub mod notify;
pub mod pipeline;
pub mod prevent;
pub mod respond;
pub mod rules;
pub mod scope;
pub mod spool;
pub mod system;

/// Writes an error with its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let part = cause.to_string();
        // libraries often repeat their cause
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = cause.source();
    }
    text
}

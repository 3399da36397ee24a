//! The house: wires the rooms into one server.
//!
//! The only room that knows all others: ingest, sensor link, analyst, jobs, HTTP per resource,
//! authentication and audit. It decides nothing a thinking room could decide.

pub mod backup;
pub mod config;
pub mod gateway;
pub mod ids;
pub mod ingest;
pub mod keys;
pub mod live;
pub mod mailboxes;

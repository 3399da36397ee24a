//! The house: wires the rooms into one server.
//!
//! The only room that knows all others: ingest, sensor link, analyst, jobs, HTTP per resource,
//! authentication and audit. It decides nothing a thinking room could decide.

pub mod abort;
pub mod actions;
pub mod alerts;
pub mod analyst;
pub mod app;
pub mod auth;
pub mod automation;
pub mod backup;
pub mod bulk;
pub mod config;
pub mod crawl;
pub mod demos;
pub mod directory;
pub mod dry_run;
mod facts;
pub mod gateway;
pub mod http;
pub mod ids;
pub mod incidents;
pub mod indicators;
pub mod ingest;
pub mod investigations;
pub mod jobs;
pub mod journal;
pub mod keys;
pub mod link;
pub mod live;
pub mod mail_header;
pub mod mailboxes;
pub mod notifications;
mod outside;
pub mod pivot;
pub mod regroup;
pub mod related;
pub mod rules;
pub mod secrets;
pub mod serve;
pub mod tuning;
pub mod verdicts;

pub use serve::{Ready, Running, ServeOptions, start};

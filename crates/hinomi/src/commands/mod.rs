//! One file per noun.

pub mod actions;
pub mod audit;
pub mod automation;
pub mod crawl;
pub mod demo;
pub mod devices;
pub mod directory;
pub mod house;
pub mod incidents;
pub mod indicators;
pub mod mail;
pub mod notifications;
pub mod people;
pub mod pivot;
pub mod rules;
pub mod rules_in_force;
pub mod scan;
pub mod secret;
pub mod tuning;

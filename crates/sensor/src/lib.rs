//! The Hinomi sensor: collects what happens on an endpoint, detects, prevents, spools and responds.
//!
//! [`collect`] turns kernel events into rows of the hunting tables.

pub mod collect;

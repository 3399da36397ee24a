//! Real services and fakes for tests; never part of the product.

pub mod console;
pub mod fleet;
pub mod graph;
pub mod mail;
pub mod postgres;
pub mod process;
pub mod replay;
pub mod seed;
pub mod server;
pub mod slapd;
pub mod story;
pub mod week;

//! Real services and fakes for tests; never part of the product.

pub mod mail;
pub mod postgres;
pub mod story;

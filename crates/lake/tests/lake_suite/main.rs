//! The lake with real files.

mod common;
mod damage;
mod queries;
mod steps;

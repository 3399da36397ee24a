//! A stub of Microsoft Graph for tests: not Graph, only what we expect of it.
//!
//! About 15 endpoints over mailboxes in memory, with switches for what goes wrong in practice
//! ([`Fault`]). Its answers are checked against Microsoft's public schema by [`Schema`]; its behaviour
//! is written from Microsoft's documentation. Nothing here was compared with the service.

mod answer;
mod auth;
mod schema;
mod store;
mod stub;

pub use schema::Schema;
pub use store::StubMail;
pub use stub::{Fault, GraphStub, Seen};

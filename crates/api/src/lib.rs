//! The words of the HTTP API: request and response types, routes, permissions, the OpenAPI document.
//!
//! Bodies are the structs of `hinomi-model` wherever one fits; this crate adds requests, summaries
//! and pages. [`routes::routes`] is the one table of routes: each names exactly one permission, and
//! both the server's router and [`openapi::document`] are made from it. No sockets, no clocks.
//!
//! ```
//! let document = hinomi_api::openapi::document("0.1.0");
//! assert!(document["paths"]["/api/v1/incidents"]["get"]["operationId"] == "listIncidents");
//! ```

pub mod openapi;
pub mod permission;
pub mod routes;

mod actions;
mod alerts;
mod auth;
mod automation;
mod connectors;
mod demos;
mod devices;
mod directory;
mod files;
mod incidents;
mod investigations;
mod list;
mod mail;
mod notifications;
mod people;
mod pivot;
mod problem;
mod rules;
mod settings;
mod stream;
mod tuning;

pub use actions::*;
pub use alerts::*;
pub use auth::*;
pub use automation::*;
pub use connectors::*;
pub use demos::*;
pub use devices::*;
pub use directory::*;
pub use files::*;
pub use incidents::*;
pub use investigations::*;
pub use list::*;
pub use mail::*;
pub use notifications::*;
pub use people::*;
pub use permission::Permission;
pub use pivot::*;
pub use problem::*;
pub use rules::*;
pub use settings::*;
pub use stream::*;
pub use tuning::*;

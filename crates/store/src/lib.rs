//! Transactional truth of Hinomi: state, sightings, jobs and the catalogue of lake files, in SQLite
//! (embedded) or PostgreSQL.
//!
//! [`Store`] is cheap to clone. Every function exists on the store (reads from any connection, writes
//! in a transaction of their own) and on [`Tx`] (all or nothing with whatever else the transaction
//! does). Most tables keep the model struct as JSON beside the columns lists filter by. `put_*` writes
//! whatever was there before, `update_*` only over the expected version.
//!
//! SQLite has one writer: while a [`Tx`] is open, writes through the `Store` wait for it, so never call
//! them from inside. Reads inside a `Tx` see its own writes; on PostgreSQL, reading one document by its
//! id inside a `Tx` also locks the row, so read-change-put is safe on both.
//!
//! This crate does not know events, files of the lake or who may do what.
//!
//! ```no_run
//! # async fn example() -> Result<(), hinomi_store::StoreError> {
//! let store = hinomi_store::Store::open_sqlite("data/hinomi.db".as_ref()).await?;
//! let mut tx = store.begin().await?;
//! let number = tx.next_number("incident").await?;
//! tx.set_offset("analyst", 7).await?;
//! tx.commit().await?;
//! # Ok(()) }
//! ```

#[macro_use]
mod db;
mod error;
mod migrate;
mod sql;

mod actions;
mod alerts;
mod audit;
mod automation;
mod backup;
mod commands;
mod consumers;
mod correlations;
mod crawl;
mod demos;
mod devices;
mod directory;
mod follow_up;
mod incidents;
mod indicators;
mod investigations;
mod jobs;
mod journal;
mod lake_files;
mod logins;
mod mail_bulk;
mod messages;
mod notifications;
mod pivot;
mod rules;
mod sessions;
mod sightings;
mod tokens;
mod tuning;
mod users;
mod weak_signs;

pub use actions::ActionFilter;
pub use alerts::{AlertFilter, Hidden};
pub use audit::{AuditCheck, AuditFilter, NewAudit};
pub use backup::{Backup, SQLITE_FILE};
pub use commands::{CommandRow, CommandState};
pub use crawl::{CrawlFolder, CrawlMailbox, GonePlace};
pub use db::{Backend, Listed, PAGE_LIMIT_MAX, Page, Store, Tx};
pub use devices::{DeviceFilter, EnrolmentTokenRow};
pub use directory::PersonFilter;
pub use error::{Result, StoreError};
pub use follow_up::LateRow;
pub use incidents::{IncidentCounts, IncidentFilter, IncidentSort};
pub use indicators::{IndicatorFilter, ListChange, Replaces};
pub use investigations::InvestigationFilter;
pub use jobs::{Job, JobFilter, JobRow, JobState, LeasedJob};
pub use journal::JournalRow;
pub use lake_files::LakeFileRow;
pub use logins::LoginFailures;
pub use mail_bulk::MailBulkRow;
pub use messages::{
    Bucket, Counted, Explored, ExploredMessage, GroupBy, MailCounts, MailGroup, MailGroups, MailVerdictRow, Pivot,
};
pub use notifications::NotificationFilter;
pub use pivot::{SEEN_MAX, Seen};
pub use rules::RuleRow;
pub use sessions::SessionRow;
pub use sightings::{COUNTED_MAX, SightingSummary};
pub use tokens::ApiTokenRow;
pub use users::UserRecord;
pub use weak_signs::{HabitRow, WeakSignRow};

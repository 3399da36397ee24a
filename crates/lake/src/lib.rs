//! Append and query events: sorted Parquet files, one folder per table and day, and a hot tail in
//! memory that queries see at once.
//!
//! The lake does not decide which of its files count: that is the catalogue in the store. Its owner
//! drives it in small steps, each safe to crash after:
//!
//! 1. [`Lake::append`] puts events into the tail.
//! 2. [`Lake::flush`] writes the tail into new files and makes them durable.
//! 3. The owner commits the files and its position to the catalogue.
//! 4. [`Lake::publish`] swaps the tail for the files, so that no query sees an event twice or not at all.
//!
//! A crash between 2 and 3 leaves files nobody knows; [`Lake::open`] removes them, and the events come
//! again from the ingest log. Compaction and retention work alike.
//!
//! ```no_run
//! # async fn example() -> Result<(), hinomi_lake::LakeError> {
//! use hinomi_lake::{Lake, LakeQuery};
//! use hinomi_model::{Event, Table, Timestamp};
//! let lake = Lake::open("data/lake".as_ref(), vec![]).await?;
//! lake.append(1, vec![Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(5))]);
//! let found = lake.query(LakeQuery::of(Table::DeviceProcessEvents)).await?;
//! assert_eq!(found.len(), 1);
//! # Ok(()) }
//! ```
//!
//! It does not know the store, rules, or who may see what.

mod lake;
mod tail;

mod compact;
mod engine;
mod files;
mod query;
mod schema;

mod error;

pub use compact::Compaction;
pub use error::{LakeError, Result};
pub use files::LakeFile;
pub use lake::{Flush, Lake};
pub use query::{Answer, LakeQuery, Op, Predicate, ROWS_MAX};

//! Offline detection: rules over event logs in files, folders and archives.
//!
//! * [`run::list`] finds the files, [`run::run`] reads them with all cores and hands over what rules find.
//! * [`read`] turns bytes into [`Record`]s: EVTX, JSON of many shippers, Linux audit, syslog, the journal.
//! * [`Completer`] gives a record the names rules use and says which log sources it belongs to.
//! * [`report`] writes detections for people and programs.
//!
//! Everything read is hostile: what is damaged is told as a [`Problem`] and the rest is read. The limits
//! are in [`limits`]. What it does not do: talk to a server, group detections into incidents.

mod complete;
mod detection;
mod input;
pub mod limits;
pub mod read;
mod record;
pub mod report;
pub mod rules;
pub mod run;

pub use complete::Completer;
pub use detection::Detection;
pub use input::LogFile;
pub use record::{Field, Record, Value};
pub use run::{Judge, Options, Problem, Progress, Summary};

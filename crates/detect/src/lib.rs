//! Detection: rules and indicators over events, one engine on sensor and server.
//!
//! Floor 1: pure. No I/O, clocks or randomness; rules come in as text, events as rows of the hunting
//! tables, detections come out.
//!
//! * [`Engine`] loads Sigma rules (with our block `hinomi`) and evaluates events.
//! * [`LogEngine`] evaluates the same rules over events of any log, by Sigma's own field names.
//! * [`Correlator`] holds what correlation rules have seen.
//! * [`FieldMap`] says which tables and columns a Sigma log source and its fields mean.
//! * [`IndicatorSet`] looks up values an administrator allows or blocks.
//! * [`indicator_list`] reads lists of such values as others write them.
//! * [`content`] is what ships with every build: our rules, the mapping, the ATT&CK table.
//!
//! What it does not do: group detections into alerts (that is `cases`), read files, keep state on disk.
//!
//! ```
//! use hinomi_model::{Event, Table, Timestamp};
//! let engine = hinomi_detect::content::engine();
//! let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(0));
//! event.set("ActionType", "ProcessCreated").set("FolderPath", "/usr/bin/ls");
//! assert!(engine.evaluate(&event).is_empty());
//! ```

pub mod attack;
pub mod content;
mod correlation;
mod engine;
mod error;
mod example;
mod fields;
mod indicator;
pub mod indicator_list;
mod json;
mod logs;
mod logsource;
mod parts;
mod record;
mod rule;

// from text to logic
mod cidr;
mod condition;
mod document;
mod expr;
mod glob;
mod literal;
mod loader;
mod modifier;
mod pattern;
mod selection;
mod time;
mod yaml;

// from logic to answers
mod explain;
mod hash;
mod index;
mod matcher;
mod pool;
mod row;
mod scratch;
mod values;

pub use correlation::{Correlated, CorrelationLimits, Correlator, Dropped};
pub use engine::{CorrelationDrops, Engine, Match};
pub use error::{RuleError, RuleErrorCode};
pub use example::{Example, Examples};
pub use fields::{FieldMap, LogSource};
pub use indicator::{Hit, IndicatorSet, PATTERNS_MAX, Scene, When, detection as indicator_detection, effects};
pub use json::JsonError;
pub use logs::{Kind, LogEngine, LogOptions, LogScratch};
pub use logsource::{Class, Derive, LogsourceMap};
pub use modifier::Placeholders;
pub use parts::documents;
pub use record::{FieldId, Record};
pub use rule::{Respond, RuleInfo, RuleSource};

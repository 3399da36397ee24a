//! Feeds: lists of indicators that are fetched on a schedule.

use crate::alert::words;
use crate::{FeedRunId, ImportId, IndicatorAction, IndicatorScope, RefusedIndicator, Severity, Text, Timestamp};
use serde::{Deserialize, Serialize};

words! {
    /// What a feed speaks.
    FeedKind {
        /// TAXII 2.1: collections of STIX objects.
        Taxii,
        /// A MISP feed: `manifest.json` and a file per event.
        MispFeed,
        /// A MISP instance, asked for attributes with a key.
        Misp,
    }
    /// Work on fetching a feed.
    FeedRunState {
        /// Ordered.
        Waiting,
        /// Being fetched.
        Running,
        /// Fetched.
        Done,
        /// Nothing new since the last time.
        Unchanged,
        /// Could not be fetched; the reason says why.
        Failed,
    }
}

/// A feed of the configuration, and how it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IndicatorFeed {
    /// Its name.
    pub name: String,
    /// What it speaks.
    pub kind: FeedKind,
    /// Its address.
    pub url: String,
    /// Minutes between fetches.
    pub every_minutes: u64,
    /// What happens when a value of it is seen.
    pub action: IndicatorAction,
    /// Severity of the alerts.
    pub severity: Severity,
    /// Days after which a value that was not named again ends.
    pub expires_days: u32,
    /// Where its values count.
    pub scope: IndicatorScope,
    /// When it is fetched next.
    pub next_at: Option<Timestamp>,
    /// Since when it cannot be fetched.
    pub failing_since: Option<Timestamp>,
    /// The last time it was fetched for good.
    pub last_run: Option<FeedRun>,
}

/// One time a feed was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeedRun {
    /// Id.
    pub id: FeedRunId,
    /// Name of the feed.
    pub feed: String,
    /// Who asked: a person or `schedule`.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Only looked at, nothing stored.
    pub dry_run: bool,
    /// How far it is.
    pub state: FeedRunState,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Requests made.
    pub requests: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Not everything there was fetched: the rest follows with the next run.
    pub more: bool,
    /// Values that are new.
    pub added: u64,
    /// Values that were known from this feed and are said anew.
    pub changed: u64,
    /// Values that stay as they are, among them those other people or lists speak about.
    pub unchanged: u64,
    /// Values the feed took back (revoked, deleted): they count no more.
    #[serde(default)]
    pub removed: u64,
    /// Entries that were not taken.
    pub refused_count: u64,
    /// The first 50 of them and why.
    pub refused: Vec<RefusedIndicator>,
    /// The list its indicators came with; taking it out takes out what this run added.
    pub import_id: Option<ImportId>,
    /// Why it failed.
    pub reason: Option<Text>,
}

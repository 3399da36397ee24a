//! Why a request ended.

use std::sync::Arc;
use std::time::Duration;

/// A request to the service failed.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// The settings cannot be used.
    #[error("microsoft365: {0}")]
    Settings(String),
    /// The service cannot be reached, or its answer broke off.
    #[error("{attempt}")]
    Transport {
        /// What was attempted.
        attempt: String,
        /// Why; never holds the token.
        #[source]
        source: reqwest::Error,
    },
    /// The service asks to be left alone, longer or more often than we wait within one call.
    #[error("{attempt}: the service is busy (status {status})")]
    Busy {
        /// What was attempted.
        attempt: String,
        /// HTTP status of the last answer.
        status: u16,
        /// How long it asks for, if it says so.
        retry_after: Option<Duration>,
    },
    /// The service says no.
    #[error("{attempt}: status {status}, {code}: {message}")]
    Refused {
        /// What was attempted.
        attempt: String,
        /// HTTP status.
        status: u16,
        /// Graph's error code, such as `ErrorItemNotFound`.
        code: String,
        /// Graph's text, shortened.
        message: String,
    },
    /// No token: wrong tenant, client, secret or certificate.
    #[error("get a token: {0}")]
    Login(String),
    /// The answer is larger than its limit.
    #[error("{attempt}: the answer is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What was attempted.
        attempt: String,
        /// The limit, bytes.
        limit_bytes: usize,
    },
    /// The list is longer than asked for.
    #[error("{attempt}: more than {max} answers")]
    TooMany {
        /// What was attempted.
        attempt: String,
        /// Most answers wanted.
        max: usize,
    },
    /// The answer is not what the service documents.
    #[error("{attempt}: the answer is not understood: {reason}")]
    Answer {
        /// What was attempted.
        attempt: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The batch the request went with failed.
    #[error("{attempt}")]
    Batch {
        /// What was attempted.
        attempt: String,
        /// Why the batch failed.
        #[source]
        source: Arc<GraphError>,
    },
    /// A link of an answer leads to another host or path; it was not followed, the token went nowhere.
    #[error("a link of the answer leads away from {expected} and was not followed")]
    ForeignLink {
        /// Where links may lead.
        expected: String,
    },
    /// What a delta link stood for is no longer kept: the folder must be read anew.
    #[error("the service no longer knows how far this folder was read")]
    DeltaExpired,
}

impl GraphError {
    /// True when the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            GraphError::Transport { .. } | GraphError::Busy { .. } => true,
            // a truncated answer is often a broken connection
            GraphError::Answer { .. } => true,
            GraphError::Batch { source, .. } => source.is_passing(),
            _ => false,
        }
    }

    /// How long the service asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            GraphError::Busy { retry_after, .. } => *retry_after,
            GraphError::Batch { source, .. } => source.retry_after(),
            _ => None,
        }
    }
}

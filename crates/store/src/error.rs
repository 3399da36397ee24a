//! What can go wrong in the store.

/// Result of every store function.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The row to change does not exist.
    #[error("no {what} {id}")]
    NotFound {
        /// Kind of row (`alert`).
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The row was changed by somebody else in the meantime.
    #[error("{what} {id} has changed, it is now at version {current}")]
    Conflict {
        /// Kind of row.
        what: &'static str,
        /// Its id.
        id: String,
        /// Version (or offset) the store holds.
        current: i64,
    },
    /// A unique value exists already (a user name, an indicator).
    #[error("{what} exists already")]
    Duplicate {
        /// What exists: table or constraint as the database names it.
        what: String,
    },
    /// The lease of a job ended and somebody else has it, or it is finished.
    #[error("lease of job {job} attempt {attempt} is over")]
    LeaseOver {
        /// The job.
        job: hinomi_model::JobId,
        /// The attempt that is over.
        attempt: i64,
    },
    /// The cursor was not made by this list.
    #[error("cursor does not belong to this list")]
    BadCursor,
    /// A value cannot be stored.
    #[error("{what} cannot be stored: {reason}")]
    Invalid {
        /// What it is.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// A stored document cannot be read.
    #[error("damaged {what} in the store")]
    Damaged {
        /// Kind of document.
        what: &'static str,
        /// The reader's complaint.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database was written by a newer or a different Hinomi.
    #[error("database schema does not fit: {0}")]
    Schema(String),
    /// A backup cannot be written or read.
    #[error("backup: {0}")]
    Backup(String),
    /// A file cannot be written or read.
    #[error("file {path}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No connection became free in time.
    #[error("store is busy")]
    Busy,
    /// Anything else the database says.
    #[error("database failed")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut => StoreError::Busy,
            sqlx::Error::Database(refusal) if refusal.is_unique_violation() => {
                let what = refusal.constraint().or(refusal.table()).unwrap_or(refusal.message());
                StoreError::Duplicate { what: what.to_owned() }
            }
            _ => StoreError::Database(error),
        }
    }
}

impl StoreError {
    pub(crate) fn damaged(what: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        StoreError::Damaged { what, source: Box::new(source) }
    }

    pub(crate) fn file(path: &std::path::Path, source: std::io::Error) -> Self {
        StoreError::File { path: path.to_owned(), source }
    }
}

//! What can go wrong in the lake.

use std::path::PathBuf;

/// Result of every lake function.
pub type Result<T> = std::result::Result<T, LakeError>;

/// What can go wrong in the lake.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// A file or folder cannot be read or written.
    #[error("lake file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A Parquet file cannot be written.
    #[error("cannot write lake file {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A query cannot be understood.
    #[error("bad query: {0}")]
    BadQuery(String),
    /// The engine failed for another reason than a damaged file.
    #[error("query failed")]
    Query(#[source] Box<datafusion::error::DataFusionError>),
    /// A task of ours ended early.
    #[error("lake task ended early: {0}")]
    Task(String),
}

impl From<datafusion::error::DataFusionError> for LakeError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        LakeError::Query(Box::new(error))
    }
}

impl LakeError {
    pub(crate) fn file(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        LakeError::File { path: path.into(), source }
    }

    pub(crate) fn write(path: impl Into<PathBuf>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        LakeError::Write { path: path.into(), source: source.into() }
    }
}

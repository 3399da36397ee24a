//! What is read at most. Beyond a limit the rest of the record, file or archive is left out and told as
//! a [`crate::Problem`].

/// Longest record (a line, a JSON value), bytes.
pub const RECORD_BYTES_MAX: usize = 16 << 20;
/// Fields of one event.
pub const FIELDS_MAX: usize = 1_024;
/// Nesting of one JSON event.
pub const NESTING_MAX: usize = 24;
/// Values of one list in an event.
pub const LIST_MAX: usize = 1_000;
/// Bytes handed to a worker at once; a longer record makes a longer block.
pub const BLOCK_BYTES: usize = 256 << 10;
/// Archives within archives.
pub const ARCHIVE_DEPTH_MAX: usize = 4;
/// Files of one archive.
pub const ARCHIVE_FILES_MAX: usize = 200_000;
/// Bytes out per byte in of a compressed stream, once it gave [`RATIO_FREE_BYTES`]. Event logs of zeros
/// and repeated JSON reach about 100; deflate cannot exceed 1,032.
pub const RATIO_MAX: u64 = 400;
/// What a compressed stream may give before its ratio is looked at.
pub const RATIO_FREE_BYTES: u64 = 64 << 20;
/// Longest archive within an archive that is kept aside on disk to be read, bytes.
pub const SPOOL_BYTES_MAX: u64 = 2 << 30;
/// Folders within folders.
pub const FOLDER_DEPTH_MAX: usize = 64;
/// Records of one audit event that are put together.
pub const AUDIT_EVENT_RECORDS_MAX: usize = 256;
/// Longest value told in a detection, bytes.
pub const SHOWN_BYTES_MAX: usize = 8 << 10;
/// Distinct field names remembered by one worker.
pub const NAMES_MAX: usize = 20_000;
/// Distinct kinds of events remembered by one worker.
pub const CLASSES_MAX: usize = 4_096;
/// Problems kept with their text; all are counted.
pub const PROBLEMS_MAX: usize = 1_000;

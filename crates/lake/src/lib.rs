//! Hinomi room: lake.

//! Hinomi room: cases.

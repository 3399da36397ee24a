//! Hinomi room: wire.

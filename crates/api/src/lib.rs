//! Hinomi room: api.

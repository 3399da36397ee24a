//! Hinomi room: store.

//! Hinomi room: server.

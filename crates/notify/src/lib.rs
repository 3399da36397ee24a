//! Hinomi room: notify.

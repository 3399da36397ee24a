//! Hinomi room: mail.

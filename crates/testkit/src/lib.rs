//! Hinomi room: testkit.

//! Hinomi door.
fn main() {}

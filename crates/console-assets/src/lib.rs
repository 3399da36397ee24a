//! Hinomi room: console-assets.

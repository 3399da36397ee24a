//! Hinomi room: detect.

//! Hinomi room: model.

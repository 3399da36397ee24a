//! Hinomi room: sensor.

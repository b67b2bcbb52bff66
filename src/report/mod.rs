//! What people and machines are told.

pub mod log;

//! What people and machines are told.

pub mod check;
pub mod log;
pub mod prometheus;

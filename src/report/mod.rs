//! What people and machines are told.

pub mod log;
pub mod print;
pub mod status;
mod words;

//! What people and machines are told.

pub mod check;
pub mod log;
pub mod notify;
pub mod print;
pub mod prometheus;
pub mod status;
mod words;

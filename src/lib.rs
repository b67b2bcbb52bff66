//! daneroll renews TLS certificates under DANE without a moment at which a validating client finds no matching TLSA record.
//!
//! The modules in the order the data flows: a configuration, what the world looks like, what follows from it, doing it, and
//! what must be remembered.

pub mod cli;
pub mod config;
pub mod env;
pub mod name;
pub mod provider;
pub mod report;
pub mod tlsa;

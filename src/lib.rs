//! daneroll renews TLS certificates under DANE without a moment at which a validating client finds no matching TLSA record.
//!
//! The modules in the order the data flows: a configuration, what the world looks like, what follows from it, doing it, and
//! what must be remembered.

pub mod act;
pub mod cli;
pub mod config;
pub mod env;
pub mod journal;
pub mod lineage;
pub mod name;
pub mod observe;
pub mod plan;
pub mod provider;
pub mod report;
mod run;
pub mod tlsa;

pub use run::{Report, run};

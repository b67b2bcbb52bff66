//! daneroll renews TLS certificates under DANE without a moment at which a validating client finds no matching TLSA record.
//!
//! The modules in the order the data flows: a command line and a configuration, what the world looks like, what follows from
//! it, doing it, and what must be remembered.

pub mod cli;
pub mod config;
pub mod hosts;
pub mod idna;
pub mod name;
pub mod probe;
pub mod small;
pub mod tlsa;
pub mod trust;

pub mod facts;
pub mod lineage;
pub mod observe;
pub mod plan;

pub mod act;
pub mod journal;
pub mod provider;

pub mod env;
mod program;
pub mod report;
mod run;

pub use program::program;
pub use run::{Report, run};

//! The simulated world: its own tests, and what scenarios are made of.
// What scenarios are made of is outside of `#[test]`, where the exception for tests does not reach.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

/// Histories make and forget small things all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod acme;
mod asking;
mod certs;
#[path = "../common/clients.rs"]
mod clients;
mod disk;
mod dns;
mod faults;
mod histories;
mod lab;
mod oracle;
mod patient;
mod scenarios;
mod status;
mod strategies;
mod updates;
mod validation;
mod verified;

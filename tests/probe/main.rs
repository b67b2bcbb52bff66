//! The probe among hostile servers of our own, and among real ones in a network namespace. `tests/install` has what the
//! latter need.

// Test code: a panic is how it reports.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod certs;
mod dovecot;
mod friendly;
mod hostile;
mod lab;
#[allow(dead_code, reason = "the system tests use the rest")]
#[path = "../system/namespace.rs"]
mod namespace;
mod nginx;
mod postfix;
mod postgres;
mod prosody;
mod scripted;
mod see;
mod slapd;

//! What must not harm: one bad thing at a time, against the real program. Each gives one clear message and the right exit
//! code, and leaves files, records and journal as they were.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod completions;
mod configuration;
mod disk;
#[path = "../common/dns_server.rs"]
mod dns_server;
mod journal;
mod lab;
mod lineages;
mod mistakes;
mod names;
mod outage;
mod output;
mod people;
mod places;
mod providers;
mod secrets;
mod signals;

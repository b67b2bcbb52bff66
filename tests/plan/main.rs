//! The plan, its gates and its checker, and what is remembered: tables of one line a case, and an enumeration.
// What the tables are made of is outside of `#[test]`, where the exception for tests does not reach.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod back;
mod certs;
mod checker;
mod deletes;
mod effects;
mod enumeration;
mod files;
mod gates;
mod installs;
mod lookups;
mod probes;
mod publishing;
mod reasons;
mod remembering;
mod scene;
mod sharing;
mod space;
mod standings;
mod switches;
mod visits;

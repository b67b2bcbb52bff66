//! `daneroll check`: what was seen and what is told about it, in the simulated world and with the real program.
// What scenarios are made of is outside of `#[test]`, where the exception for tests does not reach.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../simulation/certs.rs"]
mod certs;
#[path = "../common/clients.rs"]
mod clients;
#[path = "../common/dns_server.rs"]
mod dns_server;
mod documents;
#[path = "../plan/certs.rs"]
mod generations;
mod judging;
#[path = "../simulation/lab.rs"]
mod lab;
#[path = "../simulation/oracle.rs"]
mod oracle;
mod program;
mod remembered;
mod world;

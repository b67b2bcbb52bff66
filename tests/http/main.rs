//! Providers that are edited over HTTP: the effect itself against servers of every kind, Cloudflare's API against a strict stand-in,
//! PowerDNS against the real server, and whole rollovers with the real program.

#![allow(clippy::unwrap_used, dead_code, reason = "a test may stop at the first surprise; not each uses everything")]

#[path = "../common/changes.rs"]
mod changes;
#[path = "../common/dns_server.rs"]
mod dns_server;
#[path = "../bad_input/lab.rs"]
mod lab;

mod cloudflare;
mod effect;
mod pdns;
mod powerdns;
mod rollover;
mod secrets;
mod server;
mod standin;

use changes::{add, change, delete, keeping, name, record, shown};
use daneroll::{env::real::Real, provider::Context};
use std::time::Duration;

const A: &str = "_25._tcp.a.example.test.";
const B: &str = "_25._tcp.b.example.test.";

fn real() -> Real {
    Real::new(env!("CARGO_BIN_EXE_daneroll").into())
}

fn context() -> Context {
    Context { timeout: Duration::from_secs(2), ..changes::context() }
}

//! Providers that are edited over HTTP: the effect itself against servers of every kind, Cloudflare's API against a strict stand-in,
//! PowerDNS against the real server, and whole rollovers with the real program.

#![allow(clippy::unwrap_used, dead_code, reason = "a test may stop at the first surprise; not each uses everything")]

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

use daneroll::{
    env::real::Real,
    name::DnsName,
    provider::{Change, Context, Operation, Outcome},
    tlsa::Association,
};
use std::time::Duration;

const A: &str = "_25._tcp.a.example.test.";
const B: &str = "_25._tcp.b.example.test.";

fn real() -> Real {
    Real::new(env!("CARGO_BIN_EXE_daneroll").into())
}

fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

/// A 3 1 1 record made of this byte.
fn record(byte: u8) -> Association {
    Association { usage: 3, selector: 1, matching: 1, data: vec![byte; 32] }
}

fn context() -> Context {
    Context {
        timeout: Duration::from_secs(2),
        letsencrypt_directory: "/etc/letsencrypt".into(),
        renewed_domains: String::new(),
        resolvers: Vec::new(),
        state_directory: "/nonexistent".into(),
        standing: Vec::new(),
    }
}

fn change(operation: Operation, owner: &str, byte: u8) -> Change {
    Change {
        operation,
        owner: name(owner),
        zone: Some(name("example.test")),
        record: record(byte),
        ttl: 3600,
        live: None,
        lineage: "a.example.test".into(),
        port: 25,
        protocol: "tcp".into(),
        domain: name("a.example.test"),
    }
}

fn add(owner: &str, byte: u8) -> Change {
    change(Operation::Add, owner, byte)
}

fn delete(owner: &str, byte: u8) -> Change {
    change(Operation::Delete, owner, byte)
}

fn keeping(change: Change, byte: u8) -> Change {
    Change { live: Some(record(byte)), ..change }
}

/// The kind of outcome, and its sentence.
fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "Done".into(),
        Outcome::Already => "Already".into(),
        Outcome::NotYet(text) => format!("NotYet: {text}"),
        Outcome::Temporary(text) => format!("Temporary: {text}"),
        Outcome::Failed(text) => format!("Failed: {text}"),
        Outcome::ByHand(text) => format!("ByHand: {text}"),
    }
}

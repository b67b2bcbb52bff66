//! Providers that work on this host: zone files in the simulated world, where every step can fail or be the last one, and programs
//! that take whole changes, as real processes.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod files;
mod programs;
mod text;

use daneroll::{
    name::DnsName,
    provider::{Change, Context, Operation, Outcome},
    tlsa::Association,
};
use std::time::Duration;

const A: &str = "_25._tcp.a.example.com.";
const B: &str = "_25._tcp.b.example.com.";
/// Records at these owners as they stand in a file.
const A1: &str = "_25._tcp.a.example.com. 3600 IN TLSA 3 1 1 0101\n";
const A2: &str = "_25._tcp.a.example.com. 3600 IN TLSA 3 1 1 0202\n";
const B1: &str = "_25._tcp.b.example.com. 3600 IN TLSA 3 1 1 0101\n";

fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

fn record(byte: u8) -> Association {
    Association { usage: 3, selector: 1, matching: 1, data: vec![byte; 2] }
}

fn change(operation: Operation, owner: &str, byte: u8) -> Change {
    Change {
        operation,
        owner: name(owner),
        zone: Some(name("example.com")),
        record: record(byte),
        ttl: 3600,
        live: None,
        lineage: "a.example.com".into(),
        port: 25,
        protocol: "tcp".into(),
        domain: name("a.example.com"),
    }
}

fn add(owner: &str, byte: u8) -> Change {
    change(Operation::Add, owner, byte)
}

fn delete(owner: &str, byte: u8) -> Change {
    change(Operation::Delete, owner, byte)
}

fn context() -> Context {
    Context {
        timeout: Duration::from_secs(20),
        letsencrypt_directory: "/etc/letsencrypt".into(),
        renewed_domains: "a.example.com".into(),
        resolvers: Vec::new(),
        state_directory: "/state".into(),
        standing: Vec::new(),
    }
}

fn text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done | Outcome::Already => format!("{outcome:?}"),
        Outcome::NotYet(why) => format!("NotYet: {why}"),
        Outcome::ByHand(why) => format!("ByHand: {why}"),
        Outcome::Temporary(why) => format!("Temporary: {why}"),
        Outcome::Failed(why) => format!("Failed: {why}"),
    }
}

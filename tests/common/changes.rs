//! Changes that the tests of providers ask for, and what came of them.

use daneroll::{
    name::DnsName,
    provider::{Change, Context, Operation, Outcome},
    tlsa::Association,
};
use std::time::Duration;

pub fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

/// A 3 1 1 record made of this byte.
pub fn record(byte: u8) -> Association {
    Association { usage: 3, selector: 1, matching: 1, data: vec![byte; 32] }
}

pub fn context() -> Context {
    Context {
        timeout: Duration::from_secs(10),
        letsencrypt_directory: "/etc/letsencrypt".into(),
        renewed_domains: "a.example.com b.example.com".into(),
        resolvers: Vec::new(),
        state_directory: "/nonexistent".into(),
        standing: Vec::new(),
    }
}

/// The change of one record at `_PORT._tcp.DOMAIN`, in the zone that has the last two labels of the domain.
pub fn change(operation: Operation, owner: &str, byte: u8) -> Change {
    let owner = name(owner);
    let domain = owner.as_str().splitn(3, '.').nth(2).unwrap();
    let labels: Vec<_> = domain.trim_end_matches('.').split('.').collect();
    Change {
        operation,
        zone: Some(name(&labels[labels.len().saturating_sub(2)..].join("."))),
        record: record(byte),
        ttl: 3600,
        live: None,
        lineage: domain.trim_end_matches('.').to_owned(),
        port: 25,
        protocol: "tcp".into(),
        domain: name(domain),
        owner,
    }
}

pub fn add(owner: &str, byte: u8) -> Change {
    change(Operation::Add, owner, byte)
}

pub fn delete(owner: &str, byte: u8) -> Change {
    change(Operation::Delete, owner, byte)
}

/// A delete that goes only while this record is there.
pub fn keeping(change: Change, byte: u8) -> Change {
    Change { live: Some(record(byte)), ..change }
}

/// The kind of outcome, and its sentence.
pub fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done | Outcome::Already => format!("{outcome:?}"),
        Outcome::NotYet(text) => format!("NotYet: {text}"),
        Outcome::ByHand(text) => format!("ByHand: {text}"),
        Outcome::Temporary(text) => format!("Temporary: {text}"),
        Outcome::Failed(text) => format!("Failed: {text}"),
    }
}

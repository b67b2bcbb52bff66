//! An audit as a document: JSON, described by `contrib/monitoring/check.schema.json`.

use super::{
    Finding,
    Severity::{self, Critical, Ok as Fine, Unknown, Warning},
    owner::{Subject, union},
};
use crate::{
    facts::{AddressView, Security, ServerView},
    observe::audit::{Endpoint, Seen, state::State},
};
use serde::Serialize;
use std::{cmp::Reverse, collections::BTreeSet, net::SocketAddr};

/// Everything that an audit tells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Audit {
    version: u32,
    /// Exit code.
    pub exit: u8,
    /// The worst of all findings.
    pub state: Severity,
    /// When, Unix seconds.
    pub checked: i64,
    /// How long it took, seconds.
    pub seconds: f64,
    /// How many findings of each severity.
    pub findings_by_state: Counts,
    /// What was looked at.
    pub owners: Vec<Owner>,
    /// What the last run waited for.
    pub waits: Vec<Pending>,
    /// The worst first.
    pub findings: Vec<Finding>,
}

/// Findings by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Clients fail, or soon will.
    pub critical: usize,
    /// No client fails yet.
    pub warning: usize,
    /// It could not be told.
    pub unknown: usize,
    /// Remarks.
    pub ok: usize,
}

/// One owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// The TLSA query name without the final dot.
    pub owner: String,
    /// Lineages with a `tlsa` line for it.
    pub lineages: BTreeSet<String>,
    /// The worst of its findings.
    pub state: Severity,
    dnssec: &'static str,
    /// The longest TTL of the records, seconds.
    ttl: Option<u64>,
    records: Vec<String>,
    servers: Vec<Server>,
    addresses: Vec<Address>,
    /// End of validity of the certificate that ends first among those presented, Unix seconds.
    pub not_after: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Server {
    name: String,
    address: SocketAddr,
    records: Option<usize>,
    unknown: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Address {
    address: SocketAddr,
    chains: usize,
    not_after: Option<i64>,
    unknown: Option<String>,
}

/// Something that the last run waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// For this lineage.
    pub lineage: String,
    /// `switch`, `publish`, `delete`, `retire`, `leave`, `find`.
    pub step: String,
    /// Seconds until its moment, if one is known.
    pub left: Option<u64>,
    /// Why, in words.
    pub reasons: Vec<String>,
}

impl Audit {
    /// Adds it all up. `seconds` is how long it took.
    pub fn new(checked: i64, seconds: f64, owners: Vec<Owner>, state: &State, findings: Vec<Finding>) -> Audit {
        let waits = state.last.iter().flat_map(|last| &last.waits);
        let pending = |wait: &crate::observe::audit::state::Pending| Pending {
            lineage: wait.lineage.clone(),
            step: wait.step().to_owned(),
            left: wait.left,
            reasons: wait.texts.clone(),
        };
        let mut audit = Audit {
            version: 1,
            exit: 0,
            state: Fine,
            checked,
            seconds: (seconds * 1000.0).round() / 1000.0,
            findings_by_state: Counts::default(),
            owners,
            waits: waits.map(pending).collect(),
            findings: Vec::new(),
        };
        audit.add(findings);
        audit
    }

    /// Adds findings; state and exit code follow.
    pub fn add(&mut self, findings: Vec<Finding>) {
        self.findings.extend(findings);
        self.findings.sort_by_key(|finding| Reverse(finding.severity));
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let (critical, warning, unknown, ok) = (count(Critical), count(Warning), count(Unknown), count(Fine));
        self.findings_by_state = Counts { critical, warning, unknown, ok };
        self.state = self.findings.first().map_or(Fine, |worst| worst.severity);
        self.exit = self.state.code();
        for owner in &mut self.owners {
            let own = self.findings.iter().filter(|finding| finding.place == owner.owner);
            owner.state = own.map(|finding| finding.severity).max().unwrap_or(Fine);
        }
    }

    /// End of validity of the certificate that ends first, Unix seconds.
    pub fn first_end(&self) -> Option<i64> {
        self.owners.iter().filter_map(|owner| owner.not_after).min()
    }
}

impl Owner {
    /// Without its findings.
    pub fn new(subject: &Subject, seen: &Seen) -> Owner {
        let servers = seen.view.servers.iter().flatten();
        let addresses = match &seen.endpoint {
            Endpoint::Visited(view, _) => view.addresses.iter().flatten().map(address).collect(),
            Endpoint::NotVisited(_) => Vec::new(),
        };
        let addresses: Vec<Address> = addresses;
        let ttls = servers.clone().filter_map(|(_, server)| server.answer.as_ref().ok()).map(|shown| shown.ttl);
        let files = subject.files.values().map(|chain| chain.not_after());
        Owner {
            owner: subject.query.without_dot().to_owned(),
            lineages: subject.lineages.clone(),
            state: Fine,
            dnssec: match &seen.view.security {
                Security::Secure => "secure",
                Security::Insecure => "insecure",
                Security::Bogus(_) => "bogus",
                Security::Unknown(_) => "unknown",
            },
            ttl: ttls.max(),
            records: union(&seen.view).iter().map(ToString::to_string).collect(),
            servers: servers.map(server).collect(),
            not_after: addresses.iter().filter_map(|address| address.not_after).min().or(files.min()),
            addresses,
        }
    }
}

fn server((address, view): (&SocketAddr, &ServerView)) -> Server {
    let records = view.answer.as_ref().ok().and_then(|shown| Some(shown.records.as_ref()?.len()));
    Server { name: view.name.clone(), address: *address, records, unknown: view.answer.as_ref().err().cloned() }
}

fn address((address, view): (&SocketAddr, &AddressView)) -> Address {
    let not_after = view.chains.iter().map(|chain| chain.not_after()).min();
    Address { address: *address, chains: view.chains.len(), not_after, unknown: view.unknown.clone() }
}

/// The audit in JSON.
pub fn document(audit: &Audit) -> String {
    serde_json::to_string_pretty(audit).unwrap_or_default() + "\n"
}

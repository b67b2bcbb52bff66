//! Looking at services with the real environment.

use crate::certs::{Cert, HOST};
use daneroll::{
    env::{Env, Visit, Visited, real::Real},
    probe::Protocol,
};
use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

/// A visit with a limit that is never reached.
pub fn to(protocol: Protocol, address: SocketAddr) -> Visit {
    Visit { address, server_name: HOST.parse().unwrap(), protocol, limit: Duration::from_secs(30) }
}

pub fn all(visits: &[Visit]) -> Vec<Visited> {
    Real::new("/nonexistent".into()).visit(visits)
}

pub fn one(protocol: Protocol, address: SocketAddr) -> Visited {
    all(&[to(protocol, address)]).remove(0)
}

/// These chains were seen, no others, and nothing failed.
pub fn expect(seen: &Visited, certs: &[&Cert], what: &str) {
    assert_eq!(seen.unknown, None, "{what}");
    let chains: BTreeSet<_> = seen.chains.iter().collect();
    assert_eq!(chains, certs.iter().map(|cert| &cert.chain).collect(), "{what}");
    assert_eq!(seen.chains.len(), certs.len(), "{what}: each chain once");
}

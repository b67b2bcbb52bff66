//! `api = rfc2136` against the servers that people run: BIND, knot and PowerDNS as primaries, BIND, knot and NSD as secondaries.
//! Each on a port of the loopback interface; `tests/run` installs them.

// Test code: a panic is how it reports.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code, reason = "not each uses everything")]
#[path = "../common/changes.rs"]
mod changes;
mod proxy;
mod refusals;
mod servers;

use changes::{context, name};
use daneroll::{
    env::{Ask, Env, real::Real},
    name::DnsName,
    provider::{
        Change, Outcome, Provider,
        rfc2136::{Place, Rfc2136, TsigKey},
    },
};
use hickory_resolver::proto::rr::{RData, RecordType};
use proxy::Proxy;
use servers::{Kind, PRIMARIES, Server, key, ready};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

/// An owner with a record of somebody else's, TTL 77.
const MX: &str = "_25._tcp.mx.example.com";
/// Nothing is there, and no wildcard.
const NEW: &str = "_443._tcp.www.example.com";
/// A wildcard makes a record for it.
const WILD: &str = "_25._tcp.wild.example.com";
/// The record that is there before us.
const FOREIGN: u8 = 0xF0;

fn real() -> Real {
    Real::new("/proc/self/exe".into())
}

/// The zone is for the provider to find.
fn add(owner: &str, byte: u8) -> Change {
    Change { zone: None, ttl: 600, ..changes::add(owner, byte) }
}

fn delete(owner: &str, byte: u8) -> Change {
    Change { zone: None, ..changes::delete(owner, byte) }
}

fn config(addresses: &[SocketAddr], key: Option<TsigKey>) -> Rfc2136 {
    let place = |address: &SocketAddr| Place { host: address.ip().to_string(), port: address.port() };
    Rfc2136 { servers: addresses.iter().map(place).collect(), key, zone: None }
}

fn update(address: SocketAddr, changes: &[Change]) -> Vec<Outcome> {
    config(&[address], Some(key("daneroll"))).apply(&real(), &context(), changes)
}

/// What the server shows: TTL, and the first byte of each record.
fn at(address: SocketAddr, owner: &str) -> (u32, BTreeSet<u8>) {
    let ask =
        Ask { server: address, name: name(owner), kind: RecordType::TLSA, recursion: false, checking_disabled: false };
    let answer = real().ask(&[ask]).remove(0).unwrap();
    let (mut ttl, mut records) = (0, BTreeSet::new());
    for record in answer.answers.iter().filter(|record| DnsName::from(&record.name) == name(owner)) {
        if let RData::TLSA(data) = &record.data {
            ttl = record.ttl;
            records.insert(data.cert_data[0]);
        }
    }
    (ttl, records)
}

/// The same as soon as it is so; servers show a change only when they have signed it.
fn expect(address: SocketAddr, owner: &str, ttl: u32, records: &[u8]) {
    let wanted = (ttl, records.iter().copied().collect());
    let deadline = Instant::now() + Duration::from_secs(10);
    while at(address, owner) != wanted {
        assert!(Instant::now() < deadline, "{owner}: {:?}, not {wanted:?}", at(address, owner));
        thread::sleep(Duration::from_millis(50));
    }
}

/// What other people put there stays, with its TTL, which ours takes over.
#[test]
fn single_records() {
    for kind in PRIMARIES.into_iter().filter(|kind| ready(*kind)) {
        let server = Server::start(kind);
        let address = server.address;
        assert_eq!(update(address, &[add(MX, 1), add(NEW, 1), add(NEW, 2)]), vec![Outcome::Done; 3], "{kind:?}");
        expect(address, MX, 77, &[1, FOREIGN]);
        expect(address, NEW, 600, &[1, 2]);
        let again = update(address, &[add(MX, 1), delete(MX, 9), delete(NEW, 1), add(MX, 2)]);
        assert_eq!(again, [Outcome::Already, Outcome::Already, Outcome::Done, Outcome::Done], "{kind:?}");
        expect(address, MX, 77, &[1, 2, FOREIGN]);
        assert_eq!(
            update(address, &[delete(MX, 1), delete(MX, 2), delete(NEW, 2)]),
            vec![Outcome::Done; 3],
            "{kind:?}"
        );
        expect(address, MX, 77, &[FOREIGN]);
        expect(address, NEW, 0, &[]);
        // What a wildcard makes of a name is not there: our record comes alone, and the wildcard shows again after it.
        expect(address, WILD, 77, &[FOREIGN]);
        assert_eq!(update(address, &[add(WILD, 1)]), [Outcome::Done], "{kind:?}");
        expect(address, WILD, 600, &[1]);
        assert_eq!(update(address, &[delete(WILD, 1)]), [Outcome::Done], "{kind:?}");
        expect(address, WILD, 77, &[FOREIGN]);
        let outcome = update(address, &[add("alias.example.com", 1)]).remove(0);
        assert!(
            matches!(&outcome, Outcome::Failed(text) if text.contains("alias (CNAME) of mx.example.com.")),
            "{outcome:?}"
        );
    }
}

/// Two writers who know nothing of each other, at the same owner: nothing of either is lost.
#[test]
fn concurrent_writers() {
    for kind in PRIMARIES.into_iter().filter(|kind| ready(*kind)) {
        let server = Server::start(kind);
        let address = server.address;
        let write = |bytes: std::ops::Range<u8>| {
            for byte in bytes {
                let deadline = Instant::now() + Duration::from_secs(30);
                loop {
                    match update(address, &[add(MX, byte)]).remove(0) {
                        Outcome::Done => break,
                        Outcome::Temporary(why) => assert!(why.contains("another program"), "{kind:?}: {why}"),
                        other => panic!("{kind:?}: {other:?}"),
                    }
                    assert!(Instant::now() < deadline, "{kind:?}: no end");
                }
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| write(1..9));
            scope.spawn(|| write(101..109));
        });
        let all: Vec<u8> = (1..9).chain(101..109).chain([FOREIGN]).collect();
        expect(address, MX, 77, &all);
    }
}

/// The update takes effect and its answer is lost: it is not sent twice for long, and what became of it is found out.
#[test]
fn a_lost_answer() {
    for kind in PRIMARIES.into_iter().filter(|kind| ready(*kind)) {
        let server = Server::start(kind);
        let proxy = Proxy::start(server.address, 1, Duration::ZERO);
        let outcome = update(proxy.address, &[add(MX, 1)]).remove(0);
        assert!(
            matches!(&outcome, Outcome::Temporary(text) if text.contains("closed the connection")),
            "{kind:?}: {outcome:?}"
        );
        expect(server.address, MX, 77, &[1, FOREIGN]);
        assert_eq!(update(proxy.address, &[add(MX, 1)]), [Outcome::Already], "{kind:?}");
        // With a second way to the server, in the same call.
        let proxy = Proxy::start(server.address, 1, Duration::ZERO);
        let both = config(&[proxy.address, server.address], Some(key("daneroll")));
        assert_eq!(both.apply(&real(), &context(), &[delete(MX, 1), add(MX, 2)]), vec![Outcome::Done; 2], "{kind:?}");
        expect(server.address, MX, 77, &[2, FOREIGN]);
    }
}

#[test]
fn slow_servers() {
    if !ready(Kind::Knot) {
        return;
    }
    let server = Server::start(Kind::Knot);
    let slow = Proxy::start(server.address, 0, Duration::from_secs(3));
    assert_eq!(update(slow.address, &[add(MX, 1)]), [Outcome::Done]);
    let slower = Proxy::start(server.address, 0, Duration::from_secs(40));
    let began = Instant::now();
    let outcome = update(slower.address, &[add(MX, 2)]).remove(0);
    assert!(matches!(&outcome, Outcome::Temporary(text) if text.contains("within 15 s")), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(25));
    expect(server.address, MX, 77, &[1, 2, FOREIGN]);
}

#[test]
fn every_algorithm() {
    for kind in PRIMARIES.into_iter().filter(|kind| ready(*kind)) {
        let server = Server::start(kind);
        for (byte, algorithm) in (1..).zip(["hmac-sha256", "hmac-sha384", "hmac-sha512"]) {
            let key = TsigKey { algorithm: algorithm.into(), ..key(algorithm) };
            let config = config(&[server.address], Some(key));
            assert_eq!(config.apply(&real(), &context(), &[add(MX, byte)]), [Outcome::Done], "{kind:?} {algorithm}");
        }
    }
}

/// Secondaries hand updates on where they are told to (BIND) or by nature (knot).
#[test]
fn secondaries_that_forward() {
    let primary = Kind::Bind;
    for kind in [Kind::BindForwards, Kind::KnotSecondary] {
        if !(ready(kind) && ready(primary)) {
            continue;
        }
        let primary = Server::start(primary);
        let server = Server::behind(kind, Some(primary.address));
        assert_eq!(update(server.address, &[add(MX, 1)]), [Outcome::Done], "{kind:?}");
        expect(primary.address, MX, 77, &[1, FOREIGN]);
        // NOTIFY finds no way between these; what we see is what the secondary had.
    }
}

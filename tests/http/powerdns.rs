//! `api = powerdns` against the real server, partly through something in between that misbehaves.

use crate::{
    A, B, add, context, delete, keeping, name,
    pdns::{KEY, Pdns},
    real, record,
    server::{Manner, Reply, Request, serve},
    shown,
};
use daneroll::{
    config::Secret,
    provider::{Change, Outcome, Provider, http::Base, powerdns::PowerDns},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

fn config(http: SocketAddr) -> PowerDns {
    PowerDns {
        base: Base::parse(&format!("http://{http}")).unwrap(),
        key: Secret(KEY.into()),
        source: "/etc/pdns.key".into(),
        server: "localhost".into(),
        zone: None,
    }
}

fn apply(http: SocketAddr, changes: &[Change]) -> Vec<Outcome> {
    config(http).apply(&real(), &context(), changes)
}

fn content(byte: u8) -> String {
    record(byte).to_string()
}

/// A foreign record, one that is switched off, and records 1 and 2 at `A` (TTL 77, a comment); nothing at `B`.
fn populate(pdns: &Pdns) {
    let (foreign, off) = (format!("0 0 2 {}", "AB".repeat(64)), content(0xee));
    let records = [(foreign.as_str(), false), (off.as_str(), true), (&content(1), false), (&content(2), false)];
    pdns.set(A, 77, &records);
    pdns.api(
        "PATCH",
        "/zones/example.test.",
        &format!("{{\"rrsets\":[{{\"name\":\"{B}\",\"type\":\"TLSA\",\"changetype\":\"DELETE\"}}]}}"),
    );
}

/// The first bytes of what is at an owner, beside the two of others, which must be as they were.
fn ours(pdns: &Pdns, owner: &str) -> (u64, Vec<u8>) {
    let (ttl, comments, mut records) = pdns.at(owner);
    if owner == A {
        assert_eq!(comments, 1, "a comment was lost");
        for other in [(format!("0 0 2 {}", "ab".repeat(64)), false), (content(0xee), true)] {
            let at = records
                .iter()
                .position(|record| *record == other)
                .unwrap_or_else(|| panic!("a foreign record was lost or changed: {records:?}"));
            records.remove(at);
        }
    }
    let byte = |(content, disabled): &(String, bool)| {
        assert!(!disabled && content.starts_with("3 1 1 "));
        u8::from_str_radix(&content[6..8], 16).unwrap()
    };
    (ttl, records.iter().map(byte).collect())
}

#[test]
fn single_records_among_others() {
    use Outcome::{Already, Done};
    let Some(pdns) = Pdns::start() else { return };
    for (changes, outcomes, a, b) in [
        (vec![add(A, 3)], vec![Done], (77, vec![1, 2, 3]), (0, vec![])),
        (vec![add(B, 3), delete(A, 1)], vec![Done, Done], (77, vec![2]), (3600, vec![3])),
        (vec![add(A, 1), delete(A, 9), delete(B, 1)], vec![Already; 3], (77, vec![1, 2]), (0, vec![])),
        (vec![delete(A, 1), delete(A, 2)], vec![Done, Done], (77, vec![]), (0, vec![])),
        (vec![keeping(delete(A, 1), 3), add(A, 3)], vec![Done, Done], (77, vec![2, 3]), (0, vec![])),
        (vec![add(B, 3), add(B, 4), add(B, 3)], vec![Done, Done, Already], (77, vec![1, 2]), (3600, vec![3, 4])),
    ] {
        populate(&pdns);
        assert_eq!(apply(pdns.http, &changes), outcomes, "{changes:?}");
        assert_eq!((ours(&pdns, A), ours(&pdns, B)), (a, b), "{changes:?}");
    }
    assert_eq!(apply(pdns.http, &[delete(B, 3), delete(B, 4)]), [Done, Done]);
    assert_eq!(pdns.at(B), (0, 0, vec![]));
    let outcomes = apply(pdns.http, &[keeping(delete(A, 1), 9)]);
    assert!(matches!(&outcomes[..], [Outcome::NotYet(text)] if text.contains("0909")), "{outcomes:?}");
    // A record of ours that somebody switched off is switched on again.
    pdns.set(B, 60, &[(&content(5), true)]);
    assert_eq!(apply(pdns.http, &[add(B, 5)]), [Done]);
    assert_eq!(ours(&pdns, B), (60, vec![5]));
    // The zone is found by name where nobody told it.
    assert_eq!(apply(pdns.http, &[Change { zone: None, ..add(B, 6) }]), [Done]);
}

#[test]
fn refusals() {
    let Some(pdns) = Pdns::start() else { return };
    let good = config(pdns.http);
    let zone = |text: &str| Some(name(text));
    let far = |change: Change| Change { owner: name("_25._tcp.mx.example.net"), zone: None, ..change };
    pdns.api("POST", "/zones", r#"{"name":"second.test.","kind":"Slave","masters":["127.0.0.1"],"nameservers":[]}"#);
    for (config, change, expected) in [
        (PowerDns { key: Secret("no".into()), ..good.clone() }, add(B, 3), "key in /etc/pdns.key (401"),
        (PowerDns { zone: zone("example.com"), ..good.clone() }, add(B, 3), "is not in zone example.com."),
        (
            PowerDns { zone: zone("b.example.test"), ..good.clone() },
            add(B, 3),
            "does not have the zone b.example.test.",
        ),
        (PowerDns { server: "other".into(), ..good.clone() }, add(B, 3), "`server:`"),
        (good.clone(), far(add(B, 3)), "does not have a zone for _25._tcp.mx.example.net."),
        (
            good.clone(),
            Change { zone: zone("second.test"), owner: name("_25._tcp.second.test"), ..add(B, 3) },
            "only a secondary for second.test.",
        ),
    ] {
        let outcome = config.apply(&real(), &context(), &[change]).pop().unwrap();
        let text = shown(&outcome);
        assert!(text.starts_with("Failed") && text.contains(expected) && !text.contains(KEY), "{text}");
    }
    // One owner is an alias: the others are written all the same.
    let alias = format!(
        "{{\"rrsets\":[{{\"name\":\"{A}\",\"type\":\"CNAME\",\"ttl\":60,\"changetype\":\"REPLACE\",\"records\":[{{\"content\":\"x.example.test.\"}}]}}]}}"
    );
    assert_eq!(pdns.api("PATCH", "/zones/example.test.", &alias).0, 204);
    let outcomes = apply(pdns.http, &[add(A, 3), add(B, 3)]);
    assert!(
        matches!(&outcomes[..], [Outcome::Failed(text), Outcome::Done] if text.contains("refuses")),
        "{outcomes:?}"
    );
    drop(pdns);
}

/// What something in between does to a request before or after the server has seen it.
pub type Mischief = dyn Fn(&Request, &Pdns) -> Option<Reply> + Send + Sync;

/// A way to the server, with mischief before each request is passed on, and after it.
pub fn through(pdns: &Arc<Pdns>, before: Box<Mischief>, after: Box<Mischief>) -> SocketAddr {
    let pdns = Arc::downgrade(pdns);
    serve(move |request| {
        let Some(pdns) = pdns.upgrade() else { return Reply::in_manner(Manner::Closed) };
        if let Some(reply) = before(request, &pdns) {
            return reply;
        }
        let path = request.target.strip_prefix("/api/v1/servers/localhost").unwrap();
        assert_eq!(request.header("x-api-key"), Some(KEY));
        let (status, body) = pdns.api(&request.method, path, &String::from_utf8(request.body.clone()).unwrap());
        after(request, &pdns).unwrap_or_else(|| Reply::new(status, body))
    })
}

#[test]
fn answers_that_are_lost() {
    let Some(pdns) = Pdns::start() else { return };
    let pdns = Arc::new(pdns);
    let is_write = |request: &Request| request.method == "PATCH";
    for (reply, does, expected) in [
        (Reply::in_manner(Manner::Closed), true, "Done"),
        (Reply::in_manner(Manner::Silence), true, "Done"),
        (Reply::new(502, "gateway"), true, "Done"),
        (Reply::in_manner(Manner::Closed), false, "Temporary"),
        (Reply::in_manner(Manner::Silence), false, "Temporary"),
        (Reply::new(500, "{\"error\":\"database is locked\"}"), false, "database is locked"),
        (Reply::new(302, ""), false, "sends us elsewhere"),
        (Reply::new(418, "tea"), false, "is the address right"),
    ] {
        populate(&pdns);
        let (once, said) = (reply.clone(), reply.clone());
        let mischief = move |request: &Request, _: &Pdns| is_write(request).then(|| once.clone());
        let none = |_: &Request, _: &Pdns| None;
        let address = match does {
            true => through(&pdns, Box::new(none), Box::new(mischief)),
            false => through(&pdns, Box::new(mischief), Box::new(none)),
        };
        let outcome = apply(address, &[add(A, 3)]).pop().unwrap();
        assert!(shown(&outcome).contains(expected), "{said:?}: {outcome:?}");
        assert_eq!(ours(&pdns, A).1.contains(&3), does);
    }
    for (reply, expected) in [
        (Reply::new(200, "<html>"), "Failed"),
        (Reply::new(200, "[{\"id\":\"x/y\",\"name\":\"example.test.\"}]"), "an identifier that is none"),
        (Reply::new(503, ""), "Temporary"),
        (Reply::in_manner(Manner::Closed), "`webserver-allow-from`"),
        (Reply::in_manner(Manner::Flood), "more than 33554432 bytes"),
    ] {
        let address = serve(move |_| reply.clone());
        let outcomes = apply(address, &[add(A, 3), add(B, 3)]);
        assert!(outcomes.iter().all(|outcome| shown(outcome).contains(expected)), "{outcomes:?}");
    }
}

#[test]
fn other_writers() {
    let Some(pdns) = Pdns::start() else { return };
    let pdns = Arc::new(pdns);
    // After each of our writes, so many times, somebody else replaces the RRset by one of his.
    for (times, expected) in [(1, "Done"), (2, "Done"), (3, "Temporary")] {
        populate(&pdns);
        let left = Mutex::new(times);
        let meddle = move |request: &Request, pdns: &Pdns| {
            let mut left = left.lock().unwrap();
            if request.method == "PATCH" && *left > 0 {
                *left -= 1;
                pdns.set(B, 50, &[(&content(0xc0), false)]);
            }
            None
        };
        let address = through(&pdns, Box::new(|_: &Request, _: &Pdns| None), Box::new(meddle));
        let outcome = apply(address, &[add(B, 3)]).pop().unwrap();
        assert!(shown(&outcome).starts_with(expected), "{times}: {outcome:?}");
        let expected = if expected == "Done" { vec![3, 0xc0] } else { vec![0xc0] };
        assert_eq!(ours(&pdns, B), (50, expected), "{times}");
    }
    // Somebody writes before we look: kept.
    populate(&pdns);
    let first = AtomicUsize::new(0);
    let meddle = move |request: &Request, pdns: &Pdns| {
        if request.target.ends_with("/zones/example.test.") && first.fetch_add(1, Ordering::Relaxed) == 0 {
            pdns.set(B, 50, &[(&content(0xc0), false)]);
        }
        None
    };
    let address = through(&pdns, Box::new(meddle), Box::new(|_: &Request, _: &Pdns| None));
    assert_eq!(apply(address, &[add(B, 3)]), [Outcome::Done]);
    assert_eq!(ours(&pdns, B), (50, vec![3, 0xc0]));
}

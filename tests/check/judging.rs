//! What follows from what was seen: one line a case. Records and chains have the names that `generations` gives them.

use crate::generations::{DAY, WALL, chain, name, records};
use daneroll::{
    facts::{AddressView, EndpointView, OwnerView, Security, ServerView},
    journal::Shown,
    observe::audit::{Cover, Endpoint, MailDomain, NOT_IN_TIME, Seen},
    report::check::{Severity, Subject, owner},
    small::{Map, Set},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

fn server(number: u8, answer: Result<&str, &str>) -> (SocketAddr, ServerView) {
    let shown = |specs: &str| Shown { records: Some(records(specs.split(' '))), ttl: 3600 };
    let name = format!("ns{number}.example.com");
    let answer = answer.map(shown).map_err(str::to_owned);
    let view = ServerView { name, answer, bogus: false, serial: Some(1), listed: true, ns_ttl: 3600, no_route: false };
    (SocketAddr::from(([192, 0, 2, number], 53)), view)
}

fn address(number: u8, chains: &str, unknown: Option<&str>) -> (SocketAddr, AddressView) {
    let chains = chains.split_whitespace().map(chain).collect();
    (SocketAddr::from(([192, 0, 2, number], 25)), AddressView { chains, unknown: unknown.map(str::to_owned) })
}

/// A mail host at which all is well.
fn scene() -> (Subject, Seen) {
    let query = name("_25._tcp.mx.example.com");
    let subject = Subject {
        query: query.clone(),
        base: name("mx.example.com"),
        smtp: true,
        lineages: BTreeSet::from(["mx.example.com".to_owned()]),
        groups: Set::from([(3, 1)]),
        one_by_one: true,
        floor: 3600,
        files: BTreeMap::new(),
    };
    let view = OwnerView {
        target: query,
        zone: Some(name("example.com")),
        servers: Ok(Map::from([server(1, Ok("A")), server(2, Ok("A"))])),
        by_provider: false,
        security: Security::Secure,
    };
    let addresses = Ok(BTreeMap::from([address(25, "A", None)]));
    let endpoint = Endpoint::Visited(EndpointView { addresses }, BTreeSet::new());
    (subject, Seen { view, endpoint, alias: None, mail: Vec::new(), mail_unknown: Vec::new() })
}

/// Severity and kind of everything that is found, the worst first; `wall` days after the scenes' moment.
fn judged(subject: &Subject, seen: &Seen, days: f64) -> String {
    let mut found = owner(subject, seen, WALL + (days * DAY as f64) as i64);
    found.sort_by(|one, other| other.severity.cmp(&one.severity).then(one.kind.cmp(&other.kind)));
    for finding in &found {
        assert!(finding.place == "_25._tcp.mx.example.com" && !finding.text.is_empty() && !finding.cure.is_empty());
    }
    let told: Vec<String> = found.iter().map(|f| format!("{} {}", f.severity.word(), f.kind.name())).collect();
    told.join(", ")
}

#[test]
fn records_and_chains() {
    const OK: &str = "";
    const FAILS: &str = "CRITICAL mismatch";
    for (ours, shown, presented, expected) in [
        ("311", "A", "A", OK),
        ("311", "A", "A'", OK), // another certificate of the same key
        ("311", "A B", "A", OK),
        ("311", "A B", "A B", OK),
        ("311", "B", "A", FAILS),
        ("311", "A", "A B", FAILS), // old and new side by side
        // Digest agility: who knows SHA-512 looks at nothing else.
        ("311", "A A:312", "A", OK),
        ("311", "A x:312", "A", "CRITICAL digest-gap"),
        ("311", "x A:312", "A", "CRITICAL digest-gap"),
        ("", "A x:312", "A", "CRITICAL digest-gap"),
        ("311", "x x:312", "A", FAILS),
        ("311", "A x:313", "A", "WARNING unusable-records"),
        // Groups: ours have to match, those of others ought to.
        ("311", "A A:211", "A", OK),
        ("311", "A x:211", "A", "WARNING foreign-records"),
        ("311 211", "A x:211", "A", FAILS),
        ("311 211", "A", "A", "WARNING records-missing"),
        ("311 211", "A A:211", "A", OK),
        ("", "A x:211", "A", "WARNING foreign-records"),
        ("", "x:211", "A", FAILS),
        ("211", "A:211", "A", OK),
        ("211", "A:211", "A/2", FAILS), // another intermediate
        ("211", "A:211", "A/-", "CRITICAL issuer-not-sent"),
        ("311", "A A:211", "A/-", "WARNING issuer-not-sent"),
        ("211", "A:211", "A/other", FAILS), // usage 2 looks at names
        ("311", "A/other", "A/other", OK),
        // Records that are no good.
        ("311", "A x:111", "A", "WARNING unusable-usage"),
        ("311", "x:011", "A", "WARNING unusable-usage"),
        ("311", "A x:411", "A", "WARNING unusable-records"),
        ("301", "A:301", "A", "WARNING whole-certificate"),
        ("301", "A:301", "A'", "CRITICAL mismatch, WARNING whole-certificate"),
        ("311", "A a b c d e f g h i j k", "A", OK),
        ("311", "A a b c d e f g h i j k l", "A", "WARNING too-many-records"),
        ("311", "-", "A", "WARNING no-records"),
    ] {
        let (mut subject, mut seen) = scene();
        let group = |param: &str| (param.as_bytes()[0] - b'0', param.as_bytes()[1] - b'0');
        subject.groups = ours.split_whitespace().map(group).collect();
        seen.view.servers = Ok(Map::from([server(1, Ok(shown))]));
        seen.endpoint = visited([address(25, presented, None)], []);
        assert_eq!(judged(&subject, &seen, 0.0), expected, "{ours:?}: {shown:?} and {presented:?}");
    }
}

fn visited<const A: usize, const F: usize>(
    addresses: [(SocketAddr, AddressView); A],
    far: [SocketAddr; F],
) -> Endpoint {
    Endpoint::Visited(EndpointView { addresses: Ok(addresses.into()) }, far.into())
}

type Change = fn(&mut Subject, &mut Seen);

#[test]
fn whatever_else_can_be_seen() {
    let cases: [(&str, Change, &str); 39] = [
        ("all is well", |_, _| {}, ""),
        // Name servers.
        ("one silent", |_, s| servers(s, [server(1, Ok("A")), server(2, Err("no answer"))]), "WARNING servers-silent"),
        (
            "all silent",
            |_, s| servers(s, [server(1, Err("REFUSED")), server(2, Err("no answer"))]),
            "CRITICAL servers-silent, CRITICAL servers-silent",
        ),
        (
            "one not in time",
            |_, s| servers(s, [server(1, Ok("A")), server(2, Err(NOT_IN_TIME))]),
            "UNKNOWN not-in-time",
        ),
        ("no route to one", |_, s| servers(s, [server(1, Ok("A")), no_route(2)]), "OK not-checked"),
        (
            "no route to any",
            |_, s| servers(s, [no_route(1), no_route(2)]),
            "CRITICAL servers-silent, CRITICAL servers-silent",
        ),
        ("one lags", |_, s| servers(s, [server(1, Ok("A B")), server(2, Ok("A"))]), "WARNING servers-differ"),
        (
            "one shows an old record",
            |_, s| servers(s, [server(1, Ok("A")), server(2, Ok("B"))]),
            "CRITICAL mismatch, WARNING servers-differ",
        ),
        ("one shows none", |_, s| servers(s, [server(1, Ok("A")), server(2, Ok("-"))]), "WARNING servers-differ"),
        ("not found", |_, s| s.view.servers = Err("no resolver".into()), "UNKNOWN no-servers"),
        ("not found in time", |_, s| s.view.servers = Err(format!("resolver x: {NOT_IN_TIME}")), "UNKNOWN not-in-time"),
        ("one that left the set", |_, s| servers(s, [server(1, Ok("A")), left(2)]), ""),
        // DNSSEC.
        ("insecure", |_, s| s.view.security = Security::Insecure, "WARNING insecure"),
        ("bogus", |_, s| s.view.security = Security::Bogus("expired".into()), "CRITICAL bogus"),
        ("unknown", |_, s| s.view.security = Security::Unknown("SERVFAIL".into()), "UNKNOWN security-unknown"),
        // Endpoints.
        ("greylisted", |_, s| s.endpoint = visited([address(25, "", Some("450 later"))], []), "UNKNOWN not-seen"),
        ("one session failed", |_, s| s.endpoint = visited([address(25, "A", Some("reset"))], []), "UNKNOWN not-seen"),
        (
            "one address of two is another",
            |_, s| s.endpoint = visited([address(25, "A", None), address(26, "B", None)], []),
            "CRITICAL mismatch",
        ),
        (
            "one address of two is silent",
            |_, s| s.endpoint = visited([address(25, "A", None), address(26, "", Some("refused"))], []),
            "UNKNOWN not-seen",
        ),
        (
            "no IPv6 here",
            |_, s| s.endpoint = visited([address(25, "A", None)], [([192, 0, 2, 27], 25).into()]),
            "OK not-checked",
        ),
        ("no route at all", |_, s| s.endpoint = visited([], [([192, 0, 2, 27], 25).into()]), "UNKNOWN not-seen"),
        (
            "no address",
            |_, s| s.endpoint = Endpoint::Visited(EndpointView { addresses: Err("none".into()) }, BTreeSet::new()),
            "UNKNOWN not-seen",
        ),
        ("no time", |_, s| s.endpoint = visited([address(25, "", Some(NOT_IN_TIME))], []), "UNKNOWN not-in-time"),
        ("probe off", |_, s| s.endpoint = off(), "OK not-checked"),
        (
            "probe off, files match",
            |j, s| {
                s.endpoint = off();
                files(j, "A")
            },
            "OK not-checked",
        ),
        (
            "probe off, files do not",
            |j, s| {
                s.endpoint = off();
                files(j, "B")
            },
            "CRITICAL mismatch, OK not-checked",
        ),
        ("files do not count beside sessions", |j, _| files(j, "B"), ""),
        // Mail domains.
        ("covered", |_, s| mail(s, Security::Secure, Cover::Covered), ""),
        ("one host is not covered", |_, s| mail(s, Security::Secure, Cover::Missing), "WARNING mail-host-uncovered"),
        (
            "one host's zone is not signed",
            |_, s| mail(s, Security::Secure, Cover::Insecure),
            "WARNING mail-host-uncovered",
        ),
        (
            "one host is unknown",
            |_, s| mail(s, Security::Secure, Cover::Unknown("SERVFAIL".into())),
            "UNKNOWN mail-unknown",
        ),
        ("MX insecure", |_, s| mail(s, Security::Insecure, Cover::Covered), "WARNING mail-insecure"),
        ("MX bogus", |_, s| mail(s, Security::Bogus("expired".into()), Cover::Covered), "WARNING mail-insecure"),
        ("MX unknown", |_, s| s.mail_unknown.push("SERVFAIL".into()), "UNKNOWN mail-unknown"),
        // An alias.
        ("alias without records", |_, s| alias(s, Ok("-")), "WARNING alias"),
        ("alias with them", |_, s| alias(s, Ok("A")), ""),
        ("alias with others", |_, s| alias(s, Ok("B")), "CRITICAL mismatch"),
        ("alias, unknown", |_, s| alias(s, Err("no answer")), "UNKNOWN no-servers"),
        // The first records of two lineages, one after the other.
        (
            "two lineages",
            |j, s| {
                j.lineages.insert("rsa".into());
                servers(s, [server(1, Ok("-"))])
            },
            "WARNING no-records, WARNING first-of-two",
        ),
    ];
    for (what, change, expected) in cases {
        let (mut subject, mut seen) = scene();
        change(&mut subject, &mut seen);
        assert_eq!(judged(&subject, &seen, 0.0), expected, "{what}");
    }
}

fn servers<const N: usize>(seen: &mut Seen, servers: [(SocketAddr, ServerView); N]) {
    seen.view.servers = Ok(servers.into());
}

fn no_route(number: u8) -> (SocketAddr, ServerView) {
    let (address, view) = server(number, Err("unreachable"));
    (address, ServerView { no_route: true, ..view })
}

fn left(number: u8) -> (SocketAddr, ServerView) {
    let (address, view) = server(number, Ok("B"));
    (address, ServerView { listed: false, ..view })
}

fn off() -> Endpoint {
    Endpoint::NotVisited("probe = off".into())
}

fn files(subject: &mut Subject, generation: &str) {
    subject.files.insert("mx.example.com".into(), chain(generation));
}

fn mail(seen: &mut Seen, security: Security, cover: Cover) {
    let hosts = BTreeMap::from([(name("mx2.example.net"), cover), (name("mx3.example.net"), Cover::Covered)]);
    seen.mail.push(MailDomain { domain: name("example.com"), security, hosts });
}

fn alias(seen: &mut Seen, answer: Result<&str, &str>) {
    let query = name("_25._tcp.host.example.net");
    let servers = Ok(Map::from([server(9, answer)]));
    seen.alias = Some((query.clone(), OwnerView { target: query, servers, ..seen.view.clone() }));
}

/// The certificate was issued ten days before, for ninety.
#[test]
fn life_by_parts() {
    for (days, ttl, expected) in [
        (0.0, 3600, ""),
        (64.9, 3600, ""),
        (65.1, 3600, "WARNING expiry"), // a sixth of 90 days is left
        (72.4, 3600, "WARNING expiry"),
        (72.6, 3600, "CRITICAL expiry"), // a twelfth
        (79.9, 3600, "CRITICAL expiry, WARNING ttl-too-long"),
        (80.1, 3600, "CRITICAL expiry"),
        // A wait of more than a third of what is left.
        (0.0, 1_000_000, ""),
        (0.0, 1_200_000, "WARNING ttl-too-long"),
        (50.0, 300_000, ""),
        (50.0, 440_000, "WARNING ttl-too-long"),
    ] {
        let (subject, mut seen) = scene();
        let servers = seen.view.servers.as_mut().unwrap().values_mut();
        servers.for_each(|server| server.answer.as_mut().unwrap().ttl = ttl);
        assert_eq!(judged(&subject, &seen, days), expected, "after {days} days, TTL {ttl}");
    }
}

#[test]
fn who_is_to_blame_is_named() {
    let (subject, mut seen) = scene();
    servers(&mut seen, [server(1, Ok("A")), server(2, Ok("B"))]);
    let found = owner(&subject, &seen, WALL);
    let text = &found.iter().find(|finding| finding.severity == Severity::Critical).unwrap().text;
    assert_eq!(text, "192.0.2.25:25: no 3 1 1 record matches among what ns2.example.com (192.0.2.2:53) shows");
}

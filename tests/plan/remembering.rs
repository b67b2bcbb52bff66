//! What facts leave in the journal: answers, servers that come and go, generations, and what is forgotten.

use crate::{
    certs::{id, record, records},
    scene::{NOW, Scene, address, ago, query},
};
use daneroll::{
    facts::{OwnerView, Security, ServerView},
    journal::{OwnerDoc, Shown, clock::Stamp},
    observe::remember::{Configured, remember},
    small::Set,
};
use std::collections::{BTreeMap, BTreeSet};

/// One owner, looked at again and again.
struct Watch {
    scene: Scene,
    now: u64,
    floor: u64,
    ttl: Option<u64>,
}

impl Watch {
    fn new() -> Watch {
        let mut scene = Scene::new("pinned A; live A; stored A; presented A");
        scene.journal.owners.clear();
        Watch { scene, now: 0, floor: 3600, ttl: None }
    }

    /// After so many seconds: `1=A B/300/7` is ns1 with these records, TTL and serial; `1=?` is silent, `2=!1` an address of 1 without a route, `(1=…)` not listed.
    fn look(&mut self, after: u64, servers: &[&str]) -> &OwnerDoc {
        self.now += after;
        let view = OwnerView {
            target: query(25),
            zone: None,
            servers: Ok(servers.iter().map(|text| parse(text)).collect()),
            by_provider: false,
            security: Security::Secure,
        };
        self.view(view)
    }

    fn view(&mut self, view: OwnerView) -> &OwnerDoc {
        self.scene.facts.now = NOW.after(self.now);
        self.scene.facts.owners = BTreeMap::from([(query(25), view)]);
        let facts = self.scene.facts.clone();
        remember(&mut self.scene.journal, &facts, self.ttl, self.floor, &here());
        &self.scene.journal.owners[&query(25)]
    }

    /// `A/300@60 …`: what an address showed before, until how many seconds after the start.
    fn past(&self, server: &str) -> String {
        let mut past: Vec<String> = self
            .doc(server)
            .past
            .iter()
            .map(|past| format!("{}@{}", shown(&past.shown), (past.gone.0 - NOW.0) / 1000))
            .collect();
        past.sort();
        past.join(" ")
    }

    fn doc(&self, server: &str) -> &daneroll::journal::ServerDoc {
        self.scene.journal.owners[&query(25)].servers.get(&address(server)).unwrap()
    }
}

fn parse(text: &str) -> (std::net::SocketAddr, ServerView) {
    let listed = !text.starts_with('(');
    let (server, answer) = text.trim_matches(['(', ')']).split_once('=').unwrap();
    let mut parts = answer.split('/');
    let shows = parts.next().unwrap();
    let ttl = parts.next().map_or(300, |ttl| ttl.parse().unwrap());
    let serial = parts.next().map(|serial| serial.parse().unwrap());
    let answer = match shows {
        _ if shows.starts_with(['?', '!']) => Err("silent".into()),
        _ => Ok(Shown { records: Some(records(shows.split_inclusive(char::is_uppercase))), ttl }),
    };
    let (name, no_route) = shows.strip_prefix('!').map_or((server, false), |name| (name, true));
    let view = ServerView { name: name.into(), answer, bogus: false, serial, listed, ns_ttl: 600, no_route };
    (address(server), view)
}

fn shown(shown: &Shown) -> String {
    let names = |records: &Set<_>| match records.is_empty() {
        true => "-".to_owned(),
        false => records.iter().map(crate::certs::record_name).collect::<BTreeSet<_>>().into_iter().collect::<String>(),
    };
    format!("{}/{}", shown.records.as_ref().map_or("?".into(), names), shown.ttl)
}

#[test]
fn before_the_first_look_everything_was_possible() {
    for (ttl, by_provider, past) in
        [(None, false, "?/86400@0"), (Some(100), false, "?/100@0"), (Some(0), false, ""), (None, true, "?/1800@0")]
    {
        let mut watch = Watch { ttl, floor: if ttl == Some(0) { 0 } else { 3600 }, ..Watch::new() };
        let servers = Ok([parse("1=A")].into());
        watch.view(OwnerView { target: query(25), zone: None, servers, by_provider, security: Security::Secure });
        assert_eq!(watch.past("ns1"), past, "{ttl:?} {by_provider}");
    }
}

/// Each row: seconds since the row before, what servers show, what ns1 is remembered to have shown.
fn story(watch: &mut Watch, rows: &[(u64, &[&str], &str)]) {
    for (at, (after, servers, past)) in rows.iter().enumerate() {
        watch.look(*after, servers);
        assert_eq!(watch.past("ns1"), *past, "row {at}");
    }
}

#[test]
fn answers_that_go() {
    story(
        &mut Watch { ttl: Some(0), floor: 100, ..Watch::new() },
        &[
            (0, &["1=A"], "?/0@0"),
            (100, &["1=A"], ""),
            (5, &["1=AB"], "A/300@105"),
            (5, &["1=AB"], "A/300@105"),
            (5, &["1=?"], "A/300@105"), // Unknown neither starts nor ends an answer
            (5, &["1=AB"], "A/300@105"),
            (0, &["1=AB/600"], "A/300@105 AB/600@120"), // another TTL is another answer, and counts from both
            (5, &["1=AB"], "A/300@105 AB/600@125"),
            (579, &["1=AB"], "A/300@105 AB/600@125"),
            (1, &["1=AB"], "AB/600@125"),           // after twice its TTL
            (5, &["1=-"], "AB/300@710 AB/600@125"), // of equal ones the latest
            (5, &["1=AB"], "-/300@715 AB/300@710 AB/600@125"),
            (2000, &["1=AB"], ""),
        ],
    );
}

#[test]
fn new_and_restored_addresses() {
    let quiet = || {
        let mut watch = Watch { ttl: Some(0), floor: 0, ..Watch::new() };
        watch.look(0, &["1=A/300/10", "2=A/300/10"]);
        watch.look(1, &["1=A/300/10", "2=A/300/10"]);
        watch
    };
    // A lower serial starts that address anew; a higher one and RFC 1982's wrap do not.
    for (serial, past) in [("10", ""), ("11", ""), ("9", "A/300@2"), ("2147483657", ""), ("2147483659", "A/300@2")] {
        let mut watch = quiet();
        watch.look(1, &[&format!("1=A/300/{serial}"), "2=A/300/10"]);
        assert_eq!((watch.past("ns1").as_str(), watch.past("ns2").as_str()), (past, ""), "{serial}");
    }
    // A new address counts as having shown the worst known until now.
    let mut watch = quiet();
    watch.look(1, &["1=AB/300/11", "2=A/300/10", "3=AB/300/11"]);
    assert_eq!(watch.past("ns3"), "A/300@2");
    let mut watch = quiet();
    watch.look(1, &["1=A/300/10", "2=A/300/10", "3=?"]);
    assert_eq!((watch.past("ns3").as_str(), watch.doc("ns3").now.is_none()), ("", true));
    watch.look(60, &["1=AB", "2=AB", "3=AB"]);
    assert_eq!(watch.past("ns3"), "A/300@62", "it answers for the first time only now");
}

/// What others show while an address is not looked at, it may show as well, and no longer show when it is looked at again.
#[test]
fn what_an_address_may_have_shown_meanwhile() {
    type Looks<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(&str, Looks, &str)] = &[
        ("deleted by hand, followed unseen, and published again", &[("A", "AB"), ("AB", "?"), ("AB", "AB")], "A/300@3"),
        ("the same between two looks", &[("A", "AB"), ("AB", "AB"), ("AB", "AB")], "A/300@2"),
        ("down for long: others have forgotten it", &[("A", "?"), ("AB", "?"), ("AB/9", "?"), ("AB", "AB")], "A/300@4"),
        ("it is seen with what others showed, and goes on", &[("AB", "A"), ("AB", "AB")], "A/300@2 AB/300@1"),
        ("others differ in TTL alone", &[("AB/600", "AB"), ("AB", "AB")], ""),
        ("behind, and as it was: not yet", &[("A/300/11", "AB/300/10"), ("AB/300/12", "AB/300/10")], ""),
        ("behind, then not", &[("A/300/11", "AB/300/10"), ("AB/300/12", "AB/300/10"), ("AB/300/12", "AB/300/12")], ""),
        ("behind, but not as it was", &[("A/300/11", "AB/300/9"), ("AB/300/12", "AB/300/10")], "A/300@2"),
        (
            "one of another serial for ever",
            &[("A/300/11", "AB/300/1"), ("AB/300/12", "A/300/1"), ("AB/300/13", "AB/300/1")],
            "A/300@3 AB/300@2",
        ),
        ("the same copy of the zone", &[("A/300/1", "AB/300/1"), ("AB/300/1", "AB/300/1")], ""),
    ];
    for (case, looks, past) in cases {
        let mut watch = Watch { ttl: Some(0), floor: 0, ..Watch::new() };
        watch.look(0, &["1=AB", "2=AB"]);
        for (ns1, ns2) in *looks {
            watch.look(1, &[&format!("1={ns1}"), &format!("2={ns2}")]);
        }
        assert_eq!(watch.past("ns2"), *past, "{case}");
    }
    // One that was never seen, and whose part the others have forgotten since.
    let mut watch = Watch { ttl: Some(60), floor: 0, ..Watch::new() };
    watch.look(0, &["1=A", "2=?"]);
    watch.look(10, &["1=AB", "2=?"]);
    watch.look(10_000, &["1=AB", "2=?"]);
    assert_eq!(watch.past("ns1"), "");
    watch.look(1, &["1=AB", "2=AB"]);
    assert_eq!((watch.past("ns1").as_str(), watch.past("ns2").as_str()), ("", "?/60@10011 A/300@10011 AB/300@10011"));
    // After very many of them, anything.
    let mut never = Watch { ttl: Some(60), floor: 0, ..Watch::new() };
    for ttl in 0..20 {
        never.look(10, &[&format!("1=A/{ttl}"), "2=?"]);
    }
    let meanwhile = &never.doc("ns2").meanwhile;
    assert_eq!((meanwhile.first().map(shown), meanwhile.len() <= 16), (Some("?/60".into()), true));
    // One that was never seen leaves: nobody could see it.
    never.look(1, &["1=A"]);
    never.look(1200, &["1=A"]);
    assert!(!never.look(1, &["1=A"]).servers.contains_key(&address("ns2")));
    // It leaves the zone's servers without being seen again, and so does what it may have shown.
    watch.look(1, &["1=A", "2=AB"]);
    watch.look(1, &["1=AB", "(2=?)"]);
    watch.look(1200, &["1=AB", "(2=?)"]);
    assert_eq!(watch.past("ns2"), "A/300@11213 AB/300@11213");
    let doc = watch.look(600, &["1=AB"]);
    assert!(!doc.servers.contains_key(&address("ns2")), "{doc:?}");
}

/// When the answer that an address gives began: patience counts from there.
#[test]
fn since() {
    let mut watch = Watch { ttl: Some(0), floor: 0, ..Watch::new() };
    for (after, shows, since) in [
        (0, "1=A", 0),
        (5, "1=A", 0),
        (5, "1=?", 0),
        (5, "1=A", 0),
        (5, "1=AB", 20),
        (5, "1=AB/900", 25),
        (5, "1=AB/900", 25),
    ] {
        watch.look(after, &[shows]);
        assert_eq!(watch.doc("ns1").since, Some(NOW.after(since)), "{shows}");
    }
}

/// An address that leaves the set is kept for twice the NS TTL, then its last answer for twice its TTL.
#[test]
fn addresses_that_leave() {
    let mut watch = Watch { ttl: Some(0), floor: 0, ..Watch::new() };
    watch.look(0, &["1=A", "2=A"]);
    watch.look(1, &["1=A", "(2=A)"]);
    assert_eq!(watch.doc("ns2").left, Some(NOW.after(1)));
    watch.look(600, &["1=A", "2=A"]);
    assert_eq!(watch.doc("ns2").left, None, "it came back");
    watch.look(0, &["1=AB", "(2=?)"]);
    watch.look(1199, &["1=AB", "(2=?)"]);
    assert_eq!(watch.past("ns2"), "");
    watch.look(1, &["1=AB", "(2=?)"]);
    let past = "A/300@1801 AB/300@1801"; // it may have followed ns1 since it was last seen
    assert_eq!((watch.past("ns2").as_str(), watch.doc("ns2").now.clone()), (past, None));
    watch.look(599, &["1=AB"]);
    assert_eq!(watch.past("ns2"), past);
    let doc = watch.look(1, &["1=AB"]);
    assert!(!doc.servers.contains_key(&address("ns2")), "{doc:?}");
}

/// One that left and goes on answering from an old copy of the zone is forgotten all the same: no resolver asks it.
#[test]
fn addresses_that_leave_and_go_on() {
    let mut watch = Watch { ttl: Some(0), floor: 0, ..Watch::new() };
    watch.look(0, &["1=A", "2=A"]);
    for _ in 0..10 {
        watch.look(600, &["1=AB", "(2=A)"]);
    }
    let doc = watch.look(600, &["1=AB"]);
    assert!(!doc.servers.contains_key(&address("ns2")), "{doc:?}");
}

#[test]
fn deletes_are_confirmed_by_all() {
    for (servers, left) in [
        (&["1=A", "2=A"][..], false),
        (&["1=A", "2=AB"], true),
        (&["1=A", "2=?"], true),
        (&["1=A", "2=!1"], false), // the same server tells, elsewhere
        (&["1=AB", "2=!1"], true),
        (&["1=A", "2=!2"], true),
        (&["1=A", "2=!1", "3=!3"], true),
        (&["1=-", "2=-"], false),
        (&[], true),
    ] {
        let mut watch = Watch { scene: Scene::new("deleted B"), ..Watch::new() };
        let doc = watch.look(1, servers);
        assert_eq!(doc.records.contains_key(&record("B")), left, "{servers:?}");
    }
    for state in ["ours", "publishing", "deleting", "found"] {
        let mut watch = Watch { scene: Scene::new(&format!("{state} B")), ..Watch::new() };
        assert!(watch.look(1, &["1=-"]).records.contains_key(&record("B")), "{state}");
    }
}

/// A lineage is forgotten at an owner when its records are gone from servers and caches.
#[test]
fn lineages_at_an_owner() {
    let mut watch = Watch { scene: Scene::new("deleted B; ns1 B"), floor: 0, ttl: Some(0), now: 0 };
    assert!(watch.look(1, &["1=B/3600"]).lineages.contains("mx"));
    assert!(watch.look(1, &["1=-"]).lineages.contains("mx"), "caches hold it");
    assert!(watch.look(7199, &["1=-"]).lineages.contains("mx"), "caches hold it");
    assert!(!watch.look(1, &["1=-"]).lineages.contains("mx"));
    // An owner without section and lineage goes.
    let facts = watch.scene.facts.clone();
    remember(&mut watch.scene.journal, &facts, None, 0, &Configured::new());
    assert!(watch.scene.journal.owners.is_empty());
}

/// A name that leads elsewhere now has had an unknown past; one whose servers are all silent leads where it did.
#[test]
fn targets() {
    let elsewhere = |answer: &str| OwnerView {
        target: "_dane.example.com".parse().unwrap(),
        zone: None,
        servers: Ok([parse(answer)].into()),
        by_provider: false,
        security: Security::Secure,
    };
    let mut watch = Watch { ttl: Some(0), floor: 0, ..Watch::new() };
    watch.look(0, &["1=A"]);
    watch.now += 1;
    watch.view(elsewhere("1=A"));
    assert_eq!(watch.past("ns1"), "A/300@1");
    watch.now += 600;
    watch.view(elsewhere("1=A"));
    assert_eq!(watch.past("ns1"), "");
    watch.look(1, &["1=?"]);
    watch.now += 1;
    watch.view(elsewhere("1=A"));
    assert_eq!(watch.past("ns1"), "", "silence moved nothing");
    let view = OwnerView { servers: Err("lost".into()), ..elsewhere("1=A") };
    let before = watch.scene.journal.owners.clone();
    watch.view(view);
    assert_eq!(watch.scene.journal.owners, before, "nothing was seen");
}

/// Candidates: what `live` shows, and the oldest that still waits.
#[test]
fn candidates() {
    for (script, waiting) in [
        ("pinned A; live A", ""),
        ("pinned A; live B; stored A B", "B"),
        ("pinned A; live C; stored A B C; waiting B", "B C"),
        ("pinned A; live D; stored A B C D; waiting B C", "B D"),
        ("pinned A; live D; stored A C D; waiting B C", "C D"), // B can no longer be read
        ("pinned A; live B; stored A B C; waiting B C", "C B"),
        ("pinned A; live A; stored A B; waiting B", ""),
        ("pinned B; live C; stored A B C; waiting B C", "C"),
        ("pinned A; live !; stored A B; waiting B", "B"),
        ("pinned A; live B; stored A B; withdrawn", ""),
        ("missing; live B", ""),
        ("missing; remembers A; live B", "B"),
    ] {
        let mut scene = Scene::new(script);
        let facts = scene.facts.clone();
        remember(&mut scene.journal, &facts, None, 3600, &here());
        let expected: Vec<_> = waiting.split_whitespace().map(id).collect();
        assert_eq!(scene.journal.lineages["mx"].waiting, expected, "{script}");
    }
}

/// Who is presented: each with the moment at which it was left.
#[test]
fn presented() {
    for (script, expected) in [
        ("pinned A; live A", "A"),
        ("pinned A; live A; presented A", "A"),
        ("pinned B; live B; presented A", "A-now B"),
        ("pinned B; live B; left A 500; presented B", "A-500 B"),
        ("pinned A; live B; left A 500; presented B", "B-now A"), // went back
        ("missing; live A; presented A", "A"),
        ("unknown; live A; presented A", "A"),
        ("damaged A; live B; presented A", "A"),
        ("damaged A C; live B; presented A", "A-now C"),
        ("follows; live B; presented A", "A-now B"),
    ] {
        let mut scene = Scene::new(script);
        let facts = scene.facts.clone();
        remember(&mut scene.journal, &facts, None, 3600, &here());
        let names = crate::certs::names();
        let told = scene.journal.lineages["mx"].presented.iter().map(|presented| {
            let left = match presented.left {
                None => String::new(),
                Some(NOW) => "-now".into(),
                Some(left) => format!("-{}", left.elapsed(NOW)),
            };
            format!("{}{left}", names[&presented.generation])
        });
        assert_eq!(told.collect::<Vec<_>>().join(" "), expected, "{script}");
    }
}

/// A journal that was lost: everything in the store may still be presented.
#[test]
fn a_lost_journal_is_careful() {
    let mut scene = Scene::new("pinned B; live B; stored A B");
    scene.journal.lineages.clear();
    scene.journal.owners.clear();
    let facts = scene.facts.clone();
    remember(&mut scene.journal, &facts, None, 3600, &here());
    let doc = &scene.journal.lineages["mx"];
    let left: Vec<(_, Option<Stamp>)> = doc.presented.iter().map(|p| (p.generation.clone(), p.left)).collect();
    assert_eq!(left, [(id("A"), Some(NOW)), (id("B"), None)]);
}

/// Published again after a delete that nobody confirmed: until then it counts as absent.
#[test]
fn published_again() {
    let mut scene = Scene::new("ours A B; ns1 A B; past ns1 A 60 5");
    let owner = scene.journal.owners.get_mut(&query(25)).unwrap();
    owner.published_again(&record("B"), ago(1));
    let past: Vec<_> =
        owner.servers.get(&address("ns1")).unwrap().past.iter().map(|past| (shown(&past.shown), past.gone)).collect();
    assert_eq!(past, [("A/60".to_owned(), ago(5)), ("A/3600".to_owned(), ago(1))]);
    assert_eq!(owner.wait(100), 7200);
    assert_eq!(owner.wait(10_000), 10_000);
}

/// The scene's owner, with its lineage.
fn here() -> Configured {
    Configured::from([(query(25), BTreeSet::from(["mx".to_string()]))])
}

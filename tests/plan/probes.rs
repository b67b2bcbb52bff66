//! What services present: before a first publication, while records are held, and before a delete.

use crate::{
    certs::{chain, id, name},
    scene::{NOW, Scene, ago, query, table, table_of},
};
use daneroll::{
    config::Probe,
    plan::{
        model::Model,
        plan,
        probe::{describe, sees_served, sightings, wanted},
    },
    probe::Protocol,
};

/// A is served, and nothing is published.
const NEW: &str = "probe; pinned A; live A; stored A; presented A; held; ";

#[test]
fn first_publication() {
    table_of(
        NEW,
        &[
            ("ns1 -", "", "publish: notprobed"),
            ("ns1 -; mx1 A", "add A", ""),
            ("ns1 -; mx1 A; mx2 A", "add A", ""),
            ("ns1 -; mx1 A'", "add A", ""), // 3 1 1: the key counts
            ("ns1 -; mx1 A; mx2 B", "", "publish: presents"),
            ("ns1 -; mx1 A B", "", "publish: presents"),
            ("ns1 -; mx1 A; mx2 ?", "", "publish: unprobed"),
            ("ns1 -; mx1 A ?", "", "publish: unprobed"),
            ("ns1 -; mx1 B ?", "", "publish: presents unprobed"),
            ("ns1 -; nohost", "", "publish: unprobed"),
            // DANE is on already: others have records there, or we have.
            ("ns1 x:319", "add A", ""),
            ("ns1 x:319; ns2 -", "", "publish: notprobed"),
            ("ours A; ns1 A; ns2 -", "", ""),
            ("publishing A; ns1 A; ns2 -", "add A", ""),
            ("publishing A; ns1 -", "", "publish: notprobed"),
            ("ours A; ns1 -", "", "publish: notprobed"), // lost, and nobody saw what happened since
            ("tlsa 311 201; ns1 -; mx1 A", "add A:201, add A", ""),
            ("tlsa 301; ns1 -; mx1 A'", "", "publish: presents"),
        ],
    );
}

/// A is left, B served; both records are ours; the reload was long ago.
const DONE: &str = "probe; pinned B; live B; stored A B; presented B; ours A B; held; ns1 A B; reload R; ";

#[test]
fn held_until_seen_without() {
    table_of(
        DONE,
        &[
            ("left A 90000; reloaded R 7000", "", "retire A: hold"),
            ("left A 90000; reloaded R 8000", "", "retire A: notprobed"),
            ("left A 90000; reloaded R 8000; mx1 B ?", "", "retire A: unprobed"),
            // A look while the hold lasted says nothing of later.
            ("left A 90000; reloaded R 8000; unseen A 7900 801", "", "retire A: notprobed"),
            ("left A 90000; reloaded R 8000; unseen A 7900 800; mx1 B", "delete A", ""),
            ("left A 90000; reloaded R 8000; unseen A 700 700; mx1 B", "delete A", ""),
            // Seen since: the hold counts anew from there.
            ("left A 90000; reloaded R 8000; seen A 7199", "", "retire A: seen"),
            ("left A 90000; reloaded R 7000; seen A 7100", "", "retire A: hold"),
            ("left A 90000; reloaded R 8000; seen A 7200", "", "retire A: notprobed"),
            ("left A 90000; reloaded R 8000; seen A 7200; unseen A 0 0; mx1 B", "delete A", ""),
        ],
    );
}

/// A record goes only after a look in the same round, in which everything that was seen matches what remains.
#[test]
fn delete() {
    table_of(
        DONE,
        &[
            ("left A 90000; reloaded R 8000; unseen A 0 0", "", "delete A: notprobed"),
            ("left A 90000; reloaded R 8000; unseen A 0 0; mx1 B", "delete A", ""),
            ("left A 90000; reloaded R 8000; unseen A 0 0; mx1 B'", "delete A", ""),
            ("left A 90000; reloaded R 8000; unseen A 0 0; mx1 B; mx2 C", "", "delete A: presents"),
            ("left A 90000; reloaded R 8000; unseen A 0 0; mx1 B; mx2 A", "", "delete A: presents"),
            ("left A 90000; reloaded R 8000; unseen A 0 0; mx1 B C", "", "delete A: presents"),
            ("left A 90000; reloaded R 8000; unseen A 0 0; mx1 B; mx2 ?", "", "delete A: unprobed"),
            ("left A 90000; reloaded R 8000; unseen A 0 0; nohost", "", "delete A: unprobed"),
            // Another's record for what is presented there does.
            ("ns1 A B C; left A 90000; reloaded R 8000; unseen A 0 0; mx1 B C", "delete A", ""),
        ],
    );
}

#[test]
fn found_and_shared() {
    let scene =
        "probe; pinned B; live B; stored A B; left A 90000; presented B; held; ours B; reloaded R 8000; unseen A 0 0; ";
    table_of(
        scene,
        &[
            ("found A; ns1 A B", "forget A", "delete A: notprobed"),
            ("found A; ns1 A B; mx1 B", "delete A, forget A", ""),
            ("found A; ns1 A B; mx1 A B", "forget A", "delete A: presents"),
            ("found A; ns1 B", "delete A, forget A", ""),
            ("ours A; shared; ns1 A B; mx1 B", "delete A, forget A", ""),
            ("ours A; shared; ns1 A B; mx1 B ?", "forget A", "delete A: unprobed"),
        ],
    );
}

/// No reload is configured: a week without a sight of it.
#[test]
fn without_reload() {
    let scene = "probe; pinned B; live B; stored A B; presented B; ours A B; held; ns1 A B; left A 900000; ";
    table_of(
        scene,
        &[
            ("", "", "retire A: notprobed unseen"),
            ("mx1 B", "", "retire A: unseen"),
            ("unseen A 604799 0; mx1 B", "", "retire A: unseen"),
            ("unseen A 604800 0; mx1 B", "delete A", ""),
            ("unseen A 700000 100000; mx1 B", "", "retire A: unseen"),
            // The week is over: another look is all that is missing.
            ("unseen A 700000 100000", "", "retire A: notprobed"),
            ("unseen A 604800 100000; probed 3600", "", "retire A: notprobed"),
            ("unseen A 604799 100000; probed 3599", "", "retire A: notprobed unseen"),
            ("unseen A 700000 90000; mx1 B", "delete A", ""),
            ("unseen A 700000 90000; mx1 B; mx2 A", "", "delete A: presents"),
        ],
    );
    // An expired certificate may be presented all the same.
    table(&[(
        "probe; pinned B; live B; stored E B; left E 9000; presented B; ours E B; held; ns1 E B",
        "",
        "retire E: notprobed unseen",
    )]);
}

/// A look that is due is not put off.
#[test]
fn when_the_next_look_is() {
    let scene = "probe; pinned B; live B; stored A B; presented B; ours A B; held; ns1 A B; left A 900000; ";
    for (probed, told) in [(3599, "are looked at again in 1 s"), (3600, "have not been looked at in this run")] {
        let plan = Scene::new(&format!("{scene}probed {probed}")).plan();
        let text = plan.waits[0].reasons[0].text(NOW);
        assert!(text.ends_with(told), "{probed}: {text}");
    }
}

/// Without records nobody minds what is presented; what others may count on needs a look.
#[test]
fn leaving() {
    table(&[
        ("probe; withdrawn; pinned A; live A; stored A; presented A; ours A; ns1 A", "delete A", ""),
        ("probe; withdrawn; pinned A; live A; stored A; presented A; found A; ns1 A", "", "delete A: notprobed"),
        ("probe; withdrawn; pinned A; live A; stored A; presented A; found A; ns1 A; mx1 A", "delete A", ""),
    ]);
}

/// What is looked at, and when.
#[test]
fn when_to_look() {
    for (script, deletes, expected) in [
        (format!("{NEW} ns1 -"), false, 1),
        (format!("{NEW} ns1 -"), true, 1),
        (format!("{NEW} ns1 x:319"), true, 0),
        (format!("{DONE} left A 90000; reload R"), true, 0),
        (format!("{DONE} left A 90000; reloaded R 60"), true, 1),
        (format!("{DONE} left A 90000; reloaded R 60"), false, 0),
        (format!("{DONE} left A 90000; reloaded R 60; probed 599"), true, 0),
        (format!("{DONE} left A 90000; reloaded R 60; probed 600"), true, 1),
        (format!("{DONE} left A 90000; reloaded R 8000; probed 1"), true, 1),
        (format!("{DONE} left A 90000; reloaded R 8000; unseen A 0 0"), true, 1),
        (format!("{DONE} left A 90000; reloaded R 8000; unseen A 0 0"), false, 0),
        ("probe; pinned B; live B; stored A B; presented B; ours A B; ns1 A B; left A 9".into(), true, 1),
        ("probe; pinned B; live B; stored A B; presented B; ours A B; ns1 A B; left A 9; probed 3599".into(), true, 0),
        ("probe; pinned B; live B; stored A B; presented B; ours A B; ns1 A B; left A 9; probed 3600".into(), true, 1),
        ("probe; pinned A; live A; stored A; presented A; ours A; ns1 A".into(), true, 0),
    ] {
        let scene = Scene::new(&script);
        let found = wanted(&Model::new(scene.input()), &plan(scene.input()), deletes);
        assert_eq!(found.len(), expected, "{script} {deletes}: {found:?}");
    }
}

/// What a probe tells about generations that are not served.
#[test]
fn what_is_seen() {
    let scene = "probe; pinned B; live C; stored A B C; presented B; left A 90; waiting C; ours A B C; ns1 A B C; ";
    for (script, expected) in [
        ("mx1 B", vec![("A", false)]),
        ("mx1 B; mx2 A B", vec![("A", true)]),
        ("mx1 B ?", vec![]),
        ("mx1 A ?", vec![("A", true)]),
        ("mx1 C B", vec![("A", false), ("C", true)]),
        ("mx1 B D", vec![("A", false)]), // nobody knows D
        ("nohost", vec![]),
        ("nowhere", vec![]), // who looked at nothing has seen nothing
        ("", vec![]),
        ("mx1 B; port 26; ns1 B", vec![]), // not all of its services were looked at
    ] {
        let scene = Scene::new(&format!("{scene}{script}"));
        let mut expected: Vec<_> = expected.into_iter().map(|(generation, seen)| (id(generation), seen)).collect();
        expected.sort();
        let found = sightings(&Model::new(scene.input())).into_iter();
        let found: Vec<_> = found.map(|sighting| (sighting.generation, !sighting.places.is_empty())).collect();
        assert_eq!(found, expected, "{script}");
    }
}

#[test]
fn alarms() {
    let done = |rest: &str| format!("{DONE} left A 90000; {rest}");
    for (script, told) in [
        (done("reloaded R 8000; seen A 801; mx1 A B"), ""),
        (done("reloaded R 8000; seen A 800; mx1 A B"), "presented generation"),
        (done("reloaded R 8000; seen A 800; mx1 A B; mx2 A"), "the service at 203.0.113.9:25 presented generation"),
        (done("reloaded R 8000; seen A 800; unseen A 60 60; mx1 B"), ""),
        (done("reloaded R 8000; seen A 800; unseen A 900 800; mx1 A B"), "presented generation"),
        (done("reload R; seen A 800; mx1 A B"), ""),
        (done("reloaded R 8000; mx1 B D"), "203.0.113.1:25 presents"),
        (done("reloaded R 8000; mx1 B D; ns1 A B D"), ""),
        // Another lineage's certificate is as strange there; and nobody knows what is not installed yet.
        (
            done("reloaded R 8000; mx1 B D; lineage b; tlsa; pinned D; live D; stored D; presented D"),
            "203.0.113.1:25 presents",
        ),
        (format!("{NEW} ours A; ns1 A; deploy D; uninstalled 60; mx1 D"), ""),
        (format!("{NEW} ns1 -; mx1 B"), "no first record is published: 203.0.113.1:25 presents"),
        (format!("{NEW} ns1 -; mx1 ?"), ""),
        (format!("{NEW} live C; stored A C; waiting C; ours A C; ns1 A C; past ns1 A 60 5; mx1 C"), "read live/"),
        (format!("{NEW} ours A; ns1 A; bogus"), "BOGUS, so validating clients refuse the service: expired"),
    ] {
        let troubles = Scene::new(&script).troubles();
        assert!(troubles.contains(told) && troubles.is_empty() == told.is_empty(), "{script}: {troubles}");
    }
}

/// A first record that cannot be published keeps renewals back; that is told long before the end.
#[test]
fn a_renewal_that_is_kept_back() {
    let chain = chain("A");
    let (start, end) = (chain.not_before(), chain.not_after());
    for (script, quarters, told) in [
        ("waiting C; ns1 -; mx1 ?", 1, true),
        ("waiting C; ns1 -; mx1 ?", 2, false),
        ("waiting C; ns1 -", 1, false), // it is looked at in the next run
        ("ns1 -; mx1 ?", 1, false),
        ("waiting C; ns1 A; ours A; mx1 ?", 1, false),
    ] {
        let mut scene = Scene::new(&format!("{NEW} live C; stored A C; {script}"));
        scene.facts.wall = end - (end - start) * quarters / 4 + 1;
        let troubles = scene.troubles();
        let text = "a renewal is kept back, for no first record can be published";
        assert_eq!(troubles.contains(text), told, "{script} {quarters}: {troubles}");
    }
}

/// How an endpoint is looked at.
#[test]
fn endpoints() {
    for (port, probes, protocol) in [
        (25, vec![Probe::Auto], Some(Protocol::Smtp)),
        (443, vec![Probe::Auto], Some(Protocol::Tls)),
        (25, vec![Probe::Off], None),
        (25, vec![Probe::Off, Probe::Auto], Some(Protocol::Smtp)),
        (2500, vec![Probe::Auto, Probe::Protocol(Protocol::Smtp)], Some(Protocol::Smtp)),
    ] {
        let mut scene = Scene::new(&format!("port {port}; tlsa 311 312; ns1 -"));
        let section = scene.sections.get_mut("mx").unwrap();
        section.tlsa.retain(|line| line.port == port);
        section.tlsa.iter_mut().zip(probes.iter().cycle()).for_each(|(line, probe)| line.probe = Some(*probe));
        section.probe_address = vec![("10.0.0.1".parse().unwrap(), None)];
        let model = Model::new(scene.input());
        let endpoint = model.owners[&query(port)].endpoint.clone();
        assert_eq!(endpoint.as_ref().map(|endpoint| endpoint.protocol), protocol, "{port} {probes:?}");
        if let Some(endpoint) = endpoint {
            assert_eq!((endpoint.base, endpoint.port), (name("mx.example.com"), port));
            assert_eq!((endpoint.by_name, endpoint.at.len()), (false, 1));
        }
    }
    // Another section means services of its own, at the host's addresses or elsewhere.
    for (addresses_of, by_name, at) in [("", true, 1), ("10.0.0.1", false, 1), ("10.0.0.2 10.0.0.1", false, 2)] {
        let mut scene = Scene::new("ns1 -");
        scene.sections.get_mut("mx").unwrap().probe = Probe::Auto;
        let addresses = |text: &str| text.split(' ').flat_map(str::parse).map(|ip| (ip, None)).collect();
        let mut other = scene.sections["mx"].clone();
        (scene.sections.get_mut("mx").unwrap().probe_address, other.probe_address) =
            (addresses("10.0.0.1"), addresses(addresses_of));
        scene.sections.insert("rsa".into(), other);
        let endpoint = Model::new(scene.input()).owners[&query(25)].endpoint.clone().unwrap();
        assert_eq!((endpoint.by_name, endpoint.at.len()), (by_name, at), "{addresses_of}");
    }
    let mut udp = Scene::new("probe; ns1 -");
    let section = udp.sections.get_mut("mx").unwrap();
    section.tlsa.iter_mut().for_each(|line| line.protocol = "udp");
    let query = name("_25._udp.mx.example.com");
    udp.journal.owners.insert(query.clone(), daneroll::journal::OwnerDoc::new(query.clone()));
    assert_eq!(Model::new(udp.input()).owners[&query].endpoint, None);
}

/// The journal's part: a sight starts the count anew, a long pause too.
#[test]
fn memory_of_sights() {
    use daneroll::journal::Presented;
    let mut presented = Presented::new(id("A"), 0, Some(ago(900_000)), 0);
    for (at, since) in [(500_000, 500_000), (400_000, 500_000), (200_000, 200_000), (27_200, 200_000)] {
        presented.no_sight(ago(at));
        let unseen = presented.unseen.clone().unwrap();
        assert_eq!((unseen.since, unseen.last), (ago(since), ago(at)), "{at}");
    }
    presented.sight(NOW, Default::default());
    assert_eq!((presented.seen, presented.unseen), (Some(NOW), None));
}

/// Only what is served, at every address, and all of it known.
#[test]
fn served_and_nothing_else() {
    for (script, sees) in [
        ("probe; mx1 B", true),
        ("probe; mx1 B; mx2 B", true),
        ("probe; mx1 B; mx2 A", false),
        ("probe; mx1 B D", false),
        ("probe; mx1 B ?", false),
        ("probe", false),
        ("probe; nohost", false),
        ("probe; nowhere", false),
        ("probe; unknown; mx1 B", false),
        ("mx1 B", false), // no look is wanted
    ] {
        let scene = Scene::new(&format!("pinned B; live B; stored A B; presented B; ns1 B; {script}"));
        let model = Model::new(scene.input());
        assert_eq!(sees_served(&model, &model.lineages["mx"]), sees, "{script}");
    }
    assert_eq!(describe(&chain("A")), format!("{} for mx.example.com", id("A")));
}

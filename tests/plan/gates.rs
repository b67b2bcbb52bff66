//! The gate before a switch: every reason that keeps it shut, one by one, and what opens it.

use crate::scene::{Scene, table, table_of};

/// Served and pinned A, live and stored B: the records of both are ours.
const ROLL: &str = "pinned A; live B; stored A B; presented A; waiting B; ours A B; reload R; ";

fn roll(cases: &[(&str, &str, &str)]) {
    table_of(ROLL, cases);
}

#[test]
fn what_servers_show_now() {
    roll(&[
        ("ns1 A B", "switch B", ""),
        ("ns1 A B; ns2 A B; ns3 A B", "switch B", ""),
        ("ns1 B A x", "switch B", ""),
        ("ns1 A", "add B", "switch B: notshown"),
        ("ns1 A B; ns2 A", "", "switch B: notshown"),
        ("ns1 A B; ns2 A; ns3 -", "", "switch B: notshown"),
        // A program adds one by one: what is served goes first, and is seen before the next.
        ("ns1 -", "add A", "publish: notshown, switch B: notshown"),
        ("ns1 A x", "add B", "switch B: notshown"),
        ("noservers", "", "switch B: noservers"),
        ("", "", "switch B: noservers"), // not one address
        // Who was a server until not long ago may be asked by caches still.
        ("ns1 A B; ns2 A; unasked ns2", "", "switch B: notshown"),
        ("ns1 A B; ns2 A B; unasked ns2", "switch B", ""),
        ("ns1 A B; noview", "", "switch B: notasked"),
        ("ns1 A B; ns2 ?", "", "switch B: unknown"),
        ("ns1 ?; ns2 ?", "", "switch B: unknown"),
        ("ns1 A; ns2 ?", "add B", "switch B: notshown unknown"),
        // On its way out, and shown still: some clients go by it.
        ("deleting C:312; ns1 A B C:312", "delete C:312", "switch B: notshown"),
        // Nobody knows whether it comes, and clients that know SHA-512 would go by it.
        ("publishing A:312; ns1 A B", "", "delete A:312: maycome, switch B: onitsway"),
        ("publishing B:312; ns1 A B", "switch B", ""),
    ]);
}

#[test]
fn what_caches_may_hold() {
    roll(&[
        ("ns1 A B; past ns1 A 60 10", "", "switch B: cached"),
        ("ns1 A B; past ns1 A 60 3599", "", "switch B: cached"), // 2x has passed, `ttl` has not
        ("ns1 A B; past ns1 A 60 3600", "switch B", ""),
        ("ns1 A B; past ns1 A 3600 7199", "", "switch B: cached"),
        ("ns1 A B; past ns1 A 3600 7200", "switch B", ""),
        ("ttl 0; ns1 A B; past ns1 A 60 119", "", "switch B: cached"),
        ("ttl 0; ns1 A B; past ns1 A 60 120", "switch B", ""),
        ("ttl 9000; ns1 A B; past ns1 A 60 8999", "", "switch B: cached"),
        ("ttl 9000; ns1 A B; past ns1 A 60 9000", "switch B", ""),
        ("provider; ns1 A B; past ns1 A 0 86399", "", "switch B: cached"),
        ("provider; ns1 A B; past ns1 A 0 86400", "switch B", ""),
        ("ns1 A B; past ns1 A 9000 100; past ns1 - 60 90", "", "switch B: cached"),
        ("ns1 A B; past ns1 - 86400 100", "", "switch B: cached"), // a denial is an answer, too
        ("ns1 A B; past ns1 ? 86400 100", "", "switch B: cached"), // what nobody knows counts as a mismatch
        ("ns1 A B; past ns1 B 86400 1", "switch! B", ""), // it matches B, and caches that hold it do not match A
        ("ns1 A B; past ns1 A x 86400 1", "", "switch B: cached"),
        ("ns1 A B; ns2 A B; past ns2 A 60 10", "", "switch B: cached"),
        ("ns1 A B; ns2 A; past ns1 A 60 10", "", "switch B: cached notshown"),
        ("ns1 A B; ns2 ?; past ns2 A 60 10", "", "switch B: cached unknown"),
        ("ns1 A B; deleting C; past ns1 B C 60 1", "switch! B", ""),
    ]);
}

/// The time that is told is the one at which the last cache forgets.
#[test]
fn how_long_it_is_cached() {
    for (script, left) in [
        ("ns1 A B; past ns1 A 60 10", 3590),
        ("ns1 A B; past ns1 A 3600 100", 7100),
        ("ns1 A B; past ns1 A 3600 100; past ns1 - 7200 100; past ns1 x 60 1", 14_300),
        ("ttl 20000; ns1 A B; past ns1 A 60 10", 19_990),
        ("ttl 0; ns1 A B; past ns1 A 60 10", 110),
    ] {
        let scene = Scene::new(&format!("{ROLL}{script}"));
        let plan = scene.plan();
        let until: Vec<u64> =
            plan.waits[0].reasons.iter().filter_map(|r| Some(r.until()?.until(crate::scene::NOW))).collect();
        assert_eq!(until, [left], "{script}");
    }
}

/// Of two answers that are forgotten at the same moment the one with the longer TTL is told, in whatever order they are.
#[test]
fn the_same_time() {
    let (short, long) = ("past ns1 A 60 10", "past ns1 A 1800 10");
    for pasts in [format!("{short}; {long}"), format!("{long}; {short}")] {
        let plan = Scene::new(&format!("{ROLL}ns1 A B; {pasts}")).plan();
        assert!(plan.waits[0].reasons[0].text(crate::scene::NOW).contains("(TTL 1800)"), "{pasts}");
    }
}

#[test]
fn patience() {
    let old = "pinned P; live B; stored P B; presented P; waiting B; ours P B; reload R; ";
    table_of(
        old,
        &[
            // A silent server is left out for a reason only, and only after so long.
            ("ns1 P B; since ns1 86399; ns2 ?", "", "switch B: unknown"),
            ("ns1 P B; since ns1 86400; ns2 ?", "switch B", ""),
            ("patience 60; ns1 P B; ns2 ?", "switch B", ""),
            ("patience 60; ns1 P B; since ns1 59; ns2 ?", "", "switch B: unknown"),
            ("ns1 P B; since ns1 86400; ns2 P B; since ns2 50; ns3 ?", "", "switch B: unknown"),
            ("ns1 P B; since ns1 86400; ns2 P; ns3 ?", "", "switch B: notshown unknown"),
            // Its earlier answers count all the same.
            ("patience 60; ns1 P B; ns2 ?; past ns2 P 60 10", "", "switch B: cached"),
            // Never if none answers.
            ("patience 0; ns1 ?", "", "switch B: unknown"),
        ],
    );
    roll(&[
        // With more than a third of its life left, only what this host has no route to may be left out …
        ("patience 60; ns1 A B; ns2 ?", "", "switch B: unknown"),
        ("patience 60; ns1 A B; ns2 ?noroute", "", "switch B: unknown"), // … and only if it answers elsewhere
    ]);
    let mut scene = Scene::new(&format!("{ROLL}patience 60; ns1 A B; ns2 ?noroute"));
    let same_host = |scene: &mut Scene| {
        let view = scene.facts.owners.values_mut().next().unwrap();
        view.servers.as_mut().unwrap().values_mut().for_each(|server| server.name = "ns".into());
    };
    same_host(&mut scene);
    assert_eq!((scene.actions().as_str(), scene.waits().as_str()), ("switch B", ""));
    let mut scene = Scene::new(&format!("{ROLL}patience 60; ns1 A B; ns2 ?"));
    same_host(&mut scene);
    assert_eq!(scene.waits(), "switch B: unknown", "there is a route");
}

#[test]
fn parameters_and_digests() {
    let two = "tlsa 311 312; pinned A; live B; stored A B; presented A; waiting B; reload R; ours A A:312 B B:312; ";
    let ta = "tlsa 211; pinned A; live B/2; stored A B/2; presented A; waiting B/2; reload R; ours A:211 B/2:211; ";
    let both = "tlsa 311 201; pinned A; live B; stored A B; presented A; waiting B; reload R; ours A A:201 B; ";
    table(&[
        (format!("{two}ns1 A B A:312 B:312"), "switch B", ""),
        (format!("{two}ns1 A B A:312"), "add B:312", "switch B: notshown"),
        (format!("{two}ns1 A A:312 B:312"), "add B", "switch B: notshown"),
        (format!("{two}ns1 A B A:312 B:312; past ns1 A B A:312 60 10"), "", "switch B: cached"),
        (format!("{ta}ns1 A:211 B/2:211"), "switch B/2", ""),
        (format!("{ta}ns1 A:211"), "add A/2:211", "switch B/2: notshown"),
        // The issuer's record serves both generations.
        (format!("{both}ns1 A B A:201"), "switch B", ""),
        (format!("{both}ns1 A B"), "add A:201", "switch B: notshown"),
        // A digest that nobody has defined counts for nobody.
        (format!("{ROLL}ns1 A B x:319"), "switch B", ""),
        (format!("{ROLL}ns1 x:319"), "add A", "publish: notshown, switch B: notshown"),
        // Somebody's record of another group is theirs.
        (format!("{ROLL}ns1 A B x:301"), "switch B", ""),
        (format!("{ROLL}ns1 A B x:110"), "switch B", ""),
    ]);
}

/// Usage 2 looks at dates and names.
#[test]
fn usage_2_needs_dates_and_the_name() {
    let roll = |to: &str| {
        let script = "tlsa 211; pinned A; live B; stored A B; presented A; waiting B; reload R; ours A:211; ns1 A:211";
        Scene::new(&script.replace('B', to)).plan()
    };
    assert!(roll("B").waits.is_empty());
    for to in ["E", "C/other"] {
        assert_eq!(roll(to).waits.len(), 1, "{to}");
    }
}

/// Owners that the lineage left, and several owners, must match as well.
#[test]
fn every_owner_counts() {
    roll(&[
        ("ns1 A B; port 465; ours A B; ns1 A B", "switch B", ""),
        ("ns1 A B; port 465; ours A B; ns1 A", "add B@465", "switch B: notshown"),
        ("ns1 A B; port 465; ours A B; ns1 A B; past ns1 - 60 5", "", "switch B: cached"),
        ("ns1 A B; port 465; ours A B; ns1 A B; noview", "", "switch B: notasked"),
        ("ns1 A B; port 465; ours A; tlsa; ns1 A", "delete A@465", "switch B: notshown"),
        ("ns1 A B; port 465; ours B; tlsa; ns1 B; past ns1 A 60 5", "delete B@465", "switch B: cached"),
    ]);
}

/// Less than a third of its life, not just a third.
#[test]
fn a_third_of_its_life() {
    let mut scene =
        Scene::new("patience 0; pinned P; live B; stored P B; presented P; waiting B; ours P B; ns1 P B; ns2 ?");
    let chain = crate::certs::chain("P");
    let third = chain.not_after() - (chain.not_after() - chain.not_before()) / 3;
    for (wall, actions) in [(third, ""), (third + 1, "switch B")] {
        scene.facts.wall = wall;
        assert_eq!(scene.actions(), actions, "{wall}");
    }
}

/// What an address does not show is told once.
#[test]
fn one_reason_an_address() {
    for (script, reasons) in [("ns1 A", 1), ("ns1 A; ns2 A", 2), ("deleting C:312; ns1 A C:312", 1)] {
        let plan = Scene::new(&format!("{ROLL}{script}")).plan();
        assert_eq!(plan.waits[0].reasons.len(), reasons, "{script}: {:?}", plan.waits[0].reasons);
    }
}

//! What is deleted, in which order, and who stands against it.

use crate::{
    certs::{generation, record},
    scene::{Scene, action, ago, table, table_of},
};
use daneroll::journal::RecordState;

/// A is left, B served; both records are ours.
const DONE: &str = "pinned B; live B; stored A B; presented B; ours A B; held; ";

fn done(cases: &[(&str, &str, &str)]) {
    table_of(DONE, cases);
}

#[test]
fn reload_and_hold() {
    done(&[
        ("ns1 A B; left A 9000; reload R", "reload R", "retire A: reloadowed"),
        ("ns1 A B; left A 9000; reloaded R 7199", "", "retire A: hold"),
        ("ns1 A B; left A 9000; reloaded R 7200", "delete A", ""),
        ("ns1 A B; left A 9000; reloaded R 60; hold 60", "delete A", ""),
        ("ns1 A B; left A 9000; reloaded R 59; hold 60", "", "retire A: hold"),
        ("ns1 A B; left A 9000; reloaded R 0; hold 0", "delete A", ""),
        ("ns1 A B; left A 9000; reloaded R 9001; hold 60", "reload R", "retire A: reloadowed"),
        // Two commands: the hold begins with the later one.
        ("ns1 A B; left A 9000; reloaded R 8000; reloaded S 7000", "", "retire A: hold"),
        // The first success after the switch counts.
        ("ns1 A B; left A 9000; reloaded R 8000; reloads R 60", "delete A", ""),
        // A command that is no longer configured counts for nothing.
        ("ns1 A B; left A 9000; reloaded R 8000; reloads Q 10", "delete A", ""),
        // The files have to be there, before a reload counts; with none, they are all there is to do.
        ("ns1 A B; left A 9000; deploy D; reloaded R 8000", "deploy D B", "retire A: deployowed"),
        ("ns1 A B; left A 9000; deployed D 7000; reloaded R 8000", "reload R", "retire A: reloadowed"),
        ("ns1 A B; left A 9000; deployed D 8000; reloaded R 7199", "", "retire A: hold"),
        ("ns1 A B; left A 9000; deployed D 8000; reloaded R 7200", "delete A", ""),
        ("ns1 A B; left A 9000; deployed D 7199", "", "retire A: hold"),
        ("ns1 A B; left A 9000; deployed D 7200", "delete A", ""),
        // Without reload: until the certificate has expired.
        ("ns1 A B; left A 9000", "", "retire A: noreload"),
    ]);
    table(&[
        ("pinned B; live B; stored E B; left E 9000; presented B; ours E B; held; ns1 E B", "delete E", ""),
        (
            "pinned B; live B; stored B; left A 9000; presented B; reload R; ours B; ns1 B",
            "reload R",
            "retire A: reloadowed",
        ),
    ]);
}

/// A host that still presents C after all that was run may have been given A since, where files are taken to hosts.
#[test]
fn who_presents_an_older_one() {
    const C: &str =
        "pinned B; live B; stored A B C; left C 9000; left A 8500; presented B; ours A B C; held; ns1 A B C; ";
    table_of(
        C,
        &[
            ("deployed D 8000; reloaded R 8000; seen C 60", "", "retire A: hold, retire C: seen"),
            ("deployed D 8000; reloaded R 8000; seen A 60", "", "retire A: seen, retire C: hold"),
            ("reloaded R 8000; seen C 60", "delete A", "retire C: seen"),
        ],
    );
    for seen in ["", "seen C 7200"] {
        let scene = Scene::new(&format!("{C}deployed D 8000; reloaded R 8000; {seen}"));
        // In the order of the digests, which are new in each run.
        let all = scene.actions();
        let mut actions: Vec<&str> = all.split(", ").collect();
        actions.sort_unstable();
        assert_eq!((actions, scene.waits()), (vec!["delete A", "delete C"], String::new()), "{seen}");
    }
}

/// Without a reload a certificate is presented as long as it is valid: its last second included (RFC 5280 section 4.1.2.5).
#[test]
fn expired() {
    let mut scene = Scene::new(&format!("{DONE}ns1 A B; left A 9000"));
    let end = generation("A").chain.not_after();
    for (wall, actions) in [(end, ""), (end + 1, "delete A")] {
        scene.facts.wall = wall;
        assert_eq!(scene.actions(), actions, "{wall}");
    }
}

#[test]
fn what_servers_show() {
    done(&[
        ("ns1 A B; ns2 A; left A 9000; reloaded R 8000", "switch! A", ""),
        ("ns1 A B; ns2 -; left A 9000; reloaded R 8000", "", "delete A: needed"),
        ("ns1 A B; ns2 ?; left A 9000; reloaded R 8000", "", "delete A: unknown"),
        ("ns1 ?; left A 9000; reloaded R 8000", "", "delete A: unknown"),
        ("ns1 A B; noview; left A 9000; reloaded R 8000", "", "delete A: notasked"),
        ("noservers; left A 9000; reloaded R 8000", "", "delete A: noservers"),
        ("left A 9000; reloaded R 8000", "", "delete A: noservers"),
        ("ns1 A B; ns2 B; left A 9000; reloaded R 8000", "delete A", ""),
        ("ns1 A B x; left A 9000; reloaded R 8000", "delete A", ""),
        // What caches hold is no concern of a delete.
        ("ns1 A B; past ns1 A 60 5; left A 9000; reloaded R 8000", "switch! A", ""), // a cache may hold A alone
    ]);
}

/// A call that was to publish a record and ended in nobody knows what may do so yet: a delete before that would leave it behind.
#[test]
fn what_may_come_yet_is_waited_for() {
    let left = "left A 9000; reloaded R 8000; ";
    let at = |verb: &str, since: u64, servers: &str| {
        let mut scene = Scene::new(&format!("{DONE}{left}{verb} x; {servers}"));
        let docs = scene.journal.owners.values_mut().flat_map(|owner| owner.records.iter_mut());
        for (_, doc) in docs.filter(|(its, _)| **its == record("x")) {
            match doc.state {
                RecordState::Publishing => doc.since = ago(since),
                _ => doc.unsure = Some(ago(since)),
            }
        }
        (scene.actions(), scene.waits())
    };
    for (verb, since, servers, deletes, waits) in [
        ("publishing", 0, "ns1 B", false, "delete x: maycome"),
        ("publishing", 3599, "ns1 B", false, "delete x: maycome"),
        ("publishing", 3600, "ns1 B", true, ""),
        ("publishing", 0, "ns1 B x", true, ""), // it came
        ("publishing", 0, "ns1 B; ns2 B x", true, ""),
        // It was tried again, and that is what came.
        ("ours", 3599, "ns1 B x", false, "delete x: maycome"),
        ("ours", 3600, "ns1 B x", true, ""),
        // It is on its way out already.
        ("deleting", 0, "ns1 B x", true, ""),
    ] {
        let (actions, told) = at(verb, since, servers);
        let case = format!("{verb} {since} s, {servers}: {actions}");
        assert_eq!((actions.contains("delete x"), told.as_str()), (deletes, waits), "{case}");
        assert!(actions.contains("delete A"), "{case}");
    }
}

/// Nor is a record deleted that what is presented matches by, while another of its kind may come and be alone then.
#[test]
fn what_would_be_alone_when_it_comes() {
    table(&[
        (
            "pinned A; live A; stored A; presented A; withdrawn; ours A; publishing B; ns1 A",
            "",
            "delete A: onitsway, delete B: maycome",
        ),
        (
            "pinned A; live A; stored A; presented A; withdrawn; ours A; publishing A:312; ns1 A",
            "delete A",
            "delete A:312: maycome",
        ),
        (
            "pinned A; live A; stored A; presented A; ours A A:312; publishing B:312; ns1 A A:312",
            "arrange live",
            "delete A:312: onitsway, delete B:312: maycome",
        ),
        (
            "pinned A; live A; stored A; presented A; ours A A:312; publishing C; ns1 A A:312",
            "arrange live, delete A:312",
            "delete C: maycome",
        ),
    ]);
}

/// Records that were found, and owners that others use, need a probe.
#[test]
fn found_and_shared() {
    table(&[
        (
            "pinned B; live B; stored A B; left A 9000; presented B; found A; ours B; reloaded R 8000; ns1 A B",
            "forget A",
            "delete A: needsprobe",
        ),
        (
            "pinned B; live B; stored A B; left A 9000; presented B; ours A B; reloaded R 8000; shared; ns1 A B",
            "forget A",
            "delete A: needsprobe",
        ),
        // Somebody deleted it by hand: there is nothing left to prove.
        (
            "pinned B; live B; stored A B; left A 9000; presented B; found A; ours B; reloaded R 8000; ns1 B",
            "delete A, forget A",
            "",
        ),
        (
            "pinned B; live B; stored A B; left A 9000; presented B; found A; ours B; reloaded R 8000; ns1 B; ns2 ?",
            "forget A",
            "delete A: needsprobe unknown",
        ),
    ]);
}

/// Nothing foreign is ever touched.
#[test]
fn foreign() {
    done(&[
        ("ns1 A B x y:312; left A 9000; reloaded R 8000", "add B:312", "delete A: needed"),
        ("ns1 B x C; left A 9000; reloaded R 8000", "delete A", ""),
    ]);
}

#[test]
fn again_after_a_minute() {
    table(&[
        ("pinned B; live B; stored B; presented B; ours B; deleted A; ns1 A B; held", "delete A", ""),
        ("pinned B; live B; stored B; presented B; ours B; deleting A; ns1 A B; held", "delete A", ""),
    ]);
    let mut scene = Scene::new("pinned B; live B; stored B; presented B; ours B; deleted A; ns1 A B");
    let record = crate::certs::record("A");
    let owner = scene.journal.owners.values_mut().next().unwrap();
    owner.records.get_mut(&record).unwrap().since = crate::scene::ago(59);
    assert_eq!((scene.actions().as_str(), scene.waits().as_str()), ("arrange live", "delete A: notvisible"));
}

/// Leaving DANE: what is presented goes last, and nothing else waits for it.
#[test]
fn withdrawn() {
    table(&[
        ("withdrawn; pinned B; live B; stored B; presented B; ours B; ns1 B x", "", "delete B: needed"),
        ("withdrawn; pinned B; live B; stored B; presented B; ns1 -", "arrange live, leave mx", ""),
        ("withdrawn; pinned B; live B; stored B; presented B; deleted B; ns1 B", "delete B", ""),
        // It has left already: there is nothing to do.
        ("withdrawn; follows; live B; stored B; presented B; ns1 -", "", ""),
        (
            "withdrawn; unconfigured; pinned B; live B; stored B; presented B; ours B; ns1 B",
            "",
            "delete B: unconfigured",
        ),
    ]);
    // One at a time: what is presented waits until the others are seen to be gone.
    let deletes = |script: &str| {
        let scene = Scene::new(&format!("withdrawn; pinned B; live B; stored A B; presented B; {script}"));
        let (mut actions, waits) = (scene.actions().split(", ").map(str::to_owned).collect::<Vec<_>>(), scene.waits());
        actions.sort();
        (actions.join(", "), waits)
    };
    for (script, expected, waits) in [
        ("ours A B C; ns1 A B C", "delete A, delete C", "delete B: notvisible"),
        ("ours B; deleted A C; ns1 A B C", "delete A, delete C", "delete B: notvisible"),
        ("ours B; deleted A C; ns1 B", "delete A, delete B, delete C", ""),
    ] {
        assert_eq!(deletes(script), (expected.into(), waits.into()), "{script}");
    }
    // No pin is released before all is gone.
    let scene = Scene::new("withdrawn; pinned B; live B; stored B; presented B; ours B; ns1 B");
    assert_eq!(scene.actions(), "delete B");
}

/// A record of several that match a chain goes only as long as one stays.
#[test]
fn one_after_the_other() {
    let script = "held; tlsa 201; pinned A; live A; stored A; presented A; ours A A:201; ns1 A A:201";
    table(&[(script, "delete A", "")]);
    // An RSA and an ECDSA lineage moved to usage 2: both records of usage 3 go.
    let script = "tlsa 211; pinned A; live A; stored A; presented A; ours A A:211; lineage b; tlsa 211; pinned B; live B; \
                  stored B; presented B; ours B B:211; ns1 A B A:211";
    let plan = Scene::new(script).plan();
    let deletes: Vec<String> = plan.actions.iter().map(action).filter(|a| a.starts_with("delete")).collect();
    assert_eq!(deletes.len() + plan.waits.len(), 2, "{plan:?}");
}

/// With two certificates beside each other either record alone fails those who see the other certificate: where one change can
/// take all of an RRset away, it goes in one, and else it stays.
#[test]
fn all_at_once() {
    for (mx, b, rest, deletes) in [
        ("atonce ns1", "atonce ns1", "ns1 A B", 2),
        ("atonce ns1", "atonce ns1", "ours C; ns1 A B C", 3),
        ("atonce ns1", "atonce ns2", "ns1 A B", 0),
        ("atonce ns1", "hold 60", "ns1 A B", 0), // a program
        ("hold 60", "hold 60", "ns1 A B", 0),
        ("atonce ns1", "atonce ns1", "ns1 A B x:201", 0), // it would be alone with what is not ours
        ("atonce ns1", "atonce ns1", "ns1 A B; ns2 A B x:201", 0),
    ] {
        let script = format!(
            "withdrawn; {mx}; pinned A; live A; stored A; presented A; ours A; \
             lineage b; withdrawn; {b}; pinned B; live B; stored B; presented B; ours B; {rest}"
        );
        let actions = Scene::new(&script).actions();
        assert_eq!(actions.matches("delete").count(), deletes, "{script}: {actions}");
    }
}

//! Files: keep, lay out, pin, release, forget.

use crate::scene::{Scene, table, table_of};
use daneroll::plan::model::Model;

#[test]
fn kept() {
    table(&[
        ("follows; live A; presented A; ours A; ns1 A", "store A", ""),
        ("pinned A; live B; presented A; waiting B; ours A B; ns1 A", "store A, store B, add B", ""),
        ("pinned A; live B; stored A B; presented A; waiting B; ours A B; ns1 A", "add B", "switch B: notshown"),
        ("foreign A; live A; presented A; ours A; ns1 A; pin", "store A, arrange A", ""),
        ("unconfigured; pinned A; live B; presented A; ns1 -", "store A", ""),
    ]);
}

#[test]
fn laid_out() {
    let idle = "stored A; presented A; ours A; ns1 A; ";
    for (script, actions) in [
        ("missing; live A", "arrange live"),
        ("missing; live !", "arrange A"),
        ("missing; live A; unconfigured", ""),
        ("follows; live A", ""),
        ("follows; live A; unlinked", "arrange live"),
        ("follows; live A; pin", "arrange A"),
        ("foreign A; live A", "arrange live"),
        ("foreign A; live A; pin", "arrange A"),
        ("foreign A; live B", "arrange A"),
        ("damaged A; live A", "arrange A"),
        ("damaged A B; live B", "store B, arrange A, switch! A"),
        ("damaged C; live A", ""),
        ("damaged C; live C", "store C"), // the store has lost it
        ("damaged C A; live C", ""),
        ("unknown; live A", ""),
    ] {
        assert_eq!(Scene::new(&format!("{idle}{script}")).actions(), actions, "{script}");
    }
}

/// What a client overwrites can only be copied, first of all.
#[test]
fn copied() {
    let idle = "presented A; ours A; ns1 A; copied; ";
    for (script, actions, waits) in [
        ("missing; live A", "store A", ""),
        ("missing; live A; stored A", "arrange A", ""),
        ("missing; live B; stored A", "arrange A", ""),
        ("missing; live A; unconfigured", "", "delete A: unconfigured"),
        ("missing; torn 60", "", "copy: unfinished, delete A: unreadable"),
        ("foreign A; live A; stored A", "arrange A", ""),
        ("foreign A; live B; stored A", "arrange A", ""),
        ("pinned A; live A; stored A", "", ""),
        ("pinned A; live A; stored A; unlinked", "arrange A", ""),
        ("pinned A; torn 60; stored A", "", "copy: unfinished"),
        ("pinned A; torn 899; stored A", "", "copy: unfinished"),
        ("pinned A; torn 900; stored A", "", ""),
        ("pinned A; doubted 900; stored A", "", "copy: unfinished"),
        ("pinned A; live B; stored A; waiting B", "store B, add B", ""),
        ("pinned A; torn 60; stored A B; waiting B; ours A B; ns1 A B", "switch B", "copy: unfinished"),
        ("damaged A; torn 60; stored A", "arrange A", "copy: unfinished"),
        ("unknown; live B; stored A", "arrange A", ""),
    ] {
        let scene = Scene::new(&format!("{idle}{script}"));
        assert_eq!((scene.actions().as_str(), scene.waits().as_str()), (actions, waits), "{script}");
        assert_eq!(scene.troubles().contains("no complete set for 15 min"), script.contains("torn 900"), "{script}");
    }
}

/// The directory of the lineage was removed: services go on with what they had, not with what nobody has published.
#[test]
fn laid_out_again() {
    table(&[
        (
            "missing; live B; stored A B; presented A; waiting B; ours A B; ns1 A",
            "arrange A, add B",
            "switch B: notshown",
        ),
        ("missing; live A; stored A; presented A; ours A; ns1 A", "arrange live", ""),
        // Nothing is deleted or forgotten in the run that leads services back to what was lost for a while.
        (
            "damaged A B; live B; stored A B; left A 9000; presented B; ours A B; reloaded R 8000; ns1 A B",
            "arrange A",
            "",
        ),
    ]);
}

#[test]
fn released() {
    let idle = "pinned A; live A; stored A; ours A; ns1 A; ";
    for (script, actions) in [
        ("presented A", "arrange live"),
        ("presented A; held", ""),
        ("presented A; pin", ""),
        ("presented A; unconfigured", ""),
        ("presented A; withdrawn", "delete A"),
        ("presented A; left B 60; reload R", "reload R"),
        ("presented A; waiting B", "switch B"),
        ("presented A; unlinked; held", "arrange A"),
        ("presented A; live B", ""),
        ("presented A; live !", ""),
    ] {
        let script = if script.contains("waiting") {
            script.replace("waiting B", "stored A B; waiting B; ours B; ns1 A B")
        } else {
            script.into()
        };
        assert_eq!(Scene::new(&format!("{idle}{script}")).actions(), actions, "{script}");
    }
    let mut scene = Scene::new("follows; live A; stored A; presented A; ours A; ns1 A");
    scene.config.dane_group = Some(("certs".into(), 1000));
    assert_eq!(scene.actions(), "arrange A", "a group reads copies");
}

#[test]
fn forgotten() {
    let idle = "pinned B; live B; presented B; ours B; ns1 B; held; ";
    for (script, actions) in [
        ("stored A B", "forget A"),
        ("stored A B; left A 9000; reloaded R 8000", "forget A"),
        ("stored A B; ours C; ns1 B C", "delete C, forget A"), // a record that is not its own
        ("stored B; left A 9000; reloaded R 8000", "forget A"),
        ("stored A B; left A 9000; reload R; ours A; ns1 A B", "reload R"),
        ("stored A B; left A 9000; reloaded R 10; ours A; ns1 A B", ""),
        ("stored A B; left A 9000; reloaded R 8000; ours A; ns1 A B", "delete A"),
        ("stored A B; left A 9000; reloaded R 8000; deleting A; ns1 B", "delete A"),
        ("stored A B C; left A 9000; left C 8500; reloaded R 8000", "forget A, forget C"),
        ("stored A B; live C", "forget A"),
        ("stored A B; live !", ""),
        ("stored A B; unknown", ""),
        // What has no section is not pruned.
        ("stored A B; unconfigured", ""),
        ("stored A B; keep 1", ""),
        ("stored A B; left A 9000; reloaded R 8000; keep 1", "rest A"),
        // P is older than A.
        ("stored A B P; keep 1", "forget P"),
        ("stored A B P; keep 2", ""),
        ("stored A B P; left A 9000; left P 9000; reloaded R 8000; keep 1", "forget P, rest A"),
        ("stored A B P; left A 60; reloaded R 30; hold 600; keep 1; ours A; ns1 A B", ""),
        ("stored A B; left A 60; unconfigured", ""),
    ] {
        let scene = Scene::new(&format!("{idle}{script}"));
        let mut planned: Vec<String> = scene.actions().split(", ").map(str::to_owned).collect();
        planned.sort();
        assert_eq!(planned.join(", "), actions, "{script}");
    }
}

/// Links lead to the client's own files until it has gone on: then it prunes what it has.
#[test]
fn links_to_what_a_client_prunes() {
    let idle = "pinned A; stored A; presented A; ours A; ns1 A; held; ";
    for (script, actions) in [
        ("archived; live A", ""),
        ("archived; live B", "arrange A"),
        ("archived; live !", "arrange A"),
        ("live B", ""),
        ("live !", ""),
    ] {
        assert_eq!(Scene::new(&format!("{idle}{script}")).actions(), actions, "{script}");
    }
}

/// What services read cannot be told because `live/` cannot be read: said once.
#[test]
fn one_reason_is_told_once() {
    for (why, told) in [("torn", 1), ("odd", 2)] {
        let mut scene = Scene::new("unknown; live !; ns1 -");
        scene.facts.lineages.get_mut("mx").unwrap().served = daneroll::facts::Served::Unknown(why.into());
        assert_eq!(scene.plan().troubles.len(), told, "{}", scene.troubles());
    }
}

/// A lineage that leaves DANE with nothing of ours left.
#[test]
fn left() {
    table_of(
        "withdrawn; stored A; presented A; ",
        &[
            ("pinned A; live A; ns1 -", "arrange live, leave mx", ""),
            ("pinned A; live A; ns1 x", "arrange live, leave mx", ""),
            ("pinned A; live B; ns1 -", "leave mx", ""),
            ("pinned A; live B; ns1 x", "", "leave: notshown"),
            ("pinned A; live B; ns1 -; past ns1 A 60 5", "", "leave: cached"),
            ("copied; pinned A; live A; ns1 -", "", ""), // it has left
            ("copied; pinned A; live B; ns1 -", "leave mx", ""),
        ],
    );
}

/// Who leaves DANE and goes on with another certificate.
#[test]
fn parting() {
    for (script, parts) in [
        ("withdrawn; pinned A; live B", true),
        ("withdrawn; pinned A; live !", true),
        ("withdrawn; pinned A; live A", false),
        ("withdrawn; missing; live B", false),
        ("withdrawn; pinned A; live B; unconfigured", false),
        ("pinned A; live B", false),
    ] {
        let scene = Scene::new(script);
        assert_eq!(Model::new(scene.input()).lineages["mx"].parts(), parts, "{script}");
    }
}

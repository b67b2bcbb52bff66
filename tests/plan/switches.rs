//! Which generation is switched to, what is done when nothing matches, and reloads.

use crate::{
    certs::{DAY, WALL, generation},
    scene::{Scene, table, table_of},
};
use daneroll::plan::{Action, Plan};

#[test]
fn the_newest_that_is_ready() {
    let three = "pinned A; live C; stored A B C; presented A; waiting B C; ours A B C; reload R; ";
    table_of(
        three,
        &[
            ("ns1 A B C", "switch C", ""),
            ("ns1 A B C; past ns1 A B 60 5", "switch B", "switch C: cached"),
            ("ns1 A B C; past ns1 A C 60 5", "switch C", ""),
            ("ns1 A B C; past ns1 A 60 5", "", "switch B: cached, switch C: cached"),
            ("ns1 A C", "add B, switch C", ""),
            ("ns1 A B", "add C, switch B", "switch C: notshown"),
            ("ns1 A B C; ns2 ?", "", "switch B: unknown, switch C: unknown"),
        ],
    );
}

#[test]
fn what_cannot_be_switched_to() {
    table(&[
        // Not in the store: kept first.
        ("pinned A; live B; stored A; presented A; waiting B; ours A B; reload R; ns1 A B", "store B", ""),
        // The same key: nothing to publish, switched at once, whatever is cached.
        (
            "pinned A; live A'; stored A A'; presented A; waiting A'; ours A; reload R; ns1 A; past ns1 A x 60 1",
            "switch A'",
            "",
        ),
        (
            "pinned A; live A'; stored A A'; presented A; waiting A'; ours A; reload R; ns1 A; past ns1 - 60 1",
            "",
            "switch A': cached",
        ),
        // Nothing waits.
        ("pinned A; live A; stored A; presented A; ours A; reload R; ns1 A; held", "", ""),
        // Without a sound section, or leaving DANE.
        (
            "pinned A; live B; stored A B; presented A; waiting B; ours A B; ns1 A B; unconfigured",
            "",
            "delete A: needed unconfigured, delete B: unconfigured",
        ),
        // What is read cannot be told.
        ("unknown; live B; stored A B; presented A; waiting B; ours A B; reload R; ns1 A B", "", ""),
    ]);
}

/// What is served matches nothing that is published.
#[test]
fn broken() {
    table(&[
        // Renewed without a hook, links follow: back to what matches.
        (
            "follows; live B; stored A B; left A 60; presented B; ours A; reload R; ns1 A",
            "add B, switch! A, reload R",
            "retire A: reloadowed",
        ),
        (
            "follows; live B; stored A B; left A 60; presented B; ours A B; reload R; ns1 A B; ns2 A; past ns1 A 60 5",
            "switch! A, reload R",
            "retire A: reloadowed",
        ),
        // Not to one that some server lacks, or that a cache may contradict.
        (
            "follows; live B; stored A B; left A 60; presented B; ours A; reload R; ns1 A; ns2 -; past ns1 - 60 5",
            "add B, add A, reload R",
            "retire A: reloadowed",
        ),
        (
            "follows; live B; stored A B; left A 60; presented B; ours A; reload R; ns1 A; past ns1 - 60 5",
            "add B, reload R",
            "retire A: reloadowed",
        ),
        // Forward, if the next one is ready.
        ("pinned A; live B; stored A B; presented A; waiting B; ours B; reload R; ns1 B", "add A, switch! B", ""),
        // Nothing else is there: its records are published.
        ("follows; live B; stored B; presented B; reload R; ns1 x", "add B", ""),
        ("follows; live B; stored B; presented B; reload R; ns1 B x:312", "adopt B", ""),
        // It was seen everywhere, and one server has gone back to a zone without it.
        ("follows; live B; stored B; presented B; reload R; ours A B; ns1 A; ns2 A B", "add B", "delete A: needed"),
        (
            "follows; live B; stored B; presented B; reload R; ours A B; ns1 A; since ns1 59; ns2 A B",
            "",
            "delete A: needed",
        ),
        // Not after the operator's own word.
        (
            "pinned B; live B; stored A B; left A 60; presented B; ours A B; forced B; reloaded R 30; ns1 A",
            "add B",
            "retire A: hold",
        ),
        // No record at all is no mismatch.
        ("follows; live B; stored B; presented B; reload R; ns1 -", "add B", ""),
        ("follows; live B; stored B; presented B; reload R; ns1 ?", "", "publish: unknown"),
    ]);
}

#[test]
fn broken_is_told() {
    for (script, part) in [
        ("follows; live B; stored B; presented B; ours B; ns1 x", "matches no TLSA record"),
        ("pinned A; live B; stored A B; presented A; waiting B; ours A B; ns1 A", ""),
    ] {
        let troubles = Scene::new(script).troubles();
        assert_eq!(troubles.is_empty(), part.is_empty(), "{script}: {troubles}");
        assert!(troubles.contains(part), "{script}: {troubles}");
    }
}

/// Blocked with less than the wait and a day left is a failure; expiry opens no gate.
#[test]
fn expiry() {
    let end = generation("A").chain.not_after();
    for (wall, told) in [
        (WALL, ""),
        (end - DAY - 7200 - 1, ""),
        (end - DAY - 7200, ""),
        (end - DAY - 7200 + 1, "expires in"),
        (end - 60, "expires in 60 s"),
        (end + 1, "EXPIRED"),
    ] {
        let mut scene =
            Scene::new("pinned A; live B; stored A B; presented A; waiting B; ours A B; reload R; ns1 A B; ns2 A");
        scene.facts.wall = wall;
        assert_eq!(scene.actions(), "", "{wall}");
        let troubles = scene.troubles();
        assert_eq!(troubles.is_empty(), told.is_empty(), "{wall}: {troubles}");
        assert!(troubles.contains(told), "{wall}: {troubles}");
        assert!(told.is_empty() || troubles.contains("ns2") && troubles.contains("--accept-mismatch mx"), "{troubles}");
    }
}

#[test]
fn reloads() {
    let done = "pinned B; live B; stored A B; presented B; ours A B; ns1 A B; held; ";
    for (rest, actions) in [
        ("left A 60; reload R", "reload R"),
        ("left A 60; reload R; reload S", "reload R, reload S"),
        ("left A 60; reload S; reload R", "reload S, reload R"),
        ("left A 60; reloaded R 50", ""),
        ("left A 60; reloaded R 60", ""),
        ("left A 60; reloaded R 61", "reload R"), // it began before the switch
        ("left A 60; reloaded R 50; reload S", "reload S"),
        ("left A 60; deploy D", "deploy D B"),
        ("left A 60; deploy D; deploy E", "deploy D B, deploy E B"),
        ("left A 60; deploy D; reload R", "deploy D B"), // first the files
        ("left A 60; deployed D 50; deploy E; reload R", "deploy E B"),
        ("left A 60; deployed D 50; reload R", "reload R"),
        ("left A 60; deployed D 50; reloaded R 50", ""),
        ("left A 60; deployed D 50; reloaded R 51", "reload R"), // it began before the files were there
        ("left A 60; deployed D 61; reloaded R 50", "deploy D B"), // files of the one before
        ("left A 60; deployed D 50", ""),
        ("left A 60; ours C; ns1 A B C; left C 600; deployed D 300; reload R", "deploy D B"),
        ("left A 60; reloads Q 50; reload R", "reload R"), // another command
        ("left A 60; ours C; ns1 A B C; left C 600; reloaded R 300", "reload R"),
        ("pin; left A 9000; reloaded R 8000", "delete A"),
        ("left A 60", ""),
    ] {
        assert_eq!(Scene::new(&format!("{done}{rest}")).actions(), actions, "{rest}");
    }
    // One call for two lineages.
    let two = format!("{done}left A 60; reload R; port 465; tlsa; lineage b; {done}left A 60; reload R");
    assert_eq!(Scene::new(&two).actions(), "reload R");
    // It does not count for one that has yet to be deployed.
    let one = format!("{done}left A 60; deploy D; reload R; port 465; tlsa; lineage b; {done}left A 60; reload R");
    let Plan { actions, .. } = Scene::new(&one).plan();
    let for_whom = actions.iter().find_map(|action| match action {
        Action::Reload { lineages, .. } => Some(lineages.iter().map(String::as_str).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!((Scene::new(&one).actions().as_str(), for_whom), ("deploy D B, reload R", Some(vec!["b"])));
}

/// What needs no provider comes before the additions of others. (`broken` tells that the order stays within a lineage.)
#[test]
fn before_the_additions_of_others() {
    let adds = "held; pinned A; live A; stored A; presented A; ns1 -";
    let switches =
        "lineage b; port 26; pinned A; live B; stored A B; presented A; waiting B; ours A B; reload R; ns1 A B";
    let reloads =
        "lineage b; port 26; pinned B; live B; stored A B; left A 60; presented B; ours A B; reload R; ns1 A B";
    for (script, planned) in [(switches, ["switch b.B", "add A"]), (reloads, ["reload R", "add A"])] {
        let mut scene = Scene::new(&format!("{adds}; {script}"));
        scene.sections.get_mut("b").unwrap().tlsa.retain(|line| line.port == 26);
        let actions = scene.actions();
        let places = planned.map(|part| actions.find(part).unwrap_or(usize::MAX));
        assert!(places[0] < places[1], "{script}: {actions}");
    }
}

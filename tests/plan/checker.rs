//! The checker drops what would break a rule, whoever planned it, and says so.

use crate::{
    certs::{id, record},
    scene::{Scene, action, query},
};
use daneroll::plan::{Action, Cause, Edit, Goal, Plan, check::check};

fn switch(to: &str, cause: Cause) -> Action {
    Action::Switch { lineage: "mx".into(), from: Some(id("A")), to: id(to), cause }
}

fn edit(of: &str) -> Edit {
    Edit { query: query(25), record: record(of), ttl: 300, lineage: "mx".into(), live: None }
}

/// The actions that pass, in a few words.
fn passes(script: &str, actions: Vec<Action>) -> String {
    let scene = Scene::new(script);
    let planned = actions.len();
    let checked = check(scene.input(), Plan { actions, ..Plan::default() });
    assert_eq!(checked.actions.len() + checked.troubles.len(), planned, "what is dropped is told");
    checked.troubles.iter().for_each(|trouble| assert!(trouble.text.contains("please report it"), "{trouble}"));
    checked.actions.iter().map(action).collect::<Vec<_>>().join(", ")
}

const ROLL: &str = "pinned A; live B; stored A B; presented A; waiting B; ours A B; reload R; ";

#[test]
fn switches() {
    for (script, sound) in [
        ("ns1 A B", true),
        ("ns1 A B; ns2 A B", true),
        ("ns1 A B; ns2 A", false),
        // Whoever is silent may lack everything, unless patience is over and nobody needs to be waited for.
        ("ns1 A B; ns2 ?", false),
        ("ns1 A B; ns2 ?bogus", false),
        ("patience 60; ns1 A B; ns2 ?", false),
        ("patience 60; ns1 A B; ns2 ?noroute", false),
        ("patience 100; ns1 A B; ns2 ?noroute; host ns2 ns1", true),
        ("patience 101; ns1 A B; ns2 ?noroute; host ns2 ns1", false),
        ("ns1 A B; ns2 -", false),
        ("ns1 A", false),
        ("ns1 ?", false),
        ("noservers", false),
        ("ns1 A B; noview", false),
        ("ns1 A B; past ns1 A 60 3599", false),
        ("ns1 A B; past ns1 A 60 3600", true),
        ("ns1 A B; past ns1 ? 60 10", false),
        ("ns1 A B; past ns1 - 60 10", false),
        ("ns1 A B; past ns1 B 60 10", true),
        ("ns1 A B x:312", false),
        ("ns1 A B x:319", true),
        ("ns1 x:319", false),
        ("ns1 A B; deleting B", true), // `ours` stands first
        ("ns1 A B; stored A", false),
        ("ns1 A B; unconfigured", false),
        ("ns1 A B; withdrawn", false),
        ("ns1 A B; port 465; ns1 A", false),
        ("ns1 A B; port 465; ns1 A B", true),
        ("ns1 A B; port 465; tlsa; ours A; ns1 A", false),
        ("ns1 A B; port 465; tlsa; ours A; ns1 -", true),
    ] {
        let expected = if sound { "switch B" } else { "" };
        assert_eq!(passes(&format!("{ROLL}{script}"), vec![switch("B", Cause::Ready)]), expected, "{script}");
    }
    assert_eq!(passes(&format!("{ROLL}ns1 A"), vec![switch("B", Cause::Broken)]), "");
    assert_eq!(passes(&format!("{ROLL}ns1 A"), vec![switch("B", Cause::Forced)]), "switch! B", "the one override");
}

#[test]
fn a_record_on_its_way_out_is_absent() {
    let script = "pinned A; live B; stored A B; presented A; waiting B; ours A; deleting B; reload R; ns1 A B";
    assert_eq!(passes(script, vec![switch("B", Cause::Ready)]), "");
}

#[test]
fn deletes() {
    let done = "pinned B; live B; stored A B; presented B; ours A B; left A 9000; ";
    for (script, of, sound) in [
        ("reloaded R 8000; ns1 A B", &["A"][..], true),
        ("reloaded R 8000; ns1 A B; ns2 A", &["A"], false),
        ("reloaded R 8000; ns1 A B; ns2 A B", &["A"], true),
        ("reloaded R 8000; ns1 A B; ns2 ?", &["A"], false),
        ("reloaded R 8000; ns1 ?; ns2 ?", &["A"], false),
        ("reloaded R 8000; ns1 A B; noview", &["A"], false),
        ("reloaded R 8000; noservers", &["A"], false),
        ("reload R; ns1 A B", &["A"], false),
        ("ns1 A B", &["A"], false),
        ("reloaded R 8000; ns1 A B", &["B"], false),
        ("reloaded R 8000; ns1 A B x", &["x"], false),
        ("reloaded R 8000; ns1 A B; stored B; left C 60", &["A"], false),
    ] {
        let actions = of.iter().map(|of| Action::Delete(edit(of))).collect();
        let expected = if sound { format!("delete {}", of[0]) } else { String::new() };
        assert_eq!(passes(&format!("{done}{script}"), actions), expected, "{script}");
    }
    // One after the other: the last that matches stays.
    let two = "tlsa 201; pinned A; live A; stored A; presented A; ours A A:201; ns1 A A:201";
    let both = vec![Action::Delete(edit("A")), Action::Delete(edit("A:201"))];
    assert_eq!(passes(two, both), "delete A");
}

#[test]
fn additions() {
    let roll = "pinned A; live B; stored A B; presented A; waiting B; reload R; ";
    for (script, add, sound) in [
        ("ns1 -", &["A", "B"][..], "add A"), // a program may say yes and add nothing
        ("ns1 -", &["B"], ""),
        ("ns1 -", &["B", "A"], "add A"), // what is served goes first
        ("ns1 A", &["B"], "add B"),
        ("ns1 A; ns2 -", &["B"], ""),
        ("ns1 ?", &["A"], ""),
        ("ns1 x", &["A"], "add A"),
        ("ns1 A", &["B:312"], ""), // a digest type in which what is served has nothing
        ("ns1 A", &["A:312", "B:312"], "add A:312"),
        ("ns1 A A:312", &["B:312"], "add B:312"),
    ] {
        let actions = add.iter().map(|of| Action::Add(edit(of))).collect();
        assert_eq!(passes(&format!("{roll}{script}"), actions), sound, "{script} {add:?}");
    }
}

#[test]
fn arrangements_and_memory() {
    let arrange =
        |goal: Goal, serving: Option<&str>| Action::Arrange { lineage: "mx".into(), goal, serving: serving.map(id) };
    let forget = |of: &str| Action::Forget { lineage: "mx".into(), generation: id(of), keep: false };
    let to = |of: &str| Goal::Generation(id(of));
    for (script, action, sound) in [
        ("pinned A; live B", arrange(Goal::Live, Some("A")), false),
        ("pinned A; live A", arrange(Goal::Live, Some("A")), true),
        ("pinned A; live !", arrange(Goal::Live, Some("A")), false),
        ("pinned A; live B", arrange(to("B"), Some("A")), false),
        ("pinned A; live B", arrange(to("A"), Some("A")), true),
        ("damaged A B; live B", arrange(to("A"), Some("B")), true),
        ("missing; live B", arrange(Goal::Live, None), true),
        ("pinned A; live A; stored A B", forget("B"), true),
        ("pinned A; live A; stored A B", forget("A"), false),
        ("pinned A; live B; stored A B", forget("B"), false),
        ("pinned A; live C; stored A B; waiting B", forget("B"), false),
        ("pinned A; live C; stored A B; presented A; left B 60; reload R", forget("B"), false),
    ] {
        let passed = passes(&format!("{script}; ns1 A"), vec![action]);
        assert_eq!(!passed.is_empty(), sound, "{script}: {passed}");
    }
}

/// What is deployed is what the dane directory shows, and nothing is reloaded before.
#[test]
fn deploys_and_reloads() {
    let (words, lineage) = (|word: &str| vec![word.to_owned()], || "mx".to_string());
    let deploy = |of| Action::Deploy { lineage: lineage(), generation: id(of), command: words("D"), timeout: 9 };
    let reload = || Action::Reload { command: words("R"), lineages: [lineage()].into(), timeout: 9 };
    let switch = || Action::Switch { lineage: lineage(), from: Some(id("A")), to: id("B"), cause: Cause::Ready };
    let done = "pinned B; live B; stored A B; presented B; ours A B; ns1 A B; left A 60; ";
    for (script, actions, sound) in [
        (format!("{done}deploy D"), vec![deploy("B")], "deploy D B"),
        (format!("{done}deploy D"), vec![deploy("A")], ""),
        (format!("{done}deploy D; reload R"), vec![reload()], ""),
        (format!("{done}deployed D 61; reload R"), vec![reload()], ""),
        (format!("{done}deployed D 60; deploy E; reload R"), vec![reload()], ""),
        (format!("{done}deployed D 60; reload R"), vec![reload()], "reload R"),
        (format!("{done}reload R"), vec![reload()], "reload R"),
        (format!("{ROLL}ns1 A B; deploy D"), vec![switch(), deploy("B")], "switch B, deploy D B"),
        (format!("{ROLL}ns1 A B; deploy D"), vec![switch(), deploy("A")], "switch B"),
        (format!("{ROLL}ns1 A; deploy D"), vec![switch(), deploy("B")], ""),
    ] {
        assert_eq!(passes(&script, actions), sound, "{script}");
    }
}

/// An action for a lineage or an owner that nobody knows.
#[test]
fn strangers() {
    let stranger = Action::Switch { lineage: "who".into(), from: None, to: id("A"), cause: Cause::Ready };
    let elsewhere = Edit { query: query(465), ..edit("A") };
    let leave = Action::Leave { lineage: "who".into() };
    for action in [stranger, leave, Action::Add(elsewhere.clone()), Action::Delete(elsewhere)] {
        assert_eq!(passes(&format!("{ROLL}ns1 A B"), vec![action]), "");
    }
}

/// Where services can be looked at, the first record and each delete need a look at all of them.
#[test]
fn probes() {
    let new = "probe; pinned A; live A; stored A; presented A; ";
    for (script, records, sound) in [
        ("ns1 -", "A", ""),
        ("ns1 -; mx1 A", "A", "add A"),
        ("ns1 -; mx1 A; mx2 B", "A", ""),
        ("ns1 -; mx1 A; mx2 B", "A B", "add A, add B"),
        ("ns1 -; mx1 A ?", "A", ""),
        ("ns1 -; nohost", "A", ""),
        ("ns1 x:319", "A", "add A"),
    ] {
        let adds = records.split(' ').map(|of| Action::Add(edit(of))).collect();
        assert_eq!(passes(&format!("{new}{script}"), adds), sound, "{script}");
    }
    let done = "probe; pinned B; live B; stored A B; presented B; ours A B; ns1 A B; left A 90000; reloaded R 8000; ";
    for (script, sound) in [
        ("unseen A 0 0", false),
        ("unseen A 0 0; mx1 B", true),
        ("unseen A 0 0; mx1 B; mx2 A", false),
        ("unseen A 0 0; mx1 B ?", false),
        ("unseen A 0 0; nohost", false),
        ("mx1 B", false), // nobody looked after the hold
    ] {
        let expected = if sound { "delete A" } else { "" };
        assert_eq!(passes(&format!("{done}{script}"), vec![Action::Delete(edit("A"))]), expected, "{script}");
    }
}

/// What a reload retires is presented still, and a program adds one by one.
#[test]
fn additions_beside_what_was_left() {
    let left = "pinned B; live B; stored A B; left A 60; presented B; ";
    for (script, added) in [
        ("reload R; ns1 -", ""),
        ("reload R; ns1 A B", "add B"),
        ("reload R; atonce ns1; ns1 -", "add B"),
        ("ns1 -", "add B"),           // nothing would retire it
        ("reload R; ns1 x", "add B"), // clients are turned away as it is
    ] {
        assert_eq!(passes(&format!("{left}{script}"), vec![Action::Add(edit("B"))]), added, "{script}");
    }
}

/// What is served has a claim to its record even if all turn it away; what may only be presented has none then.
#[test]
fn who_has_a_claim() {
    let both = "tlsa 311 312; pinned A; live A; stored A B; presented A; left B 60; reload R; ours B:312; ns1 B:312";
    assert_eq!(passes(both, vec![Action::Add(edit("A"))]), "add A");
    let other = "tlsa 311 312; pinned A; live A; stored A B; presented A; left B 60; reload R; ours A:312; ns1 A:312";
    assert_eq!(passes(other, vec![Action::Add(edit("B"))]), "");
}

/// A record on its way out that is shown still would be alone.
#[test]
fn the_last_goes_last() {
    for (shown, deleted) in [("ns1 A B", ""), ("ns1 B", "delete B")] {
        let script = format!("withdrawn; pinned B; live B; stored B; presented B; ours B; deleted A; {shown}");
        assert_eq!(passes(&script, vec![Action::Delete(edit("B"))]), deleted, "{shown}");
    }
}

/// What services read after a step of the same plan is neither deleted nor forgotten.
#[test]
fn after_a_switch() {
    let forget = Action::Forget { lineage: "mx".into(), generation: id("B"), keep: false };
    let back = Action::Arrange { lineage: "mx".into(), goal: Goal::Generation(id("A")), serving: Some(id("B")) };
    let damaged = "damaged A B; live B; stored A B; left A 9000; presented B; ours A B; reloaded R 8000; ns1 A B";
    for (script, first, second, passed) in [
        (format!("{ROLL}ns1 A B"), switch("B", Cause::Ready), Action::Delete(edit("B")), "switch B"),
        (
            "pinned A; live A; stored A B; presented A; ours A B; ns1 A B".into(),
            switch("B", Cause::Ready),
            forget,
            "switch B",
        ),
        (damaged.into(), back, Action::Delete(edit("A")), "arrange A"),
    ] {
        assert_eq!(passes(&script, vec![first, second]), passed, "{script}");
    }
}

/// Where a lineage that leaves DANE goes on to another certificate, that one matches whatever a cache may hold.
#[test]
fn leaving() {
    for (script, sound) in [
        ("live A; ns1 x", true), // nothing changes for anybody
        ("live B; ns1 -", true),
        ("live B; ns1 B", true),
        ("live B; ns1 A", false),
        ("live B; ns1 A B", true),
        ("live B; ns1 A B:312", false),
        ("live B; ns1 -; ns2 ?", false),
        ("live B; ns1 ?", false),
        ("live B; noview", false),
        ("live B; ns1 -; past ns1 A 60 5", false),
        ("live B; ns1 -; past ns1 ? 60 5", false),
        ("live B; ns1 -; past ns1 B 60 5", true),
        // Nobody knows to what it goes, or what is its own.
        ("live !; ns1 A", true),
        ("live B; ns1 A; unconfigured", true),
    ] {
        let leave = Action::Leave { lineage: "mx".into() };
        let passed = passes(&format!("withdrawn; pinned A; stored A B; presented A; {script}"), vec![leave]);
        assert_eq!(!passed.is_empty(), sound, "{script}");
    }
}

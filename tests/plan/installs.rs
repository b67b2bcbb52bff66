//! The first time that services are given a certificate by a hook in DaneBot's manner: nobody knows what they present.

use crate::{
    certs::id,
    scene::{Scene, table_of},
};
use daneroll::plan::{Action, Plan, check::check};

const NEW: &str = "pin; pinned B; live B; stored B; presented B; ";

/// Where there are no records it is installed first and published after that; beside records it is published first.
#[test]
fn install_and_publish() {
    let begin = format!("{NEW}deploy D; uninstalled 60; ");
    table_of(
        &begin,
        &[
            ("ns1 -", "deploy D B", "publish: notinstalled"),
            ("ns1 -; ns2 -", "deploy D B", "publish: notinstalled"),
            ("ns1 -; past ns1 ? 60 100", "", "install B: cached, publish: notinstalled"),
            ("ns1 -; past ns1 x 60 100", "", "install B: cached, publish: notinstalled"),
            ("ns1 x", "add B", "install B: notshown"),
            ("ns1 x B; ours B", "deploy D B", ""),
            ("ns1 x B; ours B; past ns1 x 60 5", "", "install B: cached"),
            ("ns1 x B; ours B; ns2 x", "", "install B: notshown"),
            ("ns1 ?", "", "install B: unknown, publish: unknown"),
            ("ns1 -; ns2 ?", "", "install B: unknown, publish: notinstalled"),
            // With a look: what is served may be it.
            ("probe; ns1 -", "", "install B: notprobed, publish: notinstalled"),
            ("probe; ns1 -; mx1 A", "deploy D B", "publish: notinstalled"),
            // Its record is there already.
            ("ns1 B", "adopt B, deploy D B", ""),
        ],
    );
    // Once it is installed all is as ever, whether that was before or after the records.
    table_of(
        &format!("{NEW}uninstalled 60; "),
        &[
            ("deployed D 60; ns1 -", "add B", ""),
            ("deployed D 61; ns1 -", "deploy D B", "publish: notinstalled"),
            ("deployed D 60; ns1 x B; ours B", "", ""),
        ],
    );
}

/// A renewal meanwhile waits for its turn.
#[test]
fn renewed_before_it_was_installed() {
    let begin = "pin; pinned B; live C; stored B C; presented B; waiting C; deploy D; uninstalled 60; ";
    table_of(
        begin,
        &[
            ("ns1 x", "add B, add C", "install B: notshown"),
            ("ns1 x B C; ours B C", "deploy D B", ""),
            ("ns1 x B C; ours B C; deployed D 50", "switch C", ""),
        ],
    );
}

/// The checker comes to the same by itself.
#[test]
fn what_the_checker_lets_pass() {
    let deploy = || Action::Deploy { lineage: "mx".into(), generation: id("B"), command: vec!["D".into()], timeout: 9 };
    for (script, sound) in [
        ("ns1 -", true),
        ("ns1 x", false),
        ("ns1 x B", true),
        ("ns1 x B; ns2 x", false),
        ("ns1 -; past ns1 ? 60 100", false),
        ("ns1 x B; past ns1 x 60 5", false),
        ("ns1 ?", false),
        ("ns1 x; deployed D 60", true),                    // it was installed
        ("ns1 -; lineage b; tlsa; port 465; ns1 x", true), // what is wrong elsewhere is no concern of it
    ] {
        let scene = Scene::new(&format!("{NEW}deploy D; uninstalled 60; {script}"));
        let plan = Plan { actions: vec![deploy()], ..Plan::default() };
        assert_eq!(!check(scene.input(), plan).actions.is_empty(), sound, "{script}");
    }
    // DANE is not turned on for what nobody knows.
    let plan = Scene::new(&format!("{NEW}deploy D; ns1 -")).plan();
    assert!(matches!(plan.actions[..], [Action::Add(_)]), "{plan:?}");
    let unknown = Scene::new(&format!("{NEW}deploy D; uninstalled 60; ns1 -"));
    assert!(check(unknown.input(), plan).actions.is_empty());
}

//! Several lineages at one owner, owners that lead to one RRset, and lineages without a section.

use crate::{
    certs::record,
    scene::{Scene, query, table},
};
use daneroll::plan::model::Model;

#[test]
fn rsa_beside_ecdsa() {
    let b = "lineage b; pinned B; live B; stored B; presented B; ours B; held; ";
    for (mx, actions, waits) in [
        // Each needs its own records.
        ("pinned A; live A; stored A; presented A; ours A; held; ns1 A B", "", ""),
        ("pinned A; live C; stored A C; presented A; waiting C; ours A C; held; ns1 A B C", "switch C", ""),
        (
            "pinned A; live C; stored A C; presented A; waiting C; ours A C; held; ns1 A B",
            "add C",
            "switch C: notshown",
        ),
        (
            "pinned C; live C; stored A C; left A 9000; presented C; ours A C; reloaded R 8000; held; ns1 A B C",
            "delete A",
            "",
        ),
        // The other lineage's chain needs a record that some server lacks: nothing is deleted there.
        (
            "pinned C; live C; stored A C; left A 9000; presented C; ours A C; reloaded R 8000; held; ns1 A C",
            "add B",
            "delete A: needed",
        ),
    ] {
        let scene = Scene::new(&format!("{b}lineage mx; {mx}"));
        assert_eq!((scene.actions().as_str(), scene.waits().as_str()), (actions, waits), "{mx}");
    }
}

/// One issuer for two: its record stays as long as one of them needs it.
#[test]
fn one_issuer_for_two() {
    let b = "lineage b; tlsa 211; pinned B; live B; stored B; presented B; held; ";
    for (mx, b2, actions, waits) in [
        ("pinned A; live A; stored A; presented A", "", "adopt A:211", ""),
        ("pinned A; live A; stored A; presented A", "ours B:211", "", ""),
        ("pinned C/2; live C/2; stored C/2; presented C/2; ours C/2:211", "ours B:211", "", ""),
        (
            "pinned C/2; live C/2; stored A C/2; left A 9000; presented C/2; ours C/2:211; reloaded R 8000",
            "",
            "adopt A:211",
            "",
        ),
    ] {
        let script = format!("{b}{b2}; lineage mx; tlsa 211; {mx}; ours A:211; held; ns1 A:211 C/2:211");
        let script = if mx.contains("C/2") { script } else { script.replace(" C/2:211", "") };
        let scene = Scene::new(&script);
        assert_eq!((scene.actions().as_str(), scene.waits().as_str()), (actions, waits), "{script}");
    }
}

/// A lineage without a sound section: pinned, not switched, its records stand, and its chain counts.
#[test]
fn unconfigured() {
    table(&[
        ("pinned A; live A; stored A; presented A; ours A; unconfigured; ns1 A", "", "delete A: unconfigured"),
        ("pinned A; live B; stored A; presented A; ours A; unconfigured; ns1 A", "", "delete A: unconfigured"),
        ("follows; live A; stored A; presented A; ours A; unconfigured; ns1 A", "arrange A", "delete A: unconfigured"),
        (
            "pinned B; live B; stored A B; left A 9000; presented B; ours A B; unconfigured; ns1 A B",
            "",
            "delete A: unconfigured, delete B: needed unconfigured, retire A: unconfigured",
        ),
    ]);
    // Another lineage at the owner must not delete what the first one shows.
    let scene = Scene::new(
        "pinned A; live A; stored A; presented A; ours A; unconfigured; \
         lineage b; pinned B; live B; stored B; presented B; ours B; held; ns1 A B",
    );
    assert_eq!((scene.actions().as_str(), scene.waits().as_str()), ("", "delete A: needed unconfigured"));
}

/// Nor when the journal of the first one is lost: nobody knows any more what it shows.
#[test]
fn unconfigured_and_forgotten() {
    let mut scene = Scene::new(
        "pinned A; live A; stored A; presented A; ours A; unconfigured; \
         lineage b; pinned B; live B; stored B; presented B; ours B; held; ns1 A B",
    );
    scene.journal.lineages.remove("mx");
    scene.facts.lineages.remove("mx");
    assert_eq!((scene.actions().as_str(), scene.waits().as_str()), ("", "delete A: unconfigured"));
}

/// Two query names whose CNAMEs lead to one RRset: a record stays as long as a chain at either of them needs it.
#[test]
fn one_rrset_behind_two_names() {
    let mut scene = Scene::new(
        "pinned C; live C; stored A C; left A 9000; presented C; ours A C; reloaded R 8000; held; ns1 A C; \
         lineage b; tlsa; port 465; pinned A'; live A'; stored A'; presented A'; ours A; held; ns1 A C",
    );
    let target = "_dane.example.com".parse().unwrap();
    for port in [25, 465] {
        scene.journal.owners.get_mut(&query(port)).unwrap().target = Clone::clone(&target);
        scene.facts.owners.get_mut(&query(port)).unwrap().target = Clone::clone(&target);
        scene.journal.owners.get_mut(&query(port)).unwrap().records.get_mut(&record("A")).unwrap();
    }
    let actions = scene.actions();
    assert!(!actions.contains("delete A"), "{actions}");
}

/// The order in which things were written down makes no difference.
#[test]
fn independent_of_the_order_of_sections() {
    let script = |first: &str, second: &str| {
        let part = |lineage: &str| match lineage {
            "a" => {
                "lineage a; port 25; pinned A; live C; stored A C; presented A; waiting C; ours A C; reload R; ns1 A B C"
            }
            _ => {
                "lineage b; port 25; pinned B; live D; stored B D; presented B; waiting D; ours B; reload S; ns1 A B C"
            }
        };
        format!("{}; {}", part(first), part(second))
    };
    let (one, other) = (Scene::new(&script("a", "b")), Scene::new(&script("b", "a")));
    let without_mx = |scene: &Scene| {
        let mut plan = scene.plan();
        plan.troubles.retain(|trouble| trouble.lineage.as_deref() != Some("mx"));
        plan
    };
    assert_eq!(without_mx(&one), without_mx(&other));
    assert!(one.actions().contains("switch a.C"), "{}", one.actions());
}

/// Scene with the names of these ports leading to one RRset.
fn behind_one_name(script: &str, ports: &[u16]) -> Scene {
    let mut scene = Scene::new(script);
    for port in ports {
        let target = "_dane.example.com".parse().unwrap();
        scene.journal.owners.get_mut(&query(*port)).unwrap().target = Clone::clone(&target);
        scene.facts.owners.get_mut(&query(*port)).unwrap().target = target;
    }
    scene
}

#[test]
fn one_addition_behind_two_names() {
    let script = "held; pinned A; live A; stored A; presented A; ns1 -; port 465; ns1 -";
    assert_eq!(behind_one_name(script, &[25, 465]).actions().matches("add A").count(), 1);
    assert_eq!(Scene::new(script).actions(), "add A, add A@465");
}

/// Parameters of any of the names, and what is on its way out for one, are those of all that have a line.
#[test]
fn what_names_share() {
    let script = "ns1 -; port 465; tlsa 201; deleting x; ns1 -; port 587; tlsa; ns1 -";
    for ports in [&[25, 465][..], &[25, 465, 587]] {
        let scene = behind_one_name(script, ports);
        let model = Model::new(scene.input());
        for port in ports {
            let owner = &model.owners[&query(*port)];
            let params: Vec<String> = owner.params.iter().map(ToString::to_string).collect();
            let expected = if *port == 587 { &[][..] } else { &["201", "311"] };
            assert_eq!(
                (&params[..], owner.going.len()),
                (&expected.iter().map(|p| p.to_string()).collect::<Vec<_>>()[..], 1),
                "{port}"
            );
        }
    }
}

//! Going back by the operator's word: to what was served last, through the gate of every switch.

use crate::{certs::names, scene::Scene};
use daneroll::plan::back;

const DONE: &str = "pinned B; live B; stored A B; presented B; left A 500; ours A B; reload R; ";

fn told(script: &str) -> String {
    let scene = Scene::new(script);
    match back(scene.input(), "mx") {
        Ok((from, to, steps)) => {
            assert_eq!(steps.len(), 1, "{script}");
            format!("{} to {}", names()[&from], names()[&to])
        }
        Err(why) => why,
    }
}

#[test]
fn to_where() {
    for (script, expected) in [
        ("ns1 A B", "B to A"),
        ("stored B; ns1 A B", "there is no generation to go back to"),
        ("barred A; ns1 A B", "there is no generation to go back to"),
        ("stored A B C; left C 100; ours C; ns1 A B C", "B to C"),
        ("stored A B C; left C 900; ours C; ns1 A B C", "B to A"),
        ("stored A B C; left C 100; barred C; ours C; ns1 A B C", "B to A"),
        ("ns1 B", "is not safe: name server ns1"),
        ("ns1 A B; ns2 ?", "is not safe: waiting for name server ns2"),
        ("ns1 A B; past ns1 B 60 3599", "is not safe: caches may hold"),
        ("ns1 A B; past ns1 B 60 3600", "B to A"),
        ("unconfigured; ns1 A B", "it has no sound section, or leaves DANE: nothing is switched"),
        ("withdrawn; ns1 A B", "it has no sound section, or leaves DANE: nothing is switched"),
        ("unknown; ns1 A B", "cannot be told"),
    ] {
        let told = told(&format!("{DONE}{script}"));
        let (begin, part) = (expected.contains("nothing is switched"), told.contains(expected));
        assert!(if begin { told == expected } else { part }, "{script}: {told}");
    }
    let scene = Scene::new(DONE);
    assert!(back(scene.input(), "who").unwrap_err().contains("not known"));
}

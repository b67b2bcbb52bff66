//! Where lineages stand: what is settled, what waits and for how long, and how long certificates live.

use crate::{
    certs::{DAY, id},
    scene::{NOW, Scene},
};
use daneroll::plan::{
    model::Model,
    plan,
    standing::{Standing, standings},
};

fn standing(script: &str) -> Standing {
    let scene = Scene::new(script);
    let made = plan(scene.input());
    let mut all = standings(&Model::new(scene.input()), &made.waits);
    assert_eq!(all.len(), 1, "{script}");
    all.remove("mx").unwrap()
}

/// Each row: the scene, is it settled, which generation waits, when it switches (seconds), and how long each wait may last.
#[test]
fn what_waits() {
    let roll = "pinned A; live B; stored A B; presented A; waiting B; ours A B; reload R; ns1 A B; ";
    let done = "pinned B; live B; stored A B; presented B; ours A B; held; ns1 A B; left A 9000; ";
    for (script, settled, candidate, switches, planned) in [
        ("pinned A; live A; stored A; presented A; ours A; held; ns1 A".into(), true, None, None, &[][..]),
        // It passes, so it is not settled; what others have to do is no rollover.
        ("pinned A; live A; stored A; presented A; ours A; accepted 600; held; ns1 -".into(), false, None, None, &[0]),
        ("pinned A; live A; stored A; presented A; ours A; found C; held; ns1 A C".into(), true, None, None, &[7200]),
        (format!("{roll}past ns1 A 60 10"), false, Some("B"), Some(3590), &[7200]),
        (format!("{roll}past ns1 A 60 10; ns2 ?"), false, Some("B"), None, &[7200]),
        (format!("{roll}withdrawn; past ns1 A 60 10"), false, None, None, &[7200]),
        (format!("{done}reloaded R 60"), false, None, None, &[7200]),
        (format!("{done}reloaded R 60; hold 9999"), false, None, None, &[9999]),
        (done.into(), false, None, None, &[80 * DAY as u64]), // as long as the certificate lives
        (format!("{done}probe; mx1 B"), false, None, None, &[7 * DAY as u64]),
    ] {
        let told = standing(&script);
        let lasting: Vec<u64> = told.waits.iter().map(|wait| wait.planned).collect();
        assert_eq!((told.settled, told.candidate), (settled, candidate.map(id)), "{script}");
        assert_eq!(
            (told.switches.map(|at| at.until(NOW)), &lasting[..]),
            (switches, planned),
            "{script}: {:?}",
            told.waits
        );
        assert_eq!(told.needed, 7200, "{script}");
    }
}

#[test]
fn lives() {
    for (script, whole, left) in
        [("pinned A; live A", 90, 80), ("pinned P; live P", 90, 20), ("pinned E; live E", 89, 0)]
    {
        let life = standing(&format!("{script}; stored A; presented A; ns1 -")).life.unwrap();
        assert_eq!((life.whole, life.left), (whole * DAY as u64, left * DAY as u64), "{script}");
    }
    assert_eq!(standing("withdrawn; pinned A; live A; ns1 -").life, None, "nobody looks after it");
    assert_eq!(standing("missing; live A; ns1 -").life, None);
}

//! What a provider said and name servers do not show is named, in time made a failure, and never counted.

use crate::scene::{Scene, table};

const IDLE: &str = "held; pinned A; live A; stored A; presented A; ours A; ";
const OLD: &str = "held; pinned B; live B; stored B; presented B; ours B; deleted A; ";

#[test]
fn named_after_a_while_and_tried_again() {
    table(&[
        (format!("{IDLE} accepted 600; ns1 A"), "", ""),
        (format!("{IDLE} accepted 100; ns1 -"), "add A", ""),
        (format!("{IDLE} accepted 600; ns1 -"), "add A", "publish: withouteffect"),
        (format!("{IDLE} accepted 600; ns1 -; ns2 A"), "", "publish: withouteffect"),
        (format!("{IDLE} accepted 600; ns1 ?"), "", ""),
        // Less and less often: as long after the last try as that was after the first.
        (format!("{IDLE} accepted 600; aged A 290; ns1 -"), "", "publish: withouteffect"),
        (format!("{IDLE} accepted 600; aged A 310; ns1 -"), "add A", "publish: withouteffect"),
        (format!("{IDLE} accepted 90000; aged A 3500; ns1 -"), "", "publish: withouteffect"),
        (format!("{IDLE} accepted 90000; aged A 3600; ns1 -"), "add A", "publish: withouteffect"),
        (format!("{OLD} ns1 A B"), "delete A", ""),
        (format!("{OLD} accepted 600; ns1 A B"), "delete A", "delete A: withouteffect"),
        (format!("{OLD} accepted 600; ns1 A B; ns2 B"), "delete A", "delete A: withouteffect"),
    ]);
}

/// It counts for nothing: a candidate whose record no server shows is not switched to.
#[test]
fn never_counted() {
    let roll = "pinned A; live B; stored A B; presented A; waiting B; ours A B; accepted 9000; reload R; ";
    let scene = Scene::new(&format!("{roll} ns1 A"));
    assert_eq!(scene.actions(), "");
    assert!(scene.waits().contains("switch B: notshown"), "{}", scene.waits());
}

#[test]
fn fails_the_run_when_no_server_shows_it_for_an_hour() {
    for (script, part) in [
        (format!("{IDLE} accepted 3599; ns1 -"), ""),
        (format!("{IDLE} accepted 3600; ns1 -; ns2 -"), "said 60 min ago that it published"),
        (format!("{IDLE} accepted 90000; ns1 -; ns2 A"), ""),
        (format!("{IDLE} accepted 90000; ns1 ?"), ""),
        (format!("{OLD} accepted 3600; ns1 A B"), "said 60 min ago that it deleted"),
        (format!("{OLD} accepted 90000; ns1 A B; ns2 B"), ""),
    ] {
        let troubles = Scene::new(&script).troubles();
        assert_eq!(troubles.is_empty(), part.is_empty(), "{script}: {troubles}");
        assert!(troubles.contains(part), "{script}: {troubles}");
    }
}

/// Trouble that ought to pass does not pass for a day.
#[test]
fn fails_the_run_when_it_was_tried_for_a_day() {
    let new = "held; pinned A; live A; stored A; presented A; publishing A; ";
    for (script, part) in [
        (format!("{new} tried 86399; ns1 -"), ""),
        (format!("{new} tried 86400; ns1 -"), "for 24 h each run has tried to publish"),
        (format!("{new} tried 86400; ns1 ?"), ""),
    ] {
        let troubles = Scene::new(&script).troubles();
        assert_eq!(troubles.is_empty(), part.is_empty(), "{script}: {troubles}");
        assert!(troubles.contains(part), "{script}: {troubles}");
    }
}

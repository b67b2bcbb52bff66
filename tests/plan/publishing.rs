//! What is published, and in which order.

use crate::scene::{NOW, Scene, ago, table};
use daneroll::plan::{desired_records, model::Model};

#[test]
fn first_use() {
    table(&[
        // The record of what is served.
        ("follows; live A; presented A; ns1 -", "store A, add A", ""),
        ("follows; live A; stored A; presented A; ns1 -; ns2 -", "add A", ""),
        ("missing; live A; ns1 -", "arrange live", ""),
        // Existing equal records are adopted, others left alone.
        ("follows; live A; stored A; presented A; ns1 A", "adopt A", ""),
        ("follows; live A; stored A; presented A; ns1 A x", "adopt A", ""),
        ("follows; live A; stored A; presented A; ns1 A; ns2 -", "adopt A", ""),
        ("follows; live A; stored A; presented A; ns1 x", "add A", ""),
        ("follows; live A; stored A; presented A; ns1 -; ns2 ?", "add A", ""),
        // Nobody can tell what is there.
        ("follows; live A; stored A; presented A; ns1 ?", "", "publish: unknown"),
        ("follows; live A; stored A; presented A; noservers", "", "publish: noservers"),
        ("follows; live A; stored A; presented A; ns1 -; noview", "", ""),
        // All is well.
        ("follows; live A; stored A; presented A; ours A; ns1 A", "", ""),
    ]);
}

/// Those of the served chain first, then of those that may still be presented, then of those that wait.
#[test]
fn order() {
    table(&[
        (
            "pinned B; live C; stored A B C; left A 60; presented B; waiting C; ns1 -",
            "add B, add A",
            "publish: notshown, retire A: noreload, switch C: notshown",
        ),
        // A program adds one by one: the first of its kind would turn away what a reload retires.
        (
            "pinned B; live C; stored A B C; left A 60; presented B; waiting C; reload R; ns1 -",
            "reload R",
            "publish: reloadowed, retire A: reloadowed, switch C: notshown",
        ),
        (
            "pinned B; live C; stored A B C; left A 60; presented B; waiting C; reload R; ours A; ns1 -; ns2 A",
            "add B, add A, reload R",
            "publish: notshown, retire A: reloadowed",
        ),
        // One that is turned away everywhere as it is waits for what is not: of two updates the first may have had no effect.
        (
            "tlsa 310; pinned A; live B; stored A B; left B 60; presented A; reload R; ours A; ns1 A",
            "add A:310, reload R",
            "delete A: needed reloadowed, publish: notshown, retire B: reloadowed",
        ),
        (
            "tlsa 310; pinned A; live B; stored A B; left B 60; presented A; reload R; ours A A:310; ns1 A A:310",
            "add B:310, reload R",
            "delete A: reloadowed, retire B: reloadowed",
        ),
        // Where the kind is there already it turns away nobody.
        (
            "pinned B; live C; stored A B C; left A 60; presented B; waiting C; reload R; ours A B; ns1 A B",
            "add C, reload R",
            "retire A: reloadowed, switch C: notshown",
        ),
        (
            "tlsa 311 312; pinned B; live C; stored A B C; left A 60; presented B; waiting C; reload R; ours A B; ns1 A B",
            "add C, reload R",
            "publish: reloadowed, retire A: reloadowed, switch C: notshown",
        ),
        (
            "tlsa 211; pinned B; live B; stored A/other B; left A/other 60; presented B; reload R; ns1 -",
            "reload R",
            "publish: reloadowed, retire A/other: reloadowed",
        ),
        (
            "pinned A; live C; stored A B C; presented A; waiting B C; ns1 -; tlsa 201",
            "add A:201",
            "switch B: notshown, switch C: notshown",
        ),
        (
            "pinned A; live B/2; stored A B/2; presented A; waiting B/2; ns1 -; tlsa 211",
            "add A:211",
            "publish: notshown, switch B/2: notshown",
        ),
    ]);
    // Both parameters of the served chain before any of the one that waits.
    let roll = "tlsa 311 312; pinned A; live B; stored A B; presented A; waiting B; ";
    for (shown, added) in [
        ("ns1 -", "add A, add A:312"),
        ("ours A; ns1 A", "add A:312, add B"),
        ("ours A A:312; ns1 A A:312", "add B, add B:312"),
        ("atonce ns1; ns1 -", "add A, add A:312, add B, add B:312"),
    ] {
        assert_eq!(Scene::new(&format!("{roll}{shown}")).actions(), added, "{shown}");
    }
}

/// A digest type that others added to our group is added for our chains as well, for whoever knows it uses nothing else.
#[test]
fn further_digest_types() {
    table(&[
        ("follows; live A; stored A; presented A; ours A; ns1 A x:312", "add A:312", ""),
        ("follows; live A; stored A; presented A; ours A; ns1 A x:310", "add A:310", ""),
        ("follows; live A; stored A; presented A; ours A; ns1 A x:319", "", ""),
        ("follows; live A; stored A; presented A; ours A; ns1 A x:302", "", ""),
        ("follows; live A; stored A; presented A; ours A; ns1 A x:112", "", ""),
        // When theirs has gone, so does ours.
        ("follows; live A; stored A; presented A; ours A A:312; ns1 A A:312", "delete A:312", ""),
    ]);
}

#[test]
fn lost_and_unconfirmed() {
    table(&[
        // Not shown anywhere any more: again. Shown somewhere: servers differ, wait.
        ("follows; live A; stored A; presented A; ours A; ns1 -", "add A", ""),
        ("follows; live A; stored A; presented A; ours A; ns1 -; ns2 A", "", ""),
        // An intent without outcome is repeated until all servers show it.
        ("follows; live A; stored A; presented A; publishing A; ns1 -", "add A", ""),
        ("follows; live A; stored A; presented A; publishing A; ns1 A; ns2 -", "add A", ""),
        ("follows; live A; stored A; presented A; publishing A; ns1 A; ns2 A", "adopt A", ""),
        // On its way out, and needed again.
        ("follows; live A; stored A; presented A; deleting A; ns1 A", "add A", ""),
        ("follows; live A; stored A; presented A; deleted A; ns1 A", "add A", ""),
        ("follows; live A; stored A; presented A; deleting A; aged A 5; ns1 A", "add A", ""),
    ]);
}

/// What the provider says that it did is not repeated within a minute.
#[test]
fn patience_with_the_provider() {
    for (since, actions) in [(0, ""), (59, ""), (60, "add A")] {
        let mut scene = Scene::new("follows; live A; stored A; presented A; ours A; ns1 -");
        let owner = scene.journal.owners.values_mut().next().unwrap();
        owner.records.values_mut().for_each(|doc| doc.since = ago(since));
        assert_eq!(scene.actions(), actions, "{since}");
        owner_is_settled(&scene);
    }
}

fn owner_is_settled(scene: &Scene) {
    assert_eq!(scene.facts.now, NOW);
    assert_eq!(scene.troubles().matches("published").count(), 0);
}

/// Usage 2 without issuer is an error for that record, never the leaf's hash; the other records go on.
#[test]
fn no_issuer() {
    let scene = Scene::new("tlsa 211 311; follows; live D/-; stored D/-; presented D/-; ns1 -");
    assert_eq!(scene.actions(), "add D");
    assert!(scene.troubles().contains("211 at _25._tcp.mx.example.com."), "{}", scene.troubles());
    let scene =
        Scene::new("tlsa 211; pinned A; live B/-; stored A B/-; presented A; waiting B/-; ours A:211; ns1 A:211");
    assert_eq!((scene.actions().as_str(), scene.waits().as_str()), ("", "switch B/-: notshown"));
    assert!(scene.troubles().contains("no certificate that issued"), "{}", scene.troubles());
}

/// A record has the TTL of the section, the query name and the lineage whose provider edits the zone.
#[test]
fn what_an_edit_says() {
    use daneroll::plan::Action;
    let scene = Scene::new("follows; live A; stored A; presented A; ns1 -");
    let Some(Action::Add(edit)) = scene.plan().actions.pop() else { panic!("one edit") };
    assert_eq!((edit.ttl, edit.lineage.as_str(), edit.live), (300, "mx", None));
    assert_eq!(edit.query, crate::scene::query(25));
    let scene = Scene::new(
        "pinned B; live B; stored A B; left A 9000; presented B; ours A B; reloaded R 8000; hold 60; ns1 A B",
    );
    let Some(Action::Delete(edit)) = scene.plan().actions.into_iter().next() else { panic!("a delete") };
    assert_eq!(edit.live, Some(crate::certs::record("B")), "the record that stays");
}

/// With usage 2 dates and names count. A record that does not match its own chain turns DANE on for nobody's good; where the served
/// chain fails anyway, the one that waits is published all the same.
#[test]
fn records_that_do_not_match_their_own_chain() {
    table(&[
        ("tlsa 201; follows; live A/other; stored A/other; presented A/other; ns1 -", "", ""),
        ("tlsa 311 201; follows; live A/other; stored A/other; presented A/other; ns1 -", "add A", ""),
        ("tlsa 201; follows; live E; stored E; presented E; ns1 -", "", ""),
        (
            "tlsa 201; pinned E; live A/2; stored E A/2; presented E; waiting A/2; ours E:201; reload R; ns1 E:201",
            "add A/2:201",
            "",
        ),
        (
            "tlsa 201; pinned E; live A/2; stored E A/2; presented E; waiting A/2; reload R; ns1 -",
            "",
            "switch A/2: notshown",
        ),
    ]);
    let told = Scene::new("tlsa 201; follows; live A/other; stored A/other; presented A/other; ns1 -").troubles();
    assert!(
        told.contains("201 at _25._tcp.mx.example.com.: usage 2 needs") && told.contains("cover mx.example.com."),
        "{told}"
    );
}

/// A chain that has nothing to publish in a group bars it for those that wait, if it is presented; if it waits itself, for nobody.
#[test]
fn barred_groups() {
    for (script, wanted, is_wanted) in [
        ("tlsa 211; pinned D/-; live B; stored D/- B; presented D/-; waiting B; ns1 -", "A:211", false),
        ("tlsa 211; pinned A; live C/2; stored A B/- C/2; presented A; waiting B/- C/2; ns1 -", "A/2:211", true),
        (
            "tlsa 211 311; pinned A; live C/2; stored A B/other C/2; presented A; waiting B/other C/2; ours A B; ns1 A B",
            "A/2:211",
            true,
        ),
        (
            "tlsa 211; pinned D/-; live D/-; stored D/-; presented D/-; ns1 -; \
             lineage b; tlsa 211; pinned B; live B; stored B; presented B",
            "A:211",
            true,
        ),
    ] {
        let scene = Scene::new(script);
        let model = Model::new(scene.input());
        let desired = desired_records(&model, &model.owners[&crate::scene::query(25)]);
        assert_eq!(desired.contains(&crate::certs::record(wanted)), is_wanted, "{script}: {desired:?}");
    }
}

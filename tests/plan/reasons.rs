//! Every reason has a sentence with its numbers and, where the moment is known, a time.

use crate::{
    certs::{id, name, record},
    scene::{NOW, Scene, address, ago},
};
use daneroll::{
    hosts::Hosts,
    plan::{Action, Cause, Edit, Goal, Reason, Step, Trouble, Wait, span},
    tlsa::Mismatch,
};

/// The reason's kind, as tables name it.
pub fn kind(reason: &Reason) -> String {
    let json = serde_json::to_value(reason).unwrap();
    json["reason"].as_str().unwrap().replace('-', "")
}

fn all() -> Vec<(Reason, Option<u64>, &'static str)> {
    let owner = name("_25._tcp.mx.example.com");
    let (server, address) = ("ns1".to_owned(), address("ns1"));
    let unknown = |patience| Reason::Unknown {
        owner: owner.clone(),
        server: server.clone(),
        address,
        why: "no answer".into(),
        patience,
    };
    let mismatch = Mismatch::Wrong((3, 1), 1);
    vec![
        (Reason::Unfinished { why: "torn".into(), until: None }, None, "no complete set there: torn"),
        (Reason::Unfinished { why: "short".into(), until: Some(NOW.after(60)) }, Some(60), "short (in 60 s, if"),
        (Reason::NotAsked { owner: owner.clone() }, None, "_25._tcp.mx.example.com. has not been looked at"),
        (Reason::NoServers { owner: owner.clone(), why: "lost".into() }, None, "are unknown: lost"),
        (unknown(None), None, "ns1 (192.0.2.1:53) to answer for _25._tcp.mx.example.com.: no answer"),
        (unknown(Some(NOW.after(90))), None, "may be left out in 90 s at the earliest"),
        (
            Reason::NotShown { owner: owner.clone(), server: server.clone(), address, mismatch: mismatch.clone() },
            None,
            "no 3 1 1 record that matches",
        ),
        (
            Reason::Cached { owner: owner.clone(), server, ttl: 300, until: NOW.after(7200) },
            Some(7200),
            "(TTL 300) for 120 min more",
        ),
        (Reason::NotInstalled { lineage: "mx".into() }, None, "before mx is installed"),
        (Reason::DeployOwed { command: "push".into() }, None, "`push` (deploy) has not succeeded"),
        (Reason::ReloadOwed { command: "postfix reload".into() }, None, "`postfix reload` has not succeeded"),
        (Reason::Hold { until: NOW.after(3) }, Some(3), "3 s more (hold)"),
        (Reason::NoReload { not_after: 1_700_000_000 }, None, "1700000000"),
        (Reason::NeedsProbe, None, "delete it by hand"),
        (Reason::Needed { owner: owner.clone(), mismatch }, None, "what would remain at _25._tcp.mx.example.com."),
        (Reason::Unreadable { lineage: "mx".into(), generation: id("A") }, None, "of mx may be presented"),
        (Reason::Unconfigured { lineage: "mx".into() }, None, "daneroll withdraw mx"),
        (Reason::NotProbed { owner: owner.clone(), due: None }, None, "have not been looked at in this run"),
        (Reason::NotProbed { owner: owner.clone(), due: Some(NOW.after(9)) }, Some(9), "looked at again in 9 s"),
        (Reason::Unprobed { owner: owner.clone(), address: None, why: "lost".into() }, None, "is unknown: lost"),
        (
            Reason::Unprobed { owner: owner.clone(), address: Some(address), why: "refused".into() },
            None,
            "what 192.0.2.1:53 presents for _25._tcp.mx.example.com. is unknown: refused",
        ),
        (
            Reason::Presents {
                owner: owner.clone(),
                address,
                certificate: "a for b".into(),
                mismatch: Mismatch::Missing((3, 1)),
            },
            None,
            "192.0.2.1:53 presents certificate a for b, for which there would be no 3 1 x record",
        ),
        (Reason::Seen { seen: NOW, until: NOW.after(60) }, Some(60), "0 s ago: its records are kept for 60 s more"),
        (Reason::Unseen { until: None }, None, "for 7 d"),
        (Reason::Unseen { until: Some(NOW.after(60)) }, Some(60), "for 60 s more"),
        (
            Reason::HostsUnknown { hosts: Hosts::San, why: "none".into() },
            None,
            "the hosts of \"san\" are not known yet: none",
        ),
        (Reason::LeftBehind { owner: owner.clone(), until: Some(NOW.after(60)) }, Some(60), "follow it for 60 s more"),
        (Reason::LeftBehind { owner: owner.clone(), until: None }, None, "delete it by hand"),
        (Reason::MayCome { until: NOW.after(60) }, Some(60), "may come yet: kept for 60 s more"),
        (Reason::Held, None, "`daneroll --post` says so"),
        (
            Reason::OnItsWay { owner: owner.clone(), record: record("A"), until: NOW.after(60) },
            Some(60),
            "no longer expected after 60 s more",
        ),
        (Reason::NotVisible { owner: owner.clone() }, None, "have yet to show"),
        (
            Reason::WithoutEffect {
                owner,
                record: record("A"),
                publishes: true,
                servers: vec!["ns1 (192.0.2.1:53)".into(); 4],
                nowhere: true,
                accepted: ago(600),
            },
            None,
            "and name servers do not show it: ns1 (192.0.2.1:53), ns1 (192.0.2.1:53) and 2 more; ",
        ),
    ]
}

#[test]
fn sentences_and_times() {
    let mut kinds: Vec<String> = Vec::new();
    for (reason, until, part) in all() {
        let text = reason.text(NOW);
        assert!(text.contains(part), "{text}");
        assert_eq!(reason.until().map(|until| until.until(NOW)), until, "{text}");
        kinds.push(kind(&reason));
    }
    kinds.dedup();
    assert_eq!(kinds.len(), 27, "a reason is missing here: {kinds:?}");
    let mut lasting: Vec<String> =
        all().iter().filter(|(reason, ..)| !reason.passes()).map(|all| kind(&all.0)).collect();
    lasting.sort();
    assert_eq!(lasting, ["held", "leftbehind", "needsprobe", "noreload", "presents", "unconfigured"]);
    let mut settling: Vec<String> =
        all().iter().filter(|(reason, ..)| reason.settles()).map(|all| kind(&all.0)).collect();
    settling.sort();
    settling.dedup();
    assert_eq!(settling, ["notasked", "notshown", "notvisible"]);
}

/// A time that has come is not told.
#[test]
fn patience_that_is_over() {
    for (script, told) in [
        ("patience 101; ns1 A B; ns2 ?", "(it may be left out in 1 s at the earliest)"),
        ("patience 100; ns1 A B; ns2 ?", "no answer"),
        ("patience 60; ns1 A B; ns2 ?", "no answer"),
    ] {
        let roll = "pinned A; live B; stored A B; presented A; waiting B; ours A B; reload R; ";
        let plan = Scene::new(&format!("{roll}{script}")).plan();
        let text = plan.waits[0].reasons[0].text(NOW);
        assert!(text.ends_with(told), "{script}: {text}");
    }
}

/// Each reason comes from a scene, too.
#[test]
fn every_reason_occurs() {
    let scenes = [
        "pinned A; live B; stored A B; presented A; waiting B; ours A B; ns1 A B; noview",
        "pinned A; live B; stored A B; presented A; waiting B; ours A B; ns1 A B; noservers",
        "pinned A; live B; stored A B; presented A; waiting B; ours A B; ns1 A B; ns2 ?",
        "pinned A; live B; stored A B; presented A; waiting B; ours A B; ns1 A",
        "pinned A; live B; stored A B; presented A; waiting B; ours A B; ns1 A B; past ns1 A 60 10",
        "pinned B; live B; stored A B; left A 500; presented B; ours A B; ns1 A B; deploy D; reload R",
        "pinned B; live B; stored B; presented B; ns1 -; deploy D; uninstalled 60",
        "pinned B; live B; stored A B; left A 500; presented B; ours A B; ns1 A B; reload R",
        "pinned B; live B; stored A B; left A 500; presented B; ours A B; ns1 A B; reloaded R 400",
        "pinned B; live B; stored A B; left A 500; presented B; ours A B; ns1 A B",
        "pinned B; live B; stored B; presented B; ours B; found A; ns1 A B",
        "pinned B; live B; stored B; presented B; ours A B; ns1 A ; ns2 A B",
        "pinned B; live B; stored B; left A 500; presented B; ours A B C; ns1 A B C; reload R",
        "lineage b; pinned B; live B; stored B; presented B; ours B C; lineage mx; pinned A; live A; stored A; presented A; \
         ours A C; unconfigured; ns1 A B C",
        "pinned B; live B; stored B; presented B; ours B; deleted A; ns1 A B; ",
        "pinned B; live B; stored B; presented B; ours B; publishing A; ns1 B",
        "pinned A; live B; stored A B; presented A; waiting B; ours A B; publishing A:312; ns1 A B",
        "pinned A; live A; stored A; presented A; withdrawn; held; ns1 -",
        "pinned A; live A; stored A; presented A; ours A; accepted 600; ns1 -",
        "probe; pinned A; live A; stored A; presented A; ns1 -",
        "probe; pinned A; live A; stored A; presented A; ns1 -; mx1 B ?",
        "probe; pinned B; live B; stored A B; left A 500; presented B; ours A B; ns1 A B; reloaded R 400; seen A 9",
        "probe; pinned B; live B; stored A B; left A 500; presented B; ours A B; ns1 A B; mx1 B",
        "copied; pinned A; torn 60; stored A; presented A; ours A; ns1 A",
    ];
    // Nothing leads to an owner that was left behind, and no scene has hosts that are looked up.
    let mut seen: Vec<String> = vec!["hostsunknown".into(), "leftbehind".into()];
    for script in scenes {
        let mut scene = Scene::new(script);
        if script.contains("deleted A") {
            let owner = scene.journal.owners.values_mut().next().unwrap();
            owner.records.get_mut(&record("A")).unwrap().since = NOW;
        }
        seen.extend(scene.plan().waits.iter().flat_map(|wait| &wait.reasons).map(kind));
    }
    seen.sort();
    seen.dedup();
    let mut kinds: Vec<String> = all().iter().map(|(reason, ..)| kind(reason)).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(seen, kinds);
}

#[test]
fn servers_that_differ() {
    let scene = Scene::new("held; pinned A; live A; stored A; presented A; ours A; accepted 600; ns1 -; ns2 -");
    let text = scene.plan().waits[0].reasons[0].text(NOW);
    assert!(text.contains("show it: ns1 (192.0.2.1:53), ns2 (192.0.2.2:53); "), "{text}");
}

#[test]
fn spans() {
    for (seconds, words) in [
        (0, "0 s"),
        (120, "120 s"),
        (121, "3 min"),
        (7_200, "120 min"),
        (7_201, "3 h"),
        (172_800, "48 h"),
        (172_801, "3 d"),
        (u64::MAX, "213503982334602 d"),
    ] {
        assert_eq!(span(seconds), words);
    }
}

#[test]
fn as_json_and_words() {
    let wait = Wait { lineage: "mx".into(), step: Step::Leave, reasons: vec![Reason::NeedsProbe] };
    let json = serde_json::to_value(&wait).unwrap();
    assert_eq!(json.to_string(), r#"{"lineage":"mx","reasons":[{"reason":"needs-probe"}],"step":"leave"}"#);
    for (step, phase, words) in [
        (Step::Switch(id("A")), "switch", format!("switch to generation {}", id("A"))),
        (Step::Publish(name("a.example")), "publish", "publish at a.example.".into()),
        (Step::Delete(name("a.example"), record("x")), "delete", format!("delete {} at a.example.", record("x"))),
        (Step::Retire(id("A")), "hold", format!("retire generation {}", id("A"))),
        (Step::Leave, "leave", "leave DANE".into()),
    ] {
        assert_eq!((step.to_string(), step.phase()), (words.clone(), phase));
        assert_eq!(step.owner().is_some(), words.contains("a.example."), "{step}");
    }
    assert_eq!(Trouble::of("mx", "bad").to_string(), "mx: bad");
    assert_eq!(Trouble { lineage: None, text: "bad".into() }.to_string(), "bad");
}

/// daneroll-waits(7) leads from each of them to its cure, under the word that `status --json` uses.
#[test]
fn the_manual_has_them_all() {
    let manual = include_str!("../../man/daneroll-waits.7");
    let source = include_str!("../../src/plan/reason.rs");
    let variants = source.split_once("pub enum Reason {\n").unwrap().1.split_once("\n}").unwrap().0;
    let is_variant = |line: &&str| line.starts_with("    ") && line[4..].starts_with(char::is_uppercase);
    let words = variants.lines().filter(is_variant).map(|line| {
        let name: String = line.chars().filter(char::is_ascii_alphabetic).collect();
        let dashed = |c: char| if c.is_uppercase() { format!("-{}", c.to_lowercase()) } else { c.to_string() };
        name.chars().map(dashed).collect::<String>().trim_start_matches('-').to_owned()
    });
    let words: Vec<String> = words.collect();
    assert!(all().iter().all(|(reason, ..)| words.iter().any(|word| word.replace('-', "") == kind(reason))));
    for word in &words {
        assert_eq!(
            manual.matches(&format!(".It Cm {word}\n.Dq ")).count(),
            1,
            "daneroll-waits.7 does not tell of {word}"
        );
    }
    assert_eq!(manual.matches(".It Cm ").count(), words.len(), "daneroll-waits.7 has more than there are");
}

/// What `--dry-run` tells of a plan.
#[test]
fn actions_in_words() {
    let (lineage, words) = (|| "mx".to_owned(), || vec!["re load".to_owned(), "x".to_owned()]);
    let edit = || Edit { query: name("a.example"), record: record("x"), ttl: 60, lineage: lineage(), live: None };
    let (generation, record) = (id("A"), record("x"));
    let arrange = |goal| Action::Arrange { lineage: lineage(), goal, serving: None };
    let forget = |keep| Action::Forget { lineage: lineage(), generation: id("A"), keep };
    for (action, text) in [
        (
            Action::Store { lineage: lineage(), generation: id("A") },
            format!("keep generation {generation} of mx in the store"),
        ),
        (arrange(Goal::Live), "let mx follow live/".into()),
        (arrange(Goal::Generation(id("A"))), format!("pin mx to generation {generation}")),
        (
            Action::Adopt { query: name("a.example"), record: record.clone(), lineage: lineage() },
            format!("take note of a.example. TLSA {record}, which is there"),
        ),
        (Action::Add(edit()), format!("publish a.example. TLSA {record}")),
        (
            Action::Switch { lineage: lineage(), from: None, to: id("A"), cause: Cause::Ready },
            format!("switch mx to generation {generation}"),
        ),
        (
            Action::Deploy { lineage: lineage(), generation: id("A"), command: words(), timeout: 9 },
            "run `re load x` for mx".into(),
        ),
        (Action::Reload { command: words(), lineages: [lineage()].into(), timeout: 9 }, "run `re load x`".into()),
        (Action::Delete(edit()), format!("delete a.example. TLSA {record}")),
        (forget(true), format!("let generation {generation} of mx rest in the store")),
        (forget(false), format!("forget generation {generation} of mx")),
        (Action::Leave { lineage: lineage() }, "let mx go".into()),
    ] {
        assert_eq!(action.to_string(), text);
    }
}

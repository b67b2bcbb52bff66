//! Hosts that are looked up, and owners to which a CNAME led.

use crate::{
    certs::{id, name, record},
    scene::{NOW, Scene, ago, query},
};
use daneroll::{
    config::Wanted,
    facts::{MailHosts, NoHosts},
    hosts::Hosts,
    journal::{HostDoc, LeftBehind, Origin, OwnerDoc, RecordDoc, RecordState},
    plan::{Action, Cause, Edit, Plan, check::check, desired_records, model::Model},
};
use std::collections::{BTreeMap, BTreeSet};

const ROLL: &str = "pinned A; live B; stored A B; presented A; waiting B; ours A B; reload R; ns1 A B";

fn mx() -> Hosts {
    Hosts::Mx(name("example.com"))
}

/// A scene whose line is `mx:example.com`; `known`: its hosts, as remembered.
fn looked_up(script: &str, param: &str, known: &[&str]) -> Scene {
    let mut scene = Scene::new(script);
    let section = scene.sections.get_mut("mx").unwrap();
    section.tlsa.clear();
    let (param, protocol) = (param.parse().unwrap(), "tcp".to_owned());
    section.wanted = vec![Wanted { param, port: 25, protocol, hosts: mx(), probe: None }];
    let hosts = known.iter().map(|host| (name(host), HostDoc::default())).collect();
    scene.journal.lineages.get_mut("mx").unwrap().hosts = BTreeMap::from([(mx(), hosts)]);
    scene
}

/// What the plan waits for and what the checker lets through, by what is known of the hosts.
#[test]
fn no_switch_while_a_host_may_be_unknown() {
    for (known, actions, waits) in
        [(&["mx.example.com"][..], "switch B", ""), (&[], "", "find: hostsunknown, switch B: hostsunknown")]
    {
        let scene = looked_up(ROLL, "311", known);
        assert_eq!((scene.actions().as_str(), scene.waits().as_str()), (actions, waits), "{known:?}");
        let switch = Action::Switch { lineage: "mx".into(), from: Some(id("A")), to: id("B"), cause: Cause::Ready };
        let plan = check(scene.input(), Plan { actions: vec![switch], ..Plan::default() });
        assert_eq!(plan.actions.len(), known.len(), "{known:?}");
    }
}

/// What only an operator can mend fails the run; what passes does not. Either way the records of known hosts stay.
#[test]
fn lookups_that_come_to_nothing() {
    let none = |lasting| Some(Err(NoHosts { why: "nothing there".into(), lasting }));
    let found = Some(Ok(MailHosts { hosts: BTreeSet::from([name("mx.example.com")]), ttl: 60 }));
    for (answer, known, troubles) in [
        (
            none(true),
            &["mx.example.com"][..],
            "\"mx:example.com\": nothing there; the hosts of before are kept: mx.example.com",
        ),
        (none(true), &[], "\"mx:example.com\": nothing there"),
        (none(false), &["mx.example.com"], ""),
        (none(false), &[], ""),
        (found, &["mx.example.com"], ""),
        (None, &["mx.example.com"], ""),
    ] {
        let mut scene = looked_up("pinned A; live A; stored A; presented A; ours A; held; ns1 A", "311", known);
        scene.facts.mail = answer.into_iter().map(|answer| (name("example.com"), answer)).collect();
        let plan = scene.plan();
        let told: Vec<_> = plan.troubles.iter().map(|trouble| trouble.text.as_str()).collect();
        assert_eq!((told.join(", ").as_str(), scene.actions().as_str()), (troubles, ""), "{known:?}");
    }
}

/// Usage 2 needs the name: where no certificate has it nothing is published, and that is told. (All have mx.example.com.)
#[test]
fn usage_2_needs_the_name() {
    for (param, host, configured, told) in [
        ("311", "mx.example.com", true, false),
        ("211", "mx.example.com", true, false),
        ("211", "mx9.example.net", false, true),
    ] {
        let mut scene = looked_up("pinned A; live A; stored A; presented A; held; ns1 -", param, &[host]);
        let at = name(&format!("_25._tcp.{host}"));
        scene.journal.owners.entry(at.clone()).or_insert_with(|| OwnerDoc::new(at.clone()));
        let model = Model::new(scene.input());
        let desired = desired_records(&model, &model.owners[&at]);
        assert_eq!(
            (model.owners[&at].configured.contains("mx"), !desired.is_empty()),
            (configured, configured),
            "{param} {host}"
        );
        let plan = scene.plan();
        assert_eq!(
            plan.troubles.iter().any(|trouble| trouble.text.contains("usage 2 needs the host")),
            told,
            "{param} {host}"
        );
    }
}

/// The records at a place to which a CNAME led: nothing before caches have forgotten it, then gone; and no gate minds them.
#[test]
fn what_was_left_behind() {
    for (age, wait, sound) in [(99, 100, false), (100, 100, true), (5000, 100, true)] {
        let mut scene = Scene::new(ROLL);
        let place = name("tlsa.example.com");
        let doc = |of: &str| {
            let lineages = BTreeSet::from(["mx".to_owned()]);
            (record(of), RecordDoc { lineages, ..RecordDoc::new(Origin::Published, RecordState::Published, ago(9000)) })
        };
        let left = OwnerDoc {
            records: BTreeMap::from([doc("A")]),
            lineages: BTreeSet::from(["mx".into()]),
            left_behind: Some(LeftBehind { since: ago(age), wait }),
            asked: Some(NOW),
            ..OwnerDoc::new(place.clone())
        };
        scene.journal.owners.insert(place.clone(), left);
        let section = scene.sections.get_mut("mx").unwrap();
        section.api = daneroll::config::Api::of(daneroll::provider::rfc2136::Rfc2136 {
            servers: vec![daneroll::provider::rfc2136::Place { host: "ns1".into(), port: 53 }],
            key: None,
            zone: None,
        });
        let view = scene.facts.owners[&query(25)].clone();
        scene.facts.owners.insert(place.clone(), daneroll::facts::OwnerView { target: place.clone(), ..view });
        let plan = scene.plan();
        assert!(plan.actions.iter().any(|action| matches!(action, Action::Switch { .. })), "{age}: {plan:?}");
        // The plan switches, and deletes nothing of the lineage in the same round: judged by the checker alone.
        let edit = Edit { query: place.clone(), record: record("A"), ttl: 0, lineage: "mx".into(), live: None };
        let checked = check(scene.input(), Plan { actions: vec![Action::Delete(edit)], ..Plan::default() });
        assert_eq!(!checked.actions.is_empty(), sound, "{age}: {:?}", checked.troubles);
    }
}

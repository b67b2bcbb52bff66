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
    name::DnsName,
    plan::{Action, Cause, Edit, Plan, check::check, desired_records, model::Model},
    small::{Map, Set},
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
    let (param, protocol) = (param.parse().unwrap(), "tcp");
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

/// Why hosts are not known.
#[test]
fn why_hosts_are_unknown() {
    let none = || Some(Err(NoHosts { why: "no such domain".into(), lasting: false }));
    for (answer, hosts, why) in [
        (None, mx(), "they have not been looked up"),
        (none(), mx(), "no such domain"),
        (none(), Hosts::San, "the certificate names none that a host can have"),
    ] {
        let mut scene = looked_up(ROLL, "311", &[]);
        scene.sections.get_mut("mx").unwrap().wanted[0].hosts = hosts;
        scene.facts.mail = answer.into_iter().map(|answer| (name("example.com"), answer)).collect();
        let told: Vec<String> = scene.plan().waits.iter().map(|wait| wait.reasons[0].text(NOW)).collect();
        assert!(told.len() == 2 && told.iter().all(|told| told.ends_with(why)), "{why}: {told:?}");
    }
}

fn place() -> DnsName {
    name("tlsa.example.com")
}

/// The scene, and a place to which a CNAME led until so long ago, with the record of A.
fn left_behind(script: &str, age: u64, wait: u64) -> Scene {
    let mut scene = Scene::new(script);
    let lineages = Set::from(["mx".to_owned()]);
    let doc = RecordDoc { lineages, ..RecordDoc::new(Origin::Published, RecordState::Published, ago(9000)) };
    let left = OwnerDoc {
        records: Map::from([(record("A"), doc)]),
        lineages: Set::from(["mx".into()]),
        left_behind: Some(LeftBehind { since: ago(age), wait }),
        asked: Some(NOW),
        ..OwnerDoc::new(place())
    };
    scene.journal.owners.insert(place(), left);
    let view = scene.facts.owners[&query(25)].clone();
    scene.facts.owners.insert(place(), daneroll::facts::OwnerView { target: place(), ..view });
    scene
}

/// The records at a place to which a CNAME led: nothing before caches have forgotten it, then gone; and no gate minds them.
#[test]
fn what_was_left_behind() {
    for (age, wait, sound) in [(99, 100, false), (100, 100, true), (5000, 100, true)] {
        let scene = left_behind(&format!("{ROLL}; atonce ns1"), age, wait);
        let plan = scene.plan();
        assert!(plan.actions.iter().any(|action| matches!(action, Action::Switch { .. })), "{age}: {plan:?}");
        // The plan switches, and deletes nothing of the lineage in the same round: judged by the checker alone.
        let edit = Edit { query: place(), record: record("A"), ttl: 0, lineage: "mx".into(), live: None };
        let checked = check(scene.input(), Plan { actions: vec![Action::Delete(edit)], ..Plan::default() });
        assert_eq!(!checked.actions.is_empty(), sound, "{age}: {:?}", checked.troubles);
    }
}

/// A program that is told port, protocol and domain cannot delete there: that is left to the operator.
#[test]
fn what_was_left_behind_goes() {
    let idle = "pinned A; live A; stored A; presented A; ours A; held; ns1 A";
    for (api, age, deleted, waits) in [
        ("atonce ns1", 99, false, "for 1 s more"),
        ("atonce ns1", 100, true, ""),
        ("hold 60", 99, false, "delete it by hand"),
        ("hold 60", 100, false, "delete it by hand"),
    ] {
        let plan = left_behind(&format!("{idle}; {api}"), age, 100).plan();
        let gone = plan.actions.iter().any(|action| matches!(action, Action::Delete(edit) if edit.query == place()));
        let told: Vec<String> =
            plan.waits.iter().flat_map(|wait| &wait.reasons).map(|reason| reason.text(NOW)).collect();
        assert_eq!(gone, deleted, "{api} {age}: {plan:?}");
        assert_eq!(told.is_empty(), waits.is_empty(), "{api} {age}: {told:?}");
        assert!(told.iter().all(|told| told.contains(waits)), "{api} {age}: {told:?}");
    }
}

/// Hosts that are forgotten are those at which we published for the line.
#[test]
fn hosts_that_are_forgotten() {
    let mut scene = looked_up("pinned A; live A; stored A; presented A; ours A; ns1 A", "311", &[]);
    for (query, lineage, left) in [
        ("_25._tcp.a.example", "mx", false),
        ("_26._tcp.b.example", "mx", false),
        ("_25._udp.c.example", "mx", false),
        ("_25._tcp.d.example", "other", false),
        ("_25._tcp.e.example", "mx", true),
        // Where a line for the hosts of the others would be.
        ("_25._tcp.b.example", "", false),
        ("_25._tcp.c.example", "", false),
    ] {
        let left_behind = left.then_some(LeftBehind { since: NOW, wait: 60 });
        let doc = OwnerDoc { lineages: [lineage.into()].into(), left_behind, ..OwnerDoc::new(name(query)) };
        scene.journal.owners.insert(name(query), doc);
    }
    let model = Model::new(scene.input());
    let configured = model.owners.values().filter(|owner| owner.configured.contains("mx"));
    let queries: Vec<&str> = configured.map(|owner| owner.query.without_dot()).collect();
    assert_eq!(queries, ["_25._tcp.a.example", "_25._tcp.mx.example.com"]);
}

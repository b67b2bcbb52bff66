//! Zones that somebody else serves: files that they include, and people who edit them.

use super::{EE, MX, OWNER, count, serves};
use crate::{
    certs::Renewal,
    lab::{APEX, DAY, HOUR, Lab, MINUTE, Setup},
};
use daneroll::{
    cli, config,
    env::{
        Ended, Files, Status,
        sim::{
            When, World,
            service::Reads,
            zone::{name, tlsa},
        },
    },
    tlsa::Association,
};
use hickory_resolver::proto::rr::RecordType;
use serde_json::Value;
use std::{collections::BTreeSet, ffi::OsString, path::Path};

const FILE: &str = "/var/lib/zones/example.com.tlsa";
/// The other one, where there are two.
const OTHER: &str = "_465._tcp.mx.example.com";
const API: &str = "zonefile /var/lib/zones/{zone}.tlsa refresh: /sim/load {zone}";
/// A record that somebody keeps in the same file, in a form of his own.
const FOREIGN: &str = "_25._tcp.mx.example.com. 3600 tlsa 3 1 1 ABCD ; mine\n";

/// A name server that loads the file when it is told to, unless there is a file `/refuse`.
fn including(setup: Setup) -> Lab {
    let lab = setup.api(API).reads(Reads::OnReload).start();
    lab.world.make_dir(Path::new("/var/lib/zones"), 0o755).unwrap();
    lab.world.write(Path::new(FILE), b"", 0o644).unwrap();
    lab.world.program("/sim/load", |world, _| {
        if world.stat(Path::new("/refuse"), true).is_ok() {
            return Ended { status: Status::Exited(1), output: "not now".into() };
        }
        load(world);
        Ended { status: Status::Exited(0), output: String::new() }
    });
    load(&lab.world);
    lab
}

/// The zone has the records of the file, in one change.
fn load(world: &World) {
    let text = String::from_utf8(world.read(Path::new(FILE)).unwrap_or_default()).unwrap();
    let record = |line: &str| -> Option<(String, Association)> {
        let words: Vec<&str> = line.split(';').next()?.split_whitespace().collect();
        let at = words.iter().position(|word| word.eq_ignore_ascii_case("tlsa"))?;
        Some((words[0].to_owned(), words[at + 1..].join(" ").parse().ok()?))
    };
    let wanted: BTreeSet<(String, Association)> = text.lines().filter_map(record).collect();
    let ttl = 3600;
    world.edit_zone(&name(APEX), |zone| {
        let mut changed = false;
        let at = |owner: &str| zone.associations(&name(owner)).into_iter().map(|r| (format!("{owner}."), r)).collect();
        let there: BTreeSet<_> = [OWNER, OTHER].into_iter().flat_map(|owner| -> Vec<_> { at(owner) }).collect();
        for (owner, record) in there.difference(&wanted) {
            changed |= zone.delete(&name(owner), &tlsa(record));
        }
        for (owner, record) in wanted.difference(&there) {
            changed |= zone.add(&name(owner), ttl, tlsa(record));
        }
        changed
    });
}

fn text(lab: &Lab) -> String {
    String::from_utf8(lab.world.read(Path::new(FILE)).unwrap()).unwrap()
}

/// The foreign record is still there, and beside it just that of the newest certificate.
fn assert_settled(lab: &Lab, newest: usize) {
    lab.assert_clean();
    assert_eq!(serves(lab), [newest]);
    let record = lab.record(MX, newest, EE);
    let expected = format!("{FOREIGN}{OWNER}. 3600 IN TLSA {record}\n");
    assert_eq!(text(lab), expected);
    let published: BTreeSet<_> = lab.published(OWNER).into_iter().collect();
    assert_eq!(published, [record, "3 1 1 abcd".parse().unwrap()].into());
}

fn first(setup: Setup) -> Lab {
    let lab = including(setup);
    assert_eq!(lab.run(&["--reset"]), 0);
    lab.serve();
    lab.cron(3 * HOUR, 9 * HOUR);
    lab.world.write(Path::new(FILE), format!("{FOREIGN}{}", text(&lab)).as_bytes(), 0o644).unwrap();
    load(&lab.world);
    lab.cron(2 * HOUR, 4 * HOUR);
    lab.assert_clean();
    lab
}

fn mail() -> Setup {
    Lab::with(MX, "311 25").global("ttl = 3600")
}

#[test]
fn a_rollover_while_the_name_server_is_away() {
    let lab = first(mail().secondary("ns2", 600));
    let refuse = |lab: &Lab| lab.world.write(Path::new("/refuse"), b"", 0o644).unwrap();
    let accept = |lab: &Lab| lab.world.remove(Path::new("/refuse")).unwrap();
    refuse(&lab);
    lab.renew(MX, Renewal::default());
    // Told each time, for days; after one the run fails.
    for failed in [0, 1, 1, 1, 1] {
        lab.pass(12 * HOUR);
        assert_eq!(lab.run(&[]), failed);
        lab.assert_told(&["/sim/load example.com", "not now", "(owed for"]);
    }
    assert_eq!((serves(&lab), count(&lab, OWNER)), (vec![1], 2));
    accept(&lab);
    lab.until(HOUR, DAY, |lab| serves(lab) == [2]);
    refuse(&lab);
    lab.cron(HOUR, DAY);
    assert_eq!(count(&lab, OWNER), 3, "nobody told the name server of the delete");
    accept(&lab);
    lab.cron(HOUR, DAY);
    assert_settled(&lab, 2);
}

/// A kill at each effect of the run that publishes, and of the one that deletes.
#[test]
fn killed_anywhere() {
    for publishes in [true, false] {
        let prepare = || {
            let lab = first(mail());
            assert_eq!(lab.run(&["--pre"]), 0);
            lab.certbot.renew(MX, Renewal::default());
            if !publishes {
                assert_eq!(lab.run(&["--post"]), 0);
                lab.until(HOUR, DAY, |lab| serves(lab) == [2]);
                lab.pass(2 * HOUR);
            }
            lab
        };
        let lab = prepare();
        let word: &[&str] = if publishes { &["--post"] } else { &[] };
        let before = text(&lab);
        assert_eq!(lab.run(word), 0);
        assert_ne!(text(&lab), before, "this is the run that writes");
        for effect in (1..=lab.world.effects()).step_by(2) {
            let lab = prepare();
            lab.world.kill_at(effect, When::After);
            lab.run(word);
            lab.pass(MINUTE);
            lab.run(word);
            lab.cron(2 * HOUR, 14 * HOUR);
            assert_settled(&lab, 2);
        }
    }
}

/// Somebody empties the file, and nobody has told the name server yet: the next change puts everything back before it does.
#[test]
fn a_lost_file() {
    for (lost, loaded) in [(FOREIGN, false), ("", false), ("", true)] {
        let lab = first(mail().tlsa("311 465").global("recheck = 1800"));
        assert!(text(&lab).contains(OTHER));
        lab.world.write(Path::new(FILE), lost.as_bytes(), 0o644).unwrap();
        if loaded {
            // The authority view shows it, and the planner publishes again.
            load(&lab.world);
            lab.cron(HOUR, 4 * HOUR);
        } else {
            lab.renew(MX, Renewal::default());
            let old = lab.record(MX, 1, EE).to_string();
            assert_eq!(text(&lab).matches(&old).count(), 2, "{}", text(&lab));
            lab.assert_told(&["2 records that had been published were not there any more"]);
            lab.cron(HOUR, DAY);
        }
        lab.assert_clean();
        let newest = lab.record(MX, if loaded { 1 } else { 2 }, EE).to_string();
        assert_eq!(text(&lab).matches(&newest).count(), 2, "{}", text(&lab));
        let there = lab.world.look(|state| state.dns.zone(&name(APEX)).set(&name(OWNER), RecordType::TLSA).is_some());
        assert!(there && text(&lab).starts_with(lost), "{}", text(&lab));
    }
}

fn status(lab: &Lab, words: &[&str]) -> String {
    let words = [&["daneroll", "status"], words].concat();
    let arguments = cli::parse(words.into_iter().map(OsString::from)).unwrap();
    let loaded = config::load(&lab.world, &arguments.config, &arguments.overrides);
    daneroll::run(&lab.world, &arguments, &cli::Hints::default(), &loaded).text
}

/// What `status` says is to be done: operation and line.
fn to_do(lab: &Lab) -> Vec<(String, String)> {
    let status: Value = serde_json::from_str(&status(lab, &["--json"])).unwrap();
    let list = status["lineages"][0]["by_hand"].as_array().unwrap().clone();
    let word = |todo: &Value, key: &str| todo[key].as_str().unwrap().to_owned();
    list.iter().map(|todo| (word(todo, "operation"), word(todo, "line"))).collect()
}

/// The operator does what `status` says, some hours later.
#[test]
fn by_hand() {
    let lab = mail().api("manual").reads(Reads::OnReload).start();
    let one = lab.record(MX, 1, EE);
    let obey = |lab: &Lab| {
        for (operation, line) in to_do(lab) {
            let (head, data) = line.split_once(" IN TLSA ").unwrap();
            let owner = head.split(' ').next().unwrap().trim_end_matches('.');
            match operation.as_str() {
                "add" => lab.publish(owner, 3600, &data.parse().unwrap()),
                _ => lab.unpublish(owner, &data.parse().unwrap()),
            }
        }
    };
    assert_eq!(lab.run(&["--reset"]), 0);
    lab.serve();
    let line = |record: &Association| format!("{OWNER}. 3600 IN TLSA {record}");
    assert_eq!(lab.run(&[]), 0);
    lab.assert_told(&["by hand: ", "add to the zone example.com: ", &line(&one)]);
    for _ in 0..3 {
        lab.pass(HOUR);
        assert_eq!(lab.run(&[]), 0);
        assert!(!lab.told().contains("WARN"), "told once: {}", lab.told());
        assert_eq!(to_do(&lab), [("add".to_owned(), line(&one))]);
        assert!(status(&lab, &[]).contains(&format!("\n    {}\n", line(&one))), "{}", status(&lab, &[]));
    }
    obey(&lab);
    lab.cron(HOUR, DAY);
    assert_eq!((to_do(&lab), lab.published(OWNER)), (vec![], vec![one.clone()]));
    lab.renew(MX, Renewal::default());
    let two = lab.record(MX, 2, EE);
    assert_eq!(to_do(&lab), [("add".to_owned(), line(&two))]);
    lab.cron(HOUR, 10 * HOUR);
    assert_eq!(serves(&lab), [1]);
    obey(&lab);
    lab.until(HOUR, DAY, |lab| serves(lab) == [2]);
    let remove = ("remove".to_owned(), format!("{OWNER}. IN TLSA {one}"));
    lab.until(HOUR, DAY, |lab| to_do(lab) == [remove.clone()]);
    for _ in 0..10 {
        lab.pass(HOUR / 6);
        assert_eq!(lab.run(&[]), 0);
        assert!(!lab.told().contains("WARN"), "told once: {}", lab.told());
    }
    assert_eq!(to_do(&lab), [remove]);
    obey(&lab);
    lab.cron(HOUR, DAY);
    assert_eq!(to_do(&lab), [], "{}\n{:?}", status(&lab, &[]), lab.published(OWNER));
    lab.assert_settled(MX);
}

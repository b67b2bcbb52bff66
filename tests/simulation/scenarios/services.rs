//! Services that do not do what they are told, and certificates that end while a rollover is blocked.

use super::{EE, MX, OWNER, count, ready, serves, settle};
use crate::{
    certs::Renewal,
    lab::{DAY, HOUR, Lab, STATE, service_name},
};
use daneroll::env::{Files, sim::service::Reload};
use std::path::Path;

fn set_reload(lab: &Lab, mode: Reload) {
    lab.world.change(|state| state.services.get_mut(&service_name(25, MX)).unwrap().reload = mode);
}

/// S7: a reload that fails is owed until it succeeds; the old record stays as long, and the operator is told each time. What
/// a reload that lies leaves behind only probes could tell.
#[test]
fn s07_failing_reloads() {
    for (mode, told) in [
        (Reload::Fails(3), "exited 3"),
        (Reload::Takes(301), "ran into its time limit of 300 s"),
        (Reload::Fails(0x7f), "exited 127"),
    ] {
        let lab = ready(Lab::with(MX, "311 25"));
        lab.renew(MX, Renewal::default());
        lab.pass(3 * HOUR);
        set_reload(&lab, mode);
        for _ in 0..8 {
            assert_eq!(lab.run(&[]), 1);
            lab.assert_told(&["ERROR", "mx.example.com: ", "/sim/reload mx.example.com:25", told]);
            lab.pass(12 * HOUR);
        }
        assert_eq!((serves(&lab), count(&lab, OWNER)), (vec![1], 2), "{mode:?}");
        set_reload(&lab, Reload::Works);
        settle(&lab, MX);
    }
}

/// A reload that takes long, and one that checks first, are reloads.
#[test]
fn slow_reloads() {
    for mode in [Reload::Takes(299), Reload::Checks] {
        let lab = ready(Lab::with(MX, "311 25"));
        set_reload(&lab, mode);
        lab.renew(MX, Renewal::default());
        settle(&lab, MX);
    }
}

/// A program that cannot be started is a reload that failed.
#[test]
fn a_reload_command_that_is_not_there() {
    let lab = ready(Lab::with(MX, "311 25").line("reload = /sim/missing now"));
    lab.renew(MX, Renewal::default());
    lab.pass(3 * HOUR);
    for _ in 0..3 {
        assert_eq!(lab.run(&[]), 1);
        lab.assert_told(&["/sim/missing now", "could not be started"]);
        lab.pass(6 * HOUR);
    }
    assert_eq!((serves(&lab), count(&lab, OWNER)), (vec![2], 2), "the other command was run");
    lab.assert_clean();
    lab.world.program("/sim/missing", |_, _| daneroll::env::Ended {
        status: daneroll::env::Status::Exited(0),
        output: String::new(),
    });
    settle(&lab, MX);
}

/// S21: a secondary that hangs keeps the gate shut, also when the certificate expires; that fails and is told in each run.
/// The override switches, stands in the journal, and the next runs do not take it back.
#[test]
fn s21_expiry_while_blocked() {
    let lab = ready(Lab::with(MX, "311 25").valid_days(8).secondary("ns2", 60));
    lab.world.set_server("ns2.example.com", |server| server.frozen = true);
    lab.renew(MX, Renewal::default());
    let mut told = Vec::new();
    while !lab.told().contains("EXPIRED") {
        assert!(told.len() < 20, "{}", lab.told());
        told.push(lab.run(&[]));
        lab.assert_told(&["ns2.example.com (192.0.2.2"]);
        if told.last() == Some(&1) {
            lab.assert_told(&["ERROR", "mx.example.com: the served", "switch --now --accept-mismatch mx.example.com"]);
        }
        assert_eq!(serves(&lab), [1]);
        lab.pass(12 * HOUR);
    }
    assert!(told.is_sorted() && (3..=4).contains(&told.iter().sum::<i32>()), "the last day and the wait: {told:?}");
    lab.assert_clean();
}

/// The override.
#[test]
fn s21_the_override() {
    let lab = ready(Lab::with(MX, "311 25").secondary("ns2", 60));
    lab.world.set_server("ns2.example.com", |server| server.frozen = true);
    lab.renew(MX, Renewal::default());
    lab.pass(12 * HOUR);
    for args in [&["switch", MX][..], &["switch", "--now", MX], &["switch", "--now", "--accept-mismatch", "nobody"]] {
        assert_eq!(lab.run(args), 1, "{args:?}");
        assert_eq!(serves(&lab), [1], "{args:?}");
    }
    lab.assert_clean();
    let exit = lab.run(&["switch", "--now", "--accept-mismatch", MX]);
    assert_eq!((exit, serves(&lab)), (1, vec![2]), "what is served matches nothing on ns2");
    lab.assert_told(&["switching by force"]);
    let violations = lab.oracle.violations().len();
    assert!(violations > 0, "it is the operator's word");
    for _ in 0..6 {
        lab.pass(6 * HOUR);
        assert_eq!((lab.run(&[]), serves(&lab)), (1, vec![2]));
        lab.assert_told(&["ERROR", "mx.example.com: "]);
    }
    let journal = lab.world.read(&Path::new(STATE).join("lineages/mx.example.com.json")).unwrap();
    assert!(String::from_utf8(journal).unwrap().contains("overrides"));
    lab.world.set_server("ns2.example.com", |server| server.frozen = false);
    lab.pass(HOUR);
    lab.cron(2 * HOUR, DAY);
    assert_eq!(lab.published(OWNER), [lab.record(MX, 2, EE)]);
    assert_eq!(lab.oracle.violations().len(), violations);
    lab.renew(MX, Renewal::default());
    lab.cron(2 * HOUR, DAY);
    assert_eq!((serves(&lab), lab.published(OWNER)), (vec![3], vec![lab.record(MX, 3, EE)]));
    assert_eq!(lab.oracle.violations().len(), violations);
}

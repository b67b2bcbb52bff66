//! What `notify` tells: each change of state once, and trouble before any client meets it.

use super::{MX, now, ready, serves};
use crate::{
    certs::Renewal,
    lab::{APEX, DAY, HOUR, KILLED, Lab, MINUTE, Setup},
};
use daneroll::env::{
    Ended, Status,
    sim::{
        When,
        dns::Mode,
        zone::{mail, name},
    },
};
use serde_json::Value;
use std::{cell::RefCell, rc::Rc};

/// What arrived: second, event, text.
type Arrived = Rc<RefCell<Vec<(u64, String, String)>>>;

/// A laboratory that tells its news, and what the command ends with.
fn telling(setup: Setup) -> (Lab, Arrived, Rc<RefCell<Status>>) {
    let lab = setup.global("notify = /sim/notify root").start();
    let (arrived, status) = (Arrived::default(), Rc::new(RefCell::new(Status::Exited(0))));
    let (list, code) = (arrived.clone(), status.clone());
    lab.world.program("/sim/notify", move |world, command| {
        let document: Value = serde_json::from_str(&command.input).unwrap();
        assert_eq!((&document["version"], &command.argv[1]), (&1.into(), &"root".to_owned()));
        let status = code.borrow().clone();
        for news in document["news"].as_array().unwrap() {
            assert_eq!(news["lineage"], MX, "{news}");
            let text = |key: &str| news[key].as_str().unwrap().to_owned();
            if status != Status::Exited(1) {
                list.borrow_mut().push((world.now() / 1000, text("event"), text("text")));
            }
        }
        Ended { status, output: "no route to host".into() }
    });
    assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
    lab.serve();
    lab.cron(3 * HOUR, 9 * HOUR);
    lab.assert_settled(MX);
    assert!(arrived.borrow().is_empty(), "the beginning is no news: {arrived:?}");
    (lab, arrived, status)
}

fn events(arrived: &Arrived) -> Vec<String> {
    arrived.borrow().iter().map(|(_, event, _)| event.clone()).collect()
}

fn mx() -> Setup {
    Lab::with(MX, "311 25").secondary("ns2", 60).global("ttl = 3600")
}

#[test]
fn a_rollover() {
    let (lab, arrived, _) = telling(mx());
    lab.renew(MX, Renewal::default());
    lab.cron(10 * MINUTE, 12 * HOUR);
    lab.assert_settled(MX);
    assert_eq!(events(&arrived), ["started", "waiting", "switched", "done"]);
    // Weeks in which nothing happens are no news.
    lab.cron(DAY, 20 * DAY);
    assert_eq!(arrived.borrow().len(), 4, "{arrived:?}");
}

/// The news is told when the command takes it, and the run fails until then.
#[test]
fn a_command_that_fails() {
    let (lab, arrived, status) = telling(mx());
    status.replace(Status::Exited(1));
    assert_eq!(lab.run(&["--pre"]), 0);
    lab.certbot.renew(MX, Renewal::default());
    for args in [&["--post"][..], &[], &[]] {
        assert_eq!(lab.run(args), 1);
        lab.assert_told(&["notify `/sim/notify root` exited 1: no route to host", "told again"]);
        lab.pass(10 * MINUTE);
    }
    assert_eq!(events(&arrived), [""; 0]);
    status.replace(Status::Exited(0));
    lab.cron(10 * MINUTE, 12 * HOUR);
    lab.assert_settled(MX);
    assert_eq!(events(&arrived), ["started", "waiting", "switched", "done"]);
    // One that hangs may have told it all: once is the most.
    status.replace(Status::TimedOut);
    assert_eq!(lab.run(&["--pre"]), 0);
    lab.certbot.renew(MX, Renewal::default());
    assert_eq!(lab.run(&["--post"]), 1);
    lab.assert_told(&["still running after 60 s", "not told again"]);
    lab.pass(10 * MINUTE);
    status.replace(Status::Exited(0));
    lab.cron(10 * MINUTE, 12 * HOUR);
    assert_eq!(events(&arrived)[4..], ["started", "waiting", "switched", "done"]);
}

/// Killed at each effect around the call of the command, and run again: nothing is ever told twice.
#[test]
fn killed_while_it_tells() {
    let renewed = || {
        let (lab, arrived, _) = telling(mx());
        assert_eq!(lab.run(&["--pre"]), 0);
        lab.certbot.renew(MX, Renewal::default());
        (lab, arrived)
    };
    let (lab, _) = renewed();
    lab.world.trace();
    assert_eq!(lab.run(&["--post"]), 0);
    let trace = lab.world.trace();
    let call = 1 + trace.iter().position(|effect| effect.contains("/sim/notify")).unwrap();
    for (effect, when) in (call - 3..call + 3).flat_map(|effect| [(effect, When::Before), (effect, When::After)]) {
        let (lab, arrived) = renewed();
        lab.world.kill_at(effect, when);
        assert_eq!(lab.run(&["--post"]), KILLED);
        lab.cron(HOUR, 9 * HOUR);
        lab.assert_settled(MX);
        let mut told = events(&arrived);
        // Only a run that died between saying that it tells and telling leaves it open whether that arrived.
        let lost = told.len() < 4;
        assert!(!lost || (call - 3..=call).contains(&effect), "{effect} {when:?}: {told:?} {trace:#?}");
        assert!(told.ends_with(&["switched".into(), "done".into()]), "{effect} {when:?}: {told:?}");
        told.dedup();
        assert!(told.len() == if lost { 2 } else { 4 }, "{effect} {when:?}: told twice: {arrived:?}");
    }
}

/// A name server that is down for days: that is no failure of a run, and told once, a day after the wait was to be over.
#[test]
fn a_server_that_stays_away() {
    let (lab, arrived, _) = telling(mx().line("patience = 30d"));
    lab.world.change(|state| state.dns.server("ns2.example.com").mode = Mode::Down);
    let begun = now(&lab);
    lab.renew(MX, Renewal::default());
    lab.cron(HOUR, 5 * DAY);
    assert_eq!((events(&arrived), serves(&lab)), (vec!["started".into(), "stuck".into()], vec![1]));
    let (at, _, text) = arrived.borrow()[1].clone();
    assert!((25 * HOUR..28 * HOUR).contains(&(at - begun)), "after {} h", (at - begun) / HOUR);
    assert!(text.contains("ns2.example.com") && text.contains("switch to generation"), "{text}");
    lab.world.change(|state| state.dns.server("ns2.example.com").mode = Mode::Answers);
    // It hears of the zone again with the next change.
    lab.world.edit_zone(&name(APEX), |zone| zone.add(&name("other.example.com"), 60, mail(10, MX)));
    lab.cron(HOUR, DAY);
    lab.assert_settled(MX);
    assert_eq!(events(&arrived)[2..], ["waiting", "switched", "done"]);
}

/// A reload that fails is told at once, once, and once more when it stays.
#[test]
fn a_reload_that_fails() {
    let (lab, arrived, _) = telling(mx().line("reload = /sim/broken"));
    lab.world.program("/sim/broken", |_, _| Ended { status: Status::Exited(3), output: "no such unit".into() });
    lab.renew(MX, Renewal::default());
    for _ in 0..2 * 24 {
        lab.run(&[]);
        lab.pass(HOUR);
    }
    let told = events(&arrived);
    assert_eq!(told[..4], ["started", "waiting", "switched", "failed"], "{arrived:?}");
    // As an error that repeats, and as a wait of the old records that lasts.
    assert!(told[4..].iter().all(|event| event == "stuck") && (1..=3).contains(&told[4..].len()), "{arrived:?}");
    assert!(arrived.borrow()[3].2.contains("no such unit"), "{arrived:?}");
}

/// Nobody renews, or a server keeps the switch: with certificates of 90, 45 and 6 days it is told while there is time to do something.
#[test]
fn told_before_the_certificate_ends() {
    for (days, at_most, at_least) in [(90, 11, 8), (45, 6, 4), (6, 2, 0)] {
        for renewed in [false, true] {
            let (lab, arrived, _) = telling(mx().line("patience = 30d").valid_days(days));
            let end = now(&lab) + days as u64 * DAY;
            lab.pass((days as u64 - days as u64 / 3) * DAY);
            if renewed {
                lab.world.change(|state| state.dns.server("ns2.example.com").mode = Mode::Down);
                assert_eq!(lab.run(&["--pre"]), 0);
                lab.certbot.renew(MX, Renewal::default());
                lab.run(&["--post"]);
            }
            let told = loop {
                lab.run(&[]);
                let told = arrived.borrow().iter().find(|(.., text)| text.contains("ends in")).cloned();
                match told {
                    Some(told) => break told,
                    None => lab.pass(6 * HOUR),
                }
                assert!(now(&lab) < end, "{days} {renewed}: nothing was told: {arrived:?}");
            };
            let left = (end - now(&lab)) / DAY;
            assert!((at_least..=at_most).contains(&left), "{days} {renewed}: {left} d before: {told:?}");
            assert_eq!(told.1, "stuck");
            assert!(
                told.2.contains(if renewed { "the new one waits" } else { "see that the ACME client" }),
                "{told:?}"
            );
            lab.run(&[]);
            let again = arrived.borrow().iter().filter(|(.., text)| text.contains("ends in")).count();
            assert_eq!(again, 1, "{arrived:?}");
        }
    }
}

/// Without `notify` nothing is kept.
#[test]
fn nobody_wants_to_know() {
    let lab = ready(Lab::with(MX, "311 25"));
    let state = lab.world.look(|state| state.disk.list("/var/lib/daneroll".as_ref())).unwrap();
    assert!(!state.iter().any(|name| name == "notify.json"), "{state:?}");
}

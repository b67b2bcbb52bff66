//! Files that are taken to other hosts (`deploy`), before anything is reloaded there.

use super::{MX, OWNER, count, ready, serves, settle};
use crate::{
    certs::Renewal,
    lab::{HOUR, KILLED, Lab, MINUTE, service_name},
};
use daneroll::env::{
    Command, Ended, Files, Status,
    sim::{
        When, World,
        service::{Reload, Service},
        zone::{address, name},
    },
};
use std::{cell::RefCell, path::Path, rc::Rc};

/// Where the other host keeps its certificate.
const THERE: &str = "/srv/mx2/mx.example.com";

/// What was run, in its order, with the environment of deploys.
type Calls = Rc<RefCell<Vec<(String, Vec<(String, String)>)>>>;

fn exit(code: i32) -> Ended {
    Ended { status: Status::Exited(code), output: String::new() }
}

/// `/sim/push`: takes the files to the other host, one after the other.
fn push(world: &World, command: &Command) -> Ended {
    let of = |name: &str| command.vars.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap();
    world.make_dir(Path::new(THERE), 0o700).unwrap();
    for (variable, file) in [("DANEROLL_FULLCHAIN", "fullchain.pem"), ("DANEROLL_PRIVKEY", "privkey.pem")] {
        let bytes = world.read(Path::new(&of(variable))).unwrap();
        world.write(&Path::new(THERE).join(file), &bytes, 0o600).unwrap();
    }
    exit(0)
}

/// Two hosts of one name, the second of which gets its files by `/sim/push` and is reloaded by `/sim/far`.
fn two_hosts() -> (Lab, Calls) {
    let setup = Lab::with(MX, "311 25").line("deploy = /sim/push mx2").line("reload = /sim/far").global("ttl = 3600");
    let calls: Calls = Rc::default();
    let lab = setup.line("probe_address = 192.0.2.25 192.0.2.26").start();
    let (pushed, reloaded) = (calls.clone(), calls.clone());
    lab.world.program("/sim/push", move |world, command| {
        pushed.borrow_mut().push((command.argv.join(" "), command.vars.clone()));
        push(world, command)
    });
    lab.world.program("/sim/far", move |world, command| {
        use daneroll::env::Env;
        reloaded.borrow_mut().push((command.argv.join(" "), Vec::new()));
        world.run(&Command { argv: vec!["/sim/reload".into(), "far".into()], ..command.clone() })
    });
    lab.world.edit_zone(&name("example.com"), |zone| zone.add(&name(MX), 3600, address([192, 0, 2, 26].into())));
    assert_eq!(lab.run(&["--reset"]), 0);
    lab.serve();
    lab.world.change(|state| {
        state.services.get_mut(&service_name(25, MX)).unwrap().at = Some("192.0.2.25".parse().unwrap());
    });
    // The operator takes the first set there by hand.
    for file in ["fullchain.pem", "privkey.pem"] {
        lab.world.make_dir(Path::new(THERE), 0o700).unwrap();
        let bytes = lab.world.read(&Path::new("/etc/daneroll/dane").join(MX).join(file)).unwrap();
        lab.world.write(&Path::new(THERE).join(file), &bytes, 0o600).unwrap();
    }
    let mut far = Service::new("far", MX, 25, THERE);
    far.at = Some("192.0.2.26".parse().unwrap());
    lab.world.serve(far);
    lab.cron(3 * HOUR, 9 * HOUR);
    lab.assert_settled(MX);
    assert!(calls.borrow().is_empty(), "nothing was switched");
    (lab, calls)
}

fn far(lab: &Lab) -> Vec<usize> {
    lab.presented("far", MX)
}

/// Files first, with their paths in a clean environment; then reloads; old records go when both hosts present the new one.
#[test]
fn files_before_reloads() {
    let (lab, calls) = two_hosts();
    lab.renew(MX, Renewal::default());
    settle(&lab, MX);
    assert_eq!(far(&lab), [2]);
    let calls = calls.take();
    let names: Vec<&str> = calls.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["/sim/push mx2", "/sim/far"], "each once");
    let vars: Vec<String> = calls[0].1.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let dane = "/etc/daneroll/dane/mx.example.com";
    let mut expected = vec![
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        "LC_ALL=C".into(),
        "DANEROLL_LINEAGE=mx.example.com".into(),
    ];
    let file = |(key, file): (&str, &str)| format!("DANEROLL_{key}={dane}/{file}.pem");
    expected.extend(["CERT cert", "CHAIN chain", "FULLCHAIN fullchain", "PRIVKEY privkey"].map(|line| {
        let (key, name) = line.split_once(' ').unwrap();
        file((key, name))
    }));
    assert_eq!(vars, expected);
}

/// With `bundle = yes` there is one more path.
#[test]
fn the_bundle_too() {
    let lab = ready(Lab::with(MX, "311 25").line("deploy = /sim/push").bundle());
    let seen: Rc<RefCell<Vec<String>>> = Rc::default();
    let bundle = seen.clone();
    lab.world.program("/sim/push", move |world, command| {
        let vars = command.vars.iter().filter(|(key, _)| key == "DANEROLL_BUNDLE");
        bundle.borrow_mut().extend(vars.map(|(_, path)| {
            let bytes = world.read(Path::new(path)).unwrap();
            format!("{path} {}", String::from_utf8_lossy(&bytes).matches("BEGIN").count())
        }));
        exit(0)
    });
    lab.renew(MX, Renewal::default());
    settle(&lab, MX);
    assert!(matches!(&seen.borrow()[..], [one] if one.starts_with("/etc/daneroll/dane/mx.example.com/bundle.pem ")));
}

/// One that fails is owed: told at each run, no reload before it succeeds, and both records stay as long.
#[test]
fn owed_until_it_succeeds() {
    for told in ["exited 12", "could not be started"] {
        let (lab, calls) = two_hosts();
        let works = calls.clone();
        match told {
            "exited 12" => lab.world.program("/sim/push", |_, _| exit(12)),
            _ => lab.world.program("/sim/push", |_, _| Ended {
                status: Status::NotStarted("it is not there".into()),
                output: String::new(),
            }),
        }
        lab.renew(MX, Renewal::default());
        lab.pass(3 * HOUR);
        for _ in 0..8 {
            assert_eq!(lab.run(&[]), 1);
            lab.assert_told(&["ERROR", "mx.example.com: deploy `/sim/push mx2`", told, "`reload` waits"]);
            lab.pass(6 * HOUR);
        }
        assert!(calls.borrow().is_empty(), "no reload: {:?}", calls.borrow());
        assert_eq!((far(&lab), count(&lab, OWNER)), (vec![1], 2), "{told}");
        lab.world.program("/sim/push", move |world, command| {
            works.borrow_mut().push((command.argv.join(" "), Vec::new()));
            push(world, command)
        });
        lab.cron(10 * MINUTE, 40 * MINUTE);
        assert_eq!((far(&lab), count(&lab, OWNER)), (vec![2], 2), "the hold begins only now");
        settle(&lab, MX);
        assert_eq!(calls.borrow().len(), 2);
    }
}

/// A push that says yes and does nothing: the other host keeps the old certificate, so its record stays, and that is told.
#[test]
fn a_push_that_lies() {
    let (lab, _) = two_hosts();
    lab.world.program("/sim/push", |_, _| exit(0));
    lab.renew(MX, Renewal::default());
    lab.pass(3 * HOUR);
    assert_eq!(lab.run(&[]), 0);
    lab.pass(3 * HOUR);
    for _ in 0..6 {
        assert_eq!(lab.run(&[]), 1);
        lab.assert_told(&["ERROR", "192.0.2.26:25 presented generation", "its records stay"]);
        lab.pass(12 * HOUR);
    }
    assert_eq!((far(&lab), count(&lab, OWNER)), (vec![1], 2));
    lab.assert_clean();
}

/// The other host was not reloaded although its reload said so, and then not given the next files although the push said so: it
/// presents the first certificate, and reads the second when it starts again. The records of both stay until it is repaired.
#[test]
fn a_reload_and_a_push_that_lie() {
    let (lab, _) = two_hosts();
    lab.world.change(|state| state.services.get_mut("far").unwrap().reload = Reload::DoesNothing);
    lab.renew(MX, Renewal::default());
    lab.cron(3 * HOUR, 3 * HOUR);
    lab.run(&[]);
    assert_eq!((serves(&lab), far(&lab)), (vec![2], vec![1]));
    lab.world.program("/sim/push", |_, _| exit(0));
    lab.renew(MX, Renewal::default());
    for _ in 0..8 {
        lab.pass(6 * HOUR);
        lab.run(&[]);
    }
    assert_eq!((serves(&lab), far(&lab), count(&lab, OWNER)), (vec![3], vec![1], 3));
    lab.assert_told(&["ERROR", "192.0.2.26:25 presented generation", "its records stay"]);
    lab.world.change(|state| state.restart_service("far"));
    lab.assert_clean();
    assert_eq!(far(&lab), [2]);
    lab.world.program("/sim/push", push);
    lab.world.change(|state| state.services.get_mut("far").unwrap().reload = Reload::Works);
    lab.certbot.renew(MX, Renewal::default());
    for _ in 0..12 {
        lab.run(&[]);
        lab.pass(3 * HOUR);
    }
    lab.assert_settled(MX);
    assert_eq!(far(&lab), [4]);
}

/// Killed at each effect of the run that switches, deploys and reloads; the next runs go on.
#[test]
fn killed_at_every_effect() {
    let story = |kill: Option<usize>| {
        let (lab, calls) = two_hosts();
        lab.renew(MX, Renewal::default());
        lab.pass(3 * HOUR);
        if let Some(effect) = kill {
            let when = [When::After, When::Midway, When::Before][effect / 5 % 3];
            lab.world.kill_at(effect, when);
            assert_eq!(lab.run(&[]), KILLED, "{effect}");
        } else {
            assert_eq!(lab.run(&[]), 0);
        }
        let effects = lab.world.effects();
        settle(&lab, MX);
        assert_eq!(far(&lab), [2], "{kill:?}");
        let calls = calls.borrow();
        let at = |what: &str| calls.iter().position(|(name, _)| name.starts_with(what));
        assert!(at("/sim/push") < at("/sim/far"), "{kill:?}: {calls:?}");
        effects
    };
    let effects = story(None);
    let all = std::env::var_os("DANEROLL_TEST_ALL").is_some();
    (1..=effects).filter(|effect| all || effect % 5 == 0).for_each(|effect| _ = story(Some(effect)));
}

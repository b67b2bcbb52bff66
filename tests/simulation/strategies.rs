//! Strategies that need no daneroll: the oracle must catch the wrong ones, and let the right one pass.

use crate::{
    certs::{Flaw, Renewal},
    lab::{DANE, DAY, HOUR, LETSENCRYPT, Lab, MINUTE, service_name},
};
use daneroll::env::{
    Command, Env, Files, Status,
    sim::{
        World,
        service::{Reads, Service},
        zone::{alias, name},
    },
};
use hickory_resolver::proto::rr::RecordType;
use std::{path::Path, time::Duration};

const MX: &str = "mx.example.com";
const OWNER: &str = "_25._tcp.mx.example.com";
const PARAMETERS: [u8; 3] = [3, 1, 1];

/// A host whose dane directory is a link into the archive, so that it switches by one rename.
fn by_hand(lag: u64) -> Lab {
    let lab = Lab::with(MX, "311 25").secondary("ns2", lag).start();
    lab.world.make_dir(Path::new(DANE), 0o700).unwrap();
    switch(&lab.world, 1);
    let first = lab.record(MX, 1, PARAMETERS);
    lab.publish(OWNER, 3600, &first);
    lab.pass(lag + HOUR);
    lab.serve();
    lab
}

/// Makes `dane/mx.example.com` show one archive number.
fn switch(world: &World, number: usize) {
    let set = format!("{DANE}/.{number}");
    world.make_dir(Path::new(&set), 0o700).unwrap();
    for kind in ["fullchain", "privkey"] {
        let target = format!("{LETSENCRYPT}/archive/{MX}/{kind}{number}.pem");
        world.point(Path::new(&format!("{set}/{kind}.pem")), Path::new(&target)).unwrap();
    }
    world.point(Path::new(&format!("{DANE}/{MX}")), Path::new(&format!(".{number}"))).unwrap();
}

fn reload(world: &World) {
    let argv = vec!["/sim/reload".to_owned(), service_name(25, MX)];
    let ended = world.run(&Command { argv, limit: Duration::from_secs(300), ..Command::default() });
    assert_eq!(ended.status, Status::Exited(0));
}

/// The steps of a rollover, in the order and with the waits that a strategy thinks right.
#[derive(Clone, Copy, Debug)]
enum Step {
    Publish,
    Switch,
    Reload,
    Delete,
    Wait(u64),
}

use Step::*;

fn violations(lag: u64, reads: Reads, steps: &[Step]) -> usize {
    let lab = by_hand(lag);
    lab.world.change(|state| {
        state.services.get_mut(&service_name(25, MX)).unwrap().reads = reads;
        state.restart_service(&service_name(25, MX));
    });
    lab.assert_clean();
    lab.certbot.renew(MX, Renewal::default());
    let (old, new) = (lab.record(MX, 1, PARAMETERS), lab.record(MX, 2, PARAMETERS));
    for step in steps {
        match step {
            Publish => lab.publish(OWNER, 3600, &new),
            Switch => switch(&lab.world, 2),
            Reload => reload(&lab.world),
            Delete => lab.unpublish(OWNER, &old),
            Wait(seconds) => lab.pass(*seconds),
        }
    }
    lab.pass(7 * DAY);
    assert_eq!(lab.published(OWNER), [new]);
    lab.oracle.violations().len()
}

#[test]
fn right_and_wrong_strategies() {
    let ttl = Wait(HOUR);
    let lag = Wait(10 * MINUTE);
    let (slow, fast) = (10 * MINUTE, 0);
    let (dovecot, postfix) = (Reads::OnReload, Reads::Anytime);
    type Case<'a> = (&'a str, bool, u64, Reads, &'a [Step]);
    let cases: &[Case] = &[
        ("the full order", true, slow, dovecot, &[Publish, lag, ttl, Switch, Reload, ttl, Delete]),
        ("the full order", true, slow, postfix, &[Publish, lag, ttl, Switch, Reload, ttl, Delete]),
        ("old record gone at once after the reload", true, slow, postfix, &[Publish, lag, ttl, Switch, Reload, Delete]),
        ("at once", false, fast, dovecot, &[Switch, Reload, Publish, Delete]),
        ("publish, no wait", false, fast, dovecot, &[Publish, Switch, Reload, ttl, Delete]),
        ("forgets the lag", false, slow, dovecot, &[Publish, ttl, Switch, Reload, lag, ttl, Delete]),
        ("forgets the TTL", false, slow, dovecot, &[Publish, lag, Switch, Reload, ttl, Delete]),
        ("a minute short", false, fast, dovecot, &[Publish, Wait(59 * MINUTE), Switch, Reload, ttl, Delete]),
        ("deletes before it switches", false, fast, dovecot, &[Publish, ttl, Delete, Switch, Reload]),
        ("deletes before the reload", false, fast, dovecot, &[Publish, ttl, Switch, Delete, ttl, Reload]),
        ("no reload, files read on reload only", false, fast, dovecot, &[Publish, ttl, Switch, ttl, Delete]),
        ("no reload, new processes read", false, fast, postfix, &[Publish, ttl, Switch, ttl, Delete]),
        ("delays the reload only", false, fast, postfix, &[Switch, Publish, ttl, Reload, ttl, Delete]),
        ("delays the reload only", true, fast, dovecot, &[Switch, Publish, ttl, Reload, ttl, Delete]),
    ];
    for (what, right, lag, reads, steps) in cases {
        assert_eq!(violations(*lag, *reads, steps) == 0, *right, "{what}, {reads:?}");
    }
}

/// What everybody has without daneroll: the service reads `live/`.
#[test]
fn live_read_directly() {
    for (flaw, reads, clean) in [
        (Flaw::None, Reads::OnReload, true),
        (Flaw::None, Reads::Anytime, false),
        (Flaw::WrongKey, Reads::Anytime, false),
        (Flaw::LinksMoved(0), Reads::Anytime, true),
        (Flaw::LinksMoved(3), Reads::Anytime, false),
    ] {
        let lab = Lab::with(MX, "311 25").start();
        lab.publish(OWNER, 3600, &lab.record(MX, 1, PARAMETERS));
        let live = format!("{LETSENCRYPT}/live/{MX}");
        lab.world.serve(Service::new("smtp", MX, 25, live).reads(reads));
        lab.certbot.renew(MX, Renewal { flaw, ..Renewal::default() });
        assert_eq!(lab.oracle.violations().is_empty(), clean, "{flaw:?} {reads:?}");
    }
}

/// A cache may hold an old CNAME, and what it points to.
#[test]
fn caches_hold_aliases() {
    for (wait, clean) in [(599, false), (600, true)] {
        let lab = Lab::with(MX, "311 25").start();
        lab.certbot.renew(MX, Renewal::default());
        let targets = ["old.example.com", "new.example.com"];
        for (number, target) in targets.iter().enumerate() {
            lab.publish(target, 60, &lab.record(MX, number + 1, PARAMETERS));
        }
        let point = |target| {
            lab.world.edit_zone(&name("example.com"), |zone| {
                zone.delete_set(&name(OWNER), RecordType::CNAME);
                zone.add(&name(OWNER), 600, alias(target))
            })
        };
        lab.world.change(|state| state.dns.watch(name(OWNER)));
        point(targets[0]);
        lab.pass(DAY);
        point(targets[1]);
        lab.pass(wait);
        lab.world.serve(Service::new("smtp", MX, 25, format!("{LETSENCRYPT}/live/{MX}")));
        assert_eq!(lab.oracle.violations().is_empty(), clean, "{wait} s");
        assert!(lab.oracle.checks() > 0);
    }
}

/// The hook of a scenario: a strategy of somebody else runs in daneroll's place.
#[test]
fn a_strategy_as_engine() {
    let lab = Lab::with(MX, "311 25")
        .strategy(|world, args| {
            if args == ["--reset"] {
                world.make_dir(Path::new(DANE), 0o700).unwrap();
                switch(world, 1);
            }
            0
        })
        .start();
    assert_eq!(lab.run(&["--reset"]), 0);
    assert_eq!(lab.world.effects(), 5);
    lab.serve();
    lab.publish(OWNER, 3600, &lab.record(MX, 1, PARAMETERS));
    lab.assert_settled(MX);
}

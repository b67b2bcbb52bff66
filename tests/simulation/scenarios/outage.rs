//! One provider's outage, and the other lineages.

use super::{MX, now, ready, serves, settle, tools::shown};
use crate::{
    certs::Renewal,
    lab::{DANE, HOUR, Lab, MINUTE},
};
use daneroll::env::{Command, Ended, Env, Files, Status, sim::dns::Updates};
use std::{
    cell::{Cell, RefCell},
    path::Path,
    rc::Rc,
};

const WWW: &str = "www.example.com";

/// A provider that hangs until its time limit, each time it is called: other lineages publish, switch and reload in the same
/// runs, and before it is waited for.
#[test]
fn a_provider_that_hangs_delays_nobody_else() {
    let hangs = Rc::new(Cell::new(false));
    // At each call that hung: did services of the other lineage read the new certificate by then?
    let switched = Rc::new(RefCell::new(Vec::new()));
    let setup = Lab::with(MX, "311 25").lineage(WWW).tlsa("311 443").line("api = exec /sim/hangs");
    let lab = setup.global("ttl = 3600").start();
    let path = Path::new(DANE).join(MX).join("fullchain.pem");
    let old: Rc<RefCell<Vec<u8>>> = Rc::default();
    let (flag, seen, first) = (hangs.clone(), switched.clone(), old.clone());
    lab.world.program("/sim/hangs", move |world, command| {
        if flag.get() {
            seen.borrow_mut().push(world.read(&path).unwrap() != *first.borrow());
            world.pass(command.limit);
            return Ended { status: Status::TimedOut, output: String::new() };
        }
        world.run(&Command { argv: vec!["/sim/provider".into()], ..command.clone() })
    });
    assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
    lab.serve();
    lab.cron(3 * HOUR, 9 * HOUR);
    lab.assert_settled(MX);
    lab.assert_settled(WWW);
    old.replace(shown(&lab, MX));
    hangs.set(true);
    assert_eq!(lab.run(&["--pre"]), 0);
    lab.certbot.renew(MX, Renewal::default());
    lab.certbot.renew(WWW, Renewal::default());
    assert_eq!(lab.run(&["--post"]), 1);
    lab.assert_told(&["www.example.com", "/sim/hangs", "still running after 300 s"]);
    let begun = now(&lab);
    while serves(&lab) != [2] {
        switched.borrow_mut().clear();
        assert_eq!(lab.run(&[]), 1);
        assert!(now(&lab) - begun < 3 * HOUR, "{}", lab.told());
        lab.pass(10 * MINUTE);
    }
    assert!(!switched.borrow().is_empty() && switched.borrow().iter().all(|switched| *switched), "the switch waited");
    assert_eq!(lab.presented("www.example.com:443", WWW), [1]);
    // The old record goes as well, in rounds of its own.
    for _ in 0..12 {
        lab.run(&[]);
        lab.pass(HOUR);
    }
    lab.assert_settled(MX);
    hangs.set(false);
    settle(&lab, WWW);
}

/// So many lineages at one provider that hangs: a run ends all the same, soon enough for the next.
#[test]
fn a_run_with_many_owners_at_a_provider_that_hangs() {
    let mut setup = Lab::with(MX, "311 25");
    for port in [465, 587, 143, 993, 4190] {
        setup = setup.tlsa(&format!("311 {port}"));
    }
    let lab = ready(setup);
    lab.world.change(|state| state.dns.updates = Updates::Silent);
    assert_eq!(lab.run(&["--pre"]), 0);
    lab.certbot.renew(MX, Renewal::default());
    let begun = now(&lab);
    assert_eq!(lab.run(&["--post"]), 1);
    let took = now(&lab) - begun;
    assert!((300..400).contains(&took), "one call, not six: {took} s");
    lab.assert_told(&["still running after 300 s", "not called: a call for zone example.com was ended"]);
    lab.world.change(|state| state.dns.updates = Default::default());
    settle(&lab, MX);
}

//! `--wait` over days: it sleeps to the next due time, and finds what happens meanwhile.

use super::{MX, ready};
use crate::{
    certs::Renewal,
    lab::{DAY, HOUR, Lab, MINUTE},
};
use std::{cell::Cell, rc::Rc, time::Duration};

/// From the renewal to the end in one call, with one look every ten minutes at most, and no later than it has to be.
#[test]
fn one_call_for_a_rollover() {
    let lab = ready(Lab::with(MX, "311 25"));
    lab.renew(MX, Renewal::default());
    let began = lab.world.now();
    assert_eq!(lab.run(&["--wait"]), 0, "{}", lab.told());
    lab.assert_settled(MX);
    let took = (lab.world.now() - began) / 1000;
    // Twice the TTL of an hour, and a hold as long.
    assert!((4 * HOUR..4 * HOUR + 10 * MINUTE).contains(&took), "{took}");
    let looks = lab.told().matches("the next look is in").count() as u64;
    assert!((took / 600..took / 600 + 6).contains(&looks), "{looks} looks in {took} s");
}

/// A certificate that is renewed while it waits, and a lineage that comes meanwhile, are rolled over in the same call.
#[test]
fn what_happens_meanwhile() {
    let lab = Lab::with(MX, "311 25").line("pin = always").global("ttl = 3600").start();
    let lab = Rc::new(lab);
    assert_eq!(lab.run(&["--reset"]), 0);
    lab.serve();
    lab.cron(3 * HOUR, 9 * HOUR);
    lab.renew(MX, Renewal::default());
    let (renewed, at) = (Rc::clone(&lab), Rc::new(Cell::new(0)));
    let moment = at.clone();
    lab.world.after(Duration::from_secs(HOUR), move |world| {
        renewed.certbot.renew(MX, Renewal::default());
        moment.set(world.now());
    });
    let later = Rc::clone(&lab);
    lab.world.after(Duration::from_secs(90 * MINUTE), move |_| later.certbot.issue("new.example.com", &[MX], 90));
    assert_eq!(lab.run(&["--wait"]), 0, "{}", lab.told());
    lab.assert_settled(MX);
    assert_eq!(lab.certbot.number(MX), 3);
    let dane = std::path::Path::new("/etc/daneroll/dane/new.example.com/.served");
    assert!(daneroll::env::Files::target(&lab.world, dane).is_ok(), "the new lineage is laid out");
    let published = lab.told().matches("published").count();
    assert!(published >= 1, "{}", lab.told());
    assert!(lab.world.now() - at.get() < DAY * 1000, "and without a break");
}

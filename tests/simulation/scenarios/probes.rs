//! What services really present: before the first record, after a reload, and when somebody goes back.

use super::tools::*;
use crate::{
    certs::Renewal,
    lab::{DAY, HOUR, Lab, MINUTE, service_name},
};
use daneroll::env::sim::{
    When,
    service::{Reload, Service},
    zone::{address, name},
};

const P: [u8; 3] = [3, 1, 1];

fn service(lab: &Lab, set: impl FnOnce(&mut Service)) {
    lab.world.change(|state| set(state.services.get_mut(&service_name(25, MX)).unwrap()));
}

fn restart(lab: &Lab) {
    lab.world.change(|state| state.restart_service(&service_name(25, MX)));
}

/// A rollover up to its switch.
fn switched(lab: &Lab) {
    lab.renew(MX, Renewal::default());
    until_switched(lab, MX, 20 * MINUTE).unwrap();
}

/// S7: a reload that says yes and does nothing, and one that reaches only some processes. The old record stays however long, and
/// the operator is told after a while, with the address; a restart and a hold later it goes.
#[test]
fn s07_reloads_that_lie() {
    for reload in [Reload::DoesNothing, Reload::Reaches(2)] {
        let lab = Lab::with(MX, "311 25").start();
        first_use(&lab);
        lab.world.serve(Service::new(&service_name(25, MX), MX, 25, "/etc/daneroll/dane/mx.example.com").processes(3));
        service(&lab, |service| service.reload = reload);
        switched(&lab);
        assert_eq!(cron_any(&lab, 10 * MINUTE, HOUR), 0, "{reload:?}: the hold is a time of grace");
        let failed = cron_any(&lab, 2 * HOUR, 30 * DAY);
        assert!(failed > 350, "{reload:?}: told at each run: {failed}");
        lab.assert_told(&["ERROR", "at 192.0.2.25:25 presented generation", "its records stay"]);
        assert_eq!((lab.run(&[]), lab.published(OWNER).len()), (1, 2), "{reload:?}");
        restart(&lab);
        let failed = cron_any(&lab, 10 * MINUTE, HOUR);
        assert!(failed <= 1, "{reload:?}: until the next look, nobody presents it any more: {failed}");
        assert_eq!(lab.published(OWNER).len(), 2, "{reload:?}: the hold counts from when it was seen last");
        lab.cron(HOUR, 5 * HOUR);
        lab.assert_settled(MX);
    }
}

/// S23: what a probe cannot see is unknown. It concludes nothing, fails nothing, and everything goes on once it can.
#[test]
fn s23_refused_probes() {
    for why in ["refused the connection", "450 greylisted", "does not offer STARTTLS", "no greeting within 10 s"] {
        let lab = Lab::with(MX, "311 25").start();
        first_use(&lab);
        switched(&lab);
        service(&lab, |service| service.refuses = Some(why.into()));
        assert_eq!(cron_any(&lab, 6 * HOUR, 20 * DAY), 0, "{why}");
        lab.assert_told(&["192.0.2.25:25", why]);
        assert_eq!(lab.published(OWNER).len(), 2, "{why}");
        service(&lab, |service| service.refuses = None);
        lab.cron(HOUR, 4 * HOUR);
        lab.assert_settled(MX);
    }
}

/// S6, S15: no first record before every address presents what it will match.
#[test]
fn s15_first_record() {
    let lab = Lab::with(MX, "311 25").start();
    assert_eq!(lab.run(&["--reset"]), 0);
    // Nobody listens yet: that is no failure.
    lab.cron(HOUR, 3 * HOUR);
    lab.assert_told(&["waiting to publish", "refused the connection"]);
    lab.serve();
    lab.certbot.issue("old.example.com", &[MX], 90);
    lab.world
        .edit_zone(&name("example.com"), |zone| zone.add(&name(MX), 300, address("2001:db8::25".parse().unwrap())));
    let mut other = Service::new("other", MX, 25, "/etc/letsencrypt/live/old.example.com");
    other.at = Some("2001:db8::25".parse().unwrap());
    service(&lab, |service| service.at = Some("192.0.2.25".parse().unwrap()));
    lab.world.serve(other);
    for _ in 0..3 {
        assert_eq!(lab.run(&[]), 1);
        lab.assert_told(&["ERROR", "no first record is published", "[2001:db8::25]:25 presents certificate"]);
        lab.pass(HOUR);
    }
    assert!(lab.published(OWNER).is_empty());
    lab.world.change(|state| drop(state.services.remove("other")));
    service(&lab, |service| service.at = None);
    lab.cron(6 * HOUR, 3 * DAY);
    lab.assert_settled(MX);
}

/// Neither the old certificate nor the new one: told where, and nothing goes.
#[test]
fn a_strange_certificate() {
    let lab = Lab::with(MX, "311 25").start();
    first_use(&lab);
    switched(&lab);
    lab.certbot.issue("strange.example.com", &[MX], 90);
    // Beside the right one, at an address of its own that the oracle does not watch.
    lab.world
        .edit_zone(&name("example.com"), |zone| zone.add(&name(MX), 300, address("2001:db8::25".parse().unwrap())));
    let mut strange = Service::new("strange", MX, 26, "/etc/letsencrypt/live/strange.example.com");
    strange.at = Some("2001:db8::25".parse().unwrap());
    lab.world.serve(strange);
    configure(&lab, |text| {
        text.replace("tlsa = 311 25", "tlsa = 311 25\nprobe_address = 192.0.2.25 [2001:db8::25]:26")
    });
    let failed = cron_any(&lab, 3 * HOUR, 2 * DAY);
    assert!(failed > 12, "{failed}");
    lab.assert_told(&["[2001:db8::25]:26 presents", "neither the old nor the new"]);
    assert_eq!(lab.published(OWNER).len(), 2);
    lab.world.change(|state| drop(state.services.remove("strange")));
    configure(&lab, |text| text.replace(" [2001:db8::25]:26", ""));
    lab.cron(HOUR, 4 * HOUR);
    lab.assert_settled(MX);
}

/// A service that reads `live/` presents the candidate before its time. Its records are up already; the operator is told.
#[test]
fn a_service_that_reads_live() {
    let lab = Lab::with(MX, "311 25").start();
    first_use(&lab);
    switched(&lab);
    lab.renew(MX, Renewal::default());
    let mut early = Service::new("early", MX, 27, "/etc/letsencrypt/live/mx.example.com");
    early.at = Some("192.0.2.27".parse().unwrap());
    lab.world.serve(early);
    configure(&lab, |text| text.replace("tlsa = 311 25", "tlsa = 311 25\nprobe_address = 192.0.2.25 192.0.2.27:27"));
    lab.pass(HOUR);
    let mut told = String::new();
    for _ in 0..3 {
        lab.run(&[]);
        told += &lab.told();
        lab.pass(10 * MINUTE);
    }
    assert!(
        told.contains("192.0.2.27:27 presents generation") && told.contains("does the service read live/"),
        "{told}"
    );
    let newest = lab.record(MX, lab.certbot.number(MX), P);
    assert!(lab.published(OWNER).contains(&newest));
}

/// `rollback` puts the old generation back at once while its records stand, and it stays until `live/` shows another.
#[test]
fn rollback() {
    let lab = Lab::with(MX, "311 25").start();
    first_use(&lab);
    switched(&lab);
    lab.pass(10 * MINUTE);
    assert_eq!(lab.run(&["rollback", MX]), 0, "{}", lab.told());
    lab.assert_told(&["going back"]);
    assert!(shows(&lab, MX, 1) && presented(&lab, 25, MX) == [lab.certbot.fullchain(MX, 1)], "reloaded, too");
    lab.cron(4 * HOUR, 5 * DAY);
    assert!(shows(&lab, MX, 1) && is_pinned(&lab.world, MX));
    assert_eq!(lab.published(OWNER), [lab.record(MX, 1, P)], "the barred one's record goes");
    // Once more: there is nothing older.
    assert_eq!(lab.run(&["rollback", MX]), 1);
    lab.assert_told(&["no generation to go back to"]);
    // The next renewal goes through.
    lab.renew(MX, Renewal::default());
    lab.cron(2 * HOUR, DAY);
    lab.assert_settled(MX);
}

/// Once the old records are gone, going back is refused; `switch` lets a barred generation go on.
#[test]
fn rollback_through_the_gate() {
    let lab = Lab::with(MX, "311 25").line("hold = 1d").start();
    first_use(&lab);
    switched(&lab);
    // Somebody deletes the old record: caches that have seen that do not match the old certificate.
    lab.unpublish(OWNER, &lab.record(MX, 1, P));
    assert_eq!(lab.run(&["rollback", MX]), 1);
    lab.assert_told(&["going back to generation", "is not safe", "no 3 1 1 record that matches"]);
    assert!(shows(&lab, MX, 2));
    // It is needed, so it is published again, and ages; then going back works.
    lab.cron(HOUR, 6 * HOUR);
    assert_eq!(lab.run(&["rollback", MX]), 0, "{}", lab.told());
    assert!(shows(&lab, MX, 1));
    assert_eq!(lab.run(&["switch", MX]), 0, "{}", lab.told());
    assert!(shows(&lab, MX, 2), "its records still stand");
    assert_eq!(lab.run(&["switch", MX]), 1, "nothing is barred any more");
    lab.cron(4 * HOUR, 3 * DAY);
    lab.assert_settled(MX);
}

/// `rollback` is for lineages that are known, configured, and served.
#[test]
fn rollback_refused() {
    let lab = Lab::with(MX, "311 25").start();
    assert_eq!(lab.run(&["rollback", "nobody.example.com"]), 1);
    lab.assert_told(&["nobody.example.com", "is not known"]);
    assert_eq!(lab.run(&["rollback", MX]), 1);
    first_use(&lab);
    assert_eq!(lab.run(&["rollback", MX]), 1);
    lab.assert_told(&["no generation to go back to"]);
    lab.assert_clean();
}

/// Kills at each effect of a rollback leave one generation or the other, and the next run settles it.
#[test]
fn rollback_killed() {
    let mut killed = 0;
    for effect in 1..60 {
        let lab = Lab::with(MX, "311 25").global("ttl = 600").start();
        quick_start(&lab);
        switched(&lab);
        lab.world.kill_at(effect, When::After);
        let exit = lab.run(&["rollback", MX]);
        lab.world.clear_faults();
        killed += usize::from(exit == crate::lab::KILLED);
        lab.pass(MINUTE);
        lab.run(&[]);
        let one = shows(&lab, MX, 1) || shows(&lab, MX, 2);
        assert!(one && presented(&lab, 25, MX).len() == 1, "{effect}");
        lab.renew(MX, Renewal::default());
        lab.cron(2 * HOUR, DAY);
        lab.assert_settled(MX);
        if exit == 0 {
            break;
        }
    }
    assert!(killed > 5, "{killed}");
}

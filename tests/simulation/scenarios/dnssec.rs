//! S16 and its relatives: zones that do not validate, zones that are not signed, resolvers that are of no use.

use super::{EE, MX, OWNER, STEPS, count, now, ready, serves, settle};
use crate::{
    certs::Renewal,
    lab::{ANCHOR, APEX, DAY, HOUR, Lab, MINUTE, RESOLVER, Setup},
};
use daneroll::env::sim::{
    dns::Mode,
    zone::{Flaw, Zone, alias, name},
};
use hickory_resolver::proto::rr::{RData, RecordType, rdata::NS};
use std::path::Path;

/// Who validates: daneroll, or the resolver.
fn both() -> [Setup; 2] {
    [true, false].map(|own| {
        let setup = Lab::with(MX, "311 25").secondary("ns2", 60);
        if own { setup.validating() } else { setup }
    })
}

fn flaw(lab: &Lab, zone: &str, flaw: Option<Flaw>) {
    lab.world.edit_zone(&name(zone), |zone| {
        zone.flaw = flaw;
        true
    });
}

fn resolver(lab: &Lab, mode: Mode) {
    lab.world.change(|state| state.dns.resolvers.insert(RESOLVER.parse().unwrap(), mode));
}

/// Plain runs for so long; nothing may be switched or deleted meanwhile, nor published.
fn nothing_happens(lab: &Lab, how_long: u64) {
    let (serial, before) = (lab.serial(), serves(lab));
    for _ in 0..how_long / (6 * HOUR) {
        lab.pass(6 * HOUR);
        assert!(lab.run(&[]) <= 1, "{}", lab.told());
        assert_eq!((lab.serial(), serves(lab)), (serial, before.clone()), "{}", lab.told());
    }
}

/// A renewal whose hooks may fail: bogus answers make every run fail.
fn renew_any(lab: &Lab) {
    assert_eq!(lab.run(&["--pre"]), 0);
    lab.certbot.renew(MX, Renewal::default());
    assert_eq!(lab.run(&["--post"]), 1, "{}", lab.told());
}

/// A rollover that nothing disturbs takes as long as ever, also where every signature is verified.
#[test]
fn a_signed_zone() {
    for setup in both() {
        let lab = ready(setup);
        let begun = now(&lab);
        lab.renew(MX, Renewal::default());
        let switched = lab.until(10 * MINUTE, DAY, |lab| serves(lab) == [2]) - begun;
        assert!((2 * HOUR..=2 * HOUR + 10 * MINUTE + 2 * STEPS).contains(&switched), "{switched}");
        settle(&lab, MX);
    }
}

/// The zone or its parent turns bogus in mid-rollover: nothing is switched or deleted, and it goes on when mended.
#[test]
fn s16_a_zone_turns_bogus() {
    for (which, kind) in [(APEX, Flaw::Expired), (APEX, Flaw::Forged), (APEX, Flaw::Missing), ("com", Flaw::Expired)] {
        for (number, setup) in both().into_iter().enumerate() {
            let lab = ready(setup);
            lab.renew(MX, Renewal::default());
            flaw(&lab, which, Some(kind));
            lab.pass(HOUR);
            nothing_happens(&lab, 2 * DAY);
            assert_eq!((serves(&lab), count(&lab, OWNER)), (vec![1], 2), "{which} {kind:?} {number}");
            flaw(&lab, which, None);
            lab.pass(MINUTE);
            lab.until(HOUR, DAY, |lab| serves(lab) == [2]);
            flaw(&lab, which, Some(kind));
            lab.pass(MINUTE);
            nothing_happens(&lab, DAY);
            assert_eq!(count(&lab, OWNER), 2, "{which} {kind:?} {number}");
            flaw(&lab, which, None);
            lab.pass(MINUTE);
            settle(&lab, MX);
        }
    }
}

/// One server alone has signatures that have expired (a secondary without transfers): it is waited for as if it were silent.
#[test]
fn s16_one_server_is_bogus() {
    let lab = ready(Lab::with(MX, "311 25").secondary("ns2", 60).validating());
    lab.renew(MX, Renewal::default());
    lab.pass(2 * MINUTE);
    lab.world.set_server("ns2.example.com", |server| {
        let zone = server.zones.get_mut(&name(APEX)).unwrap();
        std::rc::Rc::make_mut(zone).flaw = Some(Flaw::Expired);
    });
    nothing_happens(&lab, DAY);
    lab.assert_told(&["ns2.example.com (192.0.2.2:53)"]);
    flaw(&lab, APEX, None);
    lab.pass(2 * MINUTE);
    lab.until(HOUR, DAY, |lab| serves(lab) == [2]);
    settle(&lab, MX);
}

/// Nobody makes use of TLSA records in an unsigned zone; the rollover goes on all the same.
#[test]
fn an_unsigned_zone() {
    for setup in both() {
        let lab = ready(setup.unsigned());
        lab.renew(MX, Renewal::default());
        lab.until(HOUR, DAY, |lab| serves(lab) == [2]);
        settle(&lab, MX);
    }
}

/// The zone is signed, and signed no longer, in mid-rollover; the DS record comes last and goes first.
#[test]
fn a_zone_is_signed_and_unsigned() {
    for setup in both() {
        let lab = ready(setup.unsigned());
        lab.renew(MX, Renewal::default());
        lab.world.edit_zone(&name(APEX), |zone| {
            zone.sign();
            true
        });
        lab.pass(2 * MINUTE);
        assert_eq!(lab.run(&[]), 0);
        lab.world.edit_zone(&name("com"), |zone| zone.add(&name(APEX), 3600, Zone::delegation_signer(APEX)));
        lab.until(HOUR, DAY, |lab| serves(lab) == [2]);
        settle(&lab, MX);
        lab.renew(MX, Renewal::default());
        lab.world.edit_zone(&name("com"), |zone| zone.delete_set(&name(APEX), RecordType::DS));
        lab.world.edit_zone(&name(APEX), |zone| {
            zone.unsign();
            true
        });
        lab.pass(2 * MINUTE);
        lab.until(HOUR, DAY, |lab| serves(lab) == [3]);
        settle(&lab, MX);
    }
}

/// A resolver that knows nothing of DNSSEC is unfit, and the zones are not bogus: their servers are asked.
#[test]
fn a_resolver_that_strips() {
    let lab = ready(Lab::with(MX, "311 25").secondary("ns2", 60).validating());
    resolver(&lab, Mode::Strips);
    lab.renew(MX, Renewal::default());
    lab.until(HOUR, DAY, |lab| serves(lab) == [2]);
    settle(&lab, MX);
    flaw(&lab, APEX, Some(Flaw::Forged));
    lab.pass(MINUTE);
    renew_any(&lab);
    lab.assert_told(&["ERROR", "are BOGUS"]);
    nothing_happens(&lab, DAY);
    assert_eq!(serves(&lab), [2]);
}

/// Without a resolver nothing can be found or validated: it is waited for.
#[test]
fn a_resolver_that_is_down() {
    for mode in [Mode::Down, Mode::ServFail, Mode::Refuses] {
        for setup in both() {
            let lab = ready(setup);
            lab.renew(MX, Renewal::default());
            resolver(&lab, mode);
            nothing_happens(&lab, DAY);
            resolver(&lab, Mode::Answers);
            lab.until(HOUR, DAY, |lab| serves(lab) == [2]);
            settle(&lab, MX);
        }
    }
}

/// Servers that the operator names are asked for the zone's keys, too; with the zone's own anchor no resolver is needed.
#[test]
fn servers_and_anchor_by_configuration() {
    let setup = Lab::with(MX, "311 25")
        .secondary("ns2", 60)
        .global("nameservers = 192.0.2.1 192.0.2.2")
        .line("probe_address = 192.0.2.25")
        .validating();
    let lab = setup.global("ttl = 3600").start();
    let signer =
        daneroll::env::sim::keys::delegation_signer(&name(APEX), hickory_resolver::proto::dnssec::DigestType::SHA256);
    let anchor = format!("; the zone's own\n{APEX}. 3600 IN DS ( {signer} )\n");
    lab.world.change(|state| state.disk.overwrite(Path::new(ANCHOR), anchor.as_bytes(), 0o644).unwrap());
    resolver(&lab, Mode::Down);
    assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
    lab.serve();
    lab.cron(3 * HOUR, 9 * HOUR);
    assert_eq!(lab.published(OWNER), [lab.record(MX, 1, EE)]);
    lab.renew(MX, Renewal::default());
    lab.until(HOUR, DAY, |lab| serves(lab) == [2]);
    lab.cron(2 * HOUR, 14 * HOUR);
    assert_eq!(lab.published(OWNER), [lab.record(MX, 2, EE)]);
}

/// A trust anchor that is not the root's: everything is bogus, and nothing moves until it is put right.
#[test]
fn a_wrong_trust_anchor() {
    let lab = ready(Lab::with(MX, "311 25").secondary("ns2", 60).validating());
    let right = lab.world.look(|state| state.disk.read(Path::new(ANCHOR)).unwrap().to_vec());
    let wrong = format!(". IN DS 1 13 2 {}\n", "ab".repeat(32));
    lab.world.change(|state| state.disk.overwrite(Path::new(ANCHOR), wrong.as_bytes(), 0o644).unwrap());
    renew_any(&lab);
    nothing_happens(&lab, DAY);
    lab.world.change(|state| state.disk.overwrite(Path::new(ANCHOR), &right, 0o644).unwrap());
    lab.until(HOUR, DAY, |lab| serves(lab) == [2]);
    settle(&lab, MX);
}

/// A CNAME at the owner, within the zone and into another one, which is unsigned or bogus.
#[test]
fn a_cname_is_validated_step_by_step() {
    for (target, signed, bogus) in [
        ("tlsa.example.com", true, false),
        ("tlsa.example.net", true, false),
        ("tlsa.example.net", false, false),
        ("tlsa.example.net", true, true),
    ] {
        let setup = Lab::with(MX, "311 25").secondary("ns2", 60).validating();
        let lab = setup.global("ttl = 3600\napi = exec /sim/provider follow").start();
        lab.world.change(|state| {
            let mut net = Zone::new("example.net", signed, &["ns2.example.com"]);
            net.flaw = bogus.then_some(Flaw::Forged);
            state.dns.add_zone(net, &["ns2.example.com"]);
        });
        lab.world.edit_zone(&name("."), |root| {
            root.add(&name("example.net"), 3600, RData::NS(NS(name("ns2.example.com").to_name())));
            !signed || root.add(&name("example.net"), 3600, Zone::delegation_signer("example.net"))
        });
        lab.world.edit_zone(&name(APEX), |zone| zone.add(&name(OWNER), 1800, alias(target)));
        lab.pass(2 * MINUTE);
        assert!(lab.run(&["--reset"]) <= i32::from(bogus), "{}", lab.told());
        lab.serve();
        (0..4).for_each(|_| {
            assert!(lab.run(&[]) <= i32::from(bogus), "{target} {signed}: {}", lab.told());
            lab.pass(2 * HOUR);
        });
        let zone = if target.ends_with("net") { "example.net" } else { APEX };
        let published = lab.world.look(|state| state.dns.zone(&name(zone)).associations(&name(target)));
        let wanted = if bogus { vec![] } else { vec![lab.record(MX, 1, EE)] };
        assert_eq!(published, wanted, "{target} {signed} {bogus}: {}", lab.told());
    }
}

//! What a renewal leaves behind: keys, issuers, halves, and the next renewal too early.

use super::{EE, MX, OWNER, STEPS, count, now, ready, serves, settle};
use crate::{
    certs::{Algorithm, Flaw, Renewal},
    lab::{DANE, DAY, HOUR, Lab, MINUTE, service_name},
};
use daneroll::env::{
    Files,
    sim::service::{Reads, Service},
};
use std::path::Path;

const WAIT: u64 = 2 * HOUR;
const NEW_ISSUER: Renewal = Renewal { reuse_key: true, algorithm: Algorithm::P256, issuer: 1, flaw: Flaw::None };

fn same_key() -> Renewal {
    Renewal { reuse_key: true, ..Renewal::default() }
}

/// S1, S2: a new key. The switch comes when twice the TTL has passed, and with the first run after that; provider calls: one
/// to publish, one to delete.
#[test]
fn s01_s02_a_new_key() {
    for reads in [Reads::OnReload, Reads::Anytime] {
        let lab = ready(Lab::with(MX, "311 25").reads(reads));
        let serial = lab.serial();
        lab.renew(MX, Renewal::default());
        let published = now(&lab);
        assert_eq!((serves(&lab), count(&lab, OWNER)), (vec![1], 2));
        let switched = lab.until(10 * MINUTE, DAY, |lab| serves(lab) == [2]);
        assert!((WAIT..=WAIT + 10 * MINUTE + STEPS).contains(&(switched - published)), "{}", switched - published);
        assert_eq!(count(&lab, OWNER), 2);
        let deleted = lab.until(10 * MINUTE, DAY, |lab| count(lab, OWNER) == 1);
        assert!((WAIT..=WAIT + 10 * MINUTE + STEPS).contains(&(deleted - switched)), "{}", deleted - switched);
        settle(&lab, MX);
        assert_eq!(lab.serial() - serial, 2);
        assert!(!lab.told().contains("WARN"), "{}", lab.told());
    }
}

/// S8: renewals faster than the wait do not starve the switch, and leave nothing behind.
#[test]
fn s08_renewals_faster_than_the_wait() {
    let lab = ready(Lab::with(MX, "311 25"));
    let mut switches = 0;
    let mut served = lab.certbot.fullchain(MX, 1);
    for _ in 0..96 {
        lab.renew(MX, Renewal::default());
        lab.pass(15 * MINUTE);
        assert_eq!(lab.run(&[]), 0, "{}", lab.told());
        lab.pass(15 * MINUTE);
        let shown = lab.world.look(|state| state.services[&service_name(25, MX)].presented()[0].to_vec());
        switches += usize::from(shown != served);
        served = shown;
        assert!(count(&lab, OWNER) <= 6, "{} records", count(&lab, OWNER));
    }
    assert!(switches >= 48 / 3 - 2, "{switches} switches in two days");
    lab.cron(HOUR, DAY);
    lab.assert_settled(MX);
    let stored = lab.world.list(&Path::new(DANE).join(".store").join(MX)).unwrap();
    assert_eq!(stored.len(), 1, "{stored:?}");
}

/// S9, S10, S12: what cannot be served is not switched to, and is told; the next good renewal goes through.
#[test]
fn s09_broken_renewals() {
    for (line, flaw, told) in [
        ("311 25", Flaw::WrongKey, "the key does not belong to the certificate"),
        ("311 25", Flaw::Torn, "fullchain.pem"),
        ("311 25", Flaw::Unreadable, "privkey.pem"),
        ("311 25", Flaw::LinksMoved(1), "fullchain.pem"),
        ("311 25", Flaw::LinksMoved(3), "privkey.pem"),
        ("211 25", Flaw::EmptyChain, "211 at _25._tcp.mx.example.com."),
    ] {
        let lab = ready(Lab::with(MX, line));
        assert_eq!(lab.run(&["--pre"]), 0);
        lab.certbot.renew(MX, Renewal { flaw, ..Renewal::default() });
        for args in [&["--post"][..], &[], &[]] {
            assert_eq!(lab.run(args), 1, "{flaw:?}");
            lab.assert_told(&["ERROR", MX, told]);
            lab.pass(DAY);
        }
        assert_eq!(lab.presented(&service_name(25, MX), MX)[..1], [1], "{flaw:?}");
        lab.assert_clean();
        assert_eq!(lab.run(&["--pre"]), 0, "{flaw:?} {}", lab.told());
        lab.world.clear_faults();
        lab.certbot.renew(MX, Renewal::default());
        // Usage 2 goes on waiting for the chain without an issuer until the good one is served.
        let half = i32::from(flaw == Flaw::EmptyChain);
        assert_eq!(lab.run(&["--post"]), half, "{flaw:?} {}", lab.told());
        lab.pass(3 * HOUR);
        assert_eq!(lab.run(&[]), 0, "{flaw:?} {}", lab.told());
        settle(&lab, MX);
    }
}

/// S10, S11, S13, S29: every parameter through renewals with other keys, the same key, and another issuer.
#[test]
fn s10_parameters_and_keys() {
    for line in ["311 25", "301 25", "310 25", "312 25", "302 25", "300 25", "211 25", "201 25", "210 25", "202 25"] {
        let lab = ready(Lab::with(MX, line));
        for renewal in [
            Renewal::default(),
            same_key(),
            Renewal { algorithm: Algorithm::Rsa, ..NEW_ISSUER },
            Renewal { reuse_key: false, algorithm: Algorithm::Rsa, ..NEW_ISSUER },
            Renewal { algorithm: Algorithm::Ed25519, ..Renewal::default() },
            Renewal { algorithm: Algorithm::P384, ..NEW_ISSUER },
        ] {
            let serial = lab.serial();
            lab.renew(MX, renewal);
            settle(&lab, MX);
            assert!(lab.serial() - serial <= 2, "{line} {renewal:?}");
        }
    }
}

/// Other parameters just before a renewal: the old record goes, and until caches have forgotten it a client that knows no other
/// digest type goes by it alone.
#[test]
fn s10_parameters_before_a_renewal() {
    for (before, after) in [("301 25", "312"), ("312 25", "301"), ("311 25", "301"), ("211 25", "312")] {
        let mut lab = ready(Lab::with(MX, before).secondary("ns2", 10 * MINUTE).line("pin = always"));
        lab.reconfigure(|setup| setup.parameters(&[after], 25));
        for _ in 0..2 {
            lab.certbot.renew(MX, Renewal { issuer: 1, ..Renewal::default() });
            assert_eq!(lab.run(&["deploy"]), 0, "{}", lab.told());
            lab.pass(20 * MINUTE);
        }
        lab.cron(HOUR, 2 * DAY);
        lab.assert_settled(MX);
    }
}

/// S29: nothing to publish, nothing to wait for, nothing to delete.
#[test]
fn s29_the_same_key() {
    let lab = ready(Lab::with(MX, "311 25"));
    let serial = lab.serial();
    lab.renew(MX, same_key());
    assert_eq!(lab.run(&[]), 0);
    assert_eq!(serves(&lab), [2]);
    settle(&lab, MX);
    assert_eq!(lab.serial(), serial);
}

/// S39: twice before the first wait is over, once with the same key, once with a new one, in every order.
#[test]
fn s39_two_renewals_in_one_wait() {
    let kinds = [Renewal::default(), same_key(), NEW_ISSUER];
    for line in ["311 25", "301 25", "211 25"] {
        for (at, first) in kinds.iter().enumerate() {
            for (second, pause) in kinds.iter().zip([MINUTE, 110 * MINUTE, 4 * HOUR].iter().cycle().skip(at)) {
                let lab = ready(Lab::with(MX, line).reads(Reads::Anytime));
                lab.renew(MX, *first);
                lab.pass(*pause);
                lab.renew(MX, *second);
                settle(&lab, MX);
                lab.cron(3 * HOUR, 9 * HOUR);
                lab.assert_settled(MX);
            }
        }
    }
}

/// Two lineages at one owner, the second with a service of its own at the same port.
fn two_at_one_owner(line: &str) -> Lab {
    const OTHER: &str = "other.example.com";
    let lab = Lab::with(MX, line)
        .lineage(OTHER)
        .line(&format!("tlsa = {line} {MX}"))
        .line("reload = /sim/reload other")
        .global("ttl = 3600")
        .api_rfc2136() // a program that publishes one by one cannot begin with two keys
        .start();
    lab.certbot.delete(OTHER);
    lab.certbot.issue(OTHER, &[OTHER, MX], 90);
    assert_eq!(lab.run(&["--reset"]), 0);
    lab.serve();
    lab.world.serve(Service::new("other", MX, 25, Path::new(DANE).join(OTHER)));
    lab.cron(3 * HOUR, 9 * HOUR);
    lab
}

fn assert_both(lab: &Lab, parameters: [u8; 3]) {
    lab.assert_clean();
    let mut wanted = Vec::new();
    for (lineage, service) in [(MX, service_name(25, MX)), ("other.example.com", "other".into())] {
        let newest = lab.certbot.number(lineage);
        assert_eq!(lab.presented(&service, lineage), [newest], "{lineage}");
        wanted.push(lab.record(lineage, newest, parameters));
    }
    wanted.sort();
    wanted.dedup();
    let mut published = lab.published(OWNER);
    published.sort();
    assert_eq!(published, wanted);
}

/// S14: RSA and ECDSA side by side at one name, renewed in turn, together, and again while the other waits.
#[test]
fn s14_two_lineages_at_one_owner() {
    let rsa = Renewal { algorithm: Algorithm::Rsa, ..Renewal::default() };
    let lab = two_at_one_owner("311 25");
    assert_both(&lab, EE);
    for pause in [0, HOUR, 3 * HOUR, 12 * HOUR] {
        lab.renew(MX, Renewal::default());
        lab.pass(pause);
        lab.renew("other.example.com", rsa);
        lab.cron(HOUR, 14 * HOUR);
        assert_both(&lab, EE);
    }
}

/// S40: one record for two lineages; one of them moves to another issuer, then the other, then both back.
#[test]
fn s40_one_record_for_two_lineages() {
    let lab = two_at_one_owner("211 25");
    assert_eq!(count(&lab, OWNER), 1);
    for (lineages, issuer, records) in
        [(&[MX][..], 1, 2), (&["other.example.com"], 1, 1), (&[MX, "other.example.com"], 0, 1)]
    {
        lineages.iter().for_each(|lineage| lab.renew(lineage, Renewal { issuer, ..Renewal::default() }));
        lab.cron(HOUR, 14 * HOUR);
        assert_both(&lab, [2, 1, 1]);
        assert_eq!(count(&lab, OWNER), records);
    }
}

/// S38: two lineages in one certbot run; the deploy hook of the first must not expose the second.
#[test]
fn s38_deploy_hooks_in_one_certbot_run() {
    let lab = ready(Lab::with(MX, "311 25").lineage("www.example.com").tlsa("311 443"));
    assert_eq!(lab.run(&["--pre"]), 0);
    for lineage in [MX, "www.example.com"] {
        lab.certbot.renew(lineage, Renewal::default());
        assert_eq!(lab.deploy(lineage), 0, "{}", lab.told());
        assert_eq!(lab.run(&[]), 0, "a run from cron in between");
    }
    assert_eq!((count(&lab, OWNER), count(&lab, "_443._tcp.www.example.com")), (2, 2));
    assert_eq!(lab.run(&["--post"]), 0);
    settle(&lab, MX);
    lab.assert_settled("www.example.com");
}

//! `tlsa` lines whose hosts are looked up: `mx:` and `san`.

use super::{EE, HOUR, MX, now, serves};
use crate::{
    certs::Renewal,
    lab::{APEX, DANE, DAY, Lab, MINUTE, STATE, Setup, service_name},
};
use daneroll::env::sim::{
    dns::Tamper,
    service::Service,
    zone::{Zone, address, alias, mail, name},
};
use hickory_resolver::proto::{
    op::ResponseCode,
    rr::{RData, RecordType, rdata::NS},
};
use std::{path::Path, rc::Rc};

const MX2: &str = "mx2.example.com";
const MX3: &str = "mx3.example.com";
const OWNER2: &str = "_25._tcp.mx2.example.com";
const OWNER3: &str = "_25._tcp.mx3.example.com";

/// Publishes these MX records of a domain, TTL 3600, in place of others.
fn publish_mx(lab: &Lab, domain: &str, hosts: &[(u16, &str)]) {
    let edit = |zone: &mut Zone| {
        zone.delete_set(&name(domain), RecordType::MX);
        hosts.iter().for_each(|(preference, host)| _ = zone.add(&name(domain), 3600, mail(*preference, host)));
        true
    };
    lab.world.edit_zone(&name(APEX), edit);
}

/// Lets MX questions fail, or no longer.
fn fail(lab: &Lab, code: Option<ResponseCode>) {
    let tamper = |code: ResponseCode| -> Tamper {
        Rc::new(move |ask, message| {
            if ask.kind == RecordType::MX {
                message.answers.clear();
                message.metadata.response_code = code;
            }
        })
    };
    lab.world.change(|state| state.dns.tamper = code.map(tamper));
}

/// Mail hosts by MX, each with a service that presents the lineage's certificate.
fn mail_hosts(line: &str, hosts: &[&str]) -> Setup {
    let setup = Lab::with(MX, "311 25").only(line).secondary("ns2", 60).global("ttl = 3600");
    hosts.iter().fold(setup, |setup, host| setup.service(25, host))
}

fn begin(setup: Setup, domain: &str, hosts: &[(u16, &str)]) -> Lab {
    let lab = setup.start();
    publish_mx(&lab, domain, hosts);
    assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
    lab.serve();
    lab.cron(3 * HOUR, 9 * HOUR);
    lab.assert_settled(MX);
    lab
}

const BOTH: [(u16, &str); 2] = [(10, MX), (10, MX2)];

/// All mail hosts of a domain, of equal preference and not, also by a CNAME at the domain, and with its name in either form.
#[test]
fn all_mail_hosts_of_a_domain() {
    for (line, domain) in [
        ("311 25 mx:example.com", "example.com"),
        ("311 25 mx:mail.example.com", "mail.example.com"),
        ("311 25 mx:bücher.example.com", "xn--bcher-kva.example.com"),
        ("311 25 mx:xn--BCHER-kva.example.com.", "xn--bcher-kva.example.com"),
    ] {
        let lab = begin(mail_hosts(line, &[MX, MX2, MX3]), domain, &[(10, MX), (10, MX2), (20, MX3)]);
        lab.renew(MX, Renewal::default());
        lab.cron(2 * HOUR, 14 * HOUR);
        lab.assert_settled(MX);
    }
    let lab = mail_hosts("311 25 mx:www.example.com", &[MX, MX2]).start();
    lab.world.edit_zone(&name(APEX), |zone| zone.add(&name("www.example.com"), 60, alias("example.com")));
    publish_mx(&lab, "example.com", &BOTH);
    assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
    lab.serve();
    lab.cron(3 * HOUR, 9 * HOUR);
    lab.assert_settled(MX);
}

/// A host that joins gets its first record by the rules for a new owner; one that leaves keeps its records, also those of a
/// rollover meanwhile, until no cache names it any more.
#[test]
fn mail_hosts_come_and_go() {
    let mut lab = begin(mail_hosts("311 25 mx:example.com", &[MX, MX2]), "example.com", &BOTH);
    publish_mx(&lab, "example.com", &[(10, MX), (10, MX3)]);
    lab.world.edit_zone(&name(APEX), |zone| zone.add(&name(MX3), 60, address([192, 0, 2, 25].into())));
    lab.pass(MINUTE);
    let left = now(&lab);
    assert_eq!(lab.run(&[]), 0);
    lab.assert_told(&["waiting to publish at _25._tcp.mx3.example.com.", "192.0.2.25:25"]);
    assert!(!lab.is_published(OWNER3), "nothing answers there yet");
    assert_eq!(lab.published(OWNER2), [lab.record(MX, 1, EE)]);
    assert_eq!(lab.run(&["--pre"]), 0);
    lab.certbot.renew(MX, Renewal::default());
    assert_eq!(lab.run(&["--post"]), 0, "{}", lab.told());
    assert_eq!(lab.published(OWNER2).len(), 2, "mail may still come to it");
    // Its service is there now.
    lab.reconfigure(|setup| setup.service(25, MX3));
    let directory = Path::new(DANE).join(MX);
    lab.world.serve(Service::new(&service_name(25, MX3), MX3, 25, &directory));
    let gone = lab.until(10 * MINUTE, 5 * HOUR, |lab| !lab.is_published(OWNER2)) - left;
    assert!((2 * HOUR..=2 * HOUR + 12 * MINUTE).contains(&gone), "{gone}: {}", lab.told());
    lab.cron(HOUR, 3 * DAY);
    lab.assert_clean();
    assert_eq!(serves(&lab), [2], "{}", lab.told());
    assert_eq!(lab.published(OWNER3), [lab.record(MX, 2, EE)]);
    assert!(!lab.is_published(OWNER2));
}

/// Unknown is not absent: while the lookup fails, the set of before counts, also for a renewal.
#[test]
fn a_lookup_that_fails() {
    for code in [ResponseCode::ServFail, ResponseCode::Refused] {
        let lab = begin(mail_hosts("311 25 mx:example.com", &[MX, MX2]), "example.com", &BOTH);
        fail(&lab, Some(code));
        lab.renew(MX, Renewal::default());
        for owner in [super::OWNER, OWNER2] {
            assert_eq!(lab.published(owner).len(), 2, "{code} {owner}: {}", lab.told());
        }
        lab.assert_told(&["WARN", "the MX records of example.com cannot be looked up"]);
        fail(&lab, None);
        lab.cron(2 * HOUR, 14 * HOUR);
        lab.assert_settled(MX);
    }
}

/// A set that is empty, unsigned or unwanted is an error that names the cure, and what was published stays.
#[test]
fn a_set_that_does_not_count() {
    for (what, hosts, words) in
        [("none", &[][..], "example.com has no MX records"), ("null", &[(0, ".")], "wants no mail")]
    {
        let lab = begin(mail_hosts("311 25 mx:example.com", &[MX, MX2]), "example.com", &BOTH);
        publish_mx(&lab, "example.com", hosts);
        for _ in 0..5 {
            lab.pass(DAY);
            assert_eq!(lab.run(&[]), 1, "{what}");
            lab.assert_told(&[
                "ERROR",
                "mx.example.com: \"mx:example.com\"",
                words,
                "kept: mx.example.com, mx2.example.com",
            ]);
        }
        assert!(lab.is_published(OWNER2), "{what}");
        publish_mx(&lab, "example.com", &BOTH);
        lab.renew(MX, Renewal::default());
        lab.cron(2 * HOUR, 14 * HOUR);
        lab.assert_settled(MX);
    }
    let lab = mail_hosts("311 25 mx:example.com", &[MX]).unsigned().start();
    publish_mx(&lab, "example.com", &[(10, MX)]);
    assert_eq!(lab.run(&["--reset"]), 1);
    lab.serve();
    assert_eq!(lab.run(&[]), 1);
    lab.assert_told(&["the MX records of example.com are not signed", "into `tlsa` lines of their own"]);
    assert!(!lab.is_published(super::OWNER));
}

/// The journal's file of the lineage is lost while nobody can look the hosts up: it keeps its records, publishes new ones where it
/// published before, and does not switch.
#[test]
fn a_journal_that_is_lost() {
    let lab = begin(mail_hosts("311 25 mx:example.com", &[MX, MX2]), "example.com", &BOTH);
    let file = Path::new(STATE).join("lineages/mx.example.com.json");
    lab.world.change(|state| state.disk.remove(&file).unwrap());
    fail(&lab, Some(ResponseCode::ServFail));
    assert_eq!(lab.run(&[]), 0, "{}", lab.told());
    lab.assert_told(&["waiting to find the hosts of \"mx:example.com\"", "cannot be looked up"]);
    lab.renew(MX, Renewal::default());
    for _ in 0..6 {
        lab.pass(DAY);
        lab.run(&[]);
    }
    assert_eq!((serves(&lab), lab.published(OWNER2).len()), (vec![1], 2), "{}", lab.told());
    lab.assert_told(&["waiting to switch", "the hosts of \"mx:example.com\" are not known yet"]);
    fail(&lab, None);
    lab.cron(2 * HOUR, 3 * DAY);
    lab.assert_settled(MX);
}

/// All names of the certificate, but no wildcards. A name that leaves it keeps its records until the old certificate is out of
/// use; one that comes gets its record before the switch.
#[test]
fn names_of_the_certificate() {
    const A: &str = "a.example.com";
    const B: &str = "b.example.com";
    const C: &str = "c.example.com";
    for (line, kind) in [("311 443 san", EE), ("301 443 san", [3, 0, 1]), ("211 443 san", [2, 1, 1])] {
        let setup = Lab::with(A, "311 443").only(line).names(&[A, B, "*.d.example.com"]).secondary("ns2", 60);
        let lab = setup.service(443, A).service(443, B).service(443, C).global("ttl = 3600").start();
        let owners = [A, B, C].map(|host| format!("_443._tcp.{host}"));
        let published = |lab: &Lab| owners.iter().map(|owner| lab.published(owner).len()).collect::<Vec<_>>();
        assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
        lab.serve();
        lab.cron(3 * HOUR, 9 * HOUR);
        assert_eq!(published(&lab), [1, 1, 0], "{line}: {}", lab.told());
        lab.certbot.certify(A, &[A, C]);
        lab.renew(A, Renewal::default());
        let before = if line.starts_with('2') { [1, 1, 0] } else { [2, 2, 2] };
        assert_eq!(published(&lab), before, "{line}: {}", lab.told());
        lab.cron(HOUR, 2 * DAY);
        lab.assert_clean();
        assert_eq!(lab.presented(&service_name(443, A), A), [2], "{line}: {}", lab.told());
        assert_eq!(published(&lab), [1, 0, 1], "{line}: {}", lab.told());
        for owner in [&owners[0], &owners[2]] {
            assert_eq!(lab.published(owner), [lab.record(A, 2, kind)], "{line}");
        }
    }
}

/// A mail host in a zone that the provider cannot edit: nothing is sent there, it is told by name, and the other hosts get theirs.
#[test]
fn a_mail_host_of_somebody_else() {
    const BACKUP: &str = "backup.other.com";
    for api in ["rfc2136 ns1.example.com", "rfc2136 ns1.example.com zone:example.com"] {
        let lab = mail_hosts("311 25 mx:example.com", &[MX]).global(&format!("api = {api}")).start();
        lab.world.edit_zone(&name("com"), |zone| {
            zone.add(&name("other.com"), 3600, RData::NS(NS(name("ns.other.com").to_name())));
            zone.add(&name("other.com"), 3600, Zone::delegation_signer("other.com"));
            zone.add(&name("ns.other.com"), 3600, address([192, 0, 2, 99].into()))
        });
        lab.world.change(|state| {
            let mut zone = Zone::new("other.com", true, &["ns.other.com"]);
            zone.add(&name("ns.other.com"), 3600, address([192, 0, 2, 99].into()));
            zone.add(&name(BACKUP), 3600, address([192, 0, 2, 25].into()));
            state.dns.add_server("ns.other.com", &["192.0.2.99"]);
            state.dns.add_zone(zone, &["ns.other.com"]);
        });
        publish_mx(&lab, "example.com", &[(10, MX), (20, BACKUP)]);
        assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
        lab.serve();
        // It presents our certificate, so nothing but the zone speaks against a record.
        let directory = Path::new(DANE).join(MX);
        lab.world.serve(Service::new("backup", BACKUP, 25, &directory));
        lab.world.trace();
        assert_eq!(lab.run(&[]), 1, "{api}");
        lab.assert_told(&[
            "_25._tcp.backup.other.com.: cannot publish",
            if api.contains("zone:") { "is not in zone" } else { "name the primary server of its zone" },
        ]);
        assert_eq!(lab.published(super::OWNER), [lab.record(MX, 1, EE)], "{api}: {}", lab.told());
        let sent = lab.world.trace().iter().filter(|effect| effect.contains(" exchange ")).count();
        assert_eq!(sent, 1, "{api}: one update, for the host of ours");
        lab.assert_clean();
    }
}

/// Two lineages at the mail hosts, one certificate beside the other, and a host leaves: its records go together, for each alone
/// would leave the other certificate without one; and later renewals are not held up.
#[test]
fn a_host_of_two_lineages_leaves() {
    const OTHER: &str = "other.example.com";
    let setup = mail_hosts("311 25 mx:example.com", &[MX, MX2]).api_rfc2136().lineage(OTHER);
    let lab = setup.line("tlsa = 311 25 mx:example.com").line("reload = /bin/true").start();
    publish_mx(&lab, "example.com", &BOTH);
    assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
    lab.serve();
    lab.cron(3 * HOUR, 9 * HOUR);
    assert_eq!(lab.published(OWNER2).len(), 2, "{}", lab.told());
    publish_mx(&lab, "example.com", &[(10, MX)]);
    lab.cron(HOUR, 6 * HOUR);
    assert!(!lab.is_published(OWNER2), "{}", lab.told());
    lab.renew(MX, Renewal::default());
    lab.cron(HOUR, 12 * HOUR);
    lab.assert_clean();
    assert_eq!(serves(&lab), [2], "{}", lab.told());
}

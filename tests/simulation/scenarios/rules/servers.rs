//! Every address of every server: what it said, does not say, and may have said.

use super::super::tools::*;
use crate::{
    certs::Renewal,
    lab::{APEX, DAY, HOUR, Lab},
};
use daneroll::env::sim::{
    dns::Mode,
    zone::{Zone, address, alias, name},
};
use hickory_resolver::proto::rr::{RData, rdata::NS};
use std::rc::Rc;

const NS1: &str = "ns1.example.com";
const NS2: &str = "ns2.example.com";
const NS3: &str = "ns3.example.com";

fn ns(server: &str) -> RData {
    RData::NS(NS(name(server).to_name()))
}

/// Adds a server to the zone, its copy up to date.
fn add_server(lab: &Lab, server: &str, ip: &str) {
    let apex = name(APEX);
    lab.world.change(|state| {
        let zone = state.dns.zone(&apex).clone();
        state.dns.add_server(server, &[ip]).zones.insert(apex.clone(), zone);
    });
    lab.world.edit_zone(&apex, |zone| {
        zone.add(&name(server), 3600, address(ip.parse().unwrap())) && zone.add(&apex, 86_400, ns(server))
    });
    lab.world.edit_zone(&name("com"), |zone| zone.add(&apex, 172_800, ns(server)));
}

fn remove_server(lab: &Lab, server: &str) {
    for zone in [APEX, "com"] {
        lab.world.edit_zone(&name(zone), |zone| zone.delete(&name(APEX), &ns(server)));
    }
}

/// An address that is asked for the first time may have shown until now what the others showed.
#[test]
fn new_address_counts_as_the_worst() {
    let lab = Lab::with(MX, "311 25").start();
    first_use(&lab);
    lab.renew(MX, Renewal::default());
    lab.cron(600, 5400);
    add_server(&lab, NS3, "192.0.2.33");
    assert_switches_after(&lab, MX, 6900, "from when it was first asked");
}

/// A server whose serial went back was restored from an older copy, and may have shown anything of it meanwhile.
#[test]
fn serial_that_goes_back_starts_anew() {
    let lab = Lab::with(MX, "311 25").secondary("ns2", 0).start();
    first_use(&lab);
    lab.renew(MX, Renewal::default());
    lab.cron(600, 5400);
    lab.world.change(|state| {
        let mut zone: Zone = (**state.dns.zone(&name(APEX))).clone();
        zone.serial -= 2;
        zone.bump();
        state.dns.server(NS2).zones.insert(name(APEX), Rc::new(zone));
    });
    assert_switches_after(&lab, MX, 6900, "from when that was seen");
}

/// A server that leaves the NS set is still asked by resolvers that hold the old set: for twice its TTL, two days here. Its
/// old answer then lives for its own TTL, and then nobody waits for it any more.
#[test]
fn address_that_leaves_counts_for_twice_the_ns_ttl() {
    let lab = Lab::with(MX, "311 25").secondary("ns2", 0).start();
    first_use(&lab);
    lab.world.set_server(NS2, |server| server.frozen = true);
    remove_server(&lab, NS2);
    lab.cron(HOUR, 2 * HOUR);
    lab.renew(MX, Renewal::default());
    assert_switches_after(&lab, MX, 4 * DAY, "twice two days");
}

/// The same for one that shows the new record: it harms nobody, so nobody waits.
#[test]
fn address_that_leaves_and_matches_is_no_reason() {
    let lab = Lab::with(MX, "311 25").secondary("ns2", 0).start();
    first_use(&lab);
    remove_server(&lab, NS2);
    lab.cron(HOUR, 2 * HOUR);
    lab.renew(MX, Renewal::default());
    assert_switches_after(&lab, MX, 6900, "as if it were listed");
}

/// Unknown is neither up nor gone, whatever it looks like: nothing is switched, and nothing is deleted.
#[test]
fn unknown_is_neither_up_nor_gone() {
    for mode in [Mode::Down, Mode::Refuses, Mode::ServFail, Mode::Lame] {
        let lab = Lab::with(MX, "311 25").secondary("ns2", 0).start();
        first_use(&lab);
        lab.renew(MX, Renewal::default());
        lab.world.set_server(NS2, |server| server.mode = mode);
        cron_any(&lab, 4 * HOUR, 5 * DAY);
        assert!(shows(&lab, MX, 1), "{mode:?}: not switched");
        lab.world.set_server(NS2, |server| server.mode = Mode::Answers);
        assert!(until_switched(&lab, MX, 900).is_some_and(|took| took < 8200), "{mode:?}");
        lab.world.set_server(NS2, |server| server.mode = mode);
        cron_any(&lab, 4 * HOUR, 5 * DAY);
        assert_eq!(lab.published(OWNER).len(), 2, "{mode:?}: not deleted");
        lab.world.set_server(NS2, |server| server.mode = Mode::Answers);
        lab.cron(2 * HOUR, DAY);
        lab.assert_settled(MX);
    }
}

/// Patience lets a silent address out only if its server matches at another one, and this host cannot reach the family.
#[test]
fn patience() {
    type Case =
        (&'static str, &'static [&'static str], (bool, bool), &'static [&'static str], &'static str, Option<u64>);
    let cases: [Case; 6] = [
        ("no route, same name", &["192.0.2.2", "2001:db8::2"], (true, false), &[], "", Some(86_400)),
        ("its own patience", &["192.0.2.2", "2001:db8::2"], (true, false), &[], "patience = 9000", Some(9000)),
        ("a route, so it may be there", &["192.0.2.2", "2001:db8::2"], (true, true), &["2001:db8::2"], "", None),
        ("no other address", &["2001:db8::2"], (true, false), &[], "", None),
        ("the other silent too", &["192.0.2.2", "2001:db8::2"], (true, false), &["192.0.2.2"], "", None),
        ("all well", &["192.0.2.2", "2001:db8::2"], (true, true), &[], "", Some(6900)),
    ];
    for (what, addresses, routes, silent, line, wait) in cases {
        let lab = Lab::with(MX, "311 25").secondary("ns2", 0).line(line).start();
        lab.world.change(|state| {
            state.dns.add_server(NS2, addresses);
            state.dns.server("ns2.example.com").silent = silent.iter().map(|ip| ip.parse().unwrap()).collect();
        });
        lab.world.edit_zone(&name(APEX), |zone| {
            zone.delete(&name(NS2), &address("192.0.2.2".parse().unwrap()));
            addresses.iter().all(|ip| zone.add(&name(NS2), 3600, address(ip.parse().unwrap())))
        });
        lab.world.change(|state| state.routes = routes);
        assert_eq!(lab.run(&["--reset"]), 0);
        lab.serve();
        cron_any(&lab, 4 * HOUR, 3 * DAY);
        lab.renew(MX, Renewal::default());
        match wait {
            Some(wait) => {
                assert_switches_after(&lab, MX, wait, what);
                cron_any(&lab, 4 * HOUR, 4 * DAY);
                lab.assert_settled(MX);
                assert_eq!((lab.run(&[]), lab.told().contains("waiting")), (0, false), "{what}: {}", lab.told());
            }
            None => assert_eq!(until_switched(&lab, MX, 3 * HOUR), None, "{what}"),
        }
    }
}

/// An address may have several names of servers, and each of these may have further addresses.
#[test]
fn patience_by_any_of_its_names() {
    let lab = Lab::with(MX, "311 25").secondary("ns2", 0).line("patience = 9000").start();
    lab.world.change(|state| {
        state.dns.add_server(NS2, &["192.0.2.2", "2001:db8::2"]);
        state.routes = (true, false);
    });
    lab.world.edit_zone(&name(APEX), |zone| {
        zone.add(&name(NS2), 3600, address("2001:db8::2".parse().unwrap()))
            && zone.add(&name(NS3), 3600, address("192.0.2.2".parse().unwrap()))
            && zone.add(&name(APEX), 86_400, ns(NS3))
    });
    assert_eq!(lab.run(&["--reset"]), 0);
    lab.serve();
    cron_any(&lab, 4 * HOUR, 3 * DAY);
    lab.renew(MX, Renewal::default());
    assert_switches_after(&lab, MX, 9000, "the address of both names answers");
    cron_any(&lab, 4 * HOUR, 4 * DAY);
    assert_eq!((lab.run(&[]), lab.told().contains("waiting")), (0, false), "{}", lab.told());
}

/// A server of an alias' zone that has told where it leads need not do so at an address that this host has no route to, and is not
/// asked for what it leads to.
#[test]
fn servers_of_an_alias() {
    for routes in [(true, false), (true, true)] {
        let setup = Lab::with(MX, "311 25").secondary("ns2", 0).global("ttl = 3600\napi = exec /sim/provider follow");
        let lab = setup.start();
        lab.world.change(|state| {
            state.dns.add_server(NS1, &["192.0.2.1", "2001:db8::1"]);
            state.dns.add_zone(Zone::new("example.net", false, &[NS2]), &[NS2]);
            state.routes = routes;
        });
        lab.world.edit_zone(&name("."), |root| root.add(&name("example.net"), 3600, ns(NS2)));
        lab.world.edit_zone(&name(APEX), |zone| {
            zone.add(&name(NS1), 3600, address("2001:db8::1".parse().unwrap()))
                && zone.add(&name(OWNER), 1800, alias("tlsa.example.net"))
        });
        assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
        lab.serve();
        cron_any(&lab, 4 * HOUR, DAY);
        // One answer is lost once.
        lab.world.set_server(NS1, |server| server.mode = Mode::Down);
        lab.run(&[]);
        lab.world.set_server(NS1, |server| server.mode = Mode::Answers);
        lab.renew(MX, Renewal::default());
        assert!(until_switched(&lab, MX, HOUR).is_some_and(|took| took < 20_000), "{routes:?}: {}", lab.told());
        cron_any(&lab, 4 * HOUR, 2 * DAY);
        assert_eq!((lab.run(&[]), lab.told().contains("waiting")), (0, false), "{routes:?}: {}", lab.told());
    }
}

/// With less than a third of its life left the served certificate cannot wait for a dead server for ever; but while no server
/// answers, it does.
#[test]
fn patience_of_an_old_certificate() {
    for (servers, switches) in [(&[NS2][..], true), (&[NS2, "ns1.example.com"], false)] {
        let lab = Lab::with(MX, "311 25").secondary("ns2", 0).valid_days(30).start();
        first_use(&lab);
        lab.renew(MX, Renewal::default());
        let life = |days| cron_any(&lab, 12 * HOUR, days * DAY);
        for server in servers {
            lab.world.set_server(server, |server| server.mode = Mode::Down);
        }
        life(14);
        assert!(shows(&lab, MX, 1), "at most 18 days old");
        life(8);
        assert_eq!(shows(&lab, MX, 2), switches);
        lab.assert_clean();
    }
}

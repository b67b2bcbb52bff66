//! What counts as an answer, and for how long.

use super::super::tools::*;
use crate::{
    certs::Renewal,
    lab::{APEX, DAY, HOUR, Lab, RESOLVER},
};
use daneroll::env::sim::zone::{alias, name, tlsa};
use hickory_resolver::proto::rr::RecordType;

/// Publishes the current certificate's record by another hand than daneroll's.
fn by_hand(lab: &Lab, owner: &str, ttl: u32) {
    lab.publish(owner, ttl, &lab.record(MX, 1, [3, 1, 1]));
}

/// The wait is twice the RRset's TTL, and never less than `ttl`, an hour by default.
#[test]
fn wait_is_twice_the_ttl_or_ttl() {
    for (existing, global, wait) in [
        (3600, "", 7200),
        (600, "", 3600),
        (7200, "", 14_400),
        (600, "ttl = 600", 1200),
        (60, "ttl = 600", 600),
        (3600, "ttl = 20000", 20_000),
        (600, "ttl = 0", 1200),
    ] {
        let lab = Lab::with(MX, "311 25").global(global).start();
        by_hand(&lab, OWNER, existing);
        first_use(&lab);
        lab.renew(MX, Renewal::default());
        assert_switches_after(&lab, MX, wait - 300, &format!("{existing} {global}"));
    }
}

/// Through a CNAME the TTLs add up.
#[test]
fn cname_adds_its_ttl() {
    for (alias_ttl, ttl) in [(5000, 2000), (300, 3600), (86_400, 60)] {
        let lab = Lab::with(MX, "311 25").api_rfc2136().start();
        lab.world.edit_zone(&name(APEX), |zone| zone.add(&name(OWNER), alias_ttl, alias("tlsa.example.com")));
        by_hand(&lab, "tlsa.example.com", ttl);
        first_use(&lab);
        lab.cron(HOUR, 2 * u64::from(alias_ttl));
        lab.renew(MX, Renewal::default());
        assert_switches_after(&lab, MX, 2 * u64::from(alias_ttl + ttl) - 300, &format!("{alias_ttl} + {ttl}"));
        assert!(!lab.published(OWNER).iter().any(|_| true), "published behind the CNAME");
    }
}

/// A denial is cached as well: what was no record yesterday is none in a cache today.
#[test]
fn denial_counts_as_long_as_it_is_cached() {
    for (minimum, soa_ttl, wait) in [(300, 3600, 600), (5000, 3600, 10_000), (3000, 30_000, 6000)] {
        let lab = Lab::with(MX, "311 25").api_rfc2136().line("record_ttl = 60").global("ttl = 60").start();
        lab.world.edit_zone(&name(APEX), |zone| {
            *zone = zone.clone().negative(minimum, soa_ttl);
            true
        });
        just_started(&lab);
        lab.renew(MX, Renewal::default());
        assert_switches_after(&lab, MX, wait - 500, &format!("{minimum} {soa_ttl}"));
    }
}

/// Before the first look nobody knows what was shown: a day counts, or `ttl` where it is set.
#[test]
fn before_the_first_look() {
    for (global, wait) in [("", 2 * DAY), ("ttl = 9000", 18_000)] {
        let lab = Lab::with(MX, "311 25").global(global).start();
        by_hand(&lab, OWNER, 60);
        just_started(&lab);
        lab.renew(MX, Renewal::default());
        assert_switches_after(&lab, MX, wait - 400, global);
    }
}

/// The TTL was lowered just before the renewal: caches filled before that keep the old one.
#[test]
fn lowered_ttl_counts_from_its_end() {
    let lab = Lab::with(MX, "311 25").start();
    by_hand(&lab, OWNER, 40_000);
    first_use(&lab);
    lab.cron(2 * HOUR, DAY);
    let record = lab.record(MX, 1, [3, 1, 1]);
    lab.world.edit_zone(&name(APEX), |zone| zone.add(&name(OWNER), 60, tlsa(&record)));
    lab.cron(HOUR, 2 * HOUR);
    lab.renew(MX, Renewal::default());
    assert_switches_after(&lab, MX, 80_000 - 2 * HOUR - 400, "from when it was first seen lowered");
}

/// A RRset made from a wildcard is none: the record is published at the owner itself before anything else.
#[test]
fn wildcard_counts_as_not_there() {
    let lab = Lab::with(MX, "311 25").start();
    by_hand(&lab, "*.example.com", 3600);
    just_started(&lab);
    assert_eq!(lab.published(OWNER), [lab.record(MX, 1, [3, 1, 1])]);
    lab.cron(4 * HOUR, 3 * DAY);
    lab.renew(MX, Renewal::default());
    lab.cron(2 * HOUR, DAY);
    lab.assert_settled(MX);
    assert_eq!(lab.published("*.example.com").len(), 1, "it is not ours");
}

/// An RRset keeps its TTL, whatever `record_ttl` says; a new one gets that.
#[test]
fn ttl_of_what_is_published() {
    for (existing, ttl) in [(Some(600), 600), (None, 1800)] {
        let lab = Lab::with(MX, "311 25").api_rfc2136().line("record_ttl = 1800").start();
        if let Some(ttl) = existing {
            by_hand(&lab, OWNER, ttl);
        }
        first_use(&lab);
        lab.renew(MX, Renewal::default());
        let set = || lab.world.look(|state| state.dns.zone(&name(APEX)).set(&name(OWNER), RecordType::TLSA).cloned());
        assert_eq!(set().map(|set| (set.ttl, set.data.len())), Some((ttl, 2)));
    }
}

/// No resolver: nobody knows the servers, so nothing is published, switched or deleted; all of it later.
#[test]
fn unknown_servers_wait() {
    let lab = Lab::with(MX, "311 25").start();
    first_use(&lab);
    let serial = lab.serial();
    let resolver = RESOLVER.parse().unwrap();
    lab.world.change(|state| state.dns.resolvers.insert(resolver, daneroll::env::sim::dns::Mode::ServFail));
    lab.renew(MX, Renewal::default());
    cron_any(&lab, 4 * HOUR, 2 * DAY);
    assert_eq!(lab.serial(), serial);
    lab.world.change(|state| state.dns.resolvers.insert(resolver, daneroll::env::sim::dns::Mode::Answers));
    lab.cron(2 * HOUR, DAY);
    lab.assert_settled(MX);
}

//! Which records are published and deleted, and whose they are.

use super::super::tools::*;
use crate::{
    certs::Renewal,
    lab::{CONFIG, DAY, HOUR, Lab},
};
use daneroll::env::{
    Files,
    sim::{dns::Updates, service::Reads},
};
use std::path::Path;

const P: [u8; 3] = [3, 1, 1];

fn rollover(lab: &Lab) {
    lab.renew(MX, Renewal::default());
    lab.cron(3 * HOUR, DAY);
    assert!(shows(lab, MX, lab.certbot.number(MX)));
    lab.assert_clean();
}

/// Records of others stay, in our group and in another one.
#[test]
fn foreign_records_stay() {
    let lab = Lab::with(MX, "311 25").start();
    lab.certbot.issue("other", &["other.example.com"], 90);
    let foreign = [lab.record("other", 1, P), lab.record("other", 1, [3, 0, 1]), lab.record("other", 1, [2, 0, 1])];
    first_use(&lab);
    for record in &foreign {
        lab.publish(OWNER, 3600, record);
    }
    for _ in 0..2 {
        rollover(&lab);
        let published = lab.published(OWNER);
        assert!(foreign.iter().all(|record| published.contains(record)) && published.len() == 4, "{published:?}");
    }
}

/// Somebody put a further digest type into our group: a client that prefers it would not look at ours, so the candidate is
/// published in that type too.
#[test]
fn foreign_digest_type_is_published_too() {
    let lab = Lab::with(MX, "311 25").start();
    first_use(&lab);
    let foreign = lab.record(MX, 1, [3, 1, 2]);
    lab.publish(OWNER, 3600, &foreign);
    lab.cron(HOUR, 2 * HOUR);
    rollover(&lab);
    // It was found rather than published, and probes show that nobody needs it any more. Then the type is no longer in use.
    assert_eq!(lab.published(OWNER), [lab.record(MX, 2, P)]);
    rollover(&lab);
}

/// We publish SHA-512 only, and somebody put a SHA-256 record of the certificate into another group: clients that know no SHA-512 go
/// by it. They would be let down by the switch, so it waits until it is gone, and says what to do.
#[test]
fn foreign_record_that_some_clients_have_nothing_beside() {
    let lab = Lab::with(MX, "312 25").start();
    first_use(&lab);
    let foreign = lab.record(MX, 1, [3, 0, 1]);
    lab.publish(OWNER, 3600, &foreign);
    lab.renew(MX, Renewal { reuse_key: true, ..Renewal::default() });
    lab.cron(3 * HOUR, DAY);
    assert!(shows(&lab, MX, 1));
    lab.run(&[]);
    lab.assert_told(&["add a `tlsa` line for 301"]);
    lab.unpublish(OWNER, &foreign);
    lab.cron(HOUR, 4 * HOUR);
    assert!(shows(&lab, MX, 2));
    lab.assert_clean();
}

/// Of several renewals that wait, the oldest and the newest are pursued; the records of those in between are withdrawn.
#[test]
fn generations_in_between_are_withdrawn() {
    let lab = Lab::with(MX, "311 25").start();
    first_use(&lab);
    for _ in 0..4 {
        lab.renew(MX, Renewal::default());
        lab.cron(600, 900);
    }
    let mut published = lab.published(OWNER);
    let mut wanted: Vec<_> = [1, 2, 5].map(|number| lab.record(MX, number, P)).into();
    wanted.sort();
    published.sort();
    assert_eq!(published, wanted);
    lab.cron(600, 2 * HOUR);
    assert!(shows(&lab, MX, 2) || shows(&lab, MX, 5), "the oldest was not starved");
    lab.cron(2 * HOUR, DAY);
    lab.assert_settled(MX);
}

/// A record whose delete nobody confirmed may be gone at any moment: it counts as absent until it was published and aged again,
/// however plainly it is to be seen.
#[test]
fn unconfirmed_delete_counts_as_absent() {
    for late in [None, Some(1200)] {
        let lab = Lab::with(MX, "211 25").start();
        first_use(&lab);
        lab.renew(MX, Renewal { issuer: 1, ..Renewal::default() });
        until_switched(&lab, MX, 600);
        let fate = late.map_or(Updates::Silent, Updates::SilentLater);
        lab.world.change(|state| state.dns.next_updates.push_back(fate));
        while lab.world.look(|state| !state.dns.next_updates.is_empty()) {
            lab.run(&[]);
            lab.pass(600);
        }
        assert_eq!(lab.published(OWNER).len(), 2);
        lab.renew(MX, Renewal::default());
        let took = until_switched(&lab, MX, 600);
        assert!(took.is_some_and(|took| (6000..10_000).contains(&took)), "{late:?}: {took:?}");
        lab.cron(4 * HOUR, 2 * DAY);
        lab.assert_settled(MX);
    }
}

/// A record that we deleted and that comes back is somebody else's.
#[test]
fn what_comes_back_is_foreign() {
    let lab = Lab::with(MX, "311 25").start();
    first_use(&lab);
    let old = lab.record(MX, 1, P);
    rollover(&lab);
    assert!(!lab.published(OWNER).contains(&old));
    lab.publish(OWNER, 3600, &old);
    rollover(&lab);
    rollover(&lab);
    assert!(lab.published(OWNER).contains(&old));
}

/// Records that were there before us, and those of owners that other hosts use, are deleted by nobody but a probe.
#[test]
fn found_and_shared_records_stay() {
    for (found, line) in [(true, ""), (false, "shared = yes")] {
        for probe in [true, false] {
            let lab =
                Lab::with(MX, "311 25").line(line).line(if probe { "probe = auto" } else { "probe = off" }).start();
            let first = lab.record(MX, 1, P);
            if found {
                lab.publish(OWNER, 3600, &first);
            }
            first_use(&lab);
            rollover(&lab);
            lab.cron(DAY, 10 * DAY);
            assert_eq!(lab.published(OWNER).contains(&first), !probe, "{line}");
            rollover(&lab);
            let kept = if found { 2 } else { 3 };
            assert_eq!(lab.published(OWNER).len(), if probe { 1 } else { kept }, "{line}: what we published goes");
        }
    }
}

/// Without `reload` and without probes nobody knows when processes let the old certificate go: its record stays until it has
/// expired.
#[test]
fn without_reload_until_expiry() {
    let lab = without_reload(20, "probe = off");
    let old = lab.record(MX, 1, P);
    rollover(&lab);
    lab.cron(6 * HOUR, 12 * DAY);
    assert!(lab.published(OWNER).contains(&old), "at 17 days of 20");
    lab.world.change(|state| state.restart_service("mx.example.com:25"));
    lab.cron(6 * HOUR, 4 * DAY);
    assert_eq!(lab.published(OWNER), [lab.record(MX, 2, P)]);
    lab.assert_clean();
}

/// Without `reload`, but with probes: a week after a restart that they saw, and not before, whatever the dates say.
#[test]
fn without_reload_a_week_unseen() {
    let lab = without_reload(20, "probe = auto");
    let old = lab.record(MX, 1, P);
    rollover(&lab);
    lab.cron(6 * HOUR, 30 * DAY);
    assert!(lab.published(OWNER).contains(&old), "expired, and presented all the same");
    lab.world.change(|state| state.restart_service("mx.example.com:25"));
    lab.cron(6 * HOUR, 6 * DAY + 18 * HOUR);
    assert!(lab.published(OWNER).contains(&old), "nearly a week");
    lab.cron(6 * HOUR, DAY);
    assert_eq!(lab.published(OWNER), [lab.record(MX, 2, P)]);
    lab.assert_clean();
}

fn without_reload(days: i64, line: &str) -> Lab {
    let lab = Lab::with(MX, "311 25").valid_days(days).line(line).start();
    configure(&lab, |text| text.lines().filter(|l| !l.starts_with("reload")).map(|l| format!("{l}\n")).collect());
    first_use(&lab);
    anytime(&lab, "mx.example.com:25");
    lab
}

/// `hold`: old records stay so long after the reload; by default as long as the switch waited, an hour at least.
#[test]
fn hold() {
    for (line, global, hold) in
        [("hold = 20000", "", 20_000), ("", "", 7200), ("", "ttl = 30000", 30_000), ("hold = 0", "", 0)]
    {
        let lab = Lab::with(MX, "311 25").global(global).line(line).start();
        first_use(&lab);
        lab.renew(MX, Renewal::default());
        until_switched(&lab, MX, 600);
        let began = lab.world.now();
        while lab.published(OWNER).len() == 2 {
            lab.pass(600);
            lab.run(&[]);
        }
        let took = (lab.world.now() - began) / 1000;
        assert!(took >= hold && took <= hold + 1200, "{line} {global}: {took}");
        lab.assert_settled(MX);
    }
}

/// Records that were lost are published again at the next look, which `recheck` sets; 0 is never.
#[test]
fn lost_records_are_published_again() {
    for (line, after) in
        [("", Some(3600)), ("recheck = 600", Some(600)), ("recheck = 3h", Some(10_800)), ("recheck = 0", None)]
    {
        let lab = Lab::with(MX, "311 25").line(line).start();
        first_use(&lab);
        lab.run(&[]);
        let record = lab.record(MX, 1, P);
        lab.unpublish(OWNER, &record);
        let began = lab.world.now();
        while !lab.is_published(OWNER) && lab.world.now() < began + 6 * HOUR * 1000 {
            lab.pass(120);
            lab.run(&[]);
        }
        let took = lab.is_published(OWNER).then(|| (lab.world.now() - began) / 1000);
        match (took, after) {
            (Some(took), Some(after)) => assert!(took <= after + 240, "{line}: {took}"),
            (took, after) => assert_eq!(took, after, "{line}"),
        }
        lab.assert_clean();
    }
}

/// A `tlsa` line that is removed: its records go, and while a cache may hold them they still bar a switch that they do not match.
#[test]
fn removed_line() {
    let lab = Lab::with(MX, "311 25").tlsa("311 465").start();
    first_use(&lab);
    let other = "_465._tcp.mx.example.com";
    lab.renew(MX, Renewal::default());
    let old = lab_set(&lab, other);
    lab.world.set_server("ns1.example.com", |server| {
        server.show(&daneroll::env::sim::zone::name(other), hickory_resolver::proto::rr::RecordType::TLSA, old);
    });
    configure(&lab, |text| text.replace("tlsa = 311 465\n", ""));
    cron_any(&lab, HOUR, 10 * HOUR);
    assert!(shows(&lab, MX, 1), "a server still shows the old record alone");
    lab.world.set_server("ns1.example.com", |server| server.overrides.clear());
    assert_switches_after(&lab, MX, 6900, "from when it was seen gone");
    lab.cron(2 * HOUR, DAY);
    assert!(!lab.is_published(other));
    assert_eq!(lab.published(OWNER), [lab.record(MX, 2, P)]);
    let owners = lab.world.list(Path::new("/var/lib/daneroll/owners")).unwrap();
    assert_eq!(owners.len(), 1, "forgotten when nothing is left: {owners:?}");
}

fn lab_set(lab: &Lab, owner: &str) -> Option<daneroll::env::sim::zone::RrSet> {
    let first = lab.record(MX, 1, P);
    let name = daneroll::env::sim::zone::name(owner);
    let data = vec![daneroll::env::sim::zone::tlsa(&first)];
    Some(daneroll::env::sim::zone::RrSet { name: name.to_name(), ttl: 3600, data })
}

/// `withdraw`: our records go, those of others stay, the pin ends when caches have forgotten, and nothing comes back.
#[test]
fn withdraw() {
    for foreign in [false, true] {
        let lab = Lab::with(MX, "311 25").line("pin = always").start();
        first_use(&lab);
        let theirs = lab.record(MX, 1, [3, 0, 1]);
        if foreign {
            lab.publish(OWNER, 3600, &theirs);
        }
        assert_eq!(lab.run(&["withdraw", MX]), 0);
        assert_eq!(lab.published(OWNER), if foreign { vec![theirs] } else { Vec::new() });
        assert!(is_pinned(&lab.world, MX), "caches still hold the records");
        lab.cron(600, 6000);
        assert!(is_pinned(&lab.world, MX), "twice the TTL");
        lab.cron(600, 2 * HOUR);
        assert!(!is_pinned(&lab.world, MX), "{foreign}");
        if !foreign {
            lab.certbot.renew(MX, Renewal::default());
            lab.cron(4 * HOUR, 2 * DAY);
            assert!(shows(&lab, MX, 2), "it follows live/ as if we were not there");
        }
        lab.assert_clean();
        assert_ne!(lab.run(&["withdraw", "nobody"]), 0);
    }
}

/// `withdraw` in the middle of a rollover.
#[test]
fn withdraw_during_a_rollover() {
    for after in [0, 3 * HOUR] {
        let lab = Lab::with(MX, "311 25").reads(Reads::Anytime).start();
        first_use(&lab);
        lab.renew(MX, Renewal::default());
        lab.cron(600, after);
        lab.run(&["withdraw", MX]);
        lab.cron(4 * HOUR, 2 * DAY);
        assert!(!lab.is_published(OWNER), "{after}");
        assert!(!is_pinned(&lab.world, MX) && shows(&lab, MX, 2), "{after}");
        lab.assert_clean();
        assert!(lab.world.stat(Path::new(CONFIG), true).is_ok());
    }
}

/// `withdraw` in the middle of a rollover, with what we knew of the owner lost: the links stay until no server and no cache has a record
/// that does not match what `live/` shows, whosever it is.
#[test]
fn withdraw_after_the_owner_was_forgotten() {
    for (line, removed) in [("311 25", false), ("311 25", true), ("311 25 san", false), ("311 25 san", true)] {
        let lab = Lab::with(MX, "311 25").only(line).service(25, MX).start();
        first_use(&lab);
        lab.renew(MX, Renewal::default());
        lab.unpublish(OWNER, &lab.record(MX, 2, P));
        for file in lab.world.list(Path::new("/var/lib/daneroll/owners")).unwrap() {
            lab.world.remove(&Path::new("/var/lib/daneroll/owners").join(file)).unwrap();
        }
        lab.run(&["withdraw", MX]);
        lab.cron(4 * HOUR, 4 * DAY);
        assert!(is_pinned(&lab.world, MX) && shows(&lab, MX, 1), "{line}");
        lab.assert_told(&["waiting to leave DANE", "3 1 1 record that matches"]);
        if removed {
            lab.unpublish(OWNER, &lab.record(MX, 1, P));
            lab.run(&[]);
            assert!(is_pinned(&lab.world, MX), "caches still hold it");
        } else {
            lab.publish(OWNER, 3600, &lab.record(MX, 2, P));
        }
        lab.cron(4 * HOUR, DAY);
        assert!(!is_pinned(&lab.world, MX) && shows(&lab, MX, 2), "{}", lab.told());
        lab.assert_clean();
    }
}

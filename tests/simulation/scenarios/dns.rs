//! Name servers, zones and providers that lag, lie, lose or share.

use super::{
    EE, MX, OWNER, STEPS, count, now, ready, serves, settle,
    tools::{cron_any, just_started},
};
use crate::{
    certs::Renewal,
    lab::{APEX, DAY, HOUR, Lab, MINUTE},
};
use daneroll::env::sim::{
    dns::{Mode, Updates},
    zone::{Zone, address, alias, name},
};
use hickory_resolver::proto::rr::{RData, RecordType, rdata::NS};

const NS2: &str = "ns2.example.com";

fn order(lab: &Lab, updates: &[Updates]) {
    lab.world.change(|state| state.dns.next_updates.extend(updates));
}

/// How often the provider was called since the last time.
fn calls(lab: &Lab) -> usize {
    lab.world.trace().iter().filter(|effect| effect.contains(" run /sim/provider")).count()
}

/// S3: the old RRset had a long TTL, and the TTL was lowered just before the renewal: caches keep the long one.
#[test]
fn s03_ttl_lowered_just_before() {
    for (long, lowered) in [(DAY, true), (DAY, false), (2 * DAY, true), (3 * HOUR, true)] {
        let lab = ready(Lab::with(MX, "311 25"));
        let first = lab.record(MX, 1, EE);
        lab.publish(OWNER, long as u32, &first);
        lab.cron(HOUR, 5 * HOUR);
        if lowered {
            lab.publish(OWNER, 300, &first);
        }
        let gone = now(&lab);
        lab.renew(MX, Renewal::default());
        let switched = lab.until(HOUR, 7 * DAY, |lab| serves(lab) == [2]) - gone;
        assert!((2 * long..=2 * long + HOUR + STEPS).contains(&switched), "{long} {lowered} {switched}");
        lab.cron(HOUR, 2 * DAY + 2 * long);
        lab.assert_settled(MX);
    }
}

/// S4: a secondary lags by hours, or hangs for days; the wait begins when the last server shows the record.
#[test]
fn s04_a_secondary_lags() {
    for lag in [90, 6 * HOUR, 3 * DAY] {
        let lab = Lab::with(MX, "311 25").secondary("ns2", lag).secondary("ns3", 0).global("ttl = 3600").start();
        assert_eq!(lab.run(&["--reset"]), 0);
        lab.serve();
        lab.until(HOUR, lag + DAY, |lab| lab.is_published(OWNER));
        lab.cron(2 * HOUR, lag + 6 * HOUR);
        lab.renew(MX, Renewal::default());
        let renewed = now(&lab);
        if lag > 90 {
            lab.pass(3 * HOUR);
            assert_eq!(lab.run(&[]), 0);
            lab.assert_told(&["waiting to switch to generation", "ns2.example.com (192.0.2.2:53) does not show"]);
        }
        let switched = lab.until(HOUR, lag + DAY, |lab| serves(lab) == [2]) - renewed;
        let earliest = lag.saturating_sub(STEPS) + 2 * HOUR; // post itself looks for a minute
        assert!((earliest..=lag + 4 * HOUR + STEPS).contains(&switched), "{lag} {switched}");
        lab.cron(HOUR, 2 * lag + 12 * HOUR);
        lab.assert_settled(MX);
    }
}

/// S16: a server that says nothing, or nothing useful, is waited for and named; nothing is published to or deleted from a zone
/// that nobody answers for.
#[test]
fn s16_a_server_without_an_answer() {
    for mode in [Mode::Down, Mode::Refuses, Mode::ServFail, Mode::Lame] {
        let lab = ready(Lab::with(MX, "311 25").secondary("ns2", 60));
        lab.renew(MX, Renewal::default());
        lab.world.set_server(NS2, |server| server.mode = mode);
        for _ in 0..6 {
            lab.pass(12 * HOUR);
            assert_eq!((lab.run(&[]), serves(&lab)), (0, vec![1]), "{mode:?}");
            lab.assert_told(&["waiting for name server ns2.example.com (192.0.2.2:53) to answer"]);
        }
        lab.world.set_server(NS2, |server| server.mode = Mode::Answers);
        lab.pass(60);
        let back = now(&lab);
        let switched = lab.until(10 * MINUTE, DAY, |lab| serves(lab) == [2]) - back;
        assert!(switched <= 2 * HOUR + 10 * MINUTE + STEPS, "{mode:?} {switched}");
        lab.world.set_server("ns1.example.com", |server| server.mode = mode);
        let serial = lab.serial();
        lab.cron(6 * HOUR, DAY);
        assert_eq!(lab.serial(), serial, "{mode:?}");
        lab.world.set_server("ns1.example.com", |server| server.mode = Mode::Answers);
        settle(&lab, MX);
    }
}

/// S16: a secondary that is gone for good does not hold up the switch for ever: it is left out when the served certificate has
/// less than a third of its life left.
#[test]
fn s16_a_server_gone_for_good() {
    let lab = ready(Lab::with(MX, "311 25").valid_days(30).secondary("ns2", 60));
    lab.world.set_server(NS2, |server| server.mode = Mode::Down);
    let renewed = now(&lab);
    lab.renew(MX, Renewal::default());
    let switched = lab.until(12 * HOUR, 25 * DAY, |lab| serves(lab) == [2]) - renewed;
    assert!((18 * DAY..=20 * DAY).contains(&switched), "{}", switched / DAY);
    lab.assert_clean();
}

/// S5: another writer takes our records away during the wait: they are published again, and the wait starts anew.
#[test]
fn s05_another_writer() {
    for (whole_set, update) in [(false, false), (true, false), (false, true), (true, true)] {
        let setup = Lab::with(MX, "311 25").secondary("ns2", 60);
        let lab = ready(if update { setup.api_rfc2136() } else { setup.api_exec() });
        lab.renew(MX, Renewal::default());
        lab.pass(100 * MINUTE);
        if whole_set {
            lab.world.edit_zone(&name(APEX), |zone| zone.delete_set(&name(OWNER), RecordType::TLSA));
        } else {
            lab.unpublish(OWNER, &lab.record(MX, 2, EE));
        }
        lab.pass(5 * MINUTE);
        assert!(lab.run(&[]) <= i32::from(whole_set), "{}", lab.told());
        assert_eq!(count(&lab, OWNER), 2, "{whole_set} {update}: {}", lab.told());
        let again = now(&lab);
        lab.pass(MINUTE);
        let switched = lab.until(10 * MINUTE, DAY, |lab| serves(lab) == [2]) - again;
        assert!((2 * HOUR - STEPS..=2 * HOUR + 10 * MINUTE + 2 * STEPS).contains(&switched), "{switched}");
        settle(&lab, MX);
    }
}

/// S5: a second run finds the lock taken and does nothing.
#[test]
fn s05_two_runs_at_once() {
    let lab = ready(Lab::with(MX, "311 25"));
    assert_eq!(lab.run(&["--pre"]), 0);
    lab.certbot.renew(MX, Renewal::default());
    for effect in [9, 15, 21] {
        lab.world.interject(effect, |world| {
            let second = world.survive(|world| {
                use daneroll::{cli, config};
                let arguments = cli::parse(["daneroll".into()].into_iter()).unwrap();
                let loaded = config::load(world, &arguments.config, &arguments.overrides);
                daneroll::run(world, &arguments, &cli::Hints::default(), &loaded).exit
            });
            assert_eq!(second, Some(32));
        });
    }
    assert_eq!(lab.run(&["--post"]), 0);
    settle(&lab, MX);
}

/// S6: the first publication begins with the chain that is served, though another was issued meanwhile.
#[test]
fn s06_first_publication_during_a_renewal() {
    for (update, ttl) in [(false, 3600), (true, 3600), (false, 0), (true, 0)] {
        let setup = Lab::with(MX, "311 25").secondary("ns2", 60).global(&format!("ttl = {ttl}"));
        let lab = (if update { setup.api_rfc2136() } else { setup.api_exec() }).start();
        assert_eq!(lab.run(&["--reset"]), 0);
        lab.serve();
        lab.renew(MX, Renewal::default());
        assert_eq!((serves(&lab), count(&lab, OWNER)), (vec![1], 2));
        lab.cron(10 * MINUTE, HOUR);
        settle(&lab, MX);
    }
    let lab = Lab::with(MX, "311 25").start();
    assert_eq!(lab.run(&["--reset"]), 0);
    lab.serve();
    let begun = now(&lab);
    lab.renew(MX, Renewal::default());
    let switched = lab.until(HOUR, 4 * DAY, |lab| serves(lab) == [2]) - begun;
    assert!((2 * DAY..=2 * DAY + HOUR + STEPS).contains(&switched), "nobody knows what was there before: {switched}");
}

/// S17: with more than a dozen records some senders give up.
#[test]
fn s17_too_many_records() {
    let lab = ready(Lab::with(MX, "311 25"));
    for number in 0..12 {
        let data = vec![number; 32];
        lab.publish(OWNER, 3600, &daneroll::tlsa::Association { usage: 3, selector: 1, matching: 1, data });
    }
    lab.renew(MX, Renewal::default());
    lab.cron(2 * HOUR, 14 * HOUR);
    assert_eq!((serves(&lab), count(&lab, OWNER)), (vec![2], 13));
    lab.assert_clean();
}

/// S18: accepted, and without effect: it is tried again, told, and never taken for done.
#[test]
fn s18_updates_without_effect() {
    for update in [false, true] {
        let setup = Lab::with(MX, "311 25").secondary("ns2", 60);
        let lab = ready(if update { setup.api_rfc2136() } else { setup.api_exec() });
        lab.world.change(|state| state.dns.updates = Updates::NoEffect);
        lab.renew(MX, Renewal::default());
        for _ in 0..8 {
            lab.pass(6 * HOUR);
            assert_eq!(lab.run(&[]), 1, "{}", lab.told());
            assert_eq!((serves(&lab), count(&lab, OWNER)), (vec![1], 1));
            lab.assert_told(&["waiting to switch", "name server ns1.example.com (192.0.2.1:53) does not show it"]);
            lab.assert_told(&[
                "ERROR",
                "ago that it published",
                "ns1.example.com (192.0.2.1:53), ns2",
                "does `api` edit the zone",
            ]);
            assert_eq!(lab.run(&["status"]), 0);
        }
        lab.world.change(|state| state.dns.updates = Updates::Work);
        lab.pass(HOUR);
        lab.until(HOUR, DAY, |lab| serves(lab) == [2]);
        lab.world.change(|state| state.dns.updates = Updates::NoEffect);
        for _ in 0..8 {
            lab.run(&[]);
            lab.pass(3 * HOUR);
        }
        lab.assert_told(&["waiting to delete", "have yet to show that it is gone", "ago that it deleted"]);
        lab.world.change(|state| state.dns.updates = Updates::Work);
        settle(&lab, MX);
    }
}

/// S18: the first publication of all, with nothing else under way, is looked after as well.
#[test]
fn s18_first_publication_without_effect() {
    let lab = Lab::with(MX, "311 25").secondary("ns2", 60).start();
    lab.world.change(|state| state.dns.updates = Updates::NoEffect);
    just_started(&lab);
    lab.pass(600);
    lab.run(&[]);
    lab.assert_told(&["ago that it published", "does `api` edit the zone"]);
    lab.pass(HOUR);
    assert_eq!(lab.run(&[]), 1, "{}", lab.told());
    lab.world.change(|state| state.dns.updates = Updates::Work);
    for _ in 0..3 {
        lab.run(&[]);
        lab.pass(HOUR);
    }
    settle(&lab, MX);
}

/// Once records are published somebody waits for them to show, so that a renewal with the same key need not.
#[test]
fn first_publication_is_watched() {
    let lab = Lab::with(MX, "311 25").secondary("ns2", 600).start();
    just_started(&lab);
    lab.pass(900);
    assert_eq!(lab.run(&[]), 0);
    // Before our first look an answer may have had any TTL, so a day's is assumed.
    lab.pass(2 * DAY);
    lab.renew(MX, Renewal { reuse_key: true, ..Renewal::default() });
    assert_eq!((lab.run(&[]), serves(&lab)), (0, vec![2]), "{}", lab.told());
    lab.assert_clean();
}

/// S18: other parameters were configured in the midst of a rollover, so several records of a kind are to go, and the provider says that
/// it deleted one and did not. The one that matches what is presented goes when the others are seen to be gone.
#[test]
fn s18_deletes_without_effect() {
    for (update, lies, withdraw) in [(false, 1, false), (false, 1, true), (false, 2, false), (true, 1, false)] {
        let setup = Lab::with(MX, "311 25").secondary("ns2", 60);
        let mut lab = ready(if update { setup.api_rfc2136() } else { setup.api_exec() });
        lab.renew(MX, Renewal::default());
        lab.until(HOUR, DAY, |lab| serves(lab) == [2]);
        assert_eq!(count(&lab, OWNER), 2);
        lab.pass(3 * HOUR);
        let lies = [Updates::NoEffect].repeat(lies);
        let next = if withdraw { lies } else { [vec![Updates::Work], lies].concat() };
        lab.world.change(|state| state.dns.next_updates = next.into());
        if withdraw {
            lab.run(&["withdraw", MX]);
        } else {
            lab.reconfigure(|setup| setup.parameters(&["312"], 25));
        }
        cron_any(&lab, HOUR, DAY);
        assert_eq!(count(&lab, OWNER), usize::from(!withdraw), "{update} {withdraw}: {}", lab.told());
        lab.assert_clean();
    }
}

/// S18: a CNAME at the owner: the records go to where it leads, and its TTL counts as well.
#[test]
fn s18_a_cname_at_the_owner() {
    const TARGET: &str = "tlsa.example.com";
    for api in ["rfc2136 ns1.example.com", "exec /sim/provider follow"] {
        let setup = Lab::with(MX, "311 25").secondary("ns2", 60).global(&format!("ttl = 3600\napi = {api}"));
        let lab = setup.start();
        lab.world.edit_zone(&name(APEX), |zone| zone.add(&name(OWNER), 1800, alias(TARGET)));
        assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
        lab.serve();
        lab.cron(2 * HOUR, 14 * HOUR);
        assert_eq!(lab.published(TARGET), [lab.record(MX, 1, EE)]);
        let begun = now(&lab);
        lab.renew(MX, Renewal::default());
        let switched = lab.until(10 * MINUTE, DAY, |lab| serves(lab) == [2]) - begun;
        assert!((3 * HOUR..=3 * HOUR + 10 * MINUTE + 2 * STEPS).contains(&switched), "{switched}");
        lab.cron(2 * HOUR, 14 * HOUR);
        lab.assert_clean();
        assert_eq!((lab.published(TARGET), count(&lab, OWNER)), (vec![lab.record(MX, 2, EE)], 0));
    }
    let lab = Lab::with(MX, "311 25").global("ttl = 3600").start();
    lab.world.edit_zone(&name(APEX), |zone| zone.add(&name(OWNER), 1800, alias(TARGET)));
    assert_eq!(lab.run(&["--reset"]), 0);
    lab.serve();
    assert_eq!(lab.run(&[]), 1, "a program that does not follow it");
    lab.assert_told(&["ERROR", "mx.example.com: _25._tcp.mx.example.com.: cannot publish", "there is a CNAME"]);
}

/// S30: "already up" says nothing about caches.
#[test]
fn s30_already_up() {
    let lab = ready(Lab::with(MX, "311 25").secondary("ns2", 60));
    assert_eq!(lab.run(&["--pre"]), 0);
    lab.certbot.renew(MX, Renewal::default());
    lab.publish(OWNER, 3600, &lab.record(MX, 2, EE));
    calls(&lab);
    assert_eq!(lab.run(&["--post"]), 0);
    let seen = now(&lab);
    let switched = lab.until(10 * MINUTE, DAY, |lab| serves(lab) == [2]) - seen;
    assert!((2 * HOUR - STEPS..=2 * HOUR + 10 * MINUTE + STEPS).contains(&switched), "{switched}");
    lab.cron(2 * HOUR, 14 * HOUR);
    lab.assert_settled(MX);
    assert_eq!(calls(&lab), 1, "one delete");
}

/// S31: a call that runs into its time limit, and publishes or deletes all the same, now or hours later.
#[test]
fn s31_late_updates() {
    for mode in [Updates::Silent, Updates::SilentDone, Updates::SilentLater(HOUR), Updates::SilentLater(9 * HOUR)] {
        for (calls_before, update) in [(0, false), (1, false), (0, true), (1, true)] {
            let setup = Lab::with(MX, "311 25").secondary("ns2", 60);
            let lab = ready(if update { setup.api_rfc2136() } else { setup.api_exec() });
            assert_eq!(lab.run(&["--pre"]), 0);
            lab.certbot.renew(MX, Renewal::default());
            order(&lab, &vec![Updates::Work; calls_before]);
            order(&lab, &[mode]);
            lab.run(&["--post"]);
            for _ in 0..9 {
                lab.run(&[]);
                lab.pass(2 * HOUR);
            }
            settle(&lab, MX);
        }
    }
}

/// S32: two ports, one record up, the other not: no switch before both are, and the wait counts from the later one.
#[test]
fn s32_two_ports() {
    let lab = ready(Lab::with(MX, "311 25").tlsa("311 587"));
    assert_eq!(lab.run(&["--pre"]), 0);
    lab.certbot.renew(MX, Renewal::default());
    lab.world.change(|state| state.dns.updates = Updates::Exit(2));
    order(&lab, &[Updates::Work]);
    assert_eq!(lab.run(&["--post"]), 1);
    lab.assert_told(&["ERROR", "_587._tcp.mx.example.com"]);
    for _ in 0..5 {
        lab.pass(HOUR);
        assert_eq!((lab.run(&[]), serves(&lab)), (1, vec![1]));
        lab.assert_told(&["ERROR", "_587._tcp.mx.example.com"]);
    }
    lab.world.change(|state| state.dns.updates = Updates::Work);
    let begun = now(&lab);
    let switched = lab.until(10 * MINUTE, DAY, |lab| serves(lab) == [2]) - begun;
    assert!((2 * HOUR..=2 * HOUR + 10 * MINUTE + STEPS).contains(&switched), "{switched}");
    settle(&lab, MX);
}

/// S37: the zone is neither the last two labels nor on the same servers as its parent.
#[test]
fn s37_a_delegated_zone() {
    const SUB: &str = "mail.example.com";
    const HOST: &str = "mx.mail.example.com";
    for api in ["rfc2136 ns.mail.example.com", "exec /sim/provider"] {
        let lab = Lab::with(HOST, "311 25").global(&format!("ttl = 3600\napi = {api}")).start();
        lab.world.edit_zone(&name(APEX), |zone| {
            zone.delete_set(&name(HOST), RecordType::A);
            zone.add(&name(SUB), 3600, RData::NS(NS(name("ns.mail.example.com").to_name())));
            zone.add(&name(SUB), 3600, Zone::delegation_signer(SUB));
            zone.add(&name("ns.mail.example.com"), 3600, address([192, 0, 2, 99].into()))
        });
        lab.world.change(|state| {
            let mut zone = Zone::new(SUB, true, &["ns.mail.example.com"]);
            zone.add(&name("ns.mail.example.com"), 3600, address([192, 0, 2, 99].into()));
            zone.add(&name(HOST), 3600, address([192, 0, 2, 25].into()));
            state.dns.add_server("ns.mail.example.com", &["192.0.2.99"]);
            state.dns.add_zone(zone, &["ns.mail.example.com"]);
        });
        assert_eq!(lab.run(&["--reset"]), 0);
        lab.serve();
        lab.cron(3 * HOUR, 9 * HOUR);
        lab.renew(HOST, Renewal::default());
        lab.cron(2 * HOUR, 14 * HOUR);
        lab.assert_clean();
        let owner = name(&format!("_25._tcp.{HOST}"));
        let published = lab.world.look(|state| state.dns.zone(&name(SUB)).associations(&owner));
        assert_eq!(published, [lab.record(HOST, 2, EE)], "{api}: {}", lab.told());
    }
}

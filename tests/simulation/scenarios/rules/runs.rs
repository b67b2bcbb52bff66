//! Reloads, clocks, the provider's word, and how runs follow each other.

use super::super::tools::*;
use crate::{
    certs::Renewal,
    lab::{CONFIG, DAY, HOUR, Lab, STATE},
};
use daneroll::env::{
    Files,
    sim::{World, dns::Mode, service::Reload},
};
use std::path::Path;

/// One command that serves several lineages runs once, after the last of their switches, and again for the next switch.
#[test]
fn one_reload_for_several_switches() {
    let lab = two();
    let counted = counted_reload(&lab);
    configure(&lab, |text| {
        let command = "reload = /sim/counted mx.example.com:25 www.example.com:443";
        let line = |line: &str| if line.starts_with("reload") { format!("{command}\n") } else { format!("{line}\n") };
        text.lines().map(line).collect()
    });
    first_use(&lab);
    assert_eq!(counted.get(), 0, "nothing was switched");
    for expected in 1..=3 {
        assert_eq!(lab.run(&["--pre"]), 0);
        lab.certbot.renew(MX, Renewal::default());
        lab.certbot.renew(WWW, Renewal::default());
        assert_eq!(lab.run(&["--post"]), 0);
        lab.cron(2 * HOUR, DAY);
        assert_eq!(counted.get(), expected);
        lab.assert_settled(MX);
        lab.assert_settled(WWW);
    }
}

/// A reload that fails is owed: tried at each run, told each time, and old records stay until it succeeds.
#[test]
fn reload_is_owed_until_it_succeeds() {
    for reload in [Reload::Fails(1), Reload::Takes(400)] {
        let lab = Lab::with(MX, "311 25").start();
        first_use(&lab);
        let set = |to| lab.world.change(|s| s.services.get_mut("mx.example.com:25").unwrap().reload = to);
        set(reload);
        lab.renew(MX, Renewal::default());
        assert!(cron_any(&lab, 2 * HOUR, DAY) == 11, "told each time");
        assert!(shows(&lab, MX, 2));
        assert_eq!(lab.published(OWNER).len(), 2);
        set(Reload::Works);
        lab.cron(600, HOUR);
        assert_eq!(lab.published(OWNER).len(), 2, "and then the hold begins");
        lab.cron(2 * HOUR, DAY);
        lab.assert_settled(MX);
    }
}

/// A reload counts for a switch only if it began after it: each switch of a lineage has one of its own.
#[test]
fn reload_before_the_switch_does_not_count() {
    let lab = Lab::with(MX, "311 25").start();
    let counted = counted_reload(&lab);
    configure(&lab, |text| text.replace("/sim/reload", "/sim/counted"));
    first_use(&lab);
    for expected in 1..=4 {
        lab.renew(MX, Renewal { reuse_key: true, ..Renewal::default() });
        assert_eq!(lab.run(&[]), 0);
        assert_eq!(counted.get(), expected);
        assert!(presented(&lab, 25, MX) == [lab.certbot.fullchain(MX, expected + 1)]);
    }
}

/// `verify = provider`: no name server is asked, and the wait is `ttl`, a day by default.
#[test]
fn verify_by_the_providers_word() {
    for (global, wait) in [("", DAY), ("ttl = 8000", 8000)] {
        let lab =
            Lab::with(MX, "311 25").line("verify = provider").line("probe_address = 192.0.2.25").global(global).start();
        first_use(&lab);
        lab.world.set_server("ns1.example.com", |server| server.mode = Mode::Refuses);
        lab.renew(MX, Renewal::default());
        assert_switches_after(&lab, MX, wait - 300, global);
        lab.cron(4 * HOUR, 3 * DAY);
        assert_eq!(lab.published(OWNER), [lab.record(MX, 2, [3, 1, 1])], "{global}");
    }
}

/// One section's `verify = provider` is no word for another that has the name servers asked.
#[test]
fn the_providers_word_is_one_sections() {
    for (line, waits) in [("verify = authoritative", true), ("verify = provider", false)] {
        let lab = Lab::with(MX, "311 25").line("verify = provider").global("ttl = 4000\nprobe = off");
        let lab = lab.lineage("ecdsa").line("tlsa = 311 25 mx.example.com").line(line).start();
        assert_eq!(lab.run(&["--reset"]), 0);
        lab.cron(2 * HOUR, 2 * DAY);
        lab.world.set_server("ns1.example.com", |server| server.mode = Mode::Refuses);
        lab.renew("ecdsa", Renewal::default());
        assert_eq!(until_switched(&lab, "ecdsa", 600).is_none(), waits, "{line}: {}", lab.told());
    }
}

/// What one section has for `nameservers` is asked beside what another has.
#[test]
fn name_servers_of_every_section() {
    for (second, waits) in [("192.0.2.2", true), ("192.0.2.1", false)] {
        let lab = Lab::with(MX, "311 25").secondary("ns2", 0).global("ttl = 4000\nprobe = off");
        let lab = lab.line("nameservers = 192.0.2.1").lineage("second").line("tlsa = 311 25 mx.example.com");
        let lab = lab.line(&format!("nameservers = {second}")).start();
        assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
        lab.cron(2 * HOUR, 2 * DAY);
        lab.world.set_server("ns2.example.com", |server| server.frozen = true);
        lab.renew("second", Renewal::default());
        assert_eq!(until_switched(&lab, "second", 600).is_none(), waits, "{second}: {}", lab.told());
    }
}

/// A second run right after the first changes nothing at all.
#[test]
fn second_run_changes_nothing() {
    let lab = Lab::with(MX, "311 25").secondary("ns2", 30).start();
    first_use(&lab);
    let check = |what: &str| {
        assert_eq!(lab.run(&[]), 0);
        let (serial, changes) = (lab.serial(), everything(&lab));
        let began = lab.world.now();
        assert_eq!(lab.run(&[]), 0);
        assert!(lab.world.now() - began < 500, "{what}: it takes no time");
        assert_eq!((lab.serial(), everything(&lab)), (serial, changes), "{what}");
    };
    check("idle");
    lab.renew(MX, Renewal::default());
    check("waiting");
    until_switched(&lab, MX, 900);
    check("holding");
    lab.cron(2 * HOUR, DAY);
    check("done");
}

/// Every file below the dane directory and the journal, but for the clock, the report and the moment of the last question.
fn everything(lab: &Lab) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut todo = vec![crate::lab::DANE.to_owned(), STATE.to_owned()];
    while let Some(dir) = todo.pop() {
        for name in lab.world.list(Path::new(&dir)).unwrap() {
            let path = format!("{dir}/{}", name.to_str().unwrap());
            let stat = lab.world.stat(Path::new(&path), false).unwrap();
            match stat.kind {
                daneroll::env::Kind::Dir => todo.push(path),
                _ if path.ends_with("clock.json") || path.ends_with("run.json") => {}
                daneroll::env::Kind::Link => {
                    let target = lab.world.target(Path::new(&path)).unwrap();
                    found.push((path, target.to_string_lossy().into_owned().into_bytes()));
                }
                _ => {
                    let text = String::from_utf8(lab.world.read(Path::new(&path)).unwrap()).unwrap();
                    let text: String = text.lines().filter(|line| !line.contains("\"asked\"")).collect();
                    found.push((path, text.into_bytes()));
                }
            }
        }
    }
    found.sort();
    found
}

fn next_in(lab: &Lab) -> u64 {
    let bytes = lab.world.read(Path::new(&format!("{STATE}/run.json"))).unwrap();
    serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()["next_in"].as_u64().unwrap()
}

/// Whoever runs the program just when it says comes through a rollover, and not in many steps.
#[test]
fn next_run_time_suffices() {
    let lab = Lab::with(MX, "311 25").secondary("ns2", 600).start();
    first_use(&lab);
    assert!((60..=3600).contains(&next_in(&lab)), "idle: {}", next_in(&lab));
    lab.renew(MX, Renewal::default());
    let mut runs = 0;
    while lab.published(OWNER).len() > 1 || !shows(&lab, MX, 2) {
        let next = next_in(&lab);
        assert!(next > 0);
        lab.pass(next);
        assert_eq!(lab.run(&[]), 0);
        runs += 1;
        assert!(runs < 30, "{next}");
    }
    lab.assert_settled(MX);
    assert!(lab.world.now() < (3 * DAY + 6 * HOUR) * 1000, "it lost no time");
}

/// Only time that was counted by boot clocks is time: an hour without power is none.
#[test]
fn time_without_power_does_not_count() {
    let boots: [fn(&World); 2] = [World::reboot, World::restart_container];
    let cases = [(0, 0), (5 * HOUR, 0), (5 * HOUR, 10 * DAY as i64), (HOUR, -(400 * DAY as i64))];
    for ((off, jump), boot) in cases.into_iter().flat_map(|case| boots.map(|boot| (case, boot))) {
        let lab = Lab::with(MX, "311 25").start();
        first_use(&lab);
        lab.renew(MX, Renewal::default());
        lab.cron(600, HOUR);
        lab.pass(off);
        boot(&lab.world);
        lab.world.jump_wall(jump);
        assert_eq!(cron_any(&lab, 300, 3000), 0, "{off}");
        assert!(shows(&lab, MX, 1), "{off}: an hour and fifty minutes of two hours");
        assert!(until_switched(&lab, MX, 300).is_some_and(|took| took < 1800), "{off}");
        if jump > 0 {
            continue;
        }
        lab.cron(2 * HOUR, DAY);
        lab.assert_settled(MX);
    }
}

/// Stamps from the future (an older clock file was restored) mean nothing: the wait is done in full.
#[test]
fn stamps_from_the_future_are_discarded() {
    let lab = Lab::with(MX, "311 25").start();
    first_use(&lab);
    let clock = format!("{STATE}/clock.json");
    let older = lab.world.read(Path::new(&clock)).unwrap();
    lab.cron(4 * HOUR, 2 * DAY);
    lab.renew(MX, Renewal::default());
    lab.cron(600, 6000);
    lab.world.reboot();
    lab.world.write(Path::new(&clock), &older, 0o600).unwrap();
    assert_switches_after(&lab, MX, 6900, "in full");
    lab.cron(2 * HOUR, DAY);
    lab.assert_settled(MX);
}

/// A journal that is lost makes the program careful, never wrong, and not stuck.
#[test]
fn lost_journal() {
    for lost in ["clock.json", "lineages/mx.example.com.json", "owners/_25._tcp.mx.example.com.json", ""] {
        let lab = Lab::with(MX, "311 25").start();
        first_use(&lab);
        lab.renew(MX, Renewal::default());
        lab.cron(600, HOUR);
        for file in ["clock.json", "lineages/mx.example.com.json", "owners/_25._tcp.mx.example.com.json"] {
            if file.starts_with(lost) {
                lab.world.remove(Path::new(&format!("{STATE}/{file}"))).unwrap();
            }
        }
        cron_any(&lab, 4 * HOUR, 6 * DAY);
        assert!(shows(&lab, MX, 2), "{lost}");
        lab.assert_clean();
        lab.renew(MX, Renewal::default());
        cron_any(&lab, 4 * HOUR, 6 * DAY);
        assert!(shows(&lab, MX, 3), "{lost}");
        lab.assert_clean();
    }
}

/// `ttl` on the command line beats the configuration, for that run.
#[test]
fn ttl_of_one_run() {
    let lab = Lab::with(MX, "311 25").global("ttl = 2d").start();
    lab.publish(OWNER, 60, &lab.record(MX, 1, [3, 1, 1]));
    first_use(&lab);
    lab.cron(4 * HOUR, 2 * DAY);
    lab.renew(MX, Renewal::default());
    lab.pass(1200);
    assert_eq!(lab.run(&[]), 0);
    assert!(shows(&lab, MX, 1));
    assert_eq!(lab.run(&["--ttl", "600"]), 0);
    assert!(shows(&lab, MX, 2));
    assert!(lab.world.stat(Path::new(CONFIG), true).is_ok());
    lab.assert_clean();
}

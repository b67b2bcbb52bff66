//! A small right strategy in daneroll's place. It shows that the simulated world can be lived in, that scenarios read well, and
//! that a kill at any effect need not hurt. It serves one lineage and one record, trusts
//! what certbot leaves, and its clock is the simulator's own.

use crate::{
    certs::{Flaw, Renewal},
    clients::record_of,
    lab::{DANE, DAY, HOUR, KILLED, LETSENCRYPT, Lab, MINUTE, STATE, Setup, service_name},
};
use daneroll::{
    env::{
        Ask, Command, Ended, Env, Files, Status,
        sim::{
            When, World,
            dns::{Mode, Updates},
            service::{Reads, Reload},
            zone::{association, name},
        },
    },
    tlsa::Association,
};
use hickory_resolver::proto::rr::RecordType;
use std::{path::Path, time::Duration};

const MX: &str = "mx.example.com";
const OWNER: &str = "_25._tcp.mx.example.com";
const TTL: u64 = HOUR;

fn patient(world: &World, args: &[&str]) -> i32 {
    match args {
        ["--reset"] => {
            world.make_dir(Path::new(STATE), 0o700).unwrap();
            world.sync(&["/var/lib".into()]).unwrap();
            switch(world, newest(world));
            i32::from(!matches!(provider(world, "publish", &record(world, newest(world))), Status::Exited(0 | 1)))
        }
        [] => {
            roll(world);
            0
        }
        _ => 0,
    }
}

/// One run: the next step that is due, if any.
fn roll(world: &World) -> Option<()> {
    let (served, newest) = (served(world)?, newest(world));
    let new = record(world, newest);
    if !matches!(provider(world, "publish", &new), Status::Exited(0 | 1)) || !is_everywhere(world, &new) {
        return forget(world, "seen");
    }
    if served != newest {
        if age(world, "seen", newest)? < 2 * TTL {
            return None;
        }
        switch(world, newest);
    }
    if age(world, "reloaded", newest).is_none() {
        let argv = vec!["/sim/reload".to_owned(), service_name(25, MX)];
        if run(world, argv, Vec::new()).status != Status::Exited(0) {
            return None;
        }
        return stamp(world, "reloaded", newest);
    }
    if age(world, "reloaded", newest)? >= 2 * TTL {
        for old in shown(world, "192.0.2.1")?.into_iter().filter(|record| *record != new) {
            provider(world, "delete", &old);
        }
    }
    Some(())
}

fn newest(world: &World) -> usize {
    let link = format!("{LETSENCRYPT}/live/{MX}/privkey.pem");
    let target = world.target(Path::new(&link)).unwrap();
    target.to_str().unwrap().rsplit_once("privkey").unwrap().1.trim_end_matches(".pem").parse().unwrap()
}

fn served(world: &World) -> Option<usize> {
    let target = world.target(Path::new(&format!("{DANE}/{MX}"))).ok()?;
    target.to_str()?.trim_start_matches('.').parse().ok()
}

fn switch(world: &World, number: usize) {
    let set = format!("{DANE}/.{number}");
    world.make_dir(Path::new(&set), 0o700).unwrap();
    for kind in ["fullchain", "privkey"] {
        let target = format!("{LETSENCRYPT}/archive/{MX}/{kind}{number}.pem");
        world.point(Path::new(&format!("{set}/{kind}.pem")), Path::new(&target)).unwrap();
    }
    world.sync(&[set.into(), DANE.into(), "/etc/daneroll".into()]).unwrap();
    world.point(Path::new(&format!("{DANE}/{MX}")), Path::new(&format!(".{number}"))).unwrap();
    world.sync(&[DANE.into()]).unwrap();
}

fn chain(world: &World, number: usize) -> Vec<u8> {
    world.read(Path::new(&format!("{LETSENCRYPT}/archive/{MX}/fullchain{number}.pem"))).unwrap()
}

fn record(world: &World, number: usize) -> Association {
    record_of(&chain(world, number), [3, 1, 1])
}

fn run(world: &World, argv: Vec<String>, vars: Vec<(String, String)>) -> Ended {
    world.run(&Command { argv, vars, limit: Duration::from_secs(300), ..Command::default() })
}

fn provider(world: &World, operation: &str, record: &Association) -> Status {
    let hash = record.hex();
    let vars = [("OPERATION", operation), ("USAGE", "3"), ("SELECTOR", "1"), ("MATCHING", "1"), ("HASH", &hash)];
    let place = [("PORT", "25"), ("PROTOCOL", "tcp"), ("DOMAIN", MX)];
    let vars = vars.into_iter().chain(place).map(|(key, value)| (format!("TLSA_{key}"), value.to_owned()));
    run(world, vec!["/sim/provider".into()], vars.collect()).status
}

fn shown(world: &World, server: &str) -> Option<Vec<Association>> {
    let server = (server.parse::<std::net::IpAddr>().unwrap(), 53).into();
    let ask = Ask { server, name: name(OWNER), kind: RecordType::TLSA, recursion: false, checking_disabled: false };
    let message = world.ask(&[ask]).remove(0).ok().filter(|message| message.metadata.authoritative)?;
    Some(message.answers.iter().filter_map(|record| association(&record.data)).collect())
}

fn is_everywhere(world: &World, record: &Association) -> bool {
    ["192.0.2.1", "192.0.2.2"].iter().all(|server| shown(world, server).is_some_and(|all| all.contains(record)))
}

/// Seconds since this was first stamped for that number; stamps it for the first time.
fn age(world: &World, what: &str, number: usize) -> Option<u64> {
    let path = format!("{STATE}/{what}");
    let text = world.read(Path::new(&path)).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    match text.split_once(' ') {
        Some((stamped, at)) if stamped == number.to_string() => Some((world.now() - at.parse::<u64>().ok()?) / 1000),
        _ if what == "seen" => stamp(world, what, number).map(|()| 0),
        _ => None,
    }
}

fn stamp(world: &World, what: &str, number: usize) -> Option<()> {
    let text = format!("{number} {}", world.now());
    world.write(Path::new(&format!("{STATE}/{what}")), text.as_bytes(), 0o600).ok()?;
    world.sync(&[STATE.into()]).ok()
}

fn forget(world: &World, what: &str) -> Option<()> {
    world.remove(Path::new(&format!("{STATE}/{what}"))).ok()?;
    world.sync(&[STATE.into()]).ok()
}

fn setup() -> Setup {
    Lab::with(MX, "311 25").secondary("ns2", 90).strategy(patient)
}

/// A lab in which a renewal has just happened.
fn renewed(setup: Setup) -> Lab {
    let lab = setup.start();
    lab.first_use();
    lab.assert_settled(MX);
    lab.renew(MX, Renewal::default());
    lab
}

#[test]
fn a_renewal() {
    for reads in [Reads::OnReload, Reads::Anytime] {
        let lab = renewed(setup().reads(reads));
        lab.cron(10 * MINUTE, DAY);
        lab.assert_settled(MX);
    }
}

/// What the world does to a rollover; each must leave it whole, and settle once the trouble is over.
#[test]
fn troubles() {
    let service = service_name(25, MX);
    type Trouble<'a> = (&'a str, &'a dyn Fn(&Lab));
    let troubles: &[Trouble] = &[
        ("a secondary lags", &|lab| lab.world.set_server("ns2.example.com", |server| server.frozen = true)),
        ("a secondary is down", &|lab| lab.world.set_server("ns2.example.com", |server| server.mode = Mode::Down)),
        ("a secondary is lame", &|lab| lab.world.set_server("ns2.example.com", |server| server.mode = Mode::Lame)),
        ("updates are lost", &|lab| lab.world.change(|state| state.dns.updates = Updates::NoEffect)),
        ("the provider hangs", &|lab| lab.world.change(|state| state.dns.updates = Updates::SilentLater(DAY))),
        ("reloads fail", &|lab| {
            lab.world.change(|state| state.services.get_mut(&service).unwrap().reload = Reload::Fails(1));
        }),
        ("renewed with the same key", &|lab| lab.renew(MX, Renewal { reuse_key: true, ..Renewal::default() })),
        ("renewed again", &|lab| lab.renew(MX, Renewal::default())),
        ("an empty chain", &|lab| lab.renew(MX, Renewal { flaw: Flaw::EmptyChain, ..Renewal::default() })),
        ("reboots", &|lab| lab.world.reboot()),
    ];
    for (what, trouble) in troubles {
        let lab = renewed(setup());
        lab.cron(10 * MINUTE, HOUR);
        trouble(&lab);
        lab.cron(HOUR, DAY);
        lab.world.change(|state| {
            state.dns.updates = Updates::Work;
            state.services.get_mut(&service).unwrap().reload = Reload::Works;
        });
        lab.world.set_server("ns2.example.com", |server| (server.mode, server.frozen) = (Mode::Answers, false));
        lab.cron(HOUR, 3 * DAY);
        assert!(lab.oracle.violations().is_empty(), "{what}: {:#?}", lab.oracle.violations());
        lab.assert_settled(MX);
    }
}

/// The run that is killed at its n-th effect, for every run of a rollover and every effect in it; also with a power loss.
#[test]
fn killed_anywhere() {
    let mut kills = 0;
    for when in [When::Before, When::Midway, When::After] {
        for before in 0..6 {
            for effect in 1.. {
                let lab = renewed(setup());
                lab.cron(HOUR, before * HOUR);
                lab.world.kill_at(effect, when);
                if lab.run(&[]) != KILLED {
                    break;
                }
                kills += 1;
                lab.world.power_loss(|| effect % 2 == 0);
                lab.cron(HOUR, DAY);
                lab.assert_settled(MX);
            }
        }
    }
    assert!(kills > 50, "{kills}");
}

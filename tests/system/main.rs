//! daneroll among real parts: certbot renews at pebble, BIND signs the zone, knot follows it; all of it in a network
//! namespace of its own. `tests/run` installs what this needs.

// Test code: a panic is how it reports.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod clients;
mod fleet;
mod hidden;
mod includes;
mod lab;
#[allow(dead_code, reason = "the laboratory uses the rest")]
mod namespace;
mod oracle;
mod questions;
mod sampler;
mod servers;
mod services;
mod validation;
mod world;

use nix::unistd::geteuid;
use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    sync::Once,
    thread,
    time::{Duration, Instant},
};
use world::World;

/// Dynamic updates at the primary.
const RFC2136: &str = "rfc2136 127.0.0.11:53 key:@DIR@/tsig.key";

#[test]
fn a_renewal_rolls_over_with_dynamic_updates() {
    if ready("rfc2136") {
        rolls_over("rfc2136", RFC2136);
    }
}

#[test]
fn a_renewal_rolls_over_with_an_external_program() {
    if ready("exec") {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/hooks/provider-nsupdate");
        rolls_over("exec", &format!("exec {program} @DIR@/nsupdate.conf"));
    }
}

#[test]
fn the_switch_waits_for_a_secondary_that_lags() {
    if !ready("lag") {
        return;
    }
    let (world, old) = published("lag", RFC2136, 3);
    let watch = world.watch();
    world.lab.knotc("zone-freeze");
    world.renew();
    world.tell("the secondary is frozen");
    // Far longer than any TTL in play.
    let end = Instant::now() + Duration::from_secs(12);
    while Instant::now() < end {
        let run = world.run(&[]);
        run.expect(0);
        assert!(run.said.contains("ns2.example.test"), "the server that is waited for is not named:\n{}", run.said);
        assert_eq!(world.served(), 1, "switched though a server lags:\n{}", run.said);
        thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(world.lab.tlsa(lab::SERVERS[1]), [old].into(), "the secondary was to lag");
    world.lab.knotc("zone-thaw");
    world.tell("the secondary follows again");
    finishes(&world, watch, 1);
}

#[test]
fn killed_runs_need_no_help() {
    if !ready("kill") {
        return;
    }
    let (world, _) = published("kill", RFC2136, 20);
    let watch = world.watch();
    world.renew();
    // Somewhere early, and then in the worst place: after the switch, while the service reloads.
    for delay in [1, 10, 30, 100] {
        let from = Instant::now();
        world.kill_plain_run(|| from.elapsed() > Duration::from_millis(delay));
    }
    fs::write(world.lab.path("slow"), "").unwrap();
    let pids = || fs::read_to_string(world.lab.path("slow.pid")).unwrap_or_default();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !world.kill_plain_run(|| !pids().is_empty()) {
        assert!(Instant::now() < deadline, "no run came to the reload within a minute");
        thread::sleep(Duration::from_secs(1));
    }
    world.tell("killed in the middle of a reload");
    assert_eq!((world.served(), world.reloads()), (2, 0), "killed after the switch and before the reload was done");
    let deadline = Instant::now() + Duration::from_secs(5);
    while pids().split_whitespace().any(namespace::runs) {
        assert!(Instant::now() < deadline, "the reload command outlives the killed run");
        thread::sleep(Duration::from_millis(20));
    }
    finishes(&world, watch, 1);
}

/// The whole way of one renewal, with nothing in its way.
fn rolls_over(name: &'static str, api: &str) {
    let (world, old) = published(name, api, 20);
    let watch = world.watch();
    world.renew();
    assert_eq!(world.served(), 1, "still the old certificate after the renewal");
    world.expect_records(&[&old, &world.key(2)]);
    world.tell("both records are up");
    finishes(&world, watch, 1);
}

/// A world in which the record of the first certificate is up, and that record's data.
fn published(name: &'static str, api: &str, settle: u32) -> (World, String) {
    let world = World::start(name, api, settle);
    world.run(&[]).expect(0);
    let old = world.key(1);
    world.expect_records(&[&old]);
    world.tell("first record published");
    (world, old)
}

/// Plain runs lead to generation 2, with that many reloads on the way and never a mismatch, and then to rest.
fn finishes(world: &World, watch: sampler::Sampler, reloads: usize) {
    world.roll_over_to(2);
    world.expect_records(&[&world.key(2)]);
    world.expect_peace(watch);
    assert_eq!(world.reloads(), reloads, "reloads after the switch");
    world.expect_rest();
    world.tell("done");
}

/// Can the laboratory be built here? If not, says why; with `CI=true` that is a failure.
fn ready(name: &str) -> bool {
    static SWEPT: Once = Once::new();
    let Err(why) = prerequisites() else {
        SWEPT.call_once(namespace::sweep);
        return true;
    };
    skip(name, &why);
    false
}

fn skip(name: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "with CI=true nothing may be skipped: {why}");
    let _ = writeln!(std::io::stderr(), "system {name}: skipped: {why}");
    if let Some(list) = std::env::var_os("DANEROLL_SKIPPED") {
        let mut list = fs::OpenOptions::new().append(true).create(true).open(list).unwrap();
        // One write, since other tests append at the same time.
        list.write_all(format!("system test {name}: {why}\n").as_bytes()).unwrap();
    }
}

/// Are these installed as well?
fn have(name: &str, tools: &[&str]) -> bool {
    let missing = installed(tools).err();
    missing.iter().for_each(|why| skip(name, why));
    missing.is_none()
}

fn installed(tools: &[&str]) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<_> = std::env::split_paths(&path).collect();
    let missing: Vec<_> =
        tools.iter().copied().filter(|tool| !dirs.iter().any(|dir| dir.join(tool).is_file())).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!("not installed: {}; tests/install does it", missing.join(" "))),
    }
}

fn prerequisites() -> Result<(), String> {
    if !geteuid().is_root() {
        return Err("needs root, for a network namespace and port 53".to_owned());
    }
    let tools = "bash certbot dig dnssec-keygen dnssec-signzone flock ip knotc knotd named nginx nsd nsd-control openssl pebble postfix setpriv sha256sum timeout tsig-keygen unbound";
    installed(&tools.split(' ').collect::<Vec<_>>())?;
    let made = Command::new("unshare").args(["-n", "true"]).stderr(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) {
        return Err("no network namespace can be made here".to_owned());
    }
    Ok(())
}

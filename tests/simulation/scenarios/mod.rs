//! Scenarios: what takes real servers off the air (S1 … S40), each watched by the oracle at every step.

mod alnitak;
mod crash;
mod deploy;
mod directory;
mod dns;
mod dnssec;
mod fleet;
mod hooks;
mod in_place;
mod lookups;
mod names;
mod notify;
mod outage;
mod probes;
mod programs;
mod renewal;
mod rules;
mod services;
mod staying;
mod tools;
mod zonefile;

use crate::lab::{APEX, HOUR, Lab, Setup, service_name};
use daneroll::env::sim::zone::name;

const MX: &str = "mx.example.com";
const OWNER: &str = "_25._tcp.mx.example.com";
const EE: [u8; 3] = [3, 1, 1];
/// Seconds that the steps of a few runs may cost.
const STEPS: u64 = 90;

/// The archive numbers that the mail service may present.
fn serves(lab: &Lab) -> Vec<usize> {
    lab.presented(&service_name(25, MX), MX)
}

/// The moment, seconds since the world began.
fn now(lab: &Lab) -> u64 {
    lab.world.now() / 1000
}

/// How many records the primary has at an owner.
fn count(lab: &Lab, owner: &str) -> usize {
    lab.world.look(|state| state.dns.zone(&name(APEX)).associations(&name(owner)).len())
}

/// A laboratory whose first record is published and known to every cache, in as few runs as possible.
fn ready(setup: Setup) -> Lab {
    let lab = setup.global("ttl = 3600").start();
    assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
    lab.serve();
    lab.cron(3 * HOUR, 9 * HOUR);
    lab.assert_settled(MX);
    lab
}

/// Plain runs until everything must be over.
fn settle(lab: &Lab, lineage: &str) {
    lab.cron(2 * HOUR, 14 * HOUR);
    lab.assert_settled(lineage);
}

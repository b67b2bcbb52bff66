//! The judge sees what would be an outage: each of these goes wrong by hand, and must be told.

use crate::{
    UPDATES,
    dns_server::DnsServer,
    lab::LINEAGE,
    oracle::Watcher,
    world::{Generations, World, owner},
};
use daneroll::small::Set;
use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

/// Shows the records of these generations.
fn show(world: &World<'_>, generations: &[usize], ttl: u32) {
    let records: Set<_> = generations.iter().map(|generation| world.generations.record(*generation)).collect();
    let mut state = world.server.state();
    state.rrsets.insert(owner(), (ttl, records));
    let shown = state.rrsets.clone();
    state.history.push((Instant::now(), shown));
}

/// What the judge says of a settled world after this.
fn judged(harm: &dyn Fn(&World<'_>)) -> Vec<String> {
    let (server, generations) = (DnsServer::start("example.test", None), Generations::new());
    let world = World::new(&UPDATES, &server, &generations);
    let watcher = Watcher::start(&world);
    world.call("--reset");
    world.start_service();
    world.call("");
    sleep(Duration::from_millis(30));
    harm(&world);
    sleep(Duration::from_millis(30));
    watcher.judge(&world).0
}

/// Words of the judge, none if nothing is wrong, and what was done.
type Case<'a> = (&'a str, &'a dyn Fn(&World<'_>));

#[test]
fn the_judge_bites() {
    let table: [Case<'_>; 8] = [
        ("", &|_| ()),
        ("", &|world| show(world, &[0, 1], 0)),
        ("a handshake presents generation 0", &|world| show(world, &[1], 0)),
        ("a handshake presents generation 0", &|world| show(world, &[], 0)),
        // Both records are shown, but a cache may hold what was shown until now.
        ("a handshake presents generation 1", &|world| {
            show(world, &[0], 1);
            show(world, &[0, 1], 1);
            world.issue(1);
        }),
        // The service has still the old one in memory.
        ("the service presents generation 0", &|world| {
            show(world, &[0, 1], 0);
            world.issue(1);
            sleep(Duration::from_millis(30));
            show(world, &[1], 0);
        }),
        ("is another's", &|world| {
            let other = &world.generations.0[1].key;
            fs::write(world.lab.path("le/archive").join(LINEAGE).join("privkey1.pem"), other).unwrap();
        }),
        ("No such file", &|world| fs::remove_file(world.lab.path("dane").join(LINEAGE).join(".served")).unwrap()),
    ];
    for (expected, harm) in table {
        let wrong = judged(harm);
        let told = wrong.iter().any(|text| text.contains(expected));
        assert!(if expected.is_empty() { wrong.is_empty() } else { told }, "{expected:?}: {wrong:#?}");
    }
}

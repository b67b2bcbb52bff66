//! The beginning of DANE on a host.

use super::{Scene, clean};
use crate::{
    network::{CACHES, Zone},
    program::Run,
    watch::Verdicts,
};
use std::{fs, thread, time::Duration};

/// A server that has been running without daneroll gets it, in the order that README says.
pub fn running(scene: &Scene) -> Verdicts {
    let host = scene.host();
    host.issue(&[]);
    host.start_postfix("le/live");
    host.watch(scene.fingers);
    thread::sleep(Duration::from_secs(2));
    host.configure("");
    host.daneroll().run(&["--reset"]).expect(0);
    let main = fs::read_to_string(host.path("etc/main.cf")).unwrap();
    fs::write(host.path("etc/main.cf"), main.replace("/le/live/", "/dane/")).unwrap();
    host.reload_postfix();
    host.publish_first();
    let timer = host.timer();
    host.renew(&[]);
    host.until_done();
    timer.stop();
    host.expect_rest(false);
    clean(&host, 1)
}

/// While the zone is not signed nobody looks at its records; when it is, they are right, also in the midst of a rollover.
pub fn unsigned(scene: &Scene) -> Verdicts {
    let host = scene.host();
    host.issue(&[]);
    host.configure("");
    host.daneroll().run(&["--reset"]).expect(0);
    host.start_postfix("dane");
    host.watch(scene.fingers);
    let timer = host.timer();
    thread::sleep(Duration::from_secs(3));
    host.renew(&[]);
    scene.network.sign_late().unwrap();
    scene.network.delegate_signed(Zone::Late).unwrap();
    host.tell("the zone is signed");
    host.until_done();
    // Resolvers remember for a while that the zone was not signed, whatever the TTLs are.
    let name = host.place.name();
    let knows = |cache: &str| scene.network.dig(cache, &name, "A").unwrap().contains("flags: qr rd ra ad");
    host.until("the caches", || CACHES.iter().all(|cache| knows(cache)));
    host.tell("every cache knows");
    signing(timer.halt());
    let timer = host.timer();
    host.be_strict();
    host.renew(&[]);
    host.until_done();
    timer.stop();
    host.expect_rest(false);
    clean(&host, 2)
}

/// For the moment in which the parent has the new DS and a resolver still has unsigned answers, these are bogus to everybody, and
/// a run may say so.
fn signing(runs: Vec<Run>) {
    let bogus = |run: &&Run| run.code == 1 && run.said.contains("BOGUS");
    let wrong: Vec<&Run> = runs.iter().filter(|run| !matches!(run.code, 0 | 32) && !bogus(run)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(runs.iter().filter(bogus).count() <= 10, "bogus for too long");
}

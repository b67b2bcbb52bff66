//! One renewal, with daneroll and without.

use crate::{
    Fallible, engine, locked, service,
    world::{LAG, World},
};
use std::{
    collections::BTreeSet,
    thread::sleep,
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);
/// By then the rollover must be over.
const LIMIT: Duration = Duration::from_secs(90);

/// daneroll is set up, publishes the record of the certificate in use, and takes a renewal through.
pub fn rollover(world: &World) -> Fallible<()> {
    let began = Instant::now();
    world.now("daneroll --reset: build the dane directory");
    engine::run(world, &["--reset"])?;
    world.start_service()?;

    world.now("daneroll: publish the record of the certificate in use, look until both servers show it");
    engine::run(world, &[])?;
    while !is_shown(world, 0) {
        run_again(world, began)?;
    }
    world.start_clients()?;
    world.now("nothing: clients come and go");
    sleep(4 * SECOND);

    world.mark("--pre");
    world.now("daneroll --pre: pin the dane directory to the certificate in use");
    engine::run(world, &["--pre"])?;
    sleep(SECOND);
    world.now("certbot renews");
    world.renew()?;
    sleep(SECOND);
    world.mark("--post");
    world.now("daneroll --post: publish the new record beside the old one, look until both servers show it");
    engine::run(world, &["--post"])?;

    world.now("daneroll, as cron would call it, once a second");
    while !is_served(world, 1)? || !is_shown(world, 1) {
        run_again(world, began)?;
    }
    world.now("done: clients come and go");
    sleep(3 * SECOND);
    Ok(())
}

/// The service reads `live/`, and everything is replaced at once.
pub fn naive(world: &World) -> Fallible<()> {
    world.start_service()?;
    world.now("the record of the first certificate is published");
    world.replace_record(locked(&world.keys)[0])?;
    while !is_shown(world, 0) {
        sleep(SECOND / 10);
    }
    world.start_clients()?;
    world.now("nothing: clients come and go");
    sleep(4 * SECOND);

    world.now("certbot renews, the service reloads, the record is replaced");
    world.renew()?;
    service::reload(world.service()?.control)?;
    world.replace_record(locked(&world.keys)[1])?;
    while !is_shown(world, 1) {
        sleep(SECOND / 10);
    }
    world.now("both servers show the new record; caches hold the old one until its TTL is over");
    sleep(6 * SECOND);
    Ok(())
}

fn run_again(world: &World, began: Instant) -> Fallible<()> {
    if began.elapsed() > LIMIT {
        return Err(format!("not done after {} s, waiting for: {:?}", LIMIT.as_secs(), locked(&world.awaited)).into());
    }
    sleep(SECOND);
    engine::run(world, &[])
}

/// Do both servers show the record of that key, counted from 0, and no other?
fn is_shown(world: &World, key: usize) -> bool {
    let only = BTreeSet::from([locked(&world.keys)[key]]);
    [Duration::ZERO, LAG].iter().all(|lag| world.zone.keys(*lag) == only)
}

fn is_served(world: &World, key: usize) -> Fallible<bool> {
    Ok(world.service()?.presents() == locked(&world.keys)[key])
}

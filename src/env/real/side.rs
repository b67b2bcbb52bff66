//! Work on several threads, each in a world of its own: network input and output belong to one thread here.

use super::Real;
use crate::env::Job;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    thread,
};

/// Does the jobs on `at_once` threads at most; the last of them on the calling one if it is alone.
pub(super) fn side_by_side(world: &Real, jobs: Vec<Job<'_>>, at_once: usize) {
    let threads = at_once.min(jobs.len());
    if threads <= 1 {
        return jobs.into_iter().for_each(|job| job(world));
    }
    let waiting = Mutex::new(VecDeque::from(jobs));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    // What a test listens with is a matter of the thread.
    let log = tracing::dispatcher::get_default(Clone::clone);
    let work = || {
        let mut mine = Real::new(world.commands.program().to_owned());
        mine.began = world.began;
        let world = mine;
        tracing::dispatcher::with_default(&log, || std::iter::from_fn(next).for_each(|job| job(&world)));
    };
    // Where the system gives no further thread, fewer do it.
    thread::scope(|scope| {
        let started = (1..threads).filter(|_| thread::Builder::new().spawn_scoped(scope, work).is_ok()).count();
        tracing::debug!(threads = started + 1, "working side by side");
        work();
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use std::{
        sync::mpsc,
        time::{Duration, Instant},
    };

    fn world() -> Real {
        Real::new("/proc/self/exe".into())
    }

    #[test]
    fn one_that_takes_long_holds_up_no_other() {
        let (done, last) = mpsc::channel();
        let slow: Job<'_> = Box::new(move |_| last.recv_timeout(Duration::from_secs(20)).unwrap());
        let quick: Job<'_> = Box::new(|world| world.sleep(Duration::from_millis(1)));
        let end: Job<'_> = Box::new(move |_| done.send(()).unwrap());
        world().side_by_side(vec![slow, quick, end], 2);
    }

    #[test]
    fn no_more_than_so_many_at_once() {
        for (jobs, at_once, least) in [(6, 2, 300), (6, 1, 600), (6, 6, 100), (1, 9, 100), (0, 9, 0)] {
            let began = Instant::now();
            let job = || -> Job<'_> { Box::new(|world: &dyn Env| world.sleep(Duration::from_millis(100))) };
            world().side_by_side((0..jobs).map(|_| job()).collect(), at_once);
            assert!(began.elapsed() >= Duration::from_millis(least), "{jobs} {at_once}");
        }
    }
}

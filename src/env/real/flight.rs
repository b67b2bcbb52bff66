//! Many DNS questions side by side, with bounds on how many are in flight.

use super::dns;
use crate::env::{Answered, Ask};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

/// Questions in flight, all together.
const ALL: usize = 100;
/// Questions in flight to one address; more looks like an attack to some servers.
const ONE_SERVER: usize = 8;

/// What is in flight to one address, and how it has done.
struct Server {
    /// Closed when the address is given up.
    slots: Semaphore,
    has_answered: AtomicBool,
    /// Slots withheld, one for each question that came to nothing while none had been answered.
    withheld: AtomicUsize,
}

impl Server {
    fn new() -> Arc<Server> {
        let slots = Semaphore::new(ONE_SERVER);
        Arc::new(Server { slots, has_answered: false.into(), withheld: 0.into() })
    }

    async fn ask(&self, ask: &Ask, all: &Semaphore) -> Answered {
        // First the slot of the server: who waits for a slow one must not take a place from the others.
        let Ok(slot) = self.slots.acquire().await else {
            return Err(format!("not asked: {ONE_SERVER} questions before this one came to nothing"));
        };
        let _place = all.acquire().await;
        let answered = dns::ask(ask).await;
        if answered.is_ok() {
            self.has_answered.store(true, Relaxed);
            self.slots.add_permits(self.withheld.swap(0, Relaxed));
        } else if !self.has_answered.load(Relaxed) {
            slot.forget();
            self.give_up_perhaps();
        }
        answered
    }

    /// After a whole round of questions without one answer the others would only make the run take minutes.
    fn give_up_perhaps(&self) {
        if self.withheld.fetch_add(1, Relaxed) + 1 >= ONE_SERVER {
            self.slots.close();
        }
    }
}

/// Asks all of these, and returns the answers in the same order.
pub(super) async fn ask_all(asks: &[Ask]) -> Vec<Answered> {
    let mut answers = vec![Err("the question was given up".to_owned()); asks.len()];
    collect(asks, &mut answers).await;
    answers
}

/// The same, giving up what has not been answered within `limit`.
pub(super) async fn ask_within(asks: &[Ask], limit: Duration) -> Vec<Answered> {
    let mut answers = vec![Err(format!("no answer within {:.1} s", limit.as_secs_f32())); asks.len()];
    // What was answered until then is there.
    let _ = timeout(limit, collect(asks, &mut answers)).await;
    answers
}

async fn collect(asks: &[Ask], answers: &mut [Answered]) {
    let all = Arc::new(Semaphore::new(ALL));
    let mut servers: HashMap<SocketAddr, Arc<Server>> = HashMap::new();
    let mut tasks = JoinSet::new();
    for (place, ask) in asks.iter().cloned().enumerate() {
        let server = servers.entry(ask.server).or_insert_with(Server::new).clone();
        let all = all.clone();
        tasks.spawn(async move { (place, server.ask(&ask, &all).await) });
    }
    while let Some(joined) = tasks.join_next().await {
        if let Ok((place, answered)) = joined {
            answers[place] = answered;
        }
    }
}

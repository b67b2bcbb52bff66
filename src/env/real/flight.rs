//! Many DNS questions side by side, with bounds on how many are in flight.

use super::dns;
use crate::env::{Answered, Ask};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::{sync::Semaphore, task::JoinSet};

/// Questions in flight, all together.
const ALL: usize = 100;
/// Questions in flight to one address; more looks like an attack to some servers.
const ONE_SERVER: usize = 8;

/// What is in flight to one address, and how it has done.
struct Server {
    slots: Semaphore,
    answered: AtomicUsize,
    failed: AtomicUsize,
}

impl Server {
    fn new() -> Arc<Server> {
        Arc::new(Server { slots: Semaphore::new(ONE_SERVER), answered: 0.into(), failed: 0.into() })
    }

    /// It left a whole round of questions without answer: the others would only make the run take minutes.
    fn is_dead(&self) -> bool {
        self.answered.load(Relaxed) == 0 && self.failed.load(Relaxed) >= ONE_SERVER
    }

    async fn ask(&self, ask: &Ask, all: &Semaphore) -> Answered {
        // First the slot of the server: who waits for a slow one must not take a place from the others.
        let _slots = (self.slots.acquire().await, all.acquire().await);
        if self.is_dead() {
            return Err(format!("not asked: it left the {ONE_SERVER} questions before this one unanswered"));
        }
        let answered = dns::ask(ask).await;
        let count = if answered.is_ok() { &self.answered } else { &self.failed };
        count.fetch_add(1, Relaxed);
        answered
    }
}

/// Asks all of these, and returns the answers in the same order.
pub(super) async fn ask_all(asks: &[Ask]) -> Vec<Answered> {
    let all = Arc::new(Semaphore::new(ALL));
    let mut servers: HashMap<SocketAddr, Arc<Server>> = HashMap::new();
    let mut tasks = JoinSet::new();
    for (place, ask) in asks.iter().cloned().enumerate() {
        let server = servers.entry(ask.server).or_insert_with(Server::new).clone();
        let all = all.clone();
        tasks.spawn(async move { (place, server.ask(&ask, &all).await) });
    }
    let mut answers = vec![Err("the question was given up".to_owned()); asks.len()];
    while let Some(joined) = tasks.join_next().await {
        if let Ok((place, answered)) = joined {
            answers[place] = answered;
        }
    }
    answers
}

//! Many DNS questions side by side, with bounds on how many are in flight.

use super::line::Line;
use crate::env::{Answered, Ask};
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};

/// Questions in flight, all together.
const ALL: usize = 100;
/// Questions in flight to one address; more looks like an attack to some servers.
const ONE_SERVER: usize = 8;

/// Takes an answer, and the place of its question among all.
pub(super) type Take<'a> = dyn FnMut(usize, Answered) + 'a;
type Sender = mpsc::UnboundedSender<(usize, Answered)>;

/// What is asked of one address, and how it has done.
struct Server {
    address: SocketAddr,
    /// What is still to be asked, each with its place among all questions.
    waiting: Mutex<VecDeque<(usize, Ask)>>,
    /// Closed when the address is given up.
    slots: Semaphore,
    has_answered: AtomicBool,
    /// Slots withheld, one for each question that came to nothing while none had been answered.
    withheld: AtomicUsize,
}

impl Server {
    fn new(address: SocketAddr) -> Server {
        let slots = Semaphore::new(ONE_SERVER);
        Server { address, waiting: Mutex::default(), slots, has_answered: false.into(), withheld: 0.into() }
    }

    fn next(&self) -> Option<(usize, Ask)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Asks one question after the other until none is left. `ONE_SERVER` of these are under way side by side.
    async fn ask_on(&self, all: &Semaphore, answers: &Sender) {
        let mut line = Line::new(self.address);
        loop {
            // First the slot of the server: who waits for a slow one must not take a place from the others.
            let slot = self.slots.acquire().await;
            let Some((place, ask)) = self.next() else { return };
            let answered = match slot {
                Err(_) => Err(format!("not asked: {ONE_SERVER} questions before this one came to nothing")),
                Ok(slot) => {
                    let _place = all.acquire().await;
                    let answered = line.ask(&ask).await;
                    if answered.is_ok() {
                        self.has_answered.store(true, Relaxed);
                        self.slots.add_permits(self.withheld.swap(0, Relaxed));
                    } else if !self.has_answered.load(Relaxed) {
                        slot.forget();
                        self.give_up_perhaps();
                    }
                    answered
                }
            };
            if answers.send((place, answered)).is_err() {
                return;
            }
        }
    }

    /// After a whole round of questions without one answer the others would only make the run take minutes.
    fn give_up_perhaps(&self) {
        if self.withheld.fetch_add(1, Relaxed) + 1 >= ONE_SERVER {
            self.slots.close();
        }
    }
}

/// Asks all of these, and gives each answer to `take` as it comes. A question that is not answered for a fault of ours is told as
/// given up.
pub(super) async fn ask_each(asks: &[Ask], take: &mut Take<'_>) {
    let mut open = vec![true; asks.len()];
    let mut take_once = |place: usize, answered| {
        open[place] = false;
        take(place, answered);
    };
    collect(asks, &mut take_once).await;
    for place in (0..asks.len()).filter(|place| open[*place]) {
        take(place, Err("the question was given up".to_owned()));
    }
}

/// The same, giving up what has not been answered within `limit`; the answers in the order of the questions.
pub(super) async fn ask_within(asks: &[Ask], limit: Duration) -> Vec<Answered> {
    let mut answers = vec![Err(format!("no answer within {:.1} s", limit.as_secs_f32())); asks.len()];
    // What was answered until then is there.
    let _ = timeout(limit, collect(asks, &mut |place, answered| answers[place] = answered)).await;
    answers
}

async fn collect(asks: &[Ask], take: &mut Take<'_>) {
    let all = Arc::new(Semaphore::new(ALL));
    let mut servers: HashMap<SocketAddr, Server> = HashMap::new();
    for (place, ask) in asks.iter().enumerate() {
        let server = servers.entry(ask.server).or_insert_with(|| Server::new(ask.server));
        server.waiting.get_mut().unwrap_or_else(PoisonError::into_inner).push_back((place, ask.clone()));
    }
    let (sender, mut answers) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for server in servers.into_values() {
        let questions = server.waiting.lock().unwrap_or_else(PoisonError::into_inner).len();
        let server = Arc::new(server);
        for _ in 0..questions.min(ONE_SERVER) {
            let (server, all, sender) = (server.clone(), all.clone(), sender.clone());
            tasks.spawn(async move { server.ask_on(&all, &sender).await });
        }
    }
    drop(sender);
    while let Some((place, answered)) = answers.recv().await {
        take(place, answered);
    }
}

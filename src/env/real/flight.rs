//! Many DNS questions side by side, with bounds on how many are in flight.

use super::line::{Line, Pace};
use crate::env::{Answered, Ask};
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

/// Questions in flight, all together; and so many sockets at most are kept for the next ones.
const ALL: usize = 160;
/// Questions in flight to one address that has yet to show what it can do.
const AT_FIRST: usize = 8;
/// The same to one that answers all of them at once, which resolvers have under way as well. Where so few are under way that both
/// sides wait for each other, ten thousand questions take seconds.
const AT_MOST: usize = 64;
/// Answers that wait to be looked at: a server can be faster than we are, and messages are large.
const HEARD: usize = 16;

/// Takes an answer, and the place of its question among all.
pub(super) type Take<'a> = dyn FnMut(usize, Answered) + 'a;
type Sender = mpsc::Sender<(usize, Answered)>;

/// What is asked of one address, and how it has done.
struct Server {
    /// What is still to be asked: the places among all questions.
    waiting: VecDeque<usize>,
    /// Ways to it that nothing is under way on.
    lines: Vec<Line>,
    under_way: usize,
    /// So many may be under way. While none has been answered it is one less for each question that came to nothing; then one more
    /// for each that was answered at once, and one less for each that was not.
    slots: usize,
    has_answered: bool,
    /// Is it among those whose turn comes?
    is_queued: bool,
}

impl Server {
    fn new() -> Server {
        let (waiting, lines) = (VecDeque::new(), Vec::new());
        Server { waiting, lines, under_way: 0, slots: AT_FIRST, has_answered: false, is_queued: false }
    }

    /// Has its turn come, if it may be asked more.
    fn queue(&mut self, address: SocketAddr, turns: &mut VecDeque<SocketAddr>) {
        if !self.is_queued && self.under_way < self.slots && !self.waiting.is_empty() {
            self.is_queued = true;
            turns.push_back(address);
        }
    }

    fn take_next(&mut self) -> Option<usize> {
        let next = if self.under_way < self.slots { self.waiting.pop_front() } else { None }?;
        self.under_way += 1;
        Some(next)
    }

    /// A question came to its end.
    fn heard(&mut self, answered: bool, pace: Pace) {
        self.under_way -= 1;
        if answered && !self.has_answered {
            (self.has_answered, self.slots) = (true, AT_FIRST);
        }
        self.slots = match (self.has_answered, pace) {
            (false, _) => self.slots.saturating_sub(1),
            (true, Pace::Smooth) => AT_MOST.min(self.slots + 1),
            (true, Pace::Even) => self.slots,
            (true, Pace::Rough) => AT_FIRST.max(self.slots - 1),
        };
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

/// A question that is to be sent, and the way to its server.
struct Next {
    server: SocketAddr,
    line: Line,
    place: usize,
    ask: Ask,
}

/// All that is to be asked, and how many questions are under way.
struct Flight {
    asks: Vec<Ask>,
    servers: HashMap<SocketAddr, Server>,
    /// Those that may be asked more, in turn: a slow one must not take places from the others.
    turns: VecDeque<SocketAddr>,
    under_way: usize,
    /// Lines that wait for a question.
    kept: usize,
}

impl Flight {
    fn new(asks: &[Ask]) -> Flight {
        let (mut servers, mut turns): (HashMap<SocketAddr, Server>, _) = (HashMap::new(), VecDeque::new());
        for (place, ask) in asks.iter().enumerate() {
            let server = servers.entry(ask.server).or_insert_with(Server::new);
            server.waiting.push_back(place);
            server.queue(ask.server, &mut turns);
        }
        Flight { asks: asks.to_vec(), servers, turns, under_way: 0, kept: 0 }
    }

    /// The question that is to be sent next, if there is a place for one.
    fn next(&mut self) -> Option<Next> {
        while self.under_way < ALL {
            let address = self.turns.pop_front()?;
            let Some(server) = self.servers.get_mut(&address) else { continue };
            server.is_queued = false;
            let Some(place) = server.take_next() else { continue };
            self.under_way += 1;
            let line = server.lines.pop().inspect(|_| self.kept -= 1).unwrap_or_else(|| Line::new(address));
            server.queue(address, &mut self.turns);
            return Some(Next { server: address, line, place, ask: self.asks[place].clone() });
        }
        None
    }

    /// Takes down how a question ended. What is given up with it: after a whole round of questions without one answer the others
    /// would only make the run take minutes.
    fn end(&mut self, address: SocketAddr, line: Line, answered: bool, pace: Pace) -> VecDeque<usize> {
        self.under_way -= 1;
        let Some(server) = self.servers.get_mut(&address) else { return VecDeque::new() };
        server.heard(answered, pace);
        if server.slots == 0 {
            return std::mem::take(&mut server.waiting);
        }
        if self.kept < ALL && !server.waiting.is_empty() {
            server.lines.push(line);
            self.kept += 1;
        }
        server.queue(address, &mut self.turns);
        VecDeque::new()
    }
}

type Shared = Arc<Mutex<Flight>>;

fn locked(flight: &Shared) -> MutexGuard<'_, Flight> {
    flight.lock().unwrap_or_else(PoisonError::into_inner)
}

fn next(flight: &Shared) -> Option<Next> {
    locked(flight).next()
}

/// Asks one question after the other until there is none, or no place for one.
async fn ask_on(flight: Shared, first: Next, answers: Sender) {
    let mut next = Some(first);
    while let Some(Next { server, mut line, place, ask }) = next {
        let (answered, pace) = line.ask(&ask).await;
        let given_up = {
            let mut flight = locked(&flight);
            let given_up = flight.end(server, line, answered.is_ok(), pace);
            next = flight.next();
            given_up
        };
        // Nobody listens any more where the time is over.
        let mut listens = answers.send((place, answered)).await.is_ok();
        for place in given_up {
            let why = format!("not asked: {AT_FIRST} questions before this one came to nothing");
            listens = listens && answers.send((place, Err(why))).await.is_ok();
        }
        if !listens {
            return;
        }
    }
}

async fn collect(asks: &[Ask], take: &mut Take<'_>) {
    let flight: Shared = Arc::new(Mutex::new(Flight::new(asks)));
    let (sender, mut answers) = mpsc::channel(HEARD);
    let mut tasks = JoinSet::new();
    let mut start = |sender: &Sender| {
        while let Some(next) = next(&flight) {
            tasks.spawn(ask_on(flight.clone(), next, sender.clone()));
        }
    };
    start(&sender);
    let further = sender.downgrade();
    drop(sender);
    while let Some((place, answered)) = answers.recv().await {
        // After each answer there can be places for more.
        further.upgrade().iter().for_each(&mut start);
        take(place, answered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came of questions, one after the other: (s)mooth, (e)ven, (r)ough, and (x) nothing.
    #[test]
    fn as_many_as_a_server_can_take() {
        for (told, slots) in [
            ("", 8),
            ("s", 9),
            ("e", 8),
            ("r", 8),
            ("x", 7),
            ("xxxxxxxx", 0),
            ("xxxxxxxs", 9), // it is there after all
            ("xxxxxxxr", 8),
            ("sssx", 10), // who has answered is not given up
            ("sssrre", 9),
            ("sssxxxxxxxxxxxx", 8),
            (&"s".repeat(100), 64),
        ] {
            let mut server = Server { under_way: told.len(), ..Server::new() };
            for letter in told.chars() {
                let pace = match letter {
                    's' => Pace::Smooth,
                    'e' => Pace::Even,
                    _ => Pace::Rough,
                };
                server.heard(letter != 'x', pace);
            }
            assert_eq!((server.slots, server.under_way), (slots, 0), "{told}");
        }
    }
}

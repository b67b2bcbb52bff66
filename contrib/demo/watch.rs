//! Looks at the world twenty times a second, keeps what changed, and shows it.

use crate::{
    Fallible,
    keys::KeyId,
    locked,
    screen::Screen,
    world::{LAG, World},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

const EVERY: Duration = Duration::from_millis(50);

/// The world at one moment.
#[derive(Clone, Default, PartialEq)]
pub struct State {
    /// What the story does.
    pub doing: String,
    /// The key in `live/`.
    pub live: Option<KeyId>,
    /// The key where the service reads: in the dane directory.
    pub dane: Option<KeyId>,
    /// Where `.served` points there.
    pub link: Option<String>,
    /// The key that the service presents.
    pub presented: Option<KeyId>,
    /// The keys in the TLSA records at the primary and at the secondary.
    pub shown: [BTreeSet<KeyId>; 2],
    /// How many clients hold which records.
    pub held: BTreeMap<BTreeSet<KeyId>, usize>,
    /// What daneroll waits for, and why.
    pub awaited: Vec<String>,
    /// Did a client find no matching record within the last second?
    pub mismatching: bool,
}

/// What was seen.
#[derive(Default)]
pub struct History {
    /// Each state with the time it began.
    pub states: Vec<(Duration, State)>,
    /// When the watching ended.
    pub end: Duration,
}

/// A running watch.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<History>,
}

/// Starts to watch.
pub fn start(world: Arc<World>) -> Watch {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = thread::spawn(move || {
        let (mut history, mut screen) = (History::default(), Screen::new());
        while !stopped.load(Ordering::Relaxed) {
            let before = history.states.last().map(|(_, state)| state.clone()).unwrap_or_default();
            let (at, state) = (world.start.elapsed(), look(&world, &before));
            marks(&before, &state).into_iter().for_each(|label| world.mark(label));
            screen.show(&world, &before, &state);
            if state != before {
                history.states.push((at, state));
            }
            thread::sleep(EVERY);
        }
        history.end = world.start.elapsed();
        screen.leave();
        history
    });
    Watch { stop, thread }
}

impl Watch {
    /// Stops, and returns what was seen.
    pub fn stop(self) -> Fallible<History> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the watch panicked".into())
    }
}

fn look(world: &World, before: &State) -> State {
    let key = |directory: &Path| KeyId::of_file(&directory.join("fullchain.pem")).ok();
    let link = fs::read_link(world.serves_from.join(".served")).ok();
    let handshakes = world.clients.handshakes();
    let recent = handshakes.iter().rev().take_while(|handshake| handshake.at.elapsed() < Duration::from_secs(1));
    State {
        doing: locked(&world.doing).clone(),
        // certbot makes its links anew, so for a moment there may be none: that is no change.
        live: key(&world.live).or(before.live),
        dane: key(&world.serves_from).or(before.dane),
        link: link.and_then(|target| Some(target.file_name()?.to_str()?.to_owned())),
        presented: world.service().ok().map(|service| service.presents()),
        shown: [world.zone.keys(Duration::ZERO), world.zone.keys(LAG)],
        held: world.clients.held(),
        awaited: locked(&world.awaited).clone(),
        mismatching: recent.into_iter().any(|handshake| !handshake.matched),
    }
}

/// What happened between two looks, for the picture.
fn marks(before: &State, now: &State) -> Vec<&'static str> {
    let changed = |before: Option<KeyId>, now: Option<KeyId>| before.is_some() && before != now;
    let [old, new] = [&before.shown[0], &now.shown[0]];
    let happened = [
        (changed(before.live, now.live), "renewal"),
        (!old.is_empty() && !new.is_subset(old), "published"),
        (changed(before.dane, now.dane) && now.link.is_some(), "switch"),
        (changed(before.presented, now.presented), "reload"),
        (!old.is_subset(new), "deleted"),
    ];
    happened.into_iter().filter(|(seen, _)| *seen).map(|(_, label)| label).collect()
}

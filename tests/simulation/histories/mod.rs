//! Histories by chance: renewals, faults and operators, told by a seed, played by the real `run` in the simulated world.
//!
//! Whatever happens, no client with any cache may find a mismatch, and once the faults end everything settles. `tests/soak`
//! plays any number of them. `DANEROLL_HISTORIES=N` plays so many from `DANEROLL_FIRST=N` on, `DANEROLL_SEED=N` plays one and says
//! what happens in it. A history that fails is told again with as few steps as still fail.

mod elsewhere;
mod fault;
mod news;
mod others;
mod play;
mod shrink;
mod site;
mod tale;

use crate::{
    certs::{Flaw, Renewal},
    lab::{Engine, daneroll, tireless},
};
use daneroll::env::sim::service::Reads;
use play::{Ending, Met, play};
use std::{
    rc::Rc,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tale::{Setting, Step, Tale};

/// How many histories are played where nobody says otherwise.
const QUICK: u64 = 200;
/// How many of them each of the others plays.
const COMPARED: u64 = 60;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Histories, added up.
#[derive(Default)]
struct Sum {
    histories: u64,
    /// With a mismatch; and that did not settle.
    broken: u64,
    unsettled: u64,
    runs: u64,
    renewals: u64,
    met: Met,
}

impl Sum {
    fn add(&mut self, ending: &Ending) {
        self.histories += 1;
        self.broken += u64::from(ending.mismatches > 0);
        self.unsettled += u64::from(ending.unsettled.is_some());
        self.runs += ending.runs as u64;
        self.renewals += ending.renewals as u64;
        for (what, times) in &ending.met {
            *self.met.entry(what).or_default() += times;
        }
    }
}

/// Plays these seeds on all cores. `stop` tells after which ending to stop.
fn play_all(
    first: u64,
    count: u64,
    engine: fn() -> Engine,
    others: bool,
    stop: fn(&Ending) -> bool,
) -> (Sum, Vec<u64>) {
    let (next, stopped) = (AtomicU64::new(first), AtomicBool::new(false));
    let result = Mutex::new((Sum::default(), Vec::new()));
    let began = Instant::now();
    let work = || {
        let mut told = Instant::now();
        while !stopped.load(Relaxed) {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= first + count {
                return;
            }
            let ending = play(&Tale::by(seed), engine(), others, &|_| {});
            let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
            result.0.add(&ending);
            if stop(&ending) {
                result.1.push(seed);
                stopped.store(true, Relaxed);
            }
            if count > 10_000 && told.elapsed() > Duration::from_secs(60) {
                told = Instant::now();
                let Sum { histories, broken, unsettled, .. } = &result.0;
                eprintln!(
                    "{histories} of {count} histories in {:?}: {broken} broken, {unsettled} unsettled",
                    began.elapsed()
                );
            }
        }
    };
    let cores = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    result.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Plays one seed aloud, with the steps that matter.
fn tell(seed: u64, others: bool) -> String {
    retell(seed, &Tale::by(seed), others)
}

fn retell(seed: u64, tale: &Tale, others: bool) -> String {
    let again = |tale: &Tale| play(tale, Rc::new(tireless), others, &|_| {});
    let small = shrink::shrink(tale, |tale| !again(tale).is_good());
    let Ending { first, unsettled, .. } = play(&small, Rc::new(daneroll), others, &|text| eprintln!("{text}"));
    let (steps, all, lines) = (small.steps.len(), tale.steps.len(), shrink::in_lines(&small));
    format!(
        "history {seed} fails; DANEROLL_SEED={seed} plays it again. {steps} of its {all} steps do (told above):\n{lines}\
         mismatch: {first}\nunsettled: {unsettled:?}"
    )
}

#[test]
fn histories() {
    if let Some(seed) = number("DANEROLL_SEED") {
        let ending = play(&Tale::by(seed), Rc::new(daneroll), false, &|text| eprintln!("{text}"));
        assert!(ending.is_good(), "{ending:?}\n{}", tell(seed, false));
        return;
    }
    let (first, count) = (number("DANEROLL_FIRST").unwrap_or(1), number("DANEROLL_HISTORIES").unwrap_or(QUICK));
    let began = Instant::now();
    let (sum, failed) = play_all(first, count, || Rc::new(tireless), false, |ending| !ending.is_good());
    eprintln!(
        "{} histories with {} renewals and {} runs in {:.0?}",
        sum.histories,
        sum.renewals,
        sum.runs,
        began.elapsed()
    );
    for (what, times) in &sum.met {
        eprintln!("{times:>10} {what}");
    }
    assert!(failed.is_empty(), "{}", tell(failed[0], false));
    assert_eq!((sum.histories, sum.broken, sum.unsettled), (count, 0, 0));
    if count >= QUICK {
        assert_eq!(sum.met.len(), play::KINDS, "an empty run is no pass: {:?}", sum.met);
        let least = sum.met.values().min().unwrap();
        assert!(*least * 100 >= count, "each kind must be met in a hundredth of the histories: {:?}", sum.met);
    }
}

/// What tells a seed.
type Tells = fn(u64) -> Tale;

/// Seeds whose histories failed once, what they were told by, and why.
const FAILED_ONCE: [(u64, Tells, &str); 7] = [
    (441, Tale::first_told, "the power failed, and a bundle was not on disk that links led to"),
    (
        10_550,
        Tale::first_told,
        "a record came late from a call that had run into its time limit, and had been deleted before: it was others' then, and \
         no switch was possible beside it",
    ),
    (
        12_118,
        Tale::first_told,
        "renewals broke off one after the other, and certbot pruned the archive files that the dane directory led to",
    ),
    (200_506, Tale::first_told, "a switch left clients alone that know no SHA-512, and went by a record of others"),
    (
        268_353,
        Tale::first_told,
        "of two first records of a kind the one for what is served had no effect, and the other, for what the lost journal had to \
         take for presented, stood alone",
    ),
    (
        341_491,
        Tale::by,
        "a record was deleted by hand and published again; a server that had gone along with that while it was down was seen with \
         the record before and after, and nothing counted for what it had shown between",
    ),
    (
        346_741,
        Tale::by,
        "the journal was lost while a server was down; when it came back, what it still had was forgotten by the others' caches, \
         and did not count",
    ),
];

#[test]
fn those_that_failed_once() {
    for (seed, tells, why) in FAILED_ONCE {
        let tale = tells(seed);
        let ending = play(&tale, Rc::new(tireless), false, &|_| {});
        assert!(ending.is_good(), "{why}\n{}", retell(seed, &tale, false));
    }
}

/// What was left of the history that pruned the archive: settings have changed since, and with them what the seed tells.
#[test]
fn renewals_that_break_off_one_after_the_other() {
    let renewal = |issuer, flaw| Step::Renew(Renewal { issuer, flaw, ..Renewal::default() });
    let flaws = [Flaw::Unreadable, Flaw::WrongKey, Flaw::WrongKey, Flaw::LinksMoved(2)];
    for (rfc2136, reads) in [(true, Reads::Anytime), (false, Reads::OnReload)] {
        let (tlsa, lag, bundle, processes, settle) = ("301 25", 7000, false, 3, 0);
        let (way, far, notify) = (None, false, false);
        let setting = Setting { tlsa, lag, rfc2136, bundle, reads, processes, settle, way, far, notify };
        let steps = [1, 1, 0, 1].into_iter().zip(flaws).map(|(issuer, flaw)| renewal(issuer, flaw)).collect();
        let ending = play(&Tale { setting, steps }, Rc::new(tireless), false, &|_| {});
        assert!(ending.is_good(), "{ending:?}");
    }
}

/// A history is the same whenever it is played.
#[test]
fn histories_can_be_replayed() {
    for seed in 1..4 {
        let log = || {
            let lines = std::cell::RefCell::new(Vec::new());
            play(&Tale::by(seed), Rc::new(tireless), false, &|line| lines.borrow_mut().push(line));
            lines.into_inner()
        };
        assert_eq!(log(), log());
    }
}

/// The same histories, with what others do in the program's place: each of them must be caught.
#[test]
fn others_break() {
    let count = number("DANEROLL_COMPARED").unwrap_or(COMPARED);
    eprintln!("{:<60} {:>9} {:>9} of {count} histories", "", "broken", "unsettled");
    for (name, engine) in others::all() {
        let ours = name == others::OURS;
        let stop = if ours { |ending: &Ending| !ending.is_good() } else { |_: &Ending| false };
        let (sum, failed) = play_all(1, count, engine, true, stop);
        eprintln!("{name:<60} {:>9} {:>9}", sum.broken, sum.unsettled);
        assert!(failed.is_empty(), "{}", tell(failed[0], true));
        assert_eq!(sum.broken == 0, ours, "{name}");
    }
}

//! What services present × what looks before told × holds × what two servers show × whose records they are.

use super::{
    Digits, Space,
    letters::{Cert, Param, Record, Set},
    world::{Files, Look, Phase, Presents, Says, Sights, State, WEEK, World},
};
use Cert::{A, B, D};

pub const SPACE: Space = Space {
    name: "services",
    rows: SHOWS.len() * SHOWS.len() * RECORDS.len() * (PRESENTS.len() * PRESENTS.len() + 3) * PHASES.len(),
    world,
    stride: 1,
};

const PRESENTS: [Presents; 6] = [
    Presents(&[A], false),
    Presents(&[B], false),
    Presents(&[A, B], false),
    Presents(&[D], false),
    Presents(&[], true),
    Presents(&[B], true),
];

/// The hold of 7200 seconds after it ended 800 seconds ago.
const LATE: Phase = Phase::Reloaded(8000);

/// First and last look, seconds ago.
type Looks = (u64, u64);

/// Where the rollover stands, and what looks told of the old certificate: at the limits, and a second before.
const PHASES: [(Phase, Option<u64>, Option<Looks>); 13] = [
    (Phase::Before, None, None),
    (Phase::Owed, None, Some((7900, 0))),
    (Phase::Reloaded(7199), None, Some((7000, 0))),
    (LATE, None, None),
    (LATE, None, Some((7900, 801))),
    (LATE, None, Some((7900, 800))),
    (LATE, Some(7199), None),
    (LATE, Some(7200), Some((7100, 1))),
    (LATE, Some(7200), Some((7100, 0))),
    (Phase::NoReload, None, None),
    (Phase::NoReload, None, Some((WEEK - 1, 0))),
    (Phase::NoReload, None, Some((WEEK, 0))),
    (Phase::NoReload, None, Some((700_000, 100_000))),
];

/// Of the old certificate, and of the new one; and do others use the owner, too?
const RECORDS: [(Option<State>, Option<State>, bool); 5] = [
    (None, None, false),
    (Some(State::Ours), Some(State::Ours), false),
    (Some(State::Found), Some(State::Ours), false),
    (Some(State::Ours), Some(State::Ours), true),
    (Some(State::Deleting), Some(State::Ours), false),
];

const SHOWS: [Option<&[Cert]>; 5] = [Some(&[]), Some(&[A]), Some(&[B]), Some(&[A, B]), None];

fn look(number: usize) -> Look {
    match number {
        0 => Look::Off,
        1 => Look::NotYet,
        2 => Look::NoHost,
        _ => Look::At(vec![PRESENTS[(number - 3) / 6], PRESENTS[(number - 3) % 6]]),
    }
}

/// What is seen in this round is in the journal before plans are made.
fn sights(look: &Look, mut sights: Sights, old: Cert) -> Sights {
    if let Look::At(addresses) = look {
        if addresses.iter().any(|Presents(certs, _)| certs.contains(&old)) {
            sights = Sights { seen: Some(0), unseen: None };
        } else if addresses.iter().all(|Presents(_, failed)| !failed) {
            sights.unseen = Some((sights.unseen.map_or(0, |(first, _)| first), 0));
        }
    }
    sights
}

fn world(number: usize) -> Option<World> {
    let mut digits = Digits(number);
    let of = |cert: &Cert| Record::of(*cert, Param::P311);
    let says = |shows: &Option<&[Cert]>| match shows {
        Some(certs) => Says::Shows(certs.iter().map(of).collect::<Set>()),
        None => Says::Silence,
    };
    let servers = vec![says(digits.of(&SHOWS)), says(digits.of(&SHOWS))];
    let (a, b, shared) = *digits.of(&RECORDS);
    let looks: Vec<usize> = (0..PRESENTS.len() * PRESENTS.len() + 3).collect();
    let look = look(*digits.of(&looks));
    let (phase, seen, unseen) = *digits.of(&PHASES);
    let starting = phase == Phase::Before;
    let sights = if starting { Sights::default() } else { sights(&look, Sights { seen, unseen }, A) };
    let records = [a.map(|state| (of(&A), state)), b.map(|state| (of(&B), state))];
    let served = if starting { A } else { B };
    Some(World {
        files: Files::Pinned(served),
        live: Some(served),
        phase,
        records: records.into_iter().flatten().collect(),
        servers,
        look,
        sights,
        shared,
        ..World::new()
    })
}

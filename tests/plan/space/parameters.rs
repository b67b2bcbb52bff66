//! Usages and digest types × a second lineage at the owner × DNSSEC and silence × patience.

use super::{
    Digits, Space,
    letters::{Cert, Param, Record, Set},
    world::{Asked, Beside, Earlier, Files, HOLD, Patience, Phase, Says, State, World},
};
use Cert::{A, B, C};
use Param::{P211, P311, P312};

pub const SPACE: Space = Space {
    name: "parameters",
    rows: SHOWS.len() * SHOWS.len() * 2 * ROUNDS.len() * PARAMS.len() * BESIDE.len() * PHASES.len() * RECORDS.len() * 3,
    world,
    stride: 7,
};

const PARAMS: [&[Param]; 3] = [&[P311], &[P211], &[P311, P312]];
const BESIDE: [Beside; 3] = [Beside::Nobody, Beside::Sound, Beside::Unconfigured];

/// What is served, and where its rollover stands.
const PHASES: [(Cert, Cert, Phase); 6] = [
    (A, B, Phase::Before),
    (A, A, Phase::Withdrawn),
    (B, B, Phase::Owed),
    (B, B, Phase::Reloaded(HOLD)),
    (B, B, Phase::NoReload),
    (A, B, Phase::Barred),
];

/// Of the old certificate, and of the new one.
const RECORDS: [(State, State); 4] = [
    (State::Ours, State::Ours),
    (State::Ours, State::Publishing),
    (State::Ours, State::Deleting),
    (State::Deleted, State::Ours),
];

/// What an address says, beside the records of the second lineage.
#[derive(Clone, Copy)]
enum Shows {
    Nothing,
    Old,
    New,
    Both,
    /// The first parameter's of the new one is there already.
    BothInPart,
    /// Somebody added a digest type.
    OddType,
    Silence,
    NoRoute,
    Bogus,
    Unsigned,
}
use Shows::*;

const SHOWS: [Shows; 10] = [Nothing, Old, New, Both, BothInPart, OddType, Silence, NoRoute, Bogus, Unsigned];

/// How the round of questions went, and what speaks for leaving out who is silent: at the limits, and a second before.
const ROUNDS: [(Asked, bool, Patience); 8] = [
    (Asked::Yes, false, Patience::NONE),
    (Asked::Yes, true, Patience::NONE),
    (Asked::NotThisTime, false, Patience::NONE),
    (Asked::Lost, false, Patience::NONE),
    (Asked::Yes, false, Patience { since: 86_399, beyond: 1, one_host: true }),
    (Asked::Yes, false, Patience { since: 86_400, beyond: 0, one_host: false }),
    (Asked::Yes, false, Patience { since: 86_400, beyond: 1, one_host: false }),
    (Asked::Yes, false, Patience { since: 86_400, beyond: 0, one_host: true }),
];

fn world(number: usize) -> Option<World> {
    let mut digits = Digits(number);
    let (one, two) = (*digits.of(&SHOWS), *digits.of(&SHOWS));
    let everywhere = *digits.of(&[true, false]);
    let earlier = *digits.of(&[None, Some(7199), Some(7200)]);
    let states = digits.of(&RECORDS);
    let (asked, insecure, patience) = *digits.of(&ROUNDS);
    let (served, live, phase) = *digits.of(&PHASES);
    let (beside, params) = (*digits.of(&BESIDE), *digits.of(&PARAMS));
    let of = |cert: Cert| params.iter().map(|param| Record::of(cert, *param)).collect::<Set>();
    let first = |cert: Cert| Set::from(Record::of(cert, params[0]));
    let says = |shows: Shows, has_c: bool| {
        let c = if has_c && beside != Beside::Nobody { of(C) } else { Set::default() };
        match shows {
            Nothing => Says::Shows(c),
            Old => Says::Shows(of(A).with(c)),
            New => Says::Shows(of(B).with(c)),
            Both => Says::Shows(of(A).with(of(B)).with(c)),
            BothInPart => Says::Shows(of(A).with(first(B)).with(c)),
            OddType => Says::Shows(of(A).with(of(B)).with(c).with(Set::from(Record::X312))),
            Silence => Says::Silence,
            NoRoute => Says::NoRoute,
            Bogus => Says::Bogus,
            Unsigned => Says::Unsigned,
        }
    };
    let known = |cert: Cert, state: State| of(cert).iter().map(move |record| (record, state)).collect::<Vec<_>>();
    // What was not asked, or nobody is there to lack, makes no difference.
    let idle = (asked != Asked::Yes && (one as u8 != 0 || two as u8 != 0)) || (beside == Beside::Nobody && !everywhere);
    (!idle).then(|| World {
        params,
        files: Files::Pinned(served),
        live: Some(live),
        phase,
        records: [known(A, states.0), known(B, states.1)].concat(),
        servers: vec![says(one, true), says(two, everywhere)],
        asked,
        insecure,
        earlier: earlier.map(|gone| Earlier { shown: Some(of(A)), ttl: 3600, gone }),
        patience,
        beside,
        ..World::new()
    })
}

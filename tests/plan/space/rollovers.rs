//! Files × phases × records in the journal × what two servers show × what a cache may hold.

use super::{
    Digits, Space,
    letters::{Cert, Param, Record, Set},
    world::{Earlier, Files, HOLD, Phase, Says, State, Store, World},
};
use Cert::{A, B};

pub const SPACE: Space = Space {
    name: "rollovers",
    rows: FILES.len() * LIVE.len() * 2 * PHASES.len() * RECORDS.len() * SHOWS.len() * SHOWS.len() * EARLIER.len(),
    world,
    stride: 13,
};

const FILES: [Files; 9] = [
    Files::Follows,
    Files::Pinned(A),
    Files::Pinned(B),
    Files::Foreign(A),
    Files::Foreign(B),
    Files::Damaged(A, Some(B)),
    Files::Damaged(A, None),
    Files::Missing,
    Files::Unknown,
];

const LIVE: [Option<Cert>; 3] = [Some(A), Some(B), None];

const PHASES: [Phase; 11] = [
    Phase::Before,
    Phase::Owed,
    Phase::Early,
    Phase::Undeployed,
    Phase::Deployed,
    Phase::Reloaded(HOLD - 1),
    Phase::Reloaded(HOLD),
    Phase::Reloaded(9000), // it began at the moment of the switch
    Phase::Barred,
    Phase::Withdrawn,
    Phase::Unconfigured,
];

/// Of the old certificate, and of the new one.
const RECORDS: [(Option<State>, Option<State>); 12] = [
    (None, None),
    (Some(State::Ours), None),
    (Some(State::Ours), Some(State::Ours)),
    (None, Some(State::Ours)),
    (Some(State::Publishing), None),
    (Some(State::Ours), Some(State::Publishing)),
    (Some(State::Ours), Some(State::Deleting)),
    (Some(State::Deleted), Some(State::Ours)),
    (Some(State::DeletedAgo(299)), Some(State::Ours)),
    (Some(State::DeletedAgo(300)), Some(State::Ours)),
    (Some(State::Found), Some(State::Ours)),
    (Some(State::OursFor(59)), Some(State::OursFor(60))),
];

/// What an address shows; beside ours there is often somebody else's.
#[derive(Clone, Copy)]
enum Shows {
    Nothing,
    Foreign,
    Old,
    New,
    Both,
    Silence,
    Bogus,
}

const SHOWS: [Shows; 7] =
    [Shows::Nothing, Shows::Foreign, Shows::Old, Shows::New, Shows::Both, Shows::Silence, Shows::Bogus];

/// What it was, its TTL, and how long ago.
type Answer = (Option<&'static [Cert]>, u64, u64);

/// An earlier answer of ns1: of which certificates (`None`: nobody knows), its TTL, and how long ago it was: at the limits, and a
/// second before.
const EARLIER: [Option<Answer>; 7] = [
    None,
    Some((Some(&[A]), 3600, 7199)),
    Some((Some(&[A]), 3600, 7200)),
    Some((Some(&[A]), 60, 3599)),
    Some((Some(&[A]), 60, 3600)),
    Some((Some(&[]), 3600, 7199)),
    Some((None, 3600, 10)),
];

fn world(number: usize) -> Option<World> {
    let mut digits = Digits(number);
    let records = |certs: &[Cert]| certs.iter().map(|cert| Record::of(*cert, Param::P311)).collect::<Set>();
    let says = |shows: &Shows| match shows {
        Shows::Nothing => Says::Shows(Set::default()),
        Shows::Foreign => Says::Shows(Set::from(Record::X)),
        Shows::Old => Says::Shows(records(&[A])),
        Shows::New => Says::Shows(records(&[B]).with(Set::from(Record::X))),
        Shows::Both => Says::Shows(records(&[A, B])),
        Shows::Silence => Says::Silence,
        Shows::Bogus => Says::Bogus,
    };
    let (one, two) = (digits.of(&SHOWS), digits.of(&SHOWS));
    let earlier = digits.of(&EARLIER).map(|(shown, ttl, gone)| Earlier { shown: shown.map(records), ttl, gone });
    // Servers are alike unless one of them remembers an answer.
    if earlier.is_none() && (*one as u8) > (*two as u8) {
        return None;
    }
    let states = digits.of(&RECORDS);
    let of = |cert: Cert, state: Option<State>| Some((Record::of(cert, Param::P311), state?));
    Some(World {
        servers: vec![says(one), says(two)],
        earlier,
        records: of(A, states.0).into_iter().chain(of(B, states.1)).collect(),
        store: *digits.of(&[Store::Both, Store::Served]),
        phase: *digits.of(&PHASES),
        live: *digits.of(&LIVE),
        files: *digits.of(&FILES),
        ..World::new()
    })
}

//! The planner in every world that can be made of a few small facts. Each plan is judged by rules that do not use the planner
//! (`gates`, `rules`), made again from facts in another order (`order`), and examined by the production checker, which must have
//! nothing against it and must notice when the facts were worse (`spoil`).
//!
//! Three spaces: rollovers (files × phases × records × servers × caches), parameters (digests and usages × a second lineage ×
//! DNSSEC × patience) and services (what they present × what was seen before × holds). `DANEROLL_ROWS=all` judges every row,
//! `DANEROLL_ROWS=n` every n-th; otherwise it is a fixed stride.

mod gates;
mod letters;
mod order;
mod parameters;
mod rollovers;
mod rules;
mod services;
mod spoil;
mod world;

use daneroll::plan::{Action, Cause, Plan, Reason, check::check, plan};
use std::{collections::BTreeMap, thread};
use world::{Bases, World};

/// What rows ended in.
type Tally = BTreeMap<&'static str, usize>;

/// Every kind of action that a plan can hold.
const ACTIONS: [&str; 11] =
    ["store", "arrange", "adopt", "add", "switch", "switch broken", "deploy", "reload", "delete", "forget", "leave"];

/// Every kind of reason.
const REASONS: [&str; 19] = [
    "not asked",
    "no servers",
    "unknown",
    "not shown",
    "cached",
    "deploy owed",
    "reload owed",
    "hold",
    "no reload",
    "needs probe",
    "not probed",
    "unprobed",
    "presents",
    "seen",
    "unseen",
    "needed",
    "unreadable",
    "unconfigured",
    "not visible",
];

fn action(action: &Action) -> &'static str {
    match action {
        Action::Store { .. } => "store",
        Action::Arrange { .. } => "arrange",
        Action::Adopt { .. } => "adopt",
        Action::Add(_) => "add",
        Action::Switch { cause: Cause::Ready, .. } => "switch",
        Action::Switch { cause: Cause::Broken, .. } => "switch broken",
        // Only an operator's word leads to it, never a plan.
        Action::Switch { cause: Cause::Forced, .. } => panic!("a plan forces nothing"),
        Action::Deploy { .. } => "deploy",
        Action::Reload { .. } => "reload",
        Action::Delete(_) => "delete",
        Action::Forget { .. } => "forget",
        Action::Leave { .. } => "leave",
    }
}

fn reason(reason: &Reason) -> &'static str {
    match reason {
        Reason::NotAsked { .. } => "not asked",
        Reason::NoServers { .. } => "no servers",
        Reason::Unknown { .. } => "unknown",
        Reason::NotShown { .. } => "not shown",
        Reason::Cached { .. } => "cached",
        // Only with a hook in DaneBot's manner.
        Reason::NotInstalled { .. } => "not installed",
        Reason::DeployOwed { .. } => "deploy owed",
        Reason::ReloadOwed { .. } => "reload owed",
        Reason::Hold { .. } => "hold",
        Reason::NoReload { .. } => "no reload",
        Reason::NeedsProbe => "needs probe",
        Reason::NotProbed { .. } => "not probed",
        Reason::Unprobed { .. } => "unprobed",
        Reason::Presents { .. } => "presents",
        Reason::Seen { .. } => "seen",
        Reason::Unseen { .. } => "unseen",
        Reason::Needed { .. } => "needed",
        Reason::Unreadable { .. } => "unreadable",
        Reason::Unconfigured { .. } => "unconfigured",
        Reason::NotVisible { .. } => "not visible",
        Reason::MayCome { .. } => "may come",
        Reason::OnItsWay { .. } => "on its way",
        Reason::Held => "held",
        // No world here has a CNAME or sets of hosts.
        Reason::LeftBehind { .. } => "left behind",
        Reason::HostsUnknown { .. } => "hosts unknown",
        Reason::WithoutEffect { .. } => "without effect",
        Reason::Unfinished { .. } => "unfinished",
    }
}

/// Turns a number into its digits, each of a base of its own. Strides have no factor in common with a base.
struct Digits(usize);

impl Digits {
    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let digit = self.0 % choices.len();
        self.0 /= choices.len();
        &choices[digit]
    }
}

/// A space: so many rows, each of which stands for a world, unless it says the same as another.
struct Space {
    name: &'static str,
    rows: usize,
    world: fn(usize) -> Option<World>,
    /// Of how many rows one is judged, unless all are.
    stride: usize,
}

/// Of so many rows two are judged for order and spoiled, too: one by each thread.
const SELDOM: usize = 41;

/// Of how many rows one is judged: `DANEROLL_ROWS` says `all`, or a number.
fn stride(usual: usize) -> usize {
    match std::env::var("DANEROLL_ROWS").as_deref() {
        Ok("all") => 1,
        Ok(number) => number.parse().expect("DANEROLL_ROWS is `all` or a number"),
        Err(_) => usual,
    }
}

/// Judges one row, and counts what it ended in.
fn judge(world: &World, bases: &mut Bases, seldom: bool, tally: &mut Tally) -> Result<(), (String, String)> {
    let scene = world.scene(bases);
    let made = plan(scene.input());
    let failed = |why: String| (why, format!("{}\n{made:?}", world.script()));
    let checked = check(scene.input(), made.clone());
    if checked != made {
        let texts: Vec<String> = checked.troubles.iter().map(ToString::to_string).collect();
        return Err(failed(format!("the checker objects: {}", texts.join("; "))));
    }
    rules::judge(world, &made).map_err(failed)?;
    if seldom {
        order::judge(&scene, &made).map_err(failed)?;
    }
    if seldom || spoil::is_rare(world, &made) {
        spoil::judge(world, &made, tally).map_err(failed)?;
    }
    count(&made, tally);
    Ok(())
}

fn count(made: &Plan, tally: &mut Tally) {
    let reasons = made.waits.iter().flat_map(|wait| &wait.reasons).map(reason);
    let mut ends: Vec<&'static str> = made.actions.iter().map(action).chain(reasons).collect();
    ends.sort_unstable();
    ends.dedup();
    ends.push("rows");
    ends.into_iter().for_each(|end| *tally.entry(end).or_default() += 1);
}

/// What is wrong with rows: how often, and the first of them.
type Wrong = BTreeMap<String, (usize, String)>;

impl Space {
    /// Judges every second row from `first` on.
    fn part(&self, first: usize) -> (Tally, Wrong) {
        let (mut tally, mut wrong, mut bases) = (Tally::new(), Wrong::new(), Bases::default());
        let rows = (0..self.rows).step_by(stride(self.stride));
        for (at, number) in rows.enumerate().skip(first).step_by(2) {
            let Some(world) = (self.world)(number) else { continue };
            if let Err((why, row)) = judge(&world, &mut bases, at % SELDOM < 2, &mut tally) {
                wrong.entry(why).or_insert((0, row)).0 += 1;
            }
        }
        (tally, wrong)
    }

    /// Judges the space with two threads.
    fn judge(&self) -> Tally {
        let parts: [(Tally, Wrong); 2] = thread::scope(|scope| {
            [0, 1].map(|first| scope.spawn(move || self.part(first))).map(|part| part.join().unwrap())
        });
        let (mut sum, mut text) = (Tally::new(), String::new());
        for (tally, wrong) in parts {
            tally.into_iter().for_each(|(end, count)| *sum.entry(end).or_default() += count);
            for (why, (count, row)) in wrong {
                text += &format!("{count} rows: {why}\n{row}\n\n");
            }
        }
        assert!(text.is_empty(), "{}: {text}", self.name);
        sum
    }
}

/// Every row of every space; and each kind of action, of reason and of spoiled fact was met by many.
#[test]
fn every_world() {
    let mut sum = Tally::new();
    for space in [rollovers::SPACE, parameters::SPACE, services::SPACE] {
        space.judge().into_iter().for_each(|(end, count)| *sum.entry(end).or_default() += count);
    }
    let met = |end: &str| sum.get(end).copied().unwrap_or_default();
    println!("{sum:?}");
    if let Err(_) | Ok("all") = std::env::var("DANEROLL_ROWS").as_deref() {
        let ends = ACTIONS.into_iter().chain(REASONS).chain(spoil::KINDS);
        let rare: Vec<&str> = ends.filter(|end| met(end) < 20).collect();
        assert!(rare.is_empty(), "hardly met: {rare:?} of {sum:?}");
        assert!(met("rows") > 300_000, "{sum:?}");
    }
}

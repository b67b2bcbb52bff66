//! Every combination of a few small facts, judged by rules that are written down here without any thought of the planner.

use crate::{
    certs::{id, record},
    scene::{Scene, action, ago},
};
use daneroll::{
    journal::Past,
    plan::{Action, Plan, check::check, plan},
    small::Set,
    tlsa::Association,
};

/// What an address shows; a foreign record stands beside ours everywhere.
#[derive(Clone, Copy, PartialEq)]
enum Shows {
    Old,
    Both,
    New,
    Nothing,
    Unknown,
}
use Shows::*;

/// An answer that ns1 gave before.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    None,
    OldCached,
    OldForgotten,
    NobodyKnows,
}

/// Where the rollover from A to B stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Published,
    Switched,
    Reloaded,
    Withdrawn,
}

/// Which records the journal knows as ours.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ours {
    OldAndNew,
    Old,
    NewGoing,
    OldFound,
}

struct Row {
    shows: [Shows; 3],
    before: Before,
    phase: Phase,
    ours: Ours,
    /// Are both generations in the store?
    stored: bool,
    /// No patience, and less than a third of P's life left.
    late: bool,
}

const OLD: &str = "P";
const NEW: &str = "N";

impl Row {
    fn all() -> impl Iterator<Item = Row> {
        let shows = [Old, Both, New, Nothing, Unknown];
        let before = [Before::None, Before::OldCached, Before::OldForgotten, Before::NobodyKnows];
        let phases = [Phase::Published, Phase::Switched, Phase::Reloaded, Phase::Withdrawn];
        let ours = [Ours::OldAndNew, Ours::Old, Ours::NewGoing, Ours::OldFound];
        (0..125 * 4 * 4 * 4 * 2 * 2).map(move |mut number: usize| {
            let mut digit = |base: usize| {
                let digit = number % base;
                number /= base;
                digit
            };
            Row {
                shows: [shows[digit(5)], shows[digit(5)], shows[digit(5)]],
                before: before[digit(4)],
                phase: phases[digit(4)],
                ours: ours[digit(4)],
                stored: digit(2) == 0,
                late: digit(2) == 1,
            }
        })
    }

    /// Patience matters only where somebody is silent, the store only where a switch is due.
    fn is_of_its_own(&self) -> bool {
        (!self.late || self.known().len() < 3) && (self.stored || self.phase == Phase::Published)
    }

    fn script(&self) -> String {
        let mut script = format!(
            "{}; stored {}; patience {}; ",
            match self.phase {
                Phase::Published => format!("pinned {OLD}; live {NEW}; presented {OLD}; waiting {NEW}; reload R"),
                Phase::Switched => format!("pinned {NEW}; live {NEW}; left {OLD} 9000; presented {NEW}; reload R"),
                Phase::Reloaded =>
                    format!("pinned {NEW}; live {NEW}; left {OLD} 90000; presented {NEW}; reloaded R 80000"),
                Phase::Withdrawn => format!("pinned {OLD}; live {OLD}; presented {OLD}; reload R"),
            },
            if self.stored { format!("{OLD} {NEW}") } else { self.served().into() },
            if self.late { 0 } else { 86_400 },
        );
        script += &match self.ours {
            Ours::OldAndNew => format!("ours {OLD} {NEW}; "),
            Ours::Old => format!("ours {OLD}; "),
            Ours::NewGoing => format!("ours {OLD}; deleting {NEW}; "),
            Ours::OldFound => format!("ours {NEW}; found {OLD}; "),
        };
        for (at, shows) in self.shows.iter().enumerate() {
            let answer = match shows {
                Old => format!("{OLD} x"),
                Both => format!("{OLD} {NEW} x"),
                New => format!("{NEW} x"),
                Nothing => "-".into(),
                Unknown => "?".into(),
            };
            script += &format!("ns{} {answer}; ", at + 1);
        }
        script
            + &match self.before {
                Before::None => String::new(),
                Before::OldCached => format!("past ns1 {OLD} 3600 10"),
                Before::OldForgotten => format!("past ns1 {OLD} 3600 7200"),
                Before::NobodyKnows => "past ns1 ? 3600 10".into(),
            }
    }

    fn served(&self) -> &'static str {
        if matches!(self.phase, Phase::Published | Phase::Withdrawn) { OLD } else { NEW }
    }

    /// Does an address show the record, as far as it is not on its way out?
    fn has(&self, shows: Shows, of: &str) -> bool {
        let going = of == NEW && self.ours == Ours::NewGoing;
        !going && matches!((shows, of), (Both, _) | (Old, OLD) | (New, NEW))
    }

    fn known(&self) -> Vec<Shows> {
        self.shows.iter().copied().filter(|shows| *shows != Unknown).collect()
    }

    /// May whoever does not answer be left out?
    fn is_patient(&self) -> bool {
        let old_is_served = self.served() == OLD;
        self.known().len() == 3 || (self.late && old_is_served && !self.known().is_empty())
    }

    fn may_switch_to(&self, to: &str) -> bool {
        let before = match self.before {
            Before::None | Before::OldForgotten => true,
            Before::OldCached => to == OLD,
            Before::NobodyKnows => false,
        };
        let kept = self.stored || to == self.served();
        kept && before && self.is_patient() && self.known().iter().all(|shows| self.has(*shows, to))
    }

    /// May B, A or both still be presented?
    fn presented(&self) -> &'static [&'static str] {
        match self.phase {
            Phase::Published | Phase::Withdrawn => &[OLD],
            Phase::Switched => &[OLD, NEW],
            Phase::Reloaded => &[NEW],
        }
    }

    fn may_delete(&self, of: &str) -> bool {
        let stays = |shows: &Shows| self.presented().iter().all(|chain| *chain != of && self.has(*shows, chain));
        let ours = match self.ours {
            Ours::OldAndNew | Ours::NewGoing => true,
            Ours::Old => of == OLD,
            // Found, so a probe has to tell; unless nobody shows it.
            Ours::OldFound => of == NEW || self.shows.iter().all(|shows| !matches!(shows, Old | Both | Unknown)),
        };
        ours && self.is_patient() && self.known().iter().all(stays)
    }

    fn judge(&self, plan: &Plan) -> Result<(), String> {
        for (at, planned) in plan.actions.iter().enumerate() {
            let name = action(planned);
            let (verb, of) = name.split_once(' ').unwrap();
            let sound = match verb.trim_end_matches('!') {
                "switch" => self.may_switch_to(of),
                "delete" => self.may_delete(of),
                "adopt" => self.shows.iter().any(|shows| self.has(*shows, of)),
                "add" => of != "x" && !self.known().is_empty() && self.is_in_order(&plan.actions[..at], of),
                "store" => !self.stored || of == self.served(),
                "arrange" => of == self.served() || (of == "live" && self.phase != Phase::Published),
                "forget" => !self.presented().contains(&of),
                "reload" => self.phase == Phase::Switched,
                _ => false,
            };
            if !sound {
                return Err(name);
            }
        }
        Ok(())
    }

    /// A record of a chain that nobody presents is added only where all that are presented have theirs, or get them first.
    fn is_in_order(&self, before: &[Action], of: &str) -> bool {
        let comes_first = |chain: &str| before.iter().any(|planned| action(planned) == format!("add {chain}"));
        let all_have = |chain: &str| self.known().iter().all(|shows| self.has(*shows, chain));
        self.presented().contains(&of) || self.presented().iter().all(|chain| comes_first(chain) || all_have(chain))
    }
}

/// A plan from the wrong facts: one more server, one more answer in a cache. The checker must notice.
fn spoil(scene: &Scene, plan: &Plan) {
    let switches = |scene: &Scene| {
        let left = check(scene.input(), plan.clone());
        left.actions.iter().any(|action| matches!(action, Action::Switch { .. }))
    };
    assert!(switches(scene));
    let owner = |scene: &mut Scene, spoiling: &dyn Fn(&mut daneroll::journal::ServerDoc)| {
        let owner = scene.journal.owners.values_mut().next().unwrap();
        spoiling(owner.servers.values_mut().next().unwrap());
    };
    let nothing = daneroll::journal::Shown { records: Some(Set::from([record("x")])), ttl: 60 };
    let mut cached = scene.clone();
    owner(&mut cached, &|server| server.past.push(Past { shown: nothing.clone(), gone: ago(1) }));
    assert!(!switches(&cached), "an answer in a cache");
    let mut shown = scene.clone();
    owner(&mut shown, &|server| server.now = Some(nothing.clone()));
    let view = shown.facts.owners.values_mut().next().unwrap().servers.as_mut().unwrap();
    if view.values().next().is_some_and(|server| server.answer.is_ok()) {
        assert!(!switches(&shown), "a server that does not match");
    }
    let mut unseen = scene.clone();
    unseen.facts.owners.clear();
    assert!(!switches(&unseen), "nobody looked");
    let mut lost = scene.clone();
    lost.facts.lineages.values_mut().for_each(|facts| facts.stored.clear());
    assert!(!switches(&lost), "not in the store");
}

#[test]
fn all_small_worlds() {
    let foreign: Association = record("x");
    let (mut switches, mut deletes, mut adds, mut rows) = (0, 0, 0, 0);
    for row in Row::all().filter(Row::is_of_its_own) {
        rows += 1;
        let script = row.script();
        let scene = Scene::new(&script);
        let made = plan(scene.input());
        let checked = check(scene.input(), made.clone());
        assert_eq!(made, checked, "the checker objects: {script}");
        row.judge(&made).unwrap_or_else(|unsound| panic!("{unsound}: {script}"));
        for planned in &made.actions {
            match planned {
                Action::Switch { to, .. } => {
                    assert!(*to != id(row.served()), "{script}");
                    if switches % 50 == 0 {
                        spoil(&scene, &made);
                    }
                    switches += 1;
                }
                Action::Add(edit) => {
                    assert!(edit.record != foreign, "{script}");
                    adds += 1;
                }
                Action::Delete(edit) => {
                    assert!(edit.record != foreign, "{script}");
                    deletes += 1;
                }
                _ => {}
            }
        }
        for wait in &made.waits {
            assert!(!wait.reasons.is_empty(), "{:?} waits for nothing: {script}", wait.step);
        }
        // Where everything speaks for a switch, it is planned: the gate does not stay shut for ever.
        if row.phase == Phase::Published && row.stored && row.may_switch_to(NEW) {
            let planned = made.actions.iter().any(|action| matches!(action, Action::Switch { .. }));
            assert!(planned, "no switch: {script}");
        }
    }
    assert!(rows > 14_000 && switches > 50 && deletes > 50 && adds > 50, "{rows} {switches} {deletes} {adds}");
}

//! Every combination of what servers show, what services present and what was seen before, judged by rules that are written down
//! here without any thought of the planner.

use crate::scene::{Scene, action};
use daneroll::plan::{Plan, Reason, check::check, plan};

/// What an address of the service presents.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Presents {
    Old,
    New,
    Both,
    Strange,
    Unknown,
    /// One session failed, the others saw the new one.
    NewAndMore,
}
use Presents::*;

/// What a name server shows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shows {
    Nothing,
    TheOld,
    TheNew,
    All,
    Silence,
}
use Shows::*;

/// What earlier probes said of the old certificate.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Never,
    /// They did not see it, while the hold lasted.
    CleanEarly,
    /// Nor after it.
    CleanLate,
    /// They saw it after a look without it.
    SeenAgain,
}
use Before::*;

#[derive(Debug)]
struct Row {
    /// Is the old certificate served, and nothing published yet? Else the new one is, and the hold is over.
    starting: bool,
    shows: [Shows; 2],
    /// `None`: nobody looked in this round.
    presents: Option<[Presents; 2]>,
    before: Before,
    found: bool,
}

impl Row {
    fn all() -> impl Iterator<Item = Row> {
        let shows = [Nothing, TheOld, TheNew, All, Silence];
        let presents = [Old, New, Both, Strange, Unknown, NewAndMore];
        let before = [Never, CleanEarly, CleanLate, SeenAgain];
        (0..2 * 25 * 37 * 4 * 2).map(move |mut number: usize| {
            let mut digit = |base: usize| {
                let digit = number % base;
                number /= base;
                digit
            };
            Row {
                starting: digit(2) == 0,
                shows: [shows[digit(5)], shows[digit(5)]],
                presents: Some(digit(37)).filter(|at| *at < 36).map(|at| [presents[at / 6], presents[at % 6]]),
                before: before[digit(4)],
                found: digit(2) == 1,
            }
        })
    }

    fn script(&self) -> String {
        let mut script = String::from("probe; stored A B; ");
        script += match (self.starting, self.found) {
            (true, _) => "pinned A; live A; presented A; ",
            (false, false) => "pinned B; live B; left A 90000; presented B; ours A B; reloaded R 8000; ",
            (false, true) => "pinned B; live B; left A 90000; presented B; found A; ours B; reloaded R 8000; ",
        };
        for (at, shows) in self.shows.iter().enumerate() {
            let records = match shows {
                Nothing => "-",
                TheOld => "A",
                TheNew => "B",
                All => "A B",
                Silence => "?",
            };
            script += &format!("ns{} {records}; ", at + 1);
        }
        for (at, presents) in self.presents.iter().flatten().enumerate() {
            let chains = match presents {
                Old => "A",
                New => "B",
                Both => "A B",
                Strange => "C",
                Unknown => "?",
                NewAndMore => "B ?",
            };
            script += &format!("mx{} {chains}; ", at + 1);
        }
        // The hold of 7200 s ended 800 s ago.
        script
            + match self.before {
                _ if self.starting => "",
                Never => "",
                CleanEarly => "unseen A 7000 900",
                CleanLate => "unseen A 7000 800",
                SeenAgain => "unseen A 7000 800; seen A 100",
            }
    }

    fn all_present(&self, what: Presents) -> bool {
        self.presents.is_some_and(|presents| presents == [what, what])
    }

    fn known(&self) -> impl Iterator<Item = Shows> {
        self.shows.into_iter().filter(|shows| *shows != Silence)
    }

    /// Does every server that answers show nothing? The first record turns DANE on then.
    fn turns_on(&self) -> bool {
        self.known().all(|shows| shows == Nothing)
    }

    fn may_add(&self, of: &str) -> bool {
        let needed = if self.starting { of == "A" } else { of == "B" || (of == "A" && self.is_held()) };
        needed && self.known().next().is_some() && (!self.turns_on() || self.all_match())
    }

    /// Everything seen is what is served, or what is still published beside it.
    fn all_match(&self) -> bool {
        let matches = |seen: &Presents| match seen {
            Old => self.starting || self.is_held(),
            New => !self.starting,
            Both => !self.starting && self.is_held(),
            Strange | Unknown | NewAndMore => false,
        };
        self.presents.is_some_and(|presents| presents.iter().all(matches))
    }

    /// May the old certificate still be presented, for all we know?
    fn is_held(&self) -> bool {
        !self.starting && self.before != CleanLate
    }

    fn may_delete(&self, of: &str) -> bool {
        let remains = self.shows.iter().all(|shows| matches!(shows, TheNew | All));
        // What nobody shows any more can be struck off the books.
        let is_gone = self.shows.iter().all(|shows| *shows == TheNew);
        !self.starting && of == "A" && !self.is_held() && remains && (is_gone || self.all_present(New))
    }

    fn judge(&self, plan: &Plan) -> Result<(), String> {
        for planned in &plan.actions {
            let name = action(planned);
            let (verb, of) = name.split_once(' ').unwrap();
            let sound = match verb {
                "add" => self.may_add(of),
                "delete" => self.may_delete(of),
                "adopt" => self.known().any(|shows| matches!((shows, of), (All, _) | (TheOld, "A") | (TheNew, "B"))),
                "forget" => !self.is_held(),
                "arrange" => of == "live",
                // Broken: what is served matches nothing that some server shows.
                "switch!" => self.known().any(|shows| shows == if self.starting { TheNew } else { TheOld }),
                _ => false,
            };
            if !sound {
                return Err(name);
            }
        }
        Ok(())
    }
}

#[test]
fn all_visits() {
    let (mut rows, mut firsts, mut deletes, mut looks) = (0, 0, 0, 0);
    for row in Row::all() {
        rows += 1;
        let scene = Scene::new(&row.script());
        let made = plan(scene.input());
        assert_eq!(made, check(scene.input(), made.clone()), "the checker objects: {row:?}");
        row.judge(&made).unwrap_or_else(|unsound| panic!("{unsound}: {row:?}\n{}", row.script()));
        let planned = |verb: &str| made.actions.iter().any(|planned| action(planned).starts_with(verb));
        firsts += usize::from(row.starting && row.turns_on() && planned("add"));
        deletes += usize::from(planned("delete"));
        // Where everything speaks for it, it happens.
        if row.starting && row.shows == [Nothing, Nothing] && row.all_present(Old) {
            assert!(planned("add A"), "{row:?}");
        }
        if !row.starting && row.shows == [All, All] && row.all_present(New) && row.before == CleanLate {
            assert!(planned("delete A"), "{row:?}");
        }
        // Where a look is all that is missing, it is asked for.
        let asks = made.waits.iter().flat_map(|wait| &wait.reasons).any(|why| matches!(why, Reason::NotProbed { .. }));
        if row.presents.is_none() && row.shows == [All, All] && !row.starting && row.before != SeenAgain {
            assert!(asks, "{row:?}");
        }
        looks += usize::from(asks);
        assert!(!asks || row.presents.is_none(), "{row:?}");
    }
    assert!(rows == 14_800 && firsts > 5 && deletes > 50 && looks > 50, "{rows} {firsts} {deletes} {looks}");
}

//! Plays a tale: what happens in it, and how it ends.

use super::{
    elsewhere::FAR,
    fault::{Fault, lose_power},
    site::Site,
    tale::{MX, Step, Tale},
};
use crate::{
    certs::Renewal,
    lab::{Engine, HOUR, KILLED, last_wish, service_name},
};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs after the last fault within which all must be settled.
pub const SETTLES_WITHIN: usize = 24;

/// How many kinds of things can be met.
pub const KINDS: usize = 37;

/// What was met in histories, by name.
pub type Met = BTreeMap<&'static str, u64>;

/// How a history ended.
#[derive(Debug, Default)]
pub struct Ending {
    /// Moments at which a client would have failed, the first of them in words.
    pub mismatches: usize,
    pub first: String,
    /// Why it did not settle.
    pub unsettled: Option<String>,
    pub runs: usize,
    pub renewals: usize,
    pub met: Met,
}

impl Ending {
    pub fn is_good(&self) -> bool {
        self.mismatches == 0 && self.unsettled.is_none()
    }
}

/// A fault that was ordered and has not hit anything yet.
#[derive(Clone, Copy)]
enum Ordered {
    Kill(Fault),
    Effect(usize, Fault),
    /// How many updates were ordered before it.
    Update(usize, Fault),
    /// How many calls of that command had gone wrong before it.
    Call(usize, Fault),
}

struct Play<'a> {
    site: Site,
    ending: Ending,
    ordered: Vec<Ordered>,
    updates: usize,
    forgets: bool,
    aloud: &'a dyn Fn(String),
}

/// Plays it with `engine` in the program's place. A panic is an end like another.
pub fn play(tale: &Tale, engine: Engine, others: bool, aloud: &dyn Fn(String)) -> Ending {
    let played = catch_unwind(AssertUnwindSafe(|| whole(tale, engine, others, aloud)));
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Ending { unsettled: Some(format!("panic: {}", text.unwrap_or_default())), ..Ending::default() }
    })
}

fn whole(tale: &Tale, engine: Engine, others: bool, aloud: &dyn Fn(String)) -> Ending {
    let setting = if others { tale.setting.for_others() } else { tale.setting };
    let (site, ending, ordered) = (Site::new(setting, engine), Ending::default(), Vec::new());
    let mut play = Play { site, ending, ordered, updates: 0, forgets: false, aloud };
    play.begin();
    for step in &tale.steps {
        aloud(format!("{:>9} {step:?}", play.site.lab.world.now() / 1000));
        play.step(*step);
    }
    play.end();
    play.ending
}

impl Play<'_> {
    /// First use: records are published, and all is settled.
    fn begin(&mut self) {
        assert_eq!(self.run(&["--reset"]), 0, "{}", self.site.lab.told());
        self.site.serve();
        for _ in 0..3 {
            self.run(&[]);
            self.site.lab.pass(3 * HOUR);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pass(seconds) => self.site.lab.pass(seconds),
            Step::Due => self.site.lab.pass(last_wish().clamp(1, 12 * HOUR)),
            Step::Run => drop(self.run(&[])),
            Step::Pre => drop(self.run(&["--pre"])),
            Step::Post => drop(self.run(&["--post"])),
            Step::Deploy => drop(self.run(&["deploy"])),
            Step::Renew(renewal) => {
                self.renewed(renewal);
                self.site.renew(renewal);
            }
            Step::Begin(renewal, so_far, effect) => {
                self.renewed(renewal);
                self.site.begin(renewal, so_far, effect);
            }
            Step::Finish => self.site.finish(),
            Step::Fault(fault) => self.fault(fault),
        }
    }

    fn renewed(&mut self, renewal: Renewal) {
        self.ending.renewals += 1;
        if self.is_under_way() {
            self.met("renewed during a rollover");
        }
        if renewal.flaw != crate::certs::Flaw::None {
            self.met("a renewal breaks off");
        }
    }

    fn met(&mut self, what: &'static str) {
        *self.ending.met.entry(what).or_default() += 1;
    }

    /// Strikes. It counts when it hits a rollover under way; some are only ordered and hit later.
    fn fault(&mut self, fault: Fault) {
        self.forgets |= fault.forgets();
        match fault {
            Fault::Kill(..) | Fault::KillAndPower(..) => {
                self.ordered.retain(|ordered| !matches!(ordered, Ordered::Kill(_)));
                self.ordered.push(Ordered::Kill(fault));
            }
            Fault::Error(effect, _) => self.ordered.push(Ordered::Effect(effect, fault)),
            Fault::Update(_) => {
                self.updates += 1;
                self.ordered.push(Ordered::Update(self.updates, fault));
            }
            _ if self.gone_wrong(fault).is_some() => {
                let same = std::mem::discriminant(&fault);
                self.ordered
                    .retain(|ordered| !matches!(ordered, Ordered::Call(_, f) if std::mem::discriminant(f) == same));
                self.ordered.push(Ordered::Call(self.gone_wrong(fault).unwrap_or(0), fault));
            }
            Fault::Mended => {
                self.ordered.clear();
                self.updates = 0;
            }
            _ if self.is_under_way() => self.met(fault.name()),
            _ => {}
        }
        fault.strike(&mut self.site);
    }

    fn run(&mut self, args: &[&str]) -> i32 {
        let under_way = !self.ordered.is_empty() && self.is_under_way();
        let exit = self.site.lab.run(args);
        self.ending.runs += 1;
        (self.aloud)(format!("{}{:>9} {args:?} exit {exit}", self.site.lab.told(), self.site.lab.world.now() / 1000));
        let effects = self.site.lab.world.effects();
        let left = self.site.lab.world.look(|state| state.dns.next_updates.len());
        let carried_out = self.updates - left.min(self.updates);
        for ordered in std::mem::take(&mut self.ordered) {
            let (hit, waits, fault) = match ordered {
                Ordered::Kill(fault) => (exit == KILLED, false, fault),
                Ordered::Effect(effect, fault) => (effects >= effect, false, fault),
                Ordered::Update(number, fault) => (carried_out >= number, true, fault),
                Ordered::Call(before, fault) => (self.gone_wrong(fault).is_some_and(|n| n > before), true, fault),
            };
            match (hit, fault) {
                (false, _) if waits => self.ordered.push(ordered),
                (true, Fault::KillAndPower(.., on_disk)) => lose_power(&self.site.lab, on_disk),
                _ => {}
            }
            if hit && under_way {
                self.met(fault.name());
            }
        }
        if self.site.half.is_some_and(|effect| effects >= effect) {
            self.met("a run finds half of a renewal");
        }
        if self.presents() > 1 {
            self.met("run with old and new presented side by side");
        }
        exit
    }

    /// How often the command had done wrong that this fault is for, if it is for one.
    fn gone_wrong(&self, fault: Fault) -> Option<usize> {
        let reloads = |name: &str| self.site.lab.world.look(|state| state.services.get(name).map(|s| s.failed_reloads));
        match fault {
            Fault::Reload(_) => reloads(&service_name(25, MX)),
            Fault::FarReload(_) => reloads(FAR),
            Fault::Push(_) => self.site.far.as_ref().map(|far| far.gone_wrong.get()),
            Fault::Notify(..) => self.site.news.as_ref().map(|news| news.gone_wrong.get()),
            _ => None,
        }
    }

    fn presents(&self) -> usize {
        self.site.lab.world.look(|state| state.services.get(&service_name(25, MX)).map_or(0, |s| s.presented().len()))
    }

    /// Is anything else presented or published than what a settled rollover leaves?
    fn is_under_way(&self) -> bool {
        self.site.wrong(true).is_some()
    }

    /// Faults end, a last sound renewal comes, and everything settles.
    fn end(&mut self) {
        self.site.mend();
        self.ordered.clear();
        self.step(Step::Pre);
        self.step(Step::Renew(Renewal::default()));
        self.step(Step::Post);
        self.site.repair();
        let mut unsettled = Some(String::new());
        let mut runs = 0;
        while unsettled.is_some() && runs < SETTLES_WITHIN {
            self.site.lab.pass(2 * HOUR);
            self.run(&[]);
            runs += 1;
            unsettled = self.site.wrong(!self.forgets).or_else(|| self.untold());
        }
        let violations = self.site.lab.oracle.violations();
        self.ending.mismatches = violations.len();
        self.ending.first = violations.first().map(|first| format!("{first:?}")).unwrap_or_default();
        self.ending.unsettled = unsettled;
    }

    /// What is wrong with what was told of the last rollover.
    fn untold(&self) -> Option<String> {
        self.site.news.as_ref()?.wrong(&self.site.newest())
    }
}

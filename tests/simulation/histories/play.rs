//! Plays a tale: what happens in it, and how it ends.

use super::{
    fault::{Fault, lose_power, mend},
    tale::{MX, OWNER, Step, Tale},
};
use crate::{
    certs::Renewal,
    clients::record_of,
    lab::{Engine, HOUR, KILLED, Lab, last_wish, service_name},
};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs after the last fault within which all must be settled.
pub const SETTLES_WITHIN: usize = 24;

/// How many kinds of things can be met.
pub const KINDS: usize = 30;

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
    /// How many reloads had gone wrong before it.
    Reload(usize, Fault),
}

struct Play<'a> {
    lab: Lab,
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
    let setup = setting.setup();
    let lab = setup.strategy(move |world, args| engine(world, args)).start();
    let (ending, ordered) = (Ending::default(), Vec::new());
    let mut play = Play { lab, ending, ordered, updates: 0, forgets: false, aloud };
    play.begin();
    for step in &tale.steps {
        aloud(format!("{:>9} {step:?}", play.lab.world.now() / 1000));
        play.step(*step);
    }
    play.end();
    play.ending
}

impl Play<'_> {
    /// First use: records are published, and all is settled.
    fn begin(&mut self) {
        assert_eq!(self.run(&["--reset"]), 0, "{}", self.lab.told());
        self.lab.serve();
        for _ in 0..3 {
            self.run(&[]);
            self.lab.pass(3 * HOUR);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pass(seconds) => self.lab.pass(seconds),
            Step::Due => self.lab.pass(last_wish().clamp(1, 12 * HOUR)),
            Step::Run => drop(self.run(&[])),
            Step::Pre => drop(self.run(&["--pre"])),
            Step::Post => drop(self.run(&["--post"])),
            Step::Deploy => drop(self.run(&["deploy"])),
            Step::Renew(renewal) => self.renew(renewal),
            Step::Fault(fault) => self.fault(fault),
        }
    }

    fn renew(&mut self, renewal: Renewal) {
        self.ending.renewals += 1;
        if self.is_under_way() {
            self.met("renewed during a rollover");
        }
        if renewal.flaw != crate::certs::Flaw::None {
            self.met("a renewal breaks off");
        }
        self.lab.certbot.renew(MX, renewal);
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
            Fault::Reload(_) => {
                self.ordered.retain(|ordered| !matches!(ordered, Ordered::Reload(..)));
                self.ordered.push(Ordered::Reload(self.failed_reloads(), fault));
            }
            Fault::Mended => {
                self.ordered.clear();
                self.updates = 0;
            }
            _ if self.is_under_way() => self.met(fault.name()),
            _ => {}
        }
        fault.strike(&mut self.lab);
    }

    fn run(&mut self, args: &[&str]) -> i32 {
        let under_way = !self.ordered.is_empty() && self.is_under_way();
        let exit = self.lab.run(args);
        self.ending.runs += 1;
        (self.aloud)(format!("{}{:>9} {args:?} exit {exit}", self.lab.told(), self.lab.world.now() / 1000));
        let effects = self.lab.world.effects();
        let left = self.lab.world.look(|state| state.dns.next_updates.len());
        let (carried_out, reloads) = (self.updates - left.min(self.updates), self.failed_reloads());
        for ordered in std::mem::take(&mut self.ordered) {
            let (hit, waits, fault) = match ordered {
                Ordered::Kill(fault) => (exit == KILLED, false, fault),
                Ordered::Effect(effect, fault) => (effects >= effect, false, fault),
                Ordered::Update(number, fault) => (carried_out >= number, true, fault),
                Ordered::Reload(before, fault) => (reloads > before, true, fault),
            };
            match (hit, fault) {
                (false, _) if waits => self.ordered.push(ordered),
                (true, Fault::KillAndPower(.., on_disk)) => lose_power(&self.lab, on_disk),
                _ => {}
            }
            if hit && under_way {
                self.met(fault.name());
            }
        }
        if self.presents() > 1 {
            self.met("run with old and new presented side by side");
        }
        exit
    }

    fn failed_reloads(&self) -> usize {
        self.lab.world.look(|state| state.services.get(&service_name(25, MX)).map_or(0, |s| s.failed_reloads))
    }

    fn presents(&self) -> usize {
        self.lab.world.look(|state| state.services.get(&service_name(25, MX)).map_or(0, |s| s.presented().len()))
    }

    /// Is anything else presented or published than what a settled rollover leaves?
    fn is_under_way(&self) -> bool {
        self.wrong(true).is_some()
    }

    /// What is not as it is when the newest certificate has been rolled over to; `exactly`: without other records.
    fn wrong(&self, exactly: bool) -> Option<String> {
        let newest = self.lab.certbot.fullchain(MX, self.lab.certbot.number(MX));
        let presented = self.lab.world.look(|state| state.services[&service_name(25, MX)].presented());
        if presented.len() != 1 || *presented[0] != newest[..] {
            return Some(format!("{} chains are presented, and not the newest alone", presented.len()));
        }
        let mut wanted: Vec<_> = self.lab.setup.published_at(25).map(|kind| record_of(&newest, kind)).collect();
        let mut published = self.lab.published(OWNER);
        wanted.sort();
        published.sort();
        let right = if exactly { published == wanted } else { wanted.iter().all(|r| published.contains(r)) };
        (!right).then(|| format!("{published:?} are published, {wanted:?} ought to be"))
    }

    /// Faults end, a last sound renewal comes, and everything settles.
    fn end(&mut self) {
        mend(&mut self.lab);
        self.ordered.clear();
        self.step(Step::Pre);
        self.step(Step::Renew(Renewal::default()));
        self.step(Step::Post);
        // Who was told that a reload did nothing restarts the service.
        self.lab.world.change(|state| state.restart_service(&service_name(25, MX)));
        let mut unsettled = Some(String::new());
        let mut runs = 0;
        while unsettled.is_some() && runs < SETTLES_WITHIN {
            self.lab.pass(2 * HOUR);
            self.run(&[]);
            runs += 1;
            unsettled = self.wrong(!self.forgets);
        }
        let violations = self.lab.oracle.violations();
        self.ending.mismatches = violations.len();
        self.ending.first = violations.first().map(|first| format!("{first:?}")).unwrap_or_default();
        self.ending.unsettled = unsettled;
    }
}

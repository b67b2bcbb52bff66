//! What a seed tells: a setting, and steps one after the other. Nothing in it is decided while it is played, so any steps can be
//! left out, and whoever plays it meets the same.

use super::{elsewhere::Far, fault::Fault, news::News};
use crate::{
    acme::{SoFar, Way},
    certs::{Algorithm, Flaw, Renewal},
    lab::{HOUR, Lab, MINUTE, Setup},
};
use daneroll::env::sim::service::Reads;

pub const MX: &str = "mx.example.com";
pub const OWNER: &str = "_25._tcp.mx.example.com";
pub const SECONDARY: &str = "ns2.example.com";

/// Numbers that a seed tells (splitmix64).
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// Where it happens.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub tlsa: &'static str,
    /// Seconds that the secondary is behind.
    pub lag: u64,
    pub rfc2136: bool,
    pub bundle: bool,
    pub reads: Reads,
    /// Old processes of the service that keep what they have until a reload.
    pub processes: usize,
    pub settle: u64,
    /// The client, where it is not certbot.
    pub way: Option<Way>,
    /// Is there a second host of the name, which gets its files by `deploy`?
    pub far: bool,
    /// Is somebody told?
    pub notify: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Seconds pass.
    Pass(u64),
    /// As much time passes as the last run wanted.
    Due,
    Run,
    Pre,
    /// The client with these results.
    Renew(Renewal),
    /// A client that overwrites its files begins, now or at an effect of the next run.
    Begin(Renewal, SoFar, usize),
    /// It writes the rest.
    Finish,
    Post,
    Deploy,
    Fault(Fault),
}

#[derive(Clone, Debug)]
pub struct Tale {
    pub setting: Setting,
    pub steps: Vec<Step>,
}

/// The clients that overwrite their files.
const WAYS: [Way; 6] = [Way::One("kfc"), Way::One("cfk"), Way::Apart("kfc"), Way::Lego, Way::AcmeSh, Way::Dehydrated];
/// Parts the second stream of chance from the first.
const MORE: u64 = 0x6d6f_7265_2e2e_2e2e;
/// Plain runs after each renewal of a tale, at least.
const RUNS: u64 = 5;

impl Setting {
    fn by(chance: &mut Chance) -> Setting {
        Setting {
            tlsa: chance.of(&["311 25", "312 25", "301 25", "211 25", "201 25", "311 25 mx:example.com", "211 25 san"]),
            lag: chance.of(&[30, 600, 7000]),
            rfc2136: chance.one_in(2),
            bundle: chance.one_in(3),
            reads: chance.of(&[Reads::OnReload, Reads::Anytime]),
            processes: chance.of(&[1, 1, 3]),
            settle: chance.of(&[0, 0, 0, 0, 0, 0, 0, 60]),
            way: None,
            far: false,
            notify: false,
        }
    }

    /// What was not to be chosen at first.
    fn and_more(self, chance: &mut Chance) -> Setting {
        Setting {
            way: if chance.one_in(4) { Some(chance.of(&WAYS)) } else { None },
            far: chance.one_in(5),
            notify: chance.one_in(5),
            ..self
        }
    }

    /// Others have certbot and one host, no bundle, and edit the zone with a program.
    pub fn for_others(self) -> Setting {
        Setting { rfc2136: false, bundle: false, way: None, far: false, notify: false, ..self }
    }

    pub fn setup(self) -> Setup {
        let setup = Lab::with(MX, self.tlsa).secondary("ns2", self.lag).line("pin = always");
        let setup = if self.rfc2136 { setup.api_rfc2136() } else { setup };
        let setup = if self.bundle { setup.bundle() } else { setup };
        let setup = if let Some(way) = self.way { setup.line(way.source()) } else { setup };
        let setup = if self.far { Far::lines(setup) } else { setup };
        let setup = if self.notify { setup.global(News::LINE) } else { setup };
        let setup = setup.reads(self.reads).processes(self.processes);
        setup.global("ttl = 3600").global(&format!("settle = {}", self.settle))
    }
}

impl Tale {
    pub fn by(seed: u64) -> Tale {
        Tale::first_told(seed).and_more(&mut Chance(seed ^ MORE))
    }

    /// What the seed told when there was certbot only, and one host.
    pub fn first_told(seed: u64) -> Tale {
        let mut chance = Chance(seed);
        let setting = Setting::by(&mut chance);
        let mut steps = Vec::new();
        for _ in 0..3 + chance.below(2) {
            renew(&mut steps, &mut chance);
            for _ in 0..RUNS + chance.below(3) {
                let passes = [MINUTE, 20 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR].map(Step::Pass);
                steps.push(if chance.one_in(4) { Step::Due } else { chance.of(&passes) });
                if chance.one_in(2) {
                    steps.push(Step::Fault(Fault::by(&mut chance)));
                }
                steps.push(Step::Run);
            }
        }
        Tale { setting, steps }
    }

    /// The same with what came to be chosen later, by a chance of its own, so that the first choices stay what they were.
    fn and_more(self, chance: &mut Chance) -> Tale {
        let setting = self.setting.and_more(chance);
        let mut steps = Vec::new();
        for step in self.steps {
            let passes = matches!(step, Step::Pass(_) | Step::Due);
            match setting.way {
                Some(_) => in_place(step, &mut steps, chance),
                None => steps.push(step),
            }
            if passes && setting.far && chance.one_in(5) {
                steps.push(Step::Fault(Fault::elsewhere(chance)));
            }
            if passes && setting.notify && chance.one_in(6) {
                steps.push(Step::Fault(Fault::of_notify(chance)));
            }
        }
        Tale { setting, steps }
    }
}

/// A renewal, with its hooks as a rule.
fn renew(steps: &mut Vec<Step>, chance: &mut Chance) {
    if !chance.one_in(8) {
        steps.push(Step::Pre);
    }
    let flaws = [Flaw::WrongKey, Flaw::Torn, Flaw::LinksMoved(2), Flaw::Unreadable];
    steps.push(Step::Renew(Renewal {
        reuse_key: chance.one_in(4),
        algorithm: Algorithm::default(),
        issuer: chance.below(2) as usize,
        flaw: if chance.one_in(6) { chance.of(&flaws) } else { Flaw::None },
    }));
    match chance.below(8) {
        0 => {}
        1 | 2 => steps.push(Step::Deploy),
        _ => steps.push(Step::Post),
    }
}

/// The same where the client overwrites its files: it seldom has hooks, a run finds it writing, and what breaks off stays.
fn in_place(step: Step, steps: &mut Vec<Step>, chance: &mut Chance) {
    match step {
        // What such a client does costs the player more than certbot does: a run in eight makes up for it.
        Step::Run if chance.one_in(8) => {}
        Step::Pre => steps.extend(chance.one_in(3).then_some(step)),
        Step::Post | Step::Deploy => steps.extend(chance.of(&[None, None, Some(Step::Deploy), Some(step)])),
        Step::Renew(renewal) => {
            let flaw = if renewal.flaw == Flaw::Unreadable { Flaw::EmptyChain } else { renewal.flaw };
            let renewal = Renewal { flaw, ..renewal };
            if chance.one_in(2) {
                return steps.push(Step::Renew(renewal));
            }
            let so_far = SoFar { eighths: 1 + chance.below(7) as usize, whole: chance.one_in(2) };
            let effect = chance.of(&[0, 0, 3, 8, 20]);
            steps.push(Step::Begin(renewal, so_far, effect));
            steps.extend([Step::Run, Step::Finish]);
        }
        _ => steps.push(step),
    }
}

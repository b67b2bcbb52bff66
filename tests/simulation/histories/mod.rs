//! Histories: renewals, faults and operators by chance. A seed tells a history; `DANEROLL_SEED=N` plays one again and says what
//! happens in it, `DANEROLL_HISTORIES=N` plays so many, from `DANEROLL_FIRST=N` on.
//!
//! Whatever happens, no client with any cache may find a mismatch, and once the faults end everything settles.

use crate::{
    certs::{Flaw, Renewal},
    lab::{DANE, DAY, HOUR, KILLED, Lab, MINUTE, RESOLVER, STATE, Setup, service_name},
    oracle::record_of,
};
use daneroll::{
    env::{
        Files,
        sim::{
            When,
            dns::{Mode, Updates},
            service::{Reads, Reload},
        },
    },
    tlsa::Association,
};
use nix::errno::Errno;
use std::{collections::BTreeMap, path::Path};

const MX: &str = "mx.example.com";
const OWNER: &str = "_25._tcp.mx.example.com";
const SECONDARY: &str = "ns2.example.com";
/// How many histories are played where nobody says otherwise.
const QUICK: u64 = 60;

/// Numbers that a seed tells (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// What goes wrong, or is done by somebody.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill(usize, When),
    Error(usize, Errno),
    Update(Updates),
    ServerMode(Mode),
    ServerFrozen,
    ResolverMode(Mode),
    Reload(Reload),
    Refuses,
    ServiceRestarts,
    ClockJumps(i64),
    Reboot,
    PowerFails,
    JournalLost,
    Reset,
    RecordLost,
    Mended,
}

impl Fault {
    fn by(chance: &mut Chance) -> Fault {
        use Fault::*;
        let effect = 1 + chance.below(40) as usize;
        match chance.below(18) {
            0..=2 => Kill(effect, chance.of(&[When::After, When::Before, When::Midway])),
            3 => Error(effect, chance.of(&[Errno::ENOSPC, Errno::EIO, Errno::EACCES, Errno::EROFS, Errno::EMFILE])),
            4 => Update(chance.of(&[
                Updates::Refuse,
                Updates::ServFail,
                Updates::Silent,
                Updates::SilentDone,
                Updates::SilentLater(900),
                Updates::NoEffect,
                Updates::Unreachable,
                Updates::Slow(20),
            ])),
            5 => ServerMode(chance.of(&[Mode::Down, Mode::Refuses, Mode::ServFail, Mode::Lame])),
            6 => ServerFrozen,
            7 => ResolverMode(chance.of(&[Mode::Down, Mode::ServFail])),
            8 => Reload(chance.of(&[
                daneroll::env::sim::service::Reload::Fails(1),
                daneroll::env::sim::service::Reload::DoesNothing,
                daneroll::env::sim::service::Reload::Reaches(1),
                daneroll::env::sim::service::Reload::Checks,
                daneroll::env::sim::service::Reload::Takes(400),
            ])),
            9 => Refuses,
            10 => ServiceRestarts,
            11 => ClockJumps(chance.of(&[-90_000, -3600, 3600, 90_000, 10_000_000])),
            12 => Reboot,
            13 => PowerFails,
            14 => JournalLost,
            15 => Reset,
            16 => RecordLost,
            _ => Mended,
        }
    }

    fn name(self) -> String {
        let text = format!("{self:?}");
        text.split(['(', ' ']).next().unwrap_or_default().to_owned()
    }

    /// Brings it about. What hits a process waits for the next one.
    fn strike(self, lab: &Lab, chance: &mut Chance) {
        let service = service_name(25, MX);
        match self {
            Fault::Kill(effect, when) => lab.world.kill_at(effect, when),
            Fault::Error(effect, errno) => lab.world.fail_effect(effect, errno),
            Fault::Update(fate) => lab.world.change(|state| state.dns.next_updates.push_back(fate)),
            Fault::ServerMode(mode) => lab.world.set_server(SECONDARY, |server| server.mode = mode),
            Fault::ServerFrozen => lab.world.set_server(SECONDARY, |server| server.frozen = true),
            Fault::ResolverMode(mode) => resolver(lab, mode),
            Fault::Reload(reload) => lab.world.change(|s| s.services.get_mut(&service).unwrap().reload = reload),
            Fault::Refuses => {
                lab.world.change(|s| s.services.get_mut(&service).unwrap().refuses = Some("greylisted".into()));
            }
            Fault::ServiceRestarts => lab.world.change(|state| state.restart_service(&service)),
            // Dates count for usage 2: where the clock is far off, nothing matches at all.
            Fault::ClockJumps(seconds) if lab.setup.config().contains("tlsa = 3") => lab.world.jump_wall(seconds),
            Fault::ClockJumps(seconds) => lab.world.jump_wall(seconds.clamp(0, 3600)),
            Fault::Reboot => lab.world.reboot(),
            Fault::PowerFails => lab.world.power_loss(|| chance.one_in(2)),
            Fault::JournalLost => lose(lab, Path::new(STATE)),
            Fault::Reset => drop(lab.run(&["--reset"])),
            Fault::RecordLost => {
                // Only one that nobody needs: a hand that deletes what is served breaks the service by itself.
                let shown = lab.world.read(&Path::new(DANE).join(MX).join("fullchain.pem")).unwrap_or_default();
                let needed = |record: &Association| {
                    let kind = [record.usage, record.selector, record.matching];
                    let presented = lab.presented(&service, MX);
                    (!shown.is_empty() && record_of(&shown, kind) == *record)
                        || presented.iter().any(|n| lab.record(MX, *n, kind) == *record)
                };
                if let Some(record) = lab.published(OWNER).iter().find(|record| !needed(record)) {
                    lab.unpublish(OWNER, record);
                }
            }
            Fault::Mended => mend(lab),
        }
    }
}

fn resolver(lab: &Lab, mode: Mode) {
    lab.world.change(|state| {
        state.dns.resolvers.insert(RESOLVER.parse().unwrap(), mode);
    });
}

/// Deletes all files of the journal.
fn lose(lab: &Lab, dir: &Path) {
    for name in lab.world.list(dir).unwrap_or_default() {
        let path = dir.join(name);
        match lab.world.stat(&path, false).map(|stat| stat.kind) {
            Ok(daneroll::env::Kind::Dir) => lose(lab, &path),
            // Whether a renewal is under way is no part of the journal.
            Ok(_) if path.extension().is_some_and(|extension| extension == "held") => {}
            Ok(_) => lab.world.remove(&path).unwrap(),
            Err(_) => {}
        }
    }
}

/// Ends every fault.
fn mend(lab: &Lab) {
    lab.world.clear_faults();
    lab.world.set_server(SECONDARY, |server| (server.mode, server.frozen) = (Mode::Answers, false));
    resolver(lab, Mode::Answers);
    let service = service_name(25, MX);
    lab.world.change(|state| {
        state.dns.next_updates.clear();
        let service = state.services.get_mut(&service).unwrap();
        (service.reload, service.refuses) = (Reload::Works, None);
    });
}

fn setup(chance: &mut Chance) -> Setup {
    let tlsa = chance.of(&["311 25", "312 25", "301 25", "211 25", "201 25"]);
    let setup = Lab::with(MX, tlsa).secondary("ns2", chance.of(&[30, 600, 7000])).line("pin = always");
    let setup = if chance.one_in(2) { setup.api_rfc2136() } else { setup };
    let setup = if chance.one_in(3) { setup.bundle() } else { setup };
    let setup = if chance.one_in(2) { setup.reads(Reads::Anytime) } else { setup };
    setup.global("ttl = 3600")
}

fn renewal(chance: &mut Chance, last: bool) -> Renewal {
    let flaws = [Flaw::WrongKey, Flaw::Torn, Flaw::LinksMoved(2), Flaw::Unreadable];
    Renewal {
        reuse_key: chance.one_in(4),
        issuer: chance.below(2) as usize,
        flaw: if !last && chance.one_in(6) { chance.of(&flaws) } else { Flaw::None },
        ..Renewal::default()
    }
}

/// Plays a history; what was met in it, by name.
fn play(seed: u64, met: &mut BTreeMap<String, u64>) {
    let mut chance = Chance(seed);
    let lab = setup(&mut chance).start();
    assert_eq!(lab.run(&["--reset"]), 0, "{}", lab.told());
    lab.serve();
    lab.cron(3 * HOUR, 9 * HOUR);
    let (renewals, mut forgets) = (3 + chance.below(3), false);
    for number in 0..renewals {
        lab.run(&["--pre"]);
        lab.certbot.renew(MX, renewal(&mut chance, false));
        lab.run(&[if chance.one_in(4) { "deploy" } else { "--post" }]);
        for _ in 0..7 + chance.below(6) {
            lab.pass(chance.of(&[MINUTE, 20 * MINUTE, HOUR, 3 * HOUR]));
            if chance.one_in(2) {
                let fault = Fault::by(&mut chance);
                *met.entry(fault.name()).or_default() += 1;
                tell(seed, &format!("{:>8} {number} {fault:?}", lab.world.now() / 1000));
                forgets |= matches!(fault, Fault::JournalLost | Fault::Update(Updates::SilentLater(_)));
                fault.strike(&lab, &mut chance);
            }
            let killed = lab.run(&[]) == KILLED;
            *met.entry("(killed)".into()).or_default() += u64::from(killed);
            let presented = lab.presented(&service_name(25, MX), MX).len();
            *met.entry("(old and new side by side)".into()).or_default() += u64::from(presented > 1);
        }
    }
    mend(&lab);
    lab.run(&["--pre"]);
    lab.certbot.renew(MX, renewal(&mut chance, true));
    lab.run(&["--post"]);
    // Who was told that a reload did nothing restarts the service.
    lab.world.change(|state| state.restart_service(&service_name(25, MX)));
    for _ in 0..60 {
        lab.run(&[]);
        lab.pass(2 * HOUR);
    }
    tell(seed, &lab.told());
    assert!(lab.world.now() / 1000 < 400 * DAY);
    match forgets {
        false => lab.assert_settled(MX),
        true => assert_nearly_settled(&lab),
    }
}

/// With the journal lost, or an update carried out long after it was given up, a record may be left that nobody knows to be ours.
fn assert_nearly_settled(lab: &Lab) {
    lab.assert_clean();
    let number = lab.certbot.number(MX);
    assert_eq!(lab.presented(&service_name(25, MX), MX), [number]);
    let (published, kinds) = (lab.published(OWNER), [[3, 1, 1], [3, 1, 2], [3, 0, 1], [2, 1, 1], [2, 0, 1]]);
    assert!(kinds.iter().any(|kind| published.contains(&lab.record(MX, number, *kind))), "{published:?}");
}

fn tell(seed: u64, what: &str) {
    if std::env::var("DANEROLL_SEED").is_ok_and(|text| text == seed.to_string()) {
        eprintln!("{what}");
    }
}

#[test]
fn histories() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (mut met, first) = (BTreeMap::new(), number("DANEROLL_FIRST").unwrap_or(1));
    let seeds = match number("DANEROLL_SEED") {
        Some(seed) => seed..seed + 1,
        None => first..first + number("DANEROLL_HISTORIES").unwrap_or(QUICK),
    };
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(seed, &mut met)));
        assert!(played.is_ok(), "history {seed} failed; DANEROLL_SEED={seed} plays it again");
    }
    for (what, times) in &met {
        eprintln!("{times:>8} {what}");
    }
    if count >= QUICK {
        assert!(met.len() == 18, "{met:?}");
        assert!(met.values().all(|times| *times > 5), "an empty run is no pass: {met:?}");
    }
}

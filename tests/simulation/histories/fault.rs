//! What goes wrong, or is done by somebody.

use super::{
    elsewhere::{FAR, Push},
    news::Call,
    site::Site,
    tale::{Chance, MX, OWNER, SECONDARY},
};
use crate::lab::{Lab, RESOLVER, STATE, service_name};
use daneroll::env::{
    Files,
    sim::{
        When,
        dns::{Mode, Updates},
        service::{Reload, Service},
        zone::{self, name},
    },
};
use nix::errno::Errno;
use std::path::Path;

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The next run is killed at that effect.
    Kill(usize, When),
    /// The same, and then the power fails; the number tells which directories were on disk.
    KillAndPower(usize, When, u64),
    /// The next run gets this error from that effect.
    Error(usize, Errno),
    Update(Updates),
    ServerMode(Mode),
    ServerFrozen,
    ResolverMode(Mode),
    /// The zone's signatures are no good.
    Signatures(zone::Flaw),
    Reload(Reload),
    Refuses,
    ServiceRestarts,
    ClockJumps(i64),
    Reboot,
    PowerFails(u64),
    JournalLost,
    Reset,
    RecordLost,
    /// Other parameters for the records.
    Parameters(&'static [&'static str]),
    /// The section is taken out of the configuration.
    SectionGone,
    /// A line in the section that means nothing.
    SectionBroken,
    /// The next push to the other host.
    Push(Push),
    FarReload(Reload),
    FarRefuses,
    FarRestarts,
    /// So many calls of `notify`.
    Notify(Call, usize),
    Mended,
}

use Fault::*;

/// Fates that meet a call of the provider, or an update.
const UPDATES: [Updates; 8] = [
    Updates::Refuse,
    Updates::ServFail,
    Updates::Silent,
    Updates::SilentDone,
    Updates::SilentLater(900),
    Updates::NoEffect,
    Updates::Unreachable,
    Updates::Slow(20),
];
const RELOADS: [Reload; 5] =
    [Reload::Fails(1), Reload::DoesNothing, Reload::Reaches(1), Reload::Checks, Reload::Takes(400)];
const PUSHES: [Push; 7] =
    [Push::Fails, Push::FailsDone, Push::Lies, Push::Lies, Push::Takes(200), Push::Takes(290), Push::Takes(400)];
const ERRORS: [Errno; 5] = [Errno::ENOSPC, Errno::EIO, Errno::EACCES, Errno::EROFS, Errno::EMFILE];
const PARAMETERS: [&[&str]; 6] = [&["311"], &["312"], &["301"], &["311", "312"], &["311", "301"], &["300"]];

impl Fault {
    pub fn by(chance: &mut Chance) -> Fault {
        // Few effects are many a run's lot, and many are few's.
        let most = chance.of(&[3, 8, 20, 50]);
        let effect = 1 + chance.below(most) as usize;
        let when = chance.of(&[When::After, When::Before, When::Midway]);
        match chance.below(24) {
            0..=2 => Kill(effect, when),
            3 => KillAndPower(effect, when, chance.next()),
            4 => Error(effect, chance.of(&ERRORS)),
            5 | 6 => Update(chance.of(&UPDATES)),
            7 => ServerMode(chance.of(&[Mode::Down, Mode::Refuses, Mode::ServFail, Mode::Lame])),
            8 => ServerFrozen,
            9 => ResolverMode(chance.of(&[Mode::Down, Mode::ServFail])),
            10 => Signatures(chance.of(&[zone::Flaw::Forged, zone::Flaw::Expired, zone::Flaw::Missing])),
            11 | 12 => Reload(chance.of(&RELOADS)),
            13 => Refuses,
            14 => ServiceRestarts,
            15 => ClockJumps(chance.of(&[-90_000, -3600, 3600, 90_000, 10_000_000])),
            16 => Reboot,
            17 => PowerFails(chance.next()),
            18 => JournalLost,
            19 => Reset,
            20 => RecordLost,
            21 => Parameters(chance.of(&PARAMETERS)),
            22 => chance.of(&[SectionGone, SectionBroken]),
            _ => Mended,
        }
    }

    /// What goes wrong with the other host.
    pub fn elsewhere(chance: &mut Chance) -> Fault {
        match chance.below(8) {
            0..=4 => Push(chance.of(&PUSHES)),
            5 => FarReload(chance.of(&RELOADS)),
            6 => FarRefuses,
            _ => FarRestarts,
        }
    }

    /// What goes wrong with the command of `notify`.
    pub fn of_notify(chance: &mut Chance) -> Fault {
        Notify(chance.of(&[Call::Fails, Call::Hangs, Call::Missing]), 1 + chance.below(3) as usize)
    }

    /// What it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Kill(_, When::Before) => "killed before an effect",
            Kill(_, When::Midway) => "killed in the midst of an effect",
            Kill(_, When::After) => "killed after an effect",
            KillAndPower(..) => "power lost in a run",
            Error(..) => "a file operation fails",
            Update(Updates::Refuse | Updates::ServFail | Updates::Unreachable) => "update refused",
            Update(Updates::NoEffect) => "update accepted, without effect",
            Update(Updates::SilentDone | Updates::SilentLater(_)) => "update done, its answer lost",
            Update(_) => "update lost or slow",
            ServerMode(_) => "a name server fails",
            ServerFrozen => "a secondary is frozen",
            ResolverMode(_) => "the resolver fails",
            Signatures(_) => "the zone's signatures are bad",
            Reload(Reload::DoesNothing) => "reload does nothing",
            Reload(Reload::Reaches(_)) => "reload reaches some processes only",
            Reload(_) => "reload fails",
            Refuses => "the service refuses probes",
            ServiceRestarts => "the service restarts",
            ClockJumps(_) => "the clock jumps",
            Reboot => "the host boots",
            PowerFails(_) => "power lost between runs",
            JournalLost => "the journal is deleted",
            Reset => "an operator runs --reset",
            RecordLost => "a record is deleted by hand",
            Parameters(_) => "other parameters in the configuration",
            SectionGone => "the section is gone",
            SectionBroken => "the section has an error",
            Push(Push::Lies) => "a deploy does nothing",
            Push(Push::Takes(_)) => "a deploy is slow",
            Push(_) => "a deploy fails",
            FarReload(_) => "reload of the other host goes wrong",
            FarRefuses | FarRestarts => "the other host refuses probes or restarts",
            Notify(..) => "notify fails or hangs",
            Mended => "all is mended",
        }
    }

    /// Some of these leave a record behind that nobody can know to be ours.
    pub fn forgets(self) -> bool {
        matches!(self, JournalLost | Update(Updates::SilentLater(_)))
    }

    /// Brings it about. What hits a process waits for the next one.
    pub fn strike(self, site: &mut Site) {
        let service = service_name(25, MX);
        let lab = &mut site.lab;
        match self {
            Kill(effect, when) | KillAndPower(effect, when, _) => lab.world.kill_at(effect, when),
            Error(effect, errno) => lab.world.fail_effect(effect, errno),
            Update(fate) => lab.world.change(|state| state.dns.next_updates.push_back(fate)),
            ServerMode(mode) => lab.world.set_server(SECONDARY, |server| server.mode = mode),
            ServerFrozen => lab.world.set_server(SECONDARY, |server| server.frozen = true),
            ResolverMode(mode) => resolver(lab, mode),
            Signatures(flaw) => signatures(lab, Some(flaw)),
            Reload(reload) => at(lab, &service, |service| service.reload = reload),
            Refuses => at(lab, &service, |service| service.refuses = Some("greylisted".into())),
            ServiceRestarts => lab.world.change(|state| state.restart_service(&service)),
            ClockJumps(seconds) => lab.world.jump_wall(bearable(lab, seconds)),
            Reboot if lab.world.now().is_multiple_of(2) => lab.world.reboot(),
            Reboot => lab.world.restart_container(),
            PowerFails(on_disk) => lose_power(lab, on_disk),
            // With its configuration changed as well, nothing tells that a record in another group is ours: it is others'.
            JournalLost if has_former_groups(lab) => {}
            JournalLost => lose(lab, Path::new(STATE)),
            Reset => drop(lab.run(&["--reset"])),
            RecordLost => site.lose_record(),
            Parameters(_) if uses_dates(lab) || !knows_records(lab) => {}
            Parameters(parameters) => lab.reconfigure(|setup| setup.parameters(parameters, 25)),
            SectionGone => lab.reconfigure(|setup| setup.without_section(true)),
            SectionBroken => lab.reconfigure(|setup| setup.line("tslv = 311 25")),
            Push(push) => site.far.iter().for_each(|far| far.next.set(push)),
            FarReload(reload) => at(lab, FAR, |service| service.reload = reload),
            FarRefuses => at(lab, FAR, |service| service.refuses = Some("greylisted".into())),
            FarRestarts => lab.world.change(|state| state.restart_service(FAR)),
            Notify(call, times) => site.news.iter().for_each(|news| news.next.set(Some((call, times)))),
            Mended => site.mend(),
        }
    }
}

/// Changes a service, if there is one of that name.
fn at(lab: &Lab, service: &str, change: impl FnOnce(&mut Service)) {
    lab.world.change(|state| state.services.get_mut(service).map(change));
}

/// Is a record published in a group that the configuration has no parameters for?
fn has_former_groups(lab: &Lab) -> bool {
    let configured: Vec<(u8, u8)> = lab.setup.published_at(25).map(|[usage, selector, _]| (usage, selector)).collect();
    lab.published(OWNER).iter().any(|record| !configured.contains(&record.group()))
}

/// Does the journal tell of every record that is published?
fn knows_records(lab: &Lab) -> bool {
    let file = Path::new(STATE).join("owners").join(format!("{}.json", OWNER));
    let text = String::from_utf8(lab.world.read(&file).unwrap_or_default()).unwrap_or_default();
    lab.published(OWNER).iter().all(|record| text.contains(&format!("{record}\": {{")))
}

/// Dates count for usage 2: where the clock is far off, nothing matches at all.
fn uses_dates(lab: &Lab) -> bool {
    lab.setup.published_at(25).any(|[usage, ..]| usage == 2)
}

fn bearable(lab: &Lab, seconds: i64) -> i64 {
    if uses_dates(lab) { seconds.clamp(0, 3600) } else { seconds }
}

pub fn lose_power(lab: &Lab, on_disk: u64) {
    let mut chance = Chance(on_disk);
    lab.world.power_loss(|| chance.one_in(2));
}

fn resolver(lab: &Lab, mode: Mode) {
    lab.world.change(|state| {
        state.dns.resolvers.insert(RESOLVER.parse().unwrap(), mode);
    });
}

fn signatures(lab: &Lab, flaw: Option<zone::Flaw>) {
    lab.world.edit_zone(&name("example.com"), |zone| std::mem::replace(&mut zone.flaw, flaw) != flaw);
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

/// Ends every fault of the laboratory.
pub fn mend(lab: &mut Lab) {
    lab.world.clear_faults();
    lab.world.set_server(SECONDARY, |server| (server.mode, server.frozen) = (Mode::Answers, false));
    resolver(lab, Mode::Answers);
    signatures(lab, None);
    lab.world.change(|state| state.dns.next_updates.clear());
    at(lab, &service_name(25, MX), |service| {
        (service.reload, service.refuses) = (daneroll::env::sim::service::Reload::Works, None);
    });
    lab.reconfigure(|setup| setup.without_section(false).without_line("tslv = 311 25"));
}

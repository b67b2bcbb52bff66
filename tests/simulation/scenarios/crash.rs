//! S20: kills, power losses, reboots, clocks, lost memory, full and broken disks, at every step of a rollover.

use super::{MX, OWNER, STEPS, count, now, ready, serves, settle};
use crate::{
    certs::Renewal,
    lab::{DANE, DAY, HOUR, KILLED, LETSENCRYPT, Lab, MINUTE, STATE, Setup, service_name},
};
use daneroll::env::{
    Files,
    sim::{When, service::Reads},
};
use nix::errno::Errno;
use std::path::{Path, PathBuf};

/// A command, and what happens after it.
type Step = (&'static str, fn(&Lab));

/// A life from the first use to the end of the first rollover: every command and what follows it.
const STORY: [Step; 8] = [
    ("--reset", Lab::serve),
    ("", three_hours),
    ("", three_hours),
    ("--pre", |lab| lab.certbot.renew(MX, Renewal::default())),
    ("--post", three_hours),
    ("", three_hours), // switch, reload
    ("", three_hours), // delete
    ("", three_hours), // back to live/
];

fn three_hours(lab: &Lab) {
    lab.pass(3 * HOUR);
}

fn call(lab: &Lab, command: &str) -> i32 {
    lab.run(if command.is_empty() { &[] } else { std::slice::from_ref(&command) })
}

fn setup(update: bool) -> Setup {
    let setup = Lab::with(MX, "311 25").global("ttl = 3600");
    if update { setup.api_rfc2136() } else { setup }
}

/// How many effects each command of the story has.
fn effects(setup: Setup) -> Vec<usize> {
    let lab = setup.start();
    let effects = STORY.map(|(command, then)| {
        assert_eq!(call(&lab, command), 0, "{}", lab.told());
        let effects = lab.world.effects();
        then(&lab);
        effects
    });
    lab.assert_settled(MX);
    effects.into()
}

/// The effects at which something goes wrong: with `DANEROLL_TEST_ALL=1` every one, else every third, in each test others.
fn chosen(effects: usize, offset: usize) -> impl Iterator<Item = usize> {
    let all = std::env::var_os("DANEROLL_TEST_ALL").is_some();
    (1..=effects).filter(move |effect| all || (effect + offset).is_multiple_of(3))
}

/// Plays the story with something that goes wrong in one command; the operator repeats `--reset` and `--pre`, cron the rest.
fn play(setup: Setup, hurt: usize, wrong: &dyn Fn(&Lab, &str)) -> Lab {
    let lab = setup.start();
    for (at, (command, then)) in STORY.into_iter().enumerate() {
        if at == hurt {
            wrong(&lab, command);
        }
        if at != hurt || ["--reset", "--pre"].contains(&command) {
            assert_eq!(call(&lab, command), 0, "{at} {command}: {}", lab.told());
        }
        then(&lab);
    }
    lab.cron(3 * HOUR, 6 * HOUR);
    lab.assert_settled(MX);
    lab
}

/// Killed after each effect, halfway through it, or with all the power gone; then everything goes its way.
#[test]
fn killed_at_every_effect() {
    for update in [false, true] {
        for (command, effects) in effects(setup(update)).into_iter().enumerate() {
            for effect in chosen(effects, command).filter(|effect| !update || effect % 4 == 0) {
                play(setup(update), command, &|lab, words| {
                    let when = [When::After, When::Midway, When::After, When::Before][effect % 4];
                    lab.world.kill_at(effect, when);
                    assert_eq!(call(lab, words), KILLED, "{words} {effect}");
                });
            }
        }
    }
}

/// Killed before a folder or a file has the group that is to read it: it gets that from a later run.
#[test]
fn killed_before_the_group_can_read() {
    let setup = || setup(false).global("dane_group = daemon").line("bundle = yes").reads(Reads::Anytime);
    for (command, effects) in effects(setup()).into_iter().enumerate() {
        for effect in chosen(effects, command) {
            let lab = play(setup(), command, &|lab, words| {
                lab.world.kill_at(effect, When::After);
                assert_eq!(call(lab, words), KILLED, "{words} {effect}");
            });
            for name in ["fullchain.pem", "privkey.pem", "bundle.pem"] {
                let file = lab.world.real_path(&Path::new(DANE).join(MX).join(name)).unwrap();
                let seen: Vec<(u32, u32)> = file
                    .ancestors()
                    .take_while(|path| path.starts_with(DANE))
                    .map(|path| lab.world.stat(path, true).unwrap())
                    .map(|stat| (stat.mode, stat.gid))
                    .collect();
                let folders = vec![(0o750, 1); seen.len() - 1];
                assert_eq!(seen, [vec![(0o640, 1)], folders].concat(), "{command} {effect}: {}", file.display());
            }
        }
    }
}

/// The power fails after each effect, and of what was not synced nothing is left, or one half.
#[test]
fn power_lost_at_every_effect() {
    for (command, effects) in effects(setup(false)).into_iter().enumerate() {
        for effect in chosen(effects, command + 1) {
            play(setup(false), command, &|lab, words| {
                lab.world.kill_at(effect, When::After);
                assert_eq!(call(lab, words), KILLED, "{words} {effect}");
                let mut turn = 0;
                lab.world.power_loss(|| {
                    turn += 1;
                    effect % 3 > 0 && (effect + turn) % 2 == 0
                });
            });
        }
    }
}

const ERRORS: [Errno; 4] = [Errno::ENOSPC, Errno::EROFS, Errno::EACCES, Errno::EIO];

/// One effect fails: that is told and fails the run, unless there is another way (a copy instead of a link, a retry).
#[test]
fn each_effect_fails() {
    for (command, effects) in effects(setup(false)).into_iter().enumerate() {
        for effect in chosen(effects, command + 2) {
            play(setup(false), command, &|lab, words| {
                lab.world.fail_effect(effect, ERRORS[(effect + command) % 4]);
                lab.world.trace();
                let exit = call(lab, words);
                let failed = lab.world.trace().swap_remove(effect - 1);
                assert!(exit != 0 || failed.contains(" hard_link "), "{words}: {failed}: {}", lab.told());
                assert!(exit == 0 || lab.told().contains("ERROR"), "{failed}");
            });
        }
    }
}

/// A disk that stays full or broken from one command of the rollover on, for a day.
#[test]
fn a_broken_disk() {
    for hurt in 4..STORY.len() {
        for (number, place) in [STATE, DANE, "/"].into_iter().enumerate() {
            for errno in ERRORS.into_iter().skip(hurt % 2).step_by(2) {
                play(setup(false), hurt, &|lab, words| {
                    lab.world.fail_paths(place, errno);
                    let mut exits = vec![call(lab, words)];
                    for _ in 0..3 {
                        lab.pass(7 * HOUR);
                        exits.push(call(lab, ""));
                    }
                    assert!(!exits.contains(&0) || number == 1, "{hurt} {place} {errno} {exits:?}");
                    lab.world.clear_faults();
                });
            }
        }
    }
}

/// A reboot at any moment of the wait: what the old boot did not write down does not count; nothing comes too early.
#[test]
fn reboots_in_a_wait() {
    for minutes in (5..150).step_by(17) {
        let lab = ready(Lab::with(MX, "311 25"));
        lab.renew(MX, Renewal::default());
        let published = now(&lab);
        lab.cron(10 * MINUTE, minutes / 10 * 600);
        lab.pass(minutes % 10 * MINUTE);
        lab.world.reboot();
        let switched = lab.until(10 * MINUTE, DAY, |lab| serves(lab) == [2]) - published;
        assert!((2 * HOUR..=2 * HOUR + 20 * MINUTE + STEPS).contains(&switched), "{minutes} {switched}");
        lab.world.reboot();
        settle(&lab, MX);
    }
}

/// The wall clock jumps by days, to and fro: the wait neither gets shorter nor longer.
#[test]
fn the_wall_clock_jumps() {
    for days in [-40, -9, -1, 1, 9, 40] {
        let lab = ready(Lab::with(MX, "311 25"));
        lab.renew(MX, Renewal::default());
        let published = now(&lab);
        lab.cron(10 * MINUTE, HOUR);
        lab.world.jump_wall(days * DAY as i64);
        lab.cron(10 * MINUTE, 30 * MINUTE);
        lab.world.jump_wall(-2 * days * DAY as i64);
        let switched = lab.until(10 * MINUTE, DAY, |lab| serves(lab) == [2]) - published;
        assert!((2 * HOUR..=2 * HOUR + 10 * MINUTE + STEPS).contains(&switched), "{days} {switched}");
        settle(&lab, MX);
    }
}

/// The files of the journal that hold documents.
fn journal(lab: &Lab) -> Vec<PathBuf> {
    let state = Path::new(STATE);
    let parts = ["lineages", "owners"].map(|part| state.join(part));
    let listed = parts.iter().flat_map(|part| {
        let names = lab.world.list(part).unwrap();
        names.into_iter().map(|name| part.join(name)).collect::<Vec<_>>()
    });
    listed.chain([state.join("clock.json")]).filter(|path| path.extension().is_some_and(|e| e == "json")).collect()
}

/// What happens to a file of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Gone,
    Empty,
    CutOff,
    Garbage,
}

fn damage(lab: &Lab, path: &Path, damage: Damage) {
    let bytes = lab.world.read(path).unwrap();
    match damage {
        Damage::Gone => lab.world.remove(path).unwrap(),
        Damage::Empty => lab.world.write(path, b"", 0o600).unwrap(),
        Damage::CutOff => lab.world.write(path, &bytes[..bytes.len() / 2], 0o600).unwrap(),
        Damage::Garbage => lab.world.write(path, b"\xff{]\0", 0o600).unwrap(),
    }
}

/// Files of the journal are lost or damaged, one by one and together, before the switch and after it: what is damaged is told,
/// the program gets careful, and the switch comes; records whose author is forgotten may stay.
#[test]
fn a_lost_or_damaged_journal() {
    for (hurt, file, kind) in (4..8)
        .flat_map(|hurt| {
            let kinds = [Damage::Gone, Damage::Empty, Damage::CutOff, Damage::Garbage];
            (0..4).flat_map(move |file| kinds.map(|kind| (hurt, file, kind)))
        })
        .filter(|(hurt, file, kind)| {
            chosen(hurt + file + *kind as usize, 0).last() == Some(hurt + file + *kind as usize)
        })
    {
        let lab = setup(false).start();
        for (at, (command, then)) in STORY.into_iter().enumerate() {
            let mut expected = 0;
            if at == hurt {
                for path in journal(&lab).iter().enumerate().filter(|(at, _)| file == 3 || file == *at).map(|(_, p)| p)
                {
                    damage(&lab, path, kind);
                    expected = i32::from(kind != Damage::Gone);
                }
            }
            assert_eq!(call(&lab, command), expected, "{at} {file} {kind:?} {}", lab.told());
            if expected == 1 {
                lab.assert_told(&["ERROR", "is damaged", STATE, ".damaged"]);
            }
            then(&lab);
        }
        lab.cron(3 * HOUR, DAY);
        lab.assert_clean();
        assert_eq!(serves(&lab), [2], "{hurt} {file} {kind:?}");
        assert!(lab.published(OWNER).contains(&lab.record(MX, 2, super::EE)));
        if file == 2 {
            lab.assert_settled(MX);
        }
        lab.renew(MX, Renewal::default());
        lab.cron(3 * HOUR, DAY);
        lab.assert_clean();
        assert_eq!(serves(&lab), [3], "{hurt} {file} {kind:?}");
    }
}

/// Files of a later version: nothing is done and nothing is touched until the later program is back.
#[test]
fn a_journal_of_a_later_version() {
    let lab = ready(Lab::with(MX, "311 25"));
    lab.renew(MX, Renewal::default());
    for path in journal(&lab) {
        let bytes = lab.world.read(&path).unwrap();
        let later = String::from_utf8(bytes.clone()).unwrap().replacen("\"version\": 1", "\"version\": 9", 1);
        lab.world.write(&path, later.as_bytes(), 0o600).unwrap();
        for args in [&[][..], &["--post"], &["--reset"]] {
            lab.pass(12 * HOUR);
            assert_eq!((lab.run(args), serves(&lab), count(&lab, OWNER)), (1, vec![1], 2), "{path:?} {args:?}");
            lab.assert_told(&["ERROR", &path.to_string_lossy(), "install the later daneroll again"]);
        }
        assert_eq!(lab.world.read(&path).unwrap(), later.as_bytes());
        lab.world.write(&path, &bytes, 0o600).unwrap();
    }
    settle(&lab, MX);
}

/// S33: certbot prunes the archive while an old generation is served, and `certbot delete` with a reissue starts at 1 again.
#[test]
fn s33_pruned_and_reissued() {
    let lab = ready(Lab::with(MX, "311 25"));
    lab.world.set_server("ns1.example.com", |server| server.mode = daneroll::env::sim::dns::Mode::Down);
    let first = lab.certbot.fullchain(MX, 1);
    for _ in 0..7 {
        lab.renew(MX, Renewal::default());
        lab.cron(6 * HOUR, DAY);
        lab.world.look(|state| assert_eq!(*state.services[&service_name(25, MX)].presented()[0], first[..]));
    }
    assert!(lab.world.stat(&Path::new(LETSENCRYPT).join("archive").join(MX).join("cert1.pem"), true).is_err());
    lab.world.reboot(); // services read their files again
    lab.world.look(|state| assert_eq!(*state.services[&service_name(25, MX)].presented()[0], first[..]));
    lab.world.set_server("ns1.example.com", |server| server.mode = daneroll::env::sim::dns::Mode::Answers);
    settle(&lab, MX);
}

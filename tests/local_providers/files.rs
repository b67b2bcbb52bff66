//! The files of zones, in a world where every step can be the last one.

use super::{A, A1, A2, B, B1, add, context, delete, name, record, text};
use daneroll::{
    env::{
        Ended, Files, Status,
        sim::{When, World},
    },
    name::DnsName,
    provider::{Change, Context, Outcome, Provider, Standing, manual::Manual, zonefile::ZoneFile},
};
use nix::errno::Errno;
use std::{path::Path, time::Duration};

const FILE: &str = "/zones/example.com.tlsa";
/// What the name server read last.
const SERVED: &str = "/served/example.com";
const DEBT: &str = "/state/refresh/example.com.json";

/// A world with a name server that reads the file when it is told to; with a file `/refuse` it fails.
fn world() -> World {
    let world = World::new();
    for dir in ["/zones", "/served", "/state"] {
        world.make_dir(Path::new(dir), 0o755).unwrap();
    }
    world.program("/sim/refresh", |world, command| {
        let zone = command.argv.get(1).cloned().unwrap_or("all".into());
        if world.stat(Path::new("/refuse"), true).is_ok() {
            return Ended { status: Status::Exited(1), output: "first\nthe name server\u{1b} is away\n".into() };
        }
        let text = world.read(Path::new(FILE)).unwrap_or_default();
        world.write(&Path::new("/served").join(zone), &text, 0o644).unwrap();
        Ended { status: Status::Exited(0), output: String::new() }
    });
    world
}

fn zonefile() -> ZoneFile {
    let refresh = ["/sim/refresh", "{zone}"].map(str::to_owned).to_vec();
    ZoneFile { paths: vec!["/zones/{zone}.tlsa".into()], zone: None, refresh }
}

fn put(world: &World, path: &str, text: &str) {
    world.write(Path::new(path), text.as_bytes(), 0o644).unwrap();
}

fn get(world: &World, path: &str) -> String {
    world.read(Path::new(path)).map(|bytes| String::from_utf8(bytes).unwrap()).unwrap_or_else(|error| error.to_string())
}

fn owed(world: &World) -> bool {
    world.stat(Path::new(DEBT), true).is_ok()
}

/// In a process of its own.
fn apply(world: &World, changes: &[Change]) -> Vec<String> {
    let run = |world: &World| zonefile().apply(world, &context(), changes);
    world.survive(run).unwrap_or_default().iter().map(text).collect()
}

#[test]
fn a_file_keeps_its_owner_mode_and_link() {
    let world = world();
    put(&world, "/zones/real", "; mine\n");
    world.set_owner(Path::new("/zones/real"), 104, 105).unwrap();
    world.set_mode(Path::new("/zones/real"), 0o640, None).unwrap();
    world.point(Path::new(FILE), Path::new("real")).unwrap();
    assert_eq!(apply(&world, &[add(A, 1), add(B, 1)]), ["Done", "Done"]);
    assert_eq!(get(&world, "/zones/real"), ["; mine\n", A1, B1].concat());
    assert_eq!(get(&world, SERVED), get(&world, FILE));
    let stat = world.stat(Path::new("/zones/real"), false).unwrap();
    assert_eq!((stat.uid, stat.gid, stat.mode), (104, 105, 0o640));
    assert_eq!(world.target(Path::new(FILE)).unwrap(), Path::new("real"));
    // Nothing to do, nothing written; but whoever asks does not see it.
    world.remove(Path::new(SERVED)).unwrap();
    assert_eq!(apply(&world, &[add(A, 1), delete(B, 2)]), ["Already", "Already"]);
    assert_eq!(world.stat(Path::new("/zones/real"), false).unwrap().inode, stat.inode);
    assert_eq!(get(&world, SERVED), get(&world, FILE));
    assert_eq!(apply(&world, &[delete(A, 1), delete(B, 1)]), ["Done", "Done"]);
    assert_eq!((get(&world, SERVED).as_str(), owed(&world)), ("; mine\n", false));
}

#[test]
fn several_files_and_zones() {
    let world = world();
    world.make_dir(Path::new("/other"), 0o755).unwrap();
    put(&world, "/other/example.com", "; other\n");
    let of_net = Change { zone: Some(name("example.net")), ..add("_25._tcp.a.example.net.", 1) };
    let unknown = Change { zone: None, ..add(A, 1) };
    let both = ZoneFile { paths: vec!["/zones/{zone}.tlsa".into(), "/other/{zone}".into()], ..zonefile() };
    world.trace();
    let outcomes =
        world.survive(|world| both.apply(world, &context(), &[add(A, 1), of_net.clone(), unknown.clone()])).unwrap();
    let told: Vec<String> = outcomes.iter().map(text).collect();
    assert!(told[..2] == ["Done", "Done"] && told[2].contains("zone:example.com"), "{told:?}");
    let runs: Vec<String> = world.trace().into_iter().filter(|line| line.contains(" run ")).collect();
    assert!(
        runs.len() == 2 && runs[0].ends_with("refresh example.com") && runs[1].ends_with("refresh example.net"),
        "{runs:?}"
    );
    assert_eq!((get(&world, FILE).as_str(), get(&world, "/other/example.com")), (A1, ["; other\n", A1].concat()));
    assert!(get(&world, "/other/example.net").starts_with("_25._tcp.a.example.net. 3600"));
    // All in one file and one command, and a zone that is named.
    let one = ZoneFile { paths: vec!["/zones/all".into()], refresh: vec!["/sim/refresh".into()], ..zonefile() };
    world.trace();
    let outcomes =
        world.survive(|world| one.apply(world, &context(), &[add(A, 1), of_net.clone(), unknown.clone()])).unwrap();
    assert_eq!(outcomes, [Outcome::Already, Outcome::Done, Outcome::Done], "what no zone is known of comes first");
    assert_eq!(world.trace().iter().filter(|line| line.contains(" run ")).count(), 1);
    assert_eq!(get(&world, "/zones/all").lines().count(), 2);
    let named = ZoneFile { zone: Some(name("example.com")), ..zonefile() };
    let outcomes = named.apply(&world, &context(), &[Change { zone: None, ..add(B, 1) }, of_net]);
    assert!(outcomes[0] == Outcome::Done && text(&outcomes[1]).contains("is not in example.com"), "{outcomes:?}");
    for zone in ["0\\/25.example.com.", ".", "\\-f.example."] {
        let zone = DnsName::try_from(zone.to_owned()).unwrap();
        let outcome = text(&zonefile().apply(&world, &context(), &[Change { zone: Some(zone), ..add(A, 1) }])[0]);
        assert!(outcome.starts_with("Failed: the name of the zone"), "{outcome}");
    }
}

#[test]
fn a_file_that_is_not_to_be_touched() {
    for (prepare, kind, why) in [
        (
            Box::new(|world: &World| put(world, FILE, "; x\nx TXT (\n")) as Box<dyn Fn(&World)>,
            "Failed",
            "example.com.tlsa:2: a parenthesis",
        ),
        (Box::new(|world| world.make_dir(Path::new(FILE), 0o755).unwrap()), "Failed", "not a regular file"),
        (
            Box::new(|world| world.point(Path::new(FILE), Path::new("/nowhere")).unwrap()),
            "Failed",
            "/zones/example.com.tlsa",
        ),
        (Box::new(|world| world.remove_dir(Path::new("/zones")).unwrap()), "Failed", "make the directory /zones"),
        (Box::new(|world| world.fail_paths("/zones", Errno::EROFS)), "Failed", "lock"),
        (Box::new(|world| world.fail_paths("/state", Errno::ENOSPC)), "Failed", "take down that a refresh is owed"),
        (Box::new(|world| world.fail_paths(FILE, Errno::EACCES)), "Failed", "example.com.tlsa"),
    ] {
        let world = world();
        prepare(&world);
        let before = get(&world, FILE);
        for outcome in apply(&world, &[add(A, 1), delete(A, 2)]) {
            assert!(outcome.starts_with(kind) && outcome.contains(why), "{why}: {outcome}");
        }
        world.clear_faults();
        assert_eq!(get(&world, FILE), before, "{why}");
        assert!(world.stat(Path::new(SERVED), true).is_err(), "{why}");
    }
    let world = world();
    let _held = world.lock(Path::new("/zones/example.com.tlsa.lock"), Duration::ZERO).unwrap().unwrap();
    assert_eq!(apply(&world, &[add(A, 1)]), ["Temporary: another program holds /zones/example.com.tlsa.lock"]);
    // What stands in the way of one does not hold up the others.
    let world = self::world();
    put(&world, FILE, &A1.to_uppercase());
    let outcomes = apply(&world, &[delete(A, 1), add(B, 1)]);
    assert!(outcomes[0].starts_with("Failed: /zones/example.com.tlsa:1: ") && outcomes[1] == "Done", "{outcomes:?}");
}

#[test]
fn a_refresh_is_owed_until_it_succeeds() {
    let world = world();
    put(&world, "/refuse", "");
    for age in ["1 s", "25 h"] {
        let outcomes = apply(&world, &[add(A, 1)]);
        assert!(
            outcomes[0].starts_with(
                "Temporary: the file has it, and `/sim/refresh example.com` exited 1: the name server\\u{1b} is away"
            ),
            "{outcomes:?}"
        );
        assert!(owed(&world) && get(&world, FILE) == A1);
        world.pass(Duration::from_secs(90_000));
        assert!(age == "1 s" || outcomes[0].ends_with("(owed for 25 h)"), "{outcomes:?}");
    }
    world.remove(Path::new("/refuse")).unwrap();
    assert_eq!(apply(&world, &[add(A, 1)]), ["Done"]);
    assert_eq!((get(&world, SERVED).as_str(), owed(&world)), (A1, false));
    assert_eq!(apply(&world, &[add(A, 1)]), ["Already"]);
    // A note that is damaged counts as one; and what a killed run left behind goes.
    put(&world, DEBT, "?");
    put(&world, "/zones/.daneroll-tmp-x", "half");
    assert_eq!(apply(&world, &[add(A, 1)]), ["Done"]);
    assert_eq!(world.list(Path::new("/zones")).unwrap(), ["example.com.tlsa", "example.com.tlsa.lock"]);
}

/// Wherever a run ends, the next one leaves file and name server as they ought to be, and does not say that it was so already when
/// nobody had been told.
#[test]
fn a_run_that_is_killed_is_made_up_for() {
    let changes = [add(A, 2), delete(A, 1)];
    let start = || {
        let world = world();
        put(&world, FILE, &["; x\n", A1].concat());
        put(&world, SERVED, A1);
        world
    };
    let world = start();
    assert_eq!(apply(&world, &changes), ["Done", "Done"]);
    let effects = world.effects();
    assert!(effects > 8, "{effects}");
    for effect in 1..=effects {
        for when in [When::Before, When::Midway, When::After] {
            let world = start();
            world.kill_at(effect, when);
            assert!(apply(&world, &changes).is_empty());
            let written = get(&world, FILE).contains("0202");
            assert!(
                !written || owed(&world) || get(&world, SERVED).contains("0202"),
                "{effect} {when:?}: nobody knows"
            );
            let expected = if !written || owed(&world) { "Done" } else { "Already" };
            assert_eq!(apply(&world, &changes), [expected, expected], "{effect} {when:?}");
            let done = ["; x\n", A2].concat();
            assert_eq!(
                (get(&world, FILE), get(&world, SERVED), owed(&world)),
                (done.clone(), done, false),
                "{effect} {when:?}"
            );
            let left = world.list(Path::new("/zones")).unwrap();
            assert!(when == When::Midway || left.len() == 2, "{effect} {when:?}: {left:?}");
        }
    }
}

/// Another program adds a line after each step of ours, without a lock.
#[test]
fn what_others_write_meanwhile_is_kept() {
    const OTHER: &str = "x.example.com. 60 IN TXT other\n";
    let write = |world: &World| {
        let text = get(world, FILE) + OTHER;
        put(world, FILE, &text);
    };
    for effect in 1..=12 {
        let world = world();
        put(&world, FILE, "; x\n");
        world.interject(effect, write);
        assert_eq!(apply(&world, &[add(A, 1)]), ["Done"], "{effect}");
        let text = get(&world, FILE);
        let other = effect > world.effects() || text.contains(OTHER);
        assert!(other && text.contains(A1) && text.starts_with("; x\n"), "{effect}: {text}");
    }
    // One that never rests.
    let world = world();
    put(&world, FILE, "; x\n");
    (1..100).for_each(|effect| world.interject(effect, write));
    let outcomes = apply(&world, &[add(A, 1)]);
    assert!(outcomes[0].starts_with("Temporary: /zones/example.com.tlsa changed whenever"), "{outcomes:?}");
}

/// The command would make the loss visible, so nothing that stands may be missing when it runs.
#[test]
fn what_was_lost_comes_back_with_the_next_change() {
    let world = world();
    put(&world, FILE, "");
    let stands = |zone: &str, owner: &str, byte| Standing {
        zone: Some(name(zone)),
        owner: name(owner),
        record: record(byte),
        ttl: 60,
    };
    let standing =
        vec![stands("example.com", A, 1), stands("example.com", B, 1), stands("example.net", "x.example.net", 1)];
    let context = Context { standing, ..context() };
    let outcomes = zonefile().apply(&world, &context, &[add(A, 2), delete(B, 1)]);
    assert_eq!(outcomes, [Outcome::Done, Outcome::Already]);
    let expected = [A1, A2].concat().replace("3600", "60");
    assert_eq!((get(&world, FILE), get(&world, SERVED)), (expected.clone(), expected));
    // Also if what was asked for needs no write.
    put(&world, FILE, A2);
    assert_eq!(zonefile().apply(&world, &context, &[add(A, 2)]), [Outcome::Already]);
    assert!(get(&world, FILE).contains(" 3 1 1 0101\n") && get(&world, SERVED) == get(&world, FILE));
}

#[test]
fn by_hand() {
    let world = world();
    let file = ZoneFile { refresh: Vec::new(), ..zonefile() };
    let outcomes: Vec<String> = file.apply(&world, &context(), &[add(A, 1), delete(A, 2)]).iter().map(text).collect();
    let expected = [
        format!("ByHand: have the name server read {FILE}, which adds: {}", A1.trim_end()),
        format!("ByHand: have the name server read {FILE}, which no longer has: {A} IN TLSA 3 1 1 0202"),
    ];
    assert_eq!((outcomes, get(&world, FILE).as_str(), owed(&world)), (expected.to_vec(), A1, false));
    let outcomes: Vec<String> = Manual.apply(&world, &context(), &[add(A, 1), delete(A, 2)]).iter().map(text).collect();
    let expected = [
        format!("ByHand: add to the zone example.com: {}", A1.trim_end()),
        format!("ByHand: remove from the zone example.com: {A} IN TLSA 3 1 1 0202"),
    ];
    assert_eq!(outcomes, expected);
}

//! Providers that work on this host: zone files in the simulated world, where every step can fail or be the last one, and programs
//! that take whole changes, as real processes.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use daneroll::{
    env::{
        Ended, Files, Status,
        real::Real,
        sim::{When, World},
    },
    name::DnsName,
    provider::{
        Change, Context, Operation, Outcome, Provider, Standing,
        exec_json::ExecJson,
        manual::Manual,
        zonefile::{Edit, Edited, ZoneFile, edit},
    },
    tlsa::Association,
};
use nix::errno::Errno;
use std::{path::Path, time::Duration};

const A: &str = "_25._tcp.a.example.com.";
const B: &str = "_25._tcp.b.example.com.";
const FILE: &str = "/zones/example.com.tlsa";
/// What the name server read last.
const SERVED: &str = "/served/example.com";
const DEBT: &str = "/state/refresh/example.com.json";

fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

fn record(byte: u8) -> Association {
    Association { usage: 3, selector: 1, matching: 1, data: vec![byte; 2] }
}

fn change(operation: Operation, owner: &str, byte: u8) -> Change {
    Change {
        operation,
        owner: name(owner),
        zone: Some(name("example.com")),
        record: record(byte),
        ttl: 3600,
        live: None,
        lineage: "a.example.com".into(),
        port: 25,
        protocol: "tcp".into(),
        domain: name("a.example.com"),
    }
}

fn add(owner: &str, byte: u8) -> Change {
    change(Operation::Add, owner, byte)
}

fn delete(owner: &str, byte: u8) -> Change {
    change(Operation::Delete, owner, byte)
}

fn context() -> Context {
    Context {
        timeout: Duration::from_secs(20),
        letsencrypt_directory: "/etc/letsencrypt".into(),
        renewed_domains: "a.example.com".into(),
        resolvers: Vec::new(),
        state_directory: "/state".into(),
        standing: Vec::new(),
    }
}

fn text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done | Outcome::Already => format!("{outcome:?}"),
        Outcome::NotYet(why) => format!("NotYet: {why}"),
        Outcome::ByHand(why) => format!("ByHand: {why}"),
        Outcome::Temporary(why) => format!("Temporary: {why}"),
        Outcome::Failed(why) => format!("Failed: {why}"),
    }
}

// The text of a zone file

fn edited(before: &str, changes: &[Change]) -> (String, Vec<Edited>) {
    let edits: Vec<Edit<'_>> = changes
        .iter()
        .map(|change| Edit {
            operation: change.operation,
            owner: &change.owner,
            record: &change.record,
            ttl: change.ttl,
        })
        .collect();
    let (bytes, edited) = edit(before.as_bytes(), &edits).unwrap();
    (String::from_utf8(bytes).unwrap(), edited)
}

const A1: &str = "_25._tcp.a.example.com. 3600 IN TLSA 3 1 1 0101\n";
const A2: &str = "_25._tcp.a.example.com. 3600 IN TLSA 3 1 1 0202\n";
const B1: &str = "_25._tcp.b.example.com. 3600 IN TLSA 3 1 1 0101\n";

/// What the file is after adding record 1 at `A`, if that changes it.
#[test]
fn a_record_finds_its_place() {
    let changed = |before: &str, after: &str| {
        assert_eq!(edited(before, &[add(A, 1)]), (after.into(), vec![Edited::Changed]), "{before:?}");
        // And out again: what stood around it is as it was.
        let (left, _) = edited(after, &[delete(A, 1)]);
        assert!(left == before || left == format!("{before}\n"), "{before:?} became {left:?}");
    };
    let already = |before: &str| {
        assert_eq!(edited(before, &[add(A, 1)]), (before.into(), vec![Edited::Already]), "{before:?}");
    };
    changed("", A1);
    changed(A2, &[A1, A2].concat());
    changed(&[A2, B1].concat(), &[A1, A2, B1].concat());
    changed(B1, &[A1, B1].concat());
    changed("; c", &["; c\n", A1].concat());
    changed(&["; one\n\n", B1, "; two\n"].concat(), &["; one\n\n", A1, B1, "; two\n"].concat());
    // The TTL of the RRset.
    let (short, one) = (A2.replace("3600", "60"), A1.replace("3600", "60"));
    changed(&short, &[&one, &short[..]].concat());
    changed(
        "_25._tcp.A.Example.com. 60 TLSA 3 1 2 ff\n",
        &["_25._tcp.A.Example.com. 60 TLSA 3 1 2 ff\n", &one].concat(),
    );
    // Not before what takes owner or TTL from the line above, be it ours or not.
    let leaning = [B1, " 60 IN TXT x\n"].concat();
    changed(&leaning, &[A1, &leaning].concat());
    let leaning = [A2.replace("0202", "0000").as_str(), " 60 IN TXT x\n"].concat();
    changed(&leaning, &[&leaning, A1].concat());
    let leaning = [A2.replace("0202", "0000").as_str(), "c.example.com. TXT x\n"].concat();
    changed(&[&leaning, "; c\n"].concat(), &[&leaning, A1, "; c\n"].concat());
    // One that states nothing and needs nothing.
    let free = ["$TTL 60\n", &A2.replace("0202", "0000"), "c.example.com. TXT x\n"];
    changed(&free.concat(), &[free[0], free[1], A1, free[2]].concat());
    // Quotes, parentheses and backslashes do not lead astray.
    for line in [
        "x 1 TXT \"; \\\" ( \" ; )\n",
        "x 1 TXT ( a ; )\n b\n )\n",
        "x\\; 1 TXT a\n",
        "x\\( 1 TXT a\n",
        "$ORIGIN example.com.\n",
        "$TTL 1h ; d\n",
        "x 1h TLSA 3 1 1 zz\r\n",
        "x 1 TYPE52 \\# 4 030101\n",
        "x 1 IN CH TXT a\n",
        "x 1 CH TLSA 3 1 1 0101\n",
        "\u{e4}\u{f6} 1 TXT \u{fc}\n",
    ] {
        changed(line, &[line, A1].concat());
    }
    for line in [
        A1.to_owned(),
        A1.trim_end().to_owned(),
        A1.to_uppercase(),
        A1.replace("3600 ", ""),
        A1.replace("IN ", ""),
        A1.replace("3600 IN", "IN 1h30m"),
        A1.replace("TLSA 3 1 1 0101", "TYPE52 \\# 5 0301010101"),
        A1.replace("0101", "01 01"),
        A1.replace("3 1 1 0101\n", "( 3 1\n\t1 01 ; x\n\t01 )\n"),
        A1.replace('\n', " ; ours\n"),
        format!("$ORIGIN com.\n$ORIGIN example\n{}", A1.replace(".example.com.", "")),
        format!("$ORIGIN {A}\n@ 60 TLSA 3 1 1 0101\n"),
        format!("{A2}\t60 TLSA 3 1 1 0101\n"),
    ] {
        already(&line);
    }
    // It may be, and twice is harmless.
    let (relative, unknown) = (A1.replace("example.com.", "example"), "\t60 TLSA 3 1 1 0101\n".to_owned());
    for before in [relative, unknown, A1.replace("a.example.com.", "a")] {
        let (after, made) = edited(&before, &[add(A, 1)]);
        assert!(made == [Edited::Changed] && after == format!("{before}{A1}"), "{after}");
    }
}

#[test]
fn only_what_is_ours_for_sure_is_removed() {
    for (before, after) in [
        (A1.to_owned(), ""),
        ([A1, A2].concat(), A2),
        ([A1, A1].concat(), ""),
        (["; x\n", A1, "; y"].concat(), "; x\n; y"),
        ([A1, "$TTL 60\nx TXT a\n"].concat(), "$TTL 60\nx TXT a\n"),
    ] {
        assert_eq!(edited(&before, &[delete(A, 1)]), (after.into(), vec![Edited::Changed]), "{before}");
    }
    for before in ["", A2, B1, "x TXT a\n"] {
        assert_eq!(edited(before, &[delete(A, 1)]), (before.into(), vec![Edited::Already]), "{before}");
    }
    for (before, line, why) in [
        (A1.to_uppercase(), 1, "form that is not ours"),
        (format!("; x\n\n{}", A1.replace('\n', "; mine\n")), 3, "form that is not ours"),
        ([A1, &A1.replace("IN ", "")].concat(), 2, "form that is not ours"),
        ("; x\n_25._tcp.a 60 TLSA 3 1 1 0101\n".into(), 2, "may be the record"),
        ("$INCLUDE y\n 60 TLSA 3 1 1 0101\n".into(), 2, "may be the record"),
        (A1.replace("3 1 1", "dane-ee spki sha-256"), 1, "may be the record"),
        ([A1, " 60 TXT x\n"].concat(), 1, "line 2 takes its owner or TTL"),
        ([A1, "; x\n$ORIGIN y.\nz TXT x\n"].concat(), 1, "line 4 takes its owner or TTL"),
        ([A1, "$INCLUDE y\n"].concat(), 1, "line 2 takes"),
    ] {
        let (after, made) = edited(&before, &[delete(A, 1)]);
        let [Edited::Not(at, told)] = &made[..] else { panic!("{before}: {made:?}") };
        assert!(after == before && *at == line && told.contains(why), "{before}: {at} {told}");
    }
}

#[test]
fn files_that_cannot_be_read_for_sure() {
    for (before, line, why) in [
        ("x TXT ( a\n", 1, "never closed"),
        ("; a\nx TXT (\n ( a )\n\n", 2, "never closed"),
        ("x TXT a )\n", 1, "nothing opened"),
        ("\nx TXT \"a\n\"\n", 2, "quote"),
        ("x TXT \"a", 1, "quote"),
        ("x TXT a\\\n", 1, "backslash"),
        ("x TXT a\\", 1, "backslash"),
        ("x TXT \0\n", 1, "control"),
        ("\n\u{7f}ELF\u{1}\n", 2, "control"),
        ("x\n", 1, "without a type"),
        ("x 60 IN\n", 1, "without a type"),
        (" $TTL 60\n", 1, "after a blank"),
        ("$TTL 60\n@ IN SOA a b ( 1\n 2 3 4 5 )\n", 2, "whole zone"),
        ("@ IN TYPE6 \\# 0\n", 1, "whole zone"),
    ] {
        let (owner, record) = (name(A), record(1));
        let edits = [Edit { operation: Operation::Add, owner: &owner, record: &record, ttl: 1 }];
        let refused = edit(before.as_bytes(), &edits).unwrap_err();
        assert!(refused.line == line && refused.why.contains(why), "{before:?}: {refused:?}");
    }
}

// The files

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

// api = exec-json

fn real() -> Real {
    Real::new(env!("CARGO_BIN_EXE_daneroll").into())
}

fn exec(argv: &[&str], changes: &[Change]) -> Vec<String> {
    let api = ExecJson { argv: argv.iter().map(|word| word.to_string()).collect(), user: None };
    api.apply(&real(), &context(), changes).iter().map(text).collect()
}

#[test]
fn the_request() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("env | sort >{0}/env; cat >>{0}/requests", dir.path().display());
    let live = Change { live: Some(record(2)), ttl: 0, ..delete(A, 1) };
    let of_net = Change { zone: Some(name("example.net")), ..add("_25._tcp.a.example.net.", 1) };
    let changes = [add(A, 2), of_net, live, Change { zone: None, ..add(B, 3) }];
    assert_eq!(exec(&["sh", "-c", &script], &changes), ["Done"; 4]);
    let requests = std::fs::read_to_string(dir.path().join("requests")).unwrap();
    let requests: Vec<serde_json::Value> = requests.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let zones: Vec<_> = requests.iter().map(|request| request["zone"].clone()).collect();
    assert_eq!(zones, [serde_json::Value::Null, "example.com.".into(), "example.net.".into()]);
    let expected = serde_json::json!({
        "version": 1, "zone": "example.com.", "renewed_domains": "a.example.com", "letsencrypt_directory": "/etc/letsencrypt",
        "changes": [
            { "number": 1, "operation": "add", "owner": A, "ttl": 3600, "usage": 3, "selector": 1, "matching": 1, "data": "0202",
              "must_stay": null, "lineage": "a.example.com", "domain": "a.example.com", "port": 25, "protocol": "tcp" },
            { "number": 2, "operation": "delete", "owner": A, "ttl": 0, "usage": 3, "selector": 1, "matching": 1, "data": "0101",
              "must_stay": "0202", "lineage": "a.example.com", "domain": "a.example.com", "port": 25, "protocol": "tcp" },
        ]
    });
    assert_eq!(requests[1], expected);
    let vars = std::fs::read_to_string(dir.path().join("env")).unwrap();
    assert!(
        vars.lines().all(|var| ["IFS=", "PATH=", "PWD=", "_=", "\t", ""]
            .iter()
            .any(|known| var == *known || var.starts_with(known))),
        "{vars}"
    );
    assert!(!vars.contains("HOME="), "{vars}");
}

/// The outcomes of an addition and of a deletion.
#[test]
fn answers() {
    let one = r#"{"number":1,"outcome":"done"}"#;
    for (code, answer, expected) in [
        (0, String::new(), ["Done", "Done"]),
        (3, "echo one; echo two".into(), ["Failed: failed with exit code 3: two"; 2]),
        (127, String::new(), ["Failed: failed with exit code 127"; 2]),
        (128, "echo away".into(), ["Temporary: reports trouble that passes (exit code 128): away"; 2]),
        (0, outcomes(one), ["Done", "Failed: says nothing of this change in its answer"]),
        (5, outcomes(one), ["Done", "Failed: failed with exit code 5: more"]),
        (
            0,
            outcomes(&format!("{one},{}", r#"{"number":2,"outcome":"not-yet","why":" a\u001b[1m\nb "}"#)),
            ["Done", "NotYet: does not delete it yet: a\\u{1b}[1m\\nb"],
        ),
        (
            1,
            outcomes(r#"{"number":2,"outcome":"already"},{"number":1,"outcome":"not-yet"}"#),
            ["Failed: says \"not-yet\" to an addition", "Already"],
        ),
        (
            0,
            outcomes(r#"{"number":1,"outcome":"temporary"},{"number":2,"outcome":"failed","why":"no"}"#),
            ["Temporary: reports trouble that passes", "Failed: reports an error: no"],
        ),
        (
            0,
            outcomes(&format!("{one},{one}")),
            ["Failed: gave an answer that cannot be used: change 1 has two outcomes"; 2],
        ),
        (
            0,
            outcomes(r#"{"number":3,"outcome":"done"}"#),
            ["Failed: gave an answer that cannot be used: there is no change 3"; 2],
        ),
        (
            0,
            outcomes(r#"{"number":0,"outcome":"done"}"#),
            ["Failed: gave an answer that cannot be used: there is no change 0"; 2],
        ),
        (
            0,
            outcomes(r#"{"number":1,"outcome":"perhaps"}"#),
            ["Failed: gave an answer that cannot be used: unknown variant"; 2],
        ),
        (
            0,
            outcomes(r#"{"number":1,"outcome":"done","more":1}"#),
            ["Failed: gave an answer that cannot be used: unknown field"; 2],
        ),
        (
            0,
            outcomes(one).replace("version\":1", "version\":2"),
            ["Failed: gave an answer that cannot be used: its version is 2"; 2],
        ),
        (0, "echo '{'".into(), ["Failed: gave an answer that cannot be used: EOF"; 2]),
        (0, format!("{0}; {0}", outcomes(one)), ["Failed: gave an answer that cannot be used: more than one line"; 2]),
        (
            0,
            "head -c 70000 /dev/zero | tr '\\0' x".into(),
            ["Failed: gave an answer that cannot be used: it printed more than 64 KiB"; 2],
        ),
        (0, "kill -9 $$".into(), ["Failed: was ended by signal 9"; 2]),
    ] {
        let script = format!("cat >/dev/null; {}; exit {code}", if answer.is_empty() { ":" } else { &answer });
        let told = exec(&["sh", "-c", &script], &[add(A, 2), delete(A, 1)]);
        let told: Vec<String> =
            told.iter().map(|text| text.replace("`sh`, called for zone example.com, ", "")).collect();
        let fits = told.len() == 2
            && told.iter().zip(expected).all(|(told, expected)| match expected.contains("cannot be used") {
                true => told.starts_with(expected),
                false => told == expected,
            });
        assert!(fits, "{answer} {code}: {told:#?}");
    }
}

fn outcomes(list: &str) -> String {
    format!("echo; echo noise; echo '{{\"version\":1,\"outcomes\":[{}]}}'; echo more", list.replace('\\', "\\\\"))
}

#[test]
fn programs_that_do_not_read() {
    let many: Vec<Change> = (0..2000).map(|at| add(&format!("_25._tcp.h{at}.example.com."), 1)).collect();
    assert_eq!(exec(&["true"], &many), vec!["Done"; 2000]);
    let told = exec(&["/no/such/program"], &[add(A, 1)]);
    assert!(told[0].starts_with("Failed: ") && told[0].contains("does not exist"), "{told:?}");
    let api = ExecJson { argv: vec!["sleep".into(), "60".into()], user: None };
    let context = Context { timeout: Duration::from_secs(1), ..context() };
    let told = text(&api.apply(&real(), &context, &many)[1999]);
    assert!(told.contains("still running after 1 s"), "{told}");
}

/// A large request arrives whole, and its end is seen.
#[test]
fn the_sample() {
    let hook = concat!(env!("CARGO_MANIFEST_DIR"), "/hooks/provider-json");
    let many: Vec<Change> = (0..500).map(|at| add(&format!("_25._tcp.h{at}.example.com."), 1)).collect();
    let changes = [&many[..], &[add(A, 1), add(A, 2), delete(B, 1)]].concat();
    let told = exec(&[hook], &changes);
    assert!(told[0].starts_with("Failed") && told[0].ends_with("fill in its functions"), "{}", told[0]);
    assert!(
        told[501].starts_with("Temporary") && told[501].ends_with("an earlier step at this owner has to succeed first")
    );
    assert_eq!(told[502], "Already");
}

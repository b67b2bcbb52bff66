//! The journal on disk: what goes in comes out; what is damaged harms only what it describes.
// What the tables are made of is outside of `#[test]`, where the exception for tests does not reach.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use daneroll::{
    env::{Env, Files, sim::World},
    hosts::Hosts,
    journal::{
        HostDoc, Journal, LeftBehind, LineageDoc, Origin, Override, OwnerDoc, Past, Presented, RecordDoc, RecordState,
        Reloaded, ServerDoc, Shown, Unfinished, Unseen,
        clock::Stamp,
        store::{Store, lineage_file, lineages_of, owner_file},
    },
    lineage::GenerationId,
    name::DnsName,
    small::{Map, Set},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

const STATE: &str = "/var/lib/daneroll";

fn state() -> PathBuf {
    PathBuf::from(STATE)
}

fn owner(name: &str, now: Stamp) -> OwnerDoc {
    let query: DnsName = name.parse().unwrap();
    let record: daneroll::tlsa::Association = "3 1 1 00ff".parse().unwrap();
    let shown = Shown { records: Some(Set::from([record.clone()])), ttl: 300 };
    let server = ServerDoc {
        name: "ns1.example.com".into(),
        serial: Some(7),
        now: Some(shown.clone()),
        since: Some(now),
        past: vec![Past { shown, gone: now }, Past { shown: Shown { records: None, ttl: 9 }, gone: now }],
        meanwhile: [Shown { records: Some(Set::new()), ttl: 60 }].into(),
        left: Some(now),
        ns_ttl: 600,
    };
    let state = RecordState::Deleting;
    let lineages = Set::from(["mx".into()]);
    let (accepted, tried, unsure) = (Some(now), Some(now), Some(now));
    let doc = RecordDoc { lineages, accepted, tried, unsure, ..RecordDoc::new(Origin::Found, state, now) };
    OwnerDoc {
        zone: Some("example.com".parse().unwrap()),
        asked: Some(now),
        probed: Some(now),
        servers: Map::from([("[2001:db8::1]:53".parse().unwrap(), server)]),
        records: Map::from([(record, doc)]),
        lineages: Set::from(["mx".into()]),
        left_behind: Some(LeftBehind { since: now, wait: 7 }),
        ..OwnerDoc::new(query)
    }
}

fn lineage(now: Stamp) -> LineageDoc {
    let generation = GenerationId::parse("0123456789abcdef").unwrap();
    let command = vec!["postfix".to_owned(), "re load".to_owned()];
    LineageDoc {
        barred: None,
        served: Some(generation.clone()),
        presented: vec![Presented::new(generation.clone(), 5, Some(now), 9)],
        waiting: vec![generation.clone()],
        deploys: vec![Reloaded { command: vec!["push".into()], began: now, ended: now }],
        reloads: vec![Reloaded { command, began: now, ended: now }],
        uninstalled: Some(now),
        withdrawn: true,
        overrides: vec![Override { generation: generation.clone(), at: now, wall: 8 }],
        unfinished: Some(Unfinished { since: now, generation: Some(generation) }),
        hosts: BTreeMap::from([
            (Hosts::San, BTreeMap::from([("a.example.".parse().unwrap(), HostDoc::default())])),
            (
                Hosts::Mx("example.com.".parse().unwrap()),
                BTreeMap::from([("mx.example.".parse().unwrap(), HostDoc { ttl: 60, gone: Some(now) })]),
            ),
        ]),
    }
}

const LINEAGES: [&str; 5] = ["mx", "a\\b", "~x", "bücher", "a b\n"];
const OWNERS: [&str; 3] = ["_25._tcp.mx.example.com", "_25._tcp.*.example.com", "_443._tcp.a"];

/// A world with a journal that has something of everything.
fn written() -> (World, Journal) {
    let world = World::new();
    let mut store = Store::open(&world, &state()).unwrap();
    world.sleep(Duration::from_secs(50));
    store.tick(&world).unwrap();
    let now = Stamp(store.journal().clock.total);
    assert!(now > Stamp(0));
    for name in LINEAGES {
        store.edit().lineages.insert(name.into(), lineage(now));
    }
    store.edit().lineages.insert("x".repeat(300), lineage(now));
    for name in OWNERS {
        let doc = owner(name, now);
        store.edit().owners.insert(doc.query.clone(), doc);
    }
    store.commit(&world).unwrap();
    let journal = store.journal().clone();
    (world, journal)
}

fn same(read: &Journal, written: &Journal) -> bool {
    read.lineages == written.lineages && read.owners == written.owners
}

#[test]
fn round_trip() {
    let (world, journal) = written();
    let store = Store::open(&world, &state()).unwrap();
    assert!(store.damaged.is_empty(), "{:?}", store.damaged);
    assert!(same(store.journal(), &journal));
    assert_eq!(store.journal().clock.epoch, journal.clock.epoch);
    assert!(same(Store::look(&world, &state()).unwrap().journal(), &journal));
    // No name leads out of the directory, and all files are for the owner only.
    for part in ["lineages", "owners"] {
        for name in world.list(&state().join(part)).unwrap() {
            assert_eq!(world.stat(&state().join(part).join(&name), false).unwrap().mode, 0o600);
            assert!(name.len() < 255 && name.to_str().unwrap().ends_with(".json"), "{name:?}");
        }
    }
    assert_eq!(world.list(&state().join("lineages")).unwrap().len(), LINEAGES.len() + 1);
}

#[test]
fn names_of_files() {
    for (name, file) in [
        ("mx", "/s/pins/mx.lock"),
        ("mx.example.com", "/s/pins/mx.example.com.lock"),
        ("example.json", "/s/pins/example.json.lock"),
    ] {
        assert_eq!(lineage_file(Path::new("/s"), name, "lock"), Path::new(file));
    }
    let odd: BTreeSet<PathBuf> =
        ["..", "a/b", "a\\b", "A", "a", ".a", "a~"].map(|name| lineage_file(Path::new("/s"), name, "lock")).into();
    assert_eq!(odd.len(), 7, "{odd:?}");
    assert!(odd.iter().all(|path| path.parent() == Some(Path::new("/s/pins"))), "{odd:?}");
    let digest = lineage_file(Path::new("/s"), "a/.b", "lock");
    assert!(digest.to_str().unwrap().starts_with("/s/pins/ab~"), "what can be told of the name: {digest:?}");
    let wildcard = "*.example.com".parse().unwrap();
    assert_eq!(owner_file(Path::new("/s"), &wildcard), Path::new("/s/owners/*.example.com.json"));
}

/// What a file says leads out of no directory that it is a name in.
#[test]
fn names_that_lead_elsewhere() {
    let sound = "0123456789abcdef";
    for (name, served) in [("../../etc", sound), ("/etc", sound), (".store", sound), ("", sound), ("mx", "../../x")] {
        let world = World::new();
        drop(Store::open(&world, &state()).unwrap());
        let text = format!("{{\"version\":1,\"name\":{name:?},\"document\":{{\"served\":{served:?}}}}}");
        world.write(&state().join("lineages/mx.json"), text.as_bytes(), 0o600).unwrap();
        let store = Store::open(&world, &state()).unwrap();
        assert!(store.journal().lineages.is_empty(), "{name:?} {served:?}");
        assert_eq!(store.damaged.len(), 1, "{name:?} {served:?}");
    }
}

/// Each file in turn, damaged in several ways: told, set aside, and everything else is as it was.
#[test]
fn damaged_files() {
    for damage in
        ["", "{", "null", "[]", "{\"version\":1}", "\u{0}\u{0}", "{\"version\":-1,\"name\":\"mx\",\"document\":{}}"]
    {
        for (path, lineages, owners) in [
            (state().join("lineages/mx.json"), LINEAGES.len(), OWNERS.len()),
            (owner_file(&state(), &OWNERS[0].parse().unwrap()), LINEAGES.len() + 1, OWNERS.len() - 1),
            (state().join("clock.json"), LINEAGES.len() + 1, OWNERS.len()),
        ] {
            let (world, _) = written();
            world.write(&path, damage.as_bytes(), 0o600).unwrap();
            let looked = Store::look(&world, &state()).unwrap();
            assert_eq!(looked.damaged.len(), 1, "looking changes nothing");
            let store = Store::open(&world, &state()).unwrap();
            assert_eq!(store.damaged.len(), 1, "{damage:?} {path:?}");
            assert!(store.damaged[0].contains(path.to_str().unwrap()), "{:?}", store.damaged);
            let known = (store.journal().lineages.len(), store.journal().owners.len());
            assert_eq!(known, (lineages, owners), "{damage:?} {path:?}");
            let aside = PathBuf::from(format!("{}.damaged", path.display()));
            assert_eq!(world.read(&aside).unwrap(), damage.as_bytes());
            assert!(Store::open(&world, &state()).unwrap().damaged.is_empty(), "told once");
        }
    }
}

/// A file of a later version is not touched: the program says so and stops.
#[test]
fn later_versions() {
    for path in ["lineages/mx.json", "clock.json"] {
        let (world, _) = written();
        let later = b"{\"version\":2,\"anything\":[]}";
        world.write(&state().join(path), later, 0o600).unwrap();
        let error = Store::open(&world, &state()).unwrap_err().to_string();
        assert!(error.contains(path) && error.contains("format 2"), "{error}");
        assert_eq!(world.read(&state().join(path)).unwrap(), later);
    }
}

/// All times of a journal: none may be later than the clock, or waits would be cut short.
fn times(journal: &Journal) -> Vec<Stamp> {
    let servers = || journal.owners.values().flat_map(|owner| owner.servers.values());
    let past = servers().flat_map(|server| &server.past).map(|past| past.gone);
    let seen = servers().flat_map(|server| [server.since, server.left]).flatten();
    let left = journal.lineages.values().flat_map(|doc| &doc.presented).filter_map(|presented| presented.left);
    let records = journal.owners.values().flat_map(|owner| owner.records.values()).map(|doc| doc.since);
    past.chain(seen).chain(left).chain(records).collect()
}

#[test]
fn another_clock_discards_all_times() {
    let (world, _) = written();
    world.sleep(Duration::from_secs(1000));
    world.remove(&state().join("clock.json")).unwrap();
    let store = Store::open(&world, &state()).unwrap();
    let now = Stamp(store.journal().clock.total);
    assert!(times(store.journal()).iter().all(|time| *time == now), "the waits are done in full");
    assert!(store.journal().lineages.values().all(|doc| doc.reloads.is_empty()), "and what was reloaded is owed again");
    assert!(store.journal().owners.values().all(|owner| owner.asked.is_none()));
}

#[test]
fn stamps_from_the_future() {
    let (world, _) = written();
    let mut store = Store::open(&world, &state()).unwrap();
    let now = Stamp(store.journal().clock.total);
    let future = now.after(1_000_000);
    store.edit().lineages.insert("future".into(), lineage(future));
    store.edit().owners.clear();
    store.edit().owners.insert("a.example".parse().unwrap(), owner("a.example", future));
    store.commit(&world).unwrap();
    let store = Store::open(&world, &state()).unwrap();
    let now = Stamp(store.journal().clock.total);
    assert!(times(store.journal()).iter().all(|time| *time <= now));
    let owner = store.journal().owners.values().next().unwrap();
    assert_eq!((owner.asked, owner.probed), (None, None), "it is asked and looked at again");
    assert!(store.journal().lineages["future"].reloads.is_empty());
    assert!(!store.journal().lineages["mx"].reloads.is_empty(), "those of the past stay");
}

#[test]
fn what_is_gone_is_removed() {
    let (world, _) = written();
    let mut store = Store::open(&world, &state()).unwrap();
    store.edit().lineages.remove("mx");
    store.edit().owners.clear();
    store.commit(&world).unwrap();
    assert!(world.read(&state().join("lineages/mx.json")).is_err());
    assert!(world.list(&state().join("owners")).unwrap().is_empty());
    assert_eq!(Store::open(&world, &state()).unwrap().journal().lineages.len(), LINEAGES.len());
}

/// Owners that were asked for and found as they were: their files stay as they are, and the moment is written down all the same.
#[test]
fn many_that_were_only_asked() {
    for (number, together) in [(99, false), (101, true), (3001, true)] {
        let world = World::new();
        let mut store = Store::open(&world, &state()).unwrap();
        let ask_all = |store: &mut Store| {
            world.sleep(Duration::from_secs(50));
            store.tick(&world).unwrap();
            let now = Stamp(store.journal().clock.total);
            store.edit().owners.values_mut().for_each(|owner| owner.asked = Some(now));
            store.commit(&world).unwrap();
            now
        };
        for n in 0..number {
            let doc = owner(&format!("_25._tcp.mx{n}.example.com"), Stamp(0));
            store.edit().owners.insert(doc.query.clone(), doc);
        }
        let first = ask_all(&mut store);
        let any: DnsName = "_25._tcp.mx7.example.com".parse().unwrap();
        let files = || [owner_file(&state(), &any), state().join("asked-0.json"), state().join("asked-1.json")];
        let bytes = || files().map(|file| world.read(&file).ok());
        let [own, None, None] = bytes() else { panic!("{number}: what is new has files of its own") };
        let second = ask_all(&mut store);
        let after = bytes();
        assert_eq!((after[0] == own, after[1].is_some()), (together, together), "{number}");
        assert_eq!(after[2], None, "{number}: one file is written sooner than two");
        let read = |store: &Store| store.journal().owners[&any].asked;
        let mut again = Store::open(&world, &state()).unwrap();
        assert!(first < second && same(again.journal(), store.journal()), "{number}");
        again.commit(&world).unwrap();
        assert_eq!(bytes(), after, "{number}: nothing has changed");
        if let [_, Some(list), None] = &after {
            // As versions before this one wrote it.
            world.write(&files()[2], list, 0o600).unwrap();
            let mut parts = Store::open(&world, &state()).unwrap();
            assert!(same(parts.journal(), again.journal()), "{number}");
            parts.commit(&world).unwrap();
            assert_eq!(bytes(), after, "{number}: a part that is no longer needed goes");
        }
        // One that changes has its own file written, whatever it says of the moment.
        again.edit().owners.get_mut(&any).unwrap().probed = Some(second);
        again.commit(&world).unwrap();
        assert!(same(Store::open(&world, &state()).unwrap().journal(), again.journal()), "{number}");
        if together {
            let [_, list, _] = files();
            let of_another_clock = String::from_utf8(world.read(&list).unwrap()).unwrap();
            let epoch = &again.journal().clock.epoch;
            let other = of_another_clock.replace(epoch, "another");
            world.write(&list, other.as_bytes(), 0o600).unwrap();
            let owner: DnsName = "_25._tcp.mx1.example.com".parse().unwrap();
            let read = Store::open(&world, &state()).unwrap().journal().owners[&owner].asked;
            assert_eq!(read, Some(first), "{number}: a list of another clock says nothing");
            world.remove(&list).unwrap();
        }
        let read = read(&Store::open(&world, &state()).unwrap());
        assert_eq!(read, Some(second), "{number}");
    }
}

/// What began before now and ended later, or the other way round, is no more believed than what is wholly of the future.
#[test]
fn half_of_the_future() {
    let (world, _) = written();
    for (began, ended, kept) in [(0, 0, true), (0, 9, false), (9, 0, false), (9, 9, false)] {
        let mut store = Store::open(&world, &state()).unwrap();
        let now = Stamp(store.journal().clock.total);
        let (began, ended) = (now.after(began * 1_000_000), now.after(ended * 1_000_000));
        let mut doc = lineage(now);
        doc.reloads = vec![Reloaded { command: vec!["reload".into()], began, ended }];
        doc.presented[0].unseen = Some(Unseen { since: began, last: ended });
        store.edit().lineages.insert("mx".into(), doc);
        store.commit(&world).unwrap();
        let store = Store::open(&world, &state()).unwrap();
        let doc = &store.journal().lineages["mx"];
        assert_eq!((!doc.reloads.is_empty(), doc.presented[0].unseen.is_some()), (kept, kept), "{began:?} {ended:?}");
    }
}

#[test]
fn what_changes_is_written() {
    let (world, _) = written();
    let mut store = Store::open(&world, &state()).unwrap();
    for withdrawn in [false, true] {
        store.edit().lineages.get_mut("mx").unwrap().withdrawn = withdrawn;
        store.commit(&world).unwrap();
        let read = Store::open(&world, &state()).unwrap();
        assert_eq!(read.journal().lineages["mx"].withdrawn, withdrawn);
    }
}

/// Without a journal there is nothing to remember; one that cannot be read is not taken for none.
#[test]
fn missing_and_unreadable() {
    let none = Store::look(&World::new(), &state()).unwrap();
    assert!(none.journal().lineages.is_empty() && none.journal().owners.is_empty());
    let world = World::new();
    world.make_dir(&state().join("lineages/mx.json"), 0o700).unwrap();
    Store::look(&world, &state()).unwrap_err();
    let world = World::new();
    world.make_dir(&state(), 0o700).unwrap();
    world.write(&state().join("owners"), b"", 0o600).unwrap();
    Store::look(&world, &state()).unwrap_err();
}

/// A file that somebody else removed is gone as it ought to be; one that cannot be removed fails the run.
#[test]
fn files_that_are_gone_or_stay() {
    let path = state().join("lineages/mx.json");
    for stays in [false, true] {
        let (world, _) = written();
        let mut store = Store::open(&world, &state()).unwrap();
        store.edit().lineages.remove("mx");
        world.remove(&path).unwrap();
        if stays {
            world.make_dir(&path, 0o700).unwrap();
        }
        assert_eq!(store.commit(&world).is_err(), stays);
    }
}

/// Also what is damaged is named, and what only its file's contents tell.
#[test]
fn lineages_that_have_files() {
    let (world, journal) = written();
    world.write(&state().join("lineages/mx.json"), b"{", 0o600).unwrap();
    world.write(&state().join("lineages/other.txt"), b"{}", 0o600).unwrap();
    let elsewhere = b"{\"name\":\"../x\"}";
    world.write(&state().join("lineages/x~0.json"), elsewhere, 0o600).unwrap();
    let found = lineages_of(&world, &state()).unwrap();
    assert_eq!(found, journal.lineages.keys().cloned().collect());
}

/// What is noted of a record while its provider is asked: since when, since when it said yes, since when it is asked in vain.
#[test]
fn records_and_their_provider() {
    use RecordState::*;
    let at = |seconds: u64| Stamp(seconds * 1000);
    let mut doc = owner("a.example", at(0));
    let record = doc.records.keys().next().unwrap().clone();
    doc.records.insert(record.clone(), RecordDoc::new(Origin::Published, Publishing, at(0)));
    for (now, accepts, state, accepted, tried, unsure, unseen) in [
        (1, false, Publishing, None, Some(1), None, false),
        (2, false, Publishing, None, Some(1), Some(1), false), // what became of the first call?
        (3, true, Published, Some(3), None, Some(1), true),
        (4, true, Published, Some(3), None, Some(1), true),
        (5, false, Deleting, None, Some(5), Some(1), false),
        (6, true, Deleted, Some(6), None, Some(1), false),
        (7, false, Publishing, None, Some(7), Some(1), false),
        (8, false, Deleting, None, Some(8), Some(7), false),
        (9, false, Deleting, None, Some(8), Some(7), false),
    ] {
        let noted = doc.records.get_mut(&record).unwrap();
        if accepts {
            noted.accept(state, at(now))
        } else {
            noted.intend(state, at(now))
        }
        let told = (noted.since, noted.accepted, noted.tried, noted.unsure, noted.is_unseen());
        assert_eq!(told, (at(now), accepted.map(at), tried.map(at), unsure.map(at), unseen), "{now}");
        assert_eq!(doc.has_unseen(), unseen, "{now}");
    }
    doc.set(&record, Published, at(10));
    let known = doc.records.get(&record).unwrap();
    assert_eq!((known.state, known.since), (Published, at(10)));
}

#[test]
fn hosts_are_forgotten() {
    for (gone, floor, forgotten) in [(None, 0, None), (Some(100), 0, Some(220)), (Some(100), 500, Some(600))] {
        let at = |seconds: u64| Stamp(seconds * 1000);
        assert_eq!(HostDoc { ttl: 60, gone: gone.map(at) }.forgotten(floor), forgotten.map(at), "{gone:?} {floor}");
    }
}

/// Of a command's successes only the first after each generation was left counts.
#[test]
fn repeated_successes() {
    let success = |word: &str, at: u64| Reloaded { command: vec![word.into()], began: Stamp(at), ended: Stamp(at + 1) };
    let all = || vec![success("R", 50), success("R", 200), success("S", 250), success("R", 300), success("R", 900)];
    let mut doc = lineage(Stamp(100));
    let other = Presented { left: Some(Stamp(300)), ..doc.presented[0].clone() };
    doc.presented.push(other);
    (doc.reloads, doc.deploys) = (all(), all());
    let kept = [success("R", 200), success("S", 250), success("R", 300)];
    doc.forget_reloads(&["R".into()]);
    assert_eq!((&doc.reloads[..], &doc.deploys[..]), (&kept[..], &all()[..]));
    doc.forget_deploys(&["R".into()]);
    assert_eq!(doc.deploys, kept);
}

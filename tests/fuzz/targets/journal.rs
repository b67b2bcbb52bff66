//! Whatever stands in the journal, and in `run.json` beside it.

use super::{
    assert_plain,
    world::{self, A, DANE, LINEAGE, STATE, call},
};
use daneroll::{
    env::{
        Files,
        sim::{World, disk::Disk},
    },
    journal::store::Store,
    lineage::{certbot::read_set, layout::SERVED},
    name::DnsName,
    small::Set,
    tlsa::satisfied,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// Stands between the files.
const END: &[u8] = b"\n%%\n";
const DAY: Duration = Duration::from_secs(86_400);

thread_local! {
    /// The files of a host in three moments: nothing was done yet; everything is settled; a renewal is under way.
    static MOMENTS: [Disk; 3] = moments();
}

fn moments() -> [Disk; 3] {
    let disk = |world: &World| world.look(|state| state.disk.clone());
    let world = host();
    let new = disk(&world);
    call(&world, &["--reset"]);
    world::serve(&world);
    call(&world, &[]);
    let settled = disk(&world);
    call(&world, &["--pre"]);
    world.change(|state| world::show(&mut state.disk, 2));
    call(&world, &["--post"]);
    [new, settled, disk(&world)]
}

fn host() -> World {
    let world = world::small();
    world::add_dns(&world, false);
    world
}

/// A byte for the moment and for what is called then; files of the journal, each with a first letter that tells which.
pub fn journal(data: &[u8]) {
    let Some((pick, rest)) = data.split_first() else { return };
    let (moment, pick) = (usize::from(pick / 8) % 3, pick % 8);
    let world = host();
    world.change(|state| {
        state.disk = MOMENTS.with(|moments| moments[moment].clone());
        for (path, bytes) in files(rest) {
            world::parents(&mut state.disk, &path);
            state.disk.overwrite(&path, bytes, 0o600).unwrap();
        }
    });
    if moment > 0 {
        world::serve(&world);
    }
    let before = world::outside(&world);
    read_and_written(&world);
    for args in calls(pick) {
        let text = call(&world, args);
        assert_plain(&text);
        if args.contains(&"--json") {
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
        still_right(&world);
    }
    assert!(world::outside(&world) == before, "something was changed that is not ours");
}

fn files(data: &[u8]) -> BTreeMap<PathBuf, &[u8]> {
    let mut found = BTreeMap::new();
    let mut rest = Some(data);
    while let Some(now) = rest {
        let at = now.windows(END.len()).position(|bytes| bytes == END);
        let (part, after) = at.map_or((now, None), |at| (&now[..at], Some(&now[at + END.len()..])));
        rest = after;
        let Some((kind, bytes)) = part.split_first() else { continue };
        let name = match kind {
            b'c' => "clock.json".into(),
            b'l' => format!("lineages/{LINEAGE}.json"),
            b'o' => format!("owners/_25._tcp.{LINEAGE}.json"),
            b'r' => "run.json".into(),
            b'm' => format!("lineages/{}.json", found.len()),
            _ => format!("owners/{}.json", found.len()),
        };
        found.insert(Path::new(STATE).join(name), bytes);
        if found.len() >= 8 {
            break;
        }
    }
    found
}

fn calls(pick: u8) -> &'static [&'static [&'static str]] {
    match pick {
        0 => &[&["status", "--json"], &["status"]],
        1 => &[&["check", "--json", LINEAGE], &["status", "--live"]],
        2 => &[&["--dry-run"], &[], &["status", "--json"]],
        3 => &[&["--pre"], &["--post"]],
        4 => &[&["withdraw", LINEAGE], &[]],
        5 => &[&["rollback", LINEAGE], &[]],
        6 => &[&["--reset"], &["deploy"]],
        _ => &[&["switch", LINEAGE], &["-t"]],
    }
}

/// What was understood is written so that it is understood again.
fn read_and_written(world: &World) {
    let copy = world.look(|state| state.disk.clone());
    let state = Path::new(STATE);
    if let Ok(mut store) = Store::open(world, state) {
        let told = store.journal().clone();
        store.commit(world).unwrap();
        let again = Store::open(world, state).unwrap();
        assert!(again.damaged.is_empty(), "written, and damaged: {:?}", again.damaged);
        assert_eq!(again.journal().lineages, told.lineages);
        assert_eq!(again.journal().owners, told.owners);
    }
    world.change(|state| state.disk = copy);
    world.pass(DAY);
}

/// Whatever the journal made us do: what is served matches what is published, if anything is.
fn still_right(world: &World) {
    let Ok(served) = read_set(world, &Path::new(DANE).join(LINEAGE).join(SERVED)) else { return };
    let base: DnsName = LINEAGE.parse().unwrap();
    let records: Set<_> = world::published(world).into_iter().collect();
    let required = Set::from([world::record(&A).group()]);
    let matches = satisfied(&records, &served.chain, &base, 1_800_000_000, &required, &Set::new());
    assert!(records.is_empty() || matches.is_ok(), "{matches:?}: {records:?}");
    assert!(world.stat(&Path::new(DANE).join(LINEAGE), true).is_ok());
}

//! The files of a lineage: `live/`, what the dane directory shows, and our store.

use crate::{
    env::Files,
    facts::{LineageFacts, Served},
    journal::store::lineage_file,
    lineage::{
        BUNDLE, Generation, GenerationId,
        certbot::read_set,
        layout::{KEPT, Places, SERVED, pinned_to},
        set::doubt,
    },
    small::Map,
};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Looks at a lineage's files. `bundle`: does the dane directory hold a `bundle.pem`?
pub fn lineage(files: &dyn Files, places: &Places, name: &str, bundle: bool) -> LineageFacts {
    let live = places.live(files, name);
    let stored = stored(files, &places.store(name));
    let in_place = places.is_in_place(name);
    let served = served(files, places, name, &live);
    let held = files.stat(&lineage_file(&places.state, name, "held"), false).is_ok();
    let shown = match &served {
        Served::Pinned(generation) | Served::Foreign(generation) => generation.files.as_slice(),
        Served::Live => live.as_ref().map_or(&[][..], |live| &live.files),
        Served::Damaged { .. } | Served::Missing | Served::Unknown(_) => &[],
    };
    let unlinked = unlinked(files, &places.dane(name), shown, bundle);
    let target = files.target(&places.dane(name).join(SERVED)).unwrap_or_default();
    let linked_to_store = target.to_str().is_some_and(|target| target.ends_with(KEPT));
    let facts = LineageFacts { live, in_place, doubted: None, served, stored, linked_to_store, held, unlinked };
    doubting(facts)
}

/// A new set that may be cut short counts as not complete yet. What is in the store was believed before.
fn doubting(mut facts: LineageFacts) -> LineageFacts {
    let before = facts.served().map(|served| &served.chain);
    let why = match &facts.live {
        Ok(live) if facts.in_place && !facts.stored.contains_key(&live.id) => doubt(&live.chain, before),
        _ => None,
    };
    if let Some(why) = why {
        let text = format!("{why}: it may be cut short, and is believed when it has stayed so for a while");
        facts.doubted = std::mem::replace(&mut facts.live, Err(text)).ok();
    }
    facts
}

/// The complete generations in our store; anything else in it is left over from an interruption and passed over.
fn stored(files: &dyn Files, store: &Path) -> Map<GenerationId, Generation> {
    let names = files.list(store).unwrap_or_default();
    let ids = names.iter().filter_map(|name| GenerationId::parse(name.to_str()?));
    let read = |id: GenerationId| {
        let generation = read_set(files, &store.join(id.as_str())).ok()?;
        (generation.id == id).then_some((id, generation))
    };
    ids.filter_map(read).collect()
}

fn served(files: &dyn Files, places: &Places, name: &str, live: &Result<Generation, String>) -> Served {
    let dane = places.dane(name);
    match files.target(&dane.join(SERVED)) {
        Ok(target) if pinned_to(&target).is_some() => match (pinned_to(&target), read_set(files, &dane.join(SERVED))) {
            (Some(pinned), Ok(generation)) if pinned == generation.id => Served::Pinned(generation),
            (Some(pinned), shows) => Served::Damaged { pinned, shows },
            (None, _) => Served::Unknown(format!("{} leads nowhere", dane.join(SERVED).display())),
        },
        Ok(_) if places.is_in_place(name) => match read_set(files, &dane.join(SERVED)) {
            // Before, another client renewed it.
            Ok(generation) => Served::Foreign(generation),
            Err(why) => Served::Unknown(why),
        },
        Ok(_) if is_same(files, &dane.join(SERVED), &places.live.join(name)) => match live {
            Ok(_) => Served::Live,
            Err(why) => Served::Unknown(why.clone()),
        },
        Ok(_) => match (files.real_path(&dane.join(SERVED)), files.real_path(&places.live.join(name))) {
            (Ok(shown), _) => Served::Unknown(format!("{} leads to {}", dane.join(SERVED).display(), shown.display())),
            (Err(_), Err(_)) if live.is_err() => Served::Unknown(live.as_ref().err().cloned().unwrap_or_default()),
            (Err(why), _) => Served::Unknown(format!("{} leads nowhere: {why}", dane.join(SERVED).display())),
        },
        Err(_) if files.stat(&dane, true).is_err() => Served::Missing,
        Err(_) => match read_set(files, &dane) {
            Ok(generation) => Served::Foreign(generation),
            // Nothing that a service could read: what a run was interrupted at, or files of others, which stay.
            Err(_) if files.list(&dane).is_ok_and(|names| !names.iter().any(|name| is_member(name, live))) => {
                Served::Missing
            }
            Err(why) => Served::Unknown(format!("{why}; if no service reads {}, move it elsewhere", dane.display())),
        },
    }
}

/// Do both lead to the same folder?
fn is_same(files: &dyn Files, one: &Path, other: &Path) -> bool {
    let number = |path| files.stat(path, true).ok().map(|stat| (stat.device, stat.inode));
    number(one).is_some_and(|one| number(other) == Some(one))
}

/// Can a service read a part of a set by this name?
fn is_member(name: &OsString, live: &Result<Generation, String>) -> bool {
    let bytes = name.as_encoded_bytes();
    let in_live = live.iter().flat_map(|live| &live.files).any(|(member, _)| member.as_bytes() == bytes);
    !bytes.starts_with(b".") && (in_live || bytes.ends_with(b".pem"))
}

/// The names of the set that services cannot read through `.served` yet.
fn unlinked(files: &dyn Files, dane: &Path, shown: &[(String, PathBuf)], bundle: bool) -> Vec<String> {
    let bundle = bundle.then_some(BUNDLE);
    let names = shown.iter().map(|(name, _)| name.as_str()).chain(bundle);
    let linked =
        |name: &&str| files.target(&dane.join(name)).is_ok_and(|target| target == Path::new(SERVED).join(name));
    let readable = |name: &&str| files.stat(&dane.join(SERVED).join(name), true).is_ok();
    names.filter(|name| !linked(name) || (*name == BUNDLE && !readable(name))).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::real::Real;
    use std::{collections::BTreeMap, fs};

    /// A dane directory with this in it, of a lineage that was never laid out.
    fn served_with(path: &str) -> Served {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("dane/a").join(path)).unwrap();
        let places = Places {
            live: dir.path().join("live"),
            dane: dir.path().join("dane"),
            state: dir.path().join("state"),
            sources: BTreeMap::new(),
        };
        lineage(&Real::new("/nonexistent".into()), &places, "a", false).served
    }

    #[test]
    fn what_a_first_run_was_interrupted_at_is_in_nobodys_way() {
        for path in ["", ".generation-0123456789abcdef", ".daneroll-tmp-1", "notes.txt", "README"] {
            assert_eq!(served_with(path), Served::Missing, "{path}");
        }
        assert!(matches!(served_with("fullchain.pem"), Served::Unknown(_)));
    }
}

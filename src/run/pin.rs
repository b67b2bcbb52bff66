//! `--pre` pins the dane directory to what services read now; `--post` releases that. Both take nothing but the lineages'
//! locks, need no journal, and never wait for a network.

use crate::{
    act::keeper::Keeper,
    env::Lock,
    facts::Served,
    journal::store::lineage_file,
    lineage::Generation,
    observe::files,
    plan::{Goal, Trouble},
};
use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

const MARK: &[u8] = b"pinned by --pre; --post releases it\n";

/// A lineage that is being pinned.
struct Pin<'a> {
    lineage: &'a str,
    bundle: bool,
    /// Held until all of its group are pinned.
    lock: Option<Lock>,
    /// What to lead services to; nothing where they are led there already.
    generation: Option<Generation>,
    /// It has to be put into the store.
    is_new: bool,
    /// Where `.served` is to lead.
    target: PathBuf,
    /// There is no need to note that only `--post` may release it.
    marked: bool,
    unsynced: Vec<PathBuf>,
    failed: Option<String>,
}

impl Keeper<'_> {
    /// Pins lineages to what services read now, each with or without a bundle, and notes that only `--post` may release them. One
    /// that cannot be pinned holds up no other. All steps are brought to disk together, for as many as can be locked at once.
    pub fn pin_all(&self, lineages: &[(&str, bool)]) -> Vec<Trouble> {
        let groups = lineages.chunks(self.env.locks_at_once().max(1));
        groups.flat_map(|group| self.pin_group(group)).collect()
    }

    /// Pins one.
    pub fn pin(&self, lineage: &str, bundle: bool) -> Result<(), Trouble> {
        self.pin_all(&[(lineage, bundle)]).pop().map_or(Ok(()), Err)
    }

    fn pin_group(&self, group: &[(&str, bool)]) -> Vec<Trouble> {
        let mut pins: Vec<Pin<'_>> = group.iter().map(|(lineage, bundle)| Pin::new(lineage, *bundle)).collect();
        self.together(&mut pins, |pin| self.begin(pin));
        self.together(&mut pins, |pin| self.lay(pin));
        self.together(&mut pins, |pin| self.turn_to(pin));
        self.mark(&mut pins);
        let failed = pins.iter().filter_map(|pin| Some((pin.lineage, pin.failed.as_ref()?)));
        failed.map(|(lineage, why)| Trouble::of(lineage, format!("cannot pin: {why}"))).collect()
    }

    /// A step of all, and then what it made comes to disk.
    fn together(&self, pins: &mut [Pin<'_>], step: impl Fn(&mut Pin<'_>) -> Result<(), String>) {
        pins.iter_mut().for_each(|pin| pin.go_on(&step));
        let all: Vec<PathBuf> = pins.iter().flat_map(|pin| pin.unsynced.iter().cloned()).collect();
        if let Err(error) = self.env.sync(&all) {
            let concerned = |pin: &Pin<'_>| !pin.unsynced.is_empty();
            blame(pins, &error, concerned, |pin| self.env.sync(&pin.unsynced).is_err());
        }
        pins.iter_mut().for_each(|pin| pin.unsynced.clear());
    }

    /// Takes the lock, looks at what services read, and begins to keep it where it is not kept.
    fn begin(&self, pin: &mut Pin<'_>) -> Result<(), String> {
        pin.lock = Some(self.lock(pin.lineage)?);
        self.sweep(pin.lineage);
        let facts = files::lineage(self.env, self.places, pin.lineage, pin.bundle);
        // No renewal reaches a copy, so there is nothing to release.
        pin.marked = facts.held || facts.in_place;
        let generation = match (&facts.served, &facts.live) {
            // What `live/` does not show, or shows half of, the client prunes by and by.
            (Served::Pinned(shown), live)
                if !facts.linked_to_store && live.as_ref().map_or(true, |live| live.id != shown.id) =>
            {
                Some(shown)
            }
            (Served::Pinned(_), _) => None,
            (Served::Damaged { pinned, .. }, _) if facts.stored.contains_key(pinned) => facts.stored.get(pinned),
            (Served::Damaged { shows: Ok(shows), .. }, _) => Some(shows),
            (Served::Damaged { shows: Err(why), .. }, _) | (Served::Unknown(why), _) => return Err(why.clone()),
            (Served::Foreign(shown), _) => Some(shown),
            // No service reads the client's own files.
            (Served::Missing, _) if facts.in_place => return Ok(()),
            (Served::Live | Served::Missing, Ok(live)) => Some(live),
            (Served::Live | Served::Missing, Err(why)) => return Err(why.clone()),
        };
        pin.generation = generation.cloned();
        if let Some(generation) = &pin.generation {
            pin.is_new = self.half(pin.lineage, generation, &mut pin.unsynced)?;
        }
        Ok(())
    }

    /// What is to be kept is kept, and the way there is laid out.
    fn lay(&self, pin: &mut Pin<'_>) -> Result<(), String> {
        let Some(generation) = &pin.generation else { return Ok(()) };
        if pin.is_new {
            self.place(pin.lineage, generation, &mut pin.unsynced)?;
        }
        let goal = Goal::Generation(generation.id.clone());
        pin.target = self.way(pin.lineage, &goal, pin.bundle, &mut pin.unsynced)?;
        Ok(())
    }

    fn turn_to(&self, pin: &mut Pin<'_>) -> Result<(), String> {
        let Some(generation) = &pin.generation else { return Ok(()) };
        let goal = Goal::Generation(generation.id.clone());
        self.turn(pin.lineage, &goal, &pin.target, pin.bundle, &mut pin.unsynced)?;
        tracing::info!(lineage = pin.lineage, phase = "pin", generation = %generation.id, "pinned");
        Ok(())
    }

    fn mark(&self, pins: &mut [Pin<'_>]) {
        let path = |lineage: &str| lineage_file(&self.places.state, lineage, "held");
        let unmarked = pins.iter().filter(|pin| pin.failed.is_none() && !pin.marked);
        let marks: Vec<(PathBuf, Vec<u8>)> = unmarked.map(|pin| (path(pin.lineage), MARK.to_vec())).collect();
        if let (false, Err(error)) = (marks.is_empty(), self.env.write_all(&marks, 0o600)) {
            let is_missing = |pin: &Pin<'_>| self.env.stat(&path(pin.lineage), false).is_err();
            blame(pins, &error, |pin| !pin.marked, is_missing);
        }
    }

    /// Releases the pin: a later step leads the links back to `live/` when nothing is under way.
    pub fn release(&self, lineage: &str) -> Result<(), Trouble> {
        let released = || -> Result<(), String> {
            let _lock = self.lock(lineage)?;
            match self.env.remove(&lineage_file(&self.places.state, lineage, "held")) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error.to_string()),
                _ => Ok(()),
            }
        };
        released().map_err(|why| Trouble::of(lineage, format!("cannot release the pin: {why}")))
    }
}

/// Something that was done for all of these at once failed: for those that it can be pinned on, else for all. What went wrong once
/// and then did not (a disk may tell of an error once only) counts as failed.
fn blame(
    pins: &mut [Pin<'_>],
    error: &io::Error,
    concerned: impl Fn(&Pin<'_>) -> bool,
    guilty: impl Fn(&Pin<'_>) -> bool,
) {
    let open = pins.iter_mut().filter(|pin| pin.failed.is_none() && concerned(pin));
    let (mut found, mut others): (Vec<_>, Vec<_>) = open.partition(|pin| guilty(pin));
    let failed = if found.is_empty() { &mut others } else { &mut found };
    failed.iter_mut().for_each(|pin| pin.failed = Some(error.to_string()));
}

impl<'a> Pin<'a> {
    fn new(lineage: &'a str, bundle: bool) -> Pin<'a> {
        let target = Path::new("").to_owned();
        let unsynced = Vec::new();
        Pin {
            lineage,
            bundle,
            lock: None,
            generation: None,
            is_new: false,
            target,
            marked: false,
            unsynced,
            failed: None,
        }
    }

    /// The next step, unless one has failed.
    fn go_on(&mut self, step: impl Fn(&mut Pin<'a>) -> Result<(), String>) {
        if self.failed.is_none() {
            self.failed = step(self).err();
        }
    }
}

//! `--pre` pins the dane directory to what services read now; `--post` releases that. Both take nothing but the lineages'
//! locks, need no journal, and never wait for a network.

use crate::{
    act::{keeper::Keeper, together::sync_together},
    env::Lock,
    facts::Served,
    journal::store::lineage_file,
    lineage::Generation,
    observe::files,
    plan::{Goal, Trouble},
};
use std::{
    collections::BTreeSet,
    io::ErrorKind,
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
    /// Where `.served` is to lead, once that is laid out.
    target: Option<PathBuf>,
    /// What has to be on disk before the next step.
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
        self.together(&mut pins, |_| true, |pin| self.begin(pin));
        // Nothing leads through the store to where the client's archive is shown: its part may come to disk with the rest.
        let late: BTreeSet<&str> = pins.iter().filter(|pin| pin.target.is_none()).map(|pin| pin.lineage).collect();
        self.together(&mut pins, |pin| late.contains(pin.lineage), |pin| self.lay(pin));
        self.together(&mut pins, |_| true, |pin| self.turn_to(pin));
        let failed = pins.iter().filter_map(|pin| Some((pin.lineage, pin.failed.as_ref()?)));
        failed.map(|(lineage, why)| Trouble::of(lineage, format!("cannot pin: {why}"))).collect()
    }

    /// A step of all; then what it made of these comes to disk.
    fn together(
        &self,
        pins: &mut [Pin<'_>],
        hurry: impl Fn(&Pin<'_>) -> bool,
        step: impl Fn(&mut Pin<'_>) -> Result<(), String>,
    ) {
        pins.iter_mut().for_each(|pin| pin.go_on(&step));
        let made = |pin: &Pin<'_>| match pin.failed.is_none() && hurry(pin) {
            true => pin.unsynced.clone(),
            false => Vec::new(),
        };
        if let Err((error, guilty)) = sync_together(self.env, &pins.iter().map(made).collect::<Vec<_>>()) {
            let failed = pins.iter_mut().zip(guilty).filter(|(_, guilty)| *guilty);
            failed.for_each(|(pin, _)| pin.failed = Some(error.to_string()));
        }
        pins.iter_mut().filter(|pin| hurry(pin)).for_each(|pin| pin.unsynced.clear());
    }

    /// Takes the lock, looks at what services read, notes that only `--post` may release it, and begins to keep it where it is not
    /// kept.
    fn begin(&self, pin: &mut Pin<'_>) -> Result<(), String> {
        pin.lock = Some(self.lock(pin.lineage)?);
        self.sweep(pin.lineage);
        let facts = files::lineage(self.env, self.places, pin.lineage, pin.bundle);
        let generation = match (&facts.served, &facts.live) {
            // What `live/` does not show, or shows half of, the client prunes by and by.
            (Served::Pinned(shown), live)
                if !facts.linked_to_store && live.as_ref().map_or(true, |live| live.id != shown.id) =>
            {
                Some(shown)
            }
            (Served::Pinned(shown), _) => (!facts.stored.contains_key(&shown.id)).then_some(shown),
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
            let live = facts.live.as_ref().ok().filter(|_| !pin.bundle);
            pin.target = self.way_ahead(pin.lineage, generation, pin.is_new, live, &mut pin.unsynced)?;
        }
        // No renewal reaches a copy, so there is nothing to release.
        match facts.held || facts.in_place {
            true => Ok(()),
            false => self.mark(pin),
        }
    }

    /// Notes that only `--post` may release it; before the pin itself, for being held harms nobody.
    fn mark(&self, pin: &mut Pin<'_>) -> Result<(), String> {
        let mark = lineage_file(&self.places.state, pin.lineage, "held");
        self.env.note(&mark, MARK, 0o600).map_err(|error| error.to_string())?;
        pin.unsynced.extend(mark.parent().map(Path::to_owned));
        Ok(())
    }

    /// What is to be kept is kept, and the way there is laid out.
    fn lay(&self, pin: &mut Pin<'_>) -> Result<(), String> {
        let Some(generation) = &pin.generation else { return Ok(()) };
        if pin.is_new {
            self.place(pin.lineage, generation, &mut pin.unsynced)?;
        }
        if pin.target.is_none() {
            let goal = Goal::Generation(generation.id.clone());
            pin.target = Some(self.way(pin.lineage, &goal, pin.bundle, &mut pin.unsynced)?);
        }
        Ok(())
    }

    fn turn_to(&self, pin: &mut Pin<'_>) -> Result<(), String> {
        let (Some(generation), Some(target)) = (&pin.generation, &pin.target) else { return Ok(()) };
        let goal = Goal::Generation(generation.id.clone());
        self.turn(pin.lineage, &goal, target, pin.bundle, &mut pin.unsynced)?;
        tracing::info!(lineage = pin.lineage, phase = "pin", generation = %generation.id, "pinned");
        Ok(())
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

impl<'a> Pin<'a> {
    fn new(lineage: &'a str, bundle: bool) -> Pin<'a> {
        let unsynced = Vec::new();
        Pin { lineage, bundle, lock: None, generation: None, is_new: false, target: None, unsynced, failed: None }
    }

    /// The next step, unless one has failed.
    fn go_on(&mut self, step: impl Fn(&mut Pin<'a>) -> Result<(), String>) {
        if self.failed.is_none() {
            self.failed = step(self).err();
        }
    }
}

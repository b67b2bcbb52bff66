//! `--pre` pins the dane directory to what services read now; `--post` releases that. Both take nothing but the lineages'
//! locks, need no journal, and never wait for a network.

use crate::{
    act::keeper::Keeper,
    facts::Served,
    journal::store::lineage_file,
    observe::files,
    plan::{Goal, Trouble},
};
use std::io::ErrorKind;

impl Keeper<'_> {
    /// Pins a lineage, and notes that only `--post` may release it.
    pub fn pin(&self, lineage: &str, bundle: bool) -> Result<(), Trouble> {
        self.pin_locked(lineage, bundle).map_err(|why| Trouble::of(lineage, format!("cannot pin: {why}")))
    }

    fn pin_locked(&self, lineage: &str, bundle: bool) -> Result<(), String> {
        let _lock = self.lock(lineage)?;
        self.sweep(lineage);
        let facts = files::lineage(self.env, self.places, lineage, bundle);
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
        if let Some(generation) = generation {
            self.keep(lineage, generation)?;
            self.lead(lineage, &Goal::Generation(generation.id.clone()), bundle)?;
            tracing::info!(lineage, phase = "pin", generation = %generation.id, "pinned");
        }
        if facts.in_place {
            return Ok(()); // no renewal reaches a copy, so there is nothing to release
        }
        let mark = lineage_file(&self.places.state, lineage, "held");
        self.env.write(&mark, b"pinned by --pre; --post releases it\n", 0o600).map_err(|error| error.to_string())
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

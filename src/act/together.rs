//! Steps about files, of many lineages together: the disk is waited for twice in all, not twice for each.

use super::{Actor, Came};
use crate::{
    env::{Env, Lock},
    facts::Facts,
    journal::store::{Store, lineage_file},
    lineage::{Generation, GenerationId},
    plan::{Action, Goal, Trouble},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    mem::discriminant,
    path::PathBuf,
};

/// A step of one lineage.
struct Way<'a> {
    lineage: &'a str,
    bundle: bool,
    work: Option<Work<'a>>,
    /// What has to be on disk before it goes on, or counts as done.
    unsynced: Vec<PathBuf>,
    /// What came of it, unless it goes on.
    came: Option<Came>,
}

/// What is left to do once the first half is on disk.
enum Work<'a> {
    /// The folder in the store gets its name.
    Place(&'a Generation),
    /// `.served` is led there.
    Turn(Goal, PathBuf),
}

/// How many of these actions, from the first one on, are one kind of step about the files of lineages. No lineage is led elsewhere
/// twice among them.
pub(super) fn together(actions: &[Action], locks: usize) -> usize {
    let mut led: BTreeSet<&str> = BTreeSet::new();
    let mut count = 0;
    for action in &actions[..actions.len().min(locks.max(1))] {
        let fits = match action {
            Action::Store { .. } => true,
            Action::Arrange { lineage, .. } | Action::Switch { lineage, .. } => led.insert(lineage),
            _ => false,
        };
        if !fits || discriminant(action) != discriminant(&actions[0]) {
            break;
        }
        count += 1;
    }
    count
}

impl Actor<'_> {
    /// Takes all these steps, which are of one kind.
    pub(super) fn files(&self, actions: &[Action], facts: &Facts, store: &mut Store) -> Vec<Came> {
        let switch = |action: &Action| matches!(action, Action::Switch { .. });
        if actions.iter().any(switch) && self.is_stale(facts, store) {
            return vec![Came::Stale; actions.len()];
        }
        // Held until the last of them is taken.
        let mut locks: BTreeMap<&str, Lock> = BTreeMap::new();
        let mut ways: Vec<Way<'_>> = Vec::with_capacity(actions.len());
        for action in actions {
            let lineage = action.lineage().unwrap_or_default();
            let (bundle, mut unsynced) = (self.bundle(lineage), Vec::new());
            let locked = match locks.contains_key(lineage) {
                true => Ok(()),
                false => self.keeper.lock(lineage).map(|lock| drop(locks.insert(lineage, lock))),
            };
            let begun = locked.map_err(|why| failed(lineage, why));
            let (work, came) = match begun.and_then(|()| self.begin(action, bundle, facts, &mut unsynced)) {
                Ok(work) => (Some(work), None),
                Err(came) => (None, Some(came)),
            };
            ways.push(Way { lineage, bundle, work, unsynced, came });
        }
        self.sync(&mut ways);
        for (way, action) in ways.iter_mut().zip(actions).filter(|(way, _)| way.came.is_none()) {
            // The steps before, and the disk, may have taken long.
            match switch(action) && self.is_stale(facts, store) {
                true => way.came = Some(Came::Stale),
                false => self.finish(way),
            }
        }
        self.sync(&mut ways);
        ways.into_iter().map(|way| way.came.unwrap_or(Came::Done)).collect()
    }

    /// Looks once more at what is there, and does what may be interrupted. What is left to do; or what came of it already.
    fn begin<'a>(
        &self,
        action: &Action,
        bundle: bool,
        facts: &'a Facts,
        unsynced: &mut Vec<PathBuf>,
    ) -> Result<Work<'a>, Came> {
        match action {
            Action::Store { lineage, generation } => self.begin_store(lineage, generation, facts, unsynced),
            Action::Arrange { lineage, goal, serving } => match self.may_arrange(lineage, goal, serving.as_ref()) {
                true => self.begin_lead(lineage, goal.clone(), bundle, unsynced),
                false => Err(Came::Stale),
            },
            Action::Switch { lineage, from, to, cause } => {
                tracing::info!(lineage, phase = "switch", generation = %to, ?cause, "switching the dane directory");
                match self.keeper.shown(lineage) == *from {
                    true => self.begin_lead(lineage, Goal::Generation(to.clone()), bundle, unsynced),
                    false => Err(Came::Stale),
                }
            }
            // Of no other kind is one of these steps.
            _ => Err(Came::Stale),
        }
    }

    /// A generation that its client or the dane directory shows is put into the store: hard links, or copies where they cannot be.
    fn begin_store<'a>(
        &self,
        lineage: &str,
        id: &GenerationId,
        facts: &'a Facts,
        unsynced: &mut Vec<PathBuf>,
    ) -> Result<Work<'a>, Came> {
        let seen = facts.lineages.get(lineage).and_then(|facts| facts.generation(id));
        let generation = seen.ok_or_else(|| failed(lineage, format!("generation {id} is not to be seen any more")))?;
        if generation.files.is_empty() && self.keeper.overwritten(lineage, id).is_err() {
            return Err(Came::Later(format!("{lineage}: what its client has is being written just now")));
        }
        match self.keeper.half(lineage, generation, unsynced).map_err(|why| failed(lineage, why))? {
            true => Ok(Work::Place(generation)),
            false => Err(Came::Done),
        }
    }

    /// Does what the dane directory is to be led to show services the same certificate as now (`serving`)?
    fn may_arrange(&self, lineage: &str, goal: &Goal, serving: Option<&GenerationId>) -> bool {
        let (keeper, places) = (&self.keeper, self.keeper.places);
        let held = || self.env.stat(&lineage_file(&places.state, lineage, "held"), false).is_ok();
        let shown = keeper.shown(lineage);
        if shown.as_ref() != serving || (*goal == Goal::Live && keeper.is_pinned(lineage) && held()) {
            return false;
        }
        let live = || places.live(self.env, lineage).ok().map(|live| live.id);
        *goal != Goal::Live || serving.is_none() || live() == shown
    }

    fn begin_lead<'a>(
        &self,
        lineage: &str,
        goal: Goal,
        bundle: bool,
        unsynced: &mut Vec<PathBuf>,
    ) -> Result<Work<'a>, Came> {
        let target = self.keeper.way(lineage, &goal, bundle, unsynced).map_err(|why| failed(lineage, why))?;
        Ok(Work::Turn(goal, target))
    }

    /// The renames.
    fn finish(&self, way: &mut Way<'_>) {
        let (lineage, unsynced) = (way.lineage, &mut way.unsynced);
        let finished = match &way.work {
            Some(Work::Place(generation)) => self.keeper.place(lineage, generation, unsynced),
            Some(Work::Turn(goal, target)) => self.keeper.turn(lineage, goal, target, way.bundle, unsynced),
            None => Ok(()),
        };
        way.came = finished.err().map(|why| failed(lineage, why));
    }

    /// Brings to disk what those have made that go on.
    fn sync(&self, ways: &mut [Way<'_>]) {
        let made = |way: &Way<'_>| if way.came.is_none() { way.unsynced.clone() } else { Vec::new() };
        let guilty = sync_together(self.env, &ways.iter().map(made).collect::<Vec<_>>());
        if let Err((error, guilty)) = guilty {
            ways.iter_mut().zip(guilty).filter(|(_, guilty)| *guilty).for_each(|(way, _)| self.fail(way, &error));
        }
        ways.iter_mut().for_each(|way| way.unsynced.clear());
    }

    fn fail(&self, way: &mut Way<'_>, error: &io::Error) {
        let why = match &way.work {
            Some(Work::Place(generation)) => self.keeper.not_kept(way.lineage, generation, error),
            Some(Work::Turn(goal, _)) => self.keeper.cannot_lead(way.lineage, goal, error),
            None => error.to_string(),
        };
        way.came = Some(failed(way.lineage, why));
    }
}

fn failed(lineage: &str, why: String) -> Came {
    Came::Failed(Trouble::of(lineage, why))
}

/// Brings to disk what was `made` for each of several lineages, all at once. An error comes with whom it is told of: those that it can be
/// pinned on, else all who made anything, for a disk may tell of an error once only.
pub(crate) fn sync_together(env: &dyn Env, made: &[Vec<PathBuf>]) -> Result<(), (io::Error, Vec<bool>)> {
    let all = made.concat();
    if all.is_empty() {
        return Ok(());
    }
    env.sync(&all).map_err(|error| {
        let guilty: Vec<bool> = made.iter().map(|paths| !paths.is_empty() && env.sync(paths).is_err()).collect();
        match guilty.contains(&true) {
            true => (error, guilty),
            false => (error, made.iter().map(|paths| !paths.is_empty()).collect()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Cause;

    #[test]
    fn what_goes_together() {
        let id = || GenerationId::parse("0123456789abcdef").unwrap();
        let step = |word: &str| {
            let (kind, lineage) = word.split_once(' ').unwrap();
            let lineage = lineage.to_owned();
            match kind {
                "store" => Action::Store { lineage, generation: id() },
                "arrange" => Action::Arrange { lineage, goal: Goal::Live, serving: None },
                "switch" => Action::Switch { lineage, from: None, to: id(), cause: Cause::Ready },
                _ => Action::Leave { lineage },
            }
        };
        for (words, locks, count) in [
            (&[][..], 9, 0),
            (&["leave a", "store a"], 9, 0),
            (&["store a", "store a", "store b"], 9, 3), // what is served, and what waits
            (&["store a", "store b", "store c"], 2, 2),
            (&["store a"], 0, 1),
            (&["store a", "arrange a"], 9, 1),
            (&["arrange a", "arrange b", "switch c"], 9, 2),
            (&["switch a", "switch b", "switch a"], 9, 2), // it is led elsewhere twice
            (&["switch a", "leave b", "switch c"], 9, 1),
        ] {
            let actions: Vec<Action> = words.iter().map(|word| step(word)).collect();
            assert_eq!(together(&actions, locks), count, "{words:?}");
        }
    }
}

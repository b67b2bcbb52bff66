//! Carries out plans, one small step at a time. Every step can be repeated; what it was about to do is in the journal before it
//! is done, and what came of it after.

pub mod deploy;
pub mod edits;
pub mod keeper;
pub mod reload;
pub mod tidy;
pub(crate) mod together;
mod ways;

use crate::{
    config::{Config, Section},
    env::Env,
    facts::Facts,
    journal::{Origin, RecordDoc, RecordState, clock::Stamp, store::Store},
    lineage::layout::has_bundle,
    plan::{Action, Edit, Trouble},
    provider::FRESH,
};
use edits::Beside;
use keeper::Keeper;
use std::collections::BTreeMap;

/// What a plan's actions are carried out with.
pub struct Actor<'a> {
    /// The world.
    pub env: &'a dyn Env,
    /// The configuration.
    pub config: &'a Config,
    /// Its sections by the name of their lineage in `live/`.
    pub sections: &'a BTreeMap<String, Section>,
    /// Where files go.
    pub keeper: Keeper<'a>,
    /// For providers: `RENEWED_DOMAINS` as it came.
    pub renewed_domains: String,
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// It was done.
    Done,
    /// It is for somebody to do by hand, which passes like [`Came::Later`].
    ByHand,
    /// Not now, and no failure: tried again at the next run.
    Later(String),
    /// It failed.
    Failed(Trouble),
    /// The facts were too old by then, or what they tell has changed: look again.
    Stale,
}

impl Actor<'_> {
    /// Carries out actions in their order, records that follow each other together, and so steps about files of one kind. As many
    /// results as actions.
    pub fn carry_out(&self, actions: &[Action], facts: &Facts, store: &mut Store) -> std::io::Result<Vec<Came>> {
        store.commit(self.env)?;
        let mut came = Vec::with_capacity(actions.len());
        let beside = Beside::new(store.journal());
        let mut rest = actions;
        while let Some(first) = rest.first() {
            let is_edit = |action: &&Action| matches!(action, Action::Add(_) | Action::Delete(_));
            let edits = rest.iter().take_while(is_edit).count();
            let files = together::together(rest, self.env.locks_at_once());
            let (now, later) = rest.split_at(edits.max(files).max(1));
            match (edits, files) {
                (0, 0) => came.push(self.step(first, facts, store, &beside)),
                (0, _) => came.extend(self.files(now, facts, store)),
                _ => came.extend(self.edits(now, facts, store)?),
            }
            rest = later;
        }
        store.commit(self.env)?;
        Ok(came)
    }

    /// One change per zone and run where the provider makes changes at once. Else deletes come after all additions, so that one that
    /// takes long leaves the others fresh facts to delete by, in the next round.
    fn edits(&self, actions: &[Action], facts: &Facts, store: &mut Store) -> std::io::Result<Vec<Came>> {
        let at_once =
            |edit: &Edit| self.sections.get(&edit.lineage).is_some_and(|section| section.api.changes_at_once());
        let is_first = |action: &Action| match action {
            Action::Delete(edit) => at_once(edit),
            _ => true,
        };
        let mut came = vec![Came::Stale; actions.len()];
        for first in [true, false] {
            let at: Vec<usize> = (0..actions.len()).filter(|at| is_first(&actions[*at]) == first).collect();
            let now: Vec<&Action> = at.iter().map(|at| &actions[*at]).collect();
            if !now.is_empty() {
                at.into_iter().zip(self.edit(&now, facts, store)?).for_each(|(at, outcome)| came[at] = outcome);
            }
        }
        Ok(came)
    }

    fn step(&self, action: &Action, facts: &Facts, store: &mut Store, beside: &Beside) -> Came {
        let lineage = action.lineage().unwrap_or_default();
        let failed = |error: String| Came::Failed(Trouble::of(lineage, error));
        let done = match action {
            Action::Adopt { query, record, .. } => {
                let claims = self.sections.get(lineage).is_some_and(|section| section.hook.is_some());
                adopt(store, beside, facts.now, query, record, (lineage, claims));
                Ok(())
            }
            Action::Deploy { command, timeout, .. } => return self.deploy(command, lineage, *timeout, store),
            Action::Reload { command, lineages, timeout } => return self.reload(command, lineages, *timeout, store),
            Action::Forget { generation, keep, .. } => {
                tracing::debug!(lineage, %generation, "forgetting a generation that nothing needs any more");
                let came = match keep {
                    true => Came::Done,
                    false => self.keeper.forget(lineage, generation).unwrap_or_else(failed),
                };
                if let (Came::Done, Some(doc)) = (&came, store.edit().lineages.get_mut(lineage)) {
                    doc.presented.retain(|presented| presented.generation != *generation);
                }
                return came;
            }
            Action::Leave { .. } => self.leave(lineage, store),
            // These are taken together.
            Action::Store { .. }
            | Action::Arrange { .. }
            | Action::Switch { .. }
            | Action::Add(_)
            | Action::Delete(_) => Ok(()),
        };
        done.map_or_else(failed, |()| Came::Done)
    }

    fn bundle(&self, lineage: &str) -> bool {
        let section = self.sections.get(lineage).map(|section| section.bundle);
        has_bundle(self.env, &self.keeper.places.dane(lineage), section)
    }

    fn is_stale(&self, facts: &Facts, store: &mut Store) -> bool {
        let now = store.edit().clock.read(self.env.boot());
        facts.now.elapsed(now) > FRESH.as_secs()
    }

    /// All records are gone from servers and caches: the links follow `live/` again. Once the section is gone too, so is our
    /// memory of the lineage.
    fn leave(&self, lineage: &str, store: &mut Store) -> Result<(), String> {
        self.keeper.follow_live(lineage, self.bundle(lineage))?;
        let journal = store.edit();
        match self.sections.contains_key(lineage) || self.config.broken.contains(lineage) {
            false => drop(journal.lineages.remove(lineage)),
            true => {
                if let Some(doc) = journal.lineages.get_mut(lineage) {
                    doc.presented.clear();
                    doc.deploys.clear();
                    doc.reloads.clear();
                }
            }
        }
        Ok(())
    }
}

/// Takes down that a record which we need is there, or that one more lineage needs it. Who `claims` it takes it for one of his.
fn adopt(
    store: &mut Store,
    beside: &Beside,
    now: Stamp,
    query: &crate::name::DnsName,
    record: &crate::tlsa::Association,
    (lineage, claims): (&str, bool),
) {
    // Several query names can lead to one RRset by CNAMEs.
    let owners = &store.journal().owners;
    let of_target = beside.of(query).chain([query]).filter_map(|query| owners.get(query));
    let ours = of_target.filter_map(|owner| owner.records.get(record)).any(|doc| doc.origin == Origin::Published);
    let origin = if ours || claims { Origin::Published } else { Origin::Found };
    let Some(owner) = store.edit().owners.get_mut(query) else { return };
    owner.lineages.insert(lineage.into());
    let found = || {
        tracing::info!(lineage, phase = "publish", owner = %query, %record, "the record is there already");
        RecordDoc::new(origin, RecordState::Published, now)
    };
    let doc = owner.records.entry(record.clone()).or_insert_with(found);
    // That one more lineage needs it says nothing about whether it is there.
    if !doc.lineages.insert(lineage.into()) {
        (doc.state, doc.tried) = (RecordState::Published, None);
    }
}

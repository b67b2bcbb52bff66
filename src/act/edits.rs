//! Records: intents, the provider, outcomes.

use super::{Actor, Came};
use crate::tlsa::Association;
use crate::{
    config::Api,
    facts::Facts,
    journal::{Journal, Origin, OwnerDoc, RecordDoc, RecordState, clock::Stamp, store::Store},
    plan::{Action, Edit, Trouble, model::endpoint},
    provider::{Change, Context, Operation, Outcome, Standing},
};
use std::{collections::BTreeSet, io, time::Duration};

impl Actor<'_> {
    /// Adds or deletes records: all intents to the journal, then each provider with everything that is its, then all outcomes.
    pub(super) fn edit(&self, actions: &[Action], facts: &Facts, store: &mut Store) -> io::Result<Vec<Came>> {
        if self.is_stale(facts, store) {
            return Ok(vec![Came::Stale; actions.len()]);
        }
        let edits: Vec<(Operation, &Edit)> = actions.iter().filter_map(edit_of).collect();
        let restored: Vec<bool> = edits.iter().map(|(operation, edit)| intend(store, *operation, edit)).collect();
        store.commit(self.env)?;
        let mut came: Vec<Came> = vec![Came::Stale; edits.len()];
        let mut apis: Vec<&Api> = Vec::new();
        for section in edits.iter().filter_map(|(_, edit)| self.sections.get(&edit.lineage)) {
            if !apis.contains(&&section.api) {
                apis.push(&section.api);
            }
        }
        for api in apis {
            let its = |(_, edit): &(Operation, &Edit)| self.sections.get(&edit.lineage).is_some_and(|s| s.api == *api);
            let at: Vec<usize> = (0..edits.len()).filter(|at| its(&edits[*at])).collect();
            let changes: Vec<Change> = at.iter().map(|at| change(edits[*at], store.journal())).collect();
            let timeout = at.iter().filter_map(|at| self.sections.get(&edits[*at].1.lineage)).map(|s| s.timeout).max();
            let standing = self.standing(api, store.journal());
            let outcomes = self.ask_provider(api, timeout.unwrap_or(300), standing, &changes);
            for (at, outcome) in at.iter().zip(outcomes) {
                let (operation, edit) = edits[*at];
                came[*at] = note(store, operation, edit, outcome, restored[*at]);
            }
            store.commit(self.env)?;
        }
        Ok(came)
    }

    /// What this provider published and nobody is about to delete: a provider that keeps all of it in one place can see whether
    /// it is complete.
    fn standing(&self, api: &Api, journal: &Journal) -> Vec<Standing> {
        let stands = |doc: &RecordDoc| doc.origin == Origin::Published && doc.state == RecordState::Published;
        let ttl = |doc: &RecordDoc| {
            let sections = doc.lineages.iter().filter_map(|name| self.sections.get(name));
            sections.filter(|section| section.api == *api).map(|section| section.record_ttl).min()
        };
        let at = |owner: &OwnerDoc| {
            let records = owner.records.iter().filter(|(_, doc)| stands(doc));
            let standing = |(record, doc): (&Association, &RecordDoc)| {
                let (zone, owner) = (owner.zone.clone(), owner.target.clone());
                Some(Standing { zone, owner, record: record.clone(), ttl: ttl(doc)? })
            };
            records.filter_map(standing).collect::<Vec<_>>()
        };
        journal.owners.values().flat_map(at).collect()
    }

    fn ask_provider(&self, api: &Api, timeout: u64, standing: Vec<Standing>, changes: &[Change]) -> Vec<Outcome> {
        let context = Context {
            timeout: Duration::from_secs(timeout),
            letsencrypt_directory: self.config.letsencrypt_directory.clone(),
            renewed_domains: self.renewed_domains.clone(),
            resolvers: self.config.resolvers_or_system(self.env).unwrap_or_default(),
            state_directory: self.config.state_directory.clone(),
            standing,
        };
        api.provider().apply(self.env, &context, changes)
    }
}

/// The edit that an action makes.
pub(crate) fn edit_of(action: &Action) -> Option<(Operation, &Edit)> {
    match action {
        Action::Add(edit) => Some((Operation::Add, edit)),
        Action::Delete(edit) => Some((Operation::Delete, edit)),
        _ => None,
    }
}

/// Takes down what is about to be done. From here on a record to be deleted counts as absent. Says whether one that was on
/// its way out is published again: it counts as absent until that has succeeded.
fn intend(store: &mut Store, operation: Operation, edit: &Edit) -> bool {
    let now = Stamp(store.journal().clock.total);
    let Some(owner) = store.edit().owners.get_mut(&edit.query) else { return false };
    let going = owner.records.get(&edit.record).is_some_and(|doc| doc.state.going());
    let again = operation == Operation::Add && going;
    match operation {
        Operation::Add => {
            owner.lineages.insert(edit.lineage.clone());
            if again {
                owner.published_again(&edit.record, now);
            }
            let new = || RecordDoc {
                origin: Origin::Published,
                state: RecordState::Publishing,
                since: now,
                lineages: BTreeSet::new(),
            };
            let doc = owner.records.entry(edit.record.clone()).or_insert_with(new);
            (doc.state, doc.since) = (RecordState::Publishing, now);
            doc.lineages.insert(edit.lineage.clone());
        }
        Operation::Delete => {
            if let Some(doc) = owner.records.get_mut(&edit.record) {
                (doc.state, doc.since) = (RecordState::Deleting, now);
            }
        }
    }
    beside(store, edit, |other| match operation {
        Operation::Add => {
            if other.records[&edit.record].state.going() {
                other.published_again(&edit.record, now);
            }
            other.set(&edit.record, RecordState::Publishing, now);
        }
        Operation::Delete => other.set(&edit.record, RecordState::Deleting, now),
    });
    again
}

/// What is done at a name is done for every other name that leads to the same RRset, and whose document has the record too.
fn beside(store: &mut Store, edit: &Edit, change: impl Fn(&mut OwnerDoc)) {
    let Some(target) = store.journal().owners.get(&edit.query).map(|owner| owner.target.clone()) else { return };
    let others = store.edit().owners.values_mut().filter(|owner| owner.target == target && owner.query != edit.query);
    others.filter(|owner| owner.records.contains_key(&edit.record)).for_each(change);
}

/// What a provider is asked for.
pub(crate) fn change((operation, edit): (Operation, &Edit), journal: &Journal) -> Change {
    let (port, protocol, domain) = endpoint(&edit.query);
    let doc = journal.owners.get(&edit.query);
    Change {
        operation,
        owner: doc.map_or(edit.query.clone(), |doc| doc.target.clone()),
        zone: doc.and_then(|doc| doc.zone.clone()),
        record: edit.record.clone(),
        ttl: edit.ttl,
        live: edit.live.clone(),
        lineage: edit.lineage.clone(),
        port,
        protocol,
        domain,
    }
}

/// Takes down what came of it.
fn note(store: &mut Store, operation: Operation, edit: &Edit, outcome: Outcome, restored: bool) -> Came {
    let now = Stamp(store.journal().clock.total);
    let (owner, record, lineage) = (&edit.query, &edit.record, &edit.lineage);
    let known = store.edit().owners.get_mut(owner);
    let (verb, done, state) = match operation {
        Operation::Add => ("publish", "published", RecordState::Published),
        Operation::Delete => ("delete", "deleted", RecordState::Deleted),
    };
    match outcome {
        Outcome::Done | Outcome::Already => {
            let already = outcome == Outcome::Already;
            tracing::info!(lineage, %owner, %record, already, "{done}");
            if let Some(known) = known {
                if restored {
                    known.published_again(record, now);
                }
                let Some(doc) = known.records.get_mut(record) else { return Came::Done };
                doc.since = now;
                doc.state = state;
            }
            beside(store, edit, |other| {
                if restored {
                    other.published_again(record, now);
                }
                other.set(record, state, now);
            });
            Came::Done
        }
        Outcome::ByHand(_) => {
            // It is handed over: from here on only the name servers tell. They are believed when a record shows that is published,
            // and when one is gone that was deleted.
            if let (Operation::Delete, Some(doc)) = (operation, known.and_then(|owner| owner.records.get_mut(record))) {
                (doc.state, doc.since) = (RecordState::Deleted, now);
                beside(store, edit, |other| other.set(record, state, now));
            }
            Came::ByHand
        }
        Outcome::NotYet(why) => Came::Later(format!("{lineage}: {owner}: not deleted yet, {record}: {why}")),
        Outcome::Temporary(why) => Came::Later(format!("{lineage}: {owner}: cannot {verb} {record} now: {why}")),
        Outcome::Failed(why) => Came::Failed(Trouble::of(lineage, format!("{owner}: cannot {verb} {record}: {why}"))),
    }
}

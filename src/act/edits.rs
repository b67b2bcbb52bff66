//! Records: intents, the provider, outcomes.

use super::{Actor, Came};
use crate::{
    config::Api,
    env::{Env, Job},
    facts::Facts,
    journal::{Journal, Origin, OwnerDoc, RecordDoc, RecordState, clock::Stamp, store::Store},
    name::DnsName,
    plan::{Action, Edit, Trouble, model::endpoint},
    provider::{Change, Context, Operation, Outcome, Standing},
    tlsa::Association,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    rc::Rc,
    time::Duration,
};

/// Providers that are asked at once: more than anybody has, so that those which hang do not hold up the others.
const AT_ONCE: usize = 32;

/// What becomes of a change that could not be made for a reason that passes.
const AGAIN: &str = "the next run tries again";

/// What one provider is asked to do, and what came of it.
struct Share<'a> {
    api: &'a Api,
    context: Context,
    /// The places of its changes among all.
    at: Vec<usize>,
    changes: Vec<Change>,
    outcomes: Vec<Outcome>,
}

impl Actor<'_> {
    /// Adds or deletes records: all intents to the journal, then all providers side by side, each with everything that is its,
    /// then all outcomes, in the order of the actions.
    pub(super) fn edit(&self, actions: &[&Action], facts: &Facts, store: &mut Store) -> io::Result<Vec<Came>> {
        if self.is_stale(facts, store) {
            return Ok(vec![Came::Stale; actions.len()]);
        }
        let edits: Vec<(Operation, &Edit)> = actions.iter().filter_map(|action| edit_of(action)).collect();
        let beside = Beside::new(store.journal());
        let restored: Vec<bool> =
            edits.iter().map(|(operation, edit)| intend(store, &beside, *operation, edit)).collect();
        store.commit(self.env)?;
        let mut shares = self.shares(&edits, store);
        self.ask_providers(&mut shares);
        let mut came: Vec<Came> = vec![Came::Stale; edits.len()];
        for share in shares {
            for (at, outcome) in share.at.into_iter().zip(share.outcomes) {
                let (operation, edit) = edits[at];
                came[at] = note(store, &beside, operation, edit, outcome, restored[at]);
            }
        }
        store.commit(self.env)?;
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

    /// The edits by provider, in the order in which these come first.
    fn shares(&self, edits: &[(Operation, &Edit)], store: &Store) -> Vec<Share<'_>> {
        let resolvers = self.config.resolvers_or_system(self.env).unwrap_or_default();
        let mut shares: Vec<Share<'_>> = Vec::new();
        for (at, edit) in edits.iter().enumerate() {
            let Some(section) = self.sections.get(&edit.1.lineage) else { continue };
            let known = shares.iter().position(|share| *share.api == section.api);
            let place = known.unwrap_or_else(|| {
                let context = Context {
                    timeout: Duration::ZERO,
                    letsencrypt_directory: self.config.letsencrypt_directory.clone(),
                    renewed_domains: self.renewed_domains.clone(),
                    resolvers: resolvers.clone(),
                    state_directory: self.config.state_directory.clone(),
                    standing: self.standing(&section.api, store.journal()),
                };
                let (at, changes, outcomes) = (Vec::new(), Vec::new(), Vec::new());
                shares.push(Share { api: &section.api, context, at, changes, outcomes });
                shares.len() - 1
            });
            let share = &mut shares[place];
            share.context.timeout = share.context.timeout.max(Duration::from_secs(section.timeout));
            share.at.push(at);
            share.changes.push(change(*edit, store.journal()));
        }
        shares
    }

    /// Each on its own, but one after the other those that must not be at work together, and those that edit the same owner: there
    /// the order counts.
    fn ask_providers(&self, shares: &mut [Share<'_>]) {
        let mut lanes: Vec<Vec<&mut Share<'_>>> = Vec::new();
        for share in shares {
            let (mut together, others): (Vec<_>, Vec<_>) =
                lanes.into_iter().partition(|lane| lane.iter().any(|other| other.minds(share)));
            together.push(vec![share]);
            lanes = others;
            lanes.push(together.into_iter().flatten().collect());
        }
        self.env.side_by_side(lanes.into_iter().map(ask_in_turn).collect(), AT_ONCE);
    }
}

fn ask_in_turn<'a>(lane: Vec<&'a mut Share<'_>>) -> Job<'a> {
    Box::new(move |env| lane.into_iter().for_each(|share| share.outcomes = share.ask(env)))
}

impl Share<'_> {
    fn minds(&self, other: &Share<'_>) -> bool {
        let (lane, its) = (self.api.provider().lane(), other.api.provider().lane());
        let owners: BTreeSet<&DnsName> = self.changes.iter().map(|change| &change.owner).collect();
        (lane.is_some() && lane == its) || other.changes.iter().any(|change| owners.contains(&change.owner))
    }

    fn ask(&self, env: &dyn Env) -> Vec<Outcome> {
        self.api.provider().apply(env, &self.context, &self.changes)
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
fn intend(store: &mut Store, others: &Beside, operation: Operation, edit: &Edit) -> bool {
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
            let new = || RecordDoc::new(Origin::Published, RecordState::Publishing, now);
            let doc = owner.records.entry(edit.record.clone()).or_insert_with(new);
            doc.intend(RecordState::Publishing, now);
            doc.lineages.insert(edit.lineage.clone());
        }
        Operation::Delete => {
            if let Some(doc) = owner.records.get_mut(&edit.record) {
                doc.intend(RecordState::Deleting, now);
            }
        }
    }
    others.change(store, edit, |other| {
        let Some(doc) = other.records.get_mut(&edit.record) else { return };
        match operation {
            Operation::Add if doc.state.going() => {
                doc.intend(RecordState::Publishing, now);
                other.published_again(&edit.record, now);
            }
            Operation::Add => doc.intend(RecordState::Publishing, now),
            Operation::Delete => doc.intend(RecordState::Deleting, now),
        }
    });
    again
}

/// Query names that lead to one RRset, where there are several: each of them, and all of them.
pub(super) struct Beside(BTreeMap<DnsName, Rc<[DnsName]>>);

impl Beside {
    /// As the journal knows them.
    pub(super) fn new(journal: &Journal) -> Beside {
        let mut leading: BTreeMap<&DnsName, Vec<&DnsName>> = BTreeMap::new();
        for (query, owner) in &journal.owners {
            leading.entry(&owner.target).or_default().push(query);
        }
        let several = leading.into_values().filter(|queries| queries.len() > 1);
        let each = several.flat_map(|queries| {
            let all: Rc<[DnsName]> = queries.iter().map(|query| (*query).clone()).collect();
            queries.into_iter().map(move |query| (query.clone(), all.clone()))
        });
        Beside(each.collect())
    }

    /// The names that lead where this one does, without it.
    pub(super) fn of<'a>(&'a self, query: &'a DnsName) -> impl Iterator<Item = &'a DnsName> {
        self.0.get(query).into_iter().flat_map(|all| all.iter()).filter(move |other| *other != query)
    }

    /// What is done at a name is done for every other name that leads to the same RRset, and whose document has the record too.
    fn change(&self, store: &mut Store, edit: &Edit, change: impl Fn(&mut OwnerDoc)) {
        for query in self.of(&edit.query) {
            let owner = store.edit().owners.get_mut(query);
            owner.filter(|owner| owner.records.contains_key(&edit.record)).into_iter().for_each(&change);
        }
    }
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
fn note(
    store: &mut Store,
    others: &Beside,
    operation: Operation,
    edit: &Edit,
    outcome: Outcome,
    restored: bool,
) -> Came {
    let now = Stamp(store.journal().clock.total);
    let (owner, record, lineage) = (&edit.query, &edit.record, &edit.lineage);
    let known = store.edit().owners.get_mut(owner);
    let (verb, done, state) = match operation {
        Operation::Add => ("publish", "published", RecordState::Published),
        Operation::Delete => ("delete", "deleted", RecordState::Deleted),
    };
    let why = match operation {
        Operation::Add => "a certificate that is served, or is to be, needs it",
        Operation::Delete => "no certificate that may still be presented needs it",
    };
    match outcome {
        Outcome::Done | Outcome::Already => {
            let already = outcome == Outcome::Already;
            tracing::info!(lineage, phase = verb, %owner, %record, already, why, "{done}");
            if let Some(known) = known {
                if restored {
                    known.published_again(record, now);
                }
                let Some(doc) = known.records.get_mut(record) else { return Came::Done };
                doc.accept(state, now);
            }
            others.change(store, edit, |other| {
                if restored {
                    other.published_again(record, now);
                }
                if let Some(doc) = other.records.get_mut(record) {
                    doc.accept(state, now);
                }
            });
            Came::Done
        }
        Outcome::ByHand(_) => {
            // It is handed over: from here on only the name servers tell. They are believed when a record shows that is published,
            // and when one is gone that was deleted.
            if let (Operation::Delete, Some(doc)) = (operation, known.and_then(|owner| owner.records.get_mut(record))) {
                (doc.state, doc.since) = (RecordState::Deleted, now);
                others.change(store, edit, |other| other.set(record, state, now));
            }
            Came::ByHand
        }
        Outcome::NotYet(why) => Came::Later(format!("{lineage}: {owner}: not deleted yet, {record}: {why}; {AGAIN}")),
        Outcome::Temporary(why) => {
            Came::Later(format!("{lineage}: {owner}: cannot {verb} {record} now: {why}; {AGAIN}"))
        }
        Outcome::Failed(why) => Came::Failed(Trouble::of(lineage, format!("{owner}: cannot {verb} {record}: {why}"))),
    }
}

//! Which records are missing (DESIGN: "Publish").

use super::{
    Action, Edit, Plan, Reason, Trouble, Wait,
    model::{Lineage, Model, Owner},
    presence::Presence,
    probe,
    reason::Step,
};
use crate::{
    config::Section,
    journal::{RecordDoc, RecordState, clock::Stamp},
    name::DnsName,
    small::Set,
    tlsa::{Association, Chain, Group, Mismatch, Param},
};
use std::collections::BTreeSet;

/// After this many seconds without any server showing it, what a provider said it published is published again.
const PATIENCE: u64 = 60;
/// And at least so often, seconds.
const LONGEST: u64 = 3600;

/// How urgently a record is needed; the order in which records of one owner are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Served,
    Presented,
    Waiting,
}

/// A record that ought to be there.
pub struct Desired<'a> {
    rank: Rank,
    /// For this lineage.
    pub lineage: Lineage<'a>,
    /// The record.
    pub record: Association,
    /// Does it match its own chain? With usage 2 dates and names count (RFC 7671 section 5.2).
    fits: bool,
}

/// Plans the records that are missing, owner by owner, those of served chains first.
pub fn publish(model: &Model<'_>, plan: &mut Plan) {
    for owners in model.targets() {
        let (mut additions, mut records, mut planned) = (Vec::new(), Set::new(), BTreeSet::new());
        for owner in &owners {
            let wanted = desired(model, owner);
            records.extend(wanted.0.iter().map(|wanted| wanted.record.clone()));
            additions.extend(at_owner(model, owner, wanted, plan));
        }
        // Where several names lead to one RRset, a record is added there once.
        additions.retain(|action| match action {
            Action::Add(edit) => planned.insert(edit.record.clone()),
            _ => true,
        });
        let firsts: Vec<Wait> = owners.iter().filter_map(|owner| first(model, owner, &records, &additions)).collect();
        if !firsts.is_empty() {
            additions.retain(|action| !matches!(action, Action::Add(_)));
        }
        plan.actions.extend(additions);
        for wait in firsts {
            let presents = wait.reasons.iter().filter(|reason| matches!(reason, Reason::Presents { .. }));
            let text = |reason: &Reason| format!("no first record is published: {}", reason.text(model.now()));
            plan.troubles.extend(presents.map(|reason| Trouble::of(&wait.lineage, text(reason))));
            plan.troubles.extend(holds_back(model, &wait));
            plan.waits.push(wait);
        }
    }
}

/// What cannot be looked at keeps a renewal from services as well: with a quarter of its life left, what is served ought to have been
/// renewed a while ago, and nobody must find out when it ends.
fn holds_back(model: &Model<'_>, wait: &Wait) -> Option<Trouble> {
    let unprobed = wait.reasons.iter().find(|reason| matches!(reason, Reason::Unprobed { .. }))?;
    let lineage = model.lineages.get(wait.lineage.as_str()).filter(|lineage| !lineage.doc.waiting.is_empty())?;
    let served = &lineage.facts.served()?.chain;
    let left = served.not_after() - model.wall();
    if left >= (served.not_after() - served.not_before()) / 4 {
        return None;
    }
    let cure = "see `probe_address`, or set `probe = off` where services cannot be looked at from here";
    let why = unprobed.text(model.now());
    Some(Trouble::of(
        lineage.name,
        format!("a renewal is kept back, for no first record can be published: {why}; {cure}"),
    ))
}

/// The records that are missing for one query name.
fn at_owner<'a>(
    model: &Model<'a>,
    owner: &Owner<'a>,
    (mut desired, troubles): (Vec<Desired<'_>>, Vec<Trouble>),
    plan: &mut Plan,
) -> Vec<Action> {
    plan.troubles.extend(troubles);
    if owner.view.is_none() {
        return Vec::new();
    }
    desired.sort_by(|a, b| (a.rank, &a.record).cmp(&(b.rank, &b.record)));
    if owner.answers().is_empty() {
        plan.waits.extend(unseen(model, owner, &desired));
        return Vec::new();
    }
    let mut additions = additions(model, owner, &desired);
    plan.waits.extend(hold_back(model, owner, &mut additions));
    plan.waits.extend(one_after_the_other(model, owner, &desired, &mut additions));
    additions
}

/// Going from no record to some turns DANE on for all who connect, so every address has to present what the records will match:
/// those of every name that leads there.
fn first(model: &Model<'_>, owner: &Owner<'_>, records: &Set<Association>, additions: &[Action]) -> Option<Wait> {
    let added = || additions.iter().filter(|action| matches!(action, Action::Add(_))).filter_map(Action::lineage);
    let lineage = added().find(|lineage| owner.configured.contains(lineage)).or(added().next())?;
    let answers = owner.answers();
    let mut empty = answers.iter().map(|(_, _, records)| records.is_empty());
    let is_first = if owner.doc.records.is_empty() { empty.any(|empty| empty) } else { empty.all(|empty| empty) };
    if !is_first || owner.configured.is_empty() {
        return None;
    }
    let step = Step::Publish(owner.query.clone());
    let mut lineages = owner.configured.iter().filter_map(|name| model.lineages.get(name));
    if let Some(unknown) = lineages.find(|lineage| !lineage.is_installed()) {
        let reasons = vec![Reason::NotInstalled { lineage: unknown.name.into() }];
        return Some(Wait { lineage: lineage.into(), step, reasons });
    }
    owner.endpoint.as_ref()?;
    let reasons = probe::blockers(owner, |chain| owner.matches(records, chain, model.wall()));
    (!reasons.is_empty()).then(|| Wait { lineage: lineage.into(), step, reasons })
}

/// A first record of a group or digest type speaks for one chain only, and where a provider adds records one by one the others that
/// a lineage may present match none of it until theirs follows. So it waits until those that are on their way out are retired,
/// which a reload brings about. (Chains of several lineages are there to stay, so no order helps them.)
fn hold_back(model: &Model<'_>, owner: &Owner<'_>, additions: &mut Vec<Action>) -> Vec<Wait> {
    let answers = owner.answers();
    let is_new = |new: &Association| {
        answers.iter().all(|(_, _, records)| records.iter().all(|known| known.kind() != new.kind()))
    };
    let mut waits = Vec::new();
    for (lineage, presented, chain) in model.presented_at(owner) {
        let presence = lineage.presence(presented, model.now(), model.wall());
        let passes = |section: &Section| !section.api.changes_at_once() && section.moves_services();
        let concerned = presence != Presence::Served
            && lineage.section.is_some_and(passes)
            && !super::switch::is_broken(model, &lineage);
        let Some(chain) = chain.filter(|chain| concerned && minds(model, owner, chain)) else { continue };
        let breaks = |action: &&Action| match action {
            Action::Add(edit) => {
                edit.lineage == lineage.name
                    && is_new(&edit.record)
                    && !chain.matches(&edit.record, &owner.base, model.wall())
            }
            _ => false,
        };
        let kinds: BTreeSet<_> = additions.iter().filter(breaks).filter_map(kind).collect();
        if !kinds.is_empty() {
            additions.retain(|action| kind(action).is_none_or(|kind| !kinds.contains(&kind)));
            let reasons = super::delete::held(model, &lineage, presented, presence);
            waits.push(Wait { lineage: lineage.name.into(), step: Step::Publish(owner.query.clone()), reasons });
        }
    }
    waits
}

/// Where a provider adds records one by one, what is not presented yet gets its first record of a kind only when those that are
/// presented are seen to have theirs: a program that says it published one and did not must not break them with the next. The same
/// goes for what may be presented and is turned away by all servers as it is, unless it is what is served.
fn one_after_the_other<'a>(
    model: &Model<'a>,
    owner: &Owner<'a>,
    desired: &[Desired<'_>],
    additions: &mut Vec<Action>,
) -> Option<Wait> {
    let answers = owner.answers();
    let mut presented = Vec::new();
    for at in model.sharing(owner) {
        let found = model.presented_at(at).into_iter().filter(|(lineage, _, chain)| {
            let one_by_one = lineage.section.is_some() && !lineage.changes_at_once();
            one_by_one && chain.is_some_and(|chain| minds(model, at, chain))
        });
        presented.extend(found.filter_map(|(_, _, chain)| chain).map(|chain| (&at.base, chain)));
    }
    let lacks = |kind: (Group, u8)| {
        let unseen = |(base, chain): &(&DnsName, &Chain), records: &Set<Association>| {
            !records.iter().any(|record| record.kind() == kind && chain.matches(record, base, model.wall()))
        };
        answers.iter().find(|(_, _, records)| presented.iter().any(|presented| unseen(presented, records)))
    };
    let keeps = |record: &Association| {
        model.sharing(owner).into_iter().any(|at| {
            let mut chains = model.presented_at(at).into_iter().filter_map(|(_, _, chain)| chain);
            chains.any(|chain| chain.matches(record, &at.base, model.wall()) && minds(model, at, chain))
        })
    };
    let waits = |action: &Action| match action {
        Action::Add(edit) => {
            let is_its = |wanted: &&Desired<'_>| {
                wanted.record == edit.record
                    && (wanted.rank == Rank::Served || (wanted.rank == Rank::Presented && keeps(&wanted.record)))
            };
            if desired.iter().any(|wanted| is_its(&wanted)) { None } else { lacks(edit.record.kind()) }
        }
        _ => None,
    };
    let (action, (address, server, _)) = additions.iter().find_map(|action| Some((action, waits(action)?)))?;
    let (group, matching) = kind(action)?;
    let (lineage, query) = (action.lineage()?.to_owned(), owner.query.clone());
    let (server, address) = (server.name.clone(), *address);
    let reason = Reason::NotShown { owner: query.clone(), server, address, mismatch: Mismatch::Wrong(group, matching) };
    let wait = Wait { lineage, step: Step::Publish(query), reasons: vec![reason] };
    let kept: Vec<Action> = additions.iter().filter(|action| waits(action).is_none()).cloned().collect();
    *additions = kept;
    Some(wait)
}

/// The group and digest type of a record that is added.
fn kind(action: &Action) -> Option<(Group, u8)> {
    match action {
        Action::Add(edit) => Some(edit.record.kind()),
        _ => None,
    }
}

/// What is missing at an owner. Before anything is added, what is there already is taken down; and what presented chains need
/// is added once more where some server lacks it, for nobody can tell whether it comes or goes there.
fn additions(model: &Model<'_>, owner: &Owner<'_>, desired: &[Desired<'_>]) -> Vec<Action> {
    let steps = |again: bool| -> Vec<Action> {
        let mut planned = Set::new();
        desired.iter().filter_map(|wanted| missing(model, owner, wanted, again, &mut planned)).collect()
    };
    let once = steps(false);
    let adopts = |action: &Action| matches!(action, Action::Adopt { .. });
    match once.iter().any(adopts) {
        true => once.into_iter().filter(adopts).collect(),
        false if once.is_empty() => once,
        false => steps(true),
    }
}

/// What ought to be published at an owner: for each lineage that is configured there, the records of every chain that may be
/// presented and of every one that waits. Also what is wrong with them.
pub fn desired<'a>(model: &Model<'a>, owner: &Owner<'a>) -> (Vec<Desired<'a>>, Vec<Trouble>) {
    let (mut desired, mut troubles, mut barred) = (Vec::new(), Vec::new(), BTreeSet::new());
    for lineage in owner.configured.iter().filter_map(|name| model.lineages.get(name)) {
        for (rank, chain) in chains(model, lineage) {
            for (param, association) in owner.associations(chain) {
                match association {
                    Ok(record) => {
                        let fits = chain.matches(&record, &owner.base, model.wall());
                        if !fits {
                            troubles.push(unfit(lineage, owner, param));
                        }
                        if !fits && rank < Rank::Waiting && minds(model, owner, chain) {
                            barred.insert(param.group());
                        }
                        desired.push(Desired { rank, lineage: *lineage, record, fits });
                    }
                    Err(why) => {
                        if rank < Rank::Waiting {
                            barred.insert(param.group());
                        }
                        troubles.push(Trouble::of(lineage.name, format!("{param} at {}: {why}", owner.query)));
                    }
                }
            }
        }
    }
    // A record of a group in which a presented chain has nothing to publish would make that chain fail.
    desired.retain(|wanted: &Desired<'_>| wanted.rank < Rank::Waiting || !barred.contains(&wanted.record.group()));
    troubles.dedup();
    (desired, troubles)
}

fn unfit(lineage: &Lineage<'_>, owner: &Owner<'_>, param: Param) -> Trouble {
    let text = format!(
        "{param} at {}: usage 2 needs a certificate whose dates hold now and whose names cover {}, and this one's do not",
        owner.query, owner.base
    );
    Trouble::of(lineage.name, text)
}

/// Would a further record make clients fail that do not yet?
fn minds(model: &Model<'_>, owner: &Owner<'_>, chain: &Chain) -> bool {
    owner.answers().iter().any(|(_, _, records)| owner.tolerates(records, chain, model.wall()).is_ok())
}

/// The records that ought to be published at an owner.
pub fn desired_records(model: &Model<'_>, owner: &Owner<'_>) -> Set<Association> {
    desired(model, owner).0.into_iter().map(|wanted| wanted.record).collect()
}

fn chains<'a>(model: &Model<'a>, lineage: &Lineage<'a>) -> Vec<(Rank, &'a Chain)> {
    let presented = lineage.doc.presented.iter().filter_map(|presented| {
        let rank = match lineage.presence(presented, model.now(), model.wall()) {
            Presence::Gone => return None,
            Presence::Served => Rank::Served,
            _ => Rank::Presented,
        };
        Some((rank, &presented.generation))
    });
    let waiting = lineage.doc.waiting.iter().map(|generation| (Rank::Waiting, generation));
    presented.chain(waiting).filter_map(|(rank, id)| Some((rank, lineage.chain(id)?))).collect()
}

/// Nothing is published where nobody can tell what is there already.
fn unseen(model: &Model<'_>, owner: &Owner<'_>, desired: &[Desired<'_>]) -> Option<Wait> {
    let lacking = desired.iter().find(|wanted| !owner.doc.records.contains_key(&wanted.record))?;
    let reasons = super::gate::current(model, &lacking.lineage, owner, &|_| Ok(()));
    Some(Wait { lineage: lacking.lineage.name.into(), step: Step::Publish(owner.query.clone()), reasons })
}

fn missing(
    model: &Model<'_>,
    owner: &Owner<'_>,
    wanted: &Desired<'_>,
    again: bool,
    planned: &mut Set<Association>,
) -> Option<Action> {
    if !wanted.fits {
        return None;
    }
    let lineage = wanted.lineage.name.to_string();
    let (query, record) = (owner.query.clone(), wanted.record.clone());
    let answers = owner.answers();
    let shown = answers.iter().filter(|(_, _, records)| records.contains(&record)).count();
    let add = match owner.doc.records.get(&record) {
        None if shown > 0 => return Some(Action::Adopt { query, record, lineage }),
        None => true,
        Some(doc) if doc.state.going() => true,
        Some(doc) if !doc.lineages.contains(&lineage) => return Some(Action::Adopt { query, record, lineage }),
        Some(doc) if doc.state == RecordState::Publishing && shown == answers.len() => {
            return Some(Action::Adopt { query, record, lineage });
        }
        Some(doc) if doc.state == RecordState::Publishing => true,
        Some(_) if again && wanted.rank != Rank::Waiting && shown < answers.len() => true,
        Some(doc) => {
            let breaks = || wanted.rank == Rank::Served && super::switch::is_broken_for_good(model, &wanted.lineage);
            (shown == 0 || is_lost(model, owner, &record, doc) && breaks())
                && doc.since.elapsed(model.now()) >= patience(doc)
        }
    };
    if !add || !planned.insert(record.clone()) {
        return None;
    }
    let ttl = wanted.lineage.section?.record_ttl;
    Some(Action::Add(Edit { query, record, ttl, lineage, live: None }))
}

/// Did all servers show the record, and has one not for a while?
fn is_lost(model: &Model<'_>, owner: &Owner<'_>, record: &Association, doc: &RecordDoc) -> bool {
    let for_a_while = |since: Stamp| since.elapsed(model.now()) >= PATIENCE;
    let mut lacking = owner.answers().into_iter().filter(|(_, _, records)| !records.contains(record));
    let since = |address| owner.doc.servers.get(&address)?.since;
    doc.accepted.is_none() && lacking.any(|(address, ..)| since(address).is_some_and(for_a_while))
}

/// What has no effect is tried less and less often.
fn patience(doc: &RecordDoc) -> u64 {
    let tried_for = doc.accepted.map_or(0, |accepted| accepted.elapsed(doc.since));
    tried_for.clamp(PATIENCE, LONGEST)
}

/// What publishing waits for, so that `status` can tell: used where a chain cannot be read.
pub fn unreadable(model: &Model<'_>, owner: &Owner<'_>) -> Vec<Reason> {
    let presented = model.presented_at(owner).into_iter();
    let unreadable = presented.filter(|(_, _, chain)| chain.is_none());
    let reason = |(lineage, presented, _): (Lineage<'_>, &crate::journal::Presented, Option<&Chain>)| {
        Reason::Unreadable { lineage: lineage.name.into(), generation: presented.generation.clone() }
    };
    unreadable.map(reason).collect()
}

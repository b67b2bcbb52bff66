//! Which of our records nothing needs any more (DESIGN: "Delete").

use super::{
    Action, Edit, Plan, Reason, Wait, gate,
    model::{Lineage, Model, Owner, endpoint, floor},
    presence::Presence,
    probe,
    publish::{desired_records, unreadable},
    reason::Step,
};
use crate::{
    config::Api,
    journal::{Origin, Presented, RecordDoc, RecordState, clock::Stamp},
    name::DnsName,
    small::Set,
    tlsa::{Association, Chain},
};
use std::collections::BTreeMap;

/// A delete without visible effect is repeated after this many seconds: not in the run that made it, which looks on for a
/// while and has to tell that it still waits.
const AGAIN: u64 = 300;

/// Plans the deletes, owner by owner. Each is judged with the ones before it done, and for all owners whose CNAMEs lead to the
/// same RRset.
pub fn delete(model: &Model<'_>, plan: &mut Plan) {
    let switched = plan.switched();
    let mut gone_at: BTreeMap<&DnsName, Set<Association>> = BTreeMap::new();
    for owner in model.owners.values() {
        let sharing = &model.sharing(owner)[..];
        let is_switched = |owner: &&Owner<'_>| owner.concerned().iter().any(|name| switched.contains(*name));
        if !switched.is_empty() && sharing.iter().any(is_switched) {
            continue;
        }
        let needed: Set<Association> = sharing.iter().flat_map(|owner| desired_records(model, owner)).collect();
        let all = || if needed.is_empty() { whole(model, sharing) } else { None };
        if !gone_at.contains_key(&owner.doc.target)
            && let Some(edits) = all()
        {
            gone_at.insert(&owner.doc.target, edits.iter().map(|edit| edit.record.clone()).collect());
            plan.actions.extend(edits.into_iter().map(Action::Delete));
        }
        let gone = gone_at.entry(&owner.doc.target).or_default();
        // What the plan deletes for another name that leads there is deleted for this one.
        let old = owner.doc.records.iter().filter(|(record, _)| !needed.contains(record) && !gone.contains(record));
        let mut old: Vec<(&Association, &RecordDoc)> = old.collect();
        old.sort_by_key(|(record, _)| (is_presented(model, owner, record), *record));
        for (record, doc) in old {
            let reasons = blockers(model, owner, sharing, record, doc, gone);
            match author(model, owner, doc) {
                Some(lineage) if reasons.is_empty() => {
                    gone.insert(record.clone());
                    plan.actions.push(Action::Delete(edit(owner, record, &lineage)));
                }
                author => {
                    let lineage = author.map(|lineage| lineage.name.to_string()).or(doc.lineages.first().cloned());
                    let step = Step::Delete(owner.query.clone(), record.clone());
                    plan.waits.push(Wait { lineage: lineage.unwrap_or_default(), step, reasons });
                }
            }
        }
    }
}

/// An RRset of which nobody needs anything any more, where one change can take all of it away: with two certificates beside each
/// other, either record alone would fail the clients that see the other certificate.
fn whole(model: &Model<'_>, sharing: &[&Owner<'_>]) -> Option<Vec<Edit>> {
    let mut edits: BTreeMap<&Association, (&Owner<'_>, &RecordDoc, Lineage<'_>)> = BTreeMap::new();
    for owner in sharing {
        for (record, doc) in &owner.doc.records {
            edits.entry(record).or_insert((owner, doc, author(model, owner, doc)?));
        }
    }
    let apis: Vec<&Api> = edits.values().filter_map(|(.., lineage)| Some(&lineage.section?.api)).collect();
    let at_once = apis.iter().all(|api| api.changes_at_once() && *api == apis[0]);
    let ours = |owner: &&Owner<'_>| {
        let answers = owner.answers();
        let mut shown = answers.iter().flat_map(|(_, _, records)| records.iter());
        shown.all(|record| edits.contains_key(record))
    };
    if edits.len() < 2 || !at_once || !sharing.iter().all(ours) {
        return None;
    }
    let gone: Set<Association> = edits.keys().map(|record| (*record).clone()).collect();
    let free = |(record, (owner, doc, _)): (&&Association, &(&Owner<'_>, &RecordDoc, Lineage<'_>))| {
        blockers(model, owner, sharing, record, doc, &gone).is_empty()
    };
    let all_free = edits.iter().all(free);
    all_free.then(|| edits.into_iter().map(|(record, (owner, _, lineage))| edit(owner, record, &lineage)).collect())
}

/// The lineage whose provider deletes the record: one that needed it, else one that is configured here.
fn author<'a>(model: &Model<'a>, owner: &Owner<'a>, doc: &RecordDoc) -> Option<Lineage<'a>> {
    let mut names = doc.lineages.iter().map(String::as_str).chain(owner.configured.iter().copied());
    let with_section = |name: &str| model.lineages.get(name).filter(|lineage| lineage.section.is_some()).copied();
    names.find_map(with_section)
}

fn edit(owner: &Owner<'_>, record: &Association, lineage: &Lineage<'_>) -> Edit {
    let same = owner.params.iter().find(|param| (param.group(), param.matching()) == (record.group(), record.matching));
    let live = same.and_then(|param| lineage.facts.served()?.chain.association(*param).ok());
    let (query, record, lineage) = (owner.query.clone(), record.clone(), lineage.name.to_string());
    Edit { query, record, ttl: 0, lineage, live }
}

/// Everything that speaks against deleting a record, with those of `gone` deleted before it.
fn blockers(
    model: &Model<'_>,
    owner: &Owner<'_>,
    sharing: &[&Owner<'_>],
    record: &Association,
    doc: &RecordDoc,
    gone: &Set<Association>,
) -> Vec<Reason> {
    if doc.state == RecordState::Deleted && doc.since.elapsed(model.now()) < AGAIN {
        return vec![Reason::NotVisible { owner: owner.query.clone() }];
    }
    if let Some(until) = may_come(model, owner, record, doc) {
        return vec![Reason::MayCome { until }];
    }
    let mut reasons = left_behind(model, owner, doc);
    reasons.extend(sharing.iter().flat_map(|at| on_its_way(model, at, record)));
    // No name of ours leads to what was left behind, so nobody presents anything there.
    let sharing = || sharing.iter().filter(|owner| owner.doc.left_behind.is_none());
    reasons.extend(sharing().flat_map(|owner| unreadable(model, owner)));
    reasons.extend(kept(model, owner, record, doc));
    let presented = sharing().flat_map(|at| model.presented_at(at).into_iter().map(move |found| (*at, found)));
    for (at, (lineage, presented, chain)) in presented {
        let Some(chain) = chain else { continue };
        let remains = |records: &Set<Association>| {
            let left: Set<Association> =
                records.iter().filter(|shown| *shown != record && !gone.contains(shown)).cloned().collect();
            gate::fits(model, &lineage, at, chain, &left)
        };
        for reason in gate::current(model, &lineage, owner, &remains) {
            reasons.extend(match reason {
                Reason::NotShown { owner, mismatch, .. } => because(model, &lineage, presented, owner, mismatch),
                other => vec![other],
            });
        }
    }
    let at_once = author(model, owner, doc).is_some_and(|author| author.changes_at_once());
    let before = if at_once { gone.clone() } else { Set::new() };
    if reasons.is_empty() && sharing().any(|at| outlived(model, at, record, &before)) {
        reasons.push(Reason::NotVisible { owner: owner.query.clone() });
    }
    if reasons.is_empty() && is_there(owner, record) {
        reasons.extend(sharing().flat_map(|at| unprobed(model, at, record, doc, gone)));
    }
    reasons.sort();
    reasons.dedup();
    reasons
}

/// Until when a record may yet be published by a call that nobody knows the outcome of: for `ttl`, by which the operator says how
/// slow the zone is. Once deleted it would be somebody else's when it comes.
pub(super) fn may_come(model: &Model<'_>, owner: &Owner<'_>, record: &Association, doc: &RecordDoc) -> Option<Stamp> {
    let is_shown = || owner.shown().any(|(_, _, records)| records.contains(record));
    let last = (doc.state == RecordState::Publishing && !is_shown()).then_some(doc.since);
    let section = author(model, owner, doc).and_then(|author| author.section);
    let until = last.into_iter().chain(doc.unsure).max()?.after(floor(model.input.config.ttl, section));
    (!doc.state.going() && until > model.now()).then_some(until)
}

/// Records of the same kind that may come yet, and would be alone for a presented chain that matches by this one.
fn on_its_way(model: &Model<'_>, at: &Owner<'_>, record: &Association) -> Vec<Reason> {
    let fits = |chain: &Chain, other: &Association| chain.matches(other, &at.base, model.wall());
    let chains = model.presented_at(at).into_iter().filter_map(|(_, _, chain)| chain);
    let chains: Vec<&Chain> = chains.filter(|chain| fits(chain, record)).collect();
    let others = at.doc.records.iter().filter(|(other, _)| *other != record && other.kind() == record.kind());
    let alone = others.filter(|(other, _)| chains.iter().any(|chain| !fits(chain, other)));
    let reason = |(other, doc): (&Association, &RecordDoc)| {
        let until = may_come(model, at, other, doc)?;
        Some(Reason::OnItsWay { owner: at.query.clone(), record: other.clone(), until })
    };
    alone.filter_map(reason).collect()
}

/// Would a presented chain that matches by this record be left with others of its kind that do not match, because those are on
/// their way out and still shown? A provider may have said that it deleted them and have done nothing. `gone` goes with it.
fn outlived(model: &Model<'_>, at: &Owner<'_>, record: &Association, gone: &Set<Association>) -> bool {
    let fits = |chain: &Chain, other: &Association| chain.matches(other, &at.base, model.wall());
    let chains = model.presented_at(at).into_iter().filter_map(|(_, _, chain)| chain);
    chains.filter(|chain| fits(chain, record)).any(|chain| {
        at.shown().any(|(_, _, records)| {
            let left =
                |other: &&Association| *other != record && other.kind() == record.kind() && !gone.contains(*other);
            let mut left = records.iter().filter(left).peekable();
            left.peek().is_some() && !left.any(|other| fits(chain, other))
        })
    })
}

/// What was left behind when a CNAME changed stays as it is while caches may follow the old one. A program that is told port,
/// protocol and domain cannot delete at any other name.
fn left_behind(model: &Model<'_>, owner: &Owner<'_>, doc: &RecordDoc) -> Vec<Reason> {
    let Some(left) = &owner.doc.left_behind else { return Vec::new() };
    let section = author(model, owner, doc).and_then(|lineage| lineage.section);
    let cannot = endpoint(owner.query).0 == 0 && section.is_some_and(|section| !section.api.edits_any_owner());
    let until = (!cannot).then(|| left.until());
    match until.is_some_and(|until| until <= model.now()) {
        true => Vec::new(),
        false => vec![Reason::LeftBehind { owner: owner.query.clone(), until }],
    }
}

/// What services present has to match what remains. Only a record that leaves none behind needs no look at them: without TLSA
/// records nobody minds. That holds for our own records; others may count on those that we found.
fn unprobed(
    model: &Model<'_>,
    at: &Owner<'_>,
    record: &Association,
    doc: &RecordDoc,
    gone: &Set<Association>,
) -> Vec<Reason> {
    if at.endpoint.is_none() {
        return Vec::new();
    }
    let left = |records: Set<Association>| -> Set<Association> {
        records.into_iter().filter(|shown| shown != record && !gone.contains(shown)).collect()
    };
    let left: Vec<_> = at.answers().into_iter().map(|(_, _, records)| left(records.into_owned())).collect();
    if left.iter().all(Set::is_empty) && doc.origin == Origin::Published {
        return Vec::new();
    }
    let fits = |chain: &Chain| match at.configured.is_empty() {
        true => left.iter().try_for_each(|records| at.tolerates(records, chain, model.wall())),
        false => left.iter().try_for_each(|records| at.matches(records, chain, model.wall())),
    };
    probe::blockers(at, fits)
}

/// What would not match belongs to a chain that may be presented: why it still may.
fn because(
    model: &Model<'_>,
    lineage: &Lineage<'_>,
    presented: &Presented,
    owner: DnsName,
    mismatch: crate::tlsa::Mismatch,
) -> Vec<Reason> {
    match lineage.presence(presented, model.now(), model.wall()) {
        Presence::Served | Presence::Gone => vec![Reason::Needed { owner, mismatch }],
        presence => held(model, lineage, presented, presence),
    }
}

/// Why a generation that is no longer served may still be presented.
pub fn held(model: &Model<'_>, lineage: &Lineage<'_>, presented: &Presented, presence: Presence) -> Vec<Reason> {
    let reason = match presence {
        Presence::UntilProbe | Presence::UntilAgreed(_) => return probe::unsure(model, lineage, presence),
        Presence::UntilHold(until) => match presented.seen {
            Some(seen) if seen.after(lineage.hold(presented)) == until => Reason::Seen { seen, until },
            _ => Reason::Hold { until },
        },
        Presence::UntilExpiry(not_after) => Reason::NoReload { not_after },
        Presence::UntilDeploy => {
            let owed = lineage.undeployed(presented.left.unwrap_or(Stamp(0))).next();
            Reason::DeployOwed { command: owed.map(|command| command.join(" ")).unwrap_or_default() }
        }
        Presence::UntilReload => {
            let owed = lineage.owed(presented.left.unwrap_or(Stamp(0))).next();
            Reason::ReloadOwed { command: owed.map(|command| command.join(" ")).unwrap_or_default() }
        }
        Presence::Served | Presence::Unconfigured | Presence::Gone => {
            Reason::Unconfigured { lineage: lineage.name.into() }
        }
    };
    vec![reason]
}

/// Records that are not ours alone, and those of lineages that nobody can judge.
fn kept(model: &Model<'_>, owner: &Owner<'_>, record: &Association, doc: &RecordDoc) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let lineages = doc.lineages.iter().filter_map(|name| model.lineages.get(name.as_str()));
    // One whose journal was lost counts as well.
    let is_sound = |name: &&String| model.lineages.get(name.as_str()).is_some_and(|known| known.section.is_some());
    for lineage in doc.lineages.iter().filter(|name| !is_sound(name)) {
        reasons.push(Reason::Unconfigured { lineage: lineage.clone() });
    }
    let configured = owner.configured.iter().filter_map(|name| model.lineages.get(name));
    let shared = lineages.chain(configured).any(|lineage| lineage.section.is_some_and(|section| section.shared));
    if (doc.origin == Origin::Found || shared) && is_there(owner, record) && owner.endpoint.is_none() {
        reasons.push(Reason::NeedsProbe);
    }
    reasons
}

/// Does a server show the record, or may it?
fn is_there(owner: &Owner<'_>, record: &Association) -> bool {
    !owner.silent().is_empty() || owner.answers().iter().any(|(_, _, records)| records.contains(record))
}

/// Does a chain that may be presented match by this record? Such records go last when a lineage leaves.
fn is_presented(model: &Model<'_>, owner: &Owner<'_>, record: &Association) -> bool {
    let chains = model.presented_at(owner).into_iter().filter_map(|(_, _, chain)| chain);
    chains.into_iter().any(|chain| chain.matches(record, &owner.base, model.wall()))
}

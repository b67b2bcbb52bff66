//! The gate before a switch: does every answer that a cache may hold match the chain? (DESIGN: "Switch")

use super::{
    Reason,
    delete::may_come,
    hosts,
    model::{Lineage, Model, Owner},
};
use crate::{
    facts::ServerView,
    journal::{RecordDoc, ServerDoc, clock::Stamp},
    lineage::GenerationId,
    small::Set,
    tlsa::{Association, Chain, Mismatch, stranded},
};
use std::net::SocketAddr;

/// Everything that still speaks against presenting `generation` of a lineage; empty when its gate is open.
pub fn blockers(model: &Model<'_>, lineage: &Lineage<'_>, generation: &GenerationId) -> Vec<Reason> {
    let Some(chain) = lineage.chain(generation) else {
        return vec![Reason::Unreadable { lineage: lineage.name.into(), generation: generation.clone() }];
    };
    let mut reasons = hosts::unknown(model, lineage);
    reasons.extend(model.owners_of(lineage.name).flat_map(|owner| owner_blockers(model, lineage, owner, chain)));
    reasons
}

/// Everything at one owner that speaks against presenting `chain`.
pub fn owner_blockers(model: &Model<'_>, lineage: &Lineage<'_>, owner: &Owner<'_>, chain: &Chain) -> Vec<Reason> {
    let served = lineage.facts.served().map(|served| &served.chain);
    let fits = |records: &Set<Association>| match owner.configured.contains(lineage.name) {
        true if lineage.is_installed() => {
            owner.matches(records, chain, model.wall())?;
            served.map_or(Ok(()), |served| stranded(records, served, chain, &owner.base, model.wall()))
        }
        // Where there are no records there is no DANE yet, and they are published when the certificate is known to be served.
        true => owner.tolerates(records, chain, model.wall()),
        // Which groups were ours is forgotten with their records, long before caches forget.
        false => owner.matches_all_groups(records, chain, model.wall()),
    };
    let mut reasons = current(model, lineage, owner, &fits);
    reasons.extend(lingering(owner, &fits, &reasons));
    reasons.extend(unasked(owner, &fits));
    reasons.extend(on_its_way(model, owner, &fits));
    for server in owner.doc.servers.values() {
        reasons.extend(cached(model, lineage, owner, server, &fits));
    }
    reasons
}

/// An owner of the section must have our groups; at one that left it, only what is there must match.
pub fn fits(
    model: &Model<'_>,
    lineage: &Lineage<'_>,
    owner: &Owner<'_>,
    chain: &Chain,
    records: &Set<Association>,
) -> Result<(), Mismatch> {
    match owner.configured.contains(lineage.name) {
        true => owner.matches(records, chain, model.wall()),
        false => owner.tolerates(records, chain, model.wall()),
    }
}

/// Answers that match only without the records that are on their way out: these are still to be seen, and a client that knows
/// no other digest type would go by them.
fn lingering(owner: &Owner<'_>, fits: &Fits<'_>, known: &[Reason]) -> Vec<Reason> {
    let reason = |(address, server): (&SocketAddr, &ServerView)| {
        let mismatch = fits(server.answer.as_ref().ok()?.records.as_ref()?).err()?;
        Some(Reason::NotShown { owner: owner.query.clone(), server: server.name.clone(), address: *address, mismatch })
    };
    let told = |reason: &Reason| match reason {
        Reason::NotShown { address, .. } => {
            known.iter().any(|other| matches!(other, Reason::NotShown { address: at, .. } if at == address))
        }
        _ => false,
    };
    owner.servers().into_iter().flatten().filter_map(reason).filter(|reason| !told(reason)).collect()
}

type Fits<'a> = dyn Fn(&Set<Association>) -> Result<(), Mismatch> + 'a;

/// What the addresses say now.
pub fn current(model: &Model<'_>, lineage: &Lineage<'_>, owner: &Owner<'_>, fits: &Fits<'_>) -> Vec<Reason> {
    let name = owner.query.clone();
    let Some(view) = owner.view else { return vec![Reason::NotAsked { owner: name }] };
    if let Err(why) = &view.servers {
        return vec![Reason::NoServers { owner: name, why: why.clone() }];
    }
    let answers = owner.answers();
    let mut reasons = Vec::new();
    for (address, server, records) in &answers {
        if let Err(mismatch) = fits(records) {
            let (owner, server, address) = (name.clone(), server.name.clone(), *address);
            reasons.push(Reason::NotShown { owner, server, address, mismatch });
        }
    }
    let matching: Vec<SocketAddr> = match reasons.is_empty() {
        true => answers.iter().map(|(address, ..)| *address).collect(),
        false => Vec::new(),
    };
    for (address, server, why) in owner.silent() {
        let patience = patience(lineage, owner, &matching);
        if patience.is_some_and(|end| end <= model.now()) && dispensable(model, lineage, owner, server, &matching) {
            continue;
        }
        let (owner, server, why) = (name.clone(), server.name.clone(), why.to_string());
        reasons.push(Reason::Unknown { owner, server, address, why, patience });
    }
    if answers.is_empty() && reasons.is_empty() {
        reasons.push(Reason::NoServers { owner: name, why: "none of them answers".into() });
    }
    reasons
}

/// Addresses that were servers until not long ago and were not asked (the operator now takes the provider's word): caches can
/// still ask them.
fn unasked(owner: &Owner<'_>, fits: &Fits<'_>) -> Vec<Reason> {
    let Some(asked) = owner.servers() else { return Vec::new() };
    let reason = |(address, server): (&SocketAddr, &ServerDoc)| {
        let mismatch = fits(server.now.as_ref()?.records.as_ref()?).err()?;
        let (owner, server) = (owner.query.clone(), server.name.clone());
        Some(Reason::NotShown { owner, server, address: *address, mismatch })
    };
    owner.doc.servers.iter().filter(|(address, _)| !asked.contains_key(address)).filter_map(reason).collect()
}

/// Records that may come yet and that the chain would not match beside what is there.
fn on_its_way(model: &Model<'_>, owner: &Owner<'_>, fits: &Fits<'_>) -> Vec<Reason> {
    let turns_away = |record: &Association| {
        let beside = |records: &Set<Association>| records.iter().chain([record]).cloned().collect();
        owner.answers().iter().any(|(_, _, records)| fits(records).is_ok() && fits(&beside(records)).is_err())
    };
    let reason = |(record, doc): (&Association, &RecordDoc)| {
        let until = may_come(model, owner, record, doc).filter(|_| turns_away(record))?;
        Some(Reason::OnItsWay { owner: owner.query.clone(), record: record.clone(), until })
    };
    owner.doc.records.iter().filter_map(reason).collect()
}

/// When a silent address may be left out: `patience` after all that answer began to match; never while none does.
fn patience(lineage: &Lineage<'_>, owner: &Owner<'_>, matching: &[SocketAddr]) -> Option<Stamp> {
    let since = matching.iter().map(|address| owner.doc.servers.get(address)?.since).max()??;
    Some(since.after(lineage.section?.patience))
}

/// May this silent server be left out at all? If it matches at another address and this host has no route to that address's
/// family, or if the served certificate has less than a third of its life left.
fn dispensable(
    model: &Model<'_>,
    lineage: &Lineage<'_>,
    owner: &Owner<'_>,
    silent: &ServerView,
    matching: &[SocketAddr],
) -> bool {
    let named = |address: &SocketAddr| owner.servers().and_then(|servers| servers.get(address));
    let elsewhere = matching.iter().filter_map(named).any(|server| server.is_at(silent));
    let old = lineage.facts.served().is_some_and(|served| {
        let (start, end) = (served.chain.not_before(), served.chain.not_after());
        3 * (end - model.wall()) < end - start
    });
    (silent.no_route && elsewhere) || old
}

/// What caches may hold of an address's earlier answers.
fn cached(
    model: &Model<'_>,
    lineage: &Lineage<'_>,
    owner: &Owner<'_>,
    server: &ServerDoc,
    fits: &Fits<'_>,
) -> Option<Reason> {
    let floor = model.floor(lineage);
    let unfit = server.past.iter().filter(|past| match &past.shown.records {
        Some(records) => fits(records).is_err(),
        None => true,
    });
    let latest = unfit.max_by_key(|past| (past.forgotten(floor), past.shown.ttl))?;
    let until = latest.forgotten(floor);
    let (owner, name, ttl) = (owner.query.clone(), server.name.clone(), latest.shown.ttl);
    (until > model.now()).then_some(Reason::Cached { owner, server: name, ttl, until })
}

//! What makes a run fail although each of its steps did what it should: services that present the wrong certificate, answers that
//! do not validate.

use super::{
    Plan, Trouble,
    model::{Lineage, Model, Owner},
    probe::{chains, describe},
    reason::span,
};
use crate::{
    facts::Security,
    journal::Presented,
    small::Set,
    tlsa::{Association, Chain},
};
use std::net::SocketAddr;

/// Tells of what nobody but an operator can mend.
pub fn raise(model: &Model<'_>, plan: &mut Plan) {
    for lineage in model.lineages.values().filter(|lineage| lineage.section.is_some()) {
        let left = lineage.doc.presented.iter();
        plan.troubles.extend(left.filter_map(|presented| unmoved(model, lineage, presented)));
    }
    for owner in model.owners.values() {
        plan.troubles.extend(strange(model, owner));
        plan.troubles.extend(bogus(owner));
    }
}

/// A reload has succeeded long ago, and the old certificate was seen since.
fn unmoved(model: &Model<'_>, lineage: &Lineage<'_>, presented: &Presented) -> Option<Trouble> {
    let (seen, left) = (presented.seen?, presented.left?);
    let grace = lineage.last_reloaded(left)?.after(lineage.hold(presented));
    let places: Vec<String> = presented.seen_at.iter().map(SocketAddr::to_string).collect();
    let gone = presented.unseen.as_ref().is_some_and(|unseen| unseen.last > seen);
    (seen >= grace && !gone).then(|| {
        let text = format!(
            "the service at {} presented generation {} {} ago, although it was reloaded: its records stay; restart it, \
             and see that its `reload` reaches every process and host",
            places.join(", "),
            presented.generation,
            span(seen.elapsed(model.now()))
        );
        Trouble::of(lineage.name, text)
    })
}

/// Chains at an owner with records that are neither old nor new, or too new.
fn strange(model: &Model<'_>, owner: &Owner<'_>) -> Vec<Trouble> {
    let Some(view) = owner.presents else { return Vec::new() };
    let concerned = owner.concerned().into_iter().filter_map(|name| model.lineages.get(name));
    let lineages: Vec<&Lineage<'_>> = concerned.filter(|lineage| lineage.is_installed()).collect();
    let Some(first) = lineages.first() else { return Vec::new() };
    let mut troubles = Vec::new();
    for (address, chain) in chains(view) {
        let known = lineages.iter().find_map(|lineage| Some((lineage, lineage.identify(chain)?)));
        if let Some((lineage, generation)) = known {
            let too_new = lineage.doc.waiting.contains(&generation.id);
            troubles.extend(too_new.then(|| {
                let text = format!(
                    "{address} presents generation {}, which waits for its switch: does the service read live/ instead of \
                     the dane directory? Its records are published at once",
                    generation.id
                );
                Trouble::of(lineage.name, text)
            }));
        } else if is_unmatched(model, owner, chain) {
            let text = format!(
                "{address} presents {}, which is neither the old nor the new certificate and which no TLSA record at {} \
                 matches: old records stay until it presents the right one",
                describe(chain),
                owner.query
            );
            troubles.push(Trouble::of(first.name, text));
        }
    }
    troubles
}

/// Is there a server whose records a chain does not match at all?
fn is_unmatched(model: &Model<'_>, owner: &Owner<'_>, chain: &Chain) -> bool {
    let matches = |record: &Association| chain.matches(record, &owner.base, model.wall());
    let fails = |records: &Set<Association>| !records.is_empty() && !records.iter().any(matches);
    owner.answers().iter().any(|(_, _, records)| fails(records))
}

/// Validating clients refuse such answers, and with them the service.
fn bogus(owner: &Owner<'_>) -> Option<Trouble> {
    let Security::Bogus(why) = &owner.view?.security else { return None };
    let lineage = owner.configured.first().map(|lineage| (*lineage).to_owned());
    let text = format!(
        "the answers for {} are BOGUS, so validating clients refuse the service: {why}; nothing is switched or deleted \
         until the zone validates again",
        owner.query
    );
    Some(Trouble { lineage, text })
}

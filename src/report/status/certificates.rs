//! The generations of a lineage, and what each of them is.

use super::{Generation, Role};
use crate::{
    facts::LineageFacts,
    lineage::{GenerationId, pem::key_type},
    plan::{Input, model::Lineage, presence::Presence},
};
use std::collections::BTreeSet;

/// The generations that are something now, the served one first.
pub fn generations(input: Input<'_>, lineage: Option<&Lineage<'_>>, files: &LineageFacts) -> Vec<Generation> {
    let mut told = BTreeSet::new();
    let all = roles(input, lineage, files);
    let ids: Vec<&GenerationId> = all.iter().map(|(id, _)| id).filter(|id| told.insert(*id)).collect();
    let generation = |id: &GenerationId| {
        let roles = all.iter().filter(|(other, _)| other == id).map(|(_, role)| *role).collect();
        generation(input, lineage, files, id, roles)
    };
    ids.into_iter().map(generation).collect()
}

fn roles(input: Input<'_>, lineage: Option<&Lineage<'_>>, files: &LineageFacts) -> Vec<(GenerationId, Role)> {
    let served = files.served().map(|generation| (generation.id.clone(), Role::Served));
    let live = files.live.as_ref().ok().map(|generation| (generation.id.clone(), Role::Live));
    let Some(lineage) = lineage else { return served.into_iter().chain(live).collect() };
    let may_present = |presented: &&crate::journal::Presented| {
        let presence = lineage.presence(presented, input.facts.now, input.facts.wall);
        !matches!(presence, Presence::Served | Presence::Gone)
    };
    let doc = lineage.doc;
    let candidates = doc.waiting.iter().rev().map(|id| (id.clone(), Role::Candidate));
    let old = doc.presented.iter().rev().filter(may_present).map(|old| (old.generation.clone(), Role::Old));
    let barred = doc.barred.iter().map(|id| (id.clone(), Role::Barred));
    served.into_iter().chain(candidates).chain(live).chain(old).chain(barred).collect()
}

fn generation(
    input: Input<'_>,
    lineage: Option<&Lineage<'_>>,
    files: &LineageFacts,
    id: &GenerationId,
    roles: Vec<Role>,
) -> Generation {
    let chain = files.generation(id).map(|generation| &generation.chain);
    let presented = lineage.into_iter().flat_map(|lineage| &lineage.doc.presented);
    let remembered = presented.filter(|presented| presented.generation == *id).map(|presented| presented.not_after);
    let not_after = chain.map(|chain| chain.not_after()).or(remembered.max());
    Generation {
        id: id.clone(),
        roles,
        names: chain.map(|chain| chain.names.to_vec()).unwrap_or_default(),
        key: chain.and_then(|chain| chain.certificates.first()).map(key_type),
        not_before: chain.map(|chain| chain.not_before()),
        not_after,
        seconds_left: not_after.map(|end| end.saturating_sub(input.facts.wall)),
    }
}
